//! `quark create`.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::hibernate::memory_file;
use crate::cgroup::{self, Entrances, Transfers};
use crate::cli::Parsed;
use crate::client::Connection;
use crate::config::{Process, Spec};
use crate::console::Pseudoterminal;
use crate::error::{Context, Error, Result};
use crate::hooks;
use crate::host;
use crate::launch::{Kernel, stand_in};
use crate::log;
use crate::messages::{NewContainer, Order};
use crate::neighbours;
use crate::plan;
use crate::scores;
use crate::sources;
use crate::state::{Phase, ProcessId, State};
use crate::store::{Entry, Store};

/// How whoever can't give this command flags, as containerd can't, says what `--channel` says.
const CHANNEL_VARIABLE: &str = "QUARK_CHANNEL";

/// How much a file descriptor may be preserved, at most.
const PRESERVED_MAX: u32 = 1024;

/// What a new container's process reads and writes.
pub struct Streams {
    /// Three standard streams or one terminal, then what is preserved.
    files: Vec<OwnedFd>,
    terminal: Option<Pseudoterminal>,
    preserved: usize,
}

/// A bundle that can be run.
pub struct Bundle {
    path: PathBuf,
    rootfs: String,
    spec: Spec,
    process: Process,
}

/// Makes a container from the flags.
pub fn create(store: &Store, parsed: &Parsed) -> Result<()> {
    Creation::make(store, parsed, &Bundle::load(parsed)?, false)?.leave(parsed)
}

impl Bundle {
    /// That of the flags.
    pub fn load(parsed: &Parsed) -> Result<Bundle> {
        let given = parsed.value("bundle").unwrap_or(".");
        let path = std::fs::canonicalize(given).context(|| format!("find the bundle \"{given}\""))?;
        let (mut spec, findings) = Spec::load(&path)?;
        if spec.hostname.is_empty() {
            // The host's own namespace has its name (hostNetwork, --uts=host), and a new one starts with it.
            spec.hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        }
        findings.warned.iter().for_each(|finding| log::warn(&finding.to_string()));
        findings.ignored.iter().for_each(|finding| log::debug(&finding.to_string()));
        let root = spec.root.as_ref().map_or("", |root| root.path.as_str());
        let rootfs = std::fs::canonicalize(path.join(root)).context(|| format!("find the container's root \"{root}\""))?;
        if !rootfs.is_dir() {
            return Err(Error::new(format!("The container's root \"{}\" must be a directory", rootfs.display())));
        }
        let process = spec.process.clone().unwrap_or_default().limited(&host::limits());
        Ok(Bundle { rootfs: rootfs.display().to_string(), path, spec, process })
    }

    /// Whether its process wants a terminal.
    pub fn has_terminal(&self) -> bool {
        self.process.terminal
    }

    fn cgroups(&self, id: &str, systemd: bool) -> Result<cgroup::Plan> {
        let linux = self.spec.linux();
        if systemd {
            log::warn("systemd isn't told of the container's cgroup, which is where it would be: if it changes the slice, limits may go");
        }
        let path = match (linux.cgroups_path.as_str(), systemd) {
            ("", false) => id.to_owned(),
            ("", true) => cgroup::systemd_path(&format!(":quark:{id}"))?,
            (path, false) => path.to_owned(),
            (path, true) => cgroup::systemd_path(path)?,
        };
        Ok(cgroup::plan(&cgroup::Layout::of_host(), &path, &linux.resources.clone().unwrap_or_default()))
    }

    fn state(&self, id: &str) -> State {
        State {
            oci_version: self.spec.oci_version.clone(),
            bundle: self.path.display().to_string(),
            rootfs: self.rootfs.clone(),
            created: log::timestamp(SystemTime::now()),
            annotations: self.spec.annotations.clone(),
            hooks: self.spec.hooks(),
            template: self.process.clone(),
            ..State::new(id)
        }
    }
}

impl Streams {
    /// Opens them, and makes a terminal if the process wants one.
    pub fn new(parsed: &Parsed, process: &Process, attached: bool) -> Result<Streams> {
        let mut streams = Streams { files: Vec::new(), terminal: None, preserved: 0 };
        match (process.terminal, parsed.value("console-socket")) {
            (false, Some(_)) => return Err(Error::new("--console-socket may only be set when `process.terminal` is")),
            (true, Some(_)) => {
                let terminal = Pseudoterminal::new(process)?;
                streams.files.push(duplicate(terminal.slave.as_fd())?);
                streams.terminal = Some(terminal);
            }
            (true, None) if attached => streams.files.push(duplicate(rustix::stdio::stdin())?),
            (true, None) => return Err(Error::new("`process.terminal` is set: --console-socket must be, too")),
            (false, None) => {
                for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
                    streams.files.push(duplicate(stream)?);
                }
            }
        }
        streams.preserve(parsed.number::<u32>("preserve-fds")?.unwrap_or(0))?;
        Ok(streams)
    }

    fn preserve(&mut self, count: u32) -> Result<()> {
        if count > PRESERVED_MAX {
            return Err(Error::new(format!("--preserve-fds must be at most {PRESERVED_MAX}")));
        }
        for number in 3..3 + count as i32 {
            let file = quark_host::process::inherited(number).context(|| format!("preserve descriptor {number} (--preserve-fds)"))?;
            self.files.push(file);
            self.preserved += 1;
        }
        Ok(())
    }

    /// The descriptors, as a message has them.
    pub fn files(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.files.iter().map(OwnedFd::as_fd)
    }

    /// How many of them are behind the standard streams.
    pub fn preserved(&self) -> usize {
        self.preserved
    }

    /// The guest's side of a pseudo-terminal that was made.
    pub fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().map(|terminal| terminal.slave.as_fd())
    }

    /// Sends the other side to whoever asked for it.
    pub fn send_master(&self, parsed: &Parsed) -> Result<()> {
        match (&self.terminal, parsed.value("console-socket")) {
            (Some(terminal), Some(socket)) => terminal.send_master(socket),
            _ => Ok(()),
        }
    }
}

/// A duplicate that closes on exec.
pub fn duplicate(file: BorrowedFd<'_>) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(file, 3).context(|| "duplicate a descriptor")
}

/// A container that is being made. Everything of it is removed again when this is dropped before it is left or started.
pub struct Creation<'a> {
    store: &'a Store,
    entry: Option<Entry>,
    state: State,
    /// That of a pod's first container.
    kernel: Option<Kernel>,
    done: bool,
}

fn channel_socket(parsed: &Parsed) -> Option<String> {
    parsed.value("channel").map(str::to_owned).or_else(|| std::env::var(CHANNEL_VARIABLE).ok().filter(|path| !path.is_empty()))
}

/// A container whose program runs.
pub struct Started {
    /// What ends with the program's exit status.
    pub pid: i32,
    /// Tells the end, or closes.
    pub connection: Connection,
}

impl<'a> Creation<'a> {
    /// Makes it, but for its program, and for what a kernel of its own does by itself meanwhile. `attached` uses the command's own terminal if there is no console socket.
    pub fn make(store: &'a Store, parsed: &Parsed, bundle: &Bundle, attached: bool) -> Result<Creation<'a>> {
        host::check()?;
        let streams = Streams::new(parsed, &bundle.process, attached)?;
        let mut state = bundle.state(parsed.operand(0));
        let pod = neighbours::find(store, &bundle.spec)?;
        let sleep = plan::hibernation(&bundle.spec)?.filter(|_| pod.is_none());
        let memory = sleep.map(|_| memory_file(parsed)).transpose()?;
        let limits = bundle.cgroups(&state.id, parsed.has("systemd-cgroup"))?;
        // Remembered before they are made: should we be killed in between, `delete` removes them.
        state.cgroups = limits.directories.iter().map(|(controller, path)| (controller.clone(), path.display().to_string())).collect();
        let entry = store.create(&state)?;
        let mut creation = Creation { store, entry: Some(entry), state, kernel: None, done: false };
        let mut isolation = plan::isolation(&bundle.spec);
        isolation.channel = isolation.channel.map(|usual| channel_socket(parsed).unwrap_or(usual));
        creation.fill((bundle, isolation), &limits, pod.as_ref(), (&streams, memory))?;
        streams.send_master(parsed)?;
        Ok(creation)
    }

    fn fill(
        &mut self,
        (bundle, isolation): (&Bundle, plan::Isolation),
        limits: &cgroup::Plan,
        pod: Option<&neighbours::Pod>,
        (streams, memory): (&Streams, Option<File>),
    ) -> Result<()> {
        let cgroups = self.join(limits)?;
        let planned = plan::container(&self.state.id, &bundle.spec, &bundle.rootfs, &bundle.process);
        let mut container = planned.container;
        container.process.inherited = streams.preserved();
        match pod {
            Some(pod) => self.in_sandbox(pod, container, &planned.sources, streams, &cgroups),
            None => {
                container.hibernation = plan::hibernation(&bundle.spec)?;
                self.on_its_own((bundle, isolation), container, &planned.sources, (streams, memory), &cgroups)
            }
        }
    }

    /// Leaves it for a later `start`.
    pub fn leave(mut self, parsed: &Parsed) -> Result<()> {
        if let Some(kernel) = &self.kernel {
            kernel.created()?;
        }
        self.state.phase = Phase::Created;
        self.save()?;
        if let Some(kernel) = self.kernel.take() {
            kernel.keep()?;
        }
        write_pid(parsed, self.pid()?)?;
        self.done = true;
        Ok(())
    }

    /// Runs its program.
    pub fn start(mut self, parsed: &Parsed) -> Result<Started> {
        let pid = self.pid()?;
        let connection = match self.kernel.take() {
            Some(kernel) => {
                let entry = self.entry.as_ref().ok_or_else(|| Error::no_container(&self.state.id))?;
                if self.state.hooks.start_container.is_empty() {
                    super::start::run_first(entry, &mut self.state, kernel.connection(), || kernel.created())?;
                } else {
                    // Hooks take as long as they take: others are heard meanwhile.
                    kernel.created()?;
                    let other = Connection::from_socket(super::connect(self.store, &self.state)?.into_socket());
                    super::start::run_first(entry, &mut self.state, &other, || Ok(()))?;
                }
                kernel.keep()?
            }
            None => self.start_in_sandbox()?,
        };
        write_pid(parsed, pid)?;
        self.done = true;
        Ok(Started { pid, connection })
    }

    fn start_in_sandbox(&mut self) -> Result<Connection> {
        let entry = self.entry.as_ref().ok_or_else(|| Error::no_container(&self.state.id))?;
        let waiter = super::connect(self.store, &self.state)?;
        waiter.send(&Order::Wait { id: self.state.id.clone(), tied: false }, &[])?;
        let kernel = super::connect(self.store, &self.state)?;
        super::start::run_first(entry, &mut self.state, &kernel, || Ok(()))?;
        Ok(waiter)
    }

    fn pid(&self) -> Result<i32> {
        self.state.process.map(|process| process.pid).ok_or_else(|| Error::new("the container's process ended at once"))
    }

    fn join(&mut self, plan: &cgroup::Plan) -> Result<Entrances> {
        let applied = cgroup::apply(plan)?;
        self.state.cgroups = applied.directories;
        Ok(applied.entrances)
    }

    fn on_its_own(
        &mut self,
        (bundle, isolation): (&Bundle, plan::Isolation),
        container: NewContainer,
        sources: &[plan::HostSource],
        (streams, memory): (&Streams, Option<File>),
        cgroups: &Entrances,
    ) -> Result<()> {
        let entry = self.entry()?;
        let kernel = Kernel::start(entry, &self.state.id, isolation, cgroups, streams.terminal())?;
        kernel.score(bundle.process.oom_score_adj, container.memory_limit);
        self.state.process = ProcessId::of(kernel.pid);
        self.state.kernel = self.state.process;
        let hooks = &self.state.hooks;
        let wanted = !(hooks.prestart.is_empty() && hooks.create_runtime.is_empty() && hooks.create_container.is_empty());
        // Without hooks that may change them, mounts are opened while the kernel starts.
        let early = if wanted { None } else { Some(sources::open_all(sources, &bundle.path)?) };
        if wanted {
            self.save()?;
            kernel.ready()?;
            self.create_hooks()?;
        }
        let mounts = early.map_or_else(|| sources::open_all(sources, &bundle.path), Ok)?;
        let memory = memory.as_ref().map(File::as_fd);
        let files: Vec<BorrowedFd<'_>> = mounts.descriptors().chain(streams.files()).chain(memory).collect();
        kernel.create(&Order::Create(Box::new(mounts.tell(container))), &files)?;
        self.kernel = Some(kernel);
        Ok(())
    }

    fn in_sandbox(
        &mut self,
        pod: &neighbours::Pod,
        mut container: NewContainer,
        sources: &[plan::HostSource],
        streams: &Streams,
        cgroups: &Entrances,
    ) -> Result<()> {
        let sandbox = &pod.sandbox;
        container.share_pids_with.clone_from(&pod.pids);
        let state = sandbox.state()?;
        self.state.sandbox.clone_from(&state.sandbox);
        self.state.kernel = state.kernel;
        let waiter = Connection::open(sandbox)?;
        let connection = Connection::open(sandbox)?;
        let bundle = PathBuf::from(&self.state.bundle);
        self.state.process = state.process;
        self.create_hooks()?;
        self.state.process = None;
        let mounts = sources::open_all(sources, Path::new(&bundle))?;
        let transfers = Transfers::open(&self.state.cgroups)?;
        let counts = (transfers.processes.len(), transfers.threads.len());
        let memory = container.memory_limit;
        container.cgroups = Some(counts).filter(|(processes, _)| *processes > 0);
        let files: Vec<BorrowedFd<'_>> = transfers.descriptors().chain(mounts.descriptors()).chain(streams.files()).collect();
        connection.tell(&Order::Create(Box::new(mounts.tell(container))), &files)?;
        waiter.send(&Order::Wait { id: self.state.id.clone(), tied: true }, &[])?;
        let terminal = streams.terminal().map(duplicate).transpose()?;
        self.state.process = ProcessId::of(stand_in(waiter, terminal, cgroups)?);
        if let Some(stand_in) = self.state.process {
            let scored = scores::spare(stand_in.pid, self.state.template.oom_score_adj, memory);
            let others = cgroup::members(&self.state.cgroups).into_iter().filter(|pid| *pid != stand_in.pid);
            scores::warn(scored.and_then(|guests| guests.expose(others)));
        }
        Ok(())
    }

    /// Those that run between the pod's namespaces being there and its mounts being made.
    fn create_hooks(&self) -> Result<()> {
        let hooks = &self.state.hooks;
        let state = report(&self.state, true)?;
        hooks::run("prestart", &hooks.prestart, &state)?;
        hooks::run("createRuntime", &hooks.create_runtime, &state)?;
        // In the runtime's namespaces: a guest's have no meaning for a program of the host.
        hooks::run("createContainer", &hooks.create_container, &state)
    }

    fn entry(&self) -> Result<&Entry> {
        self.entry.as_ref().ok_or_else(|| Error::no_container(&self.state.id))
    }

    fn save(&self) -> Result<()> {
        self.entry()?.save(&self.state)
    }
}

impl Drop for Creation<'_> {
    fn drop(&mut self) {
        let Some(entry) = self.entry.take().filter(|_| !self.done) else { return };
        self.kernel = None;
        if let Err(error) = super::delete::remove(self.store, entry, &self.state) {
            log::warn(&error.to_string());
        }
    }
}

/// The state as hooks read it.
pub fn report(state: &State, busy: bool) -> Result<Vec<u8>> {
    serde_json::to_vec(&state.report(busy)).context(|| "write the container's state")
}

/// Writes the process id where the flags say. Atomic, as readers poll for the file.
pub fn write_pid(parsed: &Parsed, pid: i32) -> Result<()> {
    if let Some(socket) = parsed.value("pidfd-socket") {
        send_pidfd(socket, pid)?;
    }
    let Some(path) = parsed.value("pid-file") else {
        return Ok(());
    };
    let what = || format!("write \"{path}\"");
    let target = Path::new(path);
    let name = target.file_name().and_then(|name| name.to_str()).ok_or("it has no name").context(what)?;
    let draft = target.with_file_name(format!(".{name}.new"));
    std::fs::write(&draft, pid.to_string()).context(what)?;
    std::fs::rename(&draft, target).context(what)
}

fn send_pidfd(socket: &str, pid: i32) -> Result<()> {
    let what = || format!("send a pidfd to \"{socket}\"");
    let pid = rustix::process::Pid::from_raw(pid).ok_or("there is no process").context(what)?;
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).context(what)?;
    let connection = std::os::unix::net::UnixStream::connect(socket).context(what)?;
    crate::wire::send_file(&connection, b"pidfd", pidfd.as_fd()).context(what)
}
