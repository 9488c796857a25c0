//! Pods that sleep, through the real command.

mod common;

use std::fs;
use std::process::Command;

use common::{Bed, lives, wait_until};
use serde_json::json;

const HIBERNATED: &str = "quark.centaurus.io/hibernated";

/// A program that answers each line of the FIFO `tmp/to` with one in its output.
const ECHO: &str = "mkfifo /tmp/to; exec 3<>/tmp/to; echo ready; while read line <&3; do echo \"it says $line\"; done";

fn echo() -> Bed {
    let bed = Bed::new(ECHO);
    let _ = std::os::unix::fs::symlink("busybox", bed.rootfs().join("bin/mkfifo"));
    bed
}

fn started(bed: &Bed) -> i32 {
    bed.create("x", &[]).must();
    bed.must(&["start", "x"]);
    wait_until("the program runs", || bed.output() == "ready\n");
    bed.pid("x")
}

fn sleeps(bed: &Bed) -> bool {
    bed.state("x")["annotations"][HIBERNATED] == "true"
}

/// The stubs of a pod: children of its kernel.
fn stubs(kernel: i32) -> usize {
    let tasks = fs::read_dir(format!("/proc/{kernel}/task")).expect("tasks").flatten();
    tasks.map(|task| common::read(task.path().join("children")).split_whitespace().count()).sum()
}

fn say(bed: &Bed, word: &str) {
    let script = format!("echo {word} > /tmp/to");
    bed.must(&["exec", "x", "/bin/sh", "-c", &script]);
}

#[test]
fn a_pod_sleeps_on_request_and_an_exec_wakes_it() {
    let bed = echo();
    let kernel = started(&bed);
    let disk = bed.path("disk");
    for round in 0..3 {
        bed.must(&["--disk", &disk, "hibernate", "x"]);
        assert!(sleeps(&bed) && bed.status("x") == "running");
        wait_until("only the first stub is left", || stubs(kernel) == 1);
        assert_eq!(fs::read_dir(&disk).expect("disk").count(), 0, "the file has no name");
        say(&bed, &round.to_string());
        wait_until("the answer", || bed.output().ends_with(&format!("it says {round}\n")));
        assert!(!sleeps(&bed));
    }
    bed.must(&["--disk", &disk, "hibernate", "x"]);
    bed.must(&["wake", "x"]);
    assert!(!sleeps(&bed) && stubs(kernel) > 1);
    bed.must(&["--disk", &disk, "hibernate", "x"]);
    bed.must(&["kill", "x", "KILL"]);
    bed.await_status("x", "stopped");
    assert!(!lives(kernel));
    bed.must(&["delete", "x"]);
    assert!(bed.is_clean());
}

#[test]
fn a_pod_with_the_annotation_sleeps_whenever_it_is_idle() {
    let bed = echo();
    bed.change(|config| config["annotations"] = json!({ "quark.centaurus.io/hibernate-after": "100ms" }));
    let disk = bed.path("disk");
    bed.create("x", &["--disk", &disk]).must();
    assert!(!sleeps(&bed));
    bed.must(&["start", "x"]);
    for round in 0..3 {
        wait_until("it sleeps", || sleeps(&bed));
        say(&bed, &round.to_string());
        wait_until("the answer", || bed.output().ends_with(&format!("it says {round}\n")));
    }
}

#[test]
fn what_can_not_sleep_says_why_and_runs_on() {
    let bed = Bed::new("while true; do :; done");
    bed.create("x", &[]).must();
    bed.must(&["start", "x"]);
    let said = bed.quark(&["--disk", &bed.path("disk"), "hibernate", "x"]);
    assert!(said.code == Some(1) && said.err.contains("runs"), "{}", said.err);
    assert!(bed.quark(&["hibernate", "--timers", "never", "x"]).err.contains("--timers"));
    bed.must(&["kill", "x", "KILL"]);
    bed.await_status("x", "stopped");
    assert!(bed.quark(&["hibernate", "x"]).err.contains("not running"));
    bed.change(|config| config["annotations"] = json!({ "quark.centaurus.io/hibernate-after": "soon" }));
    assert!(bed.create("y", &[]).err.contains("hibernate-after"));
}

/// The memory of a pod goes when its disk is full, and the pod stays.
#[test]
fn a_full_disk_leaves_the_pod_running() {
    let bed = echo();
    started(&bed);
    let disk = bed.path("disk");
    fs::create_dir(&disk).expect("disk");
    assert!(Command::new("mount").args(["-t", "tmpfs", "-o", "size=16k", "none", &disk]).status().expect("mount").success());
    let said = bed.quark(&["--disk", &disk, "hibernate", "x"]);
    let unmounted = Command::new("umount").arg(&disk).status().expect("umount").success();
    assert!(said.code == Some(1) && said.err.contains("No space left"), "{}", said.err);
    assert!(unmounted && !sleeps(&bed));
    say(&bed, "still here");
    wait_until("the answer", || bed.output().ends_with("it says still here\n"));
}
