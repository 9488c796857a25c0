//! `quark features` (features.md, features-linux.md of the runtime specification).

use serde_json::json;

use crate::config::{CAPABILITIES, option_names};
use crate::error::Result;
use crate::plan::{HIBERNATE_AFTER_ANNOTATION, HIBERNATE_TIMERS_ANNOTATION, ROOT_ANNOTATION};

/// Prints them.
pub fn features() -> Result<()> {
    super::print_json(&json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": crate::cli::SPEC_VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": option_names(),
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"],
            "capabilities": CAPABILITIES.as_slice(),
            "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false },
            "seccomp": { "enabled": false },
            "apparmor": { "enabled": false },
            "selinux": { "enabled": false },
            "intelRdt": { "enabled": false },
            "mountExtensions": { "idmap": { "enabled": true } },
            "netDevices": { "enabled": false }
        },
        "annotations": { "quark.centaurus.io/kernel": "own", "quark.centaurus.io/hibernation": "true" },
        "potentiallyUnsafeConfigAnnotations": [ROOT_ANNOTATION, HIBERNATE_AFTER_ANNOTATION, HIBERNATE_TIMERS_ANNOTATION]
    }))
}
