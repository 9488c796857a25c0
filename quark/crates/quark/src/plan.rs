//! From config.json to what our kernel is told. Pure: nothing is opened here.

use crate::config::{Device, Hook, IdMap, IdMapping, Linux, Mount, Process, Spec, capability, limit_index, parse_options};
use crate::duration::parse_duration;
use crate::error::{Error, Result};
use crate::messages::{ALL_IDS, Network, NewContainer, NewDevice, NewHibernation, NewHook, NewMount, NewProcess, NewSource};

/// The group of terminals, in every distribution.
const TTY: u32 = 5;
/// Keeps a container's changes to its root in memory, so that they are gone with it: `memory` or `host` (the default).
pub const ROOT_ANNOTATION: &str = "quark.centaurus.io/rootfs-changes";
/// Of a pod's first container: `off` leaves all text in memory as it is in files, and makes system calls ten times as slow.
pub const PATCHING_ANNOTATION: &str = "quark.centaurus.io/patching";

/// Annotation that, if "off", leaves all of a pod's connections to the host's network.
pub const CHANNELS_ANNOTATION: &str = "quark.centaurus.io/channels";

/// Of a pod: after how long without any event its memory goes to a file (`500ms`, `30s`, `10m`, `1h`).
pub const HIBERNATE_AFTER_ANNOTATION: &str = "quark.centaurus.io/hibernate-after";

/// What a wait's end in time does to a pod that sleeps: `wake` (the default) or `hold`.
pub const HIBERNATE_TIMERS_ANNOTATION: &str = "quark.centaurus.io/hibernate-timers";

/// Our kernel decides who may open low ports and send pings, so that the pod's namespace lets it: sysctls by path, and values.
pub const OPENED: [(&str, &str); 2] = [("net/ipv4/ip_unprivileged_port_start", "0"), ("net/ipv4/ping_group_range", "0 2147483647")];

/// What `quark state` says of a pod that sleeps.
pub const HIBERNATED_ANNOTATION: &str = "quark.centaurus.io/hibernated";

/// A directory or file of the host that a container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSource {
    /// Absolute, or relative to the bundle.
    pub path: String,
    /// With what is mounted below it.
    pub recursive: bool,
    /// The host refuses writes.
    pub read_only: bool,
    /// The host refuses to map code.
    pub no_execution: bool,
    /// Whom files belong to there, users and groups: by ids of the file system as `container_id`.
    pub ids: Option<MountIds>,
}

/// How a mount shows the owners of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountIds {
    pub users: Vec<IdMapping>,
    pub groups: Vec<IdMapping>,
    /// Mounts below it too.
    pub recursive: bool,
}

/// A planned container.
#[derive(Debug)]
pub struct ContainerPlan {
    /// What the kernel is told.
    pub container: NewContainer,
    /// What its `Host` and `Overlay` mounts show, in order.
    pub sources: Vec<HostSource>,
}

/// How a pod is kept apart on the host.
#[derive(Debug, PartialEq, Eq)]
pub struct Isolation {
    /// Its network.
    pub network: Network,
    /// The namespace to join, for [`Network::Join`].
    pub network_path: String,
    /// A user namespace of its own, with these ids of users and groups.
    pub ids: Option<(Vec<IdMapping>, Vec<IdMapping>)>,
    /// Network sysctls, as paths below `/proc/sys`.
    pub sysctl: Vec<(String, String)>,
    /// Where the service of the node listens for pods; none: the pod uses no channels.
    pub channel: Option<String>,
    /// Whether its programs' system calls are patched in memory.
    pub patching: bool,
}

/// The container of the pod on whose kernel this one runs, by the annotations of containerd and CRI-O; `None` for a pod's first container and for single ones.
pub fn sandbox(spec: &Spec) -> Option<&str> {
    const NAMES: [(&str, &str); 2] = [
        ("io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"),
        ("io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID"),
    ];
    NAMES.iter().find_map(|(kind, sandbox)| {
        let is_container = spec.annotations.get(*kind).is_some_and(|kind| kind == "container");
        spec.annotations.get(*sandbox).filter(|_| is_container).map(String::as_str)
    })
}

/// Plans the namespaces of a pod's kernel.
pub fn isolation(spec: &Spec) -> Isolation {
    let linux = spec.linux();
    let (network, network_path) = match linux.namespace("network") {
        None => (Network::Host, String::new()),
        Some(namespace) if namespace.path.is_empty() => (Network::New, String::new()),
        Some(namespace) => (Network::Join, namespace.path.clone()),
    };
    let mapped = |mappings: &[IdMapping]| if mappings.is_empty() { vec![ALL_IDS] } else { mappings.to_vec() };
    // In a user namespace of its own the kernel could not open ports below 1024 on the host's network.
    let own_user = network != Network::Host || linux.namespace("user").is_some();
    let ids = own_user.then(|| (mapped(&linux.uid_mappings), mapped(&linux.gid_mappings)));
    let is_on = |annotation: &str| spec.annotations.get(annotation).is_none_or(|value| value != "off");
    // Only pods with a network of their own have addresses of their own.
    let channel = (network == Network::Join && is_on(CHANNELS_ANNOTATION)).then(|| quark_channel::pod::SOCKET.to_owned());
    let patching = is_on(PATCHING_ANNOTATION);
    Isolation { network, network_path, ids, sysctl: network_sysctl(&linux, network), channel, patching }
}

/// What the pod's namespace is to have: [`OPENED`], and what is asked for but that.
fn network_sysctl(linux: &Linux, network: Network) -> Vec<(String, String)> {
    if network == Network::Host {
        return Vec::new();
    }
    let asked = linux.sysctl.iter().filter(|(name, _)| name.starts_with("net"));
    let asked = asked.map(|(name, value)| (sysctl_path(name), value.clone()));
    let asked = asked.filter(|(path, _)| OPENED.iter().all(|(name, _)| name != path));
    OPENED.iter().map(|(name, value)| (name.to_string(), value.to_string())).chain(asked).collect()
}

/// `net.ipv4.conf.eth0/1.x` and `net/ipv4/conf/eth0.1/x` name the same file: the first separator decides (`man 8 sysctl`).
fn sysctl_path(name: &str) -> String {
    let dots_first = name.find('.').unwrap_or(usize::MAX) < name.find('/').unwrap_or(usize::MAX);
    if !dots_first {
        return name.to_owned();
    }
    let swap = |letter| match letter {
        '.' => '/',
        '/' => '.',
        letter => letter,
    };
    name.chars().map(swap).collect()
}

/// When the pod goes to sleep by itself, as its first container's annotations say. An error for what can't be read.
pub fn hibernation(spec: &Spec) -> Result<Option<NewHibernation>> {
    let hold_timers = match spec.annotations.get(HIBERNATE_TIMERS_ANNOTATION).map(String::as_str) {
        None | Some("wake") => false,
        Some("hold") => true,
        Some(other) => {
            return Err(Error::new(format!("The annotation {HIBERNATE_TIMERS_ANNOTATION} must be wake or hold, not \"{other}\"")));
        }
    };
    let Some(text) = spec.annotations.get(HIBERNATE_AFTER_ANNOTATION) else {
        return Ok(None);
    };
    let after = parse_duration(text);
    let after = after
        .ok_or_else(|| Error::new(format!("The annotation {HIBERNATE_AFTER_ANNOTATION} must be a time such as 30s, not \"{text}\"")))?;
    Ok(Some(NewHibernation { after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX), hold_timers }))
}

/// Plans a container. `rootfs` is absolute.
pub fn container(id: &str, spec: &Spec, rootfs: &str, process: &Process) -> ContainerPlan {
    let linux = spec.linux();
    let mut plan = Mounts { users: linux.uid_mappings.clone(), groups: linux.gid_mappings.clone(), ..Mounts::default() };
    plan.root(spec, rootfs);
    if !spec.mounts.iter().any(|mount| clean(&mount.destination) == "/dev") {
        plan.push("/dev", NewSource::Dev, libc::MS_NOSUID);
    }
    for mount in &spec.mounts {
        plan.mount(mount);
    }
    let resources = linux.resources.clone().unwrap_or_default();
    let positive = |value: Option<i64>| value.filter(|value| *value > 0).map(|value| value as u64);
    let cpu = resources.cpu.unwrap_or_default();
    let quota = positive(cpu.quota).map(|quota| quota * 1000 / cpu.period.filter(|period| *period > 0).unwrap_or(100_000));
    let container = NewContainer {
        id: id.to_owned(),
        cgroups: None,
        mounts: plan.mounts,
        masked: linux.masked_paths.clone(),
        read_only: linux.readonly_paths.clone(),
        hostname: spec.hostname.clone(),
        domain_name: spec.domainname.clone(),
        sysctl: linux.sysctl.iter().map(|(name, value)| (sysctl_path(name), value.clone())).collect(),
        devices: linux.devices.iter().filter_map(device).chain(console(process)).collect(),
        share_pids_with: None,
        memory_limit: positive(resources.memory.and_then(|memory| memory.limit)),
        processor_limit: quota,
        pids_limit: positive(resources.pids.and_then(|pids| pids.limit)),
        process: self::process(process),
        hibernation: None,
    };
    ContainerPlan { container, sources: plan.sources }
}

/// A startContainer hook: a process with the rights of the container's own, and nothing of its environment, arguments, terminal and descriptors.
pub fn hook(of: &Process, hook: &Hook) -> NewHook {
    let args = std::iter::once(&hook.path).chain(hook.args.iter().skip(1)).cloned().collect();
    let process = Process { args, env: hook.env.clone(), terminal: false, ..of.clone() };
    let timeout = hook.timeout.and_then(|seconds| u64::try_from(seconds).ok());
    NewHook { process: self::process(&process), timeout }
}

/// The terminal of a container's first process is its console, and the first of its devpts.
fn console(process: &Process) -> Option<NewDevice> {
    let number = rustix::fs::makedev(136, 0);
    let node = NewDevice { path: "/dev/console".into(), mode: libc::S_IFCHR | 0o620, number, uid: process.user.uid, gid: TTY };
    process.terminal.then_some(node)
}

#[derive(Default)]
struct Mounts {
    mounts: Vec<NewMount>,
    sources: Vec<HostSource>,
    /// The ids of the container's user namespace, if it has one.
    users: Vec<IdMapping>,
    groups: Vec<IdMapping>,
}

impl Mounts {
    fn push(&mut self, target: &str, source: NewSource, flags: u64) {
        self.mounts.push(NewMount { target: clean(target), source, flags });
    }

    fn root(&mut self, spec: &Spec, rootfs: &str) {
        let read_only = spec.root.as_ref().is_some_and(|root| root.readonly);
        let in_memory = spec.annotations.get(ROOT_ANNOTATION).is_some_and(|value| value == "memory");
        let flags = if read_only { libc::MS_RDONLY } else { 0 };
        self.sources.push(HostSource {
            path: rootfs.to_owned(),
            recursive: true,
            read_only: read_only || in_memory,
            no_execution: false,
            ids: None,
        });
        self.push("/", if in_memory { NewSource::Overlay } else { NewSource::Host }, flags);
    }

    /// A mount's own mappings, or those of the pod's user namespace.
    fn ids(&self, mount: &Mount, option: Option<IdMap>) -> Option<MountIds> {
        let own = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
        let (users, groups) = if own { (&mount.uid_mappings, &mount.gid_mappings) } else { (&self.users, &self.groups) };
        let wanted = (own || option.is_some()) && !(users.is_empty() && groups.is_empty());
        wanted.then(|| MountIds { users: users.clone(), groups: groups.clone(), recursive: option == Some(IdMap::Recursive) })
    }

    fn mount(&mut self, mount: &Mount) {
        let options = parse_options(&mount.options);
        if options.bind || mount.kind == "bind" {
            self.sources.push(HostSource {
                path: mount.source.clone(),
                recursive: options.recursive,
                read_only: options.flags & libc::MS_RDONLY != 0,
                no_execution: options.flags & libc::MS_NOEXEC != 0,
                ids: self.ids(mount, options.id_map),
            });
            return self.push(&mount.destination, NewSource::Host, options.flags);
        }
        let source = match mount.kind.as_str() {
            // What a container has at /dev is a tmpfs that the runtime fills.
            "tmpfs" | "devtmpfs" if clean(&mount.destination) == "/dev" => NewSource::Dev,
            "devtmpfs" => NewSource::Dev,
            "proc" => NewSource::Proc,
            "sysfs" => NewSource::Sys,
            "devpts" => NewSource::DevPts,
            "mqueue" => NewSource::Mqueue,
            "cgroup" | "cgroup2" => NewSource::Cgroup,
            _ => NewSource::Tmpfs { options: options.data.join(","), copy_up: options.copy_up },
        };
        self.push(&mount.destination, source, options.flags);
    }
}

/// `//a/./b/` is `/a/b`, `a` is `/a`, and `..` never leaves the root.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn device(device: &Device) -> Option<NewDevice> {
    let kind = match device.kind.as_str() {
        "b" => libc::S_IFBLK,
        "p" => libc::S_IFIFO,
        _ => libc::S_IFCHR,
    };
    let number = libc::makedev(u32::try_from(device.major).ok()?, u32::try_from(device.minor).ok()?);
    Some(NewDevice {
        path: clean(&device.path),
        mode: kind | device.file_mode.unwrap_or(0o666) & 0o7777,
        number,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
    })
}

/// Plans a process.
pub fn process(process: &Process) -> NewProcess {
    let sets = process.capabilities.clone().unwrap_or_default();
    let mask = |names: &[String]| names.iter().filter_map(|name| capability(name)).fold(0_u64, |mask, number| mask | 1 << number);
    let limits = process.rlimits.iter().filter_map(|limit| Some((limit_index(&limit.kind)?, limit.soft, limit.hard)));
    NewProcess {
        arguments: process.args.clone(),
        environment: process.env.clone(),
        directory: process.cwd.clone(),
        uid: process.user.uid,
        gid: process.user.gid,
        groups: process.user.additional_gids.clone(),
        bounding: mask(&sets.bounding),
        effective: mask(&sets.effective),
        inheritable: mask(&sets.inheritable),
        permitted: mask(&sets.permitted),
        ambient: mask(&sets.ambient),
        no_new_privileges: process.no_new_privileges,
        limits: limits.collect(),
        umask: process.user.umask.unwrap_or(0o022),
        oom_score_adjust: process.oom_score_adj.unwrap_or(0),
        terminal: process.terminal,
        inherited: 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(config: Value) -> Spec {
        serde_json::from_value(config).expect("spec")
    }

    fn planned(config: Value) -> ContainerPlan {
        let spec = spec(config);
        let process = spec.process.clone().unwrap_or_default();
        container("id", &spec, "/b/rootfs", &process)
    }

    #[test]
    fn mounts_keep_their_order_and_sources() {
        let plan = planned(json!({
            "root": { "path": "rootfs", "readonly": true },
            "mounts": [
                { "destination": "/proc", "type": "proc" },
                { "destination": "/dev", "type": "tmpfs", "options": ["nosuid", "size=65536k"] },
                { "destination": "/dev/shm/", "type": "tmpfs", "options": ["size=64m", "mode=1770", "tmpcopyup"] },
                { "destination": "etc/../data", "source": "/srv", "options": ["rbind", "ro", "noexec"] },
                { "destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"] }
            ]
        }));
        let told: Vec<_> = plan.container.mounts.iter().map(|mount| (mount.target.as_str(), mount.source.clone(), mount.flags)).collect();
        assert_eq!(
            told,
            [
                ("/", NewSource::Host, libc::MS_RDONLY),
                ("/proc", NewSource::Proc, 0),
                ("/dev", NewSource::Dev, libc::MS_NOSUID),
                ("/dev/shm", NewSource::Tmpfs { options: "size=64m,mode=1770".into(), copy_up: true }, 0),
                ("/data", NewSource::Host, libc::MS_RDONLY | libc::MS_NOEXEC),
                ("/sys/fs/cgroup", NewSource::Cgroup, libc::MS_RDONLY),
            ]
        );
        let sources: Vec<_> =
            plan.sources.iter().map(|source| (source.path.as_str(), source.recursive, source.read_only, source.no_execution)).collect();
        assert_eq!(sources, [("/b/rootfs", true, true, false), ("/srv", true, true, true)]);
    }

    #[test]
    fn patching_is_turned_off_by_its_annotation_alone() {
        let patched = |annotations: Value| isolation(&spec(json!({ "annotations": annotations }))).patching;
        assert!(patched(json!({})) && patched(json!({ PATCHING_ANNOTATION: "on" })) && patched(json!({ ROOT_ANNOTATION: "off" })));
        assert!(!patched(json!({ PATCHING_ANNOTATION: "off" })));
    }

    #[test]
    fn channels_are_for_pods_that_join_a_network_and_do_not_decline() {
        let channel = |path: &str, annotations: Value| {
            let namespaces = json!([{ "type": "network", "path": path }]);
            isolation(&spec(json!({ "linux": { "namespaces": namespaces }, "annotations": annotations }))).channel
        };
        assert!(channel("/run/netns/a", json!({})).is_some());
        assert_eq!(channel("", json!({})), None);
        assert_eq!(channel("/run/netns/a", json!({ CHANNELS_ANNOTATION: "off" })), None);
        assert_eq!(isolation(&spec(json!({}))).channel, None, "the host's network");
    }

    #[test]
    fn containers_have_devices_whether_they_ask_or_not() {
        let plan = planned(json!({ "root": { "path": "r" }, "annotations": { ROOT_ANNOTATION: "memory" } }));
        let sources: Vec<_> = plan.container.mounts.iter().map(|mount| mount.source.clone()).collect();
        assert_eq!(sources, [NewSource::Overlay, NewSource::Dev]);
        assert!(plan.sources.iter().all(|source| source.read_only));
    }

    #[test]
    fn pods_sleep_as_their_annotations_say() {
        let of = |annotations: Value| hibernation(&spec(json!({ "annotations": annotations }))).map_err(|error| error.to_string());
        assert_eq!(of(json!({})), Ok(None));
        assert_eq!(of(json!({ HIBERNATE_TIMERS_ANNOTATION: "hold" })), Ok(None));
        let after = |text, timers| of(json!({ HIBERNATE_AFTER_ANNOTATION: text, HIBERNATE_TIMERS_ANNOTATION: timers }));
        assert_eq!(after("30s", "wake"), Ok(Some(NewHibernation { after_ms: 30_000, hold_timers: false })));
        assert_eq!(after("500ms", "hold"), Ok(Some(NewHibernation { after_ms: 500, hold_timers: true })));
        assert!(after("soon", "wake").is_err_and(|error| error.contains("soon")));
        assert!(after("30s", "never").is_err_and(|error| error.contains("never")));
    }

    #[test]
    fn pods_are_found_by_annotations() {
        let cri = |kind: &str| {
            let config = json!({
                "annotations": { "io.kubernetes.cri.container-type": kind, "io.kubernetes.cri.sandbox-id": "pod" },
                "linux": { "namespaces": [{ "type": "pid", "path": "/proc/7/ns/pid" }] }
            });
            sandbox(&spec(config)).map(str::to_owned)
        };
        assert_eq!(cri("sandbox"), None);
        assert_eq!(cri("container"), Some("pod".into()));
        let crio =
            spec(json!({ "annotations": { "io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.cri-o.SandboxID": "p" } }));
        assert_eq!(sandbox(&crio), Some("p"));
    }

    #[test]
    fn the_network_decides_about_users() {
        let of = |namespaces: Value| {
            isolation(&spec(
                json!({ "linux": { "namespaces": namespaces, "sysctl": { "net.core.somaxconn": "9", "kernel.shmmax": "1" } } }),
            ))
        };
        let host = of(json!([]));
        assert_eq!((host.network, host.ids, host.sysctl.len()), (Network::Host, None, 0));
        let own = of(json!([{ "type": "network" }]));
        assert_eq!((own.network, own.ids), (Network::New, Some((vec![ALL_IDS], vec![ALL_IDS]))));
        assert_eq!(own.sysctl.get(2..), Some([("net/core/somaxconn".to_owned(), "9".to_owned())].as_slice()));
        let joined = of(json!([{ "type": "network", "path": "/run/netns/a" }]));
        assert_eq!((joined.network, joined.network_path.as_str()), (Network::Join, "/run/netns/a"));
    }

    #[test]
    fn processes_keep_their_rights() {
        let plan = planned(json!({ "process": {
            "args": ["a"], "env": ["B=c"], "cwd": "/d", "user": { "uid": 5, "gid": 6, "additionalGids": [7] },
            "capabilities": { "bounding": ["CAP_CHOWN", "CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL", "CAP_FLY"] },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 1, "hard": 2 }], "noNewPrivileges": true
        } }));
        let process = plan.container.process;
        assert_eq!((process.bounding, process.permitted, process.effective, process.ambient), (0b100001, 0b100000, 0b100000, 0));
        assert_eq!((process.uid, process.gid, process.groups), (5, 6, vec![7]));
        assert_eq!((process.limits, process.umask, process.no_new_privileges), (vec![(7, 1, 2)], 0o022, true));
    }

    #[test]
    fn names_are_read_as_linux_reads_them() {
        assert_eq!(sysctl_path("net.ipv4.conf.eth0/1.rp_filter"), "net/ipv4/conf/eth0.1/rp_filter");
        assert_eq!(sysctl_path("net/ipv4/conf/eth0.1/rp_filter"), "net/ipv4/conf/eth0.1/rp_filter");
        assert_eq!(["a", "/../x/./y//", ""].map(clean), ["/a", "/x/y", "/"]);
    }
}
