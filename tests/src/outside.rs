//! A subscriber to SNS that is not ours: `outside.py`, a program of boto3, writes down what comes to a queue of its own.

use std::{
    path::Path,
    process::{Child, Stdio},
};

use crate::{
    engines::{AwsEmulator, REGION},
    gateway::wait_for_line,
    tools::tool,
};

/// The topic of every deployment, in its own emulator.
const TOPIC: &str = "naru-main-events";

/// The program. Dropping it ends it.
#[derive(Debug)]
pub struct Outside(Child);

impl Outside {
    /// Subscribes and begins to write down.
    ///
    /// # Errors
    /// If the tools are not installed, or it cannot subscribe.
    pub fn begin(emulator: &AwsEmulator, journal: &Path) -> anyhow::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/outside.py");
        let mut command = tool("pip/bin/python")?;
        command.arg(script).args([&emulator.endpoint(), REGION, TOPIC]).arg(journal);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut outside = Self(command.spawn()?);
        wait_for_line(&mut outside.0)?;
        Ok(outside)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // It holds nothing that must be saved; if it is gone already there is nothing to end.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
