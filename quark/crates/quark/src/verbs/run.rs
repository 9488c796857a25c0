//! `quark run`.

use rustix::process::{Pid, WaitOptions, waitpid};

use crate::cli::Parsed;
use crate::config::Spec;
use crate::console::RawTerminal;
use crate::error::{Context, Result};
use crate::follow::{block_signals, follow};
use crate::messages::{End, Order};
use crate::store::Store;

/// Makes, starts, and unless detached waits for and deletes a container. The result is its program's exit code.
pub fn run(store: &Store, parsed: &Parsed) -> Result<u8> {
    let id = parsed.operand(0);
    if parsed.has("detach") {
        super::create::create(store, parsed)?;
        return started(store, id).map(|()| 0);
    }
    let signals = block_signals()?;
    let bundle = parsed.value("bundle").unwrap_or(".");
    let (spec, _) = Spec::load(std::path::Path::new(bundle))?;
    let own_terminal = parsed.value("console-socket").is_none() && spec.process.is_some_and(|process| process.terminal);
    let terminal = if own_terminal { Some(RawTerminal::of_standard_input()?) } else { None };
    super::create::create_with(store, parsed, true)?;
    let (_, state) = super::look_up(store, id)?;
    let waiter = super::connect(store, &state)?;
    waiter.send(&Order::Wait { id: id.to_owned(), tied: false }, &[])?;
    started(store, id)?;
    let end = follow(&waiter.into_socket(), &signals)?;
    drop(terminal);
    // What the kernel's process itself says is what others see.
    let code = state.process.and_then(|process| own_child(process.pid)).unwrap_or(End::code(end));
    if !parsed.has("keep") {
        super::delete::delete(store, id, true).context(|| "delete the container")?;
    }
    Ok(code)
}

/// Starts; what can't start is deleted.
fn started(store: &Store, id: &str) -> Result<()> {
    super::start::start(store, id).inspect_err(|_| {
        let _ = super::delete::delete(store, id, true);
    })
}

/// The exit code of a child that is about to end.
fn own_child(pid: i32) -> Option<u8> {
    let (_, status) = waitpid(Some(Pid::from_raw(pid)?), WaitOptions::empty()).ok().flatten()?;
    let signal = status.terminating_signal().map(End::Signal);
    let end = status.exit_status().map(|code| End::Code(code as u8)).or(signal)?;
    Some(end.code())
}
