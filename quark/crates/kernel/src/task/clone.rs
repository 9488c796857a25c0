//! `clone(2)`, `clone3(2)`, `fork(2)`, `vfork(2)`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bitflags::bitflags;
use quark_host::platform::{Context, Registers};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::family::Member;
use super::pidfd::PidFile;
use super::process::NewProcess;
use super::{NewTask, Own, Process, Scheduling, Task, lock, run};
use crate::call::{Call, restart};
use crate::ipc::semaphore::undo_list;
use crate::memory::Memory;
use crate::signal::set::HIGHEST;
use crate::signal::state::SS_AUTODISARM;
use crate::vfs::open::OpenFile;
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

bitflags! {
    /// `CLONE_*`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Flags: u64 {
        const VM = 0x100;
        const FS = 0x200;
        const FILES = 0x400;
        const SIGHAND = 0x800;
        const PIDFD = 0x1000;
        const PTRACE = 0x2000;
        const VFORK = 0x4000;
        const PARENT = 0x8000;
        const THREAD = 0x1_0000;
        const NEWNS = 0x2_0000;
        const SYSVSEM = 0x4_0000;
        const SETTLS = 0x8_0000;
        const PARENT_SETTID = 0x10_0000;
        const CHILD_CLEARTID = 0x20_0000;
        const DETACHED = 0x40_0000;
        const UNTRACED = 0x80_0000;
        const CHILD_SETTID = 0x100_0000;
        const NEWCGROUP = 0x200_0000;
        const NEWUTS = 0x400_0000;
        const NEWIPC = 0x800_0000;
        const NEWUSER = 0x1000_0000;
        const NEWPID = 0x2000_0000;
        const NEWNET = 0x4000_0000;
        const IO = 0x8000_0000;
        const CLEAR_SIGHAND = 0x1_0000_0000;
        const INTO_CGROUP = 0x2_0000_0000;
        const NEWTIME = 0x80;
    }
}

/// What needs namespaces of its own.
const NAMESPACES: Flags = Flags::NEWNS
    .union(Flags::NEWCGROUP)
    .union(Flags::NEWUTS)
    .union(Flags::NEWIPC)
    .union(Flags::NEWUSER)
    .union(Flags::NEWPID)
    .union(Flags::NEWNET)
    .union(Flags::NEWTIME);

/// RLIMIT_NPROC.
const RLIMIT_NPROC: u32 = 6;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_RESOURCE: u32 = 24;

/// `struct clone_args`, of the size that Linux first had (64) or later ones.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// What is asked for, whichever call asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    flags: Flags,
    exit_signal: i32,
    /// The stack pointer of the child; 0 is the parent's.
    stack: u64,
    parent_tid: u64,
    child_tid: u64,
    pidfd: u64,
    tls: u64,
}

/// A child of vfork has executed a program or ended.
#[derive(Default)]
pub struct VforkDone {
    done: AtomicBool,
    queue: WaitQueue,
}

impl VforkDone {
    pub(crate) fn finish(&self) {
        self.done.store(true, Ordering::SeqCst);
        self.queue.notify(Events::IN);
    }
}

/// `fork(2)`.
pub fn fork(call: &mut Call<'_>) -> Result<u64> {
    make(call, Request::plain(Flags::empty()))
}

/// `vfork(2)`.
pub fn vfork(call: &mut Call<'_>) -> Result<u64> {
    make(call, Request::plain(Flags::VM | Flags::VFORK))
}

/// `clone(2)`.
pub fn clone(call: &mut Call<'_>) -> Result<u64> {
    let word = call.arg(0);
    let request = Request {
        flags: Flags::from_bits_truncate(word & 0xffff_ff00),
        exit_signal: (word & 0xff) as i32,
        stack: call.arg(1),
        parent_tid: call.arg(2),
        child_tid: call.arg(3),
        // The old call has one pointer for both, and refuses to have both.
        pidfd: call.arg(2),
        tls: call.arg(4),
    };
    if request.flags.contains(Flags::PIDFD | Flags::PARENT_SETTID) {
        return Err(Errno::INVAL);
    }
    // The bit of CLONE_NEWTIME belongs to the signal here.
    make(call, request)
}

/// `clone3(2)`.
pub fn clone3(call: &mut Call<'_>) -> Result<u64> {
    let (address, size) = (call.arg(0), call.arg(1) as usize);
    if size < 64 {
        return Err(Errno::INVAL);
    }
    if size > 4096 {
        return Err(Errno::TOOBIG);
    }
    let mut args = CloneArgs::default();
    let known = size.min(size_of::<CloneArgs>());
    let bytes = args.as_mut_bytes().get_mut(..known).ok_or(Errno::INVAL)?;
    call.read(address, bytes)?;
    let mut rest = vec![0; size - known];
    call.read(address.wrapping_add(known as u64), &mut rest)?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Errno::TOOBIG);
    }
    let request = from_clone_args(&args)?;
    make(call, request)
}

/// Checks what `clone3` was given, as `man 2 clone3` tells.
fn from_clone_args(args: &CloneArgs) -> Result<Request> {
    let flags = Flags::from_bits(args.flags).ok_or(Errno::INVAL)?;
    if flags.intersects(Flags::DETACHED) || (flags.contains(Flags::CLEAR_SIGHAND | Flags::SIGHAND)) {
        return Err(Errno::INVAL);
    }
    if args.exit_signal > HIGHEST as u64 {
        return Err(Errno::INVAL);
    }
    if flags.intersects(Flags::THREAD | Flags::PARENT) && args.exit_signal != 0 {
        return Err(Errno::INVAL);
    }
    if (args.stack == 0) != (args.stack_size == 0) {
        return Err(Errno::INVAL);
    }
    if flags.contains(Flags::INTO_CGROUP) || args.set_tid_size != 0 {
        return Err(Errno::PERM);
    }
    Ok(Request {
        flags,
        exit_signal: args.exit_signal as i32,
        stack: if args.stack == 0 { 0 } else { args.stack.checked_add(args.stack_size).ok_or(Errno::INVAL)? },
        parent_tid: args.parent_tid,
        child_tid: args.child_tid,
        pidfd: args.pidfd,
        tls: args.tls,
    })
}

impl Request {
    fn plain(flags: Flags) -> Request {
        Request { flags, exit_signal: libc::SIGCHLD, stack: 0, parent_tid: 0, child_tid: 0, pidfd: 0, tls: 0 }
    }

    /// Flags that can't go together (`man 2 clone`), and what needs namespaces, which guests can't make.
    fn check(&self) -> Result<()> {
        let flags = self.flags;
        let without = |needs: Flags, needed: Flags| flags.contains(needs) && !flags.contains(needed);
        if without(Flags::THREAD, Flags::SIGHAND) || without(Flags::SIGHAND, Flags::VM) {
            return Err(Errno::INVAL);
        }
        if flags.contains(Flags::NEWNS | Flags::FS) || flags.contains(Flags::NEWUSER | Flags::FS) {
            return Err(Errno::INVAL);
        }
        if flags.contains(Flags::THREAD) && flags.intersects(Flags::NEWUSER | Flags::NEWPID) {
            return Err(Errno::INVAL);
        }
        if flags.intersects(NAMESPACES) {
            return Err(Errno::PERM);
        }
        Ok(())
    }
}

fn make(call: &mut Call<'_>, request: Request) -> Result<u64> {
    request.check()?;
    let task = call.task;
    if task.doomed() {
        return Err(restart::NO_INTERRUPT);
    }
    check_count(task)?;
    let vfork = request.flags.contains(Flags::VFORK).then(Arc::<VforkDone>::default);
    let child = make_child(call, &request, vfork.clone())?;
    let tid = child.tid();
    if let Some(vfork) = vfork {
        task.block_until_doomed(&vfork.queue, || vfork.done.load(Ordering::SeqCst).then_some(()));
    }
    Ok(tid as u64)
}

/// RLIMIT_NPROC, from which capabilities exempt.
fn check_count(task: &Task) -> Result<()> {
    let credentials = task.credentials();
    if credentials.uid == 0 || credentials.capable(CAP_SYS_RESOURCE) || credentials.capable(CAP_SYS_ADMIN) {
        return Ok(());
    }
    let limit = task.process.limit(RLIMIT_NPROC);
    if limit == u64::MAX {
        return Ok(());
    }
    let table = task.process.container.pids.table();
    let count = table.tasks.values().filter(|other| other.credentials().uid == credentials.uid).count();
    if count as u64 >= limit { Err(Errno::AGAIN) } else { Ok(()) }
}

fn make_child(call: &mut Call<'_>, request: &Request, vfork: Option<Arc<VforkDone>>) -> Result<Arc<Task>> {
    let (memory, mut context) = child_memory(call, request)?;
    let tid = call.task.process.container.pids.table().allocate()?;
    let result = prepare(call, request, tid, &memory, vfork).and_then(|child| {
        let registers = child_registers(call.registers, request);
        write_tids(call, &mut context, request, tid)?;
        Ok((child, registers))
    });
    let (child, registers) = match result {
        Ok(ready) => ready,
        Err(error) => {
            call.task.process.container.pids.table().release(tid);
            discard(call, request, &memory, context);
            return Err(error);
        }
    };
    register(call.task, &child, request);
    if let Err(error) = run::start(child.clone(), context, registers, || ()) {
        unregister(&child);
        return Err(error);
    }
    if child.process.signals.lock().exit.is_some() {
        child.doom();
    }
    Ok(child)
}

fn child_memory(call: &mut Call<'_>, request: &Request) -> Result<(Arc<Memory>, Context)> {
    let memory = call.task.memory();
    if request.flags.contains(Flags::VM) {
        return Ok((memory, call.context.thread()?));
    }
    memory.fork(call.context)
}

fn discard(call: &Call<'_>, request: &Request, memory: &Memory, context: Context) {
    context.exit();
    if !request.flags.contains(Flags::VM) && call.task.memory().space.pid() != memory.space.pid() {
        memory.space.kill();
    }
}

fn child_registers(parent: &Registers, request: &Request) -> Registers {
    let mut registers = Registers { rax: 0, ..*parent };
    if request.stack != 0 {
        registers.rsp = request.stack;
    }
    if request.flags.contains(Flags::SETTLS) {
        registers.fs_base = request.tls;
    }
    registers
}

/// Stores the ids where the parent and the child look for them, and makes the pidfd.
fn write_tids(call: &mut Call<'_>, child: &mut Context, request: &Request, tid: i32) -> Result<()> {
    if request.flags.contains(Flags::PARENT_SETTID) {
        call.write_value(request.parent_tid, &tid)?;
    }
    if request.flags.contains(Flags::CHILD_SETTID) {
        // The child of Linux stores it itself, and a bad address is its own fault.
        let _ = child.write(request.child_tid, &tid.to_le_bytes());
    }
    Ok(())
}

fn prepare(call: &mut Call<'_>, request: &Request, tid: i32, memory: &Arc<Memory>, vfork: Option<Arc<VforkDone>>) -> Result<Arc<Task>> {
    let parent = call.task;
    let flags = request.flags;
    if flags.contains(Flags::SIGHAND) {
        parent.share_actions();
    }
    let process = if flags.contains(Flags::THREAD) { parent.process.clone() } else { child_process(parent, request, tid, memory, vfork) };
    let files = parent.files();
    let fs = parent.fs();
    let child = Task::new(NewTask {
        tid,
        process,
        credentials: parent.credentials(),
        files: if flags.contains(Flags::FILES) { files } else { Arc::new(files.copy()) },
        fs: if flags.contains(Flags::FS) { fs } else { Arc::new(fs.copy()) },
        name: lock(&parent.name).clone(),
        own: child_own(parent, request),
    });
    child.seccomp.set(parent.seccomp.mode());
    if flags.contains(Flags::SYSVSEM) {
        *lock(&child.semaphore_undo) = Some(undo_list(parent));
    }
    inherit_signals(parent, &child, flags);
    if flags.contains(Flags::PIDFD) {
        let file = OpenFile::anonymous(Arc::new(PidFile::of(&child.process)), libc::O_RDWR as u32);
        let fd = parent.files().install(file, 0, true, parent.process.limit(libc::RLIMIT_NOFILE))?;
        if let Err(error) = call.write_value(request.pidfd, &fd) {
            let _ = parent.files().close(fd);
            return Err(error);
        }
    }
    Ok(child)
}

fn child_own(parent: &Task, request: &Request) -> Own {
    let own = lock(&parent.own);
    let cleared = request.flags.contains(Flags::CHILD_CLEARTID);
    Own {
        clear_tid: if cleared { request.child_tid } else { 0 },
        maker: parent.tid(),
        timer_slack: own.timer_slack,
        scheduling: inherit_scheduling(&own.scheduling),
        ..Own::default()
    }
}

/// SCHED_RESET_ON_FORK gives the child the usual policy.
fn inherit_scheduling(parent: &Scheduling) -> Scheduling {
    if !parent.reset_on_fork {
        return parent.clone();
    }
    Scheduling { policy: 0, priority: 0, nice: parent.nice.max(0), reset_on_fork: false, ..parent.clone() }
}

fn inherit_signals(parent: &Task, child: &Task, flags: Flags) {
    let own = parent.signals.lock();
    let mut new = child.signals.lock();
    new.blocked = own.saved.unwrap_or(own.blocked);
    // Its alternate stack is of no use to a thread that runs beside it.
    if !flags.contains(Flags::VM) || flags.contains(Flags::VFORK) {
        new.stack = own.stack;
    }
    debug_assert!(new.stack.flags & !(SS_AUTODISARM | 3) == 0);
}

fn child_process(parent: &Task, request: &Request, tid: i32, memory: &Arc<Memory>, vfork: Option<Arc<VforkDone>>) -> Arc<Process> {
    let flags = request.flags;
    let process = &parent.process;
    parent.settle_actions();
    let actions = process.signals.actions();
    let actions = if flags.contains(Flags::SIGHAND) {
        actions
    } else {
        let mut copy = *lock(&actions);
        if flags.contains(Flags::CLEAR_SIGHAND) {
            copy.reset_handlers();
        }
        Arc::new(Mutex::new(copy))
    };
    Process::new(NewProcess {
        pid: tid,
        container: process.container.clone(),
        kernel: process.kernel.clone(),
        memory: memory.clone(),
        actions,
        limits: *lock(&process.limits),
        details: lock(&process.details).for_child(process.kernel.now()),
        vfork,
    })
}

/// Makes the child known.
fn register(parent: &Task, child: &Arc<Task>, request: &Request) {
    let mut table = parent.process.container.pids.table();
    if !request.flags.contains(Flags::THREAD) {
        let me = table.family.get(parent.process.pid);
        let (mut of, group, session) = me.map_or((0, child.tid(), child.tid()), |me| (parent.process.pid, me.group, me.session));
        let mut exit_signal = request.exit_signal;
        if let Some(me) = me.filter(|_| request.flags.contains(Flags::PARENT)) {
            (of, exit_signal) = (me.parent, me.exit_signal);
        }
        table.add_process(&child.process, Member::new(of, group, session, exit_signal));
    }
    table.add_task(child);
    drop(table);
    let limit = lock(&child.process.limits).get(libc::RLIMIT_CPU as usize).copied();
    if let Some(limit) = limit.filter(|limit| !request.flags.contains(Flags::THREAD) && limit.soft != u64::MAX) {
        // It fails only if the host gives us no thread for timers.
        let _ = child.process.timers.limit(&child.process, limit);
    }
}

fn unregister(child: &Arc<Task>) {
    let mut table = child.process.container.pids.table();
    table.tasks.remove(&child.tid());
    lock(&child.process.threads).retain(|other| !Arc::ptr_eq(other, child));
    if child.process.has_ended() {
        table.reap(child.process.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flags: Flags) -> Result<()> {
        Request::plain(flags).check()
    }

    #[test]
    fn flags_that_do_not_go_together_are_refused() {
        assert_eq!(check(Flags::THREAD | Flags::VM), Err(Errno::INVAL));
        assert_eq!(check(Flags::SIGHAND), Err(Errno::INVAL));
        assert_eq!(check(Flags::NEWNS | Flags::FS), Err(Errno::INVAL));
        assert_eq!(check(Flags::NEWUSER), Err(Errno::PERM));
        assert_eq!(check(Flags::VM | Flags::SIGHAND | Flags::THREAD | Flags::SYSVSEM), Ok(()));
    }

    #[test]
    fn clone3_refuses_what_its_manual_says() {
        let refused = |args: CloneArgs| from_clone_args(&args).err();
        assert_eq!(refused(CloneArgs::default()), None);
        assert_eq!(refused(CloneArgs { exit_signal: 65, ..CloneArgs::default() }), Some(Errno::INVAL));
        assert_eq!(refused(CloneArgs { stack: 4096, ..CloneArgs::default() }), Some(Errno::INVAL));
        assert_eq!(refused(CloneArgs { flags: 1 << 60, ..CloneArgs::default() }), Some(Errno::INVAL));
        assert_eq!(refused(CloneArgs { flags: Flags::THREAD.bits(), exit_signal: 17, ..CloneArgs::default() }), Some(Errno::INVAL));
        let request = from_clone_args(&CloneArgs { stack: 0x1000, stack_size: 0x2000, ..CloneArgs::default() });
        assert_eq!(request.map(|request| request.stack), Ok(0x3000));
    }

    #[test]
    fn a_child_continues_behind_the_call_with_zero() {
        let parent = Registers { rax: 56, rip: 7, rsp: 9, fs_base: 1, ..Registers::default() };
        let request = Request { stack: 0x100, tls: 5, ..Request::plain(Flags::SETTLS) };
        assert_eq!(child_registers(&parent, &request), Registers { rax: 0, rsp: 0x100, fs_base: 5, ..parent });
    }

    #[test]
    fn real_time_threads_may_have_plain_children() {
        let parent = Scheduling { policy: 1, priority: 9, nice: -5, reset_on_fork: true, ..Scheduling::default() };
        assert_eq!(inherit_scheduling(&parent), Scheduling::default());
    }
}
