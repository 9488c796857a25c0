//! A kernel with the host's root, and scripts in it.
#![allow(dead_code, missing_docs)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quark_kernel::kernel::{ContainerSpec, HostLimits, Kernel, MountSource, MountSpec, ProcessSpec, Stdio};
use quark_kernel::task::Credentials;
use rustix::fs::{Mode, OFlags, open};
use rustix::pipe::pipe;

pub fn container(id: &str, share: Option<&str>) -> ContainerSpec {
    let root = open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    ContainerSpec {
        id: id.into(),
        cgroups: None,
        mounts: vec![MountSpec { target: b"/".to_vec(), source: MountSource::Host(root), flags: 0 }],
        masked: Vec::new(),
        read_only: Vec::new(),
        hostname: b"pod".to_vec(),
        domain_name: Vec::new(),
        sysctl: BTreeMap::new(),
        devices: Vec::new(),
        share_pids_with: share.map(str::to_owned),
        limits: HostLimits::default(),
    }
}

pub fn shell(script: &str, stdio: [OwnedFd; 3]) -> ProcessSpec {
    ProcessSpec {
        arguments: ["sh", "-c", script].map(|word| word.as_bytes().to_vec()).to_vec(),
        environment: vec![b"PATH=/usr/bin:/bin".to_vec()],
        directory: b"/".to_vec(),
        credentials: Credentials::default(),
        limits: [None; 16],
        umask: 0o022,
        stdio: Stdio::Files(stdio),
        oom_score_adjust: 0,
        inherited: Vec::new(),
    }
}

pub fn null() -> OwnedFd {
    File::options().read(true).write(true).open("/dev/null").unwrap().into()
}

/// A kernel with one container, `c`.
pub fn booted() -> Arc<Kernel> {
    let kernel = Kernel::boot().unwrap();
    kernel.create_container(container("c", None)).unwrap();
    kernel
}

/// Starts a script; its pid, and what to write to it and to read from it.
pub fn start(kernel: &Arc<Kernel>, container: &str, script: &str) -> (i32, File, File) {
    let (input, to) = pipe().unwrap();
    let (from, output) = pipe().unwrap();
    let pid = kernel.start(container, shell(script, [input, output, null()])).unwrap();
    (pid, to.into(), from.into())
}

pub fn read_line(from: &mut File) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while from.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

pub fn readable(file: &File, within: Duration) -> bool {
    let end = Instant::now() + within;
    while Instant::now() < end {
        let mut fds = [rustix::event::PollFd::new(file, rustix::event::PollFlags::IN)];
        if rustix::event::poll(&mut fds, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 10_000_000 })).unwrap() > 0 {
            return true;
        }
    }
    false
}
