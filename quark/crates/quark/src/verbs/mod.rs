//! What each verb does.

mod create;
mod delete;
mod events;
mod exec;
mod features;
mod hibernate;
mod kill;
mod list;
mod pause;
mod ps;
mod run;
mod spec;
mod start;
mod state;
mod update;
mod wait;

use crate::cli::Parsed;
use crate::client::Connection;
use crate::error::{Error, Result};
use crate::state::State;
use crate::store::{DEFAULT_ROOT, Entry, Store};

/// Runs a verb; the result is the exit code.
pub fn run(parsed: &Parsed) -> Result<u8> {
    let store = Store::new(parsed.value("root").unwrap_or(DEFAULT_ROOT));
    match parsed.verb.map(|verb| verb.name) {
        Some("create") => create::create(&store, parsed).map(|()| 0),
        Some("start") => start::start(&store, parsed.operand(0)).map(|()| 0),
        Some("run") => run::run(&store, parsed),
        Some("state") => state::state(&store, parsed.operand(0)).map(|()| 0),
        Some("kill") => kill::kill(&store, parsed).map(|()| 0),
        Some("delete") => delete::delete(&store, parsed.operand(0), parsed.has("force")).map(|()| 0),
        Some("exec") => exec::exec(&store, parsed),
        Some("ps") => ps::ps(&store, parsed).map(|()| 0),
        Some("list") => list::list(&store, parsed).map(|()| 0),
        Some("events") => events::events(&store, parsed).map(|()| 0),
        Some("pause") => pause::pause(&store, parsed.operand(0)).map(|()| 0),
        Some("resume") => pause::resume(&store, parsed.operand(0)).map(|()| 0),
        Some("hibernate") => hibernate::hibernate(&store, parsed).map(|()| 0),
        Some("wake") => hibernate::wake(&store, parsed.operand(0)).map(|()| 0),
        Some("update") => update::update(&store, parsed).map(|()| 0),
        Some("features") => features::features().map(|()| 0),
        Some("spec") => spec::spec(parsed.value("bundle").unwrap_or(".")).map(|()| 0),
        Some("channel") => crate::channel::main(parsed, store),
        Some("wait") => wait::wait(&store, parsed.operand(0)),
        _ => Err(Error::usage("There is no such command")),
    }
}

/// Connects to the kernel of a container that lives; otherwise an error that says what is.
fn connect(store: &Store, state: &State) -> Result<Connection> {
    if !state.alive() {
        return Err(Error::not_running(&state.id));
    }
    Connection::open(&store.open(&state.sandbox)?)
}

/// A container and what is remembered of it, for reading.
fn look_up(store: &Store, id: &str) -> Result<(Entry, State)> {
    let entry = store.open(id)?;
    let state = entry.state()?;
    Ok((entry, state))
}

/// Prints JSON on standard output, with a newline.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::new(error.to_string()))?;
    print(&format!("{text}\n"))
}

/// Prints on standard output; a reader that has gone is no error.
pub fn print(text: &str) -> Result<()> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::new(format!("Cannot print: {error}"))),
        _ => Ok(()),
    }
}
