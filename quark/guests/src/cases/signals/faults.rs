//! Signals of faults.

use super::COUNT;
use crate::support::{block, handle, in_child, signal_name};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

pub const CASES: &[Case] =
    &[case!(stack_overflow), case!(faults), case!(fault_blocked), case!(fault_handled_and_mended), case!(divide_and_traps)];

extern "C" fn leave(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel's; ends the process.
    unsafe { _exit(40 + (*info).si_code) }
}

#[allow(unconditional_recursion)]
fn endless(depth: u64) -> u64 {
    let block = std::hint::black_box([depth; 64]);
    block[3] + endless(depth + 1) + block[5]
}

fn stack_overflow(t: &Trace) {
    t.show(
        "default",
        in_child(|| {
            // SAFETY: the default action.
            unsafe { libc::signal(SIGSEGV, SIG_DFL) };
            std::hint::black_box(endless(0));
        }),
    );
    let memory = vec![0u8; 65_536];
    let stack = stack_t { ss_sp: memory.as_ptr() as *mut _, ss_flags: 0, ss_size: 65_536 };
    t.show(
        "on another stack",
        in_child(|| {
            sys!(SYS_sigaltstack, &raw const stack, 0);
            handle(SIGSEGV, SA_ONSTACK, leave);
            std::hint::black_box(endless(0));
        }),
    );
}

static ADDRESS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn report_fault(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel's.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    let right = address == ADDRESS.load(SeqCst);
    Trace.show("fault", format!("{} code {code} address is right: {right}", signal_name(signal)));
    // SAFETY: ends the process.
    unsafe { _exit(0) }
}

fn faults(t: &Trace) {
    for signal in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP] {
        handle(signal, 0, report_fault);
    }
    let touch = |address: usize, write: bool| {
        ADDRESS.store(address, SeqCst);
        in_child(|| {
            // SAFETY: a fault is what the case is about.
            unsafe {
                if write { std::ptr::write_volatile(address as *mut u8, 1) } else { _ = std::ptr::read_volatile(address as *const u8) }
            }
        })
    };
    t.show("unmapped read", touch(0x1000, false));
    t.show("unmapped write", touch(0x1008, true));
    let page = sys!(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) as usize;
    t.show("write of read-only", touch(page + 12, true));
    sys!(SYS_mprotect, page, 4096, PROT_NONE);
    t.show("read of nothing", touch(page + 100, false));
    ADDRESS.store(0, SeqCst);
    t.show(
        "not canonical",
        in_child(|| {
            // SAFETY: a fault is what the case is about.
            _ = unsafe { std::ptr::read_volatile((1u64 << 60) as *const u8) }
        }),
    );
    t.show("kernel's", touch(0xffff_ffff_8000_0000, false));
    let fd = crate::support::file(c"a", b"abc");
    let map = sys!(SYS_mmap, 0, 8192, PROT_READ, MAP_SHARED, fd, 0) as usize;
    t.show("behind a file", touch(map + 4096, false));
}

fn fault_blocked(t: &Trace) {
    handle(SIGSEGV, 0, report_fault);
    t.show(
        "blocked",
        in_child(|| {
            block(&[SIGSEGV]);
            // SAFETY: a fault is what the case is about.
            _ = unsafe { std::ptr::read_volatile(8 as *const u8) }
        }),
    );
    t.show(
        "ignored",
        in_child(|| {
            // SAFETY: ignores a signal; a fault is what the case is about.
            unsafe {
                libc::signal(SIGSEGV, SIG_IGN);
                std::ptr::read_volatile(8 as *const u8);
            }
        }),
    );
}

extern "C" fn mend(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    COUNT.fetch_add(1, SeqCst);
    // SAFETY: the page of the fault is the case's own.
    let page = unsafe { (*info).si_addr() as usize } & !4095;
    sys!(SYS_mprotect, page, 4096, PROT_READ | PROT_WRITE);
}

fn fault_handled_and_mended(t: &Trace) {
    handle(SIGSEGV, 0, mend);
    let at = sys!(SYS_mmap, 0, 16 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) as usize;
    for page in 0..16 {
        // SAFETY: the handler makes it writable.
        unsafe { std::ptr::write_volatile((at + page * 4096 + 8) as *mut u64, page as u64) };
    }
    t.show("faults", COUNT.load(SeqCst));
    // SAFETY: is readable now.
    t.show("last", unsafe { std::ptr::read_volatile((at + 15 * 4096 + 8) as *const u64) });
}

extern "C" fn code_only(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel's; ends the process.
    unsafe {
        Trace.show("trap", format!("{} code {}", signal_name(signal), (*info).si_code));
        _exit(0)
    }
}

fn divide_and_traps(t: &Trace) {
    use std::arch::asm;
    for signal in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP] {
        handle(signal, 0, code_only);
    }
    // SAFETY, for all: a trap is what the case is about.
    t.show(
        "divide",
        in_child(|| unsafe { asm!("xor ecx, ecx", "mov eax, 1", "cdq", "idiv ecx", out("eax") _, out("ecx") _, out("edx") _) }),
    );
    t.show("ud2", in_child(|| unsafe { asm!("ud2") }));
    t.show("int3", in_child(|| unsafe { asm!("int3") }));
    t.show("hlt", in_child(|| unsafe { asm!("hlt") }));
    t.show("int 0x55", in_child(|| unsafe { asm!("int 0x55") }));
    t.show("single step", in_child(|| unsafe { asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop") }));
    t.show(
        "default ud2",
        in_child(|| unsafe {
            libc::signal(SIGILL, SIG_DFL);
            asm!("ud2")
        }),
    );
}
