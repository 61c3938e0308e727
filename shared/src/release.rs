//! What a release of the program knows, where releases differ that run side by side during a roll-out.

use crate::{
    domain::{EnvelopeFormat, FORMATS},
    postgres::MIGRATIONS,
};

/// One release. What it does not know a newer one may have written; what it needs it waits for.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// The versions of envelopes that it reads, the oldest first.
    pub formats: &'static [EnvelopeFormat],
    /// How the tables came to be what it needs, step by step.
    pub migrations: &'static [&'static str],
}

impl Release {
    /// This one.
    pub const THIS: Self = Self { formats: FORMATS, migrations: MIGRATIONS };

    /// The version of the tables that it needs.
    #[must_use]
    pub const fn tables(&self) -> i32 {
        self.migrations.len() as i32
    }
}

impl Default for Release {
    fn default() -> Self {
        Self::THIS
    }
}
