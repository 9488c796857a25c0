//! Durations as people write them.

use std::time::Duration;

/// Go's: `500ms`, `5s`, `1m30s`, `2h`. None for what isn't one, or is none at all.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, behind) = rest.split_at(digits);
        let end = behind.find(|letter: char| letter.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at(end);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(milliseconds)?))?;
        rest = next;
    }
    (!total.is_zero()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let milliseconds = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(["500ms", "5s", "1m30s", "2h"].map(milliseconds), [Some(500), Some(5000), Some(90_000), Some(7_200_000)]);
        assert_eq!(["", "5", "s", "-1s", "1x", "0s", "99999999999999999999s"].map(milliseconds), [None; 7]);
    }
}
