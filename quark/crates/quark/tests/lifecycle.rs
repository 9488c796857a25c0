//! A container's life through the real command: states, exit statuses, hooks, races, and commands and kernels that are killed on the way.

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use common::{Bed, ended, lives, read, wait_until};
use serde_json::{Value, json};

#[test]
fn run_ends_like_its_program() {
    let bed = Bed::new("echo hello; exit 7");
    let said = bed.quark(&["run", "--bundle", &bed.path("bundle"), "x"]);
    assert_eq!((said.code, said.out.as_str()), (Some(7), "hello\n"), "{}", said.err);
    assert!(bed.is_clean());
    bed.change(|config| config["process"]["args"] = json!(["/bin/sh", "-c", "kill -9 $$"]));
    // A container's first process is not killed by its own SIGKILL: it goes on and ends with 0.
    assert_eq!(bed.quark(&["run", "--bundle", &bed.path("bundle"), "x"]).code, Some(0));
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let bed = Bed::new("true");
    bed.change(|config| config["process"]["args"] = json!(["/bin/nothing"]));
    let said = bed.quark(&["run", "--bundle", &bed.path("bundle"), "x"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.to_lowercase().contains("no such file"), "{}", said.err);
    assert!(bed.is_clean());
}

#[test]
fn states_follow_the_specification() {
    let bed = Bed::new("echo started; exec sleep 1000");
    bed.create("x", &["--pid-file", &bed.path("pid")]).must();
    let state = bed.state("x");
    assert_eq!((&state["id"], &state["status"], &state["ociVersion"]), (&json!("x"), &json!("created"), &json!("1.2.0")));
    assert_eq!(state["bundle"], bed.path("bundle"));
    let pid = bed.pid("x");
    assert_eq!(read(bed.path("pid")), pid.to_string());
    assert!(lives(pid) && bed.output().is_empty());
    assert!(bed.create("x", &[]).err.contains("exists already"));
    bed.must(&["start", "x"]);
    assert_eq!(bed.status("x"), "running");
    wait_until("the program runs", || bed.output() == "started\n");
    assert!(bed.quark(&["start", "x"]).err.contains("not created"));
    assert!(bed.quark(&["delete", "x"]).err.contains("cannot delete"));
    bed.must(&["kill", "x", "KILL"]);
    bed.await_status("x", "stopped");
    assert!(!lives(pid) && bed.pid("x") == 0);
    let said = bed.quark(&["kill", "x", "TERM"]);
    assert!(said.err.contains("container not running"), "{}", said.err);
    bed.must(&["kill", "--all", "x", "TERM"]);
    bed.must(&["delete", "x"]);
    assert!(bed.is_clean());
}

#[test]
fn a_created_container_can_be_killed_and_deleted() {
    let bed = Bed::new("true");
    bed.create("x", &[]).must();
    bed.must(&["kill", "x", "15"]);
    bed.await_status("x", "stopped");
    bed.must(&["delete", "x"]);
    bed.create("x", &[]).must();
    let pid = bed.pid("x");
    bed.must(&["delete", "x"]);
    assert!(!lives(pid) && bed.is_clean());
}

#[test]
fn signals_reach_the_program() {
    let bed = Bed::new("trap 'echo term; exit 3' TERM; trap 'echo usr' USR1; echo ready; while true; do sleep 0.05; done");
    let mut run = bed.command(&["run", "--bundle", &bed.path("bundle"), "x"]);
    let mut run = run.stdout(fs::File::create(bed.path("output")).expect("file")).spawn().expect("run");
    wait_until("ready", || bed.output() == "ready\n");
    bed.must(&["kill", "x", "USR1"]);
    wait_until("USR1", || bed.output() == "ready\nusr\n");
    let pid = rustix::process::Pid::from_raw(run.id() as i32).expect("pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("kill");
    assert_eq!(ended(&mut run), Some(3));
    assert_eq!(bed.output(), "ready\nusr\nterm\n");
    assert!(bed.is_clean());
}

#[test]
fn exec_runs_beside() {
    let bed = Bed::new("exec sleep 1000");
    bed.create("x", &[]).must();
    assert_eq!(bed.quark(&["exec", "x", "true"]).code, Some(255));
    bed.must(&["start", "x"]);
    let said = bed.quark(&["exec", "--env", "A=b", "--cwd", "/tmp", "x", "/bin/sh", "-c", "echo $A $(pwd); exit 9"]);
    assert_eq!((said.code, said.out.as_str()), (Some(9), "b /tmp\n"), "{}", said.err);
    let said = bed.quark(&["exec", "x", "/bin/nothing"]);
    assert_eq!(said.code, Some(255));
    let process = json!({ "args": ["/bin/sh", "-c", "id -u; exit 4"], "cwd": "/", "env": ["PATH=/bin"], "user": { "uid": 12, "gid": 13 } });
    fs::write(bed.path("process.json"), process.to_string()).expect("write");
    let said = bed.quark(&["exec", "--process", &bed.path("process.json"), "x"]);
    assert_eq!((said.code, said.out.as_str()), (Some(4), "12\n"), "{}", said.err);
}

#[test]
fn a_detached_exec_has_a_process_that_ends_like_it() {
    let bed = Bed::new("exec sleep 1000");
    bed.create("x", &[]).must();
    bed.must(&["start", "x"]);
    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1)).expect("subreaper");
    let detached = |script: &str| -> i32 {
        bed.must(&["exec", "--detach", "--pid-file", &bed.path("pid"), "x", "/bin/sh", "-c", script]);
        read(bed.path("pid")).parse().expect("pid")
    };
    let status = |pid: i32| {
        let pid = rustix::process::Pid::from_raw(pid);
        rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).expect("wait").expect("status").1
    };
    assert_eq!(status(detached("exit 42")).exit_status(), Some(42));
    let sleeping = detached("exec sleep 1000");
    let kill = |pid: i32, signal| rustix::process::kill_process(rustix::process::Pid::from_raw(pid).expect("pid"), signal).expect("kill");
    kill(sleeping, rustix::process::Signal::TERM);
    assert_eq!(status(sleeping).exit_status(), Some(128 + 15));
    // Its death by SIGKILL is the guest process' death.
    let sleeping = detached("exec sleep 1234");
    assert!(bed.must(&["ps", "x"]).out.contains("sleep 1234"));
    kill(sleeping, rustix::process::Signal::KILL);
    status(sleeping);
    wait_until("the guest's end", || !bed.must(&["ps", "x"]).out.contains("sleep 1234"));
    // The kernel's death is everybody's.
    let sleeping = detached("exec sleep 1000");
    kill(bed.pid("x"), rustix::process::Signal::KILL);
    assert_eq!(status(sleeping).exit_status(), Some(128 + 9));
    rustix::process::set_child_subreaper(None).expect("no subreaper");
}

#[test]
fn hooks_run_in_order_with_the_state() {
    let bed = Bed::new("sleep 1000");
    let record = |name: &str| json!([{ "path": "/bin/sh", "args": ["sh", "-c", format!("echo {name} $(cat) >> {}", bed.path("hooks"))] }]);
    bed.change(|config| {
        config["annotations"] = json!({ "mine": "yes" });
        config["hooks"] = json!({
            "prestart": record("prestart"), "createRuntime": record("createRuntime"), "createContainer": record("createContainer"),
            "poststart": record("poststart"), "poststop": record("poststop")
        });
    });
    bed.create("x", &[]).must();
    bed.must(&["start", "x"]);
    let pid = bed.pid("x");
    bed.must(&["delete", "--force", "x"]);
    let told: Vec<(String, Value)> = read(bed.path("hooks"))
        .lines()
        .map(|line| line.split_once(' ').expect("line"))
        .map(|(name, state)| (name.to_owned(), serde_json::from_str(state).expect("state")))
        .collect();
    let summary: Vec<_> = told.iter().map(|(name, state)| (name.as_str(), state["status"].as_str().expect("status"))).collect();
    let expected = [
        ("prestart", "creating"),
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ];
    assert_eq!(summary, expected);
    assert!(told.iter().all(|(_, state)| state["id"] == "x" && state["annotations"]["mine"] == "yes"));
    assert!(told.iter().take(4).all(|(_, state)| state["pid"] == pid));
}

#[test]
fn of_fifty_creates_one_wins() {
    let bed = Bed::new("sleep 1000");
    let children: Vec<_> = (0..50)
        .map(|_| {
            let mut command = bed.command(&["create", "--bundle", &bed.path("bundle"), "x"]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start")
        })
        .collect();
    let codes: Vec<_> = children.into_iter().map(|mut child| ended(&mut child)).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(bed.status("x"), "created");
    bed.must(&["delete", "--force", "x"]);
    assert!(bed.is_clean());
}

#[test]
fn a_killed_create_leaves_what_delete_removes() {
    let bed = Bed::new("true");
    bed.change(|config| {
        let pid = format!("cat > {}; sleep 3", bed.path("in-hook"));
        config["hooks"] = json!({ "prestart": [{ "path": "/bin/sh", "args": ["sh", "-c", pid] }] });
    });
    let mut create = bed.command(&["create", "--bundle", &bed.path("bundle"), "x"]).stdout(Stdio::null()).spawn().expect("create");
    wait_until("the hook runs", || read(bed.path("in-hook")).ends_with('}'));
    let state: Value = serde_json::from_str(&read(bed.path("in-hook"))).expect("state");
    let kernel = state["pid"].as_i64().expect("pid") as i32;
    assert_eq!(bed.status("x"), "creating");
    create.kill().expect("kill");
    assert_eq!(create.wait().expect("wait").signal(), Some(9));
    wait_until("the kernel ends by itself", || !lives(kernel));
    assert_eq!(bed.status("x"), "stopped");
    assert!(bed.create("x", &[]).err.contains("exists already"));
    bed.must(&["delete", "x"]);
    assert!(bed.is_clean());
}

/// Kills `create` after ever longer times: whatever it was doing, `delete --force` removes it all and the id can be used again.
#[test]
fn a_create_that_is_killed_anywhere_can_be_deleted() {
    let bed = Bed::new("true");
    for step in 0..40 {
        let mut create = bed
            .command(&["create", "--bundle", &bed.path("bundle"), "x"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("create");
        std::thread::sleep(std::time::Duration::from_micros(step * 400));
        let _ = create.kill();
        let _ = create.wait();
        let pid = if bed.quark(&["state", "x"]).code == Some(0) { bed.pid("x") } else { 0 };
        bed.must(&["delete", "--force", "x"]);
        assert!(pid == 0 || !lives(pid), "step {step}");
        assert_eq!(bed.must(&["list", "--quiet"]).out, "");
    }
    bed.create("x", &[]).must();
}

#[test]
fn a_killed_kernel_is_a_stopped_container() {
    let bed = Bed::new("sleep 1000");
    bed.create("x", &[]).must();
    bed.must(&["start", "x"]);
    let pid = rustix::process::Pid::from_raw(bed.pid("x")).expect("pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill");
    bed.await_status("x", "stopped");
    assert!(bed.quark(&["exec", "x", "true"]).err.contains("it is stopped"));
    assert!(bed.quark(&["ps", "x"]).err.contains("container not running"));
    bed.must(&["delete", "x"]);
    assert!(bed.is_clean());
}

#[test]
fn a_paused_container_does_nothing() {
    let bed = Bed::new("while true; do echo x; sleep 0.02; done");
    bed.create("x", &[]).must();
    bed.must(&["start", "x"]);
    wait_until("output", || bed.output().len() > 10);
    bed.must(&["pause", "x"]);
    assert_eq!(bed.status("x"), "paused");
    assert!(bed.quark(&["pause", "x"]).err.contains("it is paused"));
    assert!(bed.quark(&["exec", "x", "true"]).err.contains("it is paused"));
    std::thread::sleep(std::time::Duration::from_millis(100));
    let before = bed.output().len();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(bed.output().len(), before);
    bed.must(&["resume", "x"]);
    wait_until("more output", || bed.output().len() > before);
    bed.must(&["pause", "x"]);
    bed.must(&["kill", "x", "KILL"]);
    bed.await_status("x", "stopped");
}
