//! Signals: the first asks for a drain, the second ends the process at once.

use std::{io, process};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code of a process that was told twice.
const TOLD_TWICE: i32 = 130;

/// Cancels `stop` on the first SIGTERM or SIGINT and ends the process on the second.
///
/// # Errors
/// If the signals cannot be listened to.
pub fn on_signals(stop: CancellationToken) -> io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let first = either(&mut term, &mut int).await;
        // First the act, then the word about it.
        stop.cancel();
        tracing::info!(signal = first, "asked to stop: draining");
        let second = either(&mut term, &mut int).await;
        tracing::warn!(
            signal = second,
            "asked again: ending at once; what is in hand comes back on the next start"
        );
        process::exit(TOLD_TWICE);
    });
    Ok(())
}

async fn either(term: &mut Signal, int: &mut Signal) -> &'static str {
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}
