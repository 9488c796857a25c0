//! `/proc/net/tcp`, `tcp6`, `udp` and `udp6`: the pod's internet sockets, whoever carries them, in Linux' words.

use std::fmt::Write;
use std::sync::{Arc, Mutex, Weak};

use super::socket::{Endpoint, Socket};
use super::tcp;
use crate::task::{current, lock};

/// A socket that is told of, and who made it.
struct Listed {
    socket: Weak<Socket>,
    uid: u32,
}

static ALL: Mutex<Vec<Listed>> = Mutex::new(Vec::new());

/// When so many are known for the first time, and at each doubling, those that are gone are forgotten.
const SWEEP_FROM: usize = 64;

/// TCP_LISTEN.
const LISTEN: u8 = 10;

/// A new socket; only those of the internet are kept.
pub fn add(socket: &Arc<Socket>) {
    if !matches!(socket.endpoint.kind().0, libc::AF_INET | libc::AF_INET6) {
        return;
    }
    let uid = current().map_or(0, |task| task.credentials().euid);
    let mut all = lock(&ALL);
    if all.len() >= SWEEP_FROM && all.len().is_power_of_two() {
        all.retain(|listed| listed.socket.strong_count() > 0);
    }
    all.push(Listed { socket: Arc::downgrade(socket), uid });
}

/// The lines of one table, behind its heading.
pub fn lines(domain: i32, kind: i32) -> String {
    let known: Vec<(Arc<Socket>, u32)> = lock(&ALL).iter().filter_map(|listed| Some((listed.socket.upgrade()?, listed.uid))).collect();
    let own = known.iter().filter(|(socket, _)| (socket.endpoint.kind().0, socket.endpoint.kind().1) == (domain, kind));
    let mut text = String::new();
    for (socket, uid) in own {
        if let Some(line) = Line::of(&*socket.endpoint, kind) {
            let at = text.lines().count();
            line.write(&mut text, at, *uid, socket.number());
        }
    }
    text
}

/// What a line tells.
struct Line {
    local: (String, u16),
    remote: (String, u16),
    state: u8,
    received: usize,
    stream: bool,
}

impl Line {
    /// None for what Linux does not list: TCP that is neither connected nor listening, UDP without a port.
    fn of(endpoint: &dyn Endpoint, kind: i32) -> Option<Line> {
        let local = address(&endpoint.name().ok()?)?;
        let remote = endpoint.peer().ok().and_then(|peer| address(&peer));
        let stream = kind == libc::SOCK_STREAM;
        let (state, received) = if stream { tcp::state(endpoint)? } else { (if remote.is_some() { 1 } else { tcp::CLOSE }, 0) };
        let listed = if stream { state != tcp::CLOSE } else { local.1 != 0 };
        let nobody = ("0".repeat(local.0.len()), 0);
        listed.then(|| Line { local, remote: remote.filter(|_| state != LISTEN).unwrap_or(nobody), state, received, stream })
    }

    fn write(&self, text: &mut String, at: usize, uid: u32, inode: u64) {
        let Line { local, remote, state, received, stream } = self;
        let start = if *stream { format!("{at:4}") } else { format!("{at:5}") };
        let both = format!("{}:{:04X} {}:{:04X}", local.0, local.1, remote.0, remote.1);
        let middle = format!("{state:02X} 00000000:{received:08X} 00:00000000 00000000 {uid:5}        0 {inode}");
        // References, an address of the kernel's, timers and windows; or references, an address and drops.
        let (rest, width) = if *stream { ("1 0000000000000000 100 0 0 10 0", 149) } else { ("2 0000000000000000 0", 127) };
        let _ = writeln!(text, "{:<width$}", format!("{start}: {both} {middle} {rest}"));
    }
}

/// A `sockaddr` as the tables have it: the address in words of the machine, and the port.
fn address(bytes: &[u8]) -> Option<(String, u16)> {
    let family = i32::from(u16::from_ne_bytes(*bytes.first_chunk()?));
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    let ip = if family == libc::AF_INET { bytes.get(4..8)? } else { bytes.get(8..24)? };
    let words = ip.chunks_exact(4).filter_map(|four| four.try_into().ok()).map(u32::from_ne_bytes);
    Some((words.map(|word| format!("{word:08X}")).collect(), port))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use quark_host::socket as host;

    use super::super::host::HostSocket;
    use super::*;

    /// The columns that say which socket it is and how it is doing.
    fn columns(text: &str, port: u16) -> Vec<Vec<String>> {
        let wanted = format!(":{port:04X}");
        let lines = text.lines().filter(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&wanted)));
        lines.map(|line| line.split_whitespace().skip(1).take(3).map(String::from).collect()).collect()
    }

    fn bound(domain: i32, kind: i32) -> (std::os::fd::OwnedFd, u16) {
        let socket = host::socket(domain, kind, 0).unwrap();
        let mut any = (domain as u16).to_ne_bytes().to_vec();
        any.resize(if domain == libc::AF_INET { 16 } else { 28 }, 0);
        if domain == libc::AF_INET {
            any[4..8].copy_from_slice(&[127, 0, 0, 1]);
        } else {
            any[23] = 1;
        }
        host::bind(socket.as_fd(), &any).unwrap();
        let name = host::name(socket.as_fd()).unwrap();
        (socket, u16::from_be_bytes([name[2], name[3]]))
    }

    #[test]
    fn sockets_are_listed_as_the_host_lists_them() {
        for (domain, file) in [(libc::AF_INET, ""), (libc::AF_INET6, "6")] {
            let host_table = |name: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{name}{file}")).unwrap();
            let (datagrams, udp) = bound(domain, libc::SOCK_DGRAM);
            let (listener, tcp) = bound(domain, libc::SOCK_STREAM);
            host::listen(listener.as_fd(), 5).unwrap();
            let kind = |kind, protocol| (domain, kind, protocol);
            let datagrams =
                Socket::new(Arc::new(HostSocket::sharing(datagrams, kind(libc::SOCK_DGRAM, libc::IPPROTO_UDP), Arc::default())));
            let stream = Socket::new(tcp::of_host(listener, domain));
            let (of_udp, of_tcp) = (lines(domain, libc::SOCK_DGRAM), lines(domain, libc::SOCK_STREAM));
            assert_eq!(columns(&of_udp, udp).len(), 1, "{of_udp}");
            assert_eq!(columns(&of_udp, udp), columns(&host_table("udp"), udp));
            assert_eq!(columns(&of_tcp, tcp), columns(&host_table("tcp"), tcp));
            assert!(of_tcp.lines().all(|line| line.len() >= 149) && of_tcp.contains(&format!(" {} 1 ", stream.number())));
            drop((datagrams, stream));
            assert!(
                columns(&lines(domain, libc::SOCK_DGRAM), udp).is_empty() && columns(&lines(domain, libc::SOCK_STREAM), tcp).is_empty()
            );
        }
    }

    #[test]
    fn sockets_without_an_address_are_not_listed() {
        let unbound = host::socket(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap();
        let kind = (libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDP);
        assert!(Line::of(&HostSocket::sharing(unbound, kind, Arc::default()), libc::SOCK_DGRAM).is_none());
        let closed = host::socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
        assert!(Line::of(&*tcp::of_host(closed, libc::AF_INET), libc::SOCK_STREAM).is_none());
    }
}
