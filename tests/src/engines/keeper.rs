//! Who cleans up when nobody else can.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::Context;

/// Waits until its input is closed, which the system does however its parent ends; then ends what `pids/*` name, the
/// gentle way first, and removes the directory.
const SCRIPT: &str = r#"
cat >/dev/null
for file in "$1"/pids/*; do
    [ -f "$file" ] || continue
    pid=$(cat "$file")
    kill -INT "$pid" 2>/dev/null || continue
    tries=50
    while [ $tries -gt 0 ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; tries=$((tries - 1)); done
    kill -KILL "$pid" 2>/dev/null
done
rm -rf "$1"
"#;

/// A process that outlives its parent by as long as the cleaning takes.
#[derive(Debug)]
pub(crate) struct Keeper(Child);

impl Keeper {
    /// Keeps a directory and the processes named in its folder `pids`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn of(home: &Path) -> anyhow::Result<Self> {
        let mut shell = Command::new("setsid");
        shell.args(["sh", "-c", SCRIPT, "keeper"]).arg(home);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(shell.spawn().context("starting setsid (package util-linux)")?))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Its input is closed first, so it ends; a test that is over may wait for that.
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}
