//! `quark kill`.

use rustix::process::{Pid, Signal, kill_process};

use crate::cli::Parsed;
use crate::config::signal_number;
use crate::error::{Error, Result};
use crate::log;
use crate::messages::Order;
use crate::state::State;
use crate::store::Store;

/// Sends a signal.
pub fn kill(store: &Store, parsed: &Parsed) -> Result<()> {
    let id = parsed.operand(0);
    let name = if parsed.operands.len() > 1 { parsed.operand(1) } else { "TERM" };
    let signal = signal_number(name)
        .ok_or_else(|| Error::new(format!("\"{name}\" is no signal: give a number from 1 to 64, or a name such as SIGTERM")))?;
    let (_, state) = super::look_up(store, id)?;
    let all = parsed.has("all");
    if !state.alive() {
        // Of a stopped container nothing is left, which is what `--all` wants.
        return if all { Ok(()) } else { Err(Error::not_running(id)) };
    }
    let asked = super::connect(store, &state).and_then(|kernel| kernel.tell(&Order::Signal { id: id.to_owned(), signal, all }, &[]));
    match asked {
        Err(error) if signal == libc::SIGKILL && state.alive() => {
            log::warn(&format!("The pod's kernel doesn't answer and is killed: {error}"));
            end(&state);
            Ok(())
        }
        // It ended before it answered.
        Err(_) if !state.alive() => {
            if all {
                Ok(())
            } else {
                Err(Error::not_running(id))
            }
        }
        asked => asked,
    }
}

/// Kills the process that stands for a container: the pod's kernel, or the one that waits for another container.
pub fn end(state: &State) {
    if let Some(pid) = state.process.filter(|process| process.alive()).and_then(|process| Pid::from_raw(process.pid)) {
        let _ = kill_process(pid, Signal::KILL);
    }
}
