//! Programs that print what system calls answer, run on the host's kernel and on ours: both must say the same.
//!
//! They are C (`guests/*.c`), for the machine's `cc`. What may differ is listed, each with its reason.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use quark_kernel::kernel::{ContainerSpec, Exit, HostLimits, Kernel, MountSource, MountSpec, ProcessSpec, Stdio};
use quark_kernel::task::Credentials;
use quark_kernel::task::credentials::ALL_CAPABILITIES;

/// A directory that goes with its value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("quark-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn compile(name: &str, scratch: &Scratch) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests").join(name).with_extension("c");
    let program = scratch.0.join(name);
    let status = Command::new("cc").args(["-O1", "-w", "-static", "-o"]).arg(&program).arg(source).status();
    assert!(status.expect("this test needs a C compiler: install gcc").success());
    program
}

fn boot() -> Arc<Kernel> {
    let root: OwnedFd = File::open("/").unwrap().into();
    let kernel = Kernel::boot().unwrap();
    let spec = ContainerSpec {
        id: "test".into(),
        cgroups: None,
        mounts: vec![
            MountSpec { target: b"/".to_vec(), source: MountSource::Host(root), flags: 0 },
            MountSpec { target: b"/proc".to_vec(), source: MountSource::Proc, flags: 0 },
        ],
        masked: Vec::new(),
        read_only: Vec::new(),
        hostname: b"test".to_vec(),
        domain_name: Vec::new(),
        sysctl: BTreeMap::new(),
        devices: Vec::new(),
        share_pids_with: None,
        limits: HostLimits::default(),
    };
    kernel.create_container(spec).unwrap();
    kernel
}

/// Runs a program in a kernel of ours: how it ended, and what it wrote.
fn run(program: &Path, scratch: &Scratch) -> (Exit, String) {
    let kernel = boot();
    let output = scratch.0.join("output");
    let to: OwnedFd = File::create(&output).unwrap().into();
    let all = ALL_CAPABILITIES;
    let spec = ProcessSpec {
        arguments: vec![program.to_str().unwrap().into()],
        environment: vec![b"PATH=/usr/bin:/bin".to_vec()],
        directory: b"/".to_vec(),
        credentials: Credentials { permitted: all, effective: all, bounding: all, ..Credentials::default() },
        limits: [None; 16],
        umask: 0o022,
        stdio: Stdio::Files([File::open("/dev/null").unwrap().into(), to.try_clone().unwrap(), to]),
        oom_score_adjust: 0,
        inherited: Vec::new(),
    };
    let pid = kernel.start("test", spec).unwrap();
    let exit = kernel.wait("test", pid).unwrap();
    (exit, String::from_utf8(std::fs::read(output).unwrap()).unwrap())
}

/// Compares line by line; lines that start with one of `differing` are left out.
fn compare(name: &str, differing: &[&str]) {
    let scratch = Scratch::new(name);
    let program = compile(name, &scratch);
    let native = Command::new(&program).output().unwrap();
    assert!(native.status.success());
    let native = String::from_utf8(native.stdout).unwrap();
    let (exit, ours) = run(&program, &scratch);
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !differing.iter().any(|prefix| line.starts_with(prefix))).map(str::to_owned).collect()
    };
    let (native, ours) = (lines(&native), lines(&ours));
    let different: Vec<_> = native.iter().zip(&ours).filter(|(native, ours)| native != ours).collect();
    assert!(different.is_empty(), "the host's kernel and ours: {different:#?}");
    assert_eq!(native.len(), ours.len(), "{:?}", ours.last());
    assert_eq!(exit, Exit::Code(0));
}

#[test]
fn memory() {
    compare("memory", &[]);
}

#[test]
fn exec() {
    compare("exec", &[]);
}

#[test]
fn answers() {
    compare("answers", &[]);
}

#[test]
fn futexes() {
    compare("futexes", &[]);
}

/// Undone patches leave nothing behind; that there were any is told by a line which natively says otherwise.
#[test]
fn patches() {
    compare("patches", &["patched:"]);
    let scratch = Scratch::new("patched");
    let (_, ours) = run(&compile("patches", &scratch), &scratch);
    assert!(ours.lines().any(|line| line == "patched: 1"), "{ours}");
}
