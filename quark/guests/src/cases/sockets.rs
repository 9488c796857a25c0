//! TCP, UDP and netlink on loopback.

use crate::support::{close, in_child, show_read, sleep_ms, spawn, took, wait_for, write, zeroed};
use crate::trace::{Case, Trace, errno_name};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(socket_errors),
    case!(tcp_connection),
    case!(tcp_names),
    case!(tcp_refused),
    case!(tcp_not_blocking),
    case!(tcp_shut_down),
    case!(tcp_reset),
    case!(tcp_options),
    case!(tcp_large_transfer),
    case!(tcp_many_connections),
    case!(tcp_poll),
    case!(tcp_bind_errors),
    case!(tcp_accept_flags),
    case!(tcp_six),
    case!(udp_messages),
    case!(udp_connected),
    case!(udp_errors),
    case!(udp_options),
    case!(udp_broadcast_refused),
    case!(urgent_data),
    case!(low_ports),
    case!(netlink_links),
    case!(netlink_errors),
    case!(interface_ioctls),
    case!(raw_needs_capability),
    case!(message_errors),
];

pub const LOOPBACK: u32 = 0x7f00_0001;

pub fn address(ip: u32, port: u16) -> sockaddr_in {
    let mut address: sockaddr_in = zeroed();
    address.sin_family = AF_INET as u16;
    address.sin_addr.s_addr = ip.to_be();
    address.sin_port = port.to_be();
    address
}

pub fn socket(kind: i32) -> i64 {
    sys!(SYS_socket, AF_INET, kind, 0)
}

pub fn bind(fd: i64, ip: u32, port: u16) -> i64 {
    let address = address(ip, port);
    sys!(SYS_bind, fd, &raw const address, 16)
}

pub fn connect(fd: i64, port: u16) -> i64 {
    let address = address(LOOPBACK, port);
    sys!(SYS_connect, fd, &raw const address, 16)
}

/// Port and address of a socket's own side.
pub fn name_of(fd: i64) -> (u32, u16) {
    let (mut name, mut length) = (address(0, 0), 16u32);
    sys!(SYS_getsockname, fd, &raw mut name, &raw mut length);
    (u32::from_be(name.sin_addr.s_addr), u16::from_be(name.sin_port))
}

/// A listening socket, and its port.
pub fn listener() -> (i64, u16) {
    let fd = socket(SOCK_STREAM);
    bind(fd, LOOPBACK, 0);
    sys!(SYS_listen, fd, 64);
    (fd, name_of(fd).1)
}

/// Two connected sockets.
pub fn pair() -> (i64, i64) {
    let (server, port) = listener();
    let client = socket(SOCK_STREAM);
    connect(client, port);
    let accepted = sys!(SYS_accept, server, 0, 0);
    close(server as i32);
    (client, accepted)
}

pub fn set(fd: i64, level: i32, name: i32, value: i32) -> i64 {
    sys!(SYS_setsockopt, fd, level, name, &raw const value, 4)
}

pub fn get(fd: i64, level: i32, name: i32) -> String {
    let (mut value, mut length) = (0i32, 4u32);
    let got = sys!(SYS_getsockopt, fd, level, name, &raw mut value, &raw mut length);
    if got == -1 { errno_name() } else { value.to_string() }
}

fn socket_errors(t: &Trace) {
    t.call("family", sys!(SYS_socket, 99, SOCK_STREAM, 0));
    t.call("kind", sys!(SYS_socket, AF_INET, 99, 0));
    t.call("protocol", sys!(SYS_socket, AF_INET, SOCK_STREAM, IPPROTO_UDP));
    t.call("flags", sys!(SYS_socket, AF_INET, SOCK_STREAM | 0x100000, 0));
    t.call("packets", sys!(SYS_socket, AF_INET, SOCK_SEQPACKET, 0));
    let fd = sys!(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    t.show("flags", format!("{} {:#o}", sys!(SYS_fcntl, fd, F_GETFD), sys!(SYS_fcntl, fd, F_GETFL)));
    t.call("seek", sys!(SYS_lseek, fd, 0, SEEK_SET));
    t.call("read", sys!(SYS_read, fd, [0u8; 4].as_mut_ptr(), 4));
    t.call("send", sys!(SYS_sendto, fd, b"x".as_ptr(), 1, MSG_NOSIGNAL, 0, 0));
    t.call("accept", sys!(SYS_accept, fd, 0, 0));
    t.call("shutdown", sys!(SYS_shutdown, fd, SHUT_WR));
    t.show("child", in_child(|| _ = write(fd as i32, b"x")));
}

fn tcp_connection(t: &Trace) {
    let (server, port) = listener();
    let child = spawn(|| {
        let client = socket(SOCK_STREAM);
        t.call("connect", connect(client, port));
        t.call("write", write(client as i32, b"hello"));
        show_read(t, "answer", client as i32);
    });
    let (mut from, mut length) = (address(0, 0), 16u32);
    let accepted = sys!(SYS_accept, server, &raw mut from, &raw mut length) as i32;
    t.show("from", format!("{length} {} {:x}", from.sin_family, u32::from_be(from.sin_addr.s_addr)));
    show_read(t, "read", accepted);
    write(accepted, b"back");
    t.show("child", wait_for(child));
    show_read(t, "end", accepted);
}

fn tcp_names(t: &Trace) {
    let (server, port) = listener();
    let client = socket(SOCK_STREAM);
    t.show("unbound", format!("{:x?}", name_of(client)));
    let mut name: sockaddr_in = zeroed();
    t.call("no peer", sys!(SYS_getpeername, client, &raw mut name, &raw const *&mut 16u32));
    connect(client, port);
    t.show("bound", format!("{:x} {}", name_of(client).0, name_of(client).1 > 0));
    let mut length = 16u32;
    t.call("peer", sys!(SYS_getpeername, client, &raw mut name, &raw mut length));
    t.show("peer", format!("{length} {}", u16::from_be(name.sin_port) == port));
    t.show("listening", format!("{:x}", name_of(server).0));
    t.call("connected", connect(client, port));
}

fn tcp_refused(t: &Trace) {
    let (server, port) = listener();
    close(server as i32);
    let client = socket(SOCK_STREAM);
    t.call("connect", connect(client, port));
    let slow = socket(SOCK_STREAM | SOCK_NONBLOCK);
    let got = connect(slow, port);
    if got != -1 || ![EINPROGRESS, ECONNREFUSED].contains(&std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) {
        t.call("connect", got);
    }
    let wrong = address(LOOPBACK, 1);
    t.call("short", sys!(SYS_connect, client, &raw const wrong, 4));
    let mut family = wrong;
    family.sin_family = 77;
    t.call("family", sys!(SYS_connect, socket(SOCK_STREAM), &raw const family, 16));
    t.call("bad pointer", sys!(SYS_connect, client, 8, 16));
}

fn tcp_not_blocking(t: &Trace) {
    let (server, port) = listener();
    sys!(SYS_fcntl, server, F_SETFL, O_NONBLOCK);
    t.call("nobody", sys!(SYS_accept, server, 0, 0));
    let client = socket(SOCK_STREAM | SOCK_NONBLOCK);
    let got = connect(client, port);
    t.show("connects", got == 0 || errno_name() == "EINPROGRESS");
    let mut poll = pollfd { fd: client as i32, events: POLLOUT, revents: 0 };
    t.call("poll", sys!(SYS_poll, &raw mut poll, 1, 3000));
    t.show("events", poll.revents);
    t.show("error", get(client, SOL_SOCKET, SO_ERROR));
    let accepted = sys!(SYS_accept4, server, 0, 0, SOCK_NONBLOCK);
    t.ok("accept", accepted);
    t.call("empty", sys!(SYS_read, accepted, [0u8; 4].as_mut_ptr(), 4));
    let block = [0u8; 65_536];
    let mut last = 0;
    for _ in 0..1000 {
        last = write(client as i32, &block);
        if last == -1 {
            break;
        }
    }
    t.call("full", last);
}

fn tcp_shut_down(t: &Trace) {
    let (one, other) = pair();
    write(one as i32, b"abc");
    t.call("shutdown", sys!(SYS_shutdown, one, SHUT_WR));
    t.call("write", sys!(SYS_sendto, one, b"x".as_ptr(), 1, MSG_NOSIGNAL, 0, 0));
    show_read(t, "rest", other as i32);
    show_read(t, "end", other as i32);
    t.call("other way", write(other as i32, b"y"));
    show_read(t, "read", one as i32);
    t.call("again", sys!(SYS_shutdown, one, SHUT_WR));
    t.call("how", sys!(SYS_shutdown, one, 9));
}

fn tcp_reset(t: &Trace) {
    let (one, other) = pair();
    let linger = linger { l_onoff: 1, l_linger: 0 };
    t.call("linger", sys!(SYS_setsockopt, one, SOL_SOCKET, SO_LINGER, &raw const linger, 8));
    close(one as i32);
    sleep_ms(20);
    show_read(t, "read", other as i32);
    t.call("write", sys!(SYS_sendto, other, b"x".as_ptr(), 1, MSG_NOSIGNAL, 0, 0));
    let (one, other) = pair();
    write(one as i32, b"unread");
    sleep_ms(20);
    close(other as i32);
    sleep_ms(20);
    show_read(t, "unread data", one as i32);
}

fn tcp_options(t: &Trace) {
    let fd = socket(SOCK_STREAM);
    for (what, level, name, value) in [
        ("reuse address", SOL_SOCKET, SO_REUSEADDR, 1),
        ("reuse port", SOL_SOCKET, SO_REUSEPORT, 1),
        ("keep alive", SOL_SOCKET, SO_KEEPALIVE, 1),
        ("no delay", IPPROTO_TCP, TCP_NODELAY, 1),
        ("idle", IPPROTO_TCP, TCP_KEEPIDLE, 33),
        ("interval", IPPROTO_TCP, TCP_KEEPINTVL, 44),
        ("count", IPPROTO_TCP, TCP_KEEPCNT, 5),
        ("user timeout", IPPROTO_TCP, TCP_USER_TIMEOUT, 1234),
        ("cork", IPPROTO_TCP, TCP_CORK, 1),
        ("quick ack", IPPROTO_TCP, TCP_QUICKACK, 1),
        ("time to live", IPPROTO_IP, IP_TTL, 9),
        ("service", IPPROTO_IP, IP_TOS, 0x10),
        ("receive buffer", SOL_SOCKET, SO_RCVBUF, 20_000),
        ("priority", SOL_SOCKET, SO_PRIORITY, 3),
    ] {
        let before = get(fd, level, name);
        let got = set(fd, level, name, value);
        t.show(what, format!("{before} {got} {}", get(fd, level, name)));
    }
    t.show("type", get(fd, SOL_SOCKET, SO_TYPE));
    t.show("unknown", get(fd, SOL_SOCKET, 999));
    t.show("unknown tcp", get(fd, IPPROTO_TCP, 999));
    t.show("level", get(fd, 999, 1));
    t.call("set unknown", set(fd, IPPROTO_TCP, 999, 1));
    t.call("short", sys!(SYS_setsockopt, fd, IPPROTO_TCP, TCP_NODELAY, &raw const *&1i32, 2));
    t.call("bad pointer", sys!(SYS_setsockopt, fd, IPPROTO_TCP, TCP_NODELAY, 8, 4));
    let mut info = [0u8; 192];
    let mut length = 192u32;
    t.call("info", sys!(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, info.as_mut_ptr(), &raw mut length));
    t.show("state", info[0]);
}

fn tcp_large_transfer(t: &Trace) {
    let (one, other) = pair();
    let child = spawn(|| {
        close(other as i32);
        let block: Vec<u8> = (0..3_000_000u32).map(|i| (i % 239) as u8).collect();
        t.call("send", sys!(SYS_sendto, one, block.as_ptr(), block.len(), 0, 0, 0));
    });
    close(one as i32);
    let (mut total, mut sum, mut buffer) = (0u64, 0u64, vec![0u8; 100_000]);
    while let Ok(length @ 1..) = usize::try_from(sys!(SYS_read, other, buffer.as_mut_ptr(), buffer.len())) {
        total += length as u64;
        sum += buffer[..length].iter().map(|byte| u64::from(*byte)).sum::<u64>();
    }
    t.show("child", wait_for(child));
    t.show("bytes and sum", format!("{total} {sum}"));
}

fn tcp_many_connections(t: &Trace) {
    let (server, port) = listener();
    let child = spawn(|| {
        for i in 0..100u8 {
            let client = socket(SOCK_STREAM);
            connect(client, port);
            write(client as i32, &[i]);
            close(client as i32);
        }
    });
    let mut sum = 0u32;
    for _ in 0..100 {
        let accepted = sys!(SYS_accept, server, 0, 0);
        let mut byte = [0u8; 1];
        sys!(SYS_read, accepted, byte.as_mut_ptr(), 1);
        sum += u32::from(byte[0]);
        close(accepted as i32);
    }
    t.show("child", wait_for(child));
    t.show("sum", sum);
}

fn tcp_poll(t: &Trace) {
    let (server, port) = listener();
    let mut poll = pollfd { fd: server as i32, events: POLLIN, revents: 0 };
    t.call("nobody", sys!(SYS_poll, &raw mut poll, 1, 0));
    let client = socket(SOCK_STREAM);
    connect(client, port);
    t.call("somebody", sys!(SYS_poll, &raw mut poll, 1, 3000));
    let accepted = sys!(SYS_accept, server, 0, 0);
    let mut poll = pollfd { fd: accepted as i32, events: POLLIN | POLLOUT | POLLRDHUP, revents: 0 };
    sys!(SYS_poll, &raw mut poll, 1, 0);
    t.show("connected", format!("{:#x}", poll.revents));
    write(client as i32, b"x");
    sleep_ms(10);
    sys!(SYS_poll, &raw mut poll, 1, 0);
    t.show("data", format!("{:#x}", poll.revents));
    sys!(SYS_shutdown, client, SHUT_WR);
    sleep_ms(10);
    sys!(SYS_poll, &raw mut poll, 1, 0);
    t.show("half closed", format!("{:#x}", poll.revents));
    sys!(SYS_shutdown, accepted, SHUT_WR);
    sleep_ms(10);
    sys!(SYS_poll, &raw mut poll, 1, 0);
    t.show("closed", format!("{:#x}", poll.revents));
    let epoll = sys!(SYS_epoll_create1, 0);
    let event = epoll_event { events: (EPOLLIN | EPOLLET) as u32, u64: 1 };
    let (one, other) = pair();
    sys!(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, other, &raw const event);
    let mut got = event;
    t.call("edge, nothing", sys!(SYS_epoll_wait, epoll, &raw mut got, 1, 0));
    write(one as i32, b"x");
    t.call("edge", sys!(SYS_epoll_wait, epoll, &raw mut got, 1, 3000));
    t.call("no edge", sys!(SYS_epoll_wait, epoll, &raw mut got, 1, 20));
    write(one as i32, b"x");
    t.call("edge", sys!(SYS_epoll_wait, epoll, &raw mut got, 1, 3000));
}

fn tcp_bind_errors(t: &Trace) {
    let (_server, port) = listener();
    t.call("in use", bind(socket(SOCK_STREAM), LOOPBACK, port));
    t.call("not ours", bind(socket(SOCK_STREAM), 0x0808_0808, 0));
    let fd = socket(SOCK_STREAM);
    t.call("bind", bind(fd, LOOPBACK, 0));
    t.call("again", bind(fd, LOOPBACK, 0));
    let name = address(LOOPBACK, 0);
    t.call("short", sys!(SYS_bind, socket(SOCK_STREAM), &raw const name, 8));
    t.call("bad pointer", sys!(SYS_bind, socket(SOCK_STREAM), 8, 16));
    t.call("no socket", bind(0, LOOPBACK, 0));
    t.call("closed", bind(99, LOOPBACK, 0));
    t.call("listen unbound", sys!(SYS_listen, socket(SOCK_STREAM), 5));
    t.call("listen closed", sys!(SYS_listen, 99, 5));
}

fn tcp_accept_flags(t: &Trace) {
    let (server, port) = listener();
    connect(socket(SOCK_STREAM), port);
    let accepted = sys!(SYS_accept4, server, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
    t.show("flags", format!("{} {:#o}", sys!(SYS_fcntl, accepted, F_GETFD), sys!(SYS_fcntl, accepted, F_GETFL)));
    connect(socket(SOCK_STREAM), port);
    t.call("bad pointer", sys!(SYS_accept, server, 8, &raw const *&mut 16u32));
    t.call("unknown flag", sys!(SYS_accept4, server, 0, 0, 7));
    let time = timeval { tv_sec: 0, tv_usec: 40_000 };
    sys!(SYS_setsockopt, server, SOL_SOCKET, SO_RCVTIMEO, &raw const time, 16);
    sys!(SYS_fcntl, server, F_SETFL, O_NONBLOCK);
    while sys!(SYS_accept, server, 0, 0) != -1 {}
    sys!(SYS_fcntl, server, F_SETFL, 0);
    took(t, "time", 40, || t.call("timeout", sys!(SYS_accept, server, 0, 0)));
}

fn tcp_six(t: &Trace) {
    let server = sys!(SYS_socket, AF_INET6, SOCK_STREAM, 0);
    let mut name: sockaddr_in6 = zeroed();
    name.sin6_family = AF_INET6 as u16;
    name.sin6_addr.s6_addr[15] = 1;
    let got = sys!(SYS_bind, server, &raw const name, 28);
    t.call("bind", got);
    if got == -1 {
        return;
    }
    sys!(SYS_listen, server, 5);
    let mut length = 28u32;
    sys!(SYS_getsockname, server, &raw mut name, &raw mut length);
    let client = sys!(SYS_socket, AF_INET6, SOCK_STREAM, 0);
    t.call("connect", sys!(SYS_connect, client, &raw const name, 28));
    let accepted = sys!(SYS_accept, server, 0, 0);
    write(client as i32, b"six");
    show_read(t, "read", accepted as i32);
    t.show("only six", get(server, IPPROTO_IPV6, IPV6_V6ONLY));
}

fn udp_messages(t: &Trace) {
    let server = socket(SOCK_DGRAM);
    bind(server, LOOPBACK, 0);
    let to = address(LOOPBACK, name_of(server).1);
    let client = socket(SOCK_DGRAM);
    t.call("send", sys!(SYS_sendto, client, b"abcdef".as_ptr(), 6, 0, &raw const to, 16));
    t.call("empty", sys!(SYS_sendto, client, b"".as_ptr(), 0, 0, &raw const to, 16));
    let (mut buffer, mut from, mut length) = ([0u8; 16], address(0, 0), 16u32);
    t.call("cut", sys!(SYS_recvfrom, server, buffer.as_mut_ptr(), 3, MSG_TRUNC, &raw mut from, &raw mut length));
    t.show("from", format!("{length} {}", u16::from_be(from.sin_port) == name_of(client).1));
    t.call("empty", sys!(SYS_recvfrom, server, buffer.as_mut_ptr(), 16, 0, 0, 0));
    t.call("none", sys!(SYS_recvfrom, server, buffer.as_mut_ptr(), 16, MSG_DONTWAIT, 0, 0));
    t.call("too long", sys!(SYS_sendto, client, vec![0u8; 70_000].as_ptr(), 70_000, 0, &raw const to, 16));
    let child = spawn(|| {
        sleep_ms(30);
        sys!(SYS_sendto, client, b"late".as_ptr(), 4, 0, &raw const to, 16);
    });
    show_read(t, "waits", server as i32);
    t.show("child", wait_for(child));
    let mut left = 0i32;
    sys!(SYS_sendto, client, b"12345".as_ptr(), 5, 0, &raw const to, 16);
    sys!(SYS_ioctl, server, FIONREAD, &raw mut left);
    t.show("next size", left);
}

fn udp_connected(t: &Trace) {
    let (one, other) = (socket(SOCK_DGRAM), socket(SOCK_DGRAM));
    bind(one, LOOPBACK, 0);
    bind(other, LOOPBACK, 0);
    t.call("connect", connect(one, name_of(other).1));
    t.call("write", write(one as i32, b"abc"));
    show_read(t, "read", other as i32);
    let to = address(LOOPBACK, name_of(one).1);
    let stranger = socket(SOCK_DGRAM);
    sys!(SYS_sendto, stranger, b"x".as_ptr(), 1, 0, &raw const to, 16);
    t.call("not from strangers", sys!(SYS_recvfrom, one, [0u8; 4].as_mut_ptr(), 4, MSG_DONTWAIT, 0, 0));
    close(other as i32);
    write(one as i32, b"x");
    sleep_ms(20);
    t.call("refused", write(one as i32, b"x"));
    let family = AF_UNSPEC as u16;
    t.call("disconnect", sys!(SYS_connect, one, &raw const family, 16));
    t.call("no destination", write(one as i32, b"x"));
}

fn udp_errors(t: &Trace) {
    let fd = socket(SOCK_DGRAM);
    t.call("listen", sys!(SYS_listen, fd, 5));
    t.call("accept", sys!(SYS_accept, fd, 0, 0));
    t.call("no destination", sys!(SYS_sendto, fd, b"x".as_ptr(), 1, 0, 0, 0));
    let mut to = address(LOOPBACK, 9);
    to.sin_family = 77;
    t.call("family", sys!(SYS_sendto, fd, b"x".as_ptr(), 1, 0, &raw const to, 16));
    t.call("short", sys!(SYS_sendto, fd, b"x".as_ptr(), 1, 0, &raw const to, 4));
    t.call("port 0", sys!(SYS_sendto, fd, b"x".as_ptr(), 1, 0, &raw const *&address(LOOPBACK, 0), 16));
    t.call("bad data", sys!(SYS_sendto, fd, 8, 10, 0, &raw const *&address(LOOPBACK, 9), 16));
    t.call("shutdown", sys!(SYS_shutdown, fd, SHUT_RDWR));
}

fn udp_options(t: &Trace) {
    let fd = socket(SOCK_DGRAM);
    for (what, level, name, value) in [
        ("broadcast", SOL_SOCKET, SO_BROADCAST, 1),
        ("time to live", IPPROTO_IP, IP_TTL, 3),
        ("multicast loop", IPPROTO_IP, IP_MULTICAST_LOOP, 0),
        ("multicast life", IPPROTO_IP, IP_MULTICAST_TTL, 7),
        ("packet info", IPPROTO_IP, IP_PKTINFO, 1),
        ("errors", IPPROTO_IP, IP_RECVERR, 1),
        ("discover", IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO),
    ] {
        t.show(what, format!("{} {}", set(fd, level, name, value), get(fd, level, name)));
    }
    t.show("tcp's", get(fd, IPPROTO_TCP, TCP_NODELAY));
}

fn udp_broadcast_refused(t: &Trace) {
    let fd = socket(SOCK_DGRAM);
    t.call("send", sys!(SYS_sendto, fd, b"x".as_ptr(), 1, 0, &raw const *&address(u32::MAX, 9), 16));
}

fn urgent_data(t: &Trace) {
    let (one, other) = pair();
    t.call("send", sys!(SYS_sendto, one, b"ab".as_ptr(), 2, MSG_OOB, 0, 0));
    sleep_ms(20);
    let mut buffer = [0u8; 8];
    t.call("urgent", sys!(SYS_recvfrom, other, buffer.as_mut_ptr(), 8, MSG_OOB, 0, 0));
    show_read(t, "plain", other as i32);
    t.call("none", sys!(SYS_recvfrom, other, buffer.as_mut_ptr(), 8, MSG_OOB, 0, 0));
}

fn low_ports(t: &Trace) {
    t.call("root", bind(socket(SOCK_STREAM), LOOPBACK, 80));
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        let got = bind(socket(SOCK_STREAM), LOOPBACK, 81);
        t.call("another", got);
    });
    t.show("child", end);
}

fn netlink_links(t: &Trace) {
    let fd = sys!(SYS_socket, AF_NETLINK, SOCK_RAW, 0);
    t.call("socket", fd);
    let mut name: sockaddr_nl = zeroed();
    name.nl_family = AF_NETLINK as u16;
    t.call("bind", sys!(SYS_bind, fd, &raw const name, 12));
    let mut length = 12u32;
    t.call("name", sys!(SYS_getsockname, fd, &raw mut name, &raw mut length));
    t.show("has an id", name.nl_pid != 0);
    // RTM_GETLINK, all of them.
    let mut request = [0u32; 8];
    request[0] = 32;
    request[1] = 18 | (0x301 << 16);
    request[2] = 77;
    t.call("send", sys!(SYS_sendto, fd, request.as_ptr(), 32, 0, 0, 0));
    let (mut kinds, mut names) = (Vec::new(), Vec::new());
    'all: loop {
        let mut answer = vec![0u8; 32_768];
        let Ok(length @ 1..) = usize::try_from(sys!(SYS_recvfrom, fd, answer.as_mut_ptr(), answer.len(), 0, 0, 0)) else { break };
        let mut at = 0;
        while at + 16 <= length {
            let word = |i: usize| u32::from_ne_bytes(answer[at + i..at + i + 4].try_into().unwrap_or_default());
            kinds.push(word(4) & 0xffff);
            if word(4) & 0xffff == 3 {
                break 'all;
            }
            names.push(answer[at..at + word(0) as usize].windows(3).any(|text| text == b"lo\0"));
            at += (word(0) as usize).next_multiple_of(4);
        }
    }
    kinds.dedup();
    t.show("kinds", format!("{kinds:?}"));
    t.show("loopback", names.contains(&true));
}

fn netlink_errors(t: &Trace) {
    t.call("protocol", sys!(SYS_socket, AF_NETLINK, SOCK_RAW, 999));
    t.call("kind", sys!(SYS_socket, AF_NETLINK, SOCK_STREAM, 0));
    let fd = sys!(SYS_socket, AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    t.call("socket", fd);
    t.call("nothing", sys!(SYS_recvfrom, fd, [0u8; 64].as_mut_ptr(), 64, MSG_DONTWAIT, 0, 0));
    // An unknown request is answered with an error message.
    let request = [16u32, 9999 | (5 << 16), 1, 0];
    t.call("send", sys!(SYS_sendto, fd, request.as_ptr(), 16, 0, 0, 0));
    let mut answer = [0i32; 64];
    t.ok("answer", sys!(SYS_recvfrom, fd, answer.as_mut_ptr(), 256, 0, 0, 0));
    t.show("kind and error", format!("{} {}", answer[1] & 0xffff, answer[4]));
}

fn interface_ioctls(t: &Trace) {
    let fd = socket(SOCK_DGRAM);
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    t.call("index", sys!(SYS_ioctl, fd, SIOCGIFINDEX, request.as_mut_ptr()));
    t.show("index", request[16]);
    t.call("flags", sys!(SYS_ioctl, fd, SIOCGIFFLAGS, request.as_mut_ptr()));
    t.show("loopback", request[16] & 8 != 0);
    t.call("address", sys!(SYS_ioctl, fd, SIOCGIFADDR, request.as_mut_ptr()));
    t.show("address", format!("{:?}", &request[20..24]));
    request[..5].copy_from_slice(b"none\0");
    t.call("missing", sys!(SYS_ioctl, fd, SIOCGIFINDEX, request.as_mut_ptr()));
    t.call("unknown", sys!(SYS_ioctl, fd, 0x1234, request.as_mut_ptr()));
    t.show("listed", std::fs::read_to_string("/proc/net/dev").unwrap_or_default().contains("lo:"));
}

fn raw_needs_capability(t: &Trace) {
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("raw", sys!(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP));
        t.call("packet", sys!(SYS_socket, AF_PACKET, SOCK_RAW, 0));
    });
    t.show("child", end);
}

fn message_errors(t: &Trace) {
    let (one, _other) = pair();
    let mut message: msghdr = zeroed();
    t.call("empty", sys!(SYS_sendmsg, one, &raw const message, 0));
    message.msg_iovlen = 1025;
    t.call("parts", sys!(SYS_sendmsg, one, &raw const message, 0));
    message.msg_iovlen = 1;
    message.msg_iov = 8 as *mut _;
    t.call("bad parts", sys!(SYS_sendmsg, one, &raw const message, 0));
    t.call("bad message", sys!(SYS_sendmsg, one, 8, 0));
    t.call("receive", sys!(SYS_recvmsg, one, 8, 0));
    message.msg_iovlen = 0;
    message.msg_iov = std::ptr::null_mut();
    let control = [8u64, 0];
    message.msg_control = control.as_ptr() as *mut _;
    message.msg_controllen = 16;
    t.call("control", sys!(SYS_sendmsg, one, &raw const message, 0));
    t.call("no socket", sys!(SYS_sendmsg, 0, &raw const message, 0));
}
