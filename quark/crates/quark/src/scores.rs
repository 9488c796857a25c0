//! Whom the host's memory killer takes first: what a guest runs in, before the kernel that holds all of the pod, and before what stands for a
//! guest's process and ends with the container.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Result};

use crate::log;

/// Ours are spared as if they had so much less memory than they have: more than an idle kernel's, most of which is its program. Bytes.
const SPARED_BYTES: u64 = 16 << 20;
/// By how much they are spared at least. The host counts in thousandths of the limit that is reached.
const SPARED_MIN: i32 = 10;
const SCORE_MIN: i32 = -1000;
const SCORE_MAX: i32 = 1000;

/// The scores that guests' processes are to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guests(i32);

/// Spares a process of ours. `asked` is `process.oomScoreAdj`; without it, it is our own. `memory` is the container's limit, in bytes. An error for
/// a score that may not be set.
pub fn spare(pid: i32, asked: Option<i32>, memory: Option<u64>) -> Result<Guests> {
    let spared = spared(memory);
    let score = match asked {
        Some(score) => score,
        None => std::fs::read_to_string("/proc/self/oom_score_adj")?.trim().parse().unwrap_or(0),
    };
    match write(pid, (score - spared).max(SCORE_MIN)) {
        // Less than before needs CAP_SYS_RESOURCE; more never does.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let own = if asked.is_some() { write(pid, score) } else { Ok(()) };
            own.map(|()| Guests((score + spared).min(SCORE_MAX)))
        }
        written => written.map(|()| Guests(score)),
    }
}

fn spared(memory: Option<u64>) -> i32 {
    let part = memory.map_or(0, |limit| SPARED_BYTES * 1000 / limit.max(1));
    i32::try_from(part).unwrap_or(SCORE_MAX).clamp(SPARED_MIN, SCORE_MAX)
}

impl Guests {
    /// Gives it to processes, from which what comes later inherits it. Those that have ended are no error.
    pub fn expose(self, pids: impl IntoIterator<Item = i32>) -> Result<()> {
        for pid in pids {
            match write(pid, self.0) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                written => written?,
            }
        }
        Ok(())
    }
}

/// The host's ids of a process' children.
pub fn children(pid: i32) -> BTreeSet<i32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()).collect()
}

/// Logs that scores could not be set.
pub fn warn(scored: Result<()>) {
    if let Err(error) = scored {
        log::warn(&format!("`process.oomScoreAdj` is not set: {error}"));
    }
}

fn write(pid: i32, score: i32) -> Result<()> {
    std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_the_limit_the_more() {
        assert_eq!([None, Some(1 << 40), Some(160 << 20), Some(32 << 20), Some(0)].map(spared), [10, 10, 100, 500, 1000]);
    }

    #[test]
    fn ours_are_spared() {
        let start = || std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let mut pair = [start(), start()];
        let [ours, guest] = [pair[0].id() as i32, pair[1].id() as i32];
        assert!(children(std::process::id() as i32).is_superset(&BTreeSet::from([ours, guest])));
        let scored = spare(ours, Some(500), Some(160 << 20)).and_then(|guests| guests.expose([guest, i32::MAX]));
        let told = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().parse::<i32>().unwrap();
        let scores = (told(ours), told(guest));
        for child in &mut pair {
            child.kill().and_then(|()| child.wait()).expect("end");
        }
        scored.expect("score");
        assert!(scores == (400, 500) || scores == (500, 600), "{scores:?}");
    }
}
