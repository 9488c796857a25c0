//! The thread that all stub processes are children of: it starts the first one, waits for their ends, and tells.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::StubExit;
use super::birth::{Cradle, last_error};
use super::nursery::Stock;
use super::process::{Process, Seat, lock};

type Ended = Box<dyn Fn(StubExit) + Send + Sync>;
type First = (Arc<Process>, Arc<Seat>);

/// All stub processes.
pub(super) struct Family {
    processes: Mutex<HashMap<i32, Arc<Process>>>,
    ended: Ended,
    pub(super) stock: Arc<Stock>,
}

impl Family {
    /// Adds `process` if `verify` says so while no child can be reaped.
    pub(super) fn register(&self, process: &Arc<Process>, verify: impl FnOnce(&Process) -> bool) -> bool {
        let mut processes = lock(&self.processes);
        if processes.contains_key(&process.pid()) || !verify(process) {
            return false;
        }
        processes.insert(process.pid(), process.clone());
        true
    }

    /// Takes the status of the child `pid`, which has ended.
    fn reap(&self, pid: i32) -> Option<Arc<Process>> {
        let mut processes = lock(&self.processes);
        let process = processes.remove(&pid);
        if let Some(process) = &process {
            process.bury();
        }
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: writes to `info`.
        unsafe { libc::waitid(libc::P_PID, pid as libc::id_t, info.as_mut_ptr(), libc::WEXITED | libc::__WALL) };
        process
    }
}

/// Starts the reaper, and the first stub process.
pub(super) fn start(ended: Ended) -> Result<(Arc<Family>, First), Errno> {
    let family = Arc::new(Family { processes: Mutex::new(HashMap::new()), ended, stock: Arc::default() });
    let (tell, told) = channel();
    let reaper = family.clone();
    std::thread::Builder::new().name("reaper".into()).spawn(move || run(&reaper, &tell)).map_err(|_| Errno::AGAIN)?;
    super::patience::prepare();
    let pid_and_cradle = told.recv().map_err(|_| Errno::IO)?;
    let (pid, cradle) = pid_and_cradle?;
    let first = cradle.adopt(pid, None, &family)?;
    Ok((family, first))
}

/// The host ends stubs with the *thread* that started the first one, which is why this one does.
fn run(family: &Family, tell: &Sender<Result<(i32, Cradle), Errno>>) {
    let spawned = Cradle::new().and_then(|cradle| Ok((cradle.spawn()?, cradle)));
    let failed = spawned.is_err();
    if tell.send(spawned).is_err() || failed {
        return;
    }
    while let Some(exit) = wait() {
        if let Some(process) = family.reap(exit.pid) {
            process.dismiss();
            (family.ended)(exit);
        }
    }
}

/// Waits for any child of this thread to end, without taking its status; none if there are no children left.
fn wait() -> Option<StubExit> {
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let options = libc::WEXITED | libc::WNOWAIT | libc::__WALL | libc::__WNOTHREAD;
        // SAFETY: writes to `info`.
        if unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) } == 0 {
            // SAFETY: the call succeeded.
            let (info, pid, status) = unsafe { (info.assume_init(), info.assume_init().si_pid(), info.assume_init().si_status()) };
            return Some(StubExit { pid, status: wait_status(info.si_code, status) });
        }
        if last_error() != Errno::INTR {
            return None;
        }
    }
}

/// As of `wait4(2)`, from `si_code` and `si_status`.
fn wait_status(code: i32, status: i32) -> i32 {
    match code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status & 0x7f | 0x80,
        _ => status & 0x7f,
    }
}
