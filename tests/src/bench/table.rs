//! The figures as a Markdown table.

use std::fmt::{self, Display, Formatter};

/// One line of the table.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// What was measured.
    pub what: String,
    /// The figure.
    pub figure: String,
    /// What it is to be, and whether it is; `None` for what is only told.
    pub goal: Option<(String, bool)>,
}

/// All lines, and the machine they come from.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub(super) rows: Vec<Row>,
}

impl Table {
    pub(crate) fn tell(&mut self, what: &str, figure: String) {
        self.rows.push(Row { what: what.to_owned(), figure, goal: None });
    }

    pub(crate) fn judge(&mut self, what: &str, figure: String, goal: &str, met: bool) {
        self.rows.push(Row { what: what.to_owned(), figure, goal: Some((goal.to_owned(), met)) });
    }

    /// The lines whose goal was not reached.
    #[must_use]
    pub fn missed(&self) -> usize {
        self.rows.iter().filter(|row| row.goal.as_ref().is_some_and(|(_, met)| !met)).count()
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | measured | goal | |\n|---|---|---|---|")?;
        for row in &self.rows {
            let (goal, met) = row
                .goal
                .as_ref()
                .map_or(("", ""), |(goal, met)| (goal.as_str(), if *met { "reached" } else { "**missed**" }));
            writeln!(f, "| {} | {} | {goal} | {met} |", row.what, row.figure)?;
        }
        Ok(())
    }
}
