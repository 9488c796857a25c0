//! `quark run`.

use rustix::process::{Pid, WaitOptions, waitpid};

use super::create::{Bundle, Creation};
use crate::cgroup;
use crate::cli::Parsed;
use crate::console::RawTerminal;
use crate::error::{Context, Result};
use crate::follow::{block_signals, follow};
use crate::log;
use crate::messages::End;
use crate::store::Store;

/// The exit code of what SIGKILL has ended.
const KILLED: u8 = 128 + 9;

/// Makes, starts, and unless detached waits for and deletes a container. The result is its program's exit code.
pub fn run(store: &Store, parsed: &Parsed) -> Result<u8> {
    let bundle = Bundle::load(parsed)?;
    if parsed.has("detach") {
        return Creation::make(store, parsed, &bundle, false)?.start(parsed).map(|_| 0);
    }
    let signals = block_signals()?;
    let own_terminal = parsed.value("console-socket").is_none() && bundle.has_terminal();
    let terminal = if own_terminal { Some(RawTerminal::of_standard_input()?) } else { None };
    let started = Creation::make(store, parsed, &bundle, true)?.start(parsed)?;
    let end = follow(&started.connection.into_socket(), &signals)?;
    drop(terminal);
    // What the kernel's process itself says is what others see.
    let code = own_child(started.pid).unwrap_or(End::code(end));
    if code == KILLED {
        tell_kills(store, parsed.operand(0));
    }
    if !parsed.has("keep") {
        super::delete::delete(store, parsed.operand(0), true).context(|| "delete the container")?;
    }
    Ok(code)
}

/// A container that has ended by SIGKILL may have done so for want of memory.
fn tell_kills(store: &Store, id: &str) {
    let kills = store.open(id).and_then(|entry| entry.state()).map_or(0, |state| cgroup::memory_kills(&state.cgroups));
    if kills > 0 {
        log::warn(&format!("The host has killed processes of container \"{id}\" ({kills}): it had reached its limit of memory"));
    }
}

/// The exit code of a child that is about to end.
fn own_child(pid: i32) -> Option<u8> {
    let (_, status) = waitpid(Some(Pid::from_raw(pid)?), WaitOptions::empty()).ok().flatten()?;
    let signal = status.terminating_signal().map(End::Signal);
    let end = status.exit_status().map(|code| End::Code(code as u8)).or(signal)?;
    Some(end.code())
}
