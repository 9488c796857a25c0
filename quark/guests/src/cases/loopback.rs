//! TCP of a machine to itself: names, backlogs, ends, resets and readiness, where no packet is needed for the answer.

use crate::cases::sockets::{LOOPBACK, address, bind, connect, get, listener, name_of, pair, set, socket};
use crate::support::{close, show_read, sleep_ms, spawn, wait_for, write, zeroed};
use crate::trace::{Case, Trace, errno_name};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(names_of_both_ends),
    case!(any_address_and_others),
    case!(six_and_mapped),
    case!(ports_are_taken),
    case!(connecting_again),
    case!(connecting_in_background),
    case!(refused_in_background),
    case!(own_address),
    case!(backlog_holds_data),
    case!(listener_closed_with_waiting),
    case!(listener_shut_down),
    case!(options_are_inherited),
    case!(peek_truncate_all),
    case!(queued_bytes),
    case!(half_closed),
    case!(write_to_closed),
    case!(reset_behind_data),
    case!(both_ends_closed),
    case!(shutting_reads),
    case!(states_told),
    case!(poll_of_ends),
    case!(edges),
    case!(edge_when_room),
    case!(waits_end),
    case!(ports_shared),
    case!(small_buffers),
    case!(passed_on),
    case!(sent_from_file),
];

fn show_error(t: &Trace, what: &str, fd: i64) {
    t.show(what, get(fd, SOL_SOCKET, SO_ERROR));
}

fn send(fd: i64, data: &[u8]) -> i64 {
    sys!(SYS_sendto, fd, data.as_ptr(), data.len(), MSG_NOSIGNAL, 0, 0)
}

fn events(fd: i64) -> String {
    let mut poll = pollfd { fd: fd as i32, events: POLLIN | POLLOUT | POLLRDHUP | POLLPRI, revents: 0 };
    sys!(SYS_poll, &raw mut poll, 1, 0);
    format!("{:#x}", poll.revents)
}

fn peer_of(fd: i64) -> String {
    let (mut name, mut length) = (address(0, 0), 16u32);
    if sys!(SYS_getpeername, fd, &raw mut name, &raw mut length) == -1 {
        return errno_name();
    }
    format!("{length} {} {:x}", name.sin_family, u32::from_be(name.sin_addr.s_addr))
}

fn names_of_both_ends(t: &Trace) {
    let (server, port) = listener();
    let client = socket(SOCK_STREAM);
    t.call("connect", connect(client, port));
    let (mut from, mut length) = (address(0, 0), 16u32);
    let accepted = sys!(SYS_accept, server, &raw mut from, &raw mut length);
    t.show("lengths", length);
    t.show("same port", u16::from_be(from.sin_port) == name_of(client).1 && name_of(client).1 > 1024);
    t.show("names", format!("{:x} {:x} {}", name_of(client).0, name_of(accepted).0, name_of(accepted).1 == port));
    t.show("peers", format!("{} {}", peer_of(client), peer_of(accepted)));
    t.show("listener", peer_of(server));
}

fn connect_to(fd: i64, ip: u32, port: u16) -> i64 {
    let address = address(ip, port);
    sys!(SYS_connect, fd, &raw const address, 16)
}

fn any_address_and_others(t: &Trace) {
    let server = socket(SOCK_STREAM);
    bind(server, 0, 0);
    sys!(SYS_listen, server, 9);
    let port = name_of(server).1;
    for ip in [0, 0x7f00_0001, 0x7f01_0203] {
        let client = socket(SOCK_STREAM);
        t.call("connect", connect_to(client, ip, port));
        let accepted = sys!(SYS_accept, server, 0, 0);
        t.show("names", format!("{:x} {} {:x} {}", name_of(client).0, peer_of(client), name_of(accepted).0, peer_of(accepted)));
    }
    let client = socket(SOCK_STREAM);
    bind(client, 0x7f00_0009, 0);
    t.call("bound", connect(client, port));
    t.show("name", format!("{:x}", name_of(client).0));
    // A listener of one address isn't found by another.
    let (_, port) = listener();
    t.call("other address", connect_to(socket(SOCK_STREAM), 0x7f00_0002, port));
}

fn six(ip: [u8; 16], port: u16) -> sockaddr_in6 {
    let mut address: sockaddr_in6 = zeroed();
    address.sin6_family = AF_INET6 as u16;
    address.sin6_addr.s6_addr = ip;
    address.sin6_port = port.to_be();
    address
}

fn six_and_mapped(t: &Trace) {
    let server = sys!(SYS_socket, AF_INET6, SOCK_STREAM, 0);
    let any = six([0; 16], 0);
    t.call("bind", sys!(SYS_bind, server, &raw const any, 28));
    sys!(SYS_listen, server, 9);
    let (mut name, mut length) = (any, 28u32);
    sys!(SYS_getsockname, server, &raw mut name, &raw mut length);
    let port = u16::from_be(name.sin6_port);
    let mut own = [0; 16];
    own[15] = 1;
    let mut mapped = [0; 16];
    mapped[10..].copy_from_slice(&[255, 255, 127, 0, 0, 1]);
    for ip in [own, mapped, [0; 16]] {
        let client = sys!(SYS_socket, AF_INET6, SOCK_STREAM, 0);
        let to = six(ip, port);
        t.call("connect", sys!(SYS_connect, client, &raw const to, 28));
        let accepted = sys!(SYS_accept, server, &raw mut name, &raw mut length);
        t.show("from", format!("{length} {:?}", { name.sin6_addr.s6_addr }));
        sys!(SYS_getsockname, accepted, &raw mut name, &raw mut length);
        t.show("at", format!("{length} {:?}", { name.sin6_addr.s6_addr }));
        sys!(SYS_getpeername, client, &raw mut name, &raw mut length);
        t.show("peer", format!("{length} {:?}", { name.sin6_addr.s6_addr }));
    }
    let four = socket(SOCK_STREAM);
    t.call("four", connect(four, port));
    sys!(SYS_accept, server, &raw mut name, &raw mut length);
    t.show("from", format!("{length} {:?}", { name.sin6_addr.s6_addr }));
    let only = sys!(SYS_socket, AF_INET6, SOCK_STREAM, 0);
    set(only, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    sys!(SYS_listen, only, 9);
    sys!(SYS_getsockname, only, &raw mut name, &raw mut length);
    t.call("only six", connect(socket(SOCK_STREAM), u16::from_be(name.sin6_port)));
    t.call("family", connect(only, port));
}

fn ports_are_taken(t: &Trace) {
    let (_, port) = listener();
    let client = socket(SOCK_STREAM);
    connect(client, port);
    let taken = name_of(client).1;
    t.call("bind", bind(socket(SOCK_STREAM), LOOPBACK, taken));
    close(client as i32);
    let (one, _) = pair();
    t.call("another", bind(one, LOOPBACK, 0));
    t.call("listen", sys!(SYS_listen, one, 1));
}

fn connecting_again(t: &Trace) {
    let (server, port) = listener();
    let client = socket(SOCK_STREAM);
    t.call("first", connect(client, port));
    t.call("again", connect(client, port));
    t.call("elsewhere", connect(client, 1));
    t.call("a listener", connect(server, port));
    let mut none = address(0, 0);
    none.sin_family = AF_UNSPEC as u16;
    let accepted = sys!(SYS_accept, server, 0, 0);
    t.call("accepted", connect(accepted, port));
    t.call("dissolve", sys!(SYS_connect, client, &raw const none, 16));
    t.show("peer", peer_of(client));
    show_read(t, "other end", accepted as i32);
    t.call("once more", connect(client, port));
}

fn connecting_in_background(t: &Trace) {
    let (server, port) = listener();
    let client = socket(SOCK_STREAM | SOCK_NONBLOCK);
    t.call("connect", connect(client, port));
    sleep_ms(10);
    t.show("events", events(client));
    show_error(t, "error", client);
    t.call("again", connect(client, port));
    t.call("and again", connect(client, port));
    t.call("send before accept", send(client, b"early"));
    show_read(t, "read", sys!(SYS_accept, server, 0, 0) as i32);
}

fn refused_in_background(t: &Trace) {
    let (server, port) = listener();
    close(server as i32);
    let client = socket(SOCK_STREAM | SOCK_NONBLOCK);
    t.call("connect", connect(client, port));
    sleep_ms(10);
    t.show("events", events(client));
    show_error(t, "error", client);
    show_error(t, "error again", client);
}

/// Another address of one's own is also where a connection to it comes from, or the loopback's first.
fn own_address(t: &Trace) {
    let server = socket(SOCK_STREAM);
    bind(server, 0x7f01_0101, 0);
    sys!(SYS_listen, server, 5);
    let client = socket(SOCK_STREAM);
    t.call("connect", connect_to(client, 0x7f01_0101, name_of(server).1));
    let accepted = sys!(SYS_accept, server, 0, 0);
    t.show("names", format!("{:x} {:x}", name_of(client).0, name_of(accepted).0));
    t.call("nobody there", connect_to(socket(SOCK_STREAM), 0x7f01_0102, name_of(server).1));
}

fn backlog_holds_data(t: &Trace) {
    let (server, port) = listener();
    for i in 0..5u8 {
        let client = socket(SOCK_STREAM);
        connect(client, port);
        send(client, &[b'a' + i]);
        close(client as i32);
    }
    for _ in 0..5 {
        let accepted = sys!(SYS_accept, server, 0, 0) as i32;
        show_read(t, "data", accepted);
        show_read(t, "end", accepted);
        close(accepted);
    }
    sys!(SYS_fcntl, server, F_SETFL, O_NONBLOCK);
    t.call("no more", sys!(SYS_accept, server, 0, 0));
    // Few may wait; those that find no room come all the same when there is some.
    let small = socket(SOCK_STREAM);
    bind(small, LOOPBACK, 0);
    sys!(SYS_listen, small, 0);
    let one = socket(SOCK_STREAM);
    t.call("first", connect(one, name_of(small).1));
    t.ok("accepted", sys!(SYS_accept, small, 0, 0));
}

fn listener_closed_with_waiting(t: &Trace) {
    let (server, port) = listener();
    let client = socket(SOCK_STREAM);
    connect(client, port);
    close(server as i32);
    sleep_ms(10);
    t.show("events", events(client));
    show_read(t, "read", client as i32);
    show_read(t, "again", client as i32);
    t.call("write", send(client, b"x"));
    t.call("refused", connect(socket(SOCK_STREAM), port));
}

fn listener_shut_down(t: &Trace) {
    let (server, port) = listener();
    let client = socket(SOCK_STREAM);
    connect(client, port);
    t.call("write side", sys!(SYS_shutdown, server, SHUT_WR));
    t.call("shutdown", sys!(SYS_shutdown, server, SHUT_RDWR));
    t.call("accept", sys!(SYS_accept, server, 0, 0));
    show_read(t, "read", client as i32);
    t.call("refused", connect(socket(SOCK_STREAM), port));
    t.call("listen again", sys!(SYS_listen, server, 5));
    t.call("connect", connect(socket(SOCK_STREAM), name_of(server).1));
    t.ok("accept", sys!(SYS_accept, server, 0, 0));
}

fn options_are_inherited(t: &Trace) {
    let (server, port) = listener();
    for (level, name, value) in [
        (IPPROTO_TCP, TCP_NODELAY, 1),
        (SOL_SOCKET, SO_KEEPALIVE, 1),
        (IPPROTO_TCP, TCP_KEEPIDLE, 77),
        (SOL_SOCKET, SO_RCVBUF, 30_000),
        (IPPROTO_IP, IP_TOS, 8),
    ] {
        t.call("set", set(server, level, name, value));
    }
    let client = socket(SOCK_STREAM);
    connect(client, port);
    let accepted = sys!(SYS_accept, server, 0, 0);
    for fd in [accepted, client] {
        let all = [(IPPROTO_TCP, TCP_NODELAY), (SOL_SOCKET, SO_KEEPALIVE), (IPPROTO_TCP, TCP_KEEPIDLE), (IPPROTO_IP, IP_TOS)];
        t.show("options", all.map(|(level, name)| get(fd, level, name)).join(" "));
        t.show("kind", [SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_ERROR].map(|name| get(fd, SOL_SOCKET, name)).join(" "));
    }
    t.show("buffer", get(accepted, SOL_SOCKET, SO_RCVBUF));
    t.call("set", set(accepted, IPPROTO_TCP, TCP_NODELAY, 0));
    t.show("now", get(accepted, IPPROTO_TCP, TCP_NODELAY));
    t.call("set unknown", set(accepted, IPPROTO_TCP, 999, 0));
    t.call("set error", set(accepted, SOL_SOCKET, SO_ERROR, 0));
}

fn receive(fd: i64, length: usize, flags: i32) -> String {
    let mut buffer = vec![b'.'; length];
    let got = sys!(SYS_recvfrom, fd, buffer.as_mut_ptr(), length, flags, 0, 0);
    if got == -1 { errno_name() } else { format!("{got} {}", buffer[..length.min(16)].escape_ascii()) }
}

fn peek_truncate_all(t: &Trace) {
    let (one, other) = pair();
    t.show("nothing", receive(other, 4, MSG_DONTWAIT));
    send(one, b"abcdefghijkl");
    t.show("peek", receive(other, 4, MSG_PEEK));
    t.show("peek more", receive(other, 6, MSG_PEEK | MSG_DONTWAIT));
    t.show("thrown away", sys!(SYS_recvfrom, other, 0, 2, MSG_TRUNC, 0, 0));
    t.show("plain", receive(other, 3, 0));
    let child = spawn(|| {
        sleep_ms(30);
        send(one, b"mn");
        sleep_ms(30);
        send(one, b"opq");
    });
    t.show("all", receive(other, 11, MSG_WAITALL));
    wait_for(child);
    t.show("rest", receive(other, 16, MSG_DONTWAIT));
    send(one, b"last");
    sys!(SYS_shutdown, one, SHUT_WR);
    t.show("all to the end", receive(other, 16, MSG_WAITALL));
    let (mut from, mut length) = (address(1, 1), 16u32);
    send(other, b"x");
    let mut byte = [0u8; 1];
    t.call("from", sys!(SYS_recvfrom, one, byte.as_mut_ptr(), 1, 0, &raw mut from, &raw mut length));
    t.show("address", format!("{length} {}", from.sin_family));
    let to = address(LOOPBACK, 1);
    t.call("to", sys!(SYS_sendto, other, b"y".as_ptr(), 1, 0, &raw const to, 16));
    t.show("of nothing", receive(one, 0, MSG_DONTWAIT));
}

fn queued_bytes(t: &Trace) {
    let (one, other) = pair();
    send(one, &[7; 300]);
    sleep_ms(10);
    let mut count = 0i32;
    t.call("ioctl", sys!(SYS_ioctl, other, FIONREAD, &raw mut count));
    t.show("readable", count);
    t.call("ioctl", sys!(SYS_ioctl, one, TIOCOUTQ, &raw mut count));
    t.show("not arrived", count);
    t.call("unknown", sys!(SYS_ioctl, one, 0x1234, &raw mut count));
}

fn half_closed(t: &Trace) {
    let (one, other) = pair();
    sys!(SYS_shutdown, one, SHUT_WR);
    sleep_ms(10);
    for i in 0..3 {
        t.call("send", send(other, &[b'a' + i]));
        show_read(t, "read", one as i32);
    }
    show_read(t, "end", other as i32);
    t.show("events", format!("{} {}", events(one), events(other)));
    close(other as i32);
    sleep_ms(10);
    show_read(t, "end", one as i32);
    t.show("events", events(one));
    t.show("peer", peer_of(one));
    t.call("shutdown", sys!(SYS_shutdown, one, SHUT_RD));
}

fn write_to_closed(t: &Trace) {
    let (one, other) = pair();
    close(other as i32);
    sleep_ms(10);
    t.show("events", events(one));
    t.call("first", send(one, b"x"));
    sleep_ms(10);
    t.show("events", events(one));
    t.call("second", send(one, b"x"));
    show_read(t, "read", one as i32);
    show_error(t, "error", one);
    t.show("peer", peer_of(one));
    let (one, other) = pair();
    close(other as i32);
    let end = crate::support::in_child(|| {
        write(one as i32, b"x");
        sleep_ms(10);
        write(one as i32, b"x");
    });
    t.show("signal", end);
}

fn reset_behind_data(t: &Trace) {
    let (one, other) = pair();
    send(one, b"unread");
    send(other, b"answer");
    sleep_ms(10);
    close(other as i32);
    sleep_ms(10);
    t.show("events", events(one));
    show_read(t, "data", one as i32);
    show_read(t, "error", one as i32);
    show_read(t, "end", one as i32);
    t.call("send", send(one, b"x"));
    let (one, other) = pair();
    send(one, b"unread");
    sleep_ms(10);
    close(other as i32);
    sleep_ms(10);
    t.call("send first", send(one, b"x"));
    t.call("send then", send(one, b"x"));
    show_error(t, "error", one);
}

fn both_ends_closed(t: &Trace) {
    let (one, other) = pair();
    sys!(SYS_shutdown, one, SHUT_WR);
    sys!(SYS_shutdown, other, SHUT_WR);
    sleep_ms(10);
    for fd in [one, other] {
        t.show("events", events(fd));
        t.show("peer", peer_of(fd));
        t.call("shutdown", sys!(SYS_shutdown, fd, SHUT_RDWR));
        show_read(t, "read", fd as i32);
        t.call("send", send(fd, b"x"));
    }
}

fn shutting_reads(t: &Trace) {
    let (one, other) = pair();
    send(other, b"before");
    sleep_ms(10);
    t.call("shutdown", sys!(SYS_shutdown, one, SHUT_RD));
    t.show("events", events(one));
    show_read(t, "read", one as i32);
    show_read(t, "end", one as i32);
    t.call("peer sends", send(other, b"after"));
    t.call("own send", send(one, b"x"));
    show_read(t, "peer reads", other as i32);
}

fn state(fd: i64) -> u8 {
    let (mut info, mut length) = ([0u8; 104], 104u32);
    sys!(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, info.as_mut_ptr(), &raw mut length);
    info[0]
}

fn states_told(t: &Trace) {
    let (one, other) = pair();
    t.show("connected", format!("{} {}", state(one), state(other)));
    sys!(SYS_shutdown, one, SHUT_WR);
    sleep_ms(20);
    t.show("half", format!("{} {}", state(one), state(other)));
    let (server, _) = listener();
    t.show("listening", state(server));
    t.show("congestion", sys!(SYS_getsockopt, other, IPPROTO_TCP, TCP_CONGESTION, [0u8; 16].as_mut_ptr(), &raw const *&mut 16u32));
}

fn poll_of_ends(t: &Trace) {
    let (one, other) = pair();
    t.show("fresh", events(one));
    send(other, b"x");
    t.show("data", events(one));
    sys!(SYS_shutdown, other, SHUT_WR);
    sleep_ms(10);
    t.show("ended", format!("{} {}", events(one), events(other)));
    sys!(SYS_shutdown, one, SHUT_WR);
    sleep_ms(10);
    t.show("both", format!("{} {}", events(one), events(other)));
    let (one, other) = pair();
    let linger = linger { l_onoff: 1, l_linger: 0 };
    sys!(SYS_setsockopt, one, SOL_SOCKET, SO_LINGER, &raw const linger, 8);
    close(one as i32);
    sleep_ms(10);
    t.show("reset", events(other));
    show_error(t, "error", other);
    t.show("then", events(other));
}

fn epoll_of(fd: i64, wanted: i32) -> i64 {
    let epoll = sys!(SYS_epoll_create1, 0);
    let event = epoll_event { events: wanted as u32, u64: 7 };
    sys!(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, fd, &raw const event);
    epoll
}

fn epoll_wait_for(epoll: i64, timeout: i32) -> String {
    let mut got = epoll_event { events: 0, u64: 0 };
    match sys!(SYS_epoll_wait, epoll, &raw mut got, 1, timeout) {
        1 => format!("{:#x}", { got.events }),
        _ => "none".into(),
    }
}

fn edges(t: &Trace) {
    // Watched before it is connected, as event loops do.
    let (server, port) = listener();
    let client = socket(SOCK_STREAM | SOCK_NONBLOCK);
    let epoll = epoll_of(client, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    t.show("unconnected", epoll_wait_for(epoll, 100));
    sleep_ms(10);
    connect(client, port);
    t.show("connected", epoll_wait_for(epoll, 1000));
    // What was told of the unconnected socket may be told late.
    epoll_wait_for(epoll, 30);
    let listening = epoll_of(server, EPOLLIN | EPOLLET);
    t.show("waiting", epoll_wait_for(listening, 1000));
    let accepted = sys!(SYS_accept, server, 0, 0);
    send(accepted, b"one");
    t.show("data", epoll_wait_for(epoll, 1000));
    t.show("nothing", epoll_wait_for(epoll, 30));
    send(accepted, b"two");
    t.show("more", epoll_wait_for(epoll, 1000));
    show_read(t, "read", client as i32);
    t.show("nothing", epoll_wait_for(epoll, 30));
    close(accepted as i32);
    t.show("end", epoll_wait_for(epoll, 1000));
}

fn edge_when_room(t: &Trace) {
    let (one, other) = pair();
    sys!(SYS_fcntl, one, F_SETFL, O_NONBLOCK);
    let epoll = epoll_of(one, EPOLLOUT | EPOLLET);
    t.show("at first", epoll_wait_for(epoll, 1000));
    let block = vec![1u8; 1 << 20];
    let mut sent = 0;
    loop {
        match send(one, &block) {
            -1 => break,
            count => sent += count,
        }
    }
    t.call("full", send(one, b"x"));
    t.show("full", epoll_wait_for(epoll, 30));
    let mut buffer = vec![0u8; 1 << 20];
    while sent > 0 {
        sent -= sys!(SYS_read, other, buffer.as_mut_ptr(), buffer.len());
    }
    t.show("empty", epoll_wait_for(epoll, 1000));
    t.call("send", send(one, b"x"));
}

fn waits_end(t: &Trace) {
    let (one, other) = pair();
    let child = spawn(|| {
        show_read(t, "read", other as i32);
        show_read(t, "end", other as i32);
    });
    sleep_ms(30);
    send(one, b"x");
    sleep_ms(30);
    sys!(SYS_shutdown, one, SHUT_WR);
    t.show("child", wait_for(child));
    let limit = timeval { tv_sec: 0, tv_usec: 30_000 };
    sys!(SYS_setsockopt, one, SOL_SOCKET, SO_RCVTIMEO, &raw const limit, 16);
    t.show("in time", receive(one, 4, 0));
    let (server, port) = listener();
    let child = spawn(|| t.ok("accept", sys!(SYS_accept, server, 0, 0)));
    sleep_ms(30);
    connect(socket(SOCK_STREAM), port);
    t.show("child", wait_for(child));
}

fn ports_shared(t: &Trace) {
    let (one, two) = (socket(SOCK_STREAM), socket(SOCK_STREAM));
    set(one, SOL_SOCKET, SO_REUSEPORT, 1);
    set(two, SOL_SOCKET, SO_REUSEPORT, 1);
    bind(one, LOOPBACK, 0);
    let port = name_of(one).1;
    t.call("bind", bind(two, LOOPBACK, port));
    t.call("listen", sys!(SYS_listen, one, 64));
    t.call("listen", sys!(SYS_listen, two, 64));
    t.call("alone", bind(socket(SOCK_STREAM), LOOPBACK, port));
    let clients: Vec<_> = (0..40).map(|_| socket(SOCK_STREAM)).collect();
    t.show("connect", clients.iter().all(|client| connect(*client, port) == 0));
    let mut served = [0; 2];
    for (count, fd) in served.iter_mut().zip([one, two]) {
        sys!(SYS_fcntl, fd, F_SETFL, O_NONBLOCK);
        while sys!(SYS_accept, fd, 0, 0) != -1 {
            *count += 1;
        }
    }
    t.show("served", format!("{} {}", served[0] + served[1], served[0] > 0 && served[1] > 0));
    close(one as i32);
    t.call("the other", connect(socket(SOCK_STREAM), port));
}

fn small_buffers(t: &Trace) {
    let (one, other) = pair();
    set(one, SOL_SOCKET, SO_SNDBUF, 4096);
    set(other, SOL_SOCKET, SO_RCVBUF, 4096);
    let child = spawn(|| {
        let block = [3u8; 300_000];
        t.call("send", send(one, &block));
        close(one as i32);
    });
    close(one as i32);
    let (mut total, mut buffer) = (0, [0u8; 777]);
    while let count @ 1.. = sys!(SYS_read, other, buffer.as_mut_ptr(), buffer.len()) {
        total += count;
    }
    t.show("total", total);
    t.show("child", wait_for(child));
}

fn passed_on(t: &Trace) {
    // What a fork and a dup share ends with the last of them.
    let (one, other) = pair();
    let again = sys!(SYS_dup, one);
    close(one as i32);
    let child = spawn(|| {
        close(other as i32);
        send(again, b"from the child");
    });
    show_read(t, "read", other as i32);
    wait_for(child);
    t.show("open", receive(other, 4, MSG_DONTWAIT));
    close(again as i32);
    sleep_ms(10);
    t.show("closed", receive(other, 4, MSG_DONTWAIT));
}

fn sent_from_file(t: &Trace) {
    let (one, other) = pair();
    let file = crate::support::file(c"data", &[b'z'; 5000]);
    t.call("sendfile", sys!(SYS_sendfile, one, file, 0, 5000));
    let pieces =
        [iovec { iov_base: c"ab".as_ptr() as *mut c_void, iov_len: 2 }, iovec { iov_base: c"cde".as_ptr() as *mut c_void, iov_len: 3 }];
    t.call("writev", sys!(SYS_writev, one, pieces.as_ptr(), 2));
    sys!(SYS_shutdown, one, SHUT_WR);
    let mut buffer = [0u8; 6000];
    t.call("all", sys!(SYS_recvfrom, other, buffer.as_mut_ptr(), 6000, MSG_WAITALL, 0, 0));
    t.bytes("tail", &buffer[4998..5005]);
}
