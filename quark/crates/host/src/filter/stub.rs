//! The filter of stub processes. It is the wall: what it lets pass, a hostile guest may call with all arguments that it lets pass.
//!
//! Calls from outside of the stub's text trap, which is how guests make system calls. From the text some pass, and others kill the process:
//! the stub itself makes no others, so the guest has jumped there.

use std::ops::Range;

use super::assemble::{self, Condition, Instruction, Rule, assemble, compare, load, ret, unless_equal};
use crate::platform::limits;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const TRAP: u32 = libc::SECCOMP_RET_TRAP;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
/// Numbers of the x32 ABI have this bit.
const X32: u32 = 0x4000_0000;

/// CLONE_PARENT | CLONE_CHILD_CLEARTID | SIGCHLD: a process that is K's child.
const CLONE_PROCESS: i32 = libc::CLONE_PARENT | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
/// A thread of the same process.
const CLONE_THREAD: i32 = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_CHILD_CLEARTID;

fn rules() -> Vec<Rule> {
    use Condition::{Equal, Masked, Within};
    let mut rules = vec![Rule::any(libc::SYS_rt_sigreturn), Rule::when(libc::SYS_mmap, &[Within(3, limits::MAP_FLAGS as u64)])];
    let kind = !(limits::FUTEX_FLAGS as u32);
    rules.extend(limits::FUTEXES.iter().map(|futex| Rule::when(libc::SYS_futex, &[Masked(1, kind, *futex as u32)])));
    rules.push(Rule::when(libc::SYS_futex_waitv, &[Masked(2, u32::MAX, 0)]));
    let free = [libc::SYS_munmap, libc::SYS_mprotect, libc::SYS_msync, libc::SYS_recvmsg, libc::SYS_close, libc::SYS_dup2];
    rules.extend(free.map(Rule::any));
    rules.push(Rule::when(libc::SYS_mremap, &[Within(3, limits::REMAP_FLAGS as u64)]));
    rules.extend([CLONE_PROCESS, CLONE_THREAD].map(|flags| Rule::when(libc::SYS_clone, &[Equal(0, flags as u64)])));
    rules.push(Rule::when(libc::SYS_prctl, &[Equal(0, libc::PR_SET_PDEATHSIG as u64), Equal(1, libc::SIGKILL as u64)]));
    // ARCH_SET_GS, SET_FS, GET_FS, GET_GS.
    rules.extend([0x1001, 0x1002, 0x1003, 0x1004].map(|code| Rule::when(libc::SYS_arch_prctl, &[Equal(0, code)])));
    let own = [libc::SYS_getppid, libc::SYS_gettid, libc::SYS_sigaltstack, libc::SYS_rt_sigprocmask];
    rules.extend(own.map(Rule::any));
    rules.extend([libc::SYS_exit, libc::SYS_exit_group, libc::SYS_sched_yield].map(Rule::any));
    rules.extend(limits::ADVICE.iter().map(|advice| Rule::when(libc::SYS_madvise, &[Masked(2, u32::MAX, *advice as u32)])));
    rules.extend(limits::BARRIERS.iter().map(|command| Rule::when(libc::SYS_membarrier, &[Masked(0, u32::MAX, *command as u32)])));
    rules
}

/// The filter of a stub whose text is at `text`, which lies within 4 GiB of one value of the upper half.
pub(crate) fn stub_filter(text: Range<u64>) -> Vec<Instruction> {
    let mut filter = vec![
        load(assemble::ARCHITECTURE),
        unless_equal(AUDIT_ARCH_X86_64, 4),
        load(assemble::POINTER_HIGH),
        unless_equal((text.start >> 32) as u32, 2),
        load(assemble::POINTER_LOW),
        compare(text.start as u32, 1, 0),
        ret(TRAP),
        // Calls are counted by the address behind them, which may be the text's end.
        compare(text.end as u32 + 1, 0, 1),
        ret(TRAP),
        load(assemble::NUMBER),
        compare(X32, 0, 1),
        ret(TRAP),
    ];
    filter.extend(assemble(&rules(), ALLOW, KILL));
    filter
}

#[cfg(test)]
mod tests {
    use super::super::interpret::{HostCallData, run};
    use super::*;

    const TEXT: Range<u64> = 0x7fff_0000_0000..0x7fff_0000_2000;

    fn verdict(number: i64, arguments: [u64; 6], pointer: u64) -> u32 {
        let data = HostCallData { number: number as u32, architecture: AUDIT_ARCH_X86_64, pointer, arguments };
        run(&stub_filter(TEXT), &data)
    }

    fn from_text(number: i64, arguments: [u64; 6]) -> u32 {
        verdict(number, arguments, TEXT.start + 0x100)
    }

    #[test]
    fn traps_calls_from_outside_of_the_text() {
        for pointer in [0, 0x40_0000, TEXT.start - 1, TEXT.end + 1, TEXT.start + (1 << 32), TEXT.start - (1 << 32), u64::MAX] {
            for number in [libc::SYS_mmap, libc::SYS_exit, libc::SYS_openat] {
                assert_eq!(verdict(number, [0; 6], pointer), TRAP, "{number} at {pointer:#x}");
            }
        }
    }

    #[test]
    fn traps_other_architectures_and_x32_from_anywhere() {
        let foreign = HostCallData { number: 9, architecture: 0x4000_0003, pointer: TEXT.start + 2, arguments: [0; 6] };
        assert_eq!(run(&stub_filter(TEXT), &foreign), TRAP);
        assert_eq!(from_text(X32 as i64 | libc::SYS_mmap, [0; 6]), TRAP);
    }

    #[test]
    fn kills_all_numbers_that_have_no_rule() {
        let allowed: Vec<u32> = rules().iter().map(|rule| rule.number).collect();
        for number in (0..700).filter(|number| !allowed.contains(number)) {
            assert_eq!(from_text(i64::from(number), [0; 6]), KILL, "{number}");
        }
    }

    #[test]
    fn judges_arguments() {
        let private = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
        assert_eq!(from_text(libc::SYS_mmap, [0, 0, 0, private, 0, 0]), ALLOW);
        assert_eq!(from_text(libc::SYS_mmap, [0, 0, 0, private | libc::MAP_HUGETLB as u64, 0, 0]), KILL);
        assert_eq!(from_text(libc::SYS_mmap, [0, 0, 0, private | libc::MAP_LOCKED as u64, 0, 0]), KILL);
        assert_eq!(from_text(libc::SYS_mmap, [0, 0, 0, private | 1 << 40, 0, 0]), KILL);
        for operation in 0..64u64 {
            let expected = if [0, 1, 3, 4, 5, 9, 10].contains(&operation) { ALLOW } else { KILL };
            assert_eq!(from_text(libc::SYS_futex, [0, operation, 0, 0, 0, 0]), expected, "{operation}");
            assert_eq!(from_text(libc::SYS_futex, [0, operation | 128, 0, 0, 0, 0]), expected, "{operation}");
        }
        assert_eq!(from_text(libc::SYS_clone, [CLONE_PROCESS as u64, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(from_text(libc::SYS_clone, [CLONE_THREAD as u64, 0, 0, 0, 0, 0]), ALLOW);
        for bit in 0..64 {
            assert_eq!(from_text(libc::SYS_clone, [CLONE_PROCESS as u64 ^ 1 << bit, 0, 0, 0, 0, 0]), KILL, "{bit}");
            assert_eq!(from_text(libc::SYS_clone, [CLONE_THREAD as u64 ^ 1 << bit, 0, 0, 0, 0, 0]), KILL, "{bit}");
        }
        assert_eq!(from_text(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as u64, libc::SIGKILL as u64, 0, 0, 0, 0]), ALLOW);
        assert_eq!(from_text(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as u64, 0, 0, 0, 0, 0]), KILL);
        assert_eq!(from_text(libc::SYS_prctl, [libc::PR_SET_DUMPABLE as u64, libc::SIGKILL as u64, 0, 0, 0, 0]), KILL);
        assert_eq!(from_text(libc::SYS_madvise, [0, 0, libc::MADV_HWPOISON as u64, 0, 0, 0]), KILL);
        assert_eq!(from_text(libc::SYS_madvise, [0, 0, libc::MADV_DONTNEED as u64, 0, 0, 0]), ALLOW);
    }

    #[test]
    fn fits_the_host() {
        assert!(stub_filter(TEXT).len() < 4096);
    }
}
