//! What commands print: tables for people, JSON for programs.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use naru_shared::hidden::is_hidden;
use serde::Serialize;

/// Where and how a command answers.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// JSON instead of tables and sentences.
    pub json: bool,
}

impl Output {
    /// Many of a kind: a table, or one array.
    ///
    /// # Errors
    /// If standard output is closed.
    pub fn rows<T: Serialize>(
        self,
        rows: &[T],
        head: &[&str],
        cells: impl Fn(&T) -> Vec<String>,
    ) -> anyhow::Result<()> {
        if self.json {
            return print(&serde_json::to_string_pretty(rows)?);
        }
        print(&table(rows, head, cells))
    }

    /// One thing: its lines, or one object.
    ///
    /// # Errors
    /// If standard output is closed.
    pub fn one(self, value: &impl Serialize, lines: &[(&str, String)]) -> anyhow::Result<()> {
        if self.json {
            return print(&serde_json::to_string_pretty(value)?);
        }
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in lines {
            print(&format!("{name:width$}  {}", plain(value)))?;
        }
        Ok(())
    }

    /// A sentence, or one object.
    ///
    /// # Errors
    /// If standard output is closed.
    pub fn said(self, value: &impl Serialize, sentence: &str) -> anyhow::Result<()> {
        if self.json { print(&serde_json::to_string_pretty(value)?) } else { print(sentence) }
    }
}

/// Many of a kind as a table.
pub fn table<T>(rows: &[T], head: &[&str], cells: impl Fn(&T) -> Vec<String>) -> String {
    if rows.is_empty() {
        return "none".to_owned();
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head);
    for row in rows {
        table.add_row(cells(row).iter().map(|cell| plain(cell)));
    }
    table.to_string()
}

/// One line, or several, to standard output.
///
/// # Errors
/// If it is closed.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// What a person should know beside the answer, on standard error.
///
/// # Errors
/// If it is closed.
pub fn note(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stderr().lock(), "naru: {text}")?)
}

/// Text without control characters and marks of direction: what customers wrote must not steer the operator's terminal, nor be
/// read in another order than it stands in.
fn plain(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// A moment's distance, in the largest unit that says enough.
#[must_use]
pub fn age(span: std::time::Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_neither_steers_the_terminal_nor_turns_its_direction() {
        assert_eq!(plain("a\u{1b}[2Jb\r\nc"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c");
        assert_eq!(
            plain("paid \u{202e}0001\u{202c} to \u{2067}x\u{2069}"),
            "paid \u{fffd}0001\u{fffd} to \u{fffd}x\u{fffd}"
        );
        assert_eq!(plain("안녕 😀 é"), "안녕 😀 é");
    }
}
