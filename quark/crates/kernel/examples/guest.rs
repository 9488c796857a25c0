//! Runs a program of this machine as a guest, on a kernel of its own, with the machine's files: `cargo run --release -p quark-kernel
//! --example guest -- [--unpatched] /bin/ls -l /`. Tells on standard error how long it took, and how it ended.

use std::os::fd::OwnedFd;
use std::time::Instant;

use quark_kernel::kernel::{ContainerSpec, HostLimits, Kernel, MountSource, MountSpec, ProcessSpec, Stdio};
use quark_kernel::patching;
use quark_kernel::task::Credentials;

fn main() {
    let mut arguments: Vec<Vec<u8>> = std::env::args().skip(1).map(String::into_bytes).collect();
    let kernel = Kernel::boot().expect("the kernel starts");
    if arguments.first().is_some_and(|first| first == b"--unpatched") {
        arguments.remove(0);
        patching::set_fast_entry(None);
    }
    let root: OwnedFd = std::fs::File::open("/").expect("/ can be opened").into();
    let mount = |target: &str, source| MountSpec { target: target.into(), source, flags: 0 };
    let spec = ContainerSpec {
        id: "guest".into(),
        cgroups: None,
        mounts: vec![mount("/", MountSource::Host(root))],
        masked: vec![],
        read_only: vec![],
        hostname: b"guest".to_vec(),
        domain_name: vec![],
        sysctl: Default::default(),
        devices: vec![],
        share_pids_with: None,
        limits: HostLimits::default(),
    };
    kernel.create_container(spec).expect("the container is made");
    let file = |fd: i32| {
        OwnedFd::from(std::fs::OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{fd}")).expect("standard files"))
    };
    let process = ProcessSpec {
        arguments,
        environment: vec![b"PATH=/usr/bin:/bin".to_vec()],
        directory: b"/".to_vec(),
        credentials: Credentials::default(),
        limits: Default::default(),
        umask: 0o022,
        stdio: Stdio::Files([file(0), file(1), file(2)]),
        oom_score_adjust: 0,
        inherited: vec![],
    };
    let begin = Instant::now();
    let pid = kernel.start("guest", process).unwrap_or_else(|error| panic!("{error}"));
    let exit = kernel.wait("guest", pid);
    eprintln!("{exit:?} after {:?}", begin.elapsed());
}
