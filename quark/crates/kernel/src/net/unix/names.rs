//! Names of unix sockets: `sockaddr_un`, and who listens under which.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use super::UnixSocket;
use crate::task::lock;
use crate::{Errno, Result};

const FAMILY: usize = 2;
const PATH: usize = 108;

/// What a `sockaddr_un` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A path in the file system, without its NUL.
    Path(Vec<u8>),
    /// A name of its own space, without the leading NUL.
    Abstract(Vec<u8>),
    /// Only the family: the kernel chooses.
    Unnamed,
}

impl Name {
    /// Takes a `sockaddr_un` apart. EINVAL for another family or length.
    pub fn parse(address: &[u8]) -> Result<Name> {
        let family = address.get(..FAMILY).ok_or(Errno::INVAL)?;
        if family != (libc::AF_UNIX as u16).to_ne_bytes() || address.len() > FAMILY + PATH {
            return Err(Errno::INVAL);
        }
        match address.get(FAMILY..) {
            None | Some([]) => Ok(Name::Unnamed),
            Some([0, name @ ..]) => Ok(Name::Abstract(name.to_vec())),
            Some(path) => Ok(Name::Path(path.split(|byte| *byte == 0).next().unwrap_or_default().to_vec())),
        }
    }

    /// As a `sockaddr_un`.
    pub fn address(&self) -> Vec<u8> {
        let mut address = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
        match self {
            Name::Path(path) => {
                address.extend_from_slice(path);
                address.push(0);
            }
            Name::Abstract(name) => {
                address.push(0);
                address.extend_from_slice(name);
            }
            Name::Unnamed => {}
        }
        address
    }
}

/// The sockets of a pod that have a name.
#[derive(Default)]
pub struct Names {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    abstracts: HashMap<Vec<u8>, Weak<UnixSocket>>,
    /// By device and inode number of the socket's node.
    nodes: HashMap<(u64, u64), Weak<UnixSocket>>,
    next: u32,
}

impl Names {
    /// Gives a socket an abstract name: EADDRINUSE.
    pub fn take(&self, name: &[u8], socket: &Arc<UnixSocket>) -> Result<()> {
        let mut state = lock(&self.state);
        if state.abstracts.get(name).is_some_and(|taken| taken.strong_count() > 0) {
            return Err(Errno::ADDRINUSE);
        }
        state.abstracts.insert(name.to_vec(), Arc::downgrade(socket));
        Ok(())
    }

    /// Gives a socket a name that nobody has: five hexadecimal digits.
    pub fn choose(&self, socket: &Arc<UnixSocket>) -> Result<Vec<u8>> {
        for _ in 0..1 << 20 {
            let number = {
                let mut state = lock(&self.state);
                state.next = (state.next + 1) & 0xf_ffff;
                state.next
            };
            let name = format!("{number:05x}").into_bytes();
            if self.take(&name, socket).is_ok() {
                return Ok(name);
            }
        }
        Err(Errno::NOSPC)
    }

    /// Remembers which socket a node in a file system stands for.
    pub fn set_node(&self, node: (u64, u64), socket: &Arc<UnixSocket>) {
        let mut state = lock(&self.state);
        state.nodes.retain(|_, socket| socket.strong_count() > 0);
        state.nodes.insert(node, Arc::downgrade(socket));
    }

    /// `/proc/net/unix`, of the sockets that have a name of their own.
    pub fn listing(&self) -> Vec<u8> {
        let sockets: Vec<Arc<UnixSocket>> = {
            let state = lock(&self.state);
            state.abstracts.values().chain(state.nodes.values()).filter_map(Weak::upgrade).collect()
        };
        let lines = sockets.iter().flat_map(|socket| socket.listed());
        b"Num       RefCount Protocol Flags    Type St Inode Path\n".iter().copied().chain(lines).collect()
    }

    /// Who has an abstract name.
    pub fn abstract_socket(&self, name: &[u8]) -> Option<Arc<UnixSocket>> {
        lock(&self.state).abstracts.get(name)?.upgrade()
    }

    /// Whom a node stands for.
    pub fn at_node(&self, node: (u64, u64)) -> Option<Arc<UnixSocket>> {
        lock(&self.state).nodes.get(&node)?.upgrade()
    }

    /// Forgets an abstract name whose socket ends.
    pub fn release(&self, name: &[u8]) {
        let mut state = lock(&self.state);
        if state.abstracts.get(name).is_some_and(|taken| taken.strong_count() == 0) {
            state.abstracts.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_linux_reads_them() {
        let family = (libc::AF_UNIX as u16).to_ne_bytes();
        let address = |rest: &[u8]| [&family, rest].concat();
        assert_eq!(Name::parse(&address(b"/run/x\0garbage")), Ok(Name::Path(b"/run/x".to_vec())));
        assert_eq!(Name::parse(&address(b"/run/x")), Ok(Name::Path(b"/run/x".to_vec())));
        assert_eq!(Name::parse(&address(b"\0a\0b")), Ok(Name::Abstract(b"a\0b".to_vec())));
        assert_eq!(Name::parse(&family), Ok(Name::Unnamed));
        assert_eq!(Name::parse(&[2, 0, 1]), Err(Errno::INVAL));
        assert_eq!(Name::parse(&[1]), Err(Errno::INVAL));
        assert_eq!(Name::parse(&address(&[b'x'; 109])), Err(Errno::INVAL));
        assert_eq!(Name::Path(b"/x".to_vec()).address(), address(b"/x\0"));
        assert_eq!(Name::Abstract(b"x".to_vec()).address(), address(b"\0x"));
    }
}
