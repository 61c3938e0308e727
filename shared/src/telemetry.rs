//! What the process tells about itself: log lines and metrics.
//!
//! One event is one line: what comes from outside can neither begin a line of its own nor steer a terminal.

use std::{
    io::{self, IsTerminal, Write},
    str::FromStr,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// The word is none of the formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `auto`, `text` or `json`")]
pub struct UnknownFormat;

impl FromStr for LogFormat {
    type Err = UnknownFormat;
    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        match word {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownFormat),
        }
    }
}

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("`{0}` is not a log filter such as `info` or `naru_workers=debug,warn`")]
    Filter(String),
    /// Something else in this process has set it up already.
    #[error("telemetry is set up already")]
    Twice,
    /// The metrics cannot be kept as asked.
    #[error("metrics cannot be kept")]
    Metrics(#[source] metrics_exporter_prometheus::BuildError),
}

/// Whether a text is a log filter.
///
/// # Errors
/// If it is not.
pub fn check_filter(filter: &str) -> Result<(), TelemetryError> {
    EnvFilter::try_new(filter).map(drop).map_err(|_| TelemetryError::Filter(filter.to_owned()))
}

/// Sends log lines to standard error from now on.
///
/// # Errors
/// If the filter is not one, or it was called before.
pub fn start_logs(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter).map_err(|_| TelemetryError::Filter(filter.to_owned()))?;
    let terminal = io::stderr().is_terminal();
    let text = format == LogFormat::Text || (format == LogFormat::Auto && terminal);
    let lines =
        tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(filter).with_writer(OneLineEach);
    let set = if text {
        lines.with_ansi(terminal).with_target(false).try_init()
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    set.map_err(|_| TelemetryError::Twice)
}

/// Keeps metrics from now on; the handle renders them. Its `run_upkeep` must be called every few seconds, or
/// histograms grow for ever.
///
/// # Errors
/// If it was called before.
pub fn start_metrics() -> Result<PrometheusHandle, TelemetryError> {
    const SECONDS: [f64; 16] =
        [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0];
    const MESSAGES: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(|b| b.set_buckets_for_metric(Matcher::Suffix("_messages".to_owned()), &MESSAGES))
        .map_err(TelemetryError::Metrics)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::Twice)?;
    crate::metrics::describe();
    Ok(handle)
}

/// Writes each event as one line. The subscriber hands over a whole event at once, its line feed last; it escapes
/// terminal sequences within messages, but not within every kind of value.
struct OneLineEach;

impl<'a> MakeWriter<'a> for OneLineEach {
    type Writer = OneLine<io::StderrLock<'static>>;
    fn make_writer(&'a self) -> Self::Writer {
        OneLine(io::stderr().lock())
    }
}

struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    /// A line that cannot be written (a closed pipe, a full disk) is lost, and never an error: what it tells of goes on.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        drop(self.put(event));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        drop(self.0.flush());
        Ok(())
    }
}

impl<W: Write> OneLine<W> {
    fn put(&mut self, event: &[u8]) -> io::Result<()> {
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        if line.iter().any(|byte| byte.is_ascii_control() || *byte == C1) {
            self.0.write_all(&escaped(line))?;
        } else {
            self.0.write_all(line)?;
        }
        if line.len() < event.len() {
            self.0.write_all(b"\n")?;
        }
        Ok(())
    }
}

/// The first byte in UTF-8 of U+0080 to U+009F, which terminals obey as well.
const C1: u8 = 0xc2;

/// Without control characters, except colours: they are the subscriber's own, and harmless where they are not. As JSON
/// escapes them, so that a line of JSON stays one.
fn escaped(line: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(line.len() + 16);
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after.first()) {
            (b'\n', _) => kept.extend_from_slice(b"\\n"),
            (b'\r', _) => kept.extend_from_slice(b"\\r"),
            (0x1b, Some(b'[')) if is_colour(&after[1..]) => kept.push(byte),
            (C1, Some(&second)) if (0x80..0xa0).contains(&second) => {
                kept.extend_from_slice(format!("\\u{second:04x}").as_bytes());
                rest = &after[1..];
            }
            _ if byte.is_ascii_control() && byte != b'\t' => {
                kept.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
            }
            _ => kept.push(byte),
        }
    }
    kept
}

/// Whether a control sequence only selects how what follows is shown (ECMA-48 section 8.3.117).
fn is_colour(sequence: &[u8]) -> bool {
    let end = sequence.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b';'));
    end.is_some_and(|end| sequence[end] == b'm')
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(event: impl FnOnce()) -> String {
        let kept = Kept::default();
        let sink = kept.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || OneLine(sink.clone()));
        tracing::subscriber::with_default(lines.finish(), event);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn what_comes_from_outside_cannot_begin_a_line() {
        let evil = "one\nERROR forged\r\x1b[2J";
        let text = logged(|| tracing::info!(by_debug = ?evil, by_display = %evil, "said {evil}"));
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(!text.contains('\x1b') && !text.contains('\r'), "{text:?}");
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn colours_stay_and_what_else_a_terminal_obeys_does_not() {
        let shown = |text: &str| String::from_utf8(escaped(text.as_bytes())).unwrap();
        assert_eq!(shown("\x1b[2m\x1b[1;32mINFO\x1b[0m"), "\x1b[2m\x1b[1;32mINFO\x1b[0m");
        assert_eq!(shown("a\x1b[2Jb\x1b]0;x\x07c\x1b"), r"a\u001b[2Jb\u001b]0;x\u0007c\u001b");
        assert_eq!(shown("\u{9b}2J \u{a3} 나루\t\x7f"), "\\u009b2J \u{a3} 나루\t\\u007f");
    }

    #[test]
    fn a_plain_event_is_written_as_it_is() {
        let text = logged(|| tracing::info!(messages = 3, "accepted"));
        assert!(text.trim_end().ends_with("accepted messages=3"), "{text:?}");
    }
}
