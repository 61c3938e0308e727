//! Texts with fields: `Dear {data.name}, {body}`. `{{` and `}}` are braces.
//!
//! There is nothing else: no conditions, no loops, no expressions. A template makes a value, and whoever puts the value into a
//! request (JSON, a form, a query, a path, a header) writes it as that place asks for, so that no field can be more than a value.
//!
//! A template that is one field and nothing else gives what the field is: a number stays one, and where the message has none,
//! what would hold it is left out. Among other text a field that the message lacks is empty. `{sender!}` must be there. After a
//! bar stands how it is written: `{recipient|digits}`.

use std::fmt;

use serde_json::Value;

/// What finds the value of a field; `None` if the message has none.
pub(super) type Find<'a> = dyn Fn(&str) -> Option<Value> + 'a;

/// A text with fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    name: String,
    required: bool,
    written: Written,
}

/// How a field is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Written {
    AsItIs,
    /// A number as text.
    Text,
    /// Only its digits: `+82 10-1234` is `82101234`.
    Digits,
    /// As it is dialled inside the country with this code: `+82101234` is `0101234`.
    National(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace stands alone.
    #[error("`{0}`: a brace stands alone; {{{{ and }}}} are written for braces")]
    Brace(String),
    /// There is no such field here.
    #[error("`{0}` is not a field; known are {1}")]
    Unknown(String, String),
    /// There is no such way to write a field.
    #[error("`{0}` is not a way to write a field; known are text, digits, national:CODE")]
    Written(String),
}

/// A field that must be there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the message has no `{0}`")]
pub(crate) struct Lacking(pub(crate) String);

/// The fields that a place knows.
pub(super) struct Vocabulary {
    /// Whole names.
    pub(super) names: &'static [&'static str],
    /// What begins names that are the operator's own, such as `data.`.
    pub(super) prefixes: Vec<String>,
    /// Names that are there because the description says so.
    pub(super) more: Vec<String>,
}

impl Vocabulary {
    fn knows(&self, name: &str) -> bool {
        let own = |prefix: &String| name.strip_prefix(prefix.as_str()).is_some_and(|rest| !rest.is_empty());
        self.names.contains(&name) || self.more.iter().any(|m| m == name) || self.prefixes.iter().any(own)
    }
}

impl fmt::Display for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.prefixes.iter().map(|prefix| format!("{prefix}NAME"));
        let all =
            self.names.iter().map(|name| (*name).to_owned()).chain(own).chain(self.more.iter().cloned());
        f.write_str(&all.collect::<Vec<_>>().join(", "))
    }
}

impl Template {
    /// Reads a template whose fields are all known.
    pub(super) fn parse(text: &str, known: &Vocabulary) -> Result<Self, TemplateError> {
        let alone = || TemplateError::Brace(text.to_owned());
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let from = &rest[at..];
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.push_str(&from[..1]);
                rest = after;
                continue;
            }
            let inner = from.strip_prefix('{').ok_or_else(alone)?;
            let (field, after) = inner.split_once('}').ok_or_else(alone)?;
            if field.contains('{') {
                return Err(alone());
            }
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Field(Field::parse(field, known)?));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// Whether it has no field.
    pub(super) fn is_plain(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// What it comes to, as JSON has it; `None`: it is one field, which is not there.
    pub(super) fn value(&self, find: &Find<'_>) -> Result<Option<Value>, Lacking> {
        if let [Part::Field(field)] = self.0.as_slice() {
            return field.value(find);
        }
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Field(field) => {
                    text.push_str(&field.value(find)?.map(|value| as_text(&value)).unwrap_or_default());
                }
            }
        }
        Ok(Some(Value::String(text)))
    }

    /// What it comes to, as text; `None`: it is one field, which is not there.
    pub(super) fn text(&self, find: &Find<'_>) -> Result<Option<String>, Lacking> {
        Ok(self.value(find)?.map(|value| as_text(&value)))
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

impl Field {
    fn parse(text: &str, known: &Vocabulary) -> Result<Self, TemplateError> {
        let (name, written) = text.split_once('|').map_or((text, None), |(name, how)| (name, Some(how)));
        let (name, required) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
        if !known.knows(name) {
            return Err(TemplateError::Unknown(name.to_owned(), known.to_string()));
        }
        let written = match written {
            None => Written::AsItIs,
            Some("text") => Written::Text,
            Some("digits") => Written::Digits,
            Some(how) => {
                let code = how.strip_prefix("national:");
                let code =
                    code.filter(|c| (1..=3).contains(&c.len()) && c.bytes().all(|b| b.is_ascii_digit()));
                Written::National(code.ok_or_else(|| TemplateError::Written(how.to_owned()))?.to_owned())
            }
        };
        Ok(Self { name: name.to_owned(), required, written })
    }

    fn value(&self, find: &Find<'_>) -> Result<Option<Value>, Lacking> {
        match find(&self.name).filter(|value| !value.is_null()) {
            Some(value) => Ok(Some(self.written.of(value))),
            None if self.required => Err(Lacking(self.name.clone())),
            None => Ok(None),
        }
    }
}

impl Written {
    fn of(&self, value: Value) -> Value {
        let text = match self {
            Self::AsItIs => return value,
            Self::Text => as_text(&value),
            Self::Digits => as_text(&value).chars().filter(char::is_ascii_digit).collect(),
            Self::National(code) => {
                let text = as_text(&value);
                let inside = text.strip_prefix('+').and_then(|number| number.strip_prefix(code.as_str()));
                inside.map_or_else(|| text.clone(), |rest| format!("0{rest}"))
            }
        };
        Value::String(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use serde_json::json;

    use super::*;

    fn known() -> Vocabulary {
        Vocabulary {
            names: &["body", "sender", "attempt", "recipient"],
            prefixes: vec!["data.".to_owned()],
            more: vec!["secret.key".to_owned()],
        }
    }

    fn find(name: &str) -> Option<Value> {
        match name {
            "body" => Some(json!("{sender} \"x\"")),
            "attempt" => Some(json!(2)),
            "recipient" => Some(json!("+821012345678")),
            "data.list" => Some(json!([1, "a"])),
            _ => None,
        }
    }

    fn made(text: &str) -> Option<Value> {
        Template::parse(text, &known()).unwrap().value(&find).unwrap()
    }

    #[test]
    fn one_field_alone_stays_what_it_is_and_is_left_out_where_it_is_not_there() {
        assert_eq!(made("{attempt}"), Some(json!(2)));
        assert_eq!(made("{attempt|text}"), Some(json!("2")));
        assert_eq!(made("{data.list}"), Some(json!([1, "a"])));
        assert_eq!(made("{sender}"), None);
        assert_eq!(made("[{sender}]"), Some(json!("[]")));
        assert_eq!(made(""), Some(json!("")));
    }

    #[test]
    fn what_a_field_holds_is_never_read_as_a_template() {
        assert_eq!(made("{body}"), Some(json!("{sender} \"x\"")));
        assert_eq!(made("a{body}b"), Some(json!("a{sender} \"x\"b")));
    }

    #[test]
    fn braces_are_doubled_and_numbers_are_written_as_asked() {
        assert_eq!(made("{{{attempt}}}"), Some(json!("{2}")));
        assert_eq!(made("{recipient|digits}"), Some(json!("821012345678")));
        assert_eq!(made("{recipient|national:82}"), Some(json!("01012345678")));
        assert_eq!(made("{recipient|national:81}"), Some(json!("+821012345678")));
    }

    #[test]
    fn what_is_not_known_is_refused_and_what_must_be_there_is_missed() {
        for text in ["{nobody}", "{}", "{data.}", "{secret.other}", "{ body}", "{body!!}"] {
            assert!(matches!(Template::parse(text, &known()), Err(TemplateError::Unknown(..))), "{text}");
        }
        for text in ["{", "}", "{body", "body}", "{{body}", "{body{", "{bo{dy}}"] {
            assert!(matches!(Template::parse(text, &known()), Err(TemplateError::Brace(_))), "{text}");
        }
        for text in ["{body|upper}", "{body|}", "{body|national:}", "{body|national:+82}"] {
            assert!(matches!(Template::parse(text, &known()), Err(TemplateError::Written(_))), "{text}");
        }
        let must = Template::parse("a {sender!}", &known()).unwrap();
        assert_eq!(must.value(&find), Err(Lacking("sender".to_owned())));
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_refused_and_plain_text_comes_out_as_it_is(text in any::<String>()) {
            let doubled = text.replace('{', "{{").replace('}', "}}");
            assert_eq!(made(&doubled), Some(Value::String(text.clone())));
            drop(Template::parse(&text, &known()));
        }

        #[test]
        fn a_value_comes_out_as_it_went_in_whatever_it_is(value in any::<String>()) {
            let template = Template::parse("<{body}>", &known()).unwrap();
            let made = template.value(&|_| Some(Value::String(value.clone()))).unwrap();
            assert_eq!(made, Some(Value::String(format!("<{value}>"))));
        }
    }
}
