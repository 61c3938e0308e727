//! Lists of opt-outs as CSV (RFC 4180), of fields that hold no line breaks.

use std::io::{BufRead, Read};

use naru_shared::{
    domain::{ChannelName, CustomerId, Timestamp},
    ledger::OptOut,
};

/// The first line.
pub(super) const HEAD: &str = "customer,channel,recipient,since";

/// Bytes of a line.
const LINE: u64 = 1_024;

/// What a spreadsheet takes for the beginning of a formula, where more than a number follows.
const FORMULA: [char; 5] = ['=', '+', '-', '@', '\t'];

/// A line cannot be understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum CsvError {
    /// What stands in it.
    #[error("line {0}: {1}")]
    Line(u64, String),
    /// The file.
    #[error("line {0} cannot be read")]
    Read(u64, #[source] std::io::Error),
}

/// An entry as a line.
pub(super) fn line(entry: &OptOut) -> String {
    let customer = entry.customer.as_ref().map_or("*", CustomerId::as_str);
    let channel = entry.channel.as_ref().map_or("*", ChannelName::as_str);
    format!("{customer},{channel},{},{}", field(entry.recipient.as_str()), entry.since)
}

fn field(text: &str) -> String {
    let number = text.strip_prefix('+').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    let guard = if !number && text.starts_with(FORMULA) { "'" } else { "" };
    if text.contains([',', '"']) {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{guard}{text}")
    }
}

/// The fields of a line; `None` if its quotes do not match.
fn fields(line: &str) -> Option<Vec<String>> {
    let (mut fields, mut rest) = (Vec::new(), line);
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

/// What stands until the closing quote, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let (mut field, mut rest) = (String::new(), text);
    loop {
        let end = rest.find('"')?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, rest)),
        }
    }
}

/// Where the columns are.
struct Columns {
    customer: usize,
    channel: Option<usize>,
    recipient: usize,
    since: Option<usize>,
    count: usize,
}

/// Entries, line by line.
pub(super) struct Entries<R> {
    lines: R,
    number: u64,
    columns: Columns,
    now: Timestamp,
}

impl<R: BufRead> Entries<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// If it does not name the columns.
    pub(super) fn begin(mut lines: R, now: Timestamp) -> Result<Self, CsvError> {
        let head = next_line(&mut lines, 1)?.unwrap_or_default();
        let head = head.strip_prefix('\u{feff}').unwrap_or(&head).to_owned();
        let wrong = |what: &str| CsvError::Line(1, format!("{what}; the first line is {HEAD}"));
        let names = fields(&head).ok_or_else(|| wrong("quotes do not match"))?;
        let names = if head.trim().is_empty() { Vec::new() } else { names };
        let find = |wanted: &str| names.iter().position(|name| name.trim() == wanted);
        if let Some(other) = names.iter().find(|name| !HEAD.split(',').any(|known| known == name.trim())) {
            return Err(wrong(&format!("the column `{other}` is not known")));
        }
        if let Some(twice) = names
            .iter()
            .enumerate()
            .find(|(at, name)| names[..*at].iter().any(|other| other.trim() == name.trim()))
        {
            return Err(wrong(&format!("the column `{}` stands there twice", twice.1.trim())));
        }
        let columns = Columns {
            customer: find("customer").ok_or_else(|| wrong("there is no column `customer`"))?,
            channel: find("channel"),
            recipient: find("recipient").ok_or_else(|| wrong("there is no column `recipient`"))?,
            since: find("since"),
            count: names.len(),
        };
        Ok(Self { lines, number: 1, columns, now })
    }

    fn entry(&self, line: &str) -> Result<OptOut, String> {
        let fields = fields(line).ok_or("quotes do not match")?;
        if fields.len() != self.columns.count {
            return Err(format!("{} fields, and the first line names {}", fields.len(), self.columns.count));
        }
        let field = |at: usize| fields.get(at).map_or("", |field| field.trim());
        let named = |at: usize| Some(field(at)).filter(|name| *name != "*");
        let customer = named(self.columns.customer).map(str::parse::<CustomerId>).transpose();
        let channel = self.columns.channel.and_then(named).map(str::parse::<ChannelName>).transpose();
        let recipient = field(self.columns.recipient);
        let bare = recipient.strip_prefix('\'').filter(|rest| rest.starts_with(FORMULA)).unwrap_or(recipient);
        if is_rounded(bare) {
            return Err(format!(
                "`{bare}` is a number that a spreadsheet has rounded: keep the column as text"
            ));
        }
        let since = match self.columns.since.map(field).filter(|since| !since.is_empty()) {
            Some(text) => {
                text.parse().map_err(|_| format!("`{text}` is no time such as 2026-11-25T09:00:00Z"))?
            }
            None => self.now,
        };
        Ok(OptOut {
            customer: customer.map_err(|error| error.to_string())?,
            channel: channel.map_err(|error| error.to_string())?,
            recipient: bare.parse().map_err(|error| format!("the recipient: {error}"))?,
            since,
        })
    }
}

/// Whether a spreadsheet has made a number of it (`8.21011E+11`), which is nobody's any more.
fn is_rounded(text: &str) -> bool {
    let Some((digits, exponent)) = text.split_once(['E', 'e']) else { return false };
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    are_digits(whole) && are_digits(part) && are_digits(exponent)
}

/// A line without its end; `None` after the last.
fn next_line<R: BufRead>(lines: &mut R, number: u64) -> Result<Option<String>, CsvError> {
    let mut line = String::new();
    let read = lines.take(LINE).read_line(&mut line).map_err(|error| CsvError::Read(number, error))?;
    if read == 0 {
        return Ok(None);
    }
    if read as u64 == LINE && !line.ends_with('\n') {
        return Err(CsvError::Line(number, format!("longer than {LINE} bytes")));
    }
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

impl<R: BufRead> Iterator for Entries<R> {
    type Item = Result<OptOut, CsvError>;
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.number += 1;
            match next_line(&mut self.lines, self.number) {
                Ok(Some(line)) if line.trim().is_empty() => {}
                Ok(Some(line)) => {
                    return Some(self.entry(&line).map_err(|what| CsvError::Line(self.number, what)));
                }
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_763_802_000_000);

    fn read(text: &str) -> Result<Vec<OptOut>, String> {
        Entries::begin(text.as_bytes(), NOW)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let entry = |customer: Option<&str>, channel: Option<&str>, recipient: &str| OptOut {
            customer: customer.map(|name| name.parse().unwrap()),
            channel: channel.map(|name| name.parse().unwrap()),
            recipient: recipient.parse().unwrap(),
            since: NOW,
        };
        let all = [
            entry(Some("acme"), None, "010-1234-5678"),
            entry(None, Some("sms"), "+12025550123"),
            entry(Some("acme"), Some("push"), "a \"token\", quoted"),
            entry(Some("acme"), Some("push"), "=cmd|' /C calc'!A0"),
            entry(Some("acme"), Some("push"), "@a,b"),
        ];
        let lines: Vec<String> = all.iter().map(line).collect();
        assert_eq!(lines[0], "acme,*,+821012345678,2025-11-22T09:00:00.000Z");
        assert!(lines[3].contains(",'=cmd") && lines[4].contains(",\"'@a,b\","), "{lines:?}");
        let text = format!("{HEAD}\r\n{}\r\n", lines.join("\r\n"));
        assert_eq!(read(&text).unwrap(), all);
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        assert!(read("recipient,customer\n01012345678,acme\n").is_ok());
        for (text, told) in [
            ("", "line 1: there is no column `customer`"),
            ("customer,recipient,colour\n", "line 1: the column `colour` is not known"),
            ("customer,recipient\nacme,1,2\n", "line 2: 3 fields"),
            ("customer,recipient\nacme,01012345678\n\nACME,1\n", "line 4: a customer's name"),
            ("customer,recipient\nacme,\n", "line 2: the recipient"),
            ("customer,recipient\n\"acme,1\n", "line 2: quotes"),
            ("customer,recipient,since\nacme,1,yesterday\n", "line 2: `yesterday` is no time"),
            ("customer,recipient,recipient\n", "line 1: the column `recipient` stands there twice"),
            (
                "customer,recipient\nacme,8.21011E+11\n",
                "line 2: `8.21011E+11` is a number that a spreadsheet has rounded",
            ),
            ("customer,recipient\nacme,8E11\n", "line 2: `8E11` is a number"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(told), "{text:?}: {error}");
        }
        let long = format!("customer,recipient\nacme,{}\n", "1".repeat(2_000));
        assert!(read(&long).unwrap_err().contains("longer than"));
    }
}
