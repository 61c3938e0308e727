//! The first start: what a deployment begins with, and lines to try it with.

use std::{fmt::Write, net::SocketAddr, path::PathBuf};

use naru_shared::{
    catalog::Entry,
    domain::{
        Assignment, BackendConfig, Customer, CustomerId, Environment, Route, SimulatorBackend, Timestamp,
    },
    keys::Keyring,
};

use crate::{secrets::NewBasic, verbs::customer::default_rate};

/// The route of every customer's sandbox messages.
pub const SANDBOX: &str = "sandbox";

/// Customer, route and the beginning of the credentials' names.
const DEMO: &str = "demo";

/// What was made for a person to try.
pub struct Demo {
    live: NewBasic,
    sandbox: NewBasic,
}

/// The route that every deployment begins with.
///
/// # Errors
/// Never, unless a built-in name breaks the rule for names.
pub fn sandbox() -> anyhow::Result<Entry> {
    let simulator = BackendConfig::Simulator(SimulatorBackend {});
    Ok(Entry::Route(Route::new(SANDBOX.parse()?, Environment::Sandbox, simulator)))
}

/// Somebody to try it as.
///
/// # Errors
/// Never, unless a built-in name breaks the rule for names.
pub fn demo(keyring: &Keyring, now: Timestamp) -> anyhow::Result<(Vec<Entry>, Demo)> {
    let customer: CustomerId = DEMO.parse()?;
    let credential = |environment: Environment| -> anyhow::Result<NewBasic> {
        let id = format!("{DEMO}-{}", environment.as_str()).parse()?;
        Ok(NewBasic::make(keyring, id, customer.clone(), environment, now))
    };
    let demo = Demo { live: credential(Environment::Live)?, sandbox: credential(Environment::Sandbox)? };
    let simulator = BackendConfig::Simulator(SimulatorBackend {});
    let entries = vec![
        Entry::Customer(Customer {
            title: "Demo".to_owned(),
            rates: vec![default_rate()],
            ..Customer::new(customer.clone())
        }),
        Entry::Credential(demo.live.credential.clone()),
        Entry::Credential(demo.sandbox.credential.clone()),
        Entry::Route(Route::new(DEMO.parse()?, Environment::Live, simulator)),
        Entry::Assignment(Assignment { customer, channel: None, route: DEMO.parse()?, version: 0 }),
    ];
    Ok((entries, demo))
}

/// Where a command finds the deployment; by neither of them: by the variables of the environment alone.
#[derive(Debug, Default)]
pub struct Place {
    /// By this configuration file.
    pub config: Option<PathBuf>,
    /// In this data directory.
    pub data: Option<PathBuf>,
}

impl Place {
    /// A command's first words.
    fn words(&self, program: &str) -> String {
        let option = |name: &str, path: &Option<PathBuf>| match path {
            Some(path) => format!(" --{name} {}", quoted(&path.display().to_string())),
            None => String::new(),
        };
        quoted(program) + &option("config", &self.config) + &option("data", &self.data)
    }
}

/// What is printed once the process is ready.
#[must_use]
pub fn greeting(
    demo: Option<&Demo>,
    listen: SocketAddr,
    operator: SocketAddr,
    place: &Place,
    program: &str,
) -> String {
    let data = place.data.as_ref().map(|data| format!("; data in {}", data.display())).unwrap_or_default();
    let mut text = format!(
        "Naru is up. Customers call http://{listen}/v1.0, operators http://{operator}/readyz{data}.\n"
    );
    let naru = place.words(program);
    // Writing into a String cannot fail.
    let _infallible = match demo {
        Some(demo) => first(&mut text, demo, listen, &naru),
        None => {
            write!(text, "What waits and why: {naru} status\nNew credentials: {naru} credential add CUSTOMER")
        }
    };
    text
}

fn first(text: &mut String, demo: &Demo, listen: SocketAddr, naru: &str) -> std::fmt::Result {
    let message =
        r#"{"channel":"sms","recipient":"+821012345600","sender":"0215441234","body":"Hello from Naru"}"#;
    let user = demo.live.user();
    writeln!(text, "\nA customer `demo` was made to try it with; these passwords are shown this once only.")?;
    writeln!(text, "\nSend a message (its route is a simulator: nothing leaves this machine):\n")?;
    writeln!(
        text,
        "  curl -sS -u '{user}' -H 'Content-Type: application/json' -d '{message}' http://{listen}/v1.0/messages"
    )?;
    writeln!(text, "\nRead its report, as soon as there is one:\n")?;
    writeln!(text, "  curl -sS -u '{user}' 'http://{listen}/v1.0/reports?wait=20'")?;
    writeln!(text, "\nHave the demo's messages posted to a URL of yours (then send again):\n")?;
    writeln!(
        text,
        "  {naru} route add mine http http://127.0.0.1:9000/ --allow-network 127.0.0.0/8 --assign demo"
    )?;
    write!(
        text,
        "\nIntegration tests call http://{listen}/sandbox/v1.0 with -u '{}': never sent, never charged.",
        demo.sandbox.user()
    )
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+:@%".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use naru_shared::domain::CredentialKind;
    use naru_shared::keys::{CredentialHasher, Secret};

    use super::*;

    #[test]
    fn the_printed_passwords_are_those_that_were_stored() {
        let keyring = Keyring {
            ids: Secret::random(),
            credentials: Secret::random(),
            envelopes: vec![("a".to_owned(), Secret::random())],
        };
        let (entries, demo) = demo(&keyring, Timestamp::from_millis(0)).unwrap();
        let user = demo.live.user();
        let parts: Vec<&str> = user.split(':').collect();
        let hash = CredentialHasher::new(&keyring.credentials).basic(parts[0], parts[1], parts[2]);
        assert_eq!(demo.live.credential.kind, CredentialKind::Basic { secret: hash, password: None });
        assert!(entries.contains(&Entry::Credential(demo.live.credential.clone())));
        assert!(parts[1].len() == 26 && parts[2].len() == 26 && parts[1] != parts[2]);
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted("./naru-data"), "./naru-data");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
