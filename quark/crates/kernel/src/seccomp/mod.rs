//! Filters that guests set on their own system calls (`man 2 seccomp`). They are judged here, before our kernel looks at the call.

mod calls;
mod program;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

pub use calls::{CALLS, set_by_prctl};
pub use program::{Data, Instruction, LENGTH_MAX, Program};

use crate::task::lock;

/// What the filters of one thread may have instructions together, each filter costing four more (MAX_INSNS_PER_PATH).
const PATH_MAX: usize = 32_768;
const FILTER_COST: usize = 4;
/// AUDIT_ARCH_X86_64.
pub const ARCHITECTURE: u32 = 0xc000_003e;
/// SECCOMP_RET_ACTION_FULL.
const ACTION: u32 = 0xffff_0000;
/// MAX_ERRNO.
const ERRNO_MAX: u32 = 4095;

/// What a thread may call.
#[derive(Clone, Debug, Default)]
pub enum Mode {
    /// Everything.
    #[default]
    Disabled,
    /// `read`, `write`, `exit`, `rt_sigreturn`.
    Strict,
    /// What the filters say.
    Filter(Arc<Filter>),
}

/// The newest filter of a thread, and those before it.
#[derive(Debug)]
pub struct Filter {
    program: Program,
    before: Option<Arc<Filter>>,
    cost: usize,
    count: usize,
}

/// What is done with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Allow,
    /// It is not made and answers an errno; 0 is success.
    Errno(u32),
    /// It is not made: SIGSYS with these 16 bits.
    Trap(u32),
    /// It is not made: ENOSYS, as nobody traces.
    NotTraced,
    /// The thread ends.
    KillThread,
    /// The process ends.
    KillProcess,
    /// The thread ends by SIGKILL: strict mode.
    Strict,
}

/// The mode of one thread; costs a look at a flag while there is none.
#[derive(Debug, Default)]
pub struct Seccomp {
    on: AtomicBool,
    mode: Mutex<Mode>,
}

impl Seccomp {
    /// What it is now.
    pub fn mode(&self) -> Mode {
        lock(&self.mode).clone()
    }

    /// Changes it.
    pub fn set(&self, mode: Mode) {
        let on = !matches!(mode, Mode::Disabled);
        *lock(&self.mode) = mode;
        self.on.store(on, Ordering::Release);
    }

    /// Whether calls are judged at all.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Judges a call.
    pub fn judge(&self, number: u32, instruction_pointer: u64, args: [u64; 6]) -> Verdict {
        if !self.is_on() {
            return Verdict::Allow;
        }
        match self.mode() {
            Mode::Disabled => Verdict::Allow,
            Mode::Strict => strict(i64::from(number)),
            Mode::Filter(filter) => filter.judge(&Data { number: number as i32, architecture: ARCHITECTURE, instruction_pointer, args }),
        }
    }

    /// The mode's number and how many filters there are, as `/proc/PID/status` tells.
    pub fn state(&self) -> (u32, usize) {
        match &*lock(&self.mode) {
            Mode::Disabled => (libc::SECCOMP_MODE_DISABLED, 0),
            Mode::Strict => (libc::SECCOMP_MODE_STRICT, 0),
            Mode::Filter(filter) => (libc::SECCOMP_MODE_FILTER, filter.count),
        }
    }
}

fn strict(number: i64) -> Verdict {
    match number {
        libc::SYS_read | libc::SYS_write | libc::SYS_exit | libc::SYS_rt_sigreturn => Verdict::Allow,
        _ => Verdict::Strict,
    }
}

impl Filter {
    /// Puts a filter before those that are there; none if they are too long together.
    pub fn add(program: Program, before: Option<Arc<Filter>>) -> Option<Arc<Filter>> {
        let length = program.length() + FILTER_COST;
        let (cost, count) = before.as_ref().map_or((0, 0), |filter| (filter.cost, filter.count));
        (cost + length <= PATH_MAX).then(|| Arc::new(Filter { program, before, cost: cost + length, count: count + 1 }))
    }

    /// Whether `other` is this filter or one of those before it.
    pub fn descends_from(self: &Arc<Filter>, other: &Arc<Filter>) -> bool {
        self.all().any(|filter| std::ptr::eq(filter, other.as_ref()))
    }

    fn all(&self) -> impl Iterator<Item = &Filter> {
        std::iter::successors(Some(self), |filter| filter.before.as_deref())
    }

    /// All filters run, and the strictest answer counts: the lowest as a signed number, of equals the newest filter's.
    fn judge(&self, data: &Data) -> Verdict {
        let answers = self.all().map(|filter| filter.program.run(data));
        let strictest = answers.min_by_key(|answer| (answer & ACTION) as i32).unwrap_or(libc::SECCOMP_RET_ALLOW);
        verdict(strictest)
    }
}

fn verdict(answer: u32) -> Verdict {
    let data = answer & !ACTION;
    match answer & ACTION {
        libc::SECCOMP_RET_ALLOW | libc::SECCOMP_RET_LOG => Verdict::Allow,
        libc::SECCOMP_RET_TRACE | libc::SECCOMP_RET_USER_NOTIF => Verdict::NotTraced,
        libc::SECCOMP_RET_ERRNO => Verdict::Errno(data.min(ERRNO_MAX)),
        libc::SECCOMP_RET_TRAP => Verdict::Trap(data),
        libc::SECCOMP_RET_KILL_THREAD => Verdict::KillThread,
        // KILL_PROCESS, and what nobody knows.
        _ => Verdict::KillProcess,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn always(answer: u32) -> Program {
        Program::check(vec![Instruction { code: 0x06, if_true: 0, if_false: 0, k: answer }]).unwrap()
    }

    fn judged(answers: &[u32]) -> Verdict {
        let filter = answers.iter().fold(None, |before, answer| Some(Filter::add(always(*answer), before).unwrap()));
        filter.unwrap().judge(&Data::default())
    }

    #[test]
    fn the_strictest_answer_counts() {
        let (allow, errno) = (libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_ERRNO);
        assert_eq!(judged(&[allow]), Verdict::Allow);
        assert_eq!(judged(&[errno | 5, allow]), Verdict::Errno(5));
        assert_eq!(judged(&[allow, errno | 5, libc::SECCOMP_RET_TRAP | 3]), Verdict::Trap(3));
        assert_eq!(judged(&[libc::SECCOMP_RET_KILL_PROCESS, libc::SECCOMP_RET_KILL_THREAD]), Verdict::KillProcess);
        assert_eq!(judged(&[errno | 5, errno | 7]), Verdict::Errno(7));
        assert_eq!(judged(&[0x1234_0000]), Verdict::KillProcess);
    }

    #[test]
    fn filters_have_a_length_together() {
        let long = || Program::check(vec![Instruction { code: 0x06, if_true: 0, if_false: 0, k: 0 }; LENGTH_MAX]).unwrap();
        let mut newest = None;
        for _ in 0..7 {
            newest = Some(Filter::add(long(), newest).unwrap());
        }
        assert!(Filter::add(long(), newest).is_none());
    }

    #[test]
    fn strict_mode_leaves_four_calls() {
        let seccomp = Seccomp::default();
        assert_eq!(seccomp.judge(39, 0, [0; 6]), Verdict::Allow);
        seccomp.set(Mode::Strict);
        assert_eq!(seccomp.judge(libc::SYS_read as u32, 0, [0; 6]), Verdict::Allow);
        assert_eq!(seccomp.judge(libc::SYS_getpid as u32, 0, [0; 6]), Verdict::Strict);
    }
}
