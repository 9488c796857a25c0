//! The parts that are assembly: where the host enters the stub, and its only host call.

use core::arch::global_asm;

unsafe extern "C" {
    /// Makes a host call; the arguments are at `arguments`.
    pub fn host_call(number: u64, arguments: *const [u64; 6]) -> i64;
    /// What the host calls for each signal.
    pub fn signal_entry();
    /// What the host returns to from a handler.
    pub fn signal_return();
    /// Leaves a handler from anywhere, for what the frame says.
    pub fn frame_return(frame: *mut u8) -> !;
    /// Where a thread starts; two words of its stack are this address and the frame's.
    pub fn thread_entry();
    /// Faults, at a known place.
    pub fn trap() -> !;
    /// `lock cmpxchg` that survives a fault: the value before, or -1.
    pub fn guarded_exchange(address: u64, expected: u32, desired: u32) -> i64;
    /// A locked store of eight bytes that survives a fault: 0, or -1.
    pub fn guarded_store(address: u64, value: u64) -> i64;
    pub static guarded_store_at: u8;
    /// The instruction that may fault, and where to go on.
    pub static guarded_exchange_at: u8;
    pub static guarded_exchange_failed: u8;
    /// `rep movsb` that survives a fault: whether it has copied all.
    pub fn guarded_copy(to: u64, from: u64, length: u64) -> bool;
    pub static guarded_copy_at: u8;
    pub static guarded_copy_failed: u8;
    pub static __text_start: u8;
    pub static __text_end: u8;
}

global_asm!(
    r#"
    .globl _start, host_call, signal_entry, signal_return, frame_return, thread_entry, trap
    .globl guarded_exchange, guarded_exchange_at, guarded_exchange_failed
    .globl guarded_store, guarded_store_at
    .globl guarded_copy, guarded_copy_at, guarded_copy_failed
_start:
    mov rdi, rsp
    lea rsp, [rip + {boot_stack} + {boot_stack_bytes}]
    call {boot}
trap:
    ud2

host_call:
    mov rax, rdi
    mov r11, rsi
    mov rdi, [r11]
    mov rsi, [r11 + 8]
    mov rdx, [r11 + 16]
    mov r10, [r11 + 24]
    mov r8, [r11 + 32]
    mov r9, [r11 + 40]
    syscall
    ret

    // The host's kernel leaves the guest's alignment checks on.
signal_entry:
    pushfq
    test dword ptr [rsp], 0x40000
    jnz 2f
    add rsp, 8
    jmp {on_signal}
2:  and dword ptr [rsp], ~0x40000
    popfq
    jmp {on_signal}

    // The frame starts with the address that a handler returns to, which is popped by then.
frame_return:
    lea rsp, [rdi + 8]
signal_return:
    mov eax, 15
    syscall

thread_entry:
    pop rdi
    call {on_thread}

guarded_exchange:
    mov eax, esi
guarded_exchange_at:
    lock cmpxchg dword ptr [rdi], edx
    ret
guarded_store:
    xor eax, eax
guarded_store_at:
    xchg qword ptr [rdi], rsi
    ret
guarded_exchange_failed:
    mov rax, -1
    ret

guarded_copy:
    mov rcx, rdx
guarded_copy_at:
    rep movsb
    mov eax, 1
    ret
guarded_copy_failed:
    xor eax, eax
    ret
"#,
    boot = sym crate::boot::boot,
    boot_stack = sym crate::boot::BOOT_STACK,
    boot_stack_bytes = const crate::boot::BOOT_STACK_BYTES,
    on_signal = sym crate::trap::on_signal,
    on_thread = sym crate::trap::on_thread,
);

/// Whether an instruction at `address` is the stub's.
pub fn in_text(address: u64) -> bool {
    (&raw const __text_start as u64..&raw const __text_end as u64).contains(&address)
}
