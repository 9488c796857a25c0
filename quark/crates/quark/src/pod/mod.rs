//! The process that is a pod's kernel: a fork of the command that makes the first container, first in its pid namespace.
//!
//! It learns what it is from its standard input, gives up what it doesn't need, and ends like the first container's first process.

mod control;
mod isolate;
mod loopback;
mod orders;
mod server;

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use quark_host::process::Signals;
use quark_host::{filter, footprint, landlock};
use quark_kernel::kernel::Kernel;
use rustix::io::Errno;

use crate::error::{Context, Error, Result};
use crate::log;
use crate::messages::{Answer, Boot, Network, Order};
use crate::wire::{self, WireError};
use server::Pod;
pub use server::spawn;

/// Signals that the host sends to this process and that are meant for the container's first one.
const FORWARDED: [i32; 7] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH];

/// Runs until the first container has ended; the result is the exit code. Standard input is where the command gives its orders.
pub fn main() -> u8 {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map(UnixStream::from);
    let Ok(socket) = socket else { return 1 };
    start(&socket).unwrap_or_else(|error| {
        // Whoever started us tells it; if nobody is there any more, the log has it.
        if wire::send(&socket, &Answer::Failed(error.to_string()), &[]).is_err() {
            log::error(&error.to_string());
        }
        1
    })
}

fn start(socket: &UnixStream) -> Result<u8> {
    let (order, descriptors) = wire::receive::<Order>(socket).context(|| "receive the first order")?;
    let Order::Boot(boot) = order else {
        return Err(Error::new("an order came before this kernel was told what it is"));
    };
    log_to_standard_error(&boot);
    // All threads inherit this: nothing but the reader below sees these signals.
    let signals = Signals::block(&FORWARDED).context(|| "block signals")?;
    let mut descriptors = descriptors.into_iter();
    let listener = UnixListener::from(next(&mut descriptors)?);
    let network = if boot.network == Network::Join { Some(next(&mut descriptors)?) } else { None };
    let terminal = if boot.terminal { Some(next(&mut descriptors)?) } else { None };
    let channel = if boot.channel { Some(next(&mut descriptors)?) } else { None };
    footprint::share_heaps();
    isolate::isolate(&boot, network, terminal, socket)?;
    restrict_files();
    let kernel = Kernel::boot().context(|| "start the pod's kernel")?;
    if !boot.patching {
        quark_kernel::patching::set_fast_entry(None);
    }
    if let Some(channel) = channel
        && let Err(error) = quark_kernel::net::channel::start(channel, &boot.id)
    {
        log::warn(&format!("This pod uses no channels: {error}"));
    }
    wire::send(socket, &Answer::Ready, &[]).context(|| "answer")?;
    let pod = Arc::new(Pod::new(kernel, &boot.id, boot.channels));
    if !first_container(&pod, socket)? {
        return Err(Error::new("the command that makes the container has ended"));
    }
    // The last wall, before guest code runs: what somebody who has taken this process over could ask of the host.
    filter::kernel::confine(true).context(|| "filter our own system calls (the host's kernel must have CONFIG_SECCOMP_FILTER)")?;
    let command = socket.try_clone().context(|| "duplicate a connection")?;
    server::spawn("control", {
        let pod = pod.clone();
        move || control::attend(&pod, control::Doors { signals, listener, command })
    })?;
    Ok(pod.first_end().code())
}

/// Waits for the first container's `Create`. False if its command ends before it comes: then nobody wants us.
fn first_container(pod: &Arc<Pod>, socket: &UnixStream) -> Result<bool> {
    loop {
        let (order, descriptors) = match wire::receive::<Order>(socket) {
            Err(WireError::Closed) => return Ok(false),
            received => received.context(|| "receive an order")?,
        };
        let mut answer = pod.answer(order, descriptors);
        if let Err(error) = pod.ready() {
            answer = Answer::Failed(error.to_string());
        }
        let done = matches!(answer, Answer::Done);
        match wire::send(socket, &answer, &[]) {
            Err(WireError::Closed) => return Ok(false),
            sent => sent.context(|| "answer")?,
        }
        if done {
            return Ok(true);
        }
    }
}

/// Before any other thread: those that come later inherit it.
fn restrict_files() {
    match landlock::restrict() {
        Ok(()) => {}
        Err(Errno::NOSYS | Errno::OPNOTSUPP) => log::info("This host has no Landlock: the other walls hold alone"),
        Err(error) => log::warn(&format!("Landlock does not hold ({error}): the other walls hold alone")),
    }
}

fn next(descriptors: &mut impl Iterator<Item = OwnedFd>) -> Result<OwnedFd> {
    descriptors.next().ok_or_else(|| Error::new("an order lacks a descriptor"))
}

fn log_to_standard_error(boot: &Boot) {
    if let Ok(file) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3) {
        log::start(Some(file.into()), boot.log_format, boot.debug);
    }
    std::panic::set_hook(Box::new(|panic| log::error(&format!("The kernel of this pod has a bug: {panic}"))));
}
