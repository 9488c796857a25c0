//! `quark`, the OCI runtime: runs each pod on a kernel of its own.
#![forbid(unsafe_code)]

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("quark runs on Linux on x86-64 alone");

mod cgroup;
mod channel;
mod cli;
mod client;
mod config;
mod console;
mod duration;
mod error;
mod follow;
mod hooks;
mod host;
mod launch;
mod log;
mod messages;
mod neighbours;
mod plan;
mod pod;
mod scores;
mod sources;
mod state;
mod store;
mod verbs;
mod wire;

use std::process::ExitCode;

use crate::cli::Parsed;
use crate::error::{Error, Result};

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            log::error(&error.to_string());
            eprintln!("quark: {error}");
            ExitCode::from(error.code())
        }
    }
}

fn run() -> Result<u8> {
    let parsed = cli::parse(std::env::args_os().skip(1))?;
    if parsed.verb.is_some_and(|verb| verb.name == "wait-for") {
        // Our own process: no log file, no help.
        return follow::main();
    }
    if let Some(text) = explanation(&parsed) {
        return verbs::print(&text).map(|()| 0);
    }
    let format = match parsed.value("log-format").unwrap_or("text") {
        "text" => log::Format::Text,
        "json" => log::Format::Json,
        format => return Err(Error::usage(format!("--log-format must be text or json, not \"{format}\""))),
    };
    log::open(parsed.value("log"), format, parsed.has("debug"))?;
    verbs::run(&parsed)
}

/// What `--help`, `--version` or no command at all print.
fn explanation(parsed: &Parsed) -> Option<String> {
    if parsed.has("version") {
        return Some(cli::version());
    }
    match parsed.verb {
        Some(verb) if parsed.has("help") => Some(cli::verb_help(verb)),
        None => Some(cli::overview()),
        Some(_) => None,
    }
}
