//! Answers orders: a thread for each connection, one more for each process that somebody follows.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quark_host::process::SignalReport;
use quark_kernel::Errno;
use quark_kernel::hibernate::Timeouts;
use quark_kernel::kernel::{Exit, Kernel, ProcessSpec};

use super::orders::{self, Descriptors};
use crate::error::{Context, Error, Result};
use crate::log;
use crate::messages::{Answer, End, GuestProcess, GuestUsage, NewContainer, NewHook, NewProcess, Order};
use crate::wire::{self, WireError};

/// The stack of our threads, bytes.
const STACK_BYTES: usize = 256 << 10;

/// How long the end of the pod waits for those who are to be told of an end.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a pod that is to hibernate may take until all of its threads wait.
const REST: Duration = Duration::from_secs(2);

/// The exit code of a container whose program could not be run, as a shell has it.
const NOT_RUN: u8 = 127;

/// What runs in this process.
pub struct Pod {
    kernel: Arc<Kernel>,
    first: String,
    /// Whether its connections may be channels.
    channels: bool,
    containers: Mutex<Containers>,
    changed: Condvar,
}

#[derive(Default)]
struct Containers {
    stages: BTreeMap<String, Stage>,
    /// Who is to be told something and hasn't been.
    busy: usize,
}

/// How far a container is.
enum Stage {
    /// What runs first is not started yet.
    Created(Option<Box<ProcessSpec>>),
    /// Its first process by pid.
    Running(i32),
    Ended(End),
}

/// Something that the end of the pod waits for, a little.
struct Busy(Arc<Pod>);

impl Busy {
    fn new(pod: &Arc<Pod>) -> Busy {
        pod.lock().busy += 1;
        Busy(pod.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.lock().busy -= 1;
        self.0.changed.notify_all();
    }
}

/// Starts a thread.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    let builder = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
    builder.spawn(body).map(drop).context(|| format!("start the thread \"{name}\""))
}

impl Pod {
    /// A pod whose first container will be `first`.
    pub fn new(kernel: Arc<Kernel>, first: &str, channels: bool) -> Pod {
        Pod { kernel, first: first.to_owned(), channels, containers: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for the end of the first container, ends the others, and waits until everybody is told.
    pub fn first_end(&self) -> End {
        let end = self.end_of(&self.first).unwrap_or(End::Signal(libc::SIGKILL));
        let others: Vec<String> = self.lock().stages.keys().filter(|id| **id != self.first).cloned().collect();
        for id in others {
            let _ = self.signal(&id, None, libc::SIGKILL);
        }
        let deadline = Instant::now() + FAREWELL;
        let mut containers = self.lock();
        while containers.busy > 0 {
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                break;
            };
            containers = self.changed.wait_timeout(containers, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        end
    }

    /// Passes a signal of the host on to the first container's first process.
    pub fn forward(&self, report: SignalReport) {
        let result = match report.signal {
            libc::SIGWINCH => self.running(&self.first).and_then(|pid| self.kernel.resized(&self.first, pid)),
            // A hang-up of the terminal is seen by whoever reads from it.
            libc::SIGHUP if !report.sent => Ok(()),
            signal => self.signal(&self.first, None, signal),
        };
        if let Err(error) = result {
            log::debug(&format!("Signal {} is lost: {error}", report.signal));
        }
    }

    fn use_channel(&self, descriptors: Vec<OwnedFd>) -> Result<()> {
        if !self.channels {
            return Err(Error::new("this pod uses no channels"));
        }
        let Ok([socket]) = <[OwnedFd; 1]>::try_from(descriptors) else {
            return Err(Error::new("this order comes with one descriptor"));
        };
        quark_kernel::net::channel::start(socket, &self.first).context(|| "use channels")
    }

    /// Waits until guests can run.
    pub fn ready(&self) -> Result<()> {
        self.kernel.platform.ready().context(|| "start the processes that run guests")
    }

    /// What the command that has made the first container asks. False if it is gone, or asks what it can't.
    pub fn hear(self: &Arc<Pod>, command: &UnixStream, kept: &mut bool) -> bool {
        let report = |signal| SignalReport { signal, sent: true };
        match wire::receive::<Order>(command) {
            Ok((Order::Keep, _)) => *kept = true,
            Ok((Order::Signal { signal, .. }, _)) => self.forward(report(signal)),
            Ok((Order::Resized { .. }, _)) => self.forward(report(libc::SIGWINCH)),
            Ok((order, descriptors)) => {
                let _answering = Busy::new(self);
                return wire::send(command, &self.answer(order, descriptors), &[]).is_ok();
            }
            Err(_) => return false,
        }
        true
    }

    /// Ends the pod: nobody will start it, or delete it.
    pub fn abandon(&self) {
        let _ = self.signal(&self.first, None, libc::SIGKILL);
    }

    /// Answers whoever has connected, until they go.
    pub fn serve(self: &Arc<Pod>, socket: &UnixStream) {
        loop {
            let (order, descriptors) = match wire::receive::<Order>(socket) {
                Ok(received) => received,
                Err(WireError::Closed) => return,
                Err(error) => return log::warn(&format!("A connection is closed: {error}")),
            };
            let result = match order {
                Order::Exec { id, process, tied } => self.exec(socket, &id, &process, descriptors, tied),
                Order::Wait { id, tied } => self.follow(socket, &id, None, tied),
                order => {
                    let _answering = Busy::new(self);
                    wire::send(socket, &self.answer(order, descriptors), &[]).context(|| "answer")
                }
            };
            if let Err(error) = result {
                return log::debug(&error.to_string());
            }
        }
    }

    /// Answers an order that needs one answer.
    pub fn answer(self: &Arc<Pod>, order: Order, descriptors: Vec<OwnedFd>) -> Answer {
        let done = |result: Result<()>| result.map(|()| Answer::Done);
        let host = |result: Result<(), Errno>, what: &'static str| done(result.context(|| what));
        let answer = match order {
            Order::Create(new) => done(self.create(&new, descriptors)),
            Order::Start { id, before } => done(self.start(&id, &before, descriptors)),
            Order::Signal { id, signal, all } => self.answer_signal(&id, signal, all),
            Order::Processes { id } => self.processes(&id),
            Order::Usage { id } => self.usage(&id),
            Order::Pause => host(self.kernel.pause(), "pause the pod"),
            Order::Resume => host(self.kernel.resume(), "resume the pod"),
            Order::Hibernate { hold_timers } => done(self.hibernate(descriptors, hold_timers)),
            Order::Wake => {
                self.kernel.hibernation.wake();
                Ok(Answer::Done)
            }
            Order::Asleep => Ok(Answer::Asleep(self.kernel.hibernation.asleep())),
            Order::Channel => done(self.use_channel(descriptors)),
            Order::Remove { id } => done(self.remove(&id)),
            Order::Boot(_) | Order::IdsMapped | Order::Keep | Order::Exec { .. } | Order::Wait { .. } | Order::Resized { .. } => {
                Err(Error::new("this order can't come now"))
            }
        };
        answer.unwrap_or_else(|error| Answer::Failed(error.to_string()))
    }

    fn create(self: &Arc<Pod>, new: &NewContainer, descriptors: Vec<OwnedFd>) -> Result<()> {
        let mut descriptors = Descriptors::new(descriptors);
        let spec = orders::container(new, &mut descriptors)?;
        let process = orders::process(&new.process, &mut descriptors)?;
        let sleep = new.hibernation.map(|when| Ok::<_, Error>((when, descriptors.next()?))).transpose()?;
        let made = self.kernel.create_container(spec).map_err(Error::new);
        made.context(|| format!("make container \"{}\"", new.id))?;
        if let Some((when, file)) = sleep {
            let after = Duration::from_millis(when.after_ms);
            self.kernel.hibernation.when_idle(file, after, timeouts(when.hold_timers)).context(|| "watch for the pod to be idle")?;
        }
        self.lock().stages.insert(new.id.clone(), Stage::Created(Some(Box::new(process))));
        Ok(())
    }

    /// Threads that are just busy have a little time to come to rest.
    fn hibernate(&self, descriptors: Vec<OwnedFd>, hold_timers: bool) -> Result<()> {
        let file = Arc::new(Descriptors::new(descriptors).next()?);
        let deadline = Instant::now() + REST;
        loop {
            match self.kernel.hibernation.hibernate(file.clone(), timeouts(hold_timers)) {
                Err(Errno::BUSY | Errno::AGAIN) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                Err(Errno::BUSY | Errno::AGAIN) => {
                    return Err(Error::new("Cannot hibernate: one of the pod's threads runs; all must wait"));
                }
                done => return done.context(|| "write the pod's memory"),
            }
        }
    }

    fn start(self: &Arc<Pod>, id: &str, before: &[NewHook], descriptors: Vec<OwnedFd>) -> Result<()> {
        let spec = match self.lock().stages.get_mut(id) {
            Some(Stage::Created(spec)) => spec.take(),
            Some(_) => return Err(Error::new(format!("container \"{id}\" has been started already"))),
            None => return Err(Error::no_container(id)),
        };
        let spec = spec.ok_or_else(|| Error::new(format!("container \"{id}\" is being started already")))?;
        let started = self.run_hooks(id, before, descriptors).and_then(|()| self.kernel.start(id, *spec).map_err(Error::new));
        let stage = match &started {
            Ok(pid) => Stage::Running(*pid),
            Err(_) => Stage::Ended(End::Code(NOT_RUN)),
        };
        self.lock().stages.insert(id.to_owned(), stage);
        self.changed.notify_all();
        started.map(drop)
    }

    /// startContainer hooks, which run inside, before the container's program.
    fn run_hooks(self: &Arc<Pod>, id: &str, before: &[NewHook], descriptors: Vec<OwnedFd>) -> Result<()> {
        let mut descriptors = Descriptors::new(descriptors);
        for hook in before {
            let spec = orders::process(&hook.process, &mut descriptors)?;
            let name = hook.process.arguments.first().cloned().unwrap_or_default();
            self.run_hook(id, spec, hook.timeout).context(|| format!("run the startContainer hook \"{name}\""))?;
        }
        Ok(())
    }

    fn run_hook(self: &Arc<Pod>, id: &str, spec: ProcessSpec, timeout: Option<u64>) -> Result<()> {
        let pid = self.kernel.start_before(id, spec).map_err(Error::new)?;
        let (tell, told) = std::sync::mpsc::channel();
        spawn("hook", {
            let (pod, id) = (self.clone(), id.to_owned());
            move || {
                // Nobody listens any more to a hook that took too long.
                let _ = tell.send(pod.kernel.wait(&id, pid).ok().map(end_of_exit));
            }
        })?;
        let end = match timeout.map(Duration::from_secs) {
            None => told.recv().ok().flatten(),
            Some(limit) => match told.recv_timeout(limit) {
                Ok(end) => end,
                Err(_) => {
                    let _ = self.kernel.signal(id, Some(pid), libc::SIGKILL);
                    return Err(Error::new(format!("it took longer than {} s", limit.as_secs())));
                }
            },
        };
        match end {
            Some(End::Code(0)) => Ok(()),
            Some(End::Code(code)) => Err(Error::new(format!("exit status: {code}"))),
            Some(End::Signal(signal)) => Err(Error::new(format!("signal: {signal}"))),
            None => Err(Error::new("the container was removed meanwhile")),
        }
    }

    fn exec(self: &Arc<Pod>, socket: &UnixStream, id: &str, new: &NewProcess, descriptors: Vec<OwnedFd>, tied: bool) -> Result<()> {
        let started = self.running(id).context(|| format!("run a process in container \"{id}\", which doesn't run")).and_then(|_| {
            let spec = orders::process(new, &mut Descriptors::new(descriptors))?;
            self.kernel.start(id, spec).map_err(Error::new)
        });
        match started {
            Ok(pid) => {
                wire::send(socket, &Answer::Started(pid), &[]).context(|| "answer")?;
                self.follow(socket, id, Some(pid), tied)
            }
            Err(error) => wire::send(socket, &Answer::Failed(error.to_string()), &[]).context(|| "answer"),
        }
    }

    /// Tells the connection of the end of a process (the container's first without `pid`), and takes signals for it meanwhile.
    fn follow(self: &Arc<Pod>, socket: &UnixStream, id: &str, pid: Option<i32>, tied: bool) -> Result<()> {
        let ended = Arc::new(AtomicBool::new(false));
        let teller = socket.try_clone().context(|| "duplicate a connection")?;
        let busy = Busy::new(self);
        spawn("follower", {
            let (pod, id, ended) = (self.clone(), id.to_owned(), ended.clone());
            move || {
                let _telling = busy;
                let end = pid.map_or_else(|| pod.end_of(&id), |pid| pod.kernel.wait(&id, pid).ok().map(end_of_exit));
                ended.store(true, Ordering::Release);
                let _ = wire::send(&teller, &Answer::Ended(end.unwrap_or(End::Signal(libc::SIGKILL))), &[]);
            }
        })?;
        loop {
            match wire::receive::<Order>(socket) {
                Ok((Order::Signal { signal, all, .. }, _)) => {
                    let target = if all { Err(()) } else { Ok(pid) };
                    let result = target.map_or_else(|()| self.kernel.signal(id, None, signal), |pid| self.signal(id, pid, signal));
                    if let Err(error) = result {
                        log::debug(&format!("Signal {signal} is lost: {error}"));
                    }
                }
                Ok((Order::Resized { .. }, _)) => {
                    let _ = pid.map_or_else(|| self.running(id), Ok).and_then(|pid| self.kernel.resized(id, pid));
                }
                Ok(_) => return Err(Error::new("a connection that waits for an end got another order")),
                Err(_) => break,
            }
        }
        if tied && !ended.load(Ordering::Acquire) {
            let _ = self.signal(id, pid, libc::SIGKILL);
        }
        Ok(())
    }

    /// Sends a signal to a process, or to the container's first one. One that isn't started yet ends, if the signal is of those that end processes.
    fn signal(&self, id: &str, pid: Option<i32>, signal: i32) -> Result<(), Errno> {
        const HARMLESS: [i32; 8] =
            [libc::SIGCHLD, libc::SIGCONT, libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU, libc::SIGURG, libc::SIGWINCH];
        let mut containers = self.lock();
        let first = match containers.stages.get_mut(id).ok_or(Errno::SRCH)? {
            stage @ Stage::Created(_) if pid.is_none() => {
                if !HARMLESS.contains(&signal) {
                    *stage = Stage::Ended(End::Signal(signal));
                    self.changed.notify_all();
                }
                return Ok(());
            }
            Stage::Created(_) | Stage::Ended(_) => return Err(Errno::SRCH),
            Stage::Running(first) => *first,
        };
        drop(containers);
        self.kernel.signal(id, Some(pid.unwrap_or(first)), signal)
    }

    fn answer_signal(&self, id: &str, signal: i32, all: bool) -> Result<Answer> {
        let started = self.running(id).is_ok();
        let result = if all && started { self.kernel.signal(id, None, signal) } else { self.signal(id, None, signal) };
        match result {
            Ok(()) => Ok(Answer::Done),
            Err(Errno::SRCH) if all => Ok(Answer::Done),
            Err(Errno::SRCH) => Err(Error::not_running(id)),
            Err(error) => Err(error).context(|| format!("send signal {signal} to container \"{id}\"")),
        }
    }

    fn processes(&self, id: &str) -> Result<Answer> {
        // Their arguments are in their memory.
        self.kernel.hibernation.wake();
        let processes = self.kernel.processes(id).context(|| format!("list the processes of \"{id}\""))?;
        let told = processes.into_iter().map(|process| GuestProcess {
            pid: process.pid,
            parent: process.parent,
            uid: process.uid,
            threads: process.threads,
            state: process.state,
            command: String::from_utf8_lossy(&process.arguments.join(&b' ')).into_owned(),
            host_pid: process.host_pid,
        });
        Ok(Answer::Processes(told.collect()))
    }

    fn usage(&self, id: &str) -> Result<Answer> {
        let usage = self.kernel.usage(id).context(|| format!("count what \"{id}\" uses"))?;
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Ok(Answer::Usage(GuestUsage {
            processes: usage.processes,
            threads: usage.threads,
            user_ns: nanoseconds(usage.user),
            system_ns: nanoseconds(usage.system),
            memory_in_file_systems: usage.memory_in_file_systems,
        }))
    }

    fn remove(&self, id: &str) -> Result<()> {
        if let Some(stage @ (Stage::Created(_) | Stage::Running(_))) = self.lock().stages.get_mut(id) {
            *stage = Stage::Ended(End::Signal(libc::SIGKILL));
        }
        self.changed.notify_all();
        self.kernel.remove_container(id).context(|| format!("remove container \"{id}\""))?;
        self.lock().stages.remove(id);
        Ok(())
    }

    /// Waits for the end of a container's first process; `None` if the container is removed.
    fn end_of(&self, id: &str) -> Option<End> {
        let mut containers = self.lock();
        loop {
            let pid = match containers.stages.get(id)? {
                Stage::Ended(end) => return Some(*end),
                Stage::Running(pid) => *pid,
                Stage::Created(_) => {
                    containers = self.changed.wait(containers).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            drop(containers);
            let end = self.kernel.wait(id, pid).map_or(End::Signal(libc::SIGKILL), end_of_exit);
            containers = self.lock();
            if let Some(stage) = containers.stages.get_mut(id) {
                *stage = Stage::Ended(end);
            }
            self.changed.notify_all();
            return Some(end);
        }
    }

    /// The pid of a container's first process; ESRCH if it doesn't run.
    fn running(&self, id: &str) -> Result<i32, Errno> {
        match self.lock().stages.get(id) {
            Some(Stage::Running(pid)) => Ok(*pid),
            _ => Err(Errno::SRCH),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Containers> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn timeouts(hold: bool) -> Timeouts {
    if hold { Timeouts::Hold } else { Timeouts::Wake }
}

fn end_of_exit(exit: Exit) -> End {
    match exit {
        Exit::Code(code) => End::Code(code),
        Exit::Signal(signal) => End::Signal(signal),
    }
}
