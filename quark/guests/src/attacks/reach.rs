//! Processes, files and devices of the host's kernel that a container must not see or change.

use super::{Attack, Canaries, breach, c, read_some, say};
use crate::sys;

pub const ATTACKS: &[Attack] = &[
    ("host_process", host_process),
    ("kernel_process", kernel_process),
    ("settings", settings),
    ("cgroup", cgroup),
    ("kernel_files", kernel_files),
    ("devices", devices),
    ("read_only_volume", read_only_volume),
];

/// Data in our memory, which others should be able to neither read nor write through.
static OURS: [u8; 64] = [7; 64];

fn host_process(a: &Canaries) {
    tamper(a, "canary", a.pid);
    a.not_canary("environ", &format!("/proc/{}/environ", a.pid));
    a.not_canary("cmdline", &format!("/proc/{}/cmdline", a.pid));
    a.not_canary("root", &format!("/proc/{}/root{}", a.pid, a.path));
    a.refused("group", sys!(SYS_kill, -a.pid, libc::SIGKILL));
    a.refused("setpgid", sys!(SYS_setpgid, 0, a.pid));
}

fn tamper(a: &Canaries, who: &str, pid: i32) {
    let vector = [OURS.as_ptr() as u64, 8];
    a.refused(format!("kill {who}"), sys!(SYS_kill, pid, libc::SIGKILL));
    a.refused(format!("tgkill {who}"), sys!(SYS_tgkill, pid, pid, libc::SIGKILL));
    a.refused(format!("rt_sigqueueinfo {who}"), sys!(SYS_rt_sigqueueinfo, pid, libc::SIGKILL, [0u8; 128].as_ptr()));
    a.refused(format!("pidfd_open {who}"), sys!(SYS_pidfd_open, pid, 0));
    a.refused(format!("ptrace attach {who}"), sys!(SYS_ptrace, libc::PTRACE_ATTACH, pid, 0, 0));
    a.refused(format!("ptrace seize {who}"), sys!(SYS_ptrace, libc::PTRACE_SEIZE, pid, 0, 0));
    a.refused(format!("process_vm_readv {who}"), sys!(SYS_process_vm_readv, pid, vector.as_ptr(), 1, vector.as_ptr(), 1, 0));
    a.refused(format!("process_vm_writev {who}"), sys!(SYS_process_vm_writev, pid, vector.as_ptr(), 1, vector.as_ptr(), 1, 0));
    a.refused(format!("kcmp {who}"), sys!(SYS_kcmp, pid, pid, 0, 0, 0));
    a.refused(format!("prlimit {who}"), sys!(SYS_prlimit64, pid, libc::RLIMIT_NOFILE, 0, [0u64; 2].as_ptr()));
}

/// Pids of the namespace that the kernel process and the stubs are in mean nothing to guests: a number is a guest's or nobody's.
fn kernel_process(a: &Canaries) {
    let own = sys!(SYS_getpid);
    let mut seen = Vec::new();
    for pid in 1..400 {
        if pid != own && pid != 1 && sys!(SYS_kill, pid, 0) == 0 {
            seen.push(pid);
        }
    }
    a.must(format!("no process but ours: {seen:?}"), seen.is_empty());
    let maps = read_some("/proc/self/maps").unwrap_or_default();
    let maps = String::from_utf8_lossy(&maps);
    a.must("maps name the guest's files alone", !maps.contains("quark") && !maps.contains("memfd:"));
}

/// Whether one's own copy takes the value does not matter: the test compares the host's.
fn settings(_: &Canaries) {
    let all = [
        ("/proc/sys/kernel/core_pattern", "attack-core"),
        ("/proc/sys/kernel/modprobe", "/attack"),
        ("/proc/sys/kernel/hotplug", "/attack"),
        ("/proc/sys/kernel/poweroff_cmd", "/attack"),
        ("/proc/sys/kernel/randomize_va_space", "1"),
        ("/proc/sys/vm/overcommit_memory", "2"),
        ("/proc/sys/fs/protected_symlinks", "0"),
        ("/proc/sys/fs/binfmt_misc/register", ":attack:M::x::/attack:"),
        ("/sys/kernel/uevent_helper", "/attack"),
        ("/sys/module/printk/parameters/time", "N"),
        ("/sys/fs/cgroup/release_agent", "/attack"),
        ("/proc/self/oom_score_adj", "-1000"),
        ("/proc/self/attr/current", "unconfined"),
        ("/proc/sysrq-trigger", ""),
    ];
    for (path, value) in all {
        match std::fs::OpenOptions::new().write(true).open(path).and_then(|mut file| std::io::Write::write(&mut file, value.as_bytes())) {
            Ok(_) => say(path, "taken"),
            Err(_) => say(path, crate::trace::errno_name()),
        }
    }
}

fn cgroup(a: &Canaries) {
    for name in ["release_agent", "cgroup.procs", "notify_on_release", "memory.max", "pids.max", "cgroup.subtree_control", "devices.allow"]
    {
        for folder in ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/rdma"] {
            a.refused(format!("{folder}/{name}"), sys!(SYS_open, c(&format!("{folder}/{name}")).as_ptr(), libc::O_WRONLY));
        }
    }
    a.refused("mkdir", sys!(SYS_mkdir, c"/sys/fs/cgroup/attack".as_ptr(), 0o755));
}

/// Natively, without masked paths, /proc/kcore and the symbols are there to be read.
fn kernel_files(_: &Canaries) {
    let absent = [
        "/dev/kmsg",
        "/dev/mem",
        "/dev/kmem",
        "/dev/port",
        "/dev/kvm",
        "/dev/fuse",
        "/dev/net/tun",
        "/dev/cpu/0/msr",
        "/dev/vhost-net",
        "/dev/loop-control",
        "/proc/kcore",
        "/proc/kallsyms",
        "/proc/kmsg",
        "/proc/keys",
        "/proc/key-users",
        "/proc/timer_list",
        "/proc/sched_debug",
        "/proc/vmcore",
        "/proc/iomem",
        "/proc/1/pagemap",
        "/sys/kernel/debug/tracing/trace",
        "/sys/kernel/vmcoreinfo",
        "/sys/kernel/notes",
        "/sys/firmware/dmi/tables/DMI",
        "/sys/kernel/security/lockdown",
    ];
    for path in absent {
        match read_some(path) {
            Ok(bytes) if bytes.iter().any(|byte| !b"0 \n".contains(byte)) => breach(path, format!("{} bytes", bytes.len())),
            Ok(_) => say(path, "empty"),
            Err(error) => say(path, error),
        }
    }
}

/// Natively, making the node works, and the cgroup's device list refuses to open it.
fn devices(a: &Canaries) {
    for (name, kind, major, minor) in [
        ("sda", libc::S_IFBLK, 8, 0),
        ("vda", libc::S_IFBLK, 254, 0),
        ("loop0", libc::S_IFBLK, 7, 0),
        ("mem", libc::S_IFCHR, 1, 1),
        ("port", libc::S_IFCHR, 1, 4),
        ("kmsg", libc::S_IFCHR, 1, 11),
        ("tty1", libc::S_IFCHR, 4, 1),
        ("kvm", libc::S_IFCHR, 10, 232),
        ("fuse", libc::S_IFCHR, 10, 229),
    ] {
        for folder in ["/tmp", "/dev", "/volume", ""] {
            let path = c(&format!("{folder}/attack-{name}"));
            sys!(SYS_mknod, path.as_ptr(), kind | 0o666, libc::makedev(major, minor));
            a.refused(format!("{name} in {folder}/"), sys!(SYS_open, path.as_ptr(), libc::O_RDONLY | libc::O_NONBLOCK));
            sys!(SYS_unlink, path.as_ptr());
        }
    }
}

/// The ways around a file that may only be read: memory (CVE-2016-5195), pipes (CVE-2022-0847), descriptors of /proc, other calls.
fn read_only_volume(a: &Canaries) {
    let path = c"/readonly/file";
    for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_RDONLY | libc::O_TRUNC, libc::O_WRONLY | libc::O_APPEND] {
        a.refused(format!("open {flags:#o}"), sys!(SYS_open, path.as_ptr(), flags));
    }
    let fd = sys!(SYS_open, path.as_ptr(), libc::O_RDONLY);
    a.must("may be read", fd >= 0);
    a.refused("again by /proc", sys!(SYS_open, c(&format!("/proc/self/fd/{fd}")).as_ptr(), libc::O_RDWR));
    a.refused("write", sys!(SYS_write, fd, OURS.as_ptr(), 8));
    a.refused("ftruncate", sys!(SYS_ftruncate, fd, 0));
    a.refused("fchmod", sys!(SYS_fchmod, fd, 0o777));
    a.refused("unlink", sys!(SYS_unlink, path.as_ptr()));
    a.refused("rename", sys!(SYS_rename, path.as_ptr(), c"/readonly/other".as_ptr()));
    a.refused("link to where one may write", sys!(SYS_link, path.as_ptr(), c"/volume/linked".as_ptr()));
    a.refused("map for writing", sys!(SYS_mmap, 0, 4_096, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, fd, 0));
    let shared = sys!(SYS_mmap, 0, 4_096, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
    a.refused("mprotect", sys!(SYS_mprotect, shared, 4_096, libc::PROT_READ | libc::PROT_WRITE));
    let private = sys!(SYS_mmap, 0, 4_096, libc::PROT_READ, libc::MAP_PRIVATE, fd, 0);
    let memory = sys!(SYS_open, c"/proc/self/mem".as_ptr(), libc::O_RDWR);
    a.refused("shared page by /proc/self/mem", sys!(SYS_pwrite64, memory, OURS.as_ptr(), 8, shared));
    for _ in 0..200 {
        sys!(SYS_pwrite64, memory, OURS.as_ptr(), 8, private);
        sys!(SYS_madvise, private, 4_096, libc::MADV_DONTNEED);
    }
    let (from, to) = crate::support::pipe();
    let page = [7u8; 4_096];
    sys!(SYS_write, to, page.as_ptr(), 4_096);
    sys!(SYS_read, from, page.as_ptr() as u64, 4_096);
    sys!(SYS_splice, fd, 0, to, 0, 1, 0);
    sys!(SYS_write, to, page.as_ptr(), 8);
    a.must("is as it was", std::fs::read("/readonly/file").is_ok_and(|bytes| bytes == b"read only"));
}
