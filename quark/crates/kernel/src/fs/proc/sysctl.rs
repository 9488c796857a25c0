//! `/proc/sys`: the values that programs read. Those that are the pod's own may be set by its root; the others are the host's, and are not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::asker;
use crate::fs::pseudo::{About, Body, Fixed, Pseudo, Text};
use crate::task::lock;
use crate::vfs::permission::capability;
use crate::{Errno, Result};

/// Values that don't change: path under `/proc/sys`, value. What `linux.sysctl` of the pod says goes before.
const VALUES: &[(&str, &str)] = &[
    ("fs/aio-max-nr", "65536"),
    ("fs/epoll/max_user_watches", "1048576"),
    ("fs/file-max", "1048576"),
    ("fs/file-nr", "0\t0\t1048576"),
    ("fs/inotify/max_queued_events", "16384"),
    ("fs/inotify/max_user_instances", "128"),
    ("fs/inotify/max_user_watches", "65536"),
    ("fs/mqueue/msg_default", "10"),
    ("fs/mqueue/msg_max", "10"),
    ("fs/mqueue/msgsize_default", "8192"),
    ("fs/mqueue/msgsize_max", "8192"),
    ("fs/mqueue/queues_max", "256"),
    ("fs/nr_open", "1048576"),
    ("fs/overflowgid", "65534"),
    ("fs/overflowuid", "65534"),
    ("fs/pipe-max-size", "1048576"),
    ("fs/pipe-user-pages-hard", "0"),
    ("fs/pipe-user-pages-soft", "16384"),
    ("fs/protected_hardlinks", "1"),
    ("fs/protected_symlinks", "1"),
    ("fs/suid_dumpable", "0"),
    ("kernel/cap_last_cap", "40"),
    ("kernel/core_pattern", "core"),
    ("kernel/core_uses_pid", "0"),
    ("kernel/dmesg_restrict", "1"),
    ("kernel/keys/maxkeys", "200"),
    ("kernel/kptr_restrict", "2"),
    ("kernel/msgmax", "8192"),
    ("kernel/msgmnb", "16384"),
    ("kernel/msgmni", "32000"),
    ("kernel/ngroups_max", "65536"),
    ("kernel/osrelease", crate::system::RELEASE),
    ("kernel/ostype", "Linux"),
    ("kernel/overflowgid", "65534"),
    ("kernel/overflowuid", "65534"),
    ("kernel/panic", "0"),
    ("kernel/perf_event_paranoid", "4"),
    ("kernel/pid_max", "4194304"),
    ("kernel/printk", "4\t4\t1\t7"),
    ("kernel/random/entropy_avail", "256"),
    ("kernel/random/poolsize", "256"),
    ("kernel/randomize_va_space", "2"),
    ("kernel/sched_autogroup_enabled", "0"),
    ("kernel/sem", "32000\t1024000\t500\t32000"),
    ("kernel/shm_rmid_forced", "0"),
    ("kernel/shmall", "18446744073692774399"),
    ("kernel/shmmax", "18446744073692774399"),
    ("kernel/shmmni", "4096"),
    ("kernel/sysrq", "0"),
    ("kernel/threads-max", "32768"),
    ("kernel/unprivileged_bpf_disabled", "2"),
    ("kernel/version", crate::system::VERSION),
    ("kernel/yama/ptrace_scope", "1"),
    ("net/core/optmem_max", "131072"),
    ("net/core/rmem_default", "212992"),
    ("net/core/rmem_max", "212992"),
    ("net/core/somaxconn", "4096"),
    ("net/core/wmem_default", "212992"),
    ("net/core/wmem_max", "212992"),
    ("net/ipv4/conf/all/forwarding", "0"),
    ("net/ipv4/ip_forward", "0"),
    ("net/ipv4/ip_local_port_range", "32768\t60999"),
    ("net/ipv4/ip_unprivileged_port_start", "1024"),
    ("net/ipv4/ping_group_range", "1\t0"),
    ("net/ipv4/tcp_congestion_control", "cubic"),
    ("net/ipv4/tcp_fastopen", "1"),
    ("net/ipv4/tcp_fin_timeout", "60"),
    ("net/ipv4/tcp_keepalive_intvl", "75"),
    ("net/ipv4/tcp_keepalive_probes", "9"),
    ("net/ipv4/tcp_keepalive_time", "7200"),
    ("net/ipv4/tcp_max_syn_backlog", "4096"),
    ("net/ipv4/tcp_rmem", "4096\t131072\t6291456"),
    ("net/ipv4/tcp_sack", "1"),
    ("net/ipv4/tcp_syncookies", "1"),
    ("net/ipv4/tcp_timestamps", "1"),
    ("net/ipv4/tcp_window_scaling", "1"),
    ("net/ipv4/tcp_wmem", "4096\t16384\t4194304"),
    ("net/ipv6/conf/all/disable_ipv6", "0"),
    ("net/ipv6/conf/default/disable_ipv6", "0"),
    ("net/unix/max_dgram_qlen", "512"),
    ("user/max_user_namespaces", "0"),
    ("vm/legacy_va_layout", "0"),
    ("vm/max_map_count", "65530"),
    ("vm/min_free_kbytes", "67584"),
    ("vm/mmap_min_addr", "65536"),
    ("vm/nr_hugepages", "0"),
    ("vm/overcommit_memory", "1"),
    ("vm/overcommit_ratio", "50"),
    ("vm/swappiness", "60"),
    ("vm/vfs_cache_pressure", "100"),
];

/// Values that are made when they are read, and whether they can be set.
const LIVE: &[(&str, bool)] =
    &[("kernel/domainname", true), ("kernel/hostname", true), ("kernel/random/boot_id", false), ("kernel/random/uuid", false)];

/// `uuid` of random bytes.
fn uuid() -> Result<String> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let text = format!("{number:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| text.get(range).unwrap_or_default().to_owned());
    Ok(parts.join("-"))
}

/// One value.
struct Value {
    path: String,
    /// As it is unless somebody says otherwise.
    given: Option<&'static str>,
}

impl Value {
    fn live(&self) -> Result<Vec<u8>> {
        let names = || -> Result<_> { Ok(lock(&asker()?.kernel().names).clone()) };
        match self.path.as_str() {
            "kernel/hostname" => Ok(names()?.host),
            "kernel/domainname" => Ok(match names()?.domain {
                domain if domain.is_empty() => b"(none)".to_vec(),
                domain => domain,
            }),
            "kernel/random/boot_id" => {
                static BOOT: Mutex<Option<String>> = Mutex::new(None);
                let mut boot = lock(&BOOT);
                let id = boot.take().map_or_else(uuid, Ok)?;
                Ok(boot.insert(id).clone().into_bytes())
            }
            _ => Ok(uuid()?.into_bytes()),
        }
    }
}

impl Text for Value {
    fn read(&self) -> Result<Vec<u8>> {
        let asker = asker()?;
        let configured = lock(&asker.kernel().sysctl).get(&self.path).cloned();
        let mut text = match (self.given, configured) {
            (None, _) => self.live()?,
            (_, Some(value)) => as_told(&value).into_bytes(),
            (Some(value), None) => value.as_bytes().to_vec(),
        };
        text.push(b'\n');
        Ok(text)
    }

    fn write(&self, from: &[u8]) -> Result<()> {
        let task = asker()?;
        if !task.credentials().capable(capability::SYS_ADMIN) {
            return Err(Errno::PERM);
        }
        let text = from.strip_suffix(b"\n").unwrap_or(from);
        if text.len() > 64 {
            return Err(Errno::INVAL);
        }
        let mut names = lock(&task.kernel().names);
        match self.path.as_str() {
            "kernel/hostname" => names.host = text.to_vec(),
            "kernel/domainname" => names.domain = text.to_vec(),
            _ => return Err(Errno::PERM),
        }
        Ok(())
    }
}

/// Numbers with tabs between them, as Linux tells what it was told in any way; all else as it is.
fn as_told(value: &str) -> String {
    let words: Vec<&str> = value.split_whitespace().collect();
    if words.iter().all(|word| word.parse::<i128>().is_ok()) { words.join("\t") } else { value.to_owned() }
}

/// A directory that is being made.
#[derive(Default)]
struct Branch {
    branches: BTreeMap<String, Branch>,
    values: BTreeMap<String, (Value, bool)>,
}

impl Branch {
    fn add(&mut self, path: &str, given: Option<&'static str>, writable: bool) {
        let mut at = self;
        let mut parts: Vec<&str> = path.split('/').collect();
        let Some(last) = parts.pop() else { return };
        for part in parts {
            at = at.branches.entry(part.to_owned()).or_default();
        }
        at.values.insert(last.to_owned(), (Value { path: path.to_owned(), given }, writable));
    }

    fn grow(self, device: u64, next: &mut u64) -> Arc<Pseudo> {
        let mut about = |mode| {
            *next += 1;
            About { device, number: *next - 1, mode, owner: (0, 0), strict: false }
        };
        let own = about(0o555);
        let mut folder = Fixed::default();
        for (name, (value, writable)) in self.values {
            let about = about(if writable { 0o644 } else { 0o444 });
            folder = folder.with(&name, Pseudo::new(about, Body::Text(Box::new(value))));
        }
        for (name, branch) in self.branches {
            folder = folder.with(&name, branch.grow(device, next));
        }
        Pseudo::new(own, Body::Folder(Box::new(folder)))
    }
}

/// The directory; its inode numbers start at `first`. `more` are values that somebody has set, by path.
pub(super) fn root(device: u64, first: u64, more: &BTreeMap<String, String>) -> Arc<Pseudo> {
    let mut root = Branch::default();
    for path in more.keys() {
        root.add(path, Some(""), false);
    }
    for (path, value) in VALUES {
        root.add(path, Some(value), false);
    }
    for (path, writable) in LIVE {
        root.add(path, None, *writable);
    }
    let mut next = first;
    root.grow(device, &mut next)
}
