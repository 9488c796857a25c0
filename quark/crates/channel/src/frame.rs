//! Frames: a header of 12 bytes (stream, kind, three bytes of zero, length; little endian), then as many bytes as it says. Pure.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Bytes of a header.
pub const HEADER: usize = 12;

/// The most bytes behind a header.
pub const PAYLOAD_MAX: usize = 32 << 10;

/// One thing that a node says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A new stream between two addresses, by whoever connects.
    Open {
        /// Who connects.
        from: SocketAddr,
        /// Who is connected to.
        to: SocketAddr,
    },
    /// Somebody listens there and has it.
    Accepted,
    /// Nobody has it.
    Refused,
    /// Bytes, within the credit given.
    Data(Vec<u8>),
    /// So many bytes more may be sent.
    Credit(u32),
    /// No more bytes will come.
    End,
    /// The stream is broken.
    Reset,
    /// Not of a stream: all pods of the sender that may be connected to, in place of those that it has told of before. [`PODS_MAX`] at most.
    Pods(Vec<PodAt>),
}

/// A pod of a node, and what policies know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodAt {
    /// Where.
    pub address: IpAddr,
    /// The network that it is in.
    pub network: u32,
    /// Its identity there.
    pub identity: u32,
    /// Policies restrict what it sends to pods.
    pub isolated: bool,
}

/// Pods that a node may tell of.
pub const PODS_MAX: usize = 1024;

/// What a header says: the frame's stream, its kind, and how many bytes follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The stream.
    pub stream: u32,
    kind: u8,
    /// Bytes behind it.
    pub length: usize,
}

/// Bytes that are no frame. The connection that they came by is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

const OPEN_BYTES: usize = 36;
const POD_BYTES: usize = 27;

const _: () = assert!(PODS_MAX * POD_BYTES <= PAYLOAD_MAX);

impl Header {
    /// Reads a header.
    pub fn parse(bytes: [u8; HEADER]) -> Result<Header, Malformed> {
        let [s0, s1, s2, s3, kind, 0, 0, 0, l0, l1, l2, l3] = bytes else { return Err(Malformed) };
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let possible = match kind {
            0 => length == OPEN_BYTES,
            3 => (1..=PAYLOAD_MAX).contains(&length),
            4 => length == 4,
            1 | 2 | 5 | 6 => length == 0,
            7 => length.is_multiple_of(POD_BYTES) && length <= PODS_MAX * POD_BYTES,
            _ => false,
        };
        if possible { Ok(Header { stream: u32::from_le_bytes([s0, s1, s2, s3]), kind, length }) } else { Err(Malformed) }
    }

    /// The frame, by the bytes behind the header.
    pub fn frame(&self, payload: Vec<u8>) -> Result<Frame, Malformed> {
        Ok(match self.kind {
            0 => Frame::Open { from: address(payload.get(..18))?, to: address(payload.get(18..))? },
            1 => Frame::Accepted,
            2 => Frame::Refused,
            3 => Frame::Data(payload),
            4 => Frame::Credit(u32::from_le_bytes(payload.try_into().map_err(|_| Malformed)?)),
            5 => Frame::End,
            7 => Frame::Pods(payload.chunks(POD_BYTES).map(PodAt::decode).collect::<Result<_, _>>()?),
            _ => Frame::Reset,
        })
    }
}

impl Frame {
    /// As bytes.
    pub fn encode(&self, stream: u32) -> Vec<u8> {
        let (kind, payload) = match self {
            Frame::Open { from, to } => (0, [bytes_of(*from), bytes_of(*to)].concat()),
            Frame::Accepted => (1, Vec::new()),
            Frame::Refused => (2, Vec::new()),
            Frame::Data(_) => (3, Vec::new()),
            Frame::Credit(count) => (4, count.to_le_bytes().to_vec()),
            Frame::End => (5, Vec::new()),
            Frame::Reset => (6, Vec::new()),
            Frame::Pods(pods) => (7, pods.iter().take(PODS_MAX).flat_map(PodAt::encode).collect()),
        };
        let payload = if let Frame::Data(data) = self { data } else { &payload };
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend_from_slice(&stream.to_le_bytes());
        bytes.extend_from_slice(&[kind, 0, 0, 0]);
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }
}

impl PodAt {
    fn encode(&self) -> impl Iterator<Item = u8> {
        let words = [self.network.to_le_bytes(), self.identity.to_le_bytes()];
        // The port is not used.
        bytes_of(SocketAddr::new(self.address, 0)).into_iter().chain(words.into_iter().flatten()).chain([u8::from(self.isolated)])
    }

    fn decode(bytes: &[u8]) -> Result<PodAt, Malformed> {
        let word = |at: usize| bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes).ok_or(Malformed);
        let isolated = match bytes.get(26) {
            Some(0) => false,
            Some(1) => true,
            _ => return Err(Malformed),
        };
        Ok(PodAt { address: address(bytes.get(..18))?.ip(), network: word(18)?, identity: word(22)?, isolated })
    }
}

/// 16 bytes of address (IPv4 mapped into IPv6), two of port.
pub fn bytes_of(address: SocketAddr) -> [u8; 18] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; 18];
    let (to, port) = bytes.split_at_mut(16);
    to.copy_from_slice(&ip.octets());
    port.copy_from_slice(&address.port().to_le_bytes());
    bytes
}

/// What [`bytes_of`] wrote.
pub fn address(bytes: Option<&[u8]>) -> Result<SocketAddr, Malformed> {
    let bytes: [u8; 18] = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(Malformed)?;
    let (ip, port) = bytes.split_at(16);
    let ip: [u8; 16] = ip.try_into().map_err(|_| Malformed)?;
    let port: [u8; 2] = port.try_into().map_err(|_| Malformed)?;
    Ok(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(ip)).to_canonical(), u16::from_le_bytes(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_are_written() {
        let (from, to): (SocketAddr, SocketAddr) = ("10.0.0.1:65535".parse().unwrap(), "[fd00::1]:80".parse().unwrap());
        let data = Frame::Data(vec![7; PAYLOAD_MAX]);
        let pods = [
            PodAt { address: from.ip(), network: 5, identity: 300, isolated: true },
            PodAt { address: to.ip(), network: 1, identity: 2, isolated: false },
        ];
        let pods = [Frame::Pods(pods.to_vec()), Frame::Pods(Vec::new())];
        let others = [Frame::Open { from, to }, Frame::Accepted, Frame::Refused, data, Frame::Credit(9), Frame::End, Frame::Reset];
        for frame in others.into_iter().chain(pods) {
            let bytes = frame.encode(0x0102_0304);
            let header = Header::parse(bytes[..HEADER].try_into().unwrap()).unwrap();
            assert_eq!((header.stream, header.length), (0x0102_0304, bytes.len() - HEADER));
            assert_eq!(header.frame(bytes[HEADER..].to_vec()), Ok(frame));
        }
    }

    #[test]
    fn lengths_and_kinds_that_cannot_be_are_refused() {
        let header = |kind: u8, length: u32| {
            let mut bytes = [0; HEADER];
            bytes[4] = kind;
            bytes[8..].copy_from_slice(&length.to_le_bytes());
            bytes
        };
        let wrong = [
            (0, 35),
            (1, 1),
            (3, 0),
            (3, PAYLOAD_MAX as u32 + 1),
            (3, u32::MAX),
            (4, 3),
            (5, 1),
            (7, 26),
            (7, 27 * 1025),
            (8, 0),
            (255, 0),
        ];
        for (kind, length) in wrong {
            assert_eq!(Header::parse(header(kind, length)), Err(Malformed), "{kind} {length}");
        }
        let mut reserved = header(5, 0);
        reserved[6] = 1;
        assert_eq!(Header::parse(reserved), Err(Malformed));
        let pods = Header::parse(header(7, 27)).unwrap();
        assert_eq!(pods.frame([vec![0; 26], vec![2]].concat()), Err(Malformed));
    }
}
