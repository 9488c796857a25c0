//! Starts the loopback interface of a new network namespace, by netlink (`man 7 rtnetlink`).

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST_ACK: u16 = 1 | 4;
/// The loopback interface is a namespace's first.
const INDEX: i32 = 1;
const IFF_UP: u32 = 1;

/// Starts it.
pub fn up() -> Result<(), Errno> {
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    rustix::net::send(&socket, &request(), SendFlags::empty())?;
    let mut answer = [0; 64];
    let (length, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    // nlmsgerr: a negative errno behind the 16 bytes of the header; 0 is success.
    match answer.get(..length).and_then(|answer| answer.get(16..20)) {
        Some(code) => match i32::from_ne_bytes(code.try_into().unwrap_or_default()) {
            0 => Ok(()),
            error => Err(Errno::from_raw_os_error(-error)),
        },
        None => Err(Errno::BADMSG),
    }
}

/// struct nlmsghdr and struct ifinfomsg.
fn request() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    bytes.extend(32_u32.to_ne_bytes());
    bytes.extend(RTM_NEWLINK.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST_ACK.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([0; 4]);
    bytes.extend(INDEX.to_ne_bytes());
    bytes.extend(IFF_UP.to_ne_bytes());
    bytes.extend(IFF_UP.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_has_the_hosts_layout() {
        let bytes = request();
        assert_eq!(bytes.len(), 32);
        assert_eq!(bytes.get(20..24), Some(&1_i32.to_ne_bytes()[..]));
    }
}
