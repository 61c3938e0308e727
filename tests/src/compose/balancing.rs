//! The balancer's configuration with processes behind it.

use std::{fmt::Write, fs, net::SocketAddr};

use anyhow::{Context, ensure};

use super::source;

/// `haproxy.cfg`, listening at `address` for customers and at `health` for whoever looks after it, with these fronts in place of
/// containers: where each listens for customers, and where for the operator.
///
/// # Errors
/// If the file cannot be read, or lacks one of the lines that differ.
pub fn haproxy(
    address: SocketAddr,
    health: SocketAddr,
    fronts: &[(SocketAddr, SocketAddr)],
) -> anyhow::Result<String> {
    let text = fs::read_to_string(source().join("haproxy.cfg")).context("compose/haproxy.cfg")?;
    let mut servers = String::new();
    for (number, (listen, operator)) in fronts.iter().enumerate() {
        writeln!(servers, "    server ingress{} {listen} port {}", number + 1, operator.port())?;
    }
    let mut found = 0;
    let mut lines = String::new();
    for line in text.lines() {
        let instead = match line.trim_start() {
            "bind :8080" => format!("    bind {address}\n"),
            "bind 127.0.0.1:8404" => format!("    bind {health}\n"),
            template if template.starts_with("server-template ") => servers.clone(),
            _ => {
                writeln!(lines, "{line}")?;
                continue;
            }
        };
        lines.push_str(&instead);
        found += 1;
    }
    ensure!(found == 3, "compose/haproxy.cfg has {found} of the three lines that differ for processes");
    Ok(lines)
}
