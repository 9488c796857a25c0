//! Runs a program in a kernel in this process, with a directory of the host as its root: `run-static ROOT PROGRAM [ARGUMENT]…`.
//! With `QUARK_TRACE` in the environment it tells each system call, with `QUARK_UNKNOWN` at the end those that nobody answers.
//! For trying things out: nothing but the stubs' own filter keeps the guest in.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use quark_kernel::dispatch::unknown;
use quark_kernel::kernel::{ContainerSpec, Exit, HostLimits, Kernel, MountSource, MountSpec, ProcessSpec, Stdio};
use quark_kernel::task::Credentials;
use quark_kernel::task::credentials::ALL_CAPABILITIES;
use quark_kernel::trace;
use rustix::fs::{Mode, OFlags, open};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(root) = arguments.next() else {
        eprintln!("usage: run-static ROOT PROGRAM [ARGUMENT]...");
        return ExitCode::from(2);
    };
    match run(root.into_vec(), arguments.map(OsStringExt::into_vec).collect()) {
        Ok(Exit::Code(code)) => ExitCode::from(code),
        Ok(Exit::Signal(signal)) => ExitCode::from(128 + signal as u8),
        Err(error) => {
            eprintln!("run-static: {error}");
            ExitCode::from(127)
        }
    }
}

fn run(root: Vec<u8>, arguments: Vec<Vec<u8>>) -> Result<Exit, String> {
    let words = |what: &str| {
        let what = what.to_owned();
        move |error: rustix::io::Errno| format!("{what}: {error}")
    };
    let directory = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(words("open the root"))?;
    let kernel = Kernel::boot().map_err(words("boot"))?;
    let spec = ContainerSpec {
        id: "run".into(),
        cgroups: None,
        mounts: vec![
            mount("/", MountSource::Host(directory)),
            mount("/proc", MountSource::Proc),
            mount("/sys", MountSource::Sys),
            mount("/dev", MountSource::Dev),
            mount("/dev/shm", MountSource::Tmpfs { options: Vec::new(), copy_up: false }),
        ],
        masked: Vec::new(),
        read_only: Vec::new(),
        hostname: b"quark".to_vec(),
        domain_name: Vec::new(),
        sysctl: BTreeMap::new(),
        devices: Vec::new(),
        share_pids_with: None,
        limits: HostLimits::default(),
    };
    kernel.create_container(spec).map_err(|error| format!("create the container: {error}"))?;
    trace::enable(std::env::var_os("QUARK_TRACE").is_some());
    let pid = kernel.start("run", process(arguments)?)?;
    let exit = kernel.wait("run", pid).map_err(words("wait"));
    if std::env::var_os("QUARK_UNKNOWN").is_some() {
        for (number, count) in unknown() {
            eprintln!("{} is not answered, asked {count} times", trace::name(number).unwrap_or("?"));
        }
    }
    exit
}

fn mount(target: &str, source: MountSource) -> MountSpec {
    MountSpec { target: target.into(), source, flags: 0 }
}

fn process(arguments: Vec<Vec<u8>>) -> Result<ProcessSpec, String> {
    let standard = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned().map_err(|error| error.to_string());
    let files: [OwnedFd; 3] = [standard(&std::io::stdin())?, standard(&std::io::stdout())?, standard(&std::io::stderr())?];
    let credentials =
        Credentials { permitted: ALL_CAPABILITIES, effective: ALL_CAPABILITIES, bounding: ALL_CAPABILITIES, ..Credentials::default() };
    Ok(ProcessSpec {
        arguments,
        environment: vec![b"PATH=/usr/bin:/bin:/usr/sbin:/sbin".to_vec(), b"HOME=/".to_vec()],
        directory: b"/".to_vec(),
        credentials,
        limits: [None; 16],
        umask: 0o022,
        stdio: Stdio::Files(files),
        oom_score_adjust: 0,
        inherited: Vec::new(),
    })
}
