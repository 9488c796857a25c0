//! What the command refuses: with a clear message on standard error and in the log, an exit code, and nothing left behind.

mod common;

use common::{Bed, read};
use serde_json::{Value, json};

fn refused(edit: impl FnOnce(&mut Value), message: &str) {
    let bed = Bed::new("true");
    bed.change(edit);
    let said = bed.create("x", &[]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains(message), "{}", said.err);
    let line: Value = serde_json::from_str(read(bed.path("log")).lines().last().expect("log")).expect("json");
    assert_eq!(line["level"], "error");
    assert!(line["msg"].as_str().expect("msg").contains(message));
    assert!(bed.is_clean());
}

#[test]
fn configurations_that_cannot_be_run() {
    refused(|config| config["ociVersion"] = json!("3"), "`ociVersion` must be");
    refused(|config| config["process"]["args"] = json!([]), "`process.args` must have the program");
    refused(|config| config["process"]["cwd"] = json!("here"), "`process.cwd` must be an absolute path");
    refused(|config| config["root"]["path"] = json!("elsewhere"), "find the container's root \"elsewhere\"");
    refused(|config| config["root"]["path"] = json!("config.json"), "must be a directory");
    refused(|config| config["process"]["terminal"] = json!(true), "--console-socket must be");
    refused(|config| config["mounts"] = json!("none"), "invalid type: string");
    let missing = json!([{ "destination": "/x", "type": "bind", "source": "/nonexistent/source", "options": ["bind"] }]);
    refused(|config| config["mounts"] = missing, "mount \"/nonexistent/source\": No such file");
    refused(|config| config["linux"]["namespaces"] = json!([{ "type": "network" }]), "`linux.namespaces` must have one of type pid");
    let namespaces = json!([{ "type": "pid" }, { "type": "ipc" }, { "type": "network", "path": "/nonexistent/ns" }]);
    refused(|config| config["linux"]["namespaces"] = namespaces, "open the network namespace \"/nonexistent/ns\"");
    let magic = json!([{ "destination": "/x", "source": "/proc/self/root/etc", "options": ["bind"] }]);
    refused(|config| config["mounts"] = magic, "mount \"/proc/self/root/etc\"");
}

#[test]
fn containers_that_are_not_there() {
    let bed = Bed::new("true");
    for arguments in [
        &["state", "none"][..],
        &["start", "none"],
        &["kill", "none", "9"],
        &["delete", "none"],
        &["ps", "none"],
        &["pause", "none"],
        &["resume", "none"],
        &["events", "--stats", "none"],
        &["update", "--pids-limit", "3", "none"],
        &["wait", "none"],
    ] {
        let said = bed.quark(arguments);
        assert_eq!(said.code, Some(1), "{arguments:?}");
        assert!(said.err.contains("does not exist"), "{arguments:?}: {}", said.err);
    }
    assert_eq!(bed.quark(&["exec", "none", "true"]).code, Some(255));
    assert_eq!(bed.quark(&["delete", "--force", "none"]).code, Some(0));
}

#[test]
fn bundles_that_are_not_there() {
    let bed = Bed::new("true");
    let missing = bed.path("missing");
    let said = bed.quark(&["create", "--bundle", &missing, "x"]);
    assert!(said.err.contains(&format!("find the bundle {missing:?}")), "{}", said.err);
    let said = bed.quark(&["create", "--bundle", "/", "x"]);
    assert!(said.err.contains("config.json"), "{}", said.err);
    let said = bed.quark(&["spec", "--bundle", &bed.path("bundle")]);
    assert!(said.err.contains("File exists"), "{}", said.err);
}

#[test]
fn ids_that_would_leave_the_root() {
    let bed = Bed::new("true");
    for id in ["../x", "a/b", ".x", "", &"x".repeat(300)] {
        let said = bed.create(id, &[]);
        assert_eq!(said.code, Some(1), "{id}");
        assert!(said.err.contains("container id"), "{id}: {}", said.err);
    }
    assert!(bed.is_clean());
}

#[test]
fn a_failed_hook_leaves_nothing() {
    let bed = Bed::new("true");
    bed.change(|config| {
        config["hooks"] = json!({ "createRuntime": [{ "path": "/bin/sh", "args": ["sh", "-c", "echo so be it >&2; exit 4"] }] });
    });
    let said = bed.create("x", &[]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("run the createRuntime hook \"/bin/sh\": exit status: 4: so be it"), "{}", said.err);
    assert!(bed.is_clean());
}

#[test]
fn what_it_can_do_is_told() {
    let bed = Bed::new("true");
    let features: Value = serde_json::from_str(&bed.must(&["features"]).out).expect("json");
    assert_eq!(features["ociVersionMin"], "1.0.0");
    assert!(bed.must(&["--version"]).out.starts_with("quark version "));
    assert!(bed.must(&["--help"]).out.contains("quark run --bundle bundle first"));
    assert!(bed.must(&["exec", "--help"]).out.contains("--process"));
    assert_eq!(bed.must(&["list", "--format", "json"]).out.trim(), "[]");
}
