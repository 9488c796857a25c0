//! Compiles the program of stub processes, which is embedded into this crate. It is built without Cargo, as it needs other flags than
//! everything else: no standard library, and an address at the end of the address space.

use std::path::Path;
use std::process::Command;

fn main() {
    let stub = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stub");
    println!("cargo::rerun-if-changed={}", stub.display());
    let out = Path::new(&variable("OUT_DIR")).join("stub.elf");
    let script = stub.join("stub.ld");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition", "2024", "--crate-name", "quark_stub", "--crate-type", "bin", "--target", "x86_64-unknown-linux-gnu"]);
    let options = ["panic=abort", "opt-level=2", "codegen-units=1", "overflow-checks=off", "debug-assertions=off", "relocation-model=pic"];
    rustc.args(options.iter().flat_map(|option| ["-C", option]));
    let link = ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noexecstack"];
    rustc.args(link.iter().flat_map(|argument| ["-C".to_owned(), format!("link-arg={argument}")]));
    rustc.arg("-C").arg(format!("link-arg=-Wl,-T,{}", script.display()));
    rustc.arg("-o").arg(&out).arg(stub.join("src/main.rs"));
    let status = rustc.status().unwrap_or_else(|error| panic!("Cannot run rustc for the stub: {error}"));
    assert!(status.success(), "Cannot compile the stub: rustc ended with {status}");
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("Cannot build: {name} must be set by Cargo"))
}
