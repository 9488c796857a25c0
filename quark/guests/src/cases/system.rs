//! What the system says of itself, randomness, unknown calls, /proc and /dev.

use crate::support::{in_child, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(names),
    case!(host_and_domain_names),
    case!(information),
    case!(random),
    case!(personalities),
    case!(unknown_calls),
    case!(old_calls),
    case!(privileged_calls),
    case!(barriers),
    case!(restartable_sequences),
    case!(proc_files),
    case!(proc_is_read_only),
    case!(proc_descriptors),
    case!(proc_others),
    case!(dev_files),
    case!(sys_files),
    case!(file_notification),
    case!(io_rings),
    case!(io_contexts),
    case!(io_transfers),
    case!(io_waits),
    case!(handles),
    case!(compare_processes),
    case!(system_log),
];

fn text(bytes: &[c_char]) -> String {
    bytes.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8 as char).collect()
}

fn names(t: &Trace) {
    let mut names: utsname = zeroed();
    t.call("uname", sys!(SYS_uname, &raw mut names));
    t.show("system", text(&names.sysname));
    t.show("machine", text(&names.machine));
    t.show("host", text(&names.nodename));
    t.show("domain", text(&names.domainname));
    let release = text(&names.release);
    let major: u32 = release.split('.').next().and_then(|part| part.parse().ok()).unwrap_or(0);
    t.show("release is new enough", major >= 4);
    t.call("bad pointer", sys!(SYS_uname, 8));
    t.show("proc", std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim_end() == release);
    t.show("type", std::fs::read_to_string("/proc/sys/kernel/ostype").unwrap_or_default().trim_end());
    t.show("version", std::fs::read_to_string("/proc/version").unwrap_or_default().starts_with("Linux version"));
}

fn host_and_domain_names(t: &Trace) {
    t.call("too long", sys!(SYS_sethostname, c"x".as_ptr(), 65));
    t.call("bad pointer", sys!(SYS_sethostname, 8, 5));
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("another", sys!(SYS_sethostname, c"other".as_ptr(), 5));
        t.call("domain", sys!(SYS_setdomainname, c"other".as_ptr(), 5));
    });
    t.show("child", end);
    t.show("proc", std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim_end());
}

fn information(t: &Trace) {
    let mut info: sysinfo = zeroed();
    t.call("sysinfo", sys!(SYS_sysinfo, &raw mut info));
    t.show("memory", info.totalram > 0 && info.freeram > 0 && info.mem_unit > 0);
    t.show("up", info.uptime > 0);
    t.show("processes", info.procs > 0);
    t.call("bad pointer", sys!(SYS_sysinfo, 8));
    // SAFETY: asks only.
    t.show("processors", unsafe { sysconf(_SC_NPROCESSORS_ONLN) } > 0);
}

fn random(t: &Trace) {
    let (mut one, mut other) = ([0u8; 32], [0u8; 32]);
    t.call("random", sys!(SYS_getrandom, one.as_mut_ptr(), 32, 0));
    t.call("again", sys!(SYS_getrandom, other.as_mut_ptr(), 32, GRND_NONBLOCK));
    t.show("different", one != other && one != [0; 32]);
    t.call("insecure", sys!(SYS_getrandom, one.as_mut_ptr(), 32, GRND_INSECURE));
    t.call("none", sys!(SYS_getrandom, one.as_mut_ptr(), 0, 0));
    t.call("flags", sys!(SYS_getrandom, one.as_mut_ptr(), 32, 64));
    t.call("bad pointer", sys!(SYS_getrandom, 8, 32, 0));
    t.call("a megabyte", sys!(SYS_getrandom, vec![0u8; 1 << 20].as_mut_ptr(), 1 << 20, 0));
}

fn personalities(t: &Trace) {
    t.call("get", sys!(SYS_personality, 0xffff_ffffu32));
    t.call("no randomization", sys!(SYS_personality, ADDR_NO_RANDOMIZE));
    t.call("get", sys!(SYS_personality, 0xffff_ffffu32));
    t.show("child", in_child(|| t.call("inherited", sys!(SYS_personality, 0xffff_ffffu32))));
}

fn unknown_calls(t: &Trace) {
    for number in [-1i64, 340, 400, 423, 600, 1000, 5000, 1 << 30, i64::MIN, 0x4000_0000 + 39] {
        // SAFETY: no such call.
        t.call(&number.to_string(), unsafe { syscall(number, 0, 0, 0, 0, 0, 0) });
    }
}

fn old_calls(t: &Trace) {
    // uselib, _sysctl, create_module, get_kernel_syms, query_module, nfsservctl, getpmsg, putpmsg, afs_syscall, tuxcall, security, vserver,
    // epoll_ctl_old, epoll_wait_old, set_thread_area, get_thread_area, lookup_dcookie.
    for number in [134, 156, 174, 177, 178, 180, 181, 182, 183, 184, 185, 236, 214, 215, 205, 211, 212] {
        // SAFETY: removed calls.
        t.call(&number.to_string(), unsafe { syscall(number, 0, 0, 0, 0, 0, 0) });
    }
}

fn privileged_calls(t: &Trace) {
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("reboot", sys!(SYS_reboot, 1, 2, 3, 0));
        t.call("swapon", sys!(SYS_swapon, c"x".as_ptr(), 0));
        t.call("swapoff", sys!(SYS_swapoff, c"x".as_ptr()));
        t.call("acct", sys!(SYS_acct, c"x".as_ptr()));
        t.call("vhangup", sys!(SYS_vhangup));
    });
    t.show("child", end);
}

fn barriers(t: &Trace) {
    t.show("known", sys!(SYS_membarrier, 0, 0, 0) > 0);
    t.call("not registered", sys!(SYS_membarrier, 8, 0, 0));
    t.call("register", sys!(SYS_membarrier, 16, 0, 0));
    t.call("private", sys!(SYS_membarrier, 8, 0, 0));
    t.call("unknown", sys!(SYS_membarrier, 1 << 30, 0, 0));
    t.call("flags", sys!(SYS_membarrier, 0, 64, 0));
}

fn restartable_sequences(t: &Trace) {
    #[repr(align(32))]
    struct Area([u8; 32]);
    let mut area = Area([0; 32]);
    t.call("flags", sys!(SYS_rseq, area.0.as_mut_ptr(), 32, 64, 0x5305_3053));
    t.call("second", sys!(SYS_rseq, area.0.as_mut_ptr(), 32, 0, 0x5305_3053));
}

fn proc_files(t: &Trace) {
    for name in [
        "cpuinfo",
        "meminfo",
        "stat",
        "uptime",
        "loadavg",
        "mounts",
        "filesystems",
        "self/stat",
        "self/status",
        "self/statm",
        "self/maps",
        "self/smaps",
        "self/limits",
        "self/mountinfo",
        "self/cgroup",
        "self/oom_score_adj",
        "self/auxv",
        "self/environ",
        "self/cmdline",
        "self/io",
        "self/wchan",
        "self/personality",
        "self/timerslack_ns",
        "self/uid_map",
        "self/gid_map",
        "self/setgroups",
        "self/attr/current",
        "self/comm",
        "self/loginuid",
        "self/sched",
        "self/syscall",
        "self/stack",
        "sys/kernel/pid_max",
        "sys/vm/overcommit_memory",
        "sys/vm/max_map_count",
        "sys/fs/file-max",
        "sys/fs/nr_open",
        "sys/net/core/somaxconn",
        "sys/kernel/random/boot_id",
        "sys/kernel/random/uuid",
        "sys/kernel/threads-max",
        "sys/kernel/cap_last_cap",
        "sys/fs/pipe-max-size",
        "net/dev",
        "net/tcp",
        "net/tcp6",
        "net/udp",
        "net/unix",
        "net/route",
        "vmstat",
        "version",
        "devices",
        "swaps",
        "partitions",
        "diskstats",
        "interrupts",
        "self/net/dev",
        "cgroups",
    ] {
        let read = std::fs::read(format!("/proc/{name}"));
        t.show(
            name,
            read.map_or_else(|error| error.kind().to_string(), |content| if content.is_empty() { "empty".into() } else { "some".into() }),
        );
    }
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    for name in ["MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal"] {
        t.show(name, info.lines().any(|line| line.starts_with(&format!("{name}:")) && line.ends_with(" kB")));
    }
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    for name in ["cpu ", "cpu0 ", "ctxt ", "btime ", "processes "] {
        t.show(name, stat.lines().any(|line| line.starts_with(name)));
    }
}

fn proc_is_read_only(t: &Trace) {
    t.call("create", sys!(SYS_open, c"/proc/new".as_ptr(), O_CREAT | O_RDWR, 0o600));
    t.call("mkdir", sys!(SYS_mkdir, c"/proc/new".as_ptr(), 0o700));
    t.call("unlink", sys!(SYS_unlink, c"/proc/uptime".as_ptr()));
    t.call("rename", sys!(SYS_rename, c"/proc/uptime".as_ptr(), c"/proc/other".as_ptr()));
    t.call("nobody", sys!(SYS_access, c"/proc/32000".as_ptr(), F_OK));
    t.call("no descriptor", sys!(SYS_access, c"/proc/self/fd/99".as_ptr(), F_OK));
    t.call("status", sys!(SYS_open, c"/proc/self/status".as_ptr(), O_WRONLY));
    t.show("score", std::fs::write("/proc/self/oom_score_adj", "500").is_ok());
    t.show("score", std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default().trim_end());
    t.show(
        "wrong",
        std::fs::write("/proc/self/oom_score_adj", "5000").map_err(|error| error.raw_os_error().unwrap_or(0)).err().unwrap_or(0),
    );
}

fn proc_descriptors(t: &Trace) {
    let (reader, _) = crate::support::pipe();
    crate::support::file(c"a", b"abc");
    let mut names: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .map(|all| all.flatten().filter_map(|one| one.file_name().to_string_lossy().parse().ok()).collect())
        .unwrap_or_default();
    names.sort();
    t.show("listed", format!("{names:?}"));
    let target = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).map(|path| path.display().to_string()).unwrap_or_default();
    t.show("pipe", target(reader).starts_with("pipe:["));
    t.show("file", target(5));
    let event = sys!(SYS_eventfd2, 0, 0) as i32;
    t.show("event", target(event));
    t.show("epoll", target(sys!(SYS_epoll_create1, 0) as i32));
    t.show("socket", target(crate::support::socket_pair(SOCK_STREAM).0).starts_with("socket:["));
    sys!(SYS_lseek, 5, 2, SEEK_SET);
    let info = std::fs::read_to_string("/proc/self/fdinfo/5").unwrap_or_default();
    t.show("position", info.lines().next().unwrap_or("").replace('\t', " "));
    t.show("flags", info.lines().nth(1).unwrap_or("").replace('\t', " "));
}

fn proc_others(t: &Trace) {
    let child = crate::support::spawn(|| {
        sys!(SYS_prctl, PR_SET_NAME, c"a (child) x".as_ptr(), 0, 0, 0);
        sys!(SYS_setuid, 1000);
        sys!(SYS_pause);
    });
    crate::support::sleep_ms(40);
    t.show("name", std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default().trim_end());
    let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    let rest: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    t.show("state", rest.first().copied().unwrap_or(""));
    t.show("parent", rest.get(1).copied().unwrap_or("") == std::process::id().to_string());
    let mut stat: stat = zeroed();
    let name = std::ffi::CString::new(format!("/proc/{child}")).unwrap_or_default();
    sys!(SYS_stat, name.as_ptr(), &raw mut stat);
    t.show("owner", format!("{} {:o}", stat.st_uid, stat.st_mode));
    sys!(SYS_kill, child, SIGKILL);
    sys!(SYS_waitid, P_PID, child, 0, WEXITED | WNOWAIT, 0);
    let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    t.show("zombie", stat.rsplit(") ").next().unwrap_or("").chars().next().unwrap_or(' '));
    t.show("ended", crate::support::wait_for(child));
    t.call("gone", sys!(SYS_access, name.as_ptr(), F_OK));
}

fn dev_files(t: &Trace) {
    for name in
        ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd", "stdin", "stdout", "stderr", "mqueue", "console"]
    {
        let path = std::ffi::CString::new(format!("/dev/{name}")).unwrap_or_default();
        let mut stat: stat = zeroed();
        let got = sys!(SYS_lstat, path.as_ptr(), &raw mut stat);
        if got == -1 { t.call(name, got) } else { t.show(name, format!("{:o} {:x}", stat.st_mode, stat.st_rdev & 0xff00)) }
    }
    t.call("null seek", sys!(SYS_lseek, sys!(SYS_open, c"/dev/null".as_ptr(), O_RDWR), 10, SEEK_SET));
    let zero = sys!(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, sys!(SYS_open, c"/dev/zero".as_ptr(), O_RDWR), 0);
    t.ok("zero mapped", zero);
    t.call("disk", sys!(SYS_access, c"/dev/sda".as_ptr(), F_OK));
    t.call("memory", sys!(SYS_access, c"/dev/mem".as_ptr(), F_OK));
}

fn sys_files(t: &Trace) {
    for name in [
        "/sys/devices/system/cpu/online",
        "/sys/devices/system/cpu/possible",
        "/sys/class/net/lo/mtu",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/fs/cgroup",
    ] {
        let path = std::ffi::CString::new(name).unwrap_or_default();
        t.call(name, sys!(SYS_access, path.as_ptr(), R_OK));
    }
    t.call("write", sys!(SYS_open, c"/sys/devices/system/cpu/online".as_ptr(), O_WRONLY));
    t.call("create", sys!(SYS_mkdir, c"/sys/new".as_ptr(), 0o700));
}

fn file_notification(t: &Trace) {
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("fanotify", sys!(SYS_fanotify_init, 0, 0));
    });
    t.show("child", end);
}

fn io_rings(t: &Trace) {
    let mut context = 0u64;
    t.call("set up", sys!(SYS_io_setup, 4, &raw mut context));
    t.call("nothing", sys!(SYS_io_setup, 0, &raw mut context));
    let mut events = [0u64; 4];
    let zero: timespec = zeroed();
    t.call("no events", sys!(SYS_io_getevents, context, 0, 1, events.as_mut_ptr(), &raw const zero));
    t.call("destroy", sys!(SYS_io_destroy, context));
    t.call("destroy again", sys!(SYS_io_destroy, context));
    t.call("ring", sys!(SYS_io_uring_setup, 0, 8));
}

/// `struct iocb`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Block {
    data: u64,
    key: u64,
    operation: u16,
    priority: i16,
    fd: i32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    result_fd: i32,
}

const fn block(operation: u16, fd: i64, buffer: u64, bytes: u64, offset: i64) -> Block {
    let data = 7 + operation as u64;
    Block { data, key: 0, operation, priority: 0, fd: fd as i32, buffer, bytes, offset, reserved: 0, flags: 0, result_fd: 0 }
}

fn submit(context: u64, blocks: &mut [Block]) -> i64 {
    let pointers: Vec<*mut Block> = blocks.iter_mut().map(|block| &raw mut *block).collect();
    sys!(SYS_io_submit, context, pointers.len(), pointers.as_ptr())
}

fn take_events(t: &Trace, what: &str, context: u64, least: i64) {
    let mut events = [[0i64; 4]; 8];
    let short = timespec { tv_sec: 0, tv_nsec: 40_000_000 };
    let got = sys!(SYS_io_getevents, context, least, 8, events.as_mut_ptr(), &raw const short);
    t.call(what, got);
    for event in events.iter().take(usize::try_from(got).unwrap_or(0)) {
        t.show("event", format!("{} {}", event[0], event[2]));
    }
}

fn io_contexts(t: &Trace) {
    let mut context = 0u64;
    t.call("many", sys!(SYS_io_setup, u32::MAX, &raw mut context));
    t.call("bad pointer", sys!(SYS_io_setup, 4, 8));
    t.call("set up", sys!(SYS_io_setup, 4, &raw mut context));
    t.call("in use", sys!(SYS_io_setup, 4, &raw mut context));
    t.call("nobody's", sys!(SYS_io_submit, 8, 1, 8));
    t.call("bad list", sys!(SYS_io_submit, context, 1, 8));
    t.call("negative", sys!(SYS_io_submit, context, -1, 8));
    t.call("none", sys!(SYS_io_submit, context, 0, 8));
    t.call("least", sys!(SYS_io_getevents, context, 2, 1, [0u64; 8].as_mut_ptr(), 0));
    t.call("nobody's events", sys!(SYS_io_getevents, 8, 0, 1, [0u64; 8].as_mut_ptr(), 0));
    let end = in_child(|| t.call("child", sys!(SYS_io_destroy, context)));
    t.show("child", end);
    t.call("destroy", sys!(SYS_io_destroy, context));
}

fn io_transfers(t: &Trace) {
    let mut context = 0u64;
    sys!(SYS_io_setup, 4, &raw mut context);
    let fd = sys!(SYS_open, c"a".as_ptr(), O_CREAT | O_RDWR, 0o600);
    let text = b"hello, world";
    let mut buffer = [0u8; 16];
    let pieces = [iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: 5 }];
    t.call("write", submit(context, &mut [block(1, fd, text.as_ptr() as u64, 12, 0)]));
    t.call("read", submit(context, &mut [block(0, fd, buffer.as_mut_ptr() as u64, 16, 7), block(2, fd, 0, 0, 0)]));
    take_events(t, "events", context, 3);
    t.bytes("bytes", &buffer[..5]);
    t.call("vectors", submit(context, &mut [block(7, fd, pieces.as_ptr() as u64, 1, 0)]));
    take_events(t, "events", context, 1);
    t.bytes("bytes", &buffer[..5]);
    let null = sys!(SYS_open, c"a".as_ptr(), O_RDONLY, 0);
    t.call("not for writing", submit(context, &mut [block(1, null, text.as_ptr() as u64, 12, 0)]));
    t.call("closed", submit(context, &mut [block(0, 99, 0, 0, 0)]));
    t.call("operation", submit(context, &mut [block(99, fd, 0, 0, 0)]));
    t.call("second is wrong", submit(context, &mut [block(1, fd, text.as_ptr() as u64, 2, 0), block(99, fd, 0, 0, 0)]));
    t.call("bad buffer", submit(context, &mut [block(0, fd, 8, 4, 0)]));
    t.call("position", submit(context, &mut [block(0, fd, buffer.as_mut_ptr() as u64, 4, -1)]));
    take_events(t, "events", context, 2);
    take_events(t, "no more", context, 1);
    let event = sys!(SYS_eventfd2, 0, EFD_NONBLOCK);
    let told = Block { flags: 1, result_fd: event as i32, ..block(1, fd, text.as_ptr() as u64, 2, 0) };
    t.call("told", submit(context, &mut [told, told]));
    let mut count = 0u64;
    t.call("eventfd", sys!(SYS_read, event, &raw mut count, 8));
    t.show("count", count);
    t.call("no eventfd", submit(context, &mut [Block { flags: 1, result_fd: fd as i32, ..told }]));
    sys!(SYS_io_destroy, context);
}

fn io_waits(t: &Trace) {
    let mut context = 0u64;
    sys!(SYS_io_setup, 4, &raw mut context);
    let (reader, writer) = crate::support::pipe();
    let mut poll = [block(5, i64::from(reader), POLLIN as u64, 0, 0)];
    t.call("poll", submit(context, &mut poll));
    take_events(t, "nothing", context, 1);
    let child = crate::support::spawn(|| {
        crate::support::sleep_ms(30);
        crate::support::write(writer, b"x");
    });
    let mut events = [[0i64; 4]; 4];
    t.call("readable", sys!(SYS_io_getevents, context, 1, 4, events.as_mut_ptr(), 0));
    t.show("event", format!("{} {}", events[0][0], events[0][2] & 1));
    t.show("object", events[0][1] == poll.as_ptr() as i64);
    t.show("child", crate::support::wait_for(child));
    t.call("at once", submit(context, &mut poll));
    take_events(t, "events", context, 1);
    let mut empty = [block(5, i64::from(crate::support::pipe().0), POLLIN as u64, 0, 0)];
    t.call("poll", submit(context, &mut empty));
    t.call("cancel", sys!(SYS_io_cancel, context, empty.as_ptr(), events.as_mut_ptr()));
    take_events(t, "cancelled", context, 1);
    t.call("cancel again", sys!(SYS_io_cancel, context, empty.as_ptr(), events.as_mut_ptr()));
    let file = sys!(SYS_open, c"a".as_ptr(), O_CREAT | O_RDWR, 0o600);
    t.call("file", submit(context, &mut [block(5, file, POLLIN as u64, 0, 0)]));
    t.call("offset", submit(context, &mut [block(5, i64::from(reader), POLLIN as u64, 0, 3)]));
    sys!(SYS_io_destroy, context);
}

fn handles(t: &Trace) {
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("open", sys!(SYS_open_by_handle_at, AT_FDCWD, [8u32, 1, 0, 0].as_ptr(), 0));
    });
    t.show("child", end);
    let mut small = [0u32; 2];
    let mut mount = 0i32;
    t.call("no room", sys!(SYS_name_to_handle_at, AT_FDCWD, c".".as_ptr(), small.as_mut_ptr(), &raw mut mount, 0));
}

fn compare_processes(t: &Trace) {
    let own = sys!(SYS_getpid);
    let copy = sys!(SYS_dup, 1);
    t.call("same file", sys!(SYS_kcmp, own, own, 0, 1, copy));
    t.call("same memory", sys!(SYS_kcmp, own, own, 1, 0, 0));
    t.call("closed", sys!(SYS_kcmp, own, own, 0, 1, 99));
    t.call("kind", sys!(SYS_kcmp, own, own, 99, 0, 0));
    t.call("nobody", sys!(SYS_kcmp, own, 32_000, 1, 0, 0));
}

fn system_log(t: &Trace) {
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("clear", sys!(SYS_syslog, 5, 0, 0));
    });
    t.show("child", end);
    t.call("unknown", sys!(SYS_syslog, 99, 0, 0));
    t.call("no buffer", sys!(SYS_syslog, 3, 0, 0));
}
