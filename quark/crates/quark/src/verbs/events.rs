//! `quark events`.

use std::time::Duration;

use serde_json::json;

use crate::cgroup;
use crate::cli::Parsed;
use crate::error::{Error, Result};
use crate::messages::{Answer, Order};
use crate::state::State;
use crate::store::Store;

/// Prints a line of JSON at once and, unless `--stats` is set, after each interval as long as the container lives.
pub fn events(store: &Store, parsed: &Parsed) -> Result<()> {
    let id = parsed.operand(0);
    let interval = parsed.value("interval").map_or(Ok(Duration::from_secs(5)), duration)?;
    loop {
        let (_, state) = super::look_up(store, id)?;
        if !state.alive() {
            return if parsed.has("stats") { Err(Error::not_running(id)) } else { Ok(()) };
        }
        super::print(&line(store, &state)?)?;
        if parsed.has("stats") {
            return Ok(());
        }
        std::thread::sleep(interval);
    }
}

fn line(store: &Store, state: &State) -> Result<String> {
    let mut data = cgroup::stats(&state.cgroups);
    // What the kernel counts itself is per container, also for those that share a pod's cgroup.
    let kernel = super::connect(store, state)?;
    if let (Ok(Answer::Usage(usage)), Some(data)) = (kernel.ask(&Order::Usage { id: state.id.clone() }, &[]), data.as_object_mut()) {
        data.insert("guest".to_owned(), json!(usage));
    }
    Ok(format!("{}\n", json!({ "type": "stats", "id": state.id, "data": data })))
}

/// Go's durations: `500ms`, `5s`, `1m30s`, `2h`.
fn duration(text: &str) -> Result<Duration> {
    let wrong = || Error::usage(format!("--interval must be a duration such as 500ms, 5s or 1m30s, not \"{text}\""));
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, behind) = rest.split_at(digits);
        let end = behind.find(|letter: char| letter.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at(end);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        total += Duration::from_millis(number.checked_mul(milliseconds).ok_or_else(wrong)?);
        rest = next;
    }
    if total.is_zero() { Err(wrong()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let milliseconds = |text| duration(text).ok().map(|duration| duration.as_millis());
        assert_eq!(["500ms", "5s", "1m30s", "2h"].map(milliseconds), [Some(500), Some(5000), Some(90_000), Some(7_200_000)]);
        assert_eq!(["", "5", "s", "-1s", "1x", "0s", "99999999999999999999s"].map(milliseconds), [None; 7]);
    }
}
