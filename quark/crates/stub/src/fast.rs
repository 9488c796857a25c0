//! System calls that come by a jump from a patched site, not by a signal: docs/plans/quark.md, "Patched calls".
//!
//! All of it is assembly, so that the guest's vector registers stay where they are. The handler of signals knows by the address
//! of the interrupted instruction how far a call has come: before the kernel has got the turn, the guest's registers are still in
//! place, but for those that the slot has; from then on the slot has all of them.

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::shared::*;
use crate::trap::SignalContext;

unsafe extern "C" {
    static fast_entry: u8;
    static fast_saved: u8;
    static fast_foreign: u8;
    static fast_wait: u8;
    static fast_resume: u8;
    pub static fast_copy_at: u8;
    pub static fast_copy_failed: u8;
    static fast_own: u8;
    static fast_call: u8;
    static fast_called: u8;
    static fast_answered: u8;
    static fast_convert: u8;
    static fast_action: u8;
    static fast_plain: u8;
    static fast_acted: u8;
    static fast_unusual: u8;
    static fast_end: u8;
}

const _: () = assert!(COPY_WRITE == COPY_READ + 1 && READY.is_power_of_two());
// The guest's slots are told from other memory that GS may point to by the bits above these.
const SLOTS_SHIFT: u32 = 30;
const _: () = assert!(SLOTS * SLOT_BYTES == 1 << SLOTS_SHIFT && CONTROL.is_multiple_of(1 << SLOTS_SHIFT));

const fn register(index: usize) -> usize {
    offset_of!(Slot, registers) + 8 * index
}

global_asm!(
    r#"
    .section .text.fast, "ax"
    .globl fast_entry, fast_saved, fast_own, fast_call, fast_called, fast_answered, fast_foreign, fast_wait, fast_resume, fast_convert, fast_end
    .globl fast_action, fast_plain, fast_acted, fast_unusual
    .globl fast_copy_at, fast_copy_failed
fast_entry:
    rdgsbase r11
    ror r11, {slots_shift}
    cmp r11d, {slots_high}
    jne fast_foreign
    rol r11, {slots_shift}
    mov [r11 + {rax}], rax
    mov [r11 + {rsp}], rsp
fast_saved:
    // Is the answer there?
    and eax, {ready_last}
    mov rax, [r11 + {ready} + rax * 8]
    cmp eax, [r11 + {rax}]
    jne 11f
    shr rax, 32
    jz 12f
    sub eax, 1
    jmp rcx
    // A futex's call is made here, if it is of a kind that the filter lets pass.
12: cmp dword ptr [r11 + {rax}], {own}
    jne fast_action
    mov eax, esi
    and eax, {futex_kind}
    cmp eax, {futex_last_0}
    jbe 13f
    sub eax, {futex_first_1}
    cmp eax, {futex_more_1}
    jbe 13f
    sub eax, {futex_step_2}
    cmp eax, {futex_more_2}
    ja 11f
13: mov dword ptr [r11 + {event}], {event_own}
    jmp 14f
fast_hand_over:
11: mov dword ptr [r11 + {event}], {event_fast}
14: mov rsp, [r11 + {stack}]
    pushfq
    pop rax
    mov [r11 + {eflags}], rax
    mov [r11 + {r11}], rax
    rdfsbase rax
    mov [r11 + {fs}], rax
    mov qword ptr [r11 + {gs}], 0
    mov [r11 + {rdi}], rdi
    mov [r11 + {rsi}], rsi
    mov [r11 + {rdx}], rdx
    mov [r11 + {r10}], r10
    mov [r11 + {r8}], r8
    mov [r11 + {r9}], r9
    mov [r11 + {rcx}], rcx
    mov [r11 + {rip}], rcx
    mov [r11 + {rbx}], rbx
    mov [r11 + {rbp}], rbp
    mov [r11 + {r12}], r12
    mov [r11 + {r13}], r13
    mov [r11 + {r14}], r14
    mov [r11 + {r15}], r15
    cmp dword ptr [r11 + {event}], {event_own}
    je fast_own
    mov eax, {processor_segment}
    lsl eax, eax
    and eax, {processor_mask}
    mov [r11 + {stub_processor}], eax
    lock or dword ptr [r11 + {turn}], {turn_kernel}
fast_wait:
    mov r8, r11
    cmp dword ptr [r8 + {kernel_sleeps}], 0
    je 2f
    mov eax, {futex}
    lea rdi, [r8 + {turn}]
    mov esi, 1
    mov edx, 1
    syscall
2:  mov r9d, [r8 + {spins}]
    mov eax, [r8 + {stub_processor}]
    cmp eax, [r8 + {kernel_processor}]
    je 4f
3:  cmp dword ptr [r8 + {turn}], {turn_kernel}
    jne fast_resume
    mov eax, [r8 + {copy}]
    sub eax, {copy_read}
    cmp eax, 1
    jbe 7f
    sub r9d, 1
    jb 4f
    pause
    jmp 3b
    // The kernel wants guest memory read or written.
7:  add eax, {copy_read}
    mov edx, {copy_busy}
    lock cmpxchg [r8 + {copy}], edx
    jne 3b
    mov rsi, [r8 + {copy_address}]
    lea rdi, [r8 + {window}]
    mov ecx, [r8 + {copy_length}]
    cmp eax, {copy_read}
    je 8f
    xchg rsi, rdi
8:  cld
    mov edx, {copy_done}
fast_copy_at:
    rep movsb
9:  mov [r8 + {copy}], edx
    jmp 2b
fast_copy_failed:
    mov edx, {copy_fault}
    jmp 9b
4:  mov eax, 1
    xchg [r8 + {stub_sleeps}], eax
5:  cmp dword ptr [r8 + {turn}], {turn_kernel}
    jne 6f
    mov eax, {futex}
    lea rdi, [r8 + {turn}]
    xor esi, esi
    mov edx, {turn_kernel}
    xor r10d, r10d
    syscall
    jmp 5b
6:  mov dword ptr [r8 + {stub_sleeps}], 0
fast_resume:
    cmp dword ptr [r8 + {command}], {command_return}
    jne fast_convert
    cmp dword ptr [r8 + {interrupted}], 0
    jne fast_convert
    mov rax, [r8 + {rax}]
    mov rcx, [r8 + {rip}]
    mov r11, [r8 + {r11}]
    mov rdi, [r8 + {rdi}]
    mov rsi, [r8 + {rsi}]
    mov rdx, [r8 + {rdx}]
    mov r10, [r8 + {r10}]
    mov r9, [r8 + {r9}]
    mov rsp, [r8 + {rsp}]
    test dword ptr [r8 + {eflags}], {direction}
    jz 10f
    std
10: mov r8, [r8 + {r8}]
    jmp rcx
fast_own:
    mov rbx, r11
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov [rbx + {since}], rax
    mov rdx, [rbx + {rdx}]
    mov eax, {own}
    // All the guest's registers are in the slot, which is at RBX; the call's are in place. So it starts, too, at the kernel's command.
fast_call:
    mov dword ptr [rbx + {waits}], 1
    syscall
fast_called:
    mov [rbx + {rax}], rax
fast_answered:
    mov dword ptr [rbx + {waits}], 0
    mov rcx, [rbx + {rip}]
    mov r11, [rbx + {r11}]
    mov rdi, [rbx + {rdi}]
    mov rsi, [rbx + {rsi}]
    mov rdx, [rbx + {rdx}]
    mov r10, [rbx + {r10}]
    mov r8, [rbx + {r8}]
    mov r9, [rbx + {r9}]
    mov rsp, [rbx + {stack}]
    push qword ptr [rbx + {eflags}]
    popfq
    mov rsp, [rbx + {rsp}]
    mov rbx, [rbx + {rbx}]
    jmp rcx
fast_convert:
    ud2
fast_foreign:
    ud2
    // rt_sigaction: of a plain signal, to no action but the plain one with the restorer. Until fast_acted nothing has come of it, and the kernel may
    // do all of it: if memory is not there, too. R10 is 8 where it is in use, and R11 the slot.
fast_action:
    cmp dword ptr [r11 + {rax}], {action}
    jne fast_hand_over
    cmp r10, 8
    jne fast_hand_over
fast_plain:
    lea r10d, [rdi - 1]
    cmp r10d, 63
    ja fast_unusual
    mov rax, [r11 + {plain}]
    bt rax, r10
    jnc fast_unusual
    test rsi, rsi
    jz 16f
    mov rax, [r11 + {restorer}]
    cmp qword ptr [rsi], 0
    jne fast_unusual
    cmp qword ptr [rsi + 8], {restorer_flag}
    jne fast_unusual
    cmp [rsi + 16], rax
    jne fast_unusual
    cmp qword ptr [rsi + 24], 0
    jne fast_unusual
16: test rdx, rdx
    jz 18f
    mov rax, [r11 + {restored}]
    bt rax, r10
    jc 17f
    xor eax, eax
    mov [rdx + 8], rax
    mov [rdx + 16], rax
    jmp 19f
17: mov rax, [r11 + {restorer}]
    mov [rdx + 16], rax
    mov qword ptr [rdx + 8], {restorer_flag}
    xor eax, eax
19: mov [rdx], rax
    mov [rdx + 24], rax
18: test rsi, rsi
    jz fast_acted
    bts [r11 + {restored}], r10
fast_acted:
    mov r10d, 8
    xor eax, eax
    jmp rcx
fast_unusual:
    mov r10d, 8
    jmp fast_hand_over
fast_end:
    .text
"#,
    slots_shift = const SLOTS_SHIFT,
    slots_high = const CONTROL >> SLOTS_SHIFT,
    r15 = const register(0),
    r14 = const register(1),
    r13 = const register(2),
    r12 = const register(3),
    rbp = const register(4),
    rbx = const register(5),
    r11 = const register(6),
    r10 = const register(7),
    r9 = const register(8),
    r8 = const register(9),
    rax = const register(10),
    rcx = const register(11),
    rdx = const register(12),
    rsi = const register(13),
    rdi = const register(14),
    rip = const register(15),
    eflags = const register(16),
    rsp = const register(17),
    fs = const register(18),
    gs = const register(19),
    ready = const offset_of!(Slot, ready),
    ready_last = const READY - 1,
    stack = const offset_of!(Slot, stack),
    event = const offset_of!(Slot, event),
    command = const offset_of!(Slot, command),
    turn = const offset_of!(Slot, turn),
    spins = const offset_of!(Slot, spins),
    stub_processor = const offset_of!(Slot, stub_processor),
    kernel_processor = const offset_of!(Slot, kernel_processor),
    copy = const offset_of!(Slot, copy),
    copy_length = const offset_of!(Slot, copy_length),
    copy_address = const offset_of!(Slot, copy_address),
    window = const WINDOW,
    copy_read = const COPY_READ,
    copy_busy = const COPY_BUSY,
    copy_done = const COPY_DONE,
    copy_fault = const COPY_FAULT,
    direction = const 0x400,
    processor_segment = const PROCESSOR_SEGMENT,
    processor_mask = const PROCESSOR_MASK,
    kernel_sleeps = const offset_of!(Slot, kernel_sleeps),
    stub_sleeps = const offset_of!(Slot, stub_sleeps),
    interrupted = const offset_of!(Slot, interrupted),
    event_fast = const EVENT_FAST,
    event_own = const EVENT_OWN,
    own = const OWN,
    action = const ACTION,
    restorer_flag = const RESTORER,
    plain = const offset_of!(Slot, plain),
    restored = const offset_of!(Slot, restored),
    restorer = const offset_of!(Slot, restorer),
    since = const offset_of!(Slot, since),
    waits = const offset_of!(Slot, waits),
    futex_kind = const !FUTEX_FLAGS as i32,
    futex_last_0 = const *FUTEXES[0].end(),
    futex_first_1 = const *FUTEXES[1].start(),
    futex_more_1 = const *FUTEXES[1].end() - *FUTEXES[1].start(),
    futex_step_2 = const *FUTEXES[2].start() - *FUTEXES[1].start(),
    futex_more_2 = const *FUTEXES[2].end() - *FUTEXES[2].start(),
    turn_kernel = const TURN_KERNEL,
    command_return = const COMMAND_RETURN,
    futex = const crate::host::number::FUTEX,
);

/// What a signal's handler has to do about a call that it has found on its way.
pub enum Progress {
    /// No such call.
    None,
    /// The registers are the guest's again, behind its `syscall`: it has trapped, as it were.
    Called,
    /// The kernel has the call; nothing.
    Waits,
    /// The kernel has answered: the guest's registers are in the slot, and it was interrupted there.
    Answered,
    /// The kernel has a command for this thread that takes a signal's frame.
    Commanded,
    /// The thread's own call has not been made, or has not come to its end: the guest's registers are in the slot.
    Broken,
}

/// How far the call has come that the signal has interrupted, if one.
pub fn progress(signal: i32, slot: &Slot, context: &mut SignalContext) -> Progress {
    const SIGILL: i32 = 4;
    const SIGTRAP: i32 = 5;
    let at = context.registers.rip;
    let is = |label: *const u8| at == label as u64;
    let before = |label: *const u8| at < label as u64;
    if before(&raw const fast_entry) || !before(&raw const fast_end) {
        return Progress::None;
    }
    let stopped = signal == INTERRUPT || signal == SIGTRAP;
    if !before(&raw const fast_action) {
        return action_progress(slot, context);
    }
    if !before(&raw const fast_own) && before(&raw const fast_convert) {
        return if stopped { own_progress(slot, context) } else { Progress::None };
    }
    if stopped && before(&raw const fast_wait) || signal == SIGILL && is(&raw const fast_foreign) {
        let saved = !before(&raw const fast_saved) && before(&raw const fast_wait);
        take_back(slot, context, saved);
        return Progress::Called;
    }
    if signal == SIGILL && is(&raw const fast_convert) {
        // The command looks for it itself if the guest goes on after it.
        let interrupted = !calls_and_resumes(slot) && slot.interrupted.swap(0, Relaxed) != 0;
        return if interrupted && runs_guest(slot) { Progress::Answered } else { Progress::Commanded };
    }
    if !stopped {
        return Progress::None;
    }
    if before(&raw const fast_resume) && slot.turn.load(Acquire) == TURN_KERNEL || calls_and_resumes(slot) {
        slot.interrupted.store(1, Relaxed);
        return Progress::Waits;
    }
    if runs_guest(slot) { Progress::Answered } else { Progress::Waits }
}

/// How far an rt_sigaction has come. What has stopped it may be a fault of the guest's memory.
fn action_progress(slot: &Slot, context: &mut SignalContext) -> Progress {
    let registers = &mut context.registers;
    let at = registers.rip;
    if at >= &raw const fast_plain as u64 {
        registers.r10 = 8;
    }
    if (&raw const fast_acted as u64..&raw const fast_unusual as u64).contains(&at) {
        (registers.rax, registers.rip, registers.r11) = (0, registers.rcx, registers.eflags);
        return Progress::None;
    }
    take_back(slot, context, true);
    Progress::Called
}

/// How far the thread's own call has come. What it has got counts: a futex's wake would be lost.
fn own_progress(slot: &Slot, context: &SignalContext) -> Progress {
    const EINTR: i64 = -4;
    let (at, rax) = (context.registers.rip, context.registers.rax);
    slot.waits.store(0, Relaxed);
    let called = at == &raw const fast_called as u64;
    if at < &raw const fast_called as u64 || called && rax as i64 == EINTR {
        return Progress::Broken;
    }
    if called {
        slot.registers[10].store(rax, Relaxed);
    }
    Progress::Answered
}

/// Has the thread make its own call when the handler returns: the first of the slot's operations.
pub fn make_own_call(slot: &Slot, context: &mut SignalContext) {
    let Operation { number, arguments, .. } = &slot.operations[0];
    let [rdi, rsi, rdx, r10, r8, r9] = arguments.each_ref().map(|argument| argument.load(Relaxed));
    let stack = slot.stack.load(Relaxed);
    let registers = &mut context.registers;
    registers.set_call(number.load(Relaxed), [rdi, rsi, rdx, r10, r8, r9]);
    (registers.rip, registers.rbx, registers.rsp) = (&raw const fast_call as u64, &raw const *slot as u64, stack);
}

/// Whether the kernel's command is to go on with the guest.
fn runs_guest(slot: &Slot) -> bool {
    matches!(slot.command.load(Relaxed), COMMAND_RETURN | COMMAND_RESUME)
}

/// Whether it is to make calls before that.
fn calls_and_resumes(slot: &Slot) -> bool {
    slot.command.load(Relaxed) == COMMAND_CALLS_RESUME
}

fn take_back(slot: &Slot, context: &mut SignalContext, saved: bool) {
    let registers = &mut context.registers;
    registers.rip = registers.rcx;
    registers.r11 = registers.eflags;
    if saved {
        registers.rax = slot.registers[10].load(Relaxed);
        registers.rsp = slot.registers[17].load(Relaxed);
    }
}
