//! Starts our own processes: a pod's kernel, and those that stand for processes in it.

use std::cell::Cell;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use quark_host::process::{Cgroups, Fork, Namespaces, Spawn, Spawned, fork, spawn};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::cgroup::Entrances;
use crate::client::Connection;
use crate::config::IdMapping;
use crate::error::{Context, Error, Result};
use crate::follow::block_signals;
use crate::host::no_namespace;
use crate::log;
use crate::messages::{Answer, Boot, Network, Order};
use crate::plan::Isolation;
use crate::pod;
use crate::scores::{self, Guests};
use crate::store::Entry;

/// A pod's kernel that has been started, and is killed when this is dropped without [`Kernel::keep`].
pub struct Kernel {
    /// Its id for us.
    pub pid: i32,
    connection: Connection,
    isolation: Isolation,
    /// What its guests' processes are to have.
    score: Cell<Option<Guests>>,
    mapped: Cell<bool>,
    ready: Cell<bool>,
    kept: bool,
}

impl Kernel {
    /// Starts the kernel of a pod whose first container is in `entry`, in the cgroups behind `cgroups`. It goes on by itself until it is [`Kernel::ready`].
    pub fn start(entry: &Entry, id: &str, isolation: Isolation, cgroups: &Entrances, terminal: Option<BorrowedFd<'_>>) -> Result<Kernel> {
        let listener = UnixListener::bind(entry.short_path("control.sock")).context(|| "make the control socket")?;
        let (ours, theirs) = UnixStream::pair().context(|| "make a socket")?;
        let null = null()?;
        let output = log::file().unwrap_or(null.as_fd());
        let name = CString::new(format!("quark-kernel {id}")).context(|| "name the kernel")?;
        let tasks: Vec<BorrowedFd<'_>> = cgroups.tasks.iter().map(File::as_fd).collect();
        let cgroups = Cgroups { unified: cgroups.unified.as_ref().map(File::as_fd), tasks: &tasks };
        let namespaces = Namespaces { pid: true, ..Namespaces::default() };
        let forked = fork(&Fork { title: &name, stdio: [theirs.as_fd(), output, output], namespaces, cgroups }, pod::main);
        let spawned = match forked {
            Err(error @ (Errno::PERM | Errno::NOSPC | Errno::INVAL | Errno::NOSYS)) => return Err(Error::new(no_namespace("pid", error))),
            forked => forked.context(|| "start the pod's kernel")?,
        };
        let kernel = Kernel {
            pid: spawned.pid,
            connection: Connection::from_socket(ours),
            isolation,
            score: Cell::new(None),
            mapped: Cell::new(false),
            ready: Cell::new(false),
            kept: false,
        };
        kernel.boot(entry, id, &listener, terminal)?;
        Ok(kernel)
    }

    fn boot(&self, entry: &Entry, id: &str, listener: &UnixListener, terminal: Option<BorrowedFd<'_>>) -> Result<()> {
        let network = match self.isolation.network {
            Network::Join => {
                let path = &self.isolation.network_path;
                Some(File::open(path).context(|| format!("open the network namespace \"{path}\""))?)
            }
            _ => None,
        };
        let channel = self.isolation.channel.as_deref().and_then(channel_of_node);
        let (log_format, debug) = log::settings();
        let boot = Boot {
            id: id.to_owned(),
            network: self.isolation.network,
            user_namespace: self.isolation.ids.is_some(),
            sysctl: self.isolation.sysctl.clone(),
            mount_point: entry.path().display().to_string(),
            terminal: terminal.is_some(),
            channel: channel.is_some(),
            channels: self.isolation.channel.is_some(),
            patching: self.isolation.patching,
            log_format,
            debug,
        };
        let files = [Some(listener.as_fd()), network.as_ref().map(File::as_fd), terminal, channel.as_ref().map(OwnedFd::as_fd)];
        let files: Vec<BorrowedFd<'_>> = files.into_iter().flatten().collect();
        self.connection.send(&Order::Boot(boot), &files)
    }

    /// Sets whom the host's memory killer takes first: see [`scores`]. Before it has guests' processes.
    pub fn score(&self, asked: Option<i32>, memory: Option<u64>) {
        scores::warn(scores::spare(self.pid, asked, memory).map(|guests| self.score.set(Some(guests))));
    }

    /// Waits until it has its ids, after which it hears orders.
    fn mapped(&self) -> Result<()> {
        if self.isolation.ids.is_some() && !self.mapped.get() {
            match self.receive()? {
                Answer::MapIds => self.map_ids()?,
                answer => return Err(Error::new(format!("The pod's kernel answered {answer:?} when it started"))),
            }
            self.connection.send(&Order::IdsMapped, &[])?;
        }
        self.mapped.set(true);
        Ok(())
    }

    /// Waits until it has given up all that it gives up: its namespaces are as they will be.
    pub fn ready(&self) -> Result<()> {
        self.mapped()?;
        if !self.ready.get() {
            match self.receive()? {
                Answer::Ready => self.ready.set(true),
                answer => return Err(Error::new(format!("The pod's kernel answered {answer:?} when it started"))),
            }
        }
        Ok(())
    }

    /// Has it make the first container. It does by itself until it is [`Kernel::created`].
    pub fn create(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        self.mapped()?;
        self.connection.send(order, descriptors)
    }

    /// Waits until the first container is there.
    pub fn created(&self) -> Result<()> {
        self.ready()?;
        match self.receive()? {
            Answer::Done => {
                // They have inherited its own.
                scores::warn(self.score.get().map_or(Ok(()), |guests| guests.expose(scores::children(self.pid))));
                Ok(())
            }
            answer => Err(Error::new(format!("The pod's kernel answered {answer:?}"))),
        }
    }

    /// Where it takes further orders from the command that has started it.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Lets it live after the command. The connection ends with it.
    pub fn keep(mut self) -> Result<Connection> {
        let theirs = self.connection.as_fd().try_clone_to_owned().context(|| "duplicate a connection")?;
        // What it runs may have ended, and it with that.
        let _ = self.connection.send(&Order::Keep, &[]);
        self.kept = true;
        Ok(Connection::from_socket(theirs.into()))
    }

    fn receive(&self) -> Result<Answer> {
        self.connection.receive().map_err(|error| match self.ended() {
            Some(how) => Error::new(format!("The pod's kernel ended while it started ({how}): {error}")),
            None => error,
        })
    }

    /// How it ended, if it has.
    fn ended(&self) -> Option<String> {
        let (_, status) = waitpid(Pid::from_raw(self.pid), WaitOptions::NOHANG).ok().flatten()?;
        Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(125), _) => "it could not join its cgroups".to_owned(),
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            _ => "for an unknown reason".to_owned(),
        })
    }

    fn map_ids(&self) -> Result<()> {
        let Some((users, groups)) = &self.isolation.ids else {
            return Ok(());
        };
        for (file, mappings) in [("uid_map", users), ("gid_map", groups)] {
            let path = format!("/proc/{}/{file}", self.pid);
            std::fs::write(&path, render_map(mappings)).context(|| format!("write \"{path}\""))?;
        }
        Ok(())
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| !self.kept) {
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
    }
}

fn render_map(mappings: &[IdMapping]) -> String {
    mappings.iter().map(|mapping| format!("{} {} {}\n", mapping.container_id, mapping.host_id, mapping.size)).collect()
}

/// Starts a process that ends like the one that `connection` waits for. `terminal`: whose sizes it passes on. Returns its id.
pub fn stand_in(connection: Connection, terminal: Option<OwnedFd>, cgroups: &Entrances) -> Result<i32> {
    let null = null()?;
    let output = terminal.as_ref().map_or(null.as_fd(), OwnedFd::as_fd);
    let socket = connection.into_socket();
    // Inherited: a signal that comes before it can pass it on waits for it.
    let _blocked = block_signals()?;
    let (started, until_exec) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context(|| "make a pipe")?;
    let spawned = start(&[c"quark-wait-for", c"wait-for"], [socket.as_fd(), output, null.as_fd()], Namespaces::default(), cgroups)?;
    drop(until_exec);
    // Its program runs, so that it is in its cgroups: whoever is told its id looks for them by it.
    let _ = rustix::io::read(&started, &mut [0; 1]);
    Ok(spawned.pid)
}

/// A user namespace that nobody is in, with these ids, to map the owners of a mount's files by.
pub fn user_namespace(users: &[IdMapping], groups: &[IdMapping]) -> Result<File> {
    let what = || "make a user namespace for ids of a mount";
    let (ours, theirs) = UnixStream::pair().context(what)?;
    let null = null()?;
    let namespaces = Namespaces { user: true, ..Namespaces::default() };
    // It waits for us, and ends when nobody is there any more.
    let spawned = start(&[c"quark-ids", c"wait-for"], [theirs.as_fd(), null.as_fd(), null.as_fd()], namespaces, &Entrances::default())?;
    drop(theirs);
    let path = |file: &str| format!("/proc/{}/{file}", spawned.pid);
    let made = std::fs::write(path("uid_map"), render_map(users))
        .and_then(|()| std::fs::write(path("gid_map"), render_map(groups)))
        .and_then(|()| File::open(path("ns/user")));
    drop(ours);
    let _ = waitpid(Pid::from_raw(spawned.pid), WaitOptions::empty());
    made.context(what)
}

fn start(arguments: &[&std::ffi::CStr], stdio: [BorrowedFd<'_>; 3], namespaces: Namespaces, cgroups: &Entrances) -> Result<Spawned> {
    let program = File::open("/proc/self/exe").context(|| "open our own program")?;
    let tasks: Vec<BorrowedFd<'_>> = cgroups.tasks.iter().map(File::as_fd).collect();
    let cgroups = Cgroups { unified: cgroups.unified.as_ref().map(File::as_fd), tasks: &tasks };
    let result = spawn(&Spawn { program: program.as_fd(), arguments, environment: &[], stdio, namespaces, cgroups });
    result.context(|| "start a process of our own")
}

fn null() -> Result<File> {
    File::options().read(true).write(true).open(Path::new("/dev/null")).context(|| "open /dev/null")
}

/// A connection to the service that gives pods channels, where there is one (`quark channel`).
fn channel_of_node(path: &str) -> Option<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).ok()?;
    let address = SocketAddrUnix::new(path).ok()?;
    rustix::net::connect(&socket, &address).ok()?;
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::ALL_IDS;

    #[test]
    fn id_maps_are_what_the_host_reads() {
        let some = IdMapping { container_id: 0, host_id: 100_000, size: 65_536 };
        assert_eq!(render_map(&[some]), "0 100000 65536\n");
        assert_eq!(render_map(&[ALL_IDS]), "0 0 4294967295\n");
    }
}
