//! What is wrong with a config.json, and what of it is ignored. Pure.

use std::collections::BTreeSet;
use std::fmt;

use super::mounts::{propagation, unknown_to_tmpfs};
use super::{Device, Hook, IdMapping, Linux, Mount, Process, Spec, capability, limit_index, parse_options};

/// What there is to say about a configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Why it can't be run: each names a field.
    pub refused: Vec<Finding>,
    /// What has no effect and may surprise.
    pub warned: Vec<Finding>,
    /// What has no effect because the guest's system calls never reach the host, as `--debug` tells.
    pub ignored: Vec<Finding>,
}

/// One thing to say about one field.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    field: String,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` {}", self.field, self.message)
    }
}

impl Findings {
    /// All refusals in one sentence.
    pub fn refusal(&self) -> Option<String> {
        let all: Vec<String> = self.refused.iter().map(Finding::to_string).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    fn refuse(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.refused.push(Finding { field: field.into(), message: message.into() });
    }

    fn warn(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.warned.push(Finding { field: field.into(), message: message.into() });
    }

    fn ignore(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.ignored.push(Finding { field: field.into(), message: message.into() });
    }
}

/// File systems that our kernel has, by `mounts[].type`; and `bind` and `none`, which say that it is a bind mount.
const FILE_SYSTEMS: [&str; 10] = ["bind", "none", "proc", "sysfs", "tmpfs", "devtmpfs", "devpts", "mqueue", "cgroup", "cgroup2"];

const NAMESPACES: [&str; 8] = ["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"];

/// Sysctls of the pod's own IPC objects and names, besides whole directories (runc's `validateSysctls`).
const SYSCTLS: [&str; 9] = [
    "kernel/domainname",
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
];

const PROPAGATIONS: [&str; 9] = ["", "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"];

/// Judges a whole configuration.
pub fn validate(spec: &Spec) -> Findings {
    let mut findings = Findings::default();
    version(&mut findings, &spec.oci_version);
    match &spec.root {
        Some(root) if root.path.is_empty() => findings.refuse("root.path", "must not be empty"),
        Some(_) => {}
        None => findings.refuse("root", "must be set"),
    }
    match &spec.process {
        Some(process) => process_into(&mut findings, process),
        None => findings.refuse("process", "must be set: there is nothing to run"),
    }
    if spec.hostname.len() > 64 || spec.domainname.len() > 64 {
        findings.refuse("hostname", "must not be longer than 64 bytes, nor may `domainname`");
    }
    for (index, mount) in spec.mounts.iter().enumerate() {
        mount_into(&mut findings, &format!("mounts[{index}]"), mount);
    }
    hooks_into(&mut findings, spec);
    if let Some(linux) = &spec.linux {
        linux_into(&mut findings, linux, &spec.domainname);
    }
    findings
}

/// Judges the process of an `exec`.
pub fn validate_process(process: &Process) -> Findings {
    let mut findings = Findings::default();
    process_into(&mut findings, process);
    findings
}

fn version(findings: &mut Findings, version: &str) {
    let mut numbers = version.split(['.', '-', '+']);
    match (numbers.next().map(str::parse::<u32>), numbers.next().map(str::parse::<u32>)) {
        (Some(Ok(1)), Some(Ok(_))) => {}
        (Some(Ok(_)), Some(Ok(_))) => {
            findings.refuse("ociVersion", format!("must be of version 1 of the specification, not \"{version}\""));
        }
        _ => findings.refuse("ociVersion", format!("must be a version such as \"1.2.0\", not \"{version}\"")),
    }
}

fn process_into(findings: &mut Findings, process: &Process) {
    if process.args.first().is_none_or(String::is_empty) {
        findings.refuse("process.args", "must have the program as its first element");
    }
    if !process.cwd.starts_with('/') {
        findings.refuse("process.cwd", format!("must be an absolute path, not \"{}\"", process.cwd));
    }
    for (field, texts) in [("process.args", &process.args), ("process.env", &process.env)] {
        if texts.iter().any(|text| text.contains('\0')) {
            findings.refuse(field, "must not contain NUL bytes");
        }
    }
    if process.cwd.contains('\0') {
        findings.refuse("process.cwd", "must not contain NUL bytes");
    }
    if process.user.umask.is_some_and(|umask| umask > 0o777) {
        findings.refuse("process.user.umask", "must be at most 0777 (511)");
    }
    if process.user.additional_gids.len() > 65_536 {
        findings.refuse("process.user.additionalGids", "must be at most 65536, as Linux has it (NGROUPS_MAX)");
    }
    if process.oom_score_adj.is_some_and(|score| !(-1000..=1000).contains(&score)) {
        findings.refuse("process.oomScoreAdj", "must be from -1000 to 1000");
    }
    limits_into(findings, process);
    capabilities_into(findings, process);
    for (field, set) in
        [("process.apparmorProfile", !process.apparmor_profile.is_empty()), ("process.selinuxLabel", !process.selinux_label.is_empty())]
    {
        if set {
            findings.ignore(field, "is not applied: the host's security module sees the pod's kernel only, which has a filter of its own");
        }
    }
    for (field, set) in [
        ("process.ioPriority", process.io_priority.is_some()),
        ("process.scheduler", process.scheduler.is_some()),
        ("process.execCPUAffinity", process.exec_cpu_affinity.is_some()),
    ] {
        if set {
            findings.warn(field, "is not applied");
        }
    }
}

fn limits_into(findings: &mut Findings, process: &Process) {
    let mut seen = BTreeSet::new();
    for (index, limit) in process.rlimits.iter().enumerate() {
        let field = format!("process.rlimits[{index}]");
        if limit_index(&limit.kind).is_none() {
            findings.refuse(&field, format!("has a type that Linux doesn't know: \"{}\"", limit.kind));
        }
        if limit.soft > limit.hard {
            findings.refuse(&field, format!("has a soft limit, {}, above its hard one, {}", limit.soft, limit.hard));
        }
        if !seen.insert(&limit.kind) {
            findings.refuse(&field, format!("is the second for {}", limit.kind));
        }
    }
}

fn capabilities_into(findings: &mut Findings, process: &Process) {
    let Some(capabilities) = &process.capabilities else {
        return;
    };
    let sets = [
        ("bounding", &capabilities.bounding),
        ("effective", &capabilities.effective),
        ("inheritable", &capabilities.inheritable),
        ("permitted", &capabilities.permitted),
        ("ambient", &capabilities.ambient),
    ];
    for (set, names) in sets {
        for name in names.iter().filter(|name| capability(name).is_none()) {
            // As the specification has it since 1.0.2: names that are unknown here are no error.
            findings.warn(format!("process.capabilities.{set}"), format!("has \"{name}\", which is no capability and is left out"));
        }
    }
    if let Some(name) = capabilities.effective.iter().find(|name| !capabilities.permitted.contains(name)) {
        findings.refuse("process.capabilities.effective", format!("has {name}, which `permitted` has not"));
    }
}

fn mount_into(findings: &mut Findings, field: &str, mount: &Mount) {
    if mount.destination.is_empty() || mount.destination.contains('\0') {
        findings.refuse(format!("{field}.destination"), "must be a path");
    } else if !mount.destination.starts_with('/') {
        findings.warn(format!("{field}.destination"), format!("should be absolute; \"{}\" is taken from /", mount.destination));
    }
    let options = parse_options(&mount.options);
    let bind = options.bind || mount.kind == "bind";
    if bind && mount.source.is_empty() {
        findings.refuse(format!("{field}.source"), "must be a path for a bind mount");
    }
    if !bind && (mount.kind.is_empty() || mount.kind == "none") {
        findings.refuse(format!("{field}.type"), "must be set for what is no bind mount");
    } else if !bind && !FILE_SYSTEMS.contains(&mount.kind.as_str()) {
        findings.refuse(
            format!("{field}.type"),
            format!("is \"{}\", which our kernel doesn't have: mount it on the host and use a bind mount", mount.kind),
        );
    }
    if let Some(option) = Some(&options.data).filter(|_| !bind && mount.kind == "tmpfs").and_then(|data| unknown_to_tmpfs(data)) {
        findings.refuse(format!("{field}.options"), format!("has \"{option}\", which tmpfs doesn't know"));
    }
    if let Some(option) = Some(&mount.options).filter(|_| bind).and_then(|options| propagation(options)) {
        findings.warn(
            format!("{field}.options"),
            format!("has \"{option}\", but neither the host nor the container sees mounts that the other makes later"),
        );
    }
    let mapped = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
    if mapped && !bind {
        findings.refuse(format!("{field}.uidMappings"), "may only be set for bind mounts");
    }
    if mount.uid_mappings.is_empty() != mount.gid_mappings.is_empty() {
        findings.refuse(format!("{field}.uidMappings"), "and `gidMappings` must be set both, or none of them");
    }
    for (name, mappings) in [("uidMappings", &mount.uid_mappings), ("gidMappings", &mount.gid_mappings)] {
        mappings_into(findings, &format!("{field}.{name}"), mappings, true);
    }
}

fn hooks_into(findings: &mut Findings, spec: &Spec) {
    let Some(hooks) = &spec.hooks else {
        return;
    };
    let all: [(&str, &Vec<Hook>); 6] = [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("startContainer", &hooks.start_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ];
    for (kind, hooks) in all {
        for (index, hook) in hooks.iter().enumerate() {
            let field = format!("hooks.{kind}[{index}]");
            if !hook.path.starts_with('/') {
                findings.refuse(format!("{field}.path"), format!("must be absolute, not \"{}\"", hook.path));
            }
            if hook.timeout.is_some_and(|timeout| timeout <= 0) {
                findings.refuse(format!("{field}.timeout"), "must be above 0 seconds");
            }
        }
    }
}

fn linux_into(findings: &mut Findings, linux: &Linux, domain_name: &str) {
    namespaces_into(findings, linux);
    for (field, mappings) in [("linux.uidMappings", &linux.uid_mappings), ("linux.gidMappings", &linux.gid_mappings)] {
        mappings_into(findings, field, mappings, linux.namespace("user").is_some());
    }
    for (index, device) in linux.devices.iter().enumerate() {
        device_into(findings, &format!("linux.devices[{index}]"), device);
    }
    for (field, paths) in [("linux.maskedPaths", &linux.masked_paths), ("linux.readonlyPaths", &linux.readonly_paths)] {
        if let Some(path) = paths.iter().find(|path| !path.starts_with('/') || path.contains('\0')) {
            findings.refuse(field, format!("must be absolute paths, not \"{path}\""));
        }
    }
    sysctl_into(findings, linux, domain_name);
    if !PROPAGATIONS.contains(&linux.rootfs_propagation.as_str()) {
        findings.refuse("linux.rootfsPropagation", format!("is no propagation: \"{}\"", linux.rootfs_propagation));
    }
    unsupported_into(findings, linux);
}

fn namespaces_into(findings: &mut Findings, linux: &Linux) {
    let mut seen = BTreeSet::new();
    for (index, namespace) in linux.namespaces.iter().enumerate() {
        let field = format!("linux.namespaces[{index}]");
        if !NAMESPACES.contains(&namespace.kind.as_str()) {
            findings.refuse(&field, format!("has a type that Linux doesn't know: \"{}\"", namespace.kind));
        }
        if !namespace.path.is_empty() && !namespace.path.starts_with('/') {
            findings.refuse(&field, format!("must have an absolute path, not \"{}\"", namespace.path));
        }
        if !seen.insert(&namespace.kind) {
            findings.refuse(&field, format!("is the second of type {}", namespace.kind));
        }
    }
    for (kind, what, of_pods) in [("pid", "processes", "hostPID"), ("ipc", "shared memory and queues", "hostIPC")] {
        if linux.namespace(kind).is_none() {
            findings.refuse(
                "linux.namespaces",
                format!("must have one of type {kind}: the host's {what} are out of reach ({of_pods}, --{kind}=host)"),
            );
        }
    }
}

fn mappings_into(findings: &mut Findings, field: &str, mappings: &[IdMapping], user_namespace: bool) {
    if !mappings.is_empty() && !user_namespace {
        findings.refuse(field, "may only be set with a user namespace in `linux.namespaces`");
    }
    if mappings.len() > 340 {
        findings.refuse(field, "must be at most 340, as Linux has it");
    }
    for (index, mapping) in mappings.iter().enumerate() {
        let fits = mapping.container_id.checked_add(mapping.size).is_some() && mapping.host_id.checked_add(mapping.size).is_some();
        if mapping.size == 0 || !fits {
            findings.refuse(format!("{field}[{index}].size"), "must be above 0 and stay below 2^32 from both ids");
        }
    }
}

fn device_into(findings: &mut Findings, field: &str, device: &Device) {
    if !matches!(device.kind.as_str(), "c" | "u" | "b" | "p") {
        findings.refuse(format!("{field}.type"), format!("must be c, u, b or p, not \"{}\"", device.kind));
    }
    if !device.path.starts_with('/') || device.path.contains('\0') {
        findings.refuse(format!("{field}.path"), format!("must be absolute, not \"{}\"", device.path));
    }
    if device.kind != "p" && (!(0..1 << 12).contains(&device.major) || !(0..1 << 20).contains(&device.minor)) {
        findings.refuse(format!("{field}.major"), "must be from 0 to 4095, and `minor` from 0 to 1048575");
    }
}

fn sysctl_into(findings: &mut Findings, linux: &Linux, domain_name: &str) {
    let network = linux.namespace("network").is_some();
    for name in linux.sysctl.keys() {
        let field = format!("linux.sysctl[\"{name}\"]");
        let sane =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte)) && !name.contains("..");
        let path = name.replace('.', "/");
        if !sane {
            findings.refuse(field, "is no name of a sysctl");
        } else if !path.starts_with("net/") && !path.starts_with("fs/mqueue/") && !SYSCTLS.contains(&path.as_str()) {
            findings.refuse(field, "is not one of the pod's own: those are net.*, fs.mqueue.*, of System V IPC, and kernel.domainname");
        } else if path == "kernel/domainname" && !domain_name.is_empty() {
            findings.refuse(field, "may not be set when `domainname` is");
        } else if name.starts_with("net") && !network {
            findings.refuse(field, "may only be set with a network namespace of the container's own");
        }
    }
}

fn unsupported_into(findings: &mut Findings, linux: &Linux) {
    if !linux.time_offsets.is_empty() {
        findings.refuse("linux.timeOffsets", "is not supported: guests see the host's clocks");
    }
    if !linux.net_devices.is_empty() {
        findings.refuse("linux.netDevices", "is not supported: move the device into the pod's network namespace before");
    }
    if linux.personality.as_ref().is_some_and(|personality| personality.domain != "LINUX" || !personality.flags.is_empty()) {
        findings.refuse("linux.personality", "must be LINUX: guests are 64-bit programs");
    }
    let resources = linux.resources.as_ref();
    for (field, set) in [
        ("linux.resources.network", resources.is_some_and(|resources| resources.network.is_some())),
        ("linux.resources.rdma", resources.is_some_and(|resources| !resources.rdma.is_empty())),
    ] {
        if set {
            findings.warn(field, "is not applied");
        }
    }
    if linux.intel_rdt.is_some() {
        findings.warn("linux.intelRdt", "is not applied");
    }
    if linux.memory_policy.is_some() {
        findings.warn("linux.memoryPolicy", "is not applied");
    }
    if !linux.mount_label.is_empty() {
        findings.ignore("linux.mountLabel", "is not applied: SELinux sees the pod's kernel only");
    }
    if linux.seccomp.is_some() {
        findings.ignore("linux.seccomp", "is not applied: no system call of the guest reaches the host");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn good() -> Value {
        json!({
            "ociVersion": "1.0.2-dev",
            "process": {
                "user": { "uid": 0, "gid": 0 }, "args": ["sh"], "env": ["PATH=/bin"], "cwd": "/",
                "capabilities": { "bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"] },
                "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024 }], "noNewPrivileges": true
            },
            "root": { "path": "rootfs" },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind", "ro"] }
            ],
            "hooks": { "poststop": [{ "path": "/bin/true", "timeout": 3 }] },
            "linux": { "namespaces": [{ "type": "pid" }, { "type": "ipc" }, { "type": "network", "path": "/run/netns/x" }], "maskedPaths": ["/proc/kcore"] },
            "unheardOf": 1
        })
    }

    fn judge(config: Value) -> Findings {
        validate(&serde_json::from_value::<Spec>(config).expect("shape"))
    }

    #[test]
    fn a_good_configuration_passes() {
        assert_eq!(judge(good()), Findings::default());
    }

    /// Sets the value at a JSON pointer, which may be one behind the end of an array or a new member.
    fn with(pointer: &str, value: Value) -> Value {
        let mut config = good();
        let (parent, name) = pointer.rsplit_once('/').expect("pointer");
        match config.pointer_mut(parent).expect("parent") {
            Value::Object(map) => {
                map.insert(name.to_owned(), value);
            }
            Value::Array(list) => list.push(value),
            _ => panic!("{pointer} is in no container"),
        }
        config
    }

    #[test]
    fn each_mistake_is_refused_by_name() {
        let cases = [
            ("/ociVersion", json!("2.0.0"), "`ociVersion` must be of version 1"),
            ("/ociVersion", json!(""), "`ociVersion` must be a version such as"),
            ("/ociVersion", json!("one.two"), "`ociVersion` must be a version such as"),
            ("/process", json!(null), "`process` must be set"),
            ("/process/args", json!([]), "`process.args` must have the program"),
            ("/process/args", json!(null), "`process.args` must have the program"),
            ("/process/args", json!([""]), "`process.args` must have the program"),
            ("/process/args", json!(["a", "b\u{0}"]), "`process.args` must not contain NUL"),
            ("/process/env", json!(["A=\u{0}"]), "`process.env` must not contain NUL"),
            ("/process/cwd", json!(""), "`process.cwd` must be an absolute path, not \"\""),
            ("/process/cwd", json!("x/y"), "`process.cwd` must be an absolute path, not \"x/y\""),
            ("/process/oomScoreAdj", json!(1001), "`process.oomScoreAdj` must be from -1000"),
            ("/process/user/umask", json!(4096), "`process.user.umask` must be at most 0777"),
            (
                "/process/rlimits/-",
                json!({ "type": "RLIMIT_X", "soft": 1, "hard": 1 }),
                "`process.rlimits[1]` has a type that Linux doesn't know: \"RLIMIT_X\"",
            ),
            (
                "/process/rlimits/-",
                json!({ "type": "RLIMIT_CPU", "soft": 2, "hard": 1 }),
                "`process.rlimits[1]` has a soft limit, 2, above its hard one, 1",
            ),
            (
                "/process/rlimits/-",
                json!({ "type": "RLIMIT_NOFILE", "soft": 1, "hard": 1 }),
                "`process.rlimits[1]` is the second for RLIMIT_NOFILE",
            ),
            ("/process/capabilities/effective", json!(["CAP_CHOWN"]), "`process.capabilities.effective` has CAP_CHOWN"),
            ("/root", json!(null), "`root` must be set"),
            ("/root/path", json!(""), "`root.path` must not be empty"),
            ("/hostname", json!("h".repeat(65)), "`hostname` must not be longer"),
            ("/mounts/-", json!({ "type": "tmpfs" }), "`mounts[2].destination` must be a path"),
            ("/mounts/-", json!({ "destination": "/x", "options": ["bind"] }), "`mounts[2].source` must be a path"),
            ("/mounts/-", json!({ "destination": "/x" }), "`mounts[2].type` must be set"),
            ("/mounts/-", json!({ "destination": "/x", "type": "nfs", "source": "a:/" }), "`mounts[2].type` is \"nfs\""),
            (
                "/mounts/-",
                json!({ "destination": "/x", "type": "bind", "source": "/", "uidMappings": [{ "containerID": 0, "hostID": 1, "size": 1 }] }),
                "`mounts[2].uidMappings` and `gidMappings` must be set both",
            ),
            ("/hooks/prestart", json!([{ "path": "x" }]), "`hooks.prestart[0].path` must be absolute, not \"x\""),
            ("/hooks/poststart", json!([{ "path": "/x", "timeout": 0 }]), "`hooks.poststart[0].timeout` must be above 0"),
            ("/linux/namespaces/-", json!({ "type": "pid" }), "`linux.namespaces[3]` is the second of type pid"),
            ("/linux/namespaces/-", json!({ "type": "soul" }), "`linux.namespaces[3]` has a type that Linux doesn't know: \"soul\""),
            ("/linux/namespaces/-", json!({ "type": "uts", "path": "x" }), "`linux.namespaces[3]` must have an absolute path"),
            (
                "/linux/uidMappings",
                json!([{ "containerID": 0, "hostID": 1000, "size": 1 }]),
                "`linux.uidMappings` may only be set with a user namespace",
            ),
            ("/linux/devices", json!([{ "type": "x", "path": "/dev/x" }]), "`linux.devices[0].type` must be c, u, b or p"),
            ("/linux/devices", json!([{ "type": "c", "path": "dev/x" }]), "`linux.devices[0].path` must be absolute"),
            ("/linux/devices", json!([{ "type": "c", "path": "/dev/x", "major": -1 }]), "`linux.devices[0].major` must be from 0"),
            ("/linux/maskedPaths", json!(["proc"]), "`linux.maskedPaths` must be absolute paths, not \"proc\""),
            ("/linux/readonlyPaths", json!(["a"]), "`linux.readonlyPaths` must be absolute"),
            ("/linux/sysctl", json!({ "net/../x": "1" }), "is no name of a sysctl"),
            ("/linux/sysctl", json!({ "kernel.panic": "1" }), "`linux.sysctl[\"kernel.panic\"]` is not one of the pod's own"),
            (
                "/mounts/-",
                json!({ "destination": "/x", "type": "tmpfs", "options": ["size=5m", "nonsense=1"] }),
                "`mounts[2].options` has \"nonsense=1\", which tmpfs doesn't know",
            ),
            ("/linux/rootfsPropagation", json!("loud"), "`linux.rootfsPropagation` is no propagation: \"loud\""),
            ("/linux/timeOffsets", json!({ "boottime": { "secs": 1 } }), "`linux.timeOffsets` is not supported"),
            ("/linux/netDevices", json!({ "eth0": {} }), "`linux.netDevices` is not supported"),
            ("/linux/personality", json!({ "domain": "LINUX32" }), "`linux.personality` must be LINUX"),
        ];
        for (pointer, value, message) in cases {
            let refusal = judge(with(pointer, value.clone())).refusal().unwrap_or_default();
            assert!(refusal.contains(message), "{pointer} = {value}: \"{refusal}\" should contain \"{message}\"");
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let refusal = judge(json!({ "ociVersion": "1.0.0" })).refusal().unwrap_or_default();
        assert_eq!(refusal, "`root` must be set; `process` must be set: there is nothing to run");
    }

    #[test]
    fn a_sysctl_of_the_network_needs_one() {
        let mut config = with("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1", "kernel.shmmax": "5" }));
        assert_eq!(judge(config.clone()).refused, []);
        config["linux"]["namespaces"] = json!([{ "type": "pid" }, { "type": "ipc" }]);
        assert!(judge(config).refusal().unwrap_or_default().contains("network namespace of the container's own"));
    }

    #[test]
    fn the_hosts_processes_and_memory_are_out_of_reach() {
        let refusal = judge(with("/linux/namespaces", json!([{ "type": "network" }]))).refusal().unwrap_or_default();
        assert!(refusal.contains("(hostPID, --pid=host)") && refusal.contains("(hostIPC, --ipc=host)"), "{refusal}");
    }

    #[test]
    fn id_mappings_fit_into_32_bits() {
        let mut config = with("/linux/uidMappings", json!([{ "containerID": 0, "hostID": 4_294_967_295u32, "size": 2 }]));
        config["linux"]["namespaces"] = json!([{ "type": "user" }]);
        assert!(judge(config).refusal().unwrap_or_default().contains("`linux.uidMappings[0].size` must be above 0"));
    }

    #[test]
    fn what_is_not_applied_is_told() {
        let ignored = judge(with("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ERRNO" })));
        assert_eq!(ignored.refused, []);
        assert_eq!(ignored.ignored.len(), 1);
        let warned = judge(with("/process/capabilities/bounding", json!(["CAP_KILL", "CAP_FLY"])));
        assert_eq!(warned.warned.len(), 1, "{warned:?}");
        let shared = json!({ "destination": "/x", "source": "/x", "options": ["rbind", "rshared"] });
        assert_eq!(judge(with("/mounts/-", shared)).warned.len(), 1);
        let classes = json!({ "network": { "classID": 5 }, "rdma": { "mlx5_0": { "hcaHandles": 3 } } });
        assert_eq!(judge(with("/linux/resources", classes)).warned.len(), 2);
        let warned = judge(with("/mounts/-", json!({ "destination": "tmp", "type": "tmpfs" })));
        assert_eq!((warned.warned.len(), warned.refused.len()), (1, 0));
    }

    #[test]
    fn wrong_types_are_told_by_the_reader() {
        for (pointer, value) in
            [("/process/args", json!("sh")), ("/mounts", json!({})), ("/process/user/uid", json!(-1)), ("/root", json!(3))]
        {
            assert!(serde_json::from_value::<Spec>(with(pointer, value.clone())).is_err(), "{pointer} = {value}");
        }
    }
}
