//! The log that containerd reads: one JSON object a line (or text), in the file that `--log` names.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `time="…" level=… msg="…"`.
    #[default]
    Text,
    /// `{"level":…,"msg":…,"time":…}`.
    Json,
}

/// How bad it is, by the names that runc uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

struct Log {
    file: Option<File>,
    format: Format,
    least: Level,
}

static LOG: Mutex<Option<&'static Log>> = Mutex::new(None);

fn current() -> Option<&'static Log> {
    *LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the log; without a path warnings go to standard error, and nothing else is logged. Lines below `debug` are left out unless it is set.
pub fn open(path: Option<&str>, format: Format, debug: bool) -> Result<()> {
    let file = match path {
        Some(path) => Some(File::options().create(true).append(true).open(path).context(|| format!("open the log \"{path}\""))?),
        None => None,
    };
    start(file, format, debug);
    Ok(())
}

/// The same with an open file. What was logged to before is left alone: a pod's kernel has closed the descriptor.
pub fn start(file: Option<File>, format: Format, debug: bool) {
    let least = if debug { Level::Debug } else { Level::Info };
    let log: &'static Log = Box::leak(Box::new(Log { file, format, least }));
    *LOG.lock().unwrap_or_else(PoisonError::into_inner) = Some(log);
}

/// The log's file, for processes that go on logging.
pub fn file() -> Option<BorrowedFd<'static>> {
    current().and_then(|log| log.file.as_ref()).map(AsFd::as_fd)
}

/// Its format, and whether it has debug lines.
pub fn settings() -> (Format, bool) {
    current().map_or((Format::Text, false), |log| (log.format, log.least == Level::Debug))
}

/// Writes a line. A log that can't be written is no reason to fail.
pub fn line(level: Level, message: &str) {
    let Some(log) = current().filter(|log| level >= log.least) else {
        return;
    };
    match log.file.as_ref() {
        Some(mut file) => {
            let _ = file.write_all(render(log.format, level, message, &timestamp(SystemTime::now())).as_bytes());
        }
        // Errors are printed by whoever they stop.
        None if level == Level::Warning => eprintln!("quark: {message}"),
        None => {}
    }
}

/// A line for one investigation.
pub fn debug(message: &str) {
    line(Level::Debug, message);
}

/// A line that says what was done.
pub fn info(message: &str) {
    line(Level::Info, message);
}

/// A line that says what isn't as asked for.
pub fn warn(message: &str) {
    line(Level::Warning, message);
}

/// A line that says what failed.
pub fn error(message: &str) {
    line(Level::Error, message);
}

fn render(format: Format, level: Level, message: &str, time: &str) -> String {
    match format {
        Format::Json => {
            let line = serde_json::json!({ "level": level, "msg": message, "time": time });
            format!("{line}\n")
        }
        Format::Text => {
            let level = serde_json::to_value(level).ok();
            let level = level.as_ref().and_then(|level| level.as_str()).unwrap_or("info");
            format!("time=\"{time}\" level={level} msg={message:?}\n")
        }
    }
}

/// A time in RFC 3339, UTC, nanoseconds.
pub fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", since.subsec_nanos())
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01. Counts in years that start in March, so that the
/// leap day comes last.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_told_as_rfc_3339() {
        let at = |seconds| timestamp(SystemTime::UNIX_EPOCH + Duration::new(seconds, 5));
        assert_eq!(at(0), "1970-01-01T00:00:00.000000005Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.000000005Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000000005Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000000005Z");
    }

    #[test]
    fn lines_are_what_containerd_parses() {
        let json = render(Format::Json, Level::Error, "a \"b\"\n", "T");
        let value: serde_json::Value = serde_json::from_str(&json).expect("json");
        assert_eq!(value, serde_json::json!({ "level": "error", "msg": "a \"b\"\n", "time": "T" }));
        assert!(json.ends_with("}\n") && json.lines().count() == 1);
        assert_eq!(render(Format::Text, Level::Warning, "x\ny", "T"), "time=\"T\" level=warning msg=\"x\\ny\"\n");
    }
}
