//! The platform works behind the kernel process' own filter.

mod support;

use quark_host::filter::kernel::confine;
use quark_host::landlock::restrict;
use quark_host::platform::Event;
use support::{DATA, Guest, World, anonymous};

std::arch::global_asm!(
    r#"
    .globl calls, calls_end, spin, spin_end
calls:
    syscall
    jmp calls
calls_end:

spin:
    jmp spin
spin_end:
"#
);

#[test]
fn stubs_are_made_run_and_reaped_behind_the_filter() {
    // The filter can't be taken off again.
    support::alone("stubs_are_made_run_and_reaped_behind_the_filter", inside);
}

fn inside() {
    let world = World::start();
    rustix::thread::set_no_new_privs(true).unwrap();
    world.platform.ready().unwrap();
    confine(true).unwrap();
    assert!(std::fs::File::open("/etc/passwd").is_err(), "the filter must be there");
    for _ in 0..20 {
        let mut guest = world.guest(guest_code!(calls, calls_end));
        guest.run_to_call();
        guest.context.call(&[anonymous(0x1000_0000, 4096)]).unwrap();
        guest.space.write(DATA, &[1; 64]).unwrap();
        guest.space.read(DATA, &mut [0; 64]).unwrap();
        guest.context.extended().unwrap();
        let (space, context) = guest.context.fork().unwrap();
        let mut child = Guest { space, context, registers: guest.registers };
        child.run_to_call();
        let mut thread = child.context.thread().unwrap();
        let mut registers = guest.registers;
        assert_eq!(thread.run(&mut registers), Event::Syscall);
        thread.exit();
        child.space.kill();
        assert_eq!(child.run(), Event::Died);
    }
    assert_eq!(world.wait_ended(40).len(), 40);
    let mut guest = world.guest(guest_code!(spin, spin_end));
    let interrupter = guest.context.interrupter();
    let other = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(5));
        interrupter.interrupt();
    });
    assert_eq!(guest.run(), Event::Interrupted);
    other.join().unwrap();
}

/// What somebody might ask of the host who runs code of their own in the kernel process.
#[test]
fn a_kernel_that_is_taken_over_reaches_nothing() {
    support::alone("a_kernel_that_is_taken_over_reaches_nothing", taken_over);
}

const FILE: &std::ffi::CStr = c"/etc/passwd";

/// Which files there are to open is the mount namespace's to say, which this process has not; all else is refused by filter and Landlock.
fn taken_over() {
    rustix::thread::set_no_new_privs(true).unwrap();
    restrict().unwrap();
    confine(true).unwrap();
    for (name, number, arguments) in attempts() {
        let answer = call(number, arguments);
        assert!(matches!(answer, Err(libc::ENOSYS | libc::EACCES)), "{name}: {answer:?}");
    }
}

type Attempt = (&'static str, i64, [i64; 6]);

fn attempts() -> Vec<Attempt> {
    let (path, here) = (FILE.as_ptr() as i64, i64::from(libc::AT_FDCWD));
    let shell = c"/bin/sh".as_ptr() as i64;
    let mut all: Vec<Attempt> = vec![
        ("open", libc::SYS_open, [path, 0, 0, 0, 0, 0]),
        ("openat", libc::SYS_openat, [here, path, 0, 0, 0, 0]),
        ("execve", libc::SYS_execve, [shell, 0, 0, 0, 0, 0]),
        ("execveat", libc::SYS_execveat, [here, shell, 0, 0, 0, 0]),
        ("fork", libc::SYS_fork, [0; 6]),
        ("clone", libc::SYS_clone, [i64::from(libc::SIGCHLD), 0, 0, 0, 0, 0]),
        ("clone3", libc::SYS_clone3, [0; 6]),
        ("ptrace", libc::SYS_ptrace, [i64::from(libc::PTRACE_ATTACH), 1, 0, 0, 0, 0]),
        ("mount", libc::SYS_mount, [path, path, 0, libc::MS_BIND as i64, 0, 0]),
        ("umount2", libc::SYS_umount2, [path, 0, 0, 0, 0, 0]),
        ("pivot_root", libc::SYS_pivot_root, [path, path, 0, 0, 0, 0]),
        ("chroot", libc::SYS_chroot, [path, 0, 0, 0, 0, 0]),
        ("move_mount", libc::SYS_move_mount, [here, path, here, path, 0, 0]),
        ("open_tree", libc::SYS_open_tree, [here, path, 1, 0, 0, 0]),
        ("fsopen", libc::SYS_fsopen, [path, 0, 0, 0, 0, 0]),
        ("unshare", libc::SYS_unshare, [i64::from(libc::CLONE_NEWUSER), 0, 0, 0, 0, 0]),
        ("setns", libc::SYS_setns, [0; 6]),
        ("setuid", libc::SYS_setuid, [0; 6]),
        ("capset", libc::SYS_capset, [0; 6]),
        ("bpf", libc::SYS_bpf, [0; 6]),
        ("perf_event_open", libc::SYS_perf_event_open, [0; 6]),
        ("userfaultfd", libc::SYS_userfaultfd, [0; 6]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [8, 0, 0, 0, 0, 0]),
        ("keyctl", libc::SYS_keyctl, [0; 6]),
        ("init_module", libc::SYS_init_module, [0; 6]),
        ("kexec_load", libc::SYS_kexec_load, [0; 6]),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, [0; 6]),
        ("pidfd_open", libc::SYS_pidfd_open, [1, 0, 0, 0, 0, 0]),
        ("pidfd_getfd", libc::SYS_pidfd_getfd, [0; 6]),
        ("kcmp", libc::SYS_kcmp, [1, 1, 0, 0, 0, 0]),
        ("prlimit64", libc::SYS_prlimit64, [0; 6]),
        ("seccomp", libc::SYS_seccomp, [0; 6]),
        ("reboot", libc::SYS_reboot, [0; 6]),
        ("memory that runs", libc::SYS_mmap, [0, 4096, 7, 0x22, -1, 0]),
        ("a device", libc::SYS_mknodat, [here, path, i64::from(libc::S_IFBLK), 0x800, 0, 0]),
        ("TIOCSTI", libc::SYS_ioctl, [0, libc::TIOCSTI as i64, path, 0, 0, 0]),
    ];
    let families = [libc::AF_UNIX, libc::AF_PACKET, libc::AF_ALG, libc::AF_VSOCK, libc::AF_KEY, libc::AF_XDP, libc::AF_RDS, libc::AF_TIPC];
    all.extend(families.map(|family| ("a family of sockets", libc::SYS_socket, [i64::from(family), 3, 0, 0, 0, 0])));
    all.extend([libc::AF_INET, libc::AF_INET6].map(|family| ("a raw socket", libc::SYS_socket, [i64::from(family), 3, 6, 0, 0, 0])));
    all.extend([6, 9, 12, 15].map(|protocol| ("netlink", libc::SYS_socket, [i64::from(libc::AF_NETLINK), 3, protocol, 0, 0, 0])));
    all
}

fn call(number: i64, [a, b, c, d, e, f]: [i64; 6]) -> Result<i64, i32> {
    // SAFETY: the attempts' pointers are null or constant strings, and none of them writes to memory.
    match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
        -1 => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        answer => Ok(answer),
    }
}
