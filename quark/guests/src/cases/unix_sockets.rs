//! Unix sockets: streams, packets, descriptors and credentials in messages.

use crate::support::{close, in_child, pipe, show_read, sleep_ms, socket_pair, spawn, wait_for, write, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(pair_stream),
    case!(pair_packets),
    case!(pair_datagrams),
    case!(pair_errors),
    case!(listen_and_connect),
    case!(abstract_names),
    case!(names_bound),
    case!(connect_errors),
    case!(accept_waits),
    case!(backlog),
    case!(peek_and_flags),
    case!(shut_down),
    case!(peer_closes),
    case!(unread_data_resets),
    case!(pass_descriptors),
    case!(pass_many_descriptors),
    case!(descriptors_dropped),
    case!(truncated_control),
    case!(credentials),
    case!(peer_credentials),
    case!(datagrams_to_names),
    case!(options),
    case!(not_blocking),
    case!(large_transfer),
    case!(messages_at_once),
    case!(permissions),
    case!(unnamed_addresses),
    case!(receive_timeout),
];

/// An address, and its length.
fn address(name: &[u8]) -> (sockaddr_un, u32) {
    let mut address: sockaddr_un = zeroed();
    address.sun_family = AF_UNIX as u16;
    for (to, from) in address.sun_path.iter_mut().zip(name) {
        *to = *from as c_char;
    }
    let end = if name.first() == Some(&0) { 0 } else { 1 };
    (address, (2 + name.len() + end) as u32)
}

fn bind(fd: i64, name: &[u8]) -> i64 {
    let (address, length) = address(name);
    sys!(SYS_bind, fd, &raw const address, length)
}

fn connect(fd: i64, name: &[u8]) -> i64 {
    let (address, length) = address(name);
    sys!(SYS_connect, fd, &raw const address, length)
}

fn stream() -> i64 {
    sys!(SYS_socket, AF_UNIX, SOCK_STREAM, 0)
}

fn listener(name: &[u8]) -> i64 {
    let fd = stream();
    bind(fd, name);
    sys!(SYS_listen, fd, 5);
    fd
}

fn receive(t: &Trace, what: &str, fd: i32, size: usize, flags: i32) {
    let mut buffer = [0u8; 256];
    let got = sys!(SYS_recvfrom, fd, buffer.as_mut_ptr(), size, flags, 0, 0);
    match usize::try_from(got) {
        Ok(length) => t.show(what, format!("{length} \"{}\"", buffer[..length.min(size)].escape_ascii())),
        Err(_) => t.call(what, got),
    }
}

fn send(fd: i32, content: &[u8], flags: i32) -> i64 {
    sys!(SYS_sendto, fd, content.as_ptr(), content.len(), flags, 0, 0)
}

fn pair_stream(t: &Trace) {
    let (one, other) = socket_pair(SOCK_STREAM);
    t.call("write", write(one, b"abc"));
    t.call("send", send(one, b"def", 0));
    receive(t, "together", other, 100, 0);
    t.call("other way", write(other, b"x"));
    receive(t, "read", one, 100, 0);
    close(one);
    receive(t, "end", other, 100, 0);
    t.call("broken", send(other, b"x", MSG_NOSIGNAL));
}

fn pair_packets(t: &Trace) {
    let (one, other) = socket_pair(SOCK_SEQPACKET);
    write(one, b"abc");
    write(one, b"");
    write(one, b"defgh");
    receive(t, "first", other, 100, 0);
    receive(t, "empty", other, 100, 0);
    receive(t, "cut", other, 2, 0);
    write(one, b"longer");
    receive(t, "cut, true length", other, 2, MSG_TRUNC);
    close(one);
    receive(t, "end", other, 100, 0);
}

fn pair_datagrams(t: &Trace) {
    let (one, other) = socket_pair(SOCK_DGRAM);
    write(one, b"abc");
    write(one, b"de");
    receive(t, "first", other, 100, 0);
    receive(t, "second", other, 1, 0);
    receive(t, "none", other, 1, MSG_DONTWAIT);
    close(one);
    t.call("refused", send(other, b"x", MSG_NOSIGNAL));
    t.call("too long", send(socket_pair(SOCK_DGRAM).0, &vec![0; 1 << 20], MSG_NOSIGNAL));
}

fn pair_errors(t: &Trace) {
    let mut ends = [0i32; 2];
    t.call("family", sys!(SYS_socketpair, AF_INET, SOCK_STREAM, 0, ends.as_mut_ptr()));
    t.call("kind", sys!(SYS_socketpair, AF_UNIX, 77, 0, ends.as_mut_ptr()));
    t.call("raw", sys!(SYS_socketpair, AF_UNIX, SOCK_RAW, 0, ends.as_mut_ptr()));
    t.call("protocol", sys!(SYS_socketpair, AF_UNIX, SOCK_STREAM, 9, ends.as_mut_ptr()));
    t.call("bad pointer", sys!(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 8));
    t.call("flags", sys!(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.as_mut_ptr()));
    t.show("set", format!("{} {:#o}", sys!(SYS_fcntl, ends[0], F_GETFD), sys!(SYS_fcntl, ends[1], F_GETFL)));
}

fn listen_and_connect(t: &Trace) {
    let server = listener(b"s");
    let client = stream();
    t.call("connect", connect(client, b"s"));
    let (mut from, mut length) = (zeroed::<sockaddr_un>(), 110u32);
    let accepted = sys!(SYS_accept4, server, &raw mut from, &raw mut length, SOCK_CLOEXEC) as i32;
    t.call("accept", accepted);
    t.show("from", format!("{} {length}", from.sun_family));
    t.call("flags", sys!(SYS_fcntl, accepted, F_GETFD));
    write(client as i32, b"hello");
    show_read(t, "read", accepted);
    write(accepted, b"back");
    show_read(t, "read", client as i32);
    t.call("connect again", connect(client, b"s"));
    t.call("accept of a client", sys!(SYS_accept, client, 0, 0));
    t.call("accept flags", sys!(SYS_accept4, server, 0, 0, 1));
}

fn abstract_names(t: &Trace) {
    let server = stream();
    t.call("bind", bind(server, b"\0quark-guests"));
    t.call("listen", sys!(SYS_listen, server, 5));
    t.call("in use", bind(stream(), b"\0quark-guests"));
    let client = stream();
    t.call("connect", connect(client, b"\0quark-guests"));
    t.call("other length", connect(stream(), b"\0quark-guests\0"));
    t.show("listed", std::fs::read_to_string("/proc/net/unix").unwrap_or_default().contains("@quark-guests"));
    close(server as i32);
    t.call("closed", connect(stream(), b"\0quark-guests"));
    let own = stream();
    let family = AF_UNIX as u16;
    t.call("automatic", sys!(SYS_bind, own, &raw const family, 2));
    let (mut name, mut length) = (zeroed::<sockaddr_un>(), 110u32);
    sys!(SYS_getsockname, own, &raw mut name, &raw mut length);
    t.show("length", format!("{length} {}", name.sun_path[0]));
}

fn names_bound(t: &Trace) {
    let fd = stream();
    t.call("bind", bind(fd, b"s"));
    let mut stat: stat = zeroed();
    sys!(SYS_stat, c"s".as_ptr(), &raw mut stat);
    t.show("mode", format!("{:o}", stat.st_mode));
    t.call("again", bind(fd, b"t"));
    t.call("in use", bind(stream(), b"s"));
    t.call("missing folder", bind(stream(), b"x/s"));
    t.call("short", sys!(SYS_bind, stream(), &raw const stat, 1));
    t.call("long", sys!(SYS_bind, stream(), &raw const stat, 111));
    let family = AF_INET as u16;
    t.call("family", sys!(SYS_bind, stream(), &raw const family, 16));
    close(fd as i32);
    t.call("name stays", sys!(SYS_access, c"s".as_ptr(), F_OK));
    t.call("nobody there", connect(stream(), b"s"));
}

fn connect_errors(t: &Trace) {
    t.call("missing", connect(stream(), b"x"));
    close(crate::support::file(c"a", b""));
    t.call("file", connect(stream(), b"a"));
    let silent = stream();
    bind(silent, b"s");
    t.call("not listening", connect(stream(), b"s"));
    let packets = sys!(SYS_socket, AF_UNIX, SOCK_DGRAM, 0);
    t.call("other kind", connect(packets, b"s"));
    t.call("not connected", write(stream() as i32, b"x"));
    t.call("read", sys!(SYS_read, stream(), [0u8; 4].as_mut_ptr(), 4));
    t.call("peer", sys!(SYS_getpeername, stream(), [0u8; 110].as_mut_ptr(), &raw const *&110u32));
    t.call("listen unbound", sys!(SYS_listen, stream(), 1));
    t.call("listen to packets", sys!(SYS_listen, packets, 1));
    t.call("no socket", connect(0, b"s"));
    t.call("closed", connect(99, b"s"));
}

fn accept_waits(t: &Trace) {
    let server = listener(b"s");
    let child = spawn(|| {
        sleep_ms(40);
        let client = stream();
        connect(client, b"s");
        write(client as i32, b"hello");
    });
    let accepted = sys!(SYS_accept, server, 0, 0) as i32;
    show_read(t, "read", accepted);
    show_read(t, "end", accepted);
    t.show("child", wait_for(child));
    sys!(SYS_fcntl, server, F_SETFL, O_NONBLOCK);
    t.call("nobody", sys!(SYS_accept, server, 0, 0));
}

fn backlog(t: &Trace) {
    let server = stream();
    bind(server, b"s");
    sys!(SYS_listen, server, 1);
    for _ in 0..3 {
        let client = sys!(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        t.call("connect", connect(client, b"s"));
    }
    t.ok("accept", sys!(SYS_accept, server, 0, 0));
    let client = sys!(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    t.call("room again", connect(client, b"s"));
    close(server as i32);
    t.call("closed in the queue", send(client as i32, b"x", MSG_NOSIGNAL));
}

fn peek_and_flags(t: &Trace) {
    let (one, other) = socket_pair(SOCK_STREAM);
    write(one, b"abcdef");
    receive(t, "peek", other, 3, MSG_PEEK);
    receive(t, "again", other, 3, MSG_PEEK);
    receive(t, "take", other, 3, 0);
    receive(t, "none wait", other, 100, MSG_DONTWAIT);
    receive(t, "empty", other, 100, MSG_DONTWAIT);
    let child = spawn(|| {
        write(one, b"12");
        sleep_ms(40);
        write(one, b"345");
    });
    receive(t, "all", other, 5, MSG_WAITALL);
    t.show("child", wait_for(child));
    t.call("out of band", send(one, b"x", MSG_OOB));
    receive(t, "urgent", other, 1, MSG_OOB);
    let mut left = 0i32;
    write(one, b"abcd");
    sys!(SYS_ioctl, other, FIONREAD, &raw mut left);
    t.show("left", left);
}

fn shut_down(t: &Trace) {
    let (one, other) = socket_pair(SOCK_STREAM);
    write(one, b"abc");
    t.call("no more writes", sys!(SYS_shutdown, one, SHUT_WR));
    t.call("write", send(one, b"x", MSG_NOSIGNAL));
    receive(t, "rest", other, 100, 0);
    receive(t, "end", other, 100, 0);
    t.call("other way works", write(other, b"y"));
    receive(t, "read", one, 100, 0);
    t.call("no more reads", sys!(SYS_shutdown, one, SHUT_RD));
    t.call("write to it", send(other, b"z", MSG_NOSIGNAL));
    receive(t, "end", one, 100, 0);
    t.call("how", sys!(SYS_shutdown, one, 9));
    t.call("not connected", sys!(SYS_shutdown, stream(), SHUT_WR));
    t.call("no socket", sys!(SYS_shutdown, 0, SHUT_WR));
}

fn peer_closes(t: &Trace) {
    let (one, other) = socket_pair(SOCK_STREAM);
    let child = spawn(|| {
        close(one);
        receive(t, "woken", other, 100, 0);
    });
    close(other);
    sleep_ms(40);
    close(one);
    t.show("child", wait_for(child));
}

fn unread_data_resets(t: &Trace) {
    let (one, other) = socket_pair(SOCK_STREAM);
    write(one, b"never read");
    close(other);
    receive(t, "read", one, 100, 0);
    receive(t, "then", one, 100, 0);
}

/// Sends bytes with descriptors.
fn send_descriptors(fd: i32, content: &[u8], fds: &[i32]) -> i64 {
    let mut control = [0u64; 256];
    control[0] = 16 + 4 * fds.len() as u64;
    control[1] = (SCM_RIGHTS as u64) << 32 | SOL_SOCKET as u64;
    for (i, fd) in fds.iter().enumerate() {
        control[2 + i / 2] |= u64::from(*fd as u32) << (32 * (i % 2));
    }
    let part = iovec { iov_base: content.as_ptr() as *mut _, iov_len: content.len() };
    let mut message: msghdr = zeroed();
    message.msg_iov = (&raw const part).cast_mut();
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = (16 + 4 * fds.len()).next_multiple_of(8);
    sys!(SYS_sendmsg, fd, &raw const message, MSG_NOSIGNAL)
}

/// Receives bytes with control data; prints them and returns the descriptors.
fn receive_descriptors(t: &Trace, fd: i32, room: usize, flags: i32) -> Vec<i32> {
    let (mut control, mut buffer) = ([0u64; 256], [0u8; 64]);
    let part = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: 64 };
    let mut message: msghdr = zeroed();
    message.msg_iov = (&raw const part).cast_mut();
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = room;
    let got = sys!(SYS_recvmsg, fd, &raw mut message, flags);
    t.call("recvmsg", got);
    t.show("control", format!("{} flags {:#x}", message.msg_controllen, message.msg_flags));
    if message.msg_controllen < 16 {
        return Vec::new();
    }
    t.show("kind", format!("{} {}", control[1] as u32, control[1] >> 32));
    let count = (control[0] as usize - 16) / 4;
    (0..count).map(|i| (control[2 + i / 2] >> (32 * (i % 2))) as i32).collect()
}

fn pass_descriptors(t: &Trace) {
    let (one, other) = socket_pair(SOCK_STREAM);
    let (reader, writer) = pipe();
    t.call("send", send_descriptors(one, b"x", &[reader, writer]));
    close(reader);
    let got = receive_descriptors(t, other, 1024, MSG_CMSG_CLOEXEC);
    t.show("descriptors", got.len());
    if let [reader, far] = got[..] {
        t.call("flags", sys!(SYS_fcntl, reader, F_GETFD));
        write(far, b"through");
        show_read(t, "read", reader);
    }
    t.call("closed one", send_descriptors(one, b"x", &[99]));
    t.call("socket itself", send_descriptors(one, b"x", &[other]));
}

fn pass_many_descriptors(t: &Trace) {
    let (one, other) = socket_pair(SOCK_STREAM);
    t.call("253", send_descriptors(one, b"x", &[0; 253]));
    t.call("254", send_descriptors(one, b"x", &[0; 254]));
    t.show("got", receive_descriptors(t, other, 2048, 0).len());
}

fn descriptors_dropped(t: &Trace) {
    let (one, other) = socket_pair(SOCK_STREAM);
    let (reader, writer) = pipe();
    send_descriptors(one, b"x", &[writer]);
    close(writer);
    let mut byte = [0u8; 1];
    t.call("plain read", sys!(SYS_read, other, byte.as_mut_ptr(), 1));
    show_read(t, "writer is gone", reader);
    let (reader, writer) = pipe();
    send_descriptors(one, b"x", &[writer]);
    close(writer);
    close(one);
    close(other);
    show_read(t, "gone with the socket", reader);
}

fn truncated_control(t: &Trace) {
    let (one, other) = socket_pair(SOCK_STREAM);
    send_descriptors(one, b"x", &[0, 1, 2]);
    t.show("room for one", receive_descriptors(t, other, 20, 0).len());
    send_descriptors(one, b"x", &[0]);
    t.show("no room", receive_descriptors(t, other, 0, 0).len());
    send_descriptors(one, b"x", &[0]);
    send_descriptors(one, b"y", &[1]);
    t.show("not merged", receive_descriptors(t, other, 1024, 0).len());
    t.show("second", receive_descriptors(t, other, 1024, 0).len());
}

fn credentials(t: &Trace) {
    let (one, other) = socket_pair(SOCK_DGRAM);
    let on = 1i32;
    t.call("pass", sys!(SYS_setsockopt, other, SOL_SOCKET, SO_PASSCRED, &raw const on, 4));
    let child = spawn(|| {
        sys!(SYS_setgid, 7);
        sys!(SYS_setuid, 1000);
        write(one, b"x");
    });
    t.show("child", wait_for(child));
    let got = receive_descriptors(t, other, 1024, 0);
    t.show("credentials", format!("{} {:?}", got.first() == Some(&child), got.get(1..)));
}

fn peer_credentials(t: &Trace) {
    let server = listener(b"s");
    sys!(SYS_chmod, c"s".as_ptr(), 0o777);
    sys!(SYS_chmod, c".".as_ptr(), 0o777);
    let child = spawn(|| {
        sys!(SYS_setgid, 7);
        sys!(SYS_setuid, 1000);
        let client = stream();
        t.call("connect", connect(client, b"s"));
        let (mut peer, mut length) = (ucred { pid: 0, uid: 9, gid: 9 }, 12u32);
        sys!(SYS_getsockopt, client, SOL_SOCKET, SO_PEERCRED, &raw mut peer, &raw mut length);
        t.show("server", format!("{} {} {}", peer.uid, peer.gid, peer.pid == unsafe { getppid() }));
    });
    let accepted = sys!(SYS_accept, server, 0, 0);
    let (mut peer, mut length) = (ucred { pid: 0, uid: 0, gid: 0 }, 12u32);
    t.call("ask", sys!(SYS_getsockopt, accepted, SOL_SOCKET, SO_PEERCRED, &raw mut peer, &raw mut length));
    t.show("client", format!("{} {} {}", peer.uid, peer.gid, peer.pid == child));
    t.show("child", wait_for(child));
}

fn datagrams_to_names(t: &Trace) {
    let (server, client) = (sys!(SYS_socket, AF_UNIX, SOCK_DGRAM, 0), sys!(SYS_socket, AF_UNIX, SOCK_DGRAM, 0));
    t.call("bind", bind(server, b"s"));
    bind(client, b"c");
    let (to, length) = address(b"s");
    t.call("send", sys!(SYS_sendto, client, b"abc".as_ptr(), 3, 0, &raw const to, length));
    let (mut from, mut size, mut buffer) = (zeroed::<sockaddr_un>(), 110u32, [0u8; 8]);
    t.call("receive", sys!(SYS_recvfrom, server, buffer.as_mut_ptr(), 8, 0, &raw mut from, &raw mut size));
    t.show("from", format!("{size} {}", from.sun_path[0] as u8 as char));
    t.call("connect", connect(client, b"s"));
    t.call("write", write(client as i32, b"def"));
    show_read(t, "read", server as i32);
    t.call("not for others", connect(server, b"c"));
    let third = sys!(SYS_socket, AF_UNIX, SOCK_DGRAM, 0);
    t.call("third", sys!(SYS_sendto, third, b"x".as_ptr(), 1, 0, &raw const to, length));
    let (missing, length) = address(b"x");
    t.call("missing", sys!(SYS_sendto, third, b"x".as_ptr(), 1, 0, &raw const missing, length));
    t.call("no destination", write(third as i32, b"x"));
}

fn option(fd: i64, name: i32) -> String {
    let (mut value, mut length) = (-1i32, 4u32);
    let got = sys!(SYS_getsockopt, fd, SOL_SOCKET, name, &raw mut value, &raw mut length);
    if got == -1 { crate::trace::errno_name() } else { format!("{value} length {length}") }
}

fn options(t: &Trace) {
    let fd = stream();
    for (name, option_name) in [
        ("type", SO_TYPE),
        ("domain", SO_DOMAIN),
        ("protocol", SO_PROTOCOL),
        ("listening", SO_ACCEPTCONN),
        ("error", SO_ERROR),
        ("credentials", SO_PASSCRED),
    ] {
        t.show(name, option(fd, option_name));
    }
    sys!(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &raw const *&20_000i32, 4);
    t.show("send buffer", option(fd, SO_SNDBUF));
    t.show("unknown", option(fd, 999));
    t.call("set unknown", sys!(SYS_setsockopt, fd, SOL_SOCKET, 999, &raw const *&1i32, 4));
    t.call("short", sys!(SYS_setsockopt, fd, SOL_SOCKET, SO_PASSCRED, &raw const *&1i32, 1));
    t.call("level", sys!(SYS_getsockopt, fd, IPPROTO_TCP, TCP_NODELAY, [0u8; 4].as_mut_ptr(), &raw const *&4u32));
    t.call("no socket", sys!(SYS_getsockopt, 0, SOL_SOCKET, SO_TYPE, [0u8; 4].as_mut_ptr(), &raw const *&4u32));
    t.show("listening", option(listener(b"s"), SO_ACCEPTCONN));
}

fn not_blocking(t: &Trace) {
    let (one, other) = socket_pair(SOCK_STREAM | SOCK_NONBLOCK);
    receive(t, "empty", other, 10, 0);
    let block = [0u8; 4096];
    let mut last = 0;
    for _ in 0..10_000 {
        last = write(one, &block);
        if last == -1 {
            break;
        }
    }
    t.call("full", last);
    let mut poll = pollfd { fd: one, events: POLLOUT, revents: 0 };
    t.call("not writable", sys!(SYS_poll, &raw mut poll, 1, 0));
    while sys!(SYS_read, other, [0u8; 4096].as_mut_ptr(), 4096) > 0 {}
    t.call("writable", sys!(SYS_poll, &raw mut poll, 1, 0));
}

fn large_transfer(t: &Trace) {
    let (one, other) = socket_pair(SOCK_STREAM);
    let child = spawn(|| {
        let block: Vec<u8> = (0..1_000_000u32).map(|i| (i % 241) as u8).collect();
        t.call("send", send(one, &block, 0));
    });
    close(one);
    let (mut total, mut sum, mut buffer) = (0u64, 0u64, vec![0u8; 50_000]);
    while let Ok(length @ 1..) = usize::try_from(sys!(SYS_read, other, buffer.as_mut_ptr(), buffer.len())) {
        total += length as u64;
        sum += buffer[..length].iter().map(|byte| u64::from(*byte)).sum::<u64>();
    }
    t.show("child", wait_for(child));
    t.show("bytes and sum", format!("{total} {sum}"));
}

fn messages_at_once(t: &Trace) {
    let (one, other) = socket_pair(SOCK_DGRAM);
    let parts: Vec<iovec> =
        [&b"one"[..], b"three"].iter().map(|text| iovec { iov_base: text.as_ptr() as *mut _, iov_len: text.len() }).collect();
    let mut messages: [mmsghdr; 2] = zeroed();
    for (message, part) in messages.iter_mut().zip(&parts) {
        message.msg_hdr.msg_iov = (part as *const iovec).cast_mut();
        message.msg_hdr.msg_iovlen = 1;
    }
    t.call("sendmmsg", sys!(SYS_sendmmsg, one, messages.as_mut_ptr(), 2, 0));
    t.show("lengths", format!("{} {}", messages[0].msg_len, messages[1].msg_len));
    let mut buffers = [[0u8; 8]; 3];
    let into: Vec<iovec> = buffers.iter_mut().map(|buffer| iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: 8 }).collect();
    let mut messages: [mmsghdr; 3] = zeroed();
    for (message, part) in messages.iter_mut().zip(&into) {
        message.msg_hdr.msg_iov = (part as *const iovec).cast_mut();
        message.msg_hdr.msg_iovlen = 1;
    }
    t.call("recvmmsg", sys!(SYS_recvmmsg, other, messages.as_mut_ptr(), 3, MSG_DONTWAIT, 0));
    t.show("lengths", format!("{} {}", messages[0].msg_len, messages[1].msg_len));
    t.bytes("second", &buffers[1]);
}

fn permissions(t: &Trace) {
    let _server = listener(b"s");
    sys!(SYS_chmod, c"s".as_ptr(), 0o700);
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("another", connect(stream(), b"s"));
        t.call("bind in root's", bind(stream(), b"t"));
    });
    t.show("child", end);
}

fn unnamed_addresses(t: &Trace) {
    let (one, _other) = socket_pair(SOCK_STREAM);
    let (mut name, mut length) = (zeroed::<sockaddr_un>(), 110u32);
    t.call("own", sys!(SYS_getsockname, one, &raw mut name, &raw mut length));
    t.show("length", length);
    length = 110;
    t.call("peer", sys!(SYS_getpeername, one, &raw mut name, &raw mut length));
    t.show("length", length);
    let server = listener(b"a-longer-name");
    length = 5;
    t.call("cut", sys!(SYS_getsockname, server, &raw mut name, &raw mut length));
    t.show("true length", length);
    t.call("bad length", sys!(SYS_getsockname, server, &raw mut name, &raw const *&-1i32));
    t.call("bad pointer", sys!(SYS_getsockname, server, 8, &raw const *&16u32));
}

fn receive_timeout(t: &Trace) {
    let (one, other) = socket_pair(SOCK_STREAM);
    let time = timeval { tv_sec: 0, tv_usec: 40_000 };
    t.call("set", sys!(SYS_setsockopt, other, SOL_SOCKET, SO_RCVTIMEO, &raw const time, 16));
    crate::support::took(t, "time", 40, || receive(t, "nothing", other, 10, 0));
    t.call("set", sys!(SYS_setsockopt, one, SOL_SOCKET, SO_SNDTIMEO, &raw const time, 16));
    crate::support::took(t, "time", 40, || t.show("cut short", send(one, &vec![0; 10 << 20], 0) < 10 << 20));
}
