//! What the control side says: which pods are on which node, and who may connect to whom over a channel. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

/// One line of standard input, as JSON: all that holds from then on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Pods of this node, by address: their sandboxes' names. An address is one pod's: networks that share addresses are not for channels.
    #[serde(default)]
    pub local: BTreeMap<IpAddr, String>,
    /// Pods of other nodes, by address: where the service of their node listens.
    #[serde(default)]
    pub pods: BTreeMap<IpAddr, SocketAddr>,
    /// What may be a channel. Everything else is the host's network's.
    #[serde(default)]
    pub flows: Vec<Flow>,
}

/// From one pod to TCP ports of another.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Who connects.
    pub from: IpAddr,
    /// To whom.
    pub to: IpAddr,
    /// First and last port of each range.
    pub ports: Vec<(u16, u16)>,
}

impl Plan {
    /// Whether a connection may be a channel.
    pub fn allows(&self, from: IpAddr, to: SocketAddr) -> bool {
        self.flows.iter().filter(|flow| (flow.from, flow.to) == (from, to.ip())).any(|flow| flow.holds(to.port()))
    }

    /// Whether a pod of this node has an address.
    pub fn has(&self, name: &str, address: IpAddr) -> bool {
        self.local.get(&address).is_some_and(|owner| owner == name)
    }

    /// The services of other nodes.
    pub fn nodes(&self) -> BTreeSet<SocketAddr> {
        self.pods.values().copied().collect()
    }

    /// Whether a pod is on a node, by the address that its service connects from.
    pub fn lives_on(&self, pod: IpAddr, node: IpAddr) -> bool {
        self.pods.get(&pod).is_some_and(|service| service.ip() == node)
    }
}

impl Flow {
    fn holds(&self, port: u16) -> bool {
        self.ports.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        serde_json::from_str(
            r#"{"local": {"10.0.0.1": "web"}, "pods": {"10.0.1.2": "192.168.0.2:7788"}, "flows": [{"from": "10.0.0.1", "to": "10.0.1.2", "ports": [[80, 81], [443, 443]]}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn only_what_is_said_may_be_a_channel() {
        let (plan, from) = (plan(), "10.0.0.1".parse().unwrap());
        let allowed = |to: &str| plan.allows(from, to.parse().unwrap());
        assert!(allowed("10.0.1.2:80") && allowed("10.0.1.2:81") && allowed("10.0.1.2:443"));
        assert!(!allowed("10.0.1.2:82") && !allowed("10.0.1.3:80"));
        assert!(!plan.allows("10.0.1.2".parse().unwrap(), "10.0.0.1:80".parse().unwrap()), "the other way is another flow");
        assert!(!Plan::default().allows(from, "10.0.1.2:80".parse().unwrap()));
    }

    #[test]
    fn pods_are_believed_from_their_node_alone() {
        let plan = plan();
        assert!(plan.lives_on("10.0.1.2".parse().unwrap(), "192.168.0.2".parse().unwrap()));
        assert!(!plan.lives_on("10.0.1.2".parse().unwrap(), "192.168.0.3".parse().unwrap()));
        assert!(!plan.lives_on("10.0.0.1".parse().unwrap(), "192.168.0.2".parse().unwrap()));
        assert_eq!(plan.nodes().len(), 1);
        assert!(plan.has("web", "10.0.0.1".parse().unwrap()) && !plan.has("web", "10.0.1.2".parse().unwrap()));
    }
}
