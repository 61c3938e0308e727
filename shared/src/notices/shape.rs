//! From the body of a provider's call to notices. What cannot be understood is counted and never guessed.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::InvalidCallback;
use crate::domain::{BackendKey, Notice, PACK_NOTICES, Said};

/// The longest id of a provider's that is kept.
const ID_BYTES: usize = 255;

/// The longest sentence of a report.
const DETAIL_CHARS: usize = 200;

/// The most fields of a form.
const FIELDS: usize = 200;

/// Where a report says what: JSON Pointers (RFC 6901) into one report. A form is an object of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Where the list of reports stands; none given: the body is one report, or a list of them.
    pub list: Option<String>,
    /// Where the provider's id stands.
    pub id: Option<String>,
    /// Where our own id stands, which the provider was given and gives back.
    pub message: Option<String>,
    /// Where it says what became of the message.
    pub status: String,
    /// Where the provider's code stands.
    pub code: Option<String>,
    /// Where the provider's words stand.
    pub detail: Option<String>,
    /// Where it says when.
    pub time: Option<String>,
    /// Which values of `status` say that it arrived.
    pub delivered: Vec<Value>,
    /// Which say that it did not, and will not.
    pub failed: Vec<Value>,
    /// Which say that it is under way: they change nothing.
    pub waiting: Vec<Value>,
}

impl Default for Shape {
    /// Of a route without a description.
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| Value::from(*word)).collect();
        Self {
            list: None,
            id: None,
            message: Some("/id".to_owned()),
            status: "/status".to_owned(),
            code: Some("/code".to_owned()),
            detail: Some("/detail".to_owned()),
            time: Some("/time".to_owned()),
            delivered: words(&["delivered"]),
            failed: words(&["failed"]),
            waiting: words(&["queued", "sending", "sent"]),
        }
    }
}

/// What was read of a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Read {
    /// Ends that were told.
    pub notices: Vec<Notice>,
    /// Reports that say that their message is under way.
    pub waiting: usize,
    /// Reports that could not be understood: without an id, or with a status that is not known.
    pub unread: usize,
}

/// Why nothing could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is no JSON, or no form.
    #[error("the body is neither JSON nor a form that can be read")]
    Body,
    /// There is no list where one was expected.
    #[error("there are no reports where they are expected")]
    NoList,
    /// There are too many.
    #[error("a call has at most {PACK_NOTICES} reports")]
    TooMany,
    /// No report in it could be understood.
    #[error("no report in it has an id and a status that is known")]
    Nothing,
}

impl Shape {
    /// Whether it can mean anything.
    ///
    /// # Errors
    /// What cannot.
    pub fn check(&self) -> Result<(), InvalidCallback> {
        let wrong = |why: &str| Err(InvalidCallback(why.to_owned()));
        let given = [&self.list, &self.id, &self.message, &self.code, &self.detail, &self.time];
        let pointers = given.into_iter().flatten().chain([&self.status]);
        for pointer in pointers {
            let escaped =
                |(at, _): (usize, &str)| matches!(pointer.as_bytes().get(at + 1), Some(b'0' | b'1'));
            if !(pointer.is_empty() || pointer.starts_with('/')) || !pointer.match_indices('~').all(escaped) {
                return Err(InvalidCallback(format!("`{pointer}` is no JSON Pointer, such as /data/id")));
            }
        }
        if self.id.is_none() && self.message.is_none() {
            return wrong("a report must name its message: by `id`, by `message`, or by both");
        }
        if self.delivered.is_empty() {
            return wrong("`delivered` says which values mean that a message arrived");
        }
        let all: Vec<&Value> = self.delivered.iter().chain(&self.failed).chain(&self.waiting).collect();
        if all.iter().any(|value| value.is_array() || value.is_object() || value.is_null()) {
            return wrong("a status is a text, a number or a truth value");
        }
        // As they are compared with what a provider tells: 0 and "0" are one.
        let words: Vec<_> = all.iter().map(|value| scalar(value)).collect();
        if words.iter().enumerate().any(|(at, word)| words[..at].contains(word)) {
            return wrong("a status means one thing");
        }
        Ok(())
    }

    /// Reads a body; `form` says how it is written.
    ///
    /// # Errors
    /// If nothing can be read of it.
    pub fn read(&self, body: &[u8], form: bool) -> Result<Read, Unreadable> {
        let value = if form { parse_form(body)? } else { parse_json(body)? };
        let found = match &self.list {
            Some(pointer) => value.pointer(pointer).ok_or(Unreadable::NoList)?,
            None => &value,
        };
        let one = [found];
        let reports: Vec<&Value> = match found {
            Value::Array(list) => list.iter().collect(),
            Value::Object(_) => one.to_vec(),
            _ => return Err(Unreadable::NoList),
        };
        if reports.len() > PACK_NOTICES {
            return Err(Unreadable::TooMany);
        }
        let mut read = Read::default();
        for report in &reports {
            self.one(report, &mut read);
        }
        if read.unread > 0 && read.unread == reports.len() { Err(Unreadable::Nothing) } else { Ok(read) }
    }

    fn one(&self, report: &Value, read: &mut Read) {
        let text = |pointer: &Option<String>| pointer.as_deref().and_then(|at| text(report, at));
        let backend_id = text(&self.id).filter(|id| is_id(id));
        let key = text(&self.message).and_then(|key| BackendKey::read(&key));
        let status = report.pointer(&self.status);
        let says = |values: &[Value]| {
            status.is_some_and(|status| {
                let word = scalar(status);
                values.iter().any(|value| value == status || (word.is_some() && scalar(value) == word))
            })
        };
        let said = if says(&self.delivered) {
            Some(Said::Delivered)
        } else if says(&self.failed) {
            Some(Said::Failed)
        } else {
            None
        };
        if backend_id.is_none() && key.is_none() {
            read.unread += 1;
        } else if let Some(said) = said {
            let word = status.and_then(scalar).unwrap_or_default();
            let code = text(&self.code).map(|code| format!(", code {code}")).unwrap_or_default();
            let at = text(&self.time).map(|time| format!(", at {time}")).unwrap_or_default();
            let words = text(&self.detail).map(|words| format!(": {words}")).unwrap_or_default();
            let detail = line(&format!("reported {word}{code}{at}{words}"));
            let (message, time) = (key.map(|key| key.message), key.map_or(0, |key| key.time));
            read.notices.push(Notice { backend_id, message, time, said, detail });
        } else if says(&self.waiting) {
            read.waiting += 1;
        } else {
            read.unread += 1;
        }
    }
}

fn parse_json(body: &[u8]) -> Result<Value, Unreadable> {
    serde_json::from_slice(body).map_err(|_| Unreadable::Body)
}

/// A form (application/x-www-form-urlencoded) as an object; of a field that stands twice the first counts.
fn parse_form(body: &[u8]) -> Result<Value, Unreadable> {
    let mut fields = Map::new();
    for (count, (name, value)) in url::form_urlencoded::parse(body).enumerate() {
        if count >= FIELDS {
            return Err(Unreadable::Body);
        }
        fields.entry(name.into_owned()).or_insert_with(|| Value::String(value.into_owned()));
    }
    if fields.is_empty() { Err(Unreadable::Body) } else { Ok(Value::Object(fields)) }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn text(report: &Value, pointer: &str) -> Option<String> {
    report.pointer(pointer).and_then(scalar).filter(|text| !text.is_empty())
}

/// Whether stores can keep it and people can read it.
pub(crate) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= ID_BYTES && !text.chars().any(char::is_control)
}

/// One line; what a person could not read is escaped, quotation marks are left as they are.
pub(crate) fn line(text: &str) -> String {
    let mut line = String::new();
    for one in text.chars().take(DETAIL_CHARS) {
        match one {
            '\'' | '"' | '\\' => line.push(one),
            other => line.extend(other.escape_debug()),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;
    use crate::domain::MessageId;

    /// As Twilio documents its status callbacks: form fields, `MessageSid`, `MessageStatus`, `ErrorCode`.
    fn twilio() -> Shape {
        toml::from_str(
            r#"
            id = "/MessageSid"
            status = "/MessageStatus"
            code = "/ErrorCode"
            delivered = ["delivered", "read"]
            failed = ["failed", "undelivered", "canceled"]
            waiting = ["accepted", "scheduled", "queued", "sending", "sent"]
            "#,
        )
        .unwrap()
    }

    #[test]
    fn a_form_is_read_as_an_object_of_texts() {
        let body = b"AccountSid=AC1&MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30003&To=%2B1501";
        let read = twilio().read(body, true).unwrap();
        let detail = "reported undelivered, code 30003".to_owned();
        let backend_id = Some("SM1".into());
        let notice = Notice { backend_id, message: None, time: 0, said: Said::Failed, detail };
        assert_eq!(read, Read { notices: vec![notice], waiting: 0, unread: 0 });
        let waiting = twilio().read(b"MessageSid=SM1&MessageStatus=sent", true).unwrap();
        assert_eq!(waiting, Read { waiting: 1, ..Read::default() });
    }

    #[test]
    fn a_list_is_read_report_by_report_and_what_is_not_understood_is_counted() {
        let shape: Shape = toml::from_str(
            "list = \"/data/reports\"\nid = \"/id\"\nmessage = \"/ref\"\nstatus = \"/s\"\ndelivered = [0]\nfailed = [1, 2]\nwaiting = [9]",
        )
        .unwrap();
        shape.check().unwrap();
        let body = br#"{"data":{"reports":[{"id":7,"s":0},{"id":"a","s":2},{"id":"b","s":9},{"id":"c","s":77},{"s":0},
            {"ref":"msg_01jd0000000000000000000000","s":0},"x"]}}"#;
        let read = shape.read(body, false).unwrap();
        let ids: Vec<_> = read.notices.iter().map(|n| (n.backend_id.as_deref(), n.said)).collect();
        assert_eq!(ids, [(Some("7"), Said::Delivered), (Some("a"), Said::Failed), (None, Said::Delivered)]);
        assert_eq!((read.waiting, read.unread), (1, 3));
    }

    #[test]
    fn a_message_is_named_by_its_id_or_by_the_key_that_a_later_time_gave_it() {
        let id = MessageId::from_bytes([7; 16]);
        for (name, time) in [(format!("{id}"), 0), (format!("{id}.r3"), 3)] {
            let body = format!(r#"{{"id":"{name}","status":"delivered"}}"#);
            let read = Shape::default().read(body.as_bytes(), false).unwrap();
            assert_eq!((read.notices[0].message, read.notices[0].time), (Some(id), time), "{name}");
        }
    }

    #[test]
    fn what_says_nothing_is_refused() {
        let shape = Shape::default();
        for (body, why) in [
            ("", Unreadable::Body),
            ("<xml>", Unreadable::Body),
            ("7", Unreadable::NoList),
            ("{}", Unreadable::Nothing),
            (r#"{"id":"msg_1","status":"delivered"}"#, Unreadable::Nothing),
            (r#"[{"status":"delivered"}]"#, Unreadable::Nothing),
        ] {
            assert_eq!(shape.read(body.as_bytes(), false), Err(why), "{body}");
        }
        assert_eq!(shape.read(b"[]", false), Ok(Read::default()), "nothing to tell is nothing wrong");
        let many = format!("[{}]", vec!["{}"; PACK_NOTICES + 1].join(","));
        assert_eq!(shape.read(many.as_bytes(), false), Err(Unreadable::TooMany));
    }

    #[test]
    fn a_shape_that_could_not_mean_what_it_says_is_refused() {
        assert_eq!(Shape::default().check(), Ok(()));
        assert_eq!(twilio().check(), Ok(()));
        for wrong in [
            Shape { status: "status".into(), ..twilio() },
            Shape { id: Some("/a~2".into()), ..twilio() },
            Shape { id: None, message: None, ..twilio() },
            Shape { delivered: Vec::new(), ..twilio() },
            Shape { failed: vec!["delivered".into()], ..twilio() },
            Shape { delivered: vec!["0".into()], failed: vec![0.into()], ..twilio() },
            Shape { delivered: vec![true.into()], failed: vec!["true".into()], ..twilio() },
            Shape { failed: vec![Value::Null], ..twilio() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        assert!(toml::from_str::<Shape>("stat = \"/a\"").is_err());
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in any::<Vec<u8>>(), form in any::<bool>()) {
            for shape in [Shape::default(), twilio()] {
                if let Ok(read) = shape.read(&body, form) {
                    assert!(read.notices.len() <= PACK_NOTICES);
                }
            }
        }
    }
}
