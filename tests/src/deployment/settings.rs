//! The configuration files: one for the operator, one for the fronts, one for the workers.

use std::{fs, path::Path};

use super::{Behind, Carrier};
use crate::engines::{Postgres, Redis};

/// The operator's file, which leads past the proxies.
pub(super) const OPERATOR: &str = "operator.toml";

/// The secrets.
pub(super) const KEYS: &str = "keys.toml";

/// The role that fronts read as.
pub(super) const READER: &str = "naru_ingress";

/// Where everything is.
pub(super) struct Addresses {
    /// Of the database, as its owner: direct, and as processes see it.
    owner: (String, String),
    /// The sections of what carries.
    carrier: (String, String),
    redis: (String, String),
}

impl Addresses {
    pub(super) fn of(
        database: &str,
        postgres: &Behind<Postgres>,
        carrier: &Carrier,
        redis: &Behind<Redis>,
    ) -> anyhow::Result<Self> {
        let redis = (redis.url(), redis.led(&redis.url())?);
        Ok(Self {
            owner: (database.to_owned(), postgres.led(database)?),
            carrier: (carrier.sections(&redis.0, false)?, carrier.sections(&redis.1, true)?),
            redis,
        })
    }

    /// Writes all files into `home`; `more` is added to each.
    pub(super) fn write(&self, home: &Path, more: &str) -> anyhow::Result<()> {
        let led = &self.owner.1;
        // Fronts have no other address of the database than that of the narrow role.
        let narrow = led.replacen("postgres://postgres@", &format!("postgres://{READER}@"), 1);
        anyhow::ensure!(narrow != *led, "not the owner's address: {led}");
        for (file, owner, carrier, redis) in [
            (OPERATOR, &self.owner.0, &self.carrier.0, &self.redis.0),
            ("workers.toml", led, &self.carrier.1, &self.redis.1),
            ("ingress.toml", &narrow, &self.carrier.1, &self.redis.1),
        ] {
            let reads =
                if file == "ingress.toml" { format!("reads_url = {narrow:?}\n") } else { String::new() };
            let text = format!(
                "[keys]\nfile = {:?}\n{carrier}\
                 [catalog]\nkind = \"postgres\"\nurl = {owner:?}\n\
                 [ledger]\nkind = \"postgres\"\nurl = {owner:?}\n{reads}\
                 [registry]\nkind = \"redis\"\nurl = {redis:?}\n[gate]\nkind = \"redis\"\nurl = {redis:?}\n{more}",
                home.join(KEYS).display().to_string(),
            );
            fs::write(home.join(file), text)?;
        }
        Ok(())
    }
}
