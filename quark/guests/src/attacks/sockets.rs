//! Families of sockets that reach kernel code of the host, and sockets of the host.

use super::{Attack, Canaries};
use crate::support::zeroed;
use crate::sys;

pub const ATTACKS: &[Attack] = &[
    ("families", families),
    ("raw", raw),
    ("netlink", netlink),
    ("abstract_socket", abstract_socket),
    ("socket_in_volume", socket_in_volume),
];

/// Natively, with the capabilities of a common container, AF_PACKET opens, as do AF_ALG and AF_VSOCK where the host has them.
fn families(a: &Canaries) {
    let families = [
        ("AF_PACKET", libc::AF_PACKET),
        ("AF_ALG", libc::AF_ALG),
        ("AF_VSOCK", libc::AF_VSOCK),
        ("AF_RDS", libc::AF_RDS),
        ("AF_TIPC", libc::AF_TIPC),
        ("AF_KEY", libc::AF_KEY),
        ("AF_CAN", libc::AF_CAN),
        ("AF_BLUETOOTH", libc::AF_BLUETOOTH),
        ("AF_XDP", libc::AF_XDP),
        ("AF_SMC", 43),
        ("AF_APPLETALK", libc::AF_APPLETALK),
        ("AF_X25", libc::AF_X25),
    ];
    for (name, family) in families {
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET] {
            a.refused(format!("{name} {kind}"), sys!(SYS_socket, family, kind, 0));
        }
    }
}

/// Natively, CAP_NET_RAW opens these.
fn raw(a: &Canaries) {
    for family in [libc::AF_INET, libc::AF_INET6] {
        for protocol in [libc::IPPROTO_RAW, libc::IPPROTO_TCP, libc::IPPROTO_UDP] {
            a.refused(format!("raw {family} {protocol}"), sys!(SYS_socket, family, libc::SOCK_RAW, protocol));
        }
        for (name, protocol) in [("SCTP", libc::IPPROTO_SCTP), ("DCCP", libc::IPPROTO_DCCP), ("MPTCP", 262)] {
            a.refused(format!("{name} {family}"), sys!(SYS_socket, family, libc::SOCK_STREAM, protocol));
        }
    }
    let tcp = sys!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
    a.refused("TCP_ULP tls", sys!(SYS_setsockopt, tcp, libc::IPPROTO_TCP, 31, c"tls".as_ptr(), 3));
    a.refused("SO_ATTACH_BPF", sys!(SYS_setsockopt, tcp, libc::SOL_SOCKET, libc::SO_ATTACH_BPF, [0u8; 4].as_ptr(), 4));
    a.refused("IPT_SO_SET_REPLACE", sys!(SYS_setsockopt, tcp, libc::IPPROTO_IP, 64, [0u8; 128].as_ptr(), 128));
}

/// All but the tables of routes: netfilter, audit, xfrm, crypto, uevents, connector.
fn netlink(a: &Canaries) {
    for protocol in 1..23 {
        a.refused(format!("netlink {protocol}"), sys!(SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, protocol));
    }
}

fn connect(name: &[u8]) -> i64 {
    let mut address: libc::sockaddr_un = zeroed();
    address.sun_family = libc::AF_UNIX as u16;
    for (to, from) in address.sun_path.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    let socket = sys!(SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0);
    sys!(SYS_connect, socket, &raw const address, 2 + name.len())
}

fn abstract_socket(a: &Canaries) {
    a.refused("connect", connect(format!("\0{}", a.socket).as_bytes()));
    let listed = super::read_some("/proc/net/unix").unwrap_or_default();
    a.must("is not listed", !String::from_utf8_lossy(&listed).contains(&a.socket));
}

/// Natively, a bound folder lets reach the sockets in it, such as docker.sock.
fn socket_in_volume(a: &Canaries) {
    a.refused("connect", connect(b"/volume/host.sock"));
    a.refused("open", sys!(SYS_open, c"/volume/host.sock".as_ptr(), libc::O_RDWR));
}
