//! What the configuration has done inside of a container: startContainer hooks, and mounts that show other owners.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use common::{Bed, read};
use serde_json::json;

fn with_hook(script: &str, timeout: Option<u32>) -> Bed {
    let bed = Bed::new("echo program $$; cat /tmp/hook");
    bed.change(|config| {
        config["root"]["readonly"] = json!(false);
        let mut hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["A=b"] });
        if let Some(timeout) = timeout {
            hook["timeout"] = json!(timeout);
        }
        config["hooks"] = json!({ "startContainer": [hook] });
    });
    bed.create("x", &[]).must();
    bed
}

#[test]
fn start_container_hooks_run_inside_before_the_program() {
    let bed = with_hook("cat >/tmp/state; echo hook $$ $A >>/tmp/hook", None);
    assert!(!bed.rootfs().join("tmp/hook").exists());
    bed.must(&["start", "x"]);
    bed.await_status("x", "stopped");
    assert_eq!(bed.output(), "program 1\nhook 2 b\n");
    let state = read(bed.rootfs().join("tmp/state"));
    assert!(state.contains("\"status\":\"created\"") && state.contains("\"id\":\"x\""), "{state}");
    bed.must(&["delete", "x"]);
}

#[test]
fn a_start_container_hook_that_fails_stops_the_container() {
    for (script, timeout, message) in [
        ("exit 4", None, "run the startContainer hook \"/bin/sh\": exit status: 4"),
        ("kill -9 $$", None, "signal: 9"),
        ("sleep 60", Some(1), "it took longer than 1 s"),
    ] {
        let bed = with_hook(script, timeout);
        let said = bed.quark(&["start", "x"]);
        assert_eq!(said.code, Some(1));
        assert!(said.err.contains(message), "{}", said.err);
        bed.await_status("x", "stopped");
        assert_eq!(bed.output(), "");
        bed.must(&["delete", "x"]);
        assert!(bed.is_clean());
    }
}

/// On tmpfs, which can map ids whatever the machine's own file systems can.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = PathBuf::from(format!("/dev/shm/quark-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("folder");
        fs::write(folder.join("file"), b"x").expect("file");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn mounts_show_the_owners_that_their_mappings_give() {
    let folder = Folder::new("own");
    let bed = Bed::new("stat -c %u:%g /mapped/file");
    bed.change(|config| {
        let ids = |host: u32| json!([{ "containerID": 0, "hostID": host, "size": 65_536 }]);
        config["mounts"].as_array_mut().expect("mounts").push(json!({
            "destination": "/mapped", "type": "bind", "source": folder.0, "options": ["bind"],
            "uidMappings": ids(100_000), "gidMappings": ids(200_000),
        }));
    });
    bed.create("x", &[]).must();
    bed.must(&["start", "x"]);
    bed.await_status("x", "stopped");
    assert_eq!(bed.output(), "100000:200000\n");
}

#[test]
fn a_mount_of_a_pod_with_ids_of_its_own_is_as_if_they_were_the_hosts() {
    let folder = Folder::new("pods");
    let bed = Bed::new("stat -c %u:%g /mapped/file; echo y >/mapped/new && stat -c %u:%g /mapped/new");
    bed.change(|config| {
        let ids = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
        config["linux"]["namespaces"].as_array_mut().expect("namespaces").push(json!({ "type": "user" }));
        config["linux"]["uidMappings"] = ids.clone();
        config["linux"]["gidMappings"] = ids;
        config["mounts"].as_array_mut().expect("mounts").push(json!({
            "destination": "/mapped", "type": "bind", "source": folder.0, "options": ["bind", "idmap"],
        }));
    });
    bed.create("x", &[]).must();
    bed.must(&["start", "x"]);
    bed.await_status("x", "stopped");
    assert_eq!(bed.output(), "0:0\n0:0\n");
    let made = fs::metadata(folder.0.join("new")).expect("new");
    assert_eq!((made.uid(), made.gid()), (0, 0));
}

/// CVE-2021-30465 and its like: what a container's image has as links is followed in the container alone.
#[test]
fn places_of_mounts_lead_nowhere_on_the_host() {
    let folder = Folder::new("outside");
    let bed = Bed::new("cat /evil/made/in 2>/dev/null; ls /other/ 2>/dev/null; cat /evil/file 2>/dev/null; echo done");
    let up = format!("../../../../../..{}", folder.0.display());
    for (name, target) in [("evil", folder.0.display().to_string()), ("other", up)] {
        std::os::unix::fs::symlink(target, bed.rootfs().join(name)).expect("link");
    }
    bed.change(|config| {
        config["root"]["readonly"] = json!(false);
        for place in ["/evil/made", "/other/made", "/evil/../../../made", "/proc/self/cwd/made"] {
            let mount = json!({ "destination": place, "type": "tmpfs", "source": "t" });
            config["mounts"].as_array_mut().expect("mounts").push(mount);
        }
        config["linux"]["maskedPaths"] = json!(["/evil/file", "/other/file"]);
        config["linux"]["readonlyPaths"] = json!(["/evil"]);
        config["process"]["cwd"] = json!("/");
    });
    let created = bed.create("x", &[]);
    if created.code == Some(0) {
        bed.must(&["start", "x"]);
        bed.await_status("x", "stopped");
        assert_eq!(bed.output(), "done\n");
    }
    let names: Vec<_> = fs::read_dir(&folder.0).expect("folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["file"]);
    assert_eq!(read(folder.0.join("file")), "x");
}
