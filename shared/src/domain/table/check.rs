//! What a mapping must be before statements are made of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{TableKey, TableMapping};

/// A mapping cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the mapping `{name}`: {why}")]
pub struct InvalidMapping {
    name: String,
    why: String,
}

/// The longest name of a table, so that there is room for the names of those beside it.
const NAME: usize = 48;

impl TableMapping {
    /// Whether it can be used. Names go into statements as they are: they are letters, digits and `_`, a table's with one `.` for
    /// its schema.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), InvalidMapping> {
        let wrong = |why: String| Err(InvalidMapping { name: self.name.clone(), why });
        if !is_table(&self.table) {
            return wrong(format!("`{}` is not the name of a table", self.table));
        }
        if let Some(log) = &self.log
            && (!log.contains("%Y") || !log.contains("%m") || !is_table(&log_name(log, 1970, 1)))
        {
            return wrong(format!("`{log}` is not the name of log tables with %Y and %m"));
        }
        if let Some(bad) = self.names().find(|name| !is_name(name)) {
            return wrong(format!("`{bad}` is not the name of a column"));
        }
        if let Some(twice) = self.written_twice() {
            return wrong(format!("the column `{twice}` would be written twice"));
        }
        let columns = &self.columns;
        if columns.report_rev.is_some() != columns.collected_rev.is_some() {
            return wrong("report_rev and collected_rev belong together".to_owned());
        }
        if self.key == TableKey::Number && (columns.report_rev.is_some() || columns.withdrawn_at.is_some()) {
            return wrong(
                "a table whose keys are numbers has neither collected_rev nor withdrawn_at".to_owned(),
            );
        }
        if self.final_states().is_empty() {
            return wrong("no state says that something became of a message".to_owned());
        }
        if self.final_states().contains(&self.status.ready.as_str()) {
            return wrong("a state that is ready cannot be final".to_owned());
        }
        if !self.status.reported.is_empty() && columns.result.is_none() {
            return wrong("states that are `reported` need a column for the result".to_owned());
        }
        if self
            .national
            .as_ref()
            .is_some_and(|code| code.is_empty() || !code.bytes().all(|b| b.is_ascii_digit()))
        {
            return wrong("`national` is the digits of a country code".to_owned());
        }
        let known = ["{time}", "{text}", "{now}"];
        for line in &self.definition {
            let plain = known.iter().fold(line.clone(), |line, word| line.replace(word, ""));
            if plain.contains([';', '{', '}', '\\']) || plain.contains("--") || plain.contains("/*") {
                return wrong(format!("`{line}` does not define a column"));
            }
        }
        Ok(())
    }

    /// The names of all columns that it speaks of.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let c = &self.columns;
        let must = [&c.key, &c.status, &c.recipient, &c.body];
        let may = [
            &c.id,
            &c.channel,
            &c.sender,
            &c.subject,
            &c.attachments,
            &c.data,
            &c.lane,
            &c.send_at,
            &c.opens_at,
            &c.expires_at,
            &c.created_at,
            &c.withdrawn_at,
            &c.collected_rev,
            &c.report_rev,
            &c.gateway_id,
            &c.result,
            &c.result_text,
            &c.reported_at,
        ];
        let more = self.fixed.keys().chain(self.channel.values().flat_map(|fixed| fixed.keys()));
        let more = more.chain(&self.carrier);
        must.into_iter().chain(may.into_iter().flatten()).chain(more).map(String::as_str)
    }

    /// A column that two things would be written into. Databases take letters of both cases for the same.
    fn written_twice(&self) -> Option<&str> {
        let c = &self.columns;
        let must = [&c.key, &c.status, &c.recipient, &c.body];
        let may = [
            &c.id,
            &c.channel,
            &c.sender,
            &c.subject,
            &c.attachments,
            &c.data,
            &c.lane,
            &c.send_at,
            &c.opens_at,
            &c.expires_at,
            &c.created_at,
            &c.withdrawn_at,
            &c.collected_rev,
            // What is taken back is compared with it.
            &c.report_rev,
        ];
        let mut seen = BTreeSet::new();
        let named = must.into_iter().chain(may.into_iter().flatten());
        if let Some(twice) = named.into_iter().find(|name| !seen.insert(name.to_ascii_lowercase())) {
            return Some(twice);
        }
        // One that is fixed for all may be fixed otherwise for a channel.
        let fixed = self.fixed.keys().chain(self.channel.values().flat_map(BTreeMap::keys));
        fixed.into_iter().find(|name| seen.contains(&name.to_ascii_lowercase())).map(String::as_str)
    }

    /// The log table of a month.
    #[must_use]
    pub fn log_of(&self, year: i16, month: i8) -> Option<String> {
        self.log.as_deref().map(|pattern| log_name(pattern, year, month))
    }
}

fn log_name(pattern: &str, year: i16, month: i8) -> String {
    pattern.replace("%Y", &format!("{year:04}")).replace("%m", &format!("{month:02}"))
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && name.len() <= NAME && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_table(name: &str) -> bool {
    match name.split_once('.') {
        Some((schema, table)) => is_name(schema) && is_name(table),
        None => is_name(name),
    }
}
