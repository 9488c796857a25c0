//! What is random: configurations, and messages on the control socket. `QUARK_FUZZ_ROUNDS` has more of it, `QUARK_FUZZ_SEED` something else.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use common::{Bed, read};
use serde_json::{Value, json};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn rounds(default: u64) -> std::ops::Range<u64> {
    let seed = setting("QUARK_FUZZ_SEED", 1);
    seed..seed + setting("QUARK_FUZZ_ROUNDS", default)
}

/// A configuration with something of nearly everything.
fn full(config: &mut Value) {
    config["hostname"] = json!("fuzzed");
    config["domainname"] = json!("example");
    config["annotations"] = json!({ "quark.centaurus.io/rootfs-changes": "memory", "a": "b" });
    config["hooks"] = json!({ "createRuntime": [{ "path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 5 }] });
    let bind = json!({ "destination": "/bound", "type": "bind", "source": "rootfs/tmp", "options": ["rbind", "ro", "nosuid"] });
    let memory = json!({ "destination": "/memory", "type": "tmpfs", "source": "t", "options": ["size=1m", "mode=0700", "noexec"] });
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.extend([bind, memory]);
    }
    let process = &mut config["process"];
    process["user"] = json!({ "uid": 3, "gid": 4, "umask": 18, "additionalGids": [5, 6] });
    process["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 512 }]);
    process["oomScoreAdj"] = json!(100);
    let linux = &mut config["linux"];
    linux["sysctl"] = json!({ "net.ipv4.ip_forward": "0", "kernel.shm_rmid_forced": "1" });
    linux["devices"] = json!([{ "path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 438, "uid": 0, "gid": 0 }]);
    linux["resources"] = json!({
        "memory": { "limit": 67_108_864, "swap": 67_108_864 },
        "cpu": { "shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0" },
        "pids": { "limit": 100 },
        "devices": [{ "allow": false, "access": "rwm" }],
        "hugepageLimits": [{ "pageSize": "2MB", "limit": 0 }],
    });
    linux["maskedPaths"] = json!(["/proc/kcore"]);
    linux["readonlyPaths"] = json!(["/proc/sys"]);
    linux["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW" });
    linux["cgroupsPath"] = json!("/fuzzed/x");
}

/// All places of a value.
fn places(value: &Value, at: String, to: &mut Vec<String>) {
    to.push(at.clone());
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                places(field, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), to);
            }
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| places(item, format!("{at}/{index}"), to)),
        _ => {}
    }
}

/// Values that nobody expects; none names a directory of this machine that something could be written to.
fn odd(random: &mut Random) -> Value {
    let texts = [
        "",
        "x",
        "..",
        "relative/x",
        "/nonexistent/y",
        "\u{0}",
        "/proc/self/fd/0",
        "/proc/self/root/nonexistent",
        "-1",
        "ü\u{202e}\n",
        "%s%n",
    ];
    match random.below(8) {
        0 => Value::Null,
        1 => json!(random.of(&[true, false])),
        2 => json!(random.of(&[0_i64, -1, 1, i64::MAX, i64::MIN, 65_536, 4_294_967_296])),
        3 => random.of(&[json!(u64::MAX), json!(1.5), json!(1e300)]),
        4 => json!("a".repeat(random.of(&[300, 5_000, 70_000]))),
        5 => random.of(&[json!([]), json!({}), json!([[[[[[]]]]]]), json!({ "a": { "b": [] } })]),
        _ => json!(random.of(&texts)),
    }
}

fn change(config: &mut Value, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let mut all = Vec::new();
        places(config, String::new(), &mut all);
        let (place, other) = (random.of(&all), random.of(&all));
        let copied = config.pointer(&other).cloned().unwrap_or(Value::Null);
        let value = odd(random);
        let how = random.below(8);
        let Some(found) = config.pointer_mut(&place).filter(|_| !place.is_empty()) else { continue };
        match (how, found) {
            (0, found) => *found = copied,
            (1, Value::Array(items)) if !items.is_empty() => *items = items.iter().cycle().take(items.len() * 40).cloned().collect(),
            (2, Value::Object(fields)) => fields.retain(|_, _| random.below(3) > 0),
            (3, Value::String(text)) => text.push_str(random.of(&["/../..", "\u{0}", "💥", "="])),
            (4, Value::Number(number)) => *number = odd_number(random),
            (_, found) => *found = value,
        }
    }
    // Mount points are made below the root, which must stay ours.
    if config["root"]["path"] != json!("rootfs") && random.below(4) > 0
        || config["root"]["path"].as_str().is_some_and(|path| path.contains(".."))
    {
        config["root"] = json!({ "path": "rootfs" });
    }
}

fn odd_number(random: &mut Random) -> serde_json::Number {
    random.of(&[0_i64, -1, 1 << 31, 1 << 40, i64::MAX, i64::MIN]).into()
}

#[test]
fn configurations_that_nobody_expects_are_run_or_refused() {
    let (mut run, mut refused) = (0, 0);
    for seed in rounds(60) {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let bed = Bed::new("true");
        bed.change(full);
        if seed % 8 > 0 {
            bed.change(|config| change(config, &mut random));
        }
        if seed % 8 == 1 {
            garble(&bed, &mut random);
        }
        let said = bed.create("x", &[]);
        match said.code {
            Some(0) => {
                run += 1;
                bed.must(&["delete", "--force", "x"]);
            }
            code => {
                refused += 1;
                assert_eq!(code, Some(1), "seed {seed}: {}", said.err);
                assert!(said.err.trim().len() > 10 && !said.err.contains("panicked"), "seed {seed}: {:?}", said.err);
            }
        }
        assert!(!read(bed.path("log")).contains("has a bug"), "seed {seed}: {}", read(bed.path("log")));
        assert!(bed.is_clean(), "seed {seed}: {}", said.err);
    }
    assert!(run > 0 && refused > 0, "{run} ran, {refused} were refused");
}

/// Bytes of the file, where no place of a value says so.
fn garble(bed: &Bed, random: &mut Random) {
    let path = bed.path("bundle/config.json");
    let mut bytes = fs::read(&path).expect("config");
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len());
        match random.below(3) {
            0 => bytes[at] = random.below(256) as u8,
            1 => bytes.truncate(at.max(1)),
            _ => bytes.insert(at, b"[{\"0}],\\"[random.below(8)]),
        }
    }
    fs::write(path, bytes).expect("write");
}

fn orders() -> Vec<Value> {
    let process = json!({
        "arguments": ["/bin/true"], "environment": [], "directory": "/", "uid": 0, "gid": 0, "groups": [], "bounding": 0, "effective": 0,
        "inheritable": 0, "permitted": 0, "ambient": 0, "no_new_privileges": true, "limits": [[7, 10, 10]], "umask": 18,
        "oom_score_adjust": 0, "terminal": false, "inherited": 0,
    });
    let mount = |source: Value| json!({ "target": "/", "source": source, "flags": 0 });
    let tmpfs = json!({ "Tmpfs": { "size": 4096, "mode": 511, "uid": 0, "gid": 0 } });
    let create = json!({ "Create": {
        "id": "y", "mounts": [mount(tmpfs), mount(json!("Proc")), mount(json!("Host"))], "masked": ["/proc"], "read_only": ["/"],
        "hostname": "h", "domain_name": "", "sysctl": [["kernel.x", "1"]], "devices": [], "share_pids_with": "x", "memory_limit": 4096,
        "processor_limit": null, "pids_limit": 3, "process": process,
    } });
    let of = |name: &str| json!({ name: { "id": "x", "tied": false, "signal": 0, "all": true, "before": [] } });
    let named = ["Start", "Wait", "Signal", "Resized", "Processes", "Usage"].map(of);
    let plain = ["Pause", "Resume", "IdsMapped"].map(|name| json!(name));
    let exec = json!({ "Exec": { "id": "x", "process": process, "tied": true } });
    [create, exec].into_iter().chain(named).chain(plain).collect()
}

fn message(random: &mut Random) -> Vec<u8> {
    let mut order = random.of(&orders());
    // The test asks the container itself in the end: it stays.
    let keeps = |order: &Value| !order.to_string().contains("Remove");
    for _ in 0..random.below(3) {
        let mut all = Vec::new();
        places(&order, String::new(), &mut all);
        let (place, value) = (random.of(&all), odd(random));
        if let Some(found) = order.pointer_mut(&place) {
            *found = value;
        }
    }
    let mut body = if keeps(&order) { order.to_string().into_bytes() } else { Vec::new() };
    if random.below(4) == 0 && !body.is_empty() {
        let at = random.below(body.len());
        body[at] = random.below(256) as u8;
    }
    let length = if random.below(8) == 0 { random.of(&[0, 3, 1 << 20, u32::MAX]) } else { body.len() as u32 };
    let version = if random.below(10) == 0 { random.below(1 << 30) as u32 } else { 1 };
    let files = if random.below(6) == 0 { random.of(&[1, 64, 4_096, 5_000]) } else { 0 };
    [version, length, files].iter().flat_map(|word| word.to_le_bytes()).chain(body).collect()
}

#[test]
fn a_kernel_lives_with_what_is_no_message() {
    let bed = Bed::new("while true; do sleep 1; done");
    bed.create("x", &[]).must();
    bed.must(&["start", "x"]);
    let socket = bed.path("root/x/control.sock");
    for seed in rounds(300) {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut stream = UnixStream::connect(&socket).expect("the kernel listens");
        stream.set_read_timeout(Some(Duration::from_millis(5))).expect("timeout");
        for _ in 0..1 + random.below(3) {
            let sent = stream.write_all(&message(&mut random));
            let _ = stream.read(&mut [0; 512]);
            if sent.is_err() {
                break;
            }
        }
    }
    // A message may have paused it.
    let _ = bed.quark(&["resume", "x"]);
    assert_eq!(bed.status("x"), "running");
    assert_eq!(bed.quark(&["exec", "x", "/bin/sh", "-c", "exit 9"]).code, Some(9));
    assert!(!read(bed.path("log")).contains("has a bug"), "{}", read(bed.path("log")));
    bed.must(&["delete", "--force", "x"]);
    assert!(bed.is_clean());
}

/// A kernel that somebody has taken over says anything to commands, which are the host's: they end, with an error, and remove it all the same.
#[test]
fn commands_live_with_a_kernel_that_lies() {
    let bed = Bed::new("while true; do sleep 1; done");
    bed.create("x", &[]).must();
    bed.must(&["start", "x"]);
    let socket = bed.path("root/x/control.sock");
    fs::remove_file(&socket).expect("the kernel's socket");
    let listener = UnixListener::bind(&socket).expect("bind");
    std::thread::spawn(move || {
        for (seed, stream) in listener.incoming().enumerate() {
            let (mut stream, mut random) = (stream.expect("a command"), Random(seed as u64));
            let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
            let _ = stream.read(&mut [0; 4_096]);
            let _ = stream.write_all(&answer(&mut random));
        }
    });
    let commands: [&[&str]; 7] = [
        &["exec", "x", "/bin/true"],
        &["ps", "x"],
        &["events", "--stats", "x"],
        &["pause", "x"],
        &["resume", "x"],
        &["kill", "x", "USR1"],
        &["state", "x"],
    ];
    for _ in rounds(6) {
        for command in commands {
            let said = bed.quark(command);
            assert!(
                said.code.is_some_and(|code| code != 101) && !said.err.contains("panicked"),
                "{command:?}: {:?} {}",
                said.code,
                said.err
            );
        }
    }
    bed.must(&["delete", "--force", "x"]);
    assert!(bed.is_clean());
}

fn answer(random: &mut Random) -> Vec<u8> {
    let process =
        json!({ "pid": -1, "parent": i32::MIN, "uid": u32::MAX, "threads": 0, "state": "\u{0}", "command": "\u{1b}[2J", "host_pid": 0 });
    let usage = json!({ "processes": u64::MAX, "threads": u64::MAX, "user_ns": u64::MAX, "system_ns": u64::MAX, "memory_in_file_systems": u64::MAX });
    let answers = [
        json!("MapIds"),
        json!("Done"),
        json!({ "Failed": "a".repeat(100_000) }),
        json!({ "Started": -1 }),
        json!({ "Started": i32::MAX }),
        json!({ "Ended": { "Code": 256 } }),
        json!({ "Ended": { "Signal": i32::MIN } }),
        json!({ "Processes": [process] }),
        json!({ "Usage": usage }),
        odd(random),
    ];
    let body = random.of(&answers).to_string().into_bytes();
    let length = if random.below(5) == 0 { random.below(1 << 24) as u32 } else { body.len() as u32 };
    [1, length, 0].iter().flat_map(|word: &u32| word.to_le_bytes()).chain(body).collect()
}
