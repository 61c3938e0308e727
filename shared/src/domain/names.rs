//! Names that people choose: short, printable, safe in a URL, a log line and a file name.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// A name broke the rule for names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} must be 1 to {limit} characters, lower-case letters, digits, `-` or `_`, and begin with a letter or digit"
)]
pub struct InvalidName {
    kind: &'static str,
    limit: usize,
}

fn check(kind: &'static str, limit: usize, text: &str) -> Result<Arc<str>, InvalidName> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let fits = !text.is_empty() && text.len() <= limit;
    if fits && plain(text.as_bytes()[0]) && text.bytes().all(|b| plain(b) || b == b'-' || b == b'_') {
        Ok(Arc::from(text))
    } else {
        Err(InvalidName { kind, limit })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $limit:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                check($kind, $limit, text).map(Self)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let rest = $limit - 1;
                schemars::json_schema!({
                    "type": "string",
                    "pattern": format!("^[a-z0-9][a-z0-9_-]{{0,{rest}}}$"),
                    "minLength": 1,
                    "maxLength": $limit,
                })
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// A paying tenant, named by the operator for ever.
    CustomerId, "a customer's name", 40
);
name!(
    /// The public half of a credential: the `ID` in `ID:PW:API_KEY`.
    CredentialId, "a credential's id", 40
);
name!(
    /// Where messages of a customer and channel go.
    RouteName, "a route's name", 40
);
name!(
    /// A kind of delivery: `sms`, `lms`, `mms`, or an operator's own.
    ChannelName, "a channel's name", 32
);
name!(
    /// One listener of the topic; it has its own copy of every event.
    SubscriptionName, "a subscription's name", 40
);

name!(
    /// One of a customer's webhooks.
    WebhookName, "a webhook's name", 40
);

name!(
    /// A rule of alarms.
    AlarmName, "an alarm's name", 40
);

name!(
    /// Separates deployments of Naru that share an engine.
    Namespace, "a namespace", 40
);

name!(
    /// A class of prices, which whoever writes the bills knows: `domestic`, `ad`.
    PriceClass, "a class of prices", 32
);

impl Default for Namespace {
    fn default() -> Self {
        Self(Arc::from("main"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_lower_case_and_safe() {
        for good in ["a", "carrier-a", "0x_y", &"a".repeat(40)] {
            assert_eq!(good.parse::<RouteName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "A", "a b", "a/b", "a:b", "é", &"a".repeat(41)] {
            assert!(bad.parse::<RouteName>().is_err(), "{bad:?}");
        }
    }
}
