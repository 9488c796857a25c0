//! Containers of one pod: by the annotations of a container manager, or as one names another's namespaces.

mod common;

use common::{Bed, wait_until};
use serde_json::json;

/// A pod whose first container runs.
fn pod() -> Bed {
    let bed = Bed::new("while true; do sleep 1; done");
    bed.change(|config| {
        config["hostname"] = json!("podded");
        config["linux"]["sysctl"] =
            json!({ "kernel.msgmax": "4242", "net.ipv4.tcp_fin_timeout": "33", "net.ipv4.conf.all.log_martians": "1" });
    });
    bed.create("pod", &[]).must();
    bed.must(&["start", "pod"]);
    bed.change(|config| {
        config["hostname"] = json!("");
        config["linux"]["sysctl"] = json!({});
    });
    bed
}

/// Names namespaces of the process `pid`.
fn naming(bed: &Bed, kinds: &[&str], pid: i32) {
    let path = |kind: &str| if kinds.contains(&kind) { format!("/proc/{pid}/ns/{kind}") } else { String::new() };
    let mut namespaces: Vec<_> = ["pid", "ipc", "uts"].map(|kind| json!({ "type": kind, "path": path(kind) })).into();
    namespaces.extend([json!({ "type": "network" }), json!({ "type": "mount" })]);
    bed.change(|config| config["linux"]["namespaces"] = json!(namespaces));
}

fn run(bed: &Bed, id: &str, script: &str) {
    bed.change(|config| config["process"]["args"] = json!(["/bin/sh", "-c", script]));
    bed.create(id, &[]).must();
    bed.must(&["start", id]);
}

#[test]
fn sysctls_are_the_pods() {
    let bed = pod();
    bed.change(|config| {
        config["annotations"] = json!({ "io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "pod" });
    });
    let names = "kernel/msgmax net/ipv4/tcp_fin_timeout net/ipv4/conf/all/log_martians kernel/random/boot_id";
    run(&bed, "second", &format!("cd /proc/sys; cat {names}; echo told"));
    wait_until("values", || bed.output().contains("told"));
    let boot = bed.must(&["exec", "pod", "/bin/cat", "/proc/sys/kernel/random/boot_id"]).out;
    assert_eq!(bed.output(), format!("4242\n33\n1\n{boot}told\n"));
}

#[test]
fn a_container_that_names_the_namespaces_of_another_is_on_its_kernel() {
    let bed = pod();
    naming(&bed, &["ipc", "uts"], bed.pid("pod"));
    run(&bed, "second", "hostname; exec sleep 1000");
    wait_until("the second", || bed.output() == "podded\n");
    naming(&bed, &["ipc", "pid"], bed.pid("second"));
    run(&bed, "third", "until [ $(cat /proc/1/comm) = sleep ]; do sleep 0.1; done; echo joined; exec sleep 1000");
    wait_until("the third", || bed.output().ends_with("joined\n"));
    bed.must(&["kill", "pod", "KILL"]);
    for id in ["pod", "second", "third"] {
        bed.await_status(id, "stopped");
    }
}

#[test]
fn namespaces_of_others_can_not_be_joined() {
    for kind in ["ipc", "pid"] {
        let bed = Bed::new("true");
        naming(&bed, &[kind], std::process::id() as i32);
        let said = bed.create("x", &[]);
        assert_eq!(said.code, Some(1));
        assert!(said.err.contains("is not of a container that quark runs: it can't be joined"), "{}", said.err);
        assert!(bed.is_clean());
    }
}
