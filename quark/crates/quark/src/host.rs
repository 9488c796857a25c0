//! What a host must let us do, and what to change where it doesn't.

use rustix::io::Errno;

use crate::config::{LIMITS, Rlimit};
use crate::error::{Error, Result};

/// What is looked at before anything is made.
#[derive(Debug, Default)]
struct Facts {
    root: bool,
    /// `kernel.yama.ptrace_scope`; `None`: no Yama.
    ptrace_scope: Option<u32>,
    /// `vm.memfd_noexec`; `None` before Linux 6.3.
    memfd_noexec: Option<u32>,
}

/// Fails where no pod could run.
pub fn check() -> Result<()> {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
    let facts = Facts {
        root: rustix::process::geteuid().is_root(),
        ptrace_scope: number("/proc/sys/kernel/yama/ptrace_scope"),
        memfd_noexec: number("/proc/sys/vm/memfd_noexec"),
    };
    judge(&facts).map_or(Ok(()), |why| Err(Error::new(why)))
}

/// The limits of this process (`RLIMIT_*`).
pub fn limits() -> Vec<Rlimit> {
    use rustix::process::Resource as R;
    // By number, as the names are.
    const ALL: [R; 16] = [
        R::Cpu,
        R::Fsize,
        R::Data,
        R::Stack,
        R::Core,
        R::Rss,
        R::Nproc,
        R::Nofile,
        R::Memlock,
        R::As,
        R::Locks,
        R::Sigpending,
        R::Msgqueue,
        R::Nice,
        R::Rtprio,
        R::Rttime,
    ];
    let told = |(kind, resource): (&str, R)| {
        let limit = rustix::process::getrlimit(resource);
        let number = |value: Option<u64>| value.unwrap_or(u64::MAX);
        Rlimit { kind: kind.to_owned(), soft: number(limit.current), hard: number(limit.maximum) }
    };
    LIMITS.into_iter().zip(ALL).map(told).collect()
}

fn judge(facts: &Facts) -> Option<String> {
    match facts {
        Facts { root: false, .. } => Some("Cannot make a container: quark must run as root, with CAP_SYS_ADMIN".to_owned()),
        // Taken back by a restart alone.
        Facts { ptrace_scope: Some(3), .. } => Some(no_memory(3, "start the host with it at 0 or 1")),
        Facts { ptrace_scope: Some(scope @ 2..), .. } => Some(no_memory(*scope, "sysctl -w kernel.yama.ptrace_scope=1")),
        Facts { memfd_noexec: Some(2..), .. } => Some(
            "Cannot run programs: the host's vm.memfd_noexec is 2, so that our part of each guest process, a program in memory, can't run; \
             sysctl -w vm.memfd_noexec=1"
                .to_owned(),
        ),
        _ => None,
    }
}

fn no_memory(scope: u32, cure: &str) -> String {
    format!(
        "Cannot run programs: the host's kernel.yama.ptrace_scope is {scope}, which keeps a pod's kernel from its programs' memory; {cure}"
    )
}

/// Why there is no new namespace, and what helps. `kind` as in `user.max_KIND_namespaces`.
pub fn no_namespace(kind: &str, error: Errno) -> String {
    let why = match error {
        Errno::NOSPC => format!("the host allows no more of them: raise the sysctl user.max_{kind}_namespaces"),
        Errno::PERM => "quark must run as root, with CAP_SYS_ADMIN, outside of chroots and of filters of system calls".to_owned(),
        Errno::INVAL | Errno::NOSYS => "the host's kernel has none, or is older than Linux 5.12".to_owned(),
        error => error.to_string(),
    };
    format!("Cannot make a {kind} namespace: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_limits_have_the_names_of_the_hosts() {
        let text = std::fs::read_to_string("/proc/self/limits").unwrap();
        let row = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        let limits = limits();
        for (kind, name) in
            [("RLIMIT_NOFILE", "Max open files"), ("RLIMIT_STACK", "Max stack size"), ("RLIMIT_MSGQUEUE", "Max msgqueue size")]
        {
            let limit = limits.iter().find(|limit| limit.kind == kind).unwrap();
            let told = [limit.soft, limit.hard].map(|value| if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() });
            assert_eq!(row(name).unwrap().get(..2), Some(told.as_slice()), "{kind}");
        }
    }

    #[test]
    fn hosts_that_cannot_run_pods_are_told_what_to_change() {
        let told = |facts: Facts| judge(&facts).unwrap_or_default();
        assert_eq!(told(Facts { root: true, ptrace_scope: Some(1), memfd_noexec: Some(1) }), "");
        assert!(told(Facts::default()).contains("must run as root"));
        assert!(told(Facts { root: true, ptrace_scope: Some(2), ..Facts::default() }).ends_with("sysctl -w kernel.yama.ptrace_scope=1"));
        assert!(told(Facts { root: true, ptrace_scope: Some(3), ..Facts::default() }).ends_with("start the host with it at 0 or 1"));
        assert!(told(Facts { root: true, memfd_noexec: Some(2), ..Facts::default() }).ends_with("sysctl -w vm.memfd_noexec=1"));
    }

    #[test]
    fn namespaces_that_cannot_be_made_are_explained() {
        assert!(no_namespace("user", Errno::NOSPC).ends_with("user.max_user_namespaces"));
        assert!(no_namespace("pid", Errno::PERM).contains("CAP_SYS_ADMIN"));
        assert!(no_namespace("net", Errno::INVAL).contains("has none"));
    }
}
