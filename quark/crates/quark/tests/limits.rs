//! Limits by the host's cgroups: of a container on its own, and of one among several of a pod.

mod common;

use common::{Bed, read, wait_until};
use serde_json::{Value, json};

/// The cgroup of container `id`, of this bed alone, from the mounts.
fn cgroup(bed: &Bed, id: &str) -> String {
    let own = bed.directory.file_name().expect("name").display().to_string();
    format!("/{own}-{id}")
}

/// Makes and starts a container whose program is the script.
fn start(bed: &Bed, id: &str, script: &str, resources: &Value) {
    let path = cgroup(bed, id);
    bed.change(|config| {
        config["process"]["args"] = json!(["/bin/sh", "-c", script]);
        config["linux"]["cgroupsPath"] = json!(path);
        config["linux"]["resources"] = resources.clone();
    });
    bed.create(id, &[]).must();
    bed.must(&["start", id]);
}

fn bed() -> Bed {
    let mut bed = Bed::new("");
    bed.cgroups = true;
    bed
}

/// The processes in a container's cgroup of memory, of either version.
fn members(bed: &Bed, id: &str) -> usize {
    let places = ["", "/memory"].map(|place| format!("/sys/fs/cgroup{place}{}/cgroup.procs", cgroup(bed, id)));
    places.iter().map(|place| read(place).lines().count()).max().unwrap_or(0)
}

#[test]
fn as_many_processes_as_are_allowed() {
    let bed = bed();
    let script = "exec 2>&1; for i in 1 2 3 4 5 6; do sleep 1000 & done; echo more than allowed";
    start(&bed, "few", script, &json!({ "pids": { "limit": 4 } }));
    bed.await_status("few", "stopped");
    assert!(bed.output().contains("can't fork") && !bed.output().contains("more"), "{}", bed.output());
    bed.must(&["delete", "few"]);
    start(&bed, "many", "for i in 1 2 3 4 5 6; do sleep 0.1 & done; wait; echo all", &json!({ "pids": { "limit": 8 } }));
    wait_until("all", || bed.output().contains("all\n"));
}

#[test]
fn memory_of_one_container_in_a_pod() {
    let bed = bed();
    start(&bed, "pod", "while true; do sleep 1; done", &json!({}));
    bed.change(|config| {
        config["annotations"] = json!({ "io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "pod" });
    });
    let limit = json!({ "memory": { "limit": 12 << 20 }, "cpu": { "quota": 50_000, "period": 100_000 } });
    start(&bed, "greedy", "/bin/sh -c 'x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done'; echo ended $?; sleep 1000", &limit);
    start(&bed, "modest", "echo started; sleep 1000", &limit);
    wait_until("the limit", || bed.output().contains("ended 137"));
    wait_until("the other", || bed.output().contains("started"));
    for id in ["pod", "greedy", "modest"] {
        assert_eq!(bed.status(id), "running", "{id}");
        assert!(members(&bed, id) > 2, "{id}");
    }
    assert_eq!(bed.must(&["exec", "modest", "/bin/echo", "lives"]).out, "lives\n");
    bed.must(&["delete", "--force", "greedy"]);
    assert_eq!((members(&bed, "greedy"), bed.status("modest")), (0, "running".to_owned()));
}

#[test]
fn what_fills_the_memory_ends() {
    let bed = bed();
    let read = "/bin/busybox tail /dev/zero; echo read $?";
    let written = "/bin/busybox dd if=/dev/zero of=/dev/shm/x bs=1M count=60; echo written $?";
    start(&bed, "full", &format!("exec 2>&1; {read}; {written}; exec sleep 1000"), &json!({ "memory": { "limit": 32 << 20 } }));
    wait_until("the end of both", || bed.output().contains("written") || bed.status("full") == "stopped");
    // The host may take a second process while the first one's memory is on its way (docs/plans/quark.md, what is left of limits): then all ends.
    if bed.status("full") == "running" {
        assert!(bed.output().contains("read 137\n") && bed.output().contains("written 137\n"), "{}", bed.output());
    }
}
