//! What the control side says: which pods are here, what policies say of who connects to them, and where other nodes are. Pure.
//!
//! Policies are told as the data plane has them: of each set of pods, what senders may do by their identity. What the control side is not sure of it
//! leaves out, and the host's network decides.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use quark_channel::frame::PodAt;
use serde::Deserialize;

/// One line of standard input, as JSON: all that holds from then on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Pods of this node by address. An address is one pod's: networks that share addresses are not for channels.
    #[serde(default)]
    pub pods: BTreeMap<IpAddr, PlannedPod>,
    /// What policies say of who connects to pods that name the set by its index.
    #[serde(default)]
    pub sets: Vec<PolicySet>,
    /// Identities that are known, by network.
    #[serde(default)]
    pub identities: BTreeMap<u32, HashSet<u32>>,
    /// Other nodes.
    #[serde(default)]
    pub nodes: Vec<Node>,
}

/// A pod of this node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedPod {
    /// The name of its sandbox. Whether that is one of ours is known when its kernel comes.
    pub sandbox: String,
    /// What policies know of it as a sender.
    #[serde(flatten)]
    pub sender: Sender,
    /// Index of its set.
    pub set: usize,
}

/// What policies know of who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Sender {
    /// The network that it is in.
    pub network: u32,
    /// Its identity there.
    pub identity: u32,
    /// Policies restrict what it sends to pods: a receiver that doesn't know the identity refuses it.
    pub isolated: bool,
}

/// First and last port of a range.
pub type Ports = (u16, u16);

/// What is allowed to whoever connects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySet {
    /// For identities of which nothing else is said.
    pub others: Vec<Ports>,
    /// For those of which something is.
    #[serde(default)]
    pub peers: Vec<Peers>,
}

/// Senders that may do the same.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Who.
    pub identities: HashSet<u32>,
    /// What.
    pub ports: Vec<Ports>,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Where its service listens.
    pub service: SocketAddr,
    /// Addresses of its pods; of others it is not believed.
    pub blocks: Vec<Block>,
}

/// Addresses of IPv4 with the same first bits, such as `10.244.1.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Block {
    first: u32,
    mask: u32,
}

impl TryFrom<String> for Block {
    type Error = String;

    fn try_from(text: String) -> Result<Block, String> {
        let parts = text.split_once('/').and_then(|(first, prefix)| Some((Ipv4Addr::from_str(first).ok()?, prefix.parse::<u32>().ok()?)));
        let (first, prefix) = parts.filter(|(_, prefix)| *prefix <= 32).ok_or_else(|| format!("\"{text}\" is no block of addresses"))?;
        let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
        Ok(Block { first: first.to_bits() & mask, mask })
    }
}

impl Block {
    fn has(self, ip: IpAddr) -> bool {
        matches!(ip, IpAddr::V4(ip) if ip.to_bits() & self.mask == self.first)
    }
}

impl Plan {
    /// Whether a pod of this node lets a sender connect.
    pub fn lets_in(&self, sender: Sender, to: SocketAddr) -> bool {
        let Some(pod) = self.pods.get(&to.ip()).filter(|pod| pod.sender.network == sender.network) else { return false };
        let Some(set) = self.sets.get(pod.set) else { return false };
        let ports = match set.peers.iter().find(|peers| peers.identities.contains(&sender.identity)) {
            Some(peers) => &peers.ports,
            None if sender.isolated && !self.knows(sender) => return false,
            None => &set.others,
        };
        ports.iter().any(|(first, last)| (*first..=*last).contains(&to.port()))
    }

    fn knows(&self, sender: Sender) -> bool {
        self.identities.get(&sender.network).is_some_and(|known| known.contains(&sender.identity))
    }

    /// Whether a pod of this node has an address.
    pub fn has(&self, sandbox: &str, address: IpAddr) -> bool {
        self.pods.get(&address).is_some_and(|pod| pod.sandbox == sandbox)
    }

    /// The services of other nodes.
    pub fn services(&self) -> BTreeSet<SocketAddr> {
        self.nodes.iter().map(|node| node.service).collect()
    }

    /// Who has a pod's address, by the address of its service.
    pub fn node_of(&self, pod: IpAddr) -> Option<IpAddr> {
        self.nodes.iter().find(|node| node.blocks.iter().any(|block| block.has(pod))).map(|node| node.service.ip())
    }

    /// What other nodes are told of a pod of this one.
    pub fn told(&self, address: IpAddr) -> Option<PodAt> {
        let Sender { network, identity, isolated } = self.pods.get(&address)?.sender;
        Some(PodAt { address, network, identity, isolated })
    }
}

impl From<PodAt> for Sender {
    fn from(PodAt { network, identity, isolated, .. }: PodAt) -> Sender {
        Sender { network, identity, isolated }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        serde_json::from_str(
            r#"{
                "pods": {
                    "10.0.0.1": {"sandbox": "web", "network": 5, "identity": 300, "isolated": false, "set": 0},
                    "10.0.0.2": {"sandbox": "db", "network": 5, "identity": 301, "isolated": false, "set": 1}
                },
                "sets": [
                    {"others": [[0, 65535]], "peers": [{"identities": [400], "ports": []}]},
                    {"others": [], "peers": [{"identities": [300, 302], "ports": [[80, 81], [443, 443]]}]}
                ],
                "identities": {"5": [300, 301, 302, 303, 400]},
                "nodes": [{"service": "192.168.0.2:7788", "blocks": ["10.0.1.0/24"]}]
            }"#,
        )
        .unwrap()
    }

    fn sender(identity: u32) -> Sender {
        Sender { network: 5, identity, isolated: false }
    }

    fn to(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn senders_may_do_what_is_said_of_their_identity() {
        let plan = plan();
        let allowed = |identity: u32, target: &str| plan.lets_in(sender(identity), to(target));
        assert!(allowed(300, "10.0.0.2:80") && allowed(302, "10.0.0.2:81") && allowed(300, "10.0.0.2:443"));
        assert!(!allowed(300, "10.0.0.2:82") && !allowed(303, "10.0.0.2:80"), "of others nothing is allowed there");
        assert!(allowed(303, "10.0.0.1:1") && !allowed(400, "10.0.0.1:1"), "what is said of one counts before what is said of all");
        assert!(!allowed(300, "10.0.0.3:80"), "no pod of this node");
        assert!(!Plan::default().lets_in(sender(300), to("10.0.0.2:80")));
    }

    #[test]
    fn networks_are_apart() {
        let other = Sender { network: 6, ..sender(300) };
        assert!(!plan().lets_in(other, to("10.0.0.1:1")) && !plan().lets_in(other, to("10.0.0.2:80")));
    }

    #[test]
    fn restricted_senders_must_be_known() {
        let plan = plan();
        let restricted = |identity| Sender { isolated: true, ..sender(identity) };
        assert!(plan.lets_in(restricted(303), to("10.0.0.1:1")) && plan.lets_in(restricted(300), to("10.0.0.2:80")));
        assert!(!plan.lets_in(restricted(999), to("10.0.0.1:1")) && plan.lets_in(sender(999), to("10.0.0.1:1")));
    }

    #[test]
    fn nodes_are_believed_of_their_own_addresses() {
        let plan = plan();
        let node = |ip: &str| plan.node_of(ip.parse().unwrap());
        assert_eq!(node("10.0.1.255"), Some("192.168.0.2".parse().unwrap()));
        assert_eq!((node("10.0.2.0"), node("10.0.0.1"), node("fd00::1")), (None, None, None));
        assert_eq!(plan.services().len(), 1);
        assert!(plan.has("web", "10.0.0.1".parse().unwrap()) && !plan.has("web", "10.0.0.2".parse().unwrap()));
        assert_eq!(plan.told("10.0.0.2".parse().unwrap()).map(|pod| (pod.network, pod.identity)), Some((5, 301)));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in ["10.0.0.0", "10.0.0/8", "10.0.0.0/33", "fd00::/8", "x/1"] {
            assert!(Block::try_from(text.to_owned()).is_err(), "{text}");
        }
        assert!(Block::try_from("0.0.0.0/0".to_owned()).unwrap().has("1.2.3.4".parse().unwrap()));
    }
}
