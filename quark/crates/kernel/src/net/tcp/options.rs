//! What a guest has set on a TCP socket: those that a listener accepts have it too, and some of it matters to connections inside.

use super::pair::Buffers;

/// As many are remembered; there are fewer names than that.
const REMEMBERED_MAX: usize = 96;

/// Options by level and name, with their last value.
#[derive(Clone, Default)]
pub struct Options {
    set: Vec<(i32, i32, Vec<u8>)>,
}

impl Options {
    /// Remembers an option.
    pub fn note(&mut self, level: i32, name: i32, value: &[u8]) {
        self.set.retain(|(other_level, other, _)| (*other_level, *other) != (level, name));
        if self.set.len() < REMEMBERED_MAX {
            self.set.push((level, name, value.to_vec()));
        }
    }

    /// All of them, in the order in which they were set.
    pub fn all(&self) -> impl Iterator<Item = (i32, i32, &[u8])> {
        self.set.iter().map(|(level, name, value)| (*level, *name, value.as_slice()))
    }

    fn number(&self, level: i32, name: i32) -> Option<i32> {
        let value = self.all().find_map(|(other_level, other, value)| ((other_level, other) == (level, name)).then_some(value))?;
        value.get(..4)?.try_into().ok().map(i32::from_ne_bytes)
    }

    fn is_set(&self, level: i32, name: i32) -> bool {
        self.number(level, name).is_some_and(|value| value != 0)
    }

    /// SO_LINGER of 0: closing resets.
    pub fn aborts(&self) -> bool {
        let linger = self.all().find_map(|(level, name, value)| ((level, name) == (libc::SOL_SOCKET, libc::SO_LINGER)).then_some(value));
        linger.is_some_and(|value| value.get(4..8) == Some(&[0; 4]) && value.get(..4).is_some_and(|on| on != [0; 4]))
    }

    /// IPV6_V6ONLY.
    pub fn only_six(&self) -> bool {
        self.is_set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)
    }

    /// Whether something was asked for that [only the host has](Options::only_the_host_has).
    pub fn need_the_host(&self) -> bool {
        self.all().any(|(level, name, value)| Options::only_the_host_has(level, name) && value.iter().any(|byte| *byte != 0))
    }

    /// Notices of sent bytes, control messages with what is received.
    pub fn only_the_host_has(level: i32, name: i32) -> bool {
        matches!(
            (level, name),
            (libc::SOL_SOCKET, libc::SO_ZEROCOPY | libc::SO_TIMESTAMP | libc::SO_TIMESTAMPNS) | (libc::IPPROTO_TCP, libc::TCP_INQ)
        )
    }

    /// SO_RCVBUF and SO_SNDBUF: as Linux, twice what was asked for.
    pub fn buffers(&self) -> Buffers {
        let size = |name| {
            let asked = self.number(libc::SOL_SOCKET, name);
            asked.map_or(BUFFER, |bytes| bytes.clamp(BUFFER_MIN, BUFFER_MAX) as usize * 2)
        };
        Buffers { receive: size(libc::SO_RCVBUF), send: size(libc::SO_SNDBUF) }
    }
}

/// Of who asks for nothing, bytes.
const BUFFER: usize = 256 << 10;
/// Linux' least, and `net.core.wmem_max`.
const BUFFER_MIN: i32 = 2304;
const BUFFER_MAX: i32 = 212_992;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(all: &[(i32, i32, &[u8])]) -> Options {
        let mut options = Options::default();
        all.iter().for_each(|(level, name, value)| options.note(*level, *name, value));
        options
    }

    #[test]
    fn the_last_value_counts() {
        let (on, off) = (1i32.to_ne_bytes(), 0i32.to_ne_bytes());
        assert!(with(&[(41, 26, &off), (41, 26, &on)]).only_six());
        assert!(!with(&[(41, 26, &on), (41, 26, &off)]).only_six());
        assert!(with(&[(libc::IPPROTO_TCP, libc::TCP_INQ, &on)]).need_the_host());
        assert!(!with(&[(libc::IPPROTO_TCP, libc::TCP_NODELAY, &on)]).need_the_host());
        assert!(!with(&[(libc::IPPROTO_TCP, libc::TCP_INQ, &off)]).need_the_host());
    }

    #[test]
    fn buffers_are_doubled_and_bounded() {
        let buffer = |name, bytes: i32| with(&[(libc::SOL_SOCKET, name, &bytes.to_ne_bytes())]).buffers();
        assert_eq!(Options::default().buffers(), Buffers { receive: BUFFER, send: BUFFER });
        assert_eq!(buffer(libc::SO_RCVBUF, 10_000), Buffers { receive: 20_000, send: BUFFER });
        assert_eq!(buffer(libc::SO_SNDBUF, i32::MAX), Buffers { receive: BUFFER, send: 2 * 212_992 });
        assert_eq!(buffer(libc::SO_RCVBUF, -1).receive, 2 * 2304);
    }

    #[test]
    fn lingering_for_no_time_aborts() {
        let linger =
            |on: i32, seconds: i32| with(&[(libc::SOL_SOCKET, libc::SO_LINGER, &[on.to_ne_bytes(), seconds.to_ne_bytes()].concat())]);
        assert_eq!([linger(1, 0), linger(1, 5), linger(0, 0)].map(|options| options.aborts()), [true, false, false]);
    }
}
