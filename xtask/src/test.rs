//! `cargo xtask test`: what the tests need, then every test.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};

use crate::needs;

/// How many tests run at once, for whoever wants another number.
const THREADS: &str = "RUST_TEST_THREADS";

/// Tests at once for each processor: most of their time they wait for engines, leases and processes, or for each other.
const TESTS_PER_CORE: usize = 8;

/// Installs what is missing and runs every test of the workspace; `more` is passed on. At the end it tells how many there
/// were in all binaries.
///
/// # Errors
/// If something cannot be installed, or a test fails or is skipped.
pub fn run(more: &[String]) -> anyhow::Result<()> {
    needs::install()?;
    needs::tell_versions()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--locked", "--workspace"]).args(more);
    // Rust's own runner would take one for each processor.
    if std::env::var_os(THREADS).is_none() {
        let cores = std::thread::available_parallelism()?.get();
        command.env(THREADS, (cores * TESTS_PER_CORE).to_string());
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let told = child.stdout.take().context("its output is piped")?;
    let mut tally = Tally::default();
    let mut shown = io::stdout();
    // Shown as it comes, and counted.
    for line in BufReader::new(told).split(b'\n') {
        let line = line?;
        tally.read(&String::from_utf8_lossy(&line));
        shown.write_all(&line)?;
        shown.write_all(b"\n")?;
        shown.flush()?;
    }
    let status = child.wait()?;
    writeln!(shown, "{tally}")?;
    ensure!(status.success(), "a test failed: {status}");
    ensure!(tally.ignored == 0, "{} tests were skipped, and prove nothing", tally.ignored);
    Ok(())
}

/// The tests of all binaries, from the last line of each.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    binaries: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Tally {
    fn read(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        let count = |word: &str| {
            let part = counts.split("; ").find_map(|part| part.strip_suffix(word));
            part.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        let (passed, failed, ignored) = (count("passed"), count("failed"), count("ignored"));
        self.binaries += u64::from(passed + failed + ignored > 0);
        self.passed += passed;
        self.failed += failed;
        self.ignored += ignored;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { binaries, passed, failed, ignored } = self;
        write!(f, "{passed} tests passed, {failed} failed, {ignored} skipped, in {binaries} binaries")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_of_all_binaries_are_counted_whatever_else_is_printed() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.18s",
            "test result: FAILED. 40 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 9.01s",
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "a test result: ok. 9 passed",
        ] {
            tally.read(line);
        }
        assert_eq!(tally, Tally { binaries: 2, passed: 43, failed: 2, ignored: 1 });
        assert_eq!(tally.to_string(), "43 tests passed, 2 failed, 1 skipped, in 2 binaries");
    }
}
