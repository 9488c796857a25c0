//! Which options of host sockets guests may use: those whose values are plain numbers and that concern only the socket.

use crate::Errno;

/// What to do with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The host's socket has it.
    Pass,
    /// Accepted, without an effect here.
    Ignore,
    /// Refused.
    Refuse(Errno),
}

const SOCKET: &[i32] = &[
    libc::SO_REUSEADDR,
    libc::SO_REUSEPORT,
    libc::SO_KEEPALIVE,
    libc::SO_BROADCAST,
    libc::SO_LINGER,
    libc::SO_OOBINLINE,
    libc::SO_SNDBUF,
    libc::SO_RCVBUF,
    libc::SO_RCVLOWAT,
    libc::SO_PRIORITY,
    libc::SO_DONTROUTE,
    libc::SO_TIMESTAMP,
    libc::SO_TIMESTAMPNS,
    libc::SO_BUSY_POLL,
    libc::SO_INCOMING_CPU,
    libc::SO_MAX_PACING_RATE,
    libc::SO_ZEROCOPY,
    libc::SO_NO_CHECK,
];

const SOCKET_READ_ONLY: &[i32] = &[
    libc::SO_ERROR,
    libc::SO_TYPE,
    libc::SO_DOMAIN,
    libc::SO_PROTOCOL,
    libc::SO_ACCEPTCONN,
    libc::SO_SNDLOWAT,
    libc::SO_COOKIE,
    libc::SO_INCOMING_NAPI_ID,
];

const TCP: &[i32] = &[
    libc::TCP_NODELAY,
    libc::TCP_MAXSEG,
    libc::TCP_CORK,
    libc::TCP_KEEPIDLE,
    libc::TCP_KEEPINTVL,
    libc::TCP_KEEPCNT,
    libc::TCP_SYNCNT,
    libc::TCP_LINGER2,
    libc::TCP_DEFER_ACCEPT,
    libc::TCP_WINDOW_CLAMP,
    libc::TCP_QUICKACK,
    libc::TCP_CONGESTION,
    libc::TCP_USER_TIMEOUT,
    libc::TCP_FASTOPEN,
    libc::TCP_FASTOPEN_CONNECT,
    libc::TCP_NOTSENT_LOWAT,
    libc::TCP_INQ,
    libc::TCP_SAVE_SYN,
    libc::TCP_THIN_LINEAR_TIMEOUTS,
    libc::TCP_TIMESTAMP,
];

const IP: &[i32] = &[
    libc::IP_TOS,
    libc::IP_TTL,
    libc::IP_MTU_DISCOVER,
    libc::IP_RECVERR,
    libc::IP_RECVTTL,
    libc::IP_RECVTOS,
    libc::IP_PKTINFO,
    libc::IP_FREEBIND,
    libc::IP_BIND_ADDRESS_NO_PORT,
    libc::IP_MULTICAST_TTL,
    libc::IP_MULTICAST_LOOP,
    libc::IP_MULTICAST_IF,
    libc::IP_ADD_MEMBERSHIP,
    libc::IP_DROP_MEMBERSHIP,
    libc::IP_MULTICAST_ALL,
    libc::IP_UNICAST_IF,
    libc::IP_RECVORIGDSTADDR,
    51, // IP_LOCAL_PORT_RANGE
];

const IPV6: &[i32] = &[
    libc::IPV6_V6ONLY,
    libc::IPV6_UNICAST_HOPS,
    libc::IPV6_MULTICAST_HOPS,
    libc::IPV6_MULTICAST_LOOP,
    libc::IPV6_MULTICAST_IF,
    libc::IPV6_ADD_MEMBERSHIP,
    libc::IPV6_DROP_MEMBERSHIP,
    libc::IPV6_MTU_DISCOVER,
    libc::IPV6_MTU,
    libc::IPV6_RECVERR,
    libc::IPV6_RECVPKTINFO,
    libc::IPV6_RECVHOPLIMIT,
    libc::IPV6_RECVTCLASS,
    libc::IPV6_TCLASS,
    libc::IPV6_AUTOFLOWLABEL,
    libc::IPV6_FREEBIND,
    libc::IPV6_DONTFRAG,
    72, // IPV6_ADDR_PREFERENCES
];

const LEVELS: &[i32] = &[libc::SOL_SOCKET, libc::IPPROTO_TCP, libc::IPPROTO_IP, libc::IPPROTO_IPV6, libc::IPPROTO_UDP];

/// UDP_SEGMENT and UDP_GRO.
const UDP: &[i32] = &[103, 104];

/// Judges `setsockopt` (`write`) or `getsockopt`.
pub fn judge(level: i32, name: i32, write: bool) -> Judgement {
    let has = |list: &[i32]| list.contains(&name);
    let pass = match level {
        libc::SOL_SOCKET => has(SOCKET) || !write && has(SOCKET_READ_ONLY),
        libc::IPPROTO_TCP => has(TCP) || !write && name == libc::TCP_INFO,
        libc::IPPROTO_IP => has(IP) || !write && name == libc::IP_MTU,
        libc::IPPROTO_IPV6 => has(IPV6),
        libc::IPPROTO_UDP => has(UDP),
        _ => false,
    };
    match (level, name) {
        _ if pass => Judgement::Pass,
        // SO_MARK and filters are for who administers the network; filters are programs for the host's kernel.
        (libc::SOL_SOCKET, libc::SO_MARK | libc::SO_BINDTODEVICE | libc::SO_SNDBUFFORCE | libc::SO_RCVBUFFORCE | libc::SO_DEBUG) => {
            Judgement::Refuse(Errno::PERM)
        }
        (
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER | libc::SO_ATTACH_BPF | libc::SO_ATTACH_REUSEPORT_CBPF | libc::SO_ATTACH_REUSEPORT_EBPF,
        ) => Judgement::Refuse(Errno::PERM),
        (libc::SOL_SOCKET, libc::SO_DETACH_FILTER) if write => Judgement::Refuse(Errno::NOENT),
        (libc::SOL_SOCKET, libc::SO_PASSCRED | libc::SO_RXQ_OVFL) if write => Judgement::Ignore,
        _ if !write && !LEVELS.contains(&level) => Judgement::Refuse(Errno::OPNOTSUPP),
        _ => Judgement::Refuse(Errno::NOPROTOOPT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_the_host_concerns_the_socket_alone() {
        assert_eq!(judge(libc::IPPROTO_TCP, libc::TCP_NODELAY, true), Judgement::Pass);
        assert_eq!(judge(libc::SOL_SOCKET, libc::SO_ERROR, true), Judgement::Refuse(Errno::NOPROTOOPT));
        assert_eq!(judge(libc::SOL_SOCKET, libc::SO_ERROR, false), Judgement::Pass);
        for name in [libc::SO_ATTACH_FILTER, libc::SO_ATTACH_BPF, libc::SO_MARK, libc::SO_BINDTODEVICE] {
            assert_eq!(judge(libc::SOL_SOCKET, name, true), Judgement::Refuse(Errno::PERM));
        }
        // TCP_ULP (kernel TLS), TCP_REPAIR, TCP_MD5SIG and TCP_ZEROCOPY_RECEIVE are parts of the host that guests don't see.
        for name in [31, 19, 14, 35] {
            assert!(matches!(judge(libc::IPPROTO_TCP, name, true), Judgement::Refuse(_)), "{name}");
        }
        // IPT_SO_SET_REPLACE, IP_XFRM_POLICY, IP_MSFILTER (has pointers in it).
        for name in [64, 17, 41] {
            assert!(matches!(judge(libc::IPPROTO_IP, name, true), Judgement::Refuse(_)), "{name}");
        }
    }
}
