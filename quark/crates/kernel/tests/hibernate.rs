//! Pods whose memory goes to a file, and that don't notice: needs a C compiler, and `/bin/sh` and `sleep`.

mod common;

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use common::{booted, null, read_line, readable, shell, start};
use quark_kernel::Errno;
use quark_kernel::hibernate::Timeouts;
use quark_kernel::kernel::{Exit, Kernel, ProcessInfo};

/// A program of `guests/`, compiled once.
fn sleeper() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guests/sleeper.c");
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("sleeper-{}", std::process::id()));
        let status = Command::new("cc").args(["-O1", "-w", "-mavx2", "-pthread", "-o"]).arg(&program).arg(source).status();
        assert!(status.expect("this test needs a C compiler: install gcc").success());
        program
    };
    PROGRAM.get_or_init(make).clone()
}

fn file() -> Arc<OwnedFd> {
    let directory = env!("CARGO_TARGET_TMPDIR");
    let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    Arc::new(rustix::fs::open(directory, flags, 0o600.into()).unwrap())
}

/// Hibernates as soon as all threads wait.
fn hibernate(kernel: &Kernel, file: &Arc<OwnedFd>, timeouts: Timeouts) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match kernel.hibernation.hibernate(file.clone(), timeouts) {
            Ok(()) => return,
            Err(Errno::BUSY | Errno::AGAIN) if Instant::now() < end => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => panic!("it can't sleep: {error}"),
        }
    }
}

fn processes(kernel: &Kernel) -> Vec<ProcessInfo> {
    kernel.processes("c").unwrap()
}

fn stub_lives(info: &ProcessInfo) -> bool {
    std::fs::exists(format!("/proc/{}/stat", info.host_pid)).unwrap()
}

fn size(file: &OwnedFd) -> u64 {
    rustix::fs::fstat(file).unwrap().st_size as u64
}

/// A guest that answers "ok N" to each line.
fn started(kernel: &Arc<Kernel>) -> (i32, File, File) {
    let (pid, to, mut from) = start(kernel, "c", &format!("exec {}", sleeper().display()));
    assert_eq!(read_line(&mut from), "ready");
    (pid, to, from)
}

#[test]
fn all_that_a_process_has_outlasts_many_cycles() {
    let kernel = booted();
    let file = file();
    let (pid, mut to, mut from) = started(&kernel);
    for round in 0..40 {
        // Not every time, so that one sleeps in other rounds than the other.
        if round % 5 != 3 {
            hibernate(&kernel, &file, Timeouts::Wake);
            assert!(kernel.hibernation.asleep() && size(&file) > 100 * 4096);
            assert!(processes(&kernel).iter().all(|info| !stub_lives(info)));
        }
        to.write_all(b"go\n").unwrap();
        assert_eq!(read_line(&mut from), format!("ok {round}"));
        assert!(!kernel.hibernation.asleep() && size(&file) == 0);
    }
    drop(to);
    assert_eq!(kernel.wait("c", pid), Ok(Exit::Code(0)));
}

#[test]
fn timers_and_signals_wake() {
    let kernel = booted();
    let file = file();
    let (pid, mut to, mut from) = started(&kernel);
    for (round, line) in ["alarm", "nap", "alarm", "nap"].into_iter().enumerate() {
        to.write_all(format!("{line}\n").as_bytes()).unwrap();
        assert_eq!(read_line(&mut from), "sleeps");
        hibernate(&kernel, &file, Timeouts::Wake);
        assert_eq!(read_line(&mut from), format!("ok {round}"), "{line}");
    }
    hibernate(&kernel, &file, Timeouts::Wake);
    kernel.signal("c", Some(pid), libc::SIGTERM).unwrap();
    kernel.signal("c", Some(pid), libc::SIGKILL).unwrap();
    assert_eq!(kernel.wait("c", pid), Ok(Exit::Signal(libc::SIGKILL)));
}

#[test]
fn waits_that_are_held_end_when_something_else_wakes_the_pod() {
    let kernel = booted();
    let file = file();
    let (_pid, _to, mut from) = start(&kernel, "c", "sleep 0.2; echo slept");
    std::thread::sleep(Duration::from_millis(50));
    hibernate(&kernel, &file, Timeouts::Hold);
    assert!(!readable(&from, Duration::from_millis(600)));
    assert!(kernel.hibernation.asleep());
    kernel.hibernation.wake();
    assert_eq!(read_line(&mut from), "slept");
}

#[test]
fn a_new_process_runs_beside_those_that_sleep() {
    let kernel = booted();
    let (_pid, mut to, mut from) = started(&kernel);
    hibernate(&kernel, &file(), Timeouts::Wake);
    let (other, _to, mut said) = start(&kernel, "c", "echo here");
    assert_eq!((read_line(&mut said).as_str(), kernel.wait("c", other)), ("here", Ok(Exit::Code(0))));
    to.write_all(b"go\n").unwrap();
    assert_eq!(read_line(&mut from), "ok 0");
}

#[test]
fn what_fails_leaves_the_pod_running() {
    let kernel = booted();
    let (_pid, mut to, mut from) = started(&kernel);
    let full: OwnedFd = File::options().read(true).write(true).open("/dev/full").unwrap().into();
    let read_only = Arc::new(File::open("/dev/null").unwrap().into());
    for (file, expected) in [(read_only, Errno::INVAL), (Arc::new(full), Errno::INVAL)] {
        assert_eq!(kernel.hibernation.hibernate(file, Timeouts::Wake), Err(expected));
    }
    let small = sealed(8 * 4096);
    for round in 0..3 {
        let end = Instant::now() + Duration::from_secs(20);
        while kernel.hibernation.hibernate(small.clone(), Timeouts::Wake) != Err(Errno::PERM) {
            assert!(Instant::now() < end);
        }
        assert!(!kernel.hibernation.asleep() && processes(&kernel).iter().all(stub_lives));
        to.write_all(b"go\n").unwrap();
        assert_eq!(read_line(&mut from), format!("ok {round}"));
    }
}

#[test]
fn what_computes_does_not_sleep() {
    let kernel = booted();
    let (_pid, _to, mut from) = start(&kernel, "c", "echo ready; while :; do :; done");
    read_line(&mut from);
    let file = file();
    for _ in 0..20 {
        assert_eq!(kernel.hibernation.hibernate(file.clone(), Timeouts::Wake), Err(Errno::BUSY));
    }
}

#[test]
fn an_idle_pod_falls_asleep_by_itself_again_and_again() {
    let kernel = booted();
    let (_pid, mut to, mut from) = started(&kernel);
    let file = rustix::io::fcntl_dupfd_cloexec(&*file(), 3).unwrap();
    kernel.hibernation.when_idle(file, Duration::from_millis(50), Timeouts::Wake).unwrap();
    for round in 0..5 {
        let end = Instant::now() + Duration::from_secs(20);
        while !kernel.hibernation.asleep() {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(5));
        }
        to.write_all(b"go\n").unwrap();
        assert_eq!(read_line(&mut from), format!("ok {round}"));
    }
}

#[test]
fn paused_and_stopped_ones_sleep_and_go_on_when_they_are_let() {
    let kernel = booted();
    let file = file();
    let (pid, mut to, mut from) = start(&kernel, "c", "while read line; do echo $line; done");
    let mut spec = shell("kill -STOP $$; exit 3", [null(), null(), null()]);
    spec.environment.clear();
    let stopped = kernel.start("c", spec).unwrap();
    kernel.pause().unwrap();
    hibernate(&kernel, &file, Timeouts::Wake);
    to.write_all(b"one\n").unwrap();
    assert!(!readable(&from, Duration::from_millis(100)));
    kernel.resume().unwrap();
    assert_eq!(read_line(&mut from), "one");
    hibernate(&kernel, &file, Timeouts::Wake);
    kernel.signal("c", Some(stopped), libc::SIGCONT).unwrap();
    assert_eq!(kernel.wait("c", stopped), Ok(Exit::Code(3)));
    drop(to);
    assert_eq!(kernel.wait("c", pid), Ok(Exit::Code(0)));
}

/// A file that can't grow, as on a disk that is full.
fn sealed(bytes: u64) -> Arc<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    let file = memfd_create("full", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&file, bytes).unwrap();
    fcntl_add_seals(&file, SealFlags::GROW).unwrap();
    Arc::new(file)
}
