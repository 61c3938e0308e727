//! Routes into tables: their mapping, the tables themselves, and a role for the carrier.

use std::{fs, io::Read, str::FromStr};

use anyhow::Context;
use naru_shared::{
    domain::{Route, TableBackend, TableMapping, TableUrl, preset},
    table::{CarrierRole, MessageTable},
};
use serde::Serialize;

use crate::exit::Failure;

/// Bytes of a URL.
const URL: u64 = 4_096;

/// The name of a role in a database.
#[derive(Debug, Clone)]
pub struct RoleName(String);

impl FromStr for RoleName {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let fits = first && rest && text.len() <= 32;
        if fits { Ok(Self(text.to_owned())) } else { Err("1 to 32 lower-case letters, digits and `_`") }
    }
}

/// The carrier's role, its password if it was made just now.
#[derive(Debug, Serialize)]
pub(super) struct Carrier {
    pub(super) role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) password: Option<String>,
}

impl From<CarrierRole> for Carrier {
    fn from(role: CarrierRole) -> Self {
        Self { role: role.name, password: role.password }
    }
}

/// A backend at that address, by a mapping that comes along or lies in a file.
pub(super) fn backend(url: &str, mapping: &str) -> anyhow::Result<TableBackend> {
    let mut read = String::new();
    let url = if url == "-" {
        std::io::stdin().take(URL).read_to_string(&mut read)?;
        read.trim()
    } else {
        url
    };
    let url: TableUrl = url.parse().map_err(|error| Failure::Usage(format!("{error}")))?;
    let mapping = match preset(mapping) {
        Some(mapping) => mapping,
        None => from_file(mapping)?,
    };
    mapping.check().map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(TableBackend { url, mapping })
}

fn from_file(path: &str) -> anyhow::Result<TableMapping> {
    let text = fs::read_to_string(path).map_err(|error| {
        let known = "naru, em_tran, SC_TRAN, BIZ_MSG";
        Failure::Usage(format!(
            "`{path}` is neither a mapping that comes along ({known}) nor a file: {error}"
        ))
    })?;
    let wrong = |error: toml::de::Error| Failure::Usage(format!("{path}: {error}"));
    let mapping: TableMapping = toml::from_str(&text).map_err(wrong)?;
    // What is not known would silently be left out.
    let written: toml::Value = toml::from_str(&text).map_err(wrong)?;
    let known = toml::Value::try_from(&mapping).context("a mapping is written as TOML")?;
    match unknown(&written, &known) {
        Some(key) => Err(Failure::Usage(format!("{path}: `{key}` is not known")).into()),
        None => Ok(mapping),
    }
}

/// A key that was written and is not understood. What is empty, or as it is by itself, may be missing in what is known.
fn unknown(written: &toml::Value, known: &toml::Value) -> Option<String> {
    let (written, known) = (written.as_table()?, known.as_table()?);
    written.iter().find_map(|(key, value)| match known.get(key) {
        Some(known) => unknown(value, known).map(|inner| format!("{key}.{inner}")),
        None if is_empty(value) || key == "first_number" => None,
        None => Some(key.clone()),
    })
}

fn is_empty(value: &toml::Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_table().is_some_and(toml::Table::is_empty)
}

/// What is well for a table: many rows share a transaction, and what is there already is not inserted again.
pub(super) const fn defaults(route: &mut Route) {
    route.idempotent = true;
    route.concurrency = 1_024;
}

/// Makes what is missing.
pub(super) async fn create(
    backend: &TableBackend,
    carrier: Option<&RoleName>,
) -> anyhow::Result<Option<Carrier>> {
    let table = MessageTable::new(backend).map_err(|error| Failure::Usage(error.to_string()))?;
    let made = table.create(carrier.map(|role| role.0.as_str())).await;
    let made = made.map_err(|error| {
        Failure::Refused(format!("the table {} in {}: {error}", backend.mapping.table, backend.url))
    })?;
    Ok(made.role.map(Carrier::from))
}
