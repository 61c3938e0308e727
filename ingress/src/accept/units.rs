//! What a message costs.

use naru_shared::domain::{Content, Units};

/// The units of a message: one, whatever its channel.
pub const fn units(_content: &Content) -> Units {
    Units::ONE
}
