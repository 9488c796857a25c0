//! System calls that change or look into the kernel, which a container without capabilities for them is refused.

use super::{Attack, Canaries, c};
use crate::sys;

pub const ATTACKS: &[Attack] = &[
    ("mounts", mounts),
    ("modules_and_kexec", modules_and_kexec),
    ("kernel_windows", kernel_windows),
    ("machine", machine),
    ("kernel_pointers", kernel_pointers),
    ("changing_arguments", changing_arguments),
    ("own_user_namespace", own_user_namespace),
];

fn mounts(a: &Canaries) {
    for kind in ["proc", "sysfs", "cgroup", "cgroup2", "debugfs", "securityfs", "bpf", "ext4", "overlay", "tmpfs"] {
        let kind_c = c(kind);
        a.refused(format!("mount {kind}"), sys!(SYS_mount, c"none".as_ptr(), c"/tmp".as_ptr(), kind_c.as_ptr(), 0, 0));
        a.refused(format!("fsopen {kind}"), sys!(SYS_fsopen, kind_c.as_ptr(), 0));
    }
    a.refused("bind", sys!(SYS_mount, c"/proc/1/root".as_ptr(), c"/tmp".as_ptr(), 0, libc::MS_BIND | libc::MS_REC, 0));
    let writable = libc::MS_REMOUNT | libc::MS_BIND;
    a.refused("remount for writing", sys!(SYS_mount, 0, c"/readonly".as_ptr(), 0, writable, 0));
    a.refused("pivot_root", sys!(SYS_pivot_root, c"/tmp".as_ptr(), c"/tmp".as_ptr()));
    a.refused("umount", sys!(SYS_umount2, c"/proc".as_ptr(), libc::MNT_DETACH));
    a.refused("open_tree", sys!(SYS_open_tree, libc::AT_FDCWD, c"/".as_ptr(), 1));
    a.refused("move_mount", sys!(SYS_move_mount, libc::AT_FDCWD, c"/volume".as_ptr(), libc::AT_FDCWD, c"/tmp".as_ptr(), 0));
}

fn modules_and_kexec(a: &Canaries) {
    let image = [0u8; 64];
    a.refused("init_module", sys!(SYS_init_module, image.as_ptr(), image.len(), c"".as_ptr()));
    let file = sys!(SYS_open, c"/guests".as_ptr(), libc::O_RDONLY);
    a.refused("finit_module", sys!(SYS_finit_module, file, c"".as_ptr(), 0));
    a.refused("delete_module", sys!(SYS_delete_module, c"no_such_module".as_ptr(), libc::O_NONBLOCK));
    a.refused("kexec_load", sys!(SYS_kexec_load, 0, 0, 0, 0));
    a.refused("kexec_file_load", sys!(SYS_kexec_file_load, file, -1, 0, 0, 0));
}

fn kernel_windows(a: &Canaries) {
    let zeros = [0u8; 128];
    a.refused("bpf", sys!(SYS_bpf, 0, zeros.as_ptr(), zeros.len()));
    a.refused("perf_event_open", sys!(SYS_perf_event_open, zeros.as_ptr(), 0, -1, -1, 0));
    a.refused("userfaultfd", sys!(SYS_userfaultfd, 0));
    a.refused("io_uring_setup", sys!(SYS_io_uring_setup, 8, zeros.as_ptr()));
    a.refused("keyctl", sys!(SYS_keyctl, 0, -3, 1));
    a.refused("add_key", sys!(SYS_add_key, c"user".as_ptr(), c"canary".as_ptr(), zeros.as_ptr(), 8, -3));
    a.refused("request_key", sys!(SYS_request_key, c"user".as_ptr(), c"canary".as_ptr(), 0, 0));
    a.refused("lookup_dcookie", sys!(SYS_lookup_dcookie, 1, zeros.as_ptr(), 8));
    a.refused("syslog", sys!(SYS_syslog, 3, zeros.as_ptr(), zeros.len()));
    a.refused("fanotify_init", sys!(SYS_fanotify_init, 0, 0));
}

fn machine(a: &Canaries) {
    a.refused("reboot", sys!(SYS_reboot, 0xfee1_dead_u32, 672_274_793, 0));
    a.refused("iopl", sys!(SYS_iopl, 3));
    a.refused("ioperm", sys!(SYS_ioperm, 0x80, 1, 1));
    a.refused("swapon", sys!(SYS_swapon, c"/guests".as_ptr(), 0));
    a.refused("acct", sys!(SYS_acct, c"/tmp".as_ptr()));
    a.refused("settimeofday", sys!(SYS_settimeofday, [0u64; 2].as_ptr(), 0));
    a.refused("clock_settime", sys!(SYS_clock_settime, 0, [0u64; 2].as_ptr()));
    a.refused("quotactl", sys!(SYS_quotactl, 0, c"/dev/sda".as_ptr(), 0, 0));
    a.refused("vhangup", sys!(SYS_vhangup));
    a.refused("setns", sys!(SYS_setns, sys!(SYS_open, c"/proc/1/ns/net".as_ptr(), libc::O_RDONLY), 0));
}

/// Results that are to be stored where the kernel is (CVE-2017-5123): addresses of Linux, and of what lies above a guest.
fn kernel_pointers(a: &Canaries) {
    let zero = sys!(SYS_open, c"/dev/zero".as_ptr(), libc::O_RDWR);
    for address in [0xffff_8880_0000_0000_u64, 0xffff_ffff_8100_0000, 0x7fff_ffff_f000, 0x7fff_8000_0000, 0x7fff_0000_0000] {
        a.refused(format!("read to {address:#x}"), sys!(SYS_read, zero, address, 8));
        a.refused(format!("write from {address:#x}"), sys!(SYS_write, sys!(SYS_memfd_create, c"m".as_ptr(), 0), address, 8));
        a.refused(format!("stat to {address:#x}"), sys!(SYS_stat, c"/".as_ptr(), address));
        a.refused(format!("uname to {address:#x}"), sys!(SYS_uname, address));
        let child = crate::support::spawn(|| ());
        a.refused(format!("waitid to {address:#x}"), sys!(SYS_waitid, libc::P_PID, child, address, libc::WEXITED, 0));
    }
}

/// A thread changes buffers and lengths while the kernel reads them.
fn changing_arguments(a: &Canaries) {
    let mut vector = Box::new([0u64, 8, 0, 8]);
    let data = [1u8; 64];
    let shared = vector.as_mut_ptr() as usize;
    let bases = [data.as_ptr() as u64, 0x1000, 0xffff_8880_0000_0000, 0x7fff_8000_0000];
    std::thread::spawn(move || {
        for turn in 0usize.. {
            let place = shared as *mut u64;
            // SAFETY: the vector lives as long as the process, which ends with the attack.
            unsafe {
                place.write_volatile(bases[turn % 4]);
                place.add(1).write_volatile([8, u64::MAX, 1 << 40, 64][turn / 4 % 4]);
            }
        }
    });
    let sink = sys!(SYS_memfd_create, c"m".as_ptr(), 0);
    let mut longest = 0;
    for _ in 0..5_000 {
        longest = longest.max(sys!(SYS_pwritev, sink, shared, 2, 0));
    }
    std::mem::forget(vector);
    // From `data` on to the end of the stack there is something to write.
    a.must("no more was written than is there", longest <= 64 << 20);
}

/// Where a namespace of users may be made, it gives no right outside of it.
fn own_user_namespace(a: &Canaries) {
    sys!(SYS_unshare, libc::CLONE_NEWUSER | libc::CLONE_NEWNS);
    a.refused("fsopen ext4", sys!(SYS_fsopen, c"ext4".as_ptr(), 0));
    a.refused("nf_tables", sys!(SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, 12));
    let options = c("lowerdir=/,upperdir=/tmp,workdir=/tmp");
    a.refused("overlay", sys!(SYS_mount, c"o".as_ptr(), c"/tmp".as_ptr(), c"overlay".as_ptr(), 0, options.as_ptr()));
}
