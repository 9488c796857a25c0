//! The thread that all stub processes are children of: it starts the first one, waits for their ends, and tells.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::StubExit;
use super::api::Context;
use super::birth::{Cradle, last_error};
use super::nursery::Stock;
use super::process::{Process, lock};

type Ended = Box<dyn Fn(StubExit) + Send + Sync>;

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

/// What the reaper makes before it reaps.
pub(super) struct First {
    /// The first stub's.
    pub(super) context: Context,
    /// Where its vDSO is.
    pub(super) vdso: u64,
    /// A copy of it: whoever starts a platform runs something soon.
    pub(super) blank: Context,
}

/// Where it says that it has, or why not.
pub(super) type Coming = Receiver<Result<First, Errno>>;

/// Starts the reaper.
pub(super) fn start(ended: Ended) -> Result<(Arc<Family>, Coming), Errno> {
    let family = Arc::new(Family { processes: Mutex::new(HashMap::new()), ended, stock: Arc::default() });
    let (tell, told) = channel();
    let reaper = family.clone();
    std::thread::Builder::new().name("reaper".into()).spawn(move || run(&reaper, &tell)).map_err(|_| Errno::AGAIN)?;
    super::patience::prepare();
    Ok((family, told))
}

fn bear(family: &Arc<Family>) -> Result<First, Errno> {
    let cradle = Cradle::new()?;
    let pid = cradle.spawn()?;
    // The host starts the stub's program meanwhile.
    let next = Cradle::new()?;
    let (process, seat) = cradle.adopt(pid, None, family)?;
    let vdso = process.slot(&seat).operand.load(Relaxed);
    let mut context = Context::new(process, seat, family.clone());
    let blank = context.fork_with(next)?;
    Ok(First { context, vdso, blank })
}

/// The host ends stubs with the *thread* that started the first one, which is why this one does.
fn run(family: &Arc<Family>, tell: &Sender<Result<First, Errno>>) {
    let first = bear(family);
    let failed = first.is_err();
    if tell.send(first).is_err() || failed {
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
