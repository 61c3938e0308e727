//! Processors that do not fall asleep between two calls: waking one takes longer, and differs more, than all that is to be measured.

use std::process::{Child, Command, Stdio};

/// Works at the lowest priority, and gives way at once, on each processor.
pub(super) struct Awake(Vec<Child>);

impl Awake {
    pub(super) fn keep() -> anyhow::Result<Self> {
        let mut all = Self(Vec::new());
        for _ in 0..std::thread::available_parallelism()?.get() {
            let mut command = Command::new("nice");
            command.args(["-n", "19", "sh", "-c", "while :; do :; done"]);
            all.0.push(command.stdin(Stdio::null()).spawn()?);
        }
        Ok(all)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It holds nothing; if it is gone already there is nothing to end.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
