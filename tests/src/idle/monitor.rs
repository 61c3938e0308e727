//! What clients ask of a Redis, as its `MONITOR` tells it.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, ensure};
use parking_lot::Mutex;

/// Counts by what was asked.
pub type Counts = BTreeMap<String, u64>;

/// How long Redis may take to begin telling.
const PATIENCE: Duration = Duration::from_secs(5);

/// Listens until it is dropped. Each command that a client sent counts once, whether it was sent alone or with others;
/// what scripts do inside of Redis does not count.
#[derive(Debug)]
pub struct Monitor {
    stream: TcpStream,
    counts: Arc<Mutex<Counts>>,
    listening: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Begins to listen.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn of(port: u16) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"MONITOR\r\n")?;
        let mut lines = BufReader::new(stream.try_clone()?);
        let mut first = String::new();
        lines.read_line(&mut first)?;
        ensure!(first.starts_with("+OK"), "MONITOR: {first}");
        stream.set_read_timeout(None)?;
        let counts = Arc::<Mutex<Counts>>::default();
        let counting = Arc::clone(&counts);
        let listening = thread::Builder::new().name("monitor".to_owned()).spawn(move || {
            // Bodies of scripts hold anything; a line that is no text is not a command of ours.
            for line in lines.split(b'\n').map_while(Result::ok) {
                if let Some(what) = asked(&String::from_utf8_lossy(&line)) {
                    *counting.lock().entry(what).or_default() += 1;
                }
            }
        })?;
        Ok(Self { stream, counts, listening: Some(listening) })
    }

    /// What was asked so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.lock().clone()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // Its thread sees the end and ends too; if Redis is gone it has seen that already.
        drop(self.stream.shutdown(std::net::Shutdown::Both));
        if let Some(listening) = self.listening.take() {
            drop(listening.join());
        }
    }
}

/// What changed between two counts.
#[must_use]
pub fn since(before: &Counts, after: &Counts) -> Counts {
    let changed = after.iter().map(|(what, count)| (what.clone(), count - before.get(what).unwrap_or(&0)));
    changed.filter(|(_, count)| *count > 0).collect()
}

/// The command of a line `+TIME [DB CLIENT] "COMMAND" "ARGUMENT"…`, with the first key it names; `None` for what a script did.
fn asked(line: &str) -> Option<String> {
    let (client, rest) = line.split_once('[')?.1.split_once("] ")?;
    if client.ends_with(" lua") {
        return None;
    }
    let mut words = rest.split('"').skip(1).step_by(2);
    let command = words.next().context("a command").ok()?.to_uppercase();
    let key = match command.as_str() {
        "EVALSHA" => words.nth(2),
        _ => words.next(),
    };
    Some(key.map_or_else(|| command.clone(), |key| format!("{command} {key}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_by_what_they_ask_and_scripts_count_once() {
        let line = |rest: &str| asked(&format!("+1764.5 {rest}"));
        assert_eq!(line(r#"[0 127.0.0.1:5] "mget" "n:epoch" "n:head""#).unwrap(), "MGET n:epoch");
        assert_eq!(line(r#"[0 127.0.0.1:5] "EVALSHA" "ab" "1" "n:turn" "x""#).unwrap(), "EVALSHA n:turn");
        assert_eq!(line(r#"[0 127.0.0.1:5] "multi""#).unwrap(), "MULTI");
        assert_eq!(line(r#"[0 lua] "get" "n:turn""#), None);
        let (before, after) =
            ([("a".to_owned(), 1)].into(), [("a".to_owned(), 3), ("b".to_owned(), 1)].into());
        assert_eq!(since(&before, &after), [("a".to_owned(), 2), ("b".to_owned(), 1)].into());
    }
}
