//! `quark start`.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use crate::client::Connection;
use crate::error::{Context, Error, Result};
use crate::hooks;
use crate::log;
use crate::messages::Order;
use crate::plan;
use crate::state::{Phase, State};
use crate::store::{Entry, Store};

/// What a pipe takes without a reader.
const PIPE_BYTES: usize = 64 << 10;

/// What a hook in the container has for standard streams: the container's state, and nothing for what it says.
fn hook_streams(state: &[u8]) -> Result<[OwnedFd; 3]> {
    let what = || "give a hook the container's state";
    let (input, mut to) = std::io::pipe().context(what)?;
    if state.len() <= PIPE_BYTES {
        to.write_all(state).context(what)?;
    } else {
        log::warn("A startContainer hook is not told the container's state, which is too long");
    }
    let null = File::options().write(true).open("/dev/null").context(|| "open /dev/null")?;
    Ok([input.into(), null.try_clone().context(what)?.into(), null.into()])
}

/// Runs a created container's program. A failed poststart hook stops it, as runc does.
pub fn start(store: &Store, id: &str) -> Result<()> {
    let entry = store.lock(id)?;
    let mut state = entry.state()?;
    match state.status(false) {
        "created" => {}
        "stopped" => return Err(Error::new(format!("cannot start container \"{id}\": it has stopped"))),
        status => return Err(Error::new(format!("cannot start container \"{id}\": it is {status}, not created"))),
    }
    // Hooks take as long as they take.
    let kernel = Connection::from_socket(super::connect(store, &state)?.into_socket());
    run_first(&entry, &mut state, &kernel, || Ok(()))
}

/// Has `kernel` run a created container's program, and remembers that it has. `created` takes the answer to what the kernel was asked before.
pub fn run_first(entry: &Entry, state: &mut State, kernel: &Connection, created: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = state.hooks.start_container.iter().map(|hook| plan::hook(&state.template, hook)).collect::<Vec<_>>();
    let told = super::create::report(state, false)?;
    let streams = before.iter().map(|_| hook_streams(&told)).collect::<Result<Vec<_>>>()?;
    let streams: Vec<_> = streams.iter().flatten().map(AsFd::as_fd).collect();
    kernel.send(&Order::Start { id: state.id.clone(), before }, &streams)?;
    created()?;
    kernel.done()?;
    state.phase = Phase::Running;
    entry.save(state)?;
    let report = super::create::report(state, false)?;
    if let Err(error) = hooks::run("poststart", &state.hooks.poststart, &report) {
        let _ = kernel.tell(&Order::Signal { id: state.id.clone(), signal: libc::SIGKILL, all: true }, &[]);
        return Err(error);
    }
    Ok(())
}
