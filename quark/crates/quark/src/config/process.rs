//! `process`.

use serde::{Deserialize, Serialize};

use super::or_default;

/// What runs, and as who.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs)]
pub struct Process {
    pub terminal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<ConsoleSize>,
    pub user: User,
    #[serde(deserialize_with = "or_default")]
    pub args: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<String>,
    pub cwd: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub rlimits: Vec<Rlimit>,
    pub no_new_privileges: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub apparmor_profile: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selinux_label: String,
    #[serde(rename = "ioPriority", skip_serializing_if = "Option::is_none")]
    pub io_priority: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<serde_json::Value>,
    #[serde(rename = "execCPUAffinity", skip_serializing_if = "Option::is_none")]
    pub exec_cpu_affinity: Option<serde_json::Value>,
}

impl Process {
    /// With the limits of `inherited` where it names none: processes have those of who starts them, as with runc.
    pub fn limited(mut self, inherited: &[Rlimit]) -> Process {
        let missing = inherited.iter().filter(|limit| self.rlimits.iter().all(|own| own.kind != limit.kind));
        let missing: Vec<Rlimit> = missing.cloned().collect();
        self.rlimits.extend(missing);
        self
    }
}

/// `process.consoleSize`, characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ConsoleSize {
    pub height: u16,
    pub width: u16,
}

/// `process.user`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<u32>,
}

/// `process.capabilities`, names such as CAP_CHOWN.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Capabilities {
    #[serde(deserialize_with = "or_default")]
    pub bounding: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub effective: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub inheritable: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub permitted: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub ambient: Vec<String>,
}

/// One of `process.rlimits`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Rlimit {
    /// Such as RLIMIT_NOFILE.
    #[serde(rename = "type")]
    pub kind: String,
    pub soft: u64,
    pub hard: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_are_not_named_are_inherited() {
        let limit = |kind: &str, soft| Rlimit { kind: kind.to_owned(), soft, hard: 9 };
        let process = Process { rlimits: vec![limit("RLIMIT_NOFILE", 1)], ..Process::default() };
        let limited = process.limited(&[limit("RLIMIT_NOFILE", 2), limit("RLIMIT_CORE", 3)]);
        assert_eq!(limited.rlimits, [limit("RLIMIT_NOFILE", 1), limit("RLIMIT_CORE", 3)]);
    }
}
