//! The system calls that send and receive.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::calls::{Opened, read_address, write_address};
use super::message::{self, Ancillary, Sender};
use super::node;
use super::socket::{Incoming, Outgoing};
use crate::call::Call;
use crate::signal::{Origin, send_to_task};
use crate::vfs::permission::capability;
use crate::wait::Events;
use crate::{Errno, Result};

/// The most that one call moves, as on Linux (MAX_RW_COUNT).
const TRANSFER_MAX: usize = 0x7fff_f000;

/// How much is moved in one piece between the guest and a socket. Streams go on with the next piece; messages that are longer are EMSGSIZE.
const PIECE: usize = 1 << 20;

/// UIO_MAXIOV.
const PIECES_MAX: usize = 1024;

/// `struct msghdr`, x86-64.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    name: u64,
    name_length: u32,
    pad: u32,
    pieces: u64,
    piece_count: u64,
    control: u64,
    control_length: u64,
    flags: i32,
    pad2: u32,
}

/// `struct iovec`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Piece {
    base: u64,
    length: u64,
}

const HEADER_STEP: u64 = 64;

fn pieces(call: &mut Call<'_>, header: &Header) -> Result<Vec<Piece>> {
    let count = usize::try_from(header.piece_count).ok().filter(|count| *count <= PIECES_MAX).ok_or(Errno::MSGSIZE)?;
    let pieces: Vec<Piece> = call.read_values(header.pieces, count)?;
    let total = pieces.iter().try_fold(0u64, |total, piece| total.checked_add(piece.length));
    match total {
        Some(total) if i64::try_from(total).is_ok() => Ok(pieces),
        _ => Err(Errno::INVAL),
    }
}

/// The bytes of the pieces from `skip` on, at most [`PIECE`] of them.
fn gather(call: &mut Call<'_>, pieces: &[Piece], skip: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut before = skip as u64;
    for piece in pieces {
        let passed = before.min(piece.length);
        before -= passed;
        let length = (piece.length - passed).min((PIECE - bytes.len()) as u64) as usize;
        let start = bytes.len();
        bytes.resize(start + length, 0);
        call.read(piece.base.wrapping_add(passed), bytes.get_mut(start..).unwrap_or_default())?;
    }
    Ok(bytes)
}

fn scatter(call: &mut Call<'_>, pieces: &[Piece], mut bytes: &[u8]) -> Result<()> {
    for piece in pieces {
        let (now, rest) = bytes.split_at(bytes.len().min(usize::try_from(piece.length).unwrap_or(usize::MAX)));
        call.write(piece.base, now)?;
        bytes = rest;
    }
    Ok(())
}

fn total(pieces: &[Piece]) -> usize {
    usize::try_from(pieces.iter().map(|piece| piece.length).sum::<u64>()).unwrap_or(usize::MAX).min(TRANSFER_MAX)
}

/// Sends everything, waiting where it has to. Streams are sent piece by piece; after the first bytes an error tells how much went.
fn send(call: &mut Call<'_>, opened: &Opened, pieces: &[Piece], outgoing: Outgoing<'_>) -> Result<u64> {
    let flags = outgoing.flags;
    let endpoint = opened.endpoint()?.clone();
    let stream = endpoint.kind().1 == libc::SOCK_STREAM;
    let wanted = total(pieces);
    if !stream && wanted > PIECE {
        return Err(Errno::MSGSIZE);
    }
    let mut ancillary = outgoing.ancillary;
    let (mut sent, mut bytes, mut done) = (0, Vec::new(), 0);
    let answer = loop {
        if done == bytes.len() {
            (bytes, done) = (gather(call, pieces, sent)?, 0);
        }
        let message = Outgoing {
            data: bytes.get(done..).unwrap_or_default(),
            address: outgoing.address,
            ancillary: std::mem::take(&mut ancillary),
            control: if sent == 0 { outgoing.control } else { &[] },
            flags,
        };
        match opened.wait(call, Events::OUT, flags, |call| endpoint.send(Some(call.task), &message)) {
            Ok(count) => (sent, done) = (sent + count, done + count),
            Err(_) if sent > 0 => break Ok(sent as u64),
            Err(errno) => break Err(errno),
        }
        if sent >= wanted || !stream {
            break Ok(sent as u64);
        }
    };
    if answer == Err(Errno::PIPE) && stream && flags & libc::MSG_NOSIGNAL == 0 {
        send_to_task(call.task, libc::SIGPIPE, Origin::Kernel);
    }
    answer
}

pub(super) fn sendto(call: &mut Call<'_>) -> Result<u64> {
    let opened = Opened::find(call, call.int(0))?;
    let address = if call.arg(4) == 0 { Vec::new() } else { read_address(call, call.arg(4), call.arg(5) as u32)? };
    let length = (call.arg(2) as usize).min(TRANSFER_MAX) as u64;
    let pieces = [Piece { base: call.arg(1), length }];
    send(call, &opened, &pieces, Outgoing { address: &address, flags: call.int(3), ..Outgoing::default() })
}

pub(super) fn sendmsg(call: &mut Call<'_>) -> Result<u64> {
    let opened = Opened::find(call, call.int(0))?;
    send_message(call, &opened, call.arg(1), call.int(2))
}

fn send_message(call: &mut Call<'_>, opened: &Opened, at: u64, flags: i32) -> Result<u64> {
    let header: Header = call.read_value(at)?;
    let address = if header.name == 0 { Vec::new() } else { read_address(call, header.name, header.name_length)? };
    let pieces = pieces(call, &header)?;
    let length = usize::try_from(header.control_length).ok().filter(|length| *length <= 20_480).ok_or(Errno::NOBUFS)?;
    let mut control = vec![0; if header.control == 0 { 0 } else { length }];
    call.read(header.control, &mut control)?;
    let unix = opened.endpoint()?.kind().0 == libc::AF_UNIX;
    let ancillary = if unix { understand(call, &control)? } else { Ancillary::default() };
    let passed = if unix { &[][..] } else { allowed_control(&control)? };
    send(call, opened, &pieces, Outgoing { address: &address, ancillary, control: passed, flags, ..Outgoing::default() })
}

/// Control messages that reach a host socket: packet information, hop limits, traffic class, segment size. EINVAL for others.
fn allowed_control(control: &[u8]) -> Result<&[u8]> {
    const SEGMENT: i32 = 103;
    for (level, kind, _) in message::parse(control)? {
        let known = match level {
            libc::IPPROTO_IP => [libc::IP_PKTINFO, libc::IP_TTL, libc::IP_TOS].contains(&kind),
            libc::IPPROTO_IPV6 => [libc::IPV6_PKTINFO, libc::IPV6_HOPLIMIT, libc::IPV6_TCLASS].contains(&kind),
            libc::IPPROTO_UDP => kind == SEGMENT,
            _ => false,
        };
        if !known {
            return Err(Errno::INVAL);
        }
    }
    Ok(control)
}

/// What control messages for a unix socket mean: EBADF, EPERM for credentials that aren't the sender's.
fn understand(call: &Call<'_>, control: &[u8]) -> Result<Ancillary> {
    let mut ancillary = Ancillary::default();
    for (level, kind, data) in message::parse(control)? {
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                for fd in message::descriptors(data)? {
                    ancillary.files.push(call.task.files().get_any(fd)?);
                }
            }
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => ancillary.sender = Some(vouch(call, message::sender(data)?)?),
            _ => return Err(Errno::INVAL),
        }
    }
    if ancillary.files.len() > 253 {
        return Err(Errno::INVAL);
    }
    if !ancillary.files.is_empty() {
        ancillary.counter = Some(count_in_flight(call)?);
    }
    Ok(ancillary)
}

/// Where the files are counted: ETOOMANYREFS if more than RLIMIT_NOFILE of the container's are in flight already, as Linux has it of a user's. Those
/// in sockets that are in each other's queues alone never arrive.
fn count_in_flight(call: &Call<'_>) -> Result<Arc<AtomicUsize>> {
    let process = &call.task.process;
    let counter = &process.container.in_flight;
    let who = call.task.credentials();
    let many = counter.load(Ordering::Relaxed) as u64 > process.limit(libc::RLIMIT_NOFILE);
    if many && !who.capable(capability::SYS_RESOURCE) && !who.capable(capability::SYS_ADMIN) {
        return Err(Errno::TOOMANYREFS);
    }
    Ok(counter.clone())
}

/// Who may say that it is somebody else: with CAP_SYS_ADMIN (pid), CAP_SETUID, CAP_SETGID.
fn vouch(call: &Call<'_>, claimed: Sender) -> Result<Sender> {
    const SETGID: u32 = 6;
    const SETUID: u32 = 7;
    let credentials = call.task.credentials();
    let uids = [credentials.uid, credentials.euid, credentials.suid];
    let gids = [credentials.gid, credentials.egid, credentials.sgid];
    let own = claimed.pid == node::sender(call.task).pid || credentials.capable(capability::SYS_ADMIN);
    let uid = uids.contains(&claimed.uid) || credentials.capable(SETUID);
    let gid = gids.contains(&claimed.gid) || credentials.capable(SETGID);
    if own && uid && gid { Ok(claimed) } else { Err(Errno::PERM) }
}

pub(super) fn sendmmsg(call: &mut Call<'_>) -> Result<u64> {
    let opened = Opened::find(call, call.int(0))?;
    let count = (call.arg(2) as u32).min(PIECES_MAX as u32);
    for index in 0..u64::from(count) {
        let at = call.arg(1).wrapping_add(index * HEADER_STEP);
        match send_message(call, &opened, at, call.int(3)) {
            Ok(sent) => call.write_value(at.wrapping_add(HEADER_STEP - 8), &(sent as u32))?,
            Err(_) if index > 0 => return Ok(index),
            Err(errno) => return Err(errno),
        }
    }
    Ok(u64::from(count))
}

/// Receives once, or with MSG_WAITALL from a stream until the buffer is full.
fn receive(call: &mut Call<'_>, opened: &Opened, pieces: &[Piece], flags: i32) -> Result<Incoming> {
    let endpoint = opened.endpoint()?.clone();
    let stream = endpoint.kind().1 == libc::SOCK_STREAM;
    let wanted = total(pieces).min(PIECE);
    let mut bytes = vec![0; wanted];
    let incoming = opened.wait(call, Events::IN, flags, |_| endpoint.receive(&mut bytes, flags))?;
    let mut incoming = incoming;
    if stream && flags & libc::MSG_WAITALL != 0 && flags & libc::MSG_PEEK == 0 {
        while incoming.filled > 0 && incoming.filled < wanted {
            let rest = bytes.get_mut(incoming.filled..).unwrap_or_default();
            match opened.wait(call, Events::IN, flags, |_| endpoint.receive(rest, flags)) {
                Ok(more) if more.filled > 0 => incoming.filled += more.filled,
                _ => break,
            }
        }
        incoming.length = incoming.filled;
    }
    scatter(call, pieces, bytes.get(..incoming.filled).unwrap_or_default())?;
    Ok(incoming)
}

/// What the call answers: the whole length of a message that was cut, if the guest asked for it.
fn told(incoming: &Incoming, flags: i32) -> u64 {
    if flags & libc::MSG_TRUNC != 0 { incoming.length as u64 } else { incoming.filled as u64 }
}

pub(super) fn recvfrom(call: &mut Call<'_>) -> Result<u64> {
    let opened = Opened::find(call, call.int(0))?;
    let pieces = [Piece { base: call.arg(1), length: call.arg(2).min(TRANSFER_MAX as u64) }];
    let flags = call.int(3);
    let incoming = receive(call, &opened, &pieces, flags)?;
    write_address(call, call.arg(4), call.arg(5), &incoming.address)?;
    Ok(told(&incoming, flags))
}

pub(super) fn recvmsg(call: &mut Call<'_>) -> Result<u64> {
    let opened = Opened::find(call, call.int(0))?;
    receive_message(call, &opened, call.arg(1), call.int(2))
}

fn receive_message(call: &mut Call<'_>, opened: &Opened, at: u64, flags: i32) -> Result<u64> {
    let mut header: Header = call.read_value(at)?;
    let pieces = pieces(call, &header)?;
    let incoming = receive(call, opened, &pieces, flags)?;
    header.flags = incoming.flags | flags & libc::MSG_CMSG_CLOEXEC;
    if header.name != 0 {
        let room = incoming.address.len().min(header.name_length as usize);
        call.write(header.name, incoming.address.get(..room).unwrap_or_default())?;
    }
    header.name_length = if header.name == 0 { header.name_length } else { incoming.address.len() as u32 };
    let (control, whole) = control_for(call, &header, &incoming, flags);
    call.write(header.control, &control)?;
    header.control_length = control.len() as u64;
    if !whole {
        header.flags |= libc::MSG_CTRUNC;
    }
    call.write_value(at, &header)?;
    Ok(told(&incoming, flags))
}

/// Control messages for the guest's buffer; the files of SCM_RIGHTS get descriptors. False if not all fitted.
fn control_for(call: &Call<'_>, header: &Header, incoming: &Incoming, flags: i32) -> (Vec<u8>, bool) {
    let room = if header.control == 0 { 0 } else { usize::try_from(header.control_length).unwrap_or(0) };
    let mut control = incoming.control.get(..incoming.control.len().min(room)).unwrap_or_default().to_vec();
    let mut whole = control.len() == incoming.control.len();
    if let Some(sender) = incoming.ancillary.sender {
        whole &= message::append(&mut control, room, (libc::SOL_SOCKET, libc::SCM_CREDENTIALS, &sender.bytes()), true);
    }
    let files = &incoming.ancillary.files;
    if files.is_empty() {
        return (control, whole);
    }
    let fitting = message::rights_that_fit(control.len(), room).min(files.len());
    let limit = call.task.process.limit(libc::RLIMIT_NOFILE);
    let mut descriptors = Vec::new();
    for file in files.iter().take(fitting) {
        match call.task.files().install(file.clone(), 0, flags & libc::MSG_CMSG_CLOEXEC != 0, limit) {
            Ok(fd) => descriptors.extend_from_slice(&fd.to_ne_bytes()),
            Err(_) => break,
        }
    }
    whole &= descriptors.len() == files.len() * 4;
    if !descriptors.is_empty() {
        message::append(&mut control, room, (libc::SOL_SOCKET, libc::SCM_RIGHTS, &descriptors), false);
    }
    (control, whole)
}

pub(super) fn recvmmsg(call: &mut Call<'_>) -> Result<u64> {
    let opened = Opened::find(call, call.int(0))?;
    let count = u64::from((call.arg(2) as u32).min(PIECES_MAX as u32));
    let mut flags = call.int(3);
    let deadline = match call.arg(4) {
        0 => None,
        at => {
            let [seconds, nanoseconds]: [i64; 2] = call.read_value(at)?;
            let seconds = u64::try_from(seconds).map_err(|_| Errno::INVAL)?;
            let nanoseconds = u32::try_from(nanoseconds).ok().filter(|nanoseconds| *nanoseconds < 1_000_000_000).ok_or(Errno::INVAL)?;
            Instant::now().checked_add(Duration::new(seconds, nanoseconds))
        }
    };
    for index in 0..count {
        let at = call.arg(1).wrapping_add(index * HEADER_STEP);
        match receive_message(call, &opened, at, flags & !libc::MSG_WAITFORONE) {
            Ok(got) => call.write_value(at.wrapping_add(HEADER_STEP - 8), &(got as u32))?,
            Err(_) if index > 0 => return Ok(index),
            Err(errno) => return Err(errno),
        }
        if flags & libc::MSG_WAITFORONE != 0 {
            flags |= libc::MSG_DONTWAIT;
        }
        // As Linux: the time is looked at between messages only.
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(index + 1);
        }
    }
    Ok(count)
}

const _: () = assert!(size_of::<Header>() as u64 == HEADER_STEP - 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_message_tells_its_length_when_asked() {
        let incoming = Incoming { filled: 3, length: 9, ..Incoming::default() };
        assert_eq!((told(&incoming, 0), told(&incoming, libc::MSG_TRUNC)), (3, 9));
    }

    #[test]
    fn only_known_control_messages_reach_the_host() {
        let mut control = Vec::new();
        message::append(&mut control, 100, (libc::IPPROTO_IP, libc::IP_TTL, &64i32.to_ne_bytes()), false);
        assert!(allowed_control(&control).is_ok());
        message::append(&mut control, 100, (libc::SOL_SOCKET, libc::SCM_RIGHTS, &3i32.to_ne_bytes()), false);
        assert_eq!(allowed_control(&control), Err(Errno::INVAL));
    }
}
