//! Mappings that come with the program.

use super::TableMapping;

/// Their names and texts.
pub const PRESETS: [(&str, &str); 4] = [
    ("naru", include_str!("naru.toml")),
    ("em_tran", include_str!("em_tran.toml")),
    ("SC_TRAN", include_str!("sc_tran.toml")),
    ("BIZ_MSG", include_str!("biz_msg.toml")),
];

/// A mapping that comes with the program.
#[must_use]
pub fn preset(name: &str) -> Option<TableMapping> {
    let (_, text) = PRESETS.iter().find(|(known, _)| *known == name)?;
    toml::from_str(text).ok()
}
