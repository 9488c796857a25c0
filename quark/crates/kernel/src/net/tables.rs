//! What `/proc/net` tells of interfaces, addresses and routes, in Linux' words; asked for by netlink, as `ip` does it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::route::{HEADER, dump};
use crate::Result;

const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
/// How long the structures behind the headers are.
const LINK: usize = 16;
const ADDRESS: usize = 8;
const ROUTE: usize = 12;
/// The table of routes that `/proc/net/route` tells.
const RT_TABLE_MAIN: u8 = 254;
const RTN_UNICAST: u8 = 1;

/// One message: its fixed part and its attributes by number.
struct Message {
    fixed: Vec<u8>,
    attributes: BTreeMap<u16, Vec<u8>>,
}

impl Message {
    fn byte(&self, at: usize) -> u8 {
        self.fixed.get(at).copied().unwrap_or(0)
    }

    fn word(&self, at: usize) -> u32 {
        self.fixed.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_ne_bytes)
    }

    /// An attribute that is a number; 0 if there is none.
    fn number(&self, attribute: u16) -> u32 {
        self.attributes.get(&attribute).and_then(|value| value.first_chunk()).map_or(0, |four| u32::from_ne_bytes(*four))
    }

    fn name(&self) -> String {
        let name = self.attributes.get(&3).map(Vec::as_slice).unwrap_or_default();
        String::from_utf8_lossy(name.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
    }
}

/// The messages of an answer whose fixed part is `fixed` bytes long.
fn parse(answer: &[u8], fixed: usize, kind: u16) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut rest = answer;
    while let (Some(length), Some(found)) = (rest.first_chunk().map(|four| u32::from_ne_bytes(*four) as usize), rest.get(4..6)) {
        let Some(message) = rest.get(..length).filter(|message| message.len() >= HEADER) else { break };
        if found == kind.to_ne_bytes() && message.len() >= HEADER + fixed {
            let (fixed, attributes) = message.get(HEADER..).unwrap_or_default().split_at(fixed);
            messages.push(Message { fixed: fixed.to_vec(), attributes: parse_attributes(attributes) });
        }
        rest = rest.get((length + 3) & !3..).unwrap_or_default();
    }
    messages
}

fn parse_attributes(mut rest: &[u8]) -> BTreeMap<u16, Vec<u8>> {
    let mut attributes = BTreeMap::new();
    while let Some([a, b, c, d]) = rest.first_chunk() {
        let (length, kind) = (usize::from(u16::from_ne_bytes([*a, *b])), u16::from_ne_bytes([*c, *d]) & 0x3fff);
        let Some(value) = rest.get(4..length) else { break };
        attributes.insert(kind, value.to_vec());
        rest = rest.get((length + 3) & !3..).unwrap_or_default();
    }
    attributes
}

/// Answers are of the kind behind the request's, less two.
fn ask(kind: u16, family: i32, fixed: usize) -> Result<Vec<Message>> {
    let answers = dump(kind, family as u8, fixed)?;
    Ok(answers.iter().flat_map(|answer| parse(answer, fixed, kind - 2)).collect())
}

fn interfaces() -> Result<BTreeMap<u32, String>> {
    Ok(ask(RTM_GETLINK, libc::AF_UNSPEC, LINK)?.iter().map(|link| (link.word(4), link.name())).collect())
}

/// `/proc/net/dev`: interfaces and what went through them.
pub fn dev() -> Result<Vec<u8>> {
    let mut text = String::from(concat!(
        "Inter-|   Receive                                                |  Transmit\n",
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
    ));
    for link in ask(RTM_GETLINK, libc::AF_UNSPEC, LINK)? {
        // IFLA_STATS64.
        let statistics = link.attributes.get(&23).map(Vec::as_slice).unwrap_or_default();
        let counts: Vec<u64> = statistics.chunks_exact(8).filter_map(|eight| eight.try_into().ok()).map(u64::from_ne_bytes).collect();
        let count = |at: usize| counts.get(at).copied().unwrap_or(0);
        let sum = |all: &[usize]| all.iter().map(|at| count(*at)).sum::<u64>();
        let (dropped, frame, carrier) = (sum(&[6, 12]), sum(&[10, 11, 13]), sum(&[16, 17, 18, 20]));
        let _ = write!(text, "{:>6}: {:7} {:7} {:4} {:4} {:4} {:5}", link.name(), count(2), count(0), count(4), dropped, count(14), frame);
        let _ = write!(text, " {:10} {:9} {:8} {:7} {:4} {:4}", count(21), count(8), count(3), count(1), count(5), count(7));
        let _ = writeln!(text, " {:4} {:5} {:7} {:10}", count(19), count(9), carrier, count(22));
    }
    Ok(text.into_bytes())
}

/// `/proc/net/if_inet6`: addresses of IPv6.
pub fn if_inet6() -> Result<Vec<u8>> {
    let names = interfaces()?;
    let mut text = String::new();
    for address in ask(RTM_GETADDR, libc::AF_INET6, ADDRESS)?.iter().filter(|address| i32::from(address.byte(0)) == libc::AF_INET6) {
        let index = address.word(4);
        for byte in address.attributes.get(&1).map(Vec::as_slice).unwrap_or_default() {
            let _ = write!(text, "{byte:02x}");
        }
        // Scopes of routes as those of addresses: host, link, site.
        let scope = match address.byte(3) {
            254 => 0x10,
            253 => 0x20,
            200 => 0x40,
            _ => 0,
        };
        let flags = address.byte(2);
        let name = names.get(&index).map(String::as_str).unwrap_or_default();
        let _ = writeln!(text, " {index:02x} {:02x} {scope:02x} {flags:02x} {name:>8}", address.byte(1));
    }
    Ok(text.into_bytes())
}

/// `/proc/net/route`: the main table of IPv4.
pub fn route() -> Result<Vec<u8>> {
    let names = interfaces()?;
    let pad = |line: &str| format!("{line:<127}\n");
    let mut text = pad("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
    for route in ask(RTM_GETROUTE, libc::AF_INET, ROUTE)? {
        if route.byte(4) != RT_TABLE_MAIN || route.byte(7) != RTN_UNICAST {
            continue;
        }
        let bits = u32::from(route.byte(1)).min(32);
        // As they are in memory: the network's order, told as a number of ours.
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0).to_be();
        let gateway = route.number(5);
        // RTF_UP, RTF_GATEWAY, RTF_HOST.
        let flags = 1 | if gateway != 0 { 2 } else { 0 } | if bits == 32 { 4 } else { 0 };
        let name = names.get(&route.number(4)).map_or("*", String::as_str);
        text +=
            &pad(&format!("{name}\t{:08X}\t{gateway:08X}\t{flags:04X}\t0\t0\t{}\t{mask:08X}\t0\t0\t0", route.number(1), route.number(6)));
    }
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every machine has a loopback, told as the host tells it.
    #[test]
    fn tables_are_the_hosts() {
        let ours = String::from_utf8(dev().unwrap()).unwrap();
        let host = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
        let names = |text: &str| text.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&host));
        assert_eq!(ours.lines().take(2).collect::<Vec<_>>(), host.lines().take(2).collect::<Vec<_>>());
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(String::from).collect();
            lines.sort();
            lines
        };
        let host = |name: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
        assert_eq!(sorted(&String::from_utf8(if_inet6().unwrap()).unwrap()), sorted(&host("if_inet6")));
        assert_eq!(sorted(&String::from_utf8(route().unwrap()).unwrap()), sorted(&host("route")));
    }

    #[test]
    fn lengths_that_cannot_be_end_the_answer() {
        for length in [0u32, 3, 15, 100, u32::MAX] {
            let mut bytes = [0; 40];
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(parse(&bytes, 8, 0).is_empty());
        }
        assert!(parse_attributes(&[0, 0, 1, 0, 0]).is_empty());
        assert!(parse_attributes(&[9, 0, 1, 0, 0]).is_empty());
    }
}
