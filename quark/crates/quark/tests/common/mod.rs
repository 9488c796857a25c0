//! Bundles, and the real command run on them, in mount namespaces of their own without cgroups (but for the test of those).
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// What containers have by default, with Docker and containerd.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A directory with a bundle and a state root, removed with all containers in it.
pub struct Bed {
    pub directory: PathBuf,
    pub cgroups: bool,
}

/// What a command said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Bed {
    /// A bundle with busybox whose program is the shell script.
    pub fn new(script: &str) -> Bed {
        assert!(rustix::process::geteuid().is_root(), "these tests make namespaces: run them as root");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("quark-test-{}-{number}", std::process::id()));
        let bed = Bed { directory, cgroups: false };
        for inner in ["bundle/rootfs/bin", "bundle/rootfs/tmp", "root"] {
            fs::create_dir_all(bed.directory.join(inner)).expect("bundle");
        }
        fs::copy("/bin/busybox", bed.rootfs().join("bin/busybox")).expect("/bin/busybox (apt-get install busybox-static)");
        for name in
            ["sh", "cat", "echo", "sleep", "ls", "ps", "stat", "stty", "kill", "mkdir", "touch", "true", "id", "hostname", "mount", "wc"]
        {
            std::os::unix::fs::symlink("busybox", bed.rootfs().join("bin").join(name)).expect("link");
        }
        assert_eq!(bed.quark(&["spec", "--bundle", &bed.path("bundle")]).code, Some(0));
        bed.change(|config| {
            config["process"]["args"] = json!(["/bin/sh", "-c", script]);
            config["process"]["terminal"] = json!(false);
            config["root"]["readonly"] = json!(false);
            let capabilities = json!(CAPABILITIES);
            config["process"]["capabilities"] = json!({ "bounding": capabilities, "effective": capabilities, "permitted": capabilities });
        });
        bed
    }

    pub fn rootfs(&self) -> PathBuf {
        self.directory.join("bundle/rootfs")
    }

    pub fn path(&self, inner: &str) -> String {
        self.directory.join(inner).display().to_string()
    }

    /// Edits config.json.
    pub fn change(&self, edit: impl FnOnce(&mut Value)) {
        let path = self.directory.join("bundle/config.json");
        let mut config = serde_json::from_slice(&fs::read(&path).expect("config")).expect("json");
        edit(&mut config);
        fs::write(&path, config.to_string()).expect("write");
    }

    /// The command, with this bed's root and log, its standard input empty.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let hide = if self.cgroups { "" } else { "umount -R /sys/fs/cgroup 2>/dev/null; " };
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", &format!("{hide}exec \"$@\""), "sh", env!("CARGO_BIN_EXE_quark")]);
        command.args(["--root", &self.path("root"), "--log", &self.path("log"), "--log-format", "json"]);
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs it to its end. A container that it makes writes to `out` and `err`, as it keeps them open.
    pub fn quark(&self, arguments: &[&str]) -> Said {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (self.path(&format!("out-{number}")), self.path(&format!("err-{number}")));
        let mut command = self.command(arguments);
        command.stdout(fs::File::create(&out).expect("file")).stderr(fs::File::create(&err).expect("file"));
        let mut child = command.spawn().expect("start");
        let code = ended(&mut child);
        Said { code, out: read(&out), err: read(&err) }
    }

    /// Creates container `id`, whose output goes to the file `output`.
    pub fn create(&self, id: &str, flags: &[&str]) -> Said {
        let err = self.path(&format!("create-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let mut command = self.command(&[&["create", "--bundle", &self.path("bundle")], flags, &[id]].concat());
        let output = || fs::File::options().create(true).append(true).open(self.path("output")).expect("file");
        command.stdout(output()).stderr(fs::File::create(&err).expect("file"));
        let code = ended(&mut command.spawn().expect("start"));
        Said { code, out: String::new(), err: read(&err) }
    }

    /// What the container has written so far.
    pub fn output(&self) -> String {
        read(self.path("output"))
    }

    pub fn state(&self, id: &str) -> Value {
        let said = self.quark(&["state", id]);
        serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("state of {id}: {}{}", said.out, said.err))
    }

    pub fn status(&self, id: &str) -> String {
        self.state(id)["status"].as_str().expect("status").to_owned()
    }

    pub fn pid(&self, id: &str) -> i32 {
        self.state(id)["pid"].as_i64().expect("pid") as i32
    }

    /// Waits until a container has this status.
    pub fn await_status(&self, id: &str, status: &str) {
        wait_until(&format!("{id} is {status}"), || self.status(id) == status);
    }

    pub fn must(&self, arguments: &[&str]) -> Said {
        let said = self.quark(arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}: {}{}", said.out, said.err);
        said
    }

    /// Nothing of any container is left.
    pub fn is_clean(&self) -> bool {
        fs::read_dir(self.directory.join("root")).expect("root").count() == 0
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for id in self.quark(&["list", "--quiet"]).out.lines() {
            self.quark(&["delete", "--force", id]);
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Said {
    pub fn must(self) -> Said {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self
    }
}

/// The exit code of a child that has to end.
pub fn ended(child: &mut std::process::Child) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("wait") {
            return status.code();
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("a command does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn read(path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Whether the host has a process with this id that is no zombie.
pub fn lives(pid: i32) -> bool {
    let stat = read(format!("/proc/{pid}/stat"));
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

pub fn output(mut command: Command) -> Output {
    command.output().expect("run")
}
