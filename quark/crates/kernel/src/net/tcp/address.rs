//! Internet addresses as guests write them: `sockaddr_in` and `sockaddr_in6`. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Takes the address of a socket of `domain` apart; `::ffff:1.2.3.4` is 1.2.3.4. None for another family or too few bytes: then the host says
/// what is wrong with it.
pub fn parse(domain: i32, bytes: &[u8]) -> Option<SocketAddr> {
    let field = |at: usize| bytes.get(at..at + 2)?.try_into().ok();
    if u16::from_ne_bytes(field(0)?) != domain as u16 {
        return None;
    }
    let port = u16::from_be_bytes(field(2)?);
    let ip = match domain {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(4..8)?).ok()?)),
        libc::AF_INET6 if bytes.len() >= 24 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?)).to_canonical(),
        _ => return None,
    };
    (bytes.len() >= 16).then_some(SocketAddr::new(ip, port))
}

/// The `sockaddr` by which a socket of `domain` knows an address.
pub fn form(domain: i32, address: SocketAddr) -> Vec<u8> {
    let mut bytes = (domain as u16).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&address.port().to_be_bytes());
    match (domain, address.ip()) {
        (libc::AF_INET6, ip) => {
            let ip = match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&ip.octets());
            bytes.extend_from_slice(&[0; 4]);
        }
        (_, IpAddr::V4(ip)) => {
            bytes.extend_from_slice(&ip.octets());
            bytes.extend_from_slice(&[0; 8]);
        }
        (_, IpAddr::V6(_)) => bytes.extend_from_slice(&[0; 12]),
    }
    bytes
}

/// Where a connection to an address goes: "any" is the loopback, as on Linux.
pub fn target(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Where a connection to a loopback address comes from; none for other addresses.
pub fn loopback_source(target: IpAddr) -> Option<IpAddr> {
    target.is_loopback().then_some(match target {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for (domain, text) in [(libc::AF_INET, "127.0.0.1:80"), (libc::AF_INET6, "[::1]:65535"), (libc::AF_INET6, "10.1.2.3:9")] {
            assert_eq!(parse(domain, &form(domain, at(text))), Some(at(text)), "{text}");
        }
        assert_eq!((form(libc::AF_INET, at("1.2.3.4:5")).len(), form(libc::AF_INET6, at("1.2.3.4:5")).len()), (16, 28));
        assert_eq!(form(libc::AF_INET6, at("1.2.3.4:5"))[18..24], [255, 255, 1, 2, 3, 4]);
    }

    #[test]
    fn what_is_no_address_is_left_to_the_host() {
        let (four, six) = (form(libc::AF_INET, at("1.2.3.4:5")), form(libc::AF_INET6, at("[::1]:5")));
        assert_eq!(parse(libc::AF_INET6, &four), None);
        assert_eq!(parse(libc::AF_INET, &six), None);
        assert_eq!(parse(libc::AF_INET, &four[..15]), None);
        assert_eq!(parse(libc::AF_INET6, &six[..23]), None);
        assert_eq!(parse(libc::AF_INET, &[]), None);
    }

    #[test]
    fn any_address_is_the_loopback() {
        assert_eq!(target(at("0.0.0.0:7")), at("127.0.0.1:7"));
        assert_eq!(target(at("[::]:7")), at("[::1]:7"));
        assert_eq!(loopback_source(at("127.9.9.9:1").ip()), Some(at("127.0.0.1:1").ip()));
        assert_eq!(loopback_source(at("10.0.0.1:1").ip()), None);
    }
}
