//! What of the host's files a container sees.

mod common;

use std::fs;

use common::{Bed, read};
use serde_json::json;

#[test]
fn single_files_are_mounted() {
    let bed = Bed::new("cat /in /out; echo more >> /out; echo no > /in; cat /out; /bin/uname");
    for name in ["in", "out"] {
        fs::write(bed.directory.join(name), format!("{name}\n")).expect("write");
    }
    fs::copy("/bin/busybox", bed.directory.join("program")).expect("copy");
    let mount = |name: &str, source: &str, options: &[&str]| json!({ "destination": name, "type": "bind", "source": bed.path(source), "options": options });
    bed.change(|config| {
        let mounts = config["mounts"].as_array_mut().expect("mounts");
        mounts.extend([
            mount("/in", "in", &["rbind", "ro"]),
            mount("/out", "out", &["bind"]),
            mount("/bin/uname", "program", &["bind", "ro"]),
        ]);
    });
    let said = bed.quark(&["run", "--bundle", &bed.path("bundle"), "x"]);
    assert_eq!(said.out, "in\nout\nout\nmore\nLinux\n", "{}", said.err);
    assert!(said.err.contains("/in: Read-only file system"), "{}", said.err);
    assert_eq!((read(bed.path("in")), read(bed.path("out"))), ("in\n".into(), "out\nmore\n".into()));
}
