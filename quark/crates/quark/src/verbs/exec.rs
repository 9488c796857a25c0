//! `quark exec`.

use std::os::fd::BorrowedFd;
use std::path::Path;

use super::create::{Streams, duplicate, write_pid};
use crate::cgroup::Entrances;
use crate::cli::Parsed;
use crate::client::Connection;
use crate::config::{Capabilities, Process, capability, read_limited, validate_process};
use crate::console::RawTerminal;
use crate::error::{Context, Error, Result};
use crate::follow::{block_signals, follow};
use crate::launch::stand_in;
use crate::log;
use crate::messages::{Answer, Order};
use crate::plan;
use crate::state::State;
use crate::store::Store;

/// Runs another process. The result is its exit code, or 0 for one that is detached. What goes wrong before it runs ends with 255, as
/// with runc, so that it isn't taken for its exit code 1.
pub fn exec(store: &Store, parsed: &Parsed) -> Result<u8> {
    run(store, parsed).map_err(|error| error.with_code(255))
}

fn run(store: &Store, parsed: &Parsed) -> Result<u8> {
    let id = parsed.operand(0);
    let (_, state) = super::look_up(store, id)?;
    let paused_is_fine = parsed.has("ignore-paused");
    match state.status(false) {
        "running" => {}
        "paused" if paused_is_fine => {}
        status => return Err(Error::new(format!("cannot exec in container \"{id}\": it is {status}"))),
    }
    let process = process(parsed, &state)?;
    let detached = parsed.has("detach");
    if detached && process.terminal && parsed.value("console-socket").is_none() {
        return Err(Error::new("--console-socket must be set for a detached process with a terminal"));
    }
    let streams = Streams::new(parsed, &process, !detached)?;
    let mut new = plan::process(&process);
    new.inherited = streams.preserved();
    let connection = super::connect(store, &state)?;
    let files: Vec<BorrowedFd<'_>> = streams.files().collect();
    if detached { detach(connection, id, new, &files, &streams, parsed) } else { attach(connection, id, new, &files, &streams, parsed) }
}

fn start(connection: &Connection, id: &str, new: crate::messages::NewProcess, files: &[BorrowedFd<'_>]) -> Result<()> {
    match connection.ask(&Order::Exec { id: id.to_owned(), process: new, tied: true }, files)? {
        Answer::Started(_) => Ok(()),
        answer => Err(Error::new(format!("The pod's kernel answered {answer:?}"))),
    }
}

fn detach(
    connection: Connection,
    id: &str,
    new: crate::messages::NewProcess,
    files: &[BorrowedFd<'_>],
    streams: &Streams,
    parsed: &Parsed,
) -> Result<u8> {
    start(&connection, id, new, files)?;
    streams.send_master(parsed)?;
    let terminal = streams.terminal().map(duplicate).transpose()?;
    let pid = stand_in(connection, terminal, &Entrances::default())?;
    write_pid(parsed, pid)?;
    Ok(0)
}

fn attach(
    connection: Connection,
    id: &str,
    new: crate::messages::NewProcess,
    files: &[BorrowedFd<'_>],
    streams: &Streams,
    parsed: &Parsed,
) -> Result<u8> {
    let signals = block_signals()?;
    let own_terminal = new.terminal && parsed.value("console-socket").is_none();
    let terminal = if own_terminal { Some(RawTerminal::of_standard_input()?) } else { None };
    start(&connection, id, new, files)?;
    streams.send_master(parsed)?;
    write_pid(parsed, std::process::id() as i32)?;
    let end = follow(&connection.into_socket(), &signals)?;
    drop(terminal);
    Ok(end.code())
}

/// The process of the flags: a file's, or the container's own with another command.
fn process(parsed: &Parsed, state: &State) -> Result<Process> {
    let process = match parsed.value("process") {
        Some(path) => {
            let text = read_limited(Path::new(path))?;
            serde_json::from_slice(&text).context(|| format!("read \"{path}\""))?
        }
        None => from_flags(parsed, &state.template)?,
    };
    let findings = validate_process(&process);
    findings.warned.iter().for_each(|finding| log::warn(&finding.to_string()));
    match findings.refusal() {
        Some(refusal) => Err(Error::new(format!("The process can't be run: {refusal}"))),
        None => Ok(process.limited(&crate::host::limits())),
    }
}

fn from_flags(parsed: &Parsed, template: &Process) -> Result<Process> {
    let mut process = template.clone();
    process.args = parsed.operands.get(1..).unwrap_or_default().to_vec();
    if process.args.is_empty() {
        return Err(Error::new("there is no command to run: give one, or --process"));
    }
    process.terminal = parsed.has("tty");
    process.console_size = None;
    process.no_new_privileges |= parsed.has("no-new-privs");
    process.env.extend(parsed.values("env").into_iter().map(str::to_owned));
    if let Some(directory) = parsed.value("cwd") {
        directory.clone_into(&mut process.cwd);
    }
    if let Some(user) = parsed.value("user") {
        (process.user.uid, process.user.gid) = parse_user(user)?;
        process.user.additional_gids = Vec::new();
    }
    for group in parsed.values("additional-gids") {
        process.user.additional_gids.push(group.parse().context(|| format!("use the group \"{group}\""))?);
    }
    add_capabilities(&mut process, &parsed.values("cap"))?;
    Ok(process)
}

fn parse_user(user: &str) -> Result<(u32, u32)> {
    let (uid, gid) = user.split_once(':').unwrap_or((user, "0"));
    match (uid.parse(), gid.parse()) {
        (Ok(uid), Ok(gid)) => Ok((uid, gid)),
        _ => Err(Error::new(format!("--user must be UID or UID:GID in numbers, not \"{user}\""))),
    }
}

fn add_capabilities(process: &mut Process, names: &[&str]) -> Result<()> {
    for name in names {
        if capability(name).is_none() {
            return Err(Error::new(format!("\"{name}\" is no capability: names are such as CAP_CHOWN")));
        }
        let sets = process.capabilities.get_or_insert_with(Capabilities::default);
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            set.push((*name).to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse;

    #[test]
    fn flags_change_the_containers_process() {
        let template = Process { env: vec!["A=1".into()], cwd: "/".into(), terminal: true, ..Process::default() };
        let parsed = parse("exec -e B=2 -u 5:6 -g 7 --cwd /x --cap CAP_KILL --no-new-privs name ls -l".split(' ')).expect("parse");
        let process = from_flags(&parsed, &template).expect("process");
        assert_eq!(
            (process.args, process.env, process.cwd),
            (vec!["ls".into(), "-l".into()], vec!["A=1".into(), "B=2".into()], "/x".into())
        );
        assert_eq!((process.user.uid, process.user.gid, process.user.additional_gids), (5, 6, vec![7]));
        assert_eq!(process.capabilities.map(|sets| sets.effective), Some(vec!["CAP_KILL".into()]));
        assert!(process.no_new_privileges && !process.terminal);
        for wrong in ["exec name", "exec -u root name ls", "exec --cap FLY name ls", "exec -g x name ls"] {
            assert!(from_flags(&parse(wrong.split(' ')).expect("parse"), &template).is_err(), "{wrong}");
        }
    }
}
