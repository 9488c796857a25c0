//! What the compiler calls for copies and fills, by the processor's string instructions.

use core::arch::global_asm;

global_asm!(
    r#"
    .globl memcpy, memset, memmove, memcmp
memcpy:
    mov rax, rdi
    mov rcx, rdx
    rep movsb
    ret
memset:
    mov r8, rdi
    mov eax, esi
    mov rcx, rdx
    rep stosb
    mov rax, r8
    ret
memmove:
    mov rax, rdi
    mov rcx, rdx
    mov r8, rdi
    sub r8, rsi
    cmp r8, rdx
    jb 2f
    rep movsb
    ret
2:  lea rdi, [rdi + rdx - 1]
    lea rsi, [rsi + rdx - 1]
    std
    rep movsb
    cld
    ret
memcmp:
    xor eax, eax
2:  test rdx, rdx
    jz 3f
    movzx eax, byte ptr [rdi]
    movzx ecx, byte ptr [rsi]
    sub eax, ecx
    jnz 3f
    inc rdi
    inc rsi
    dec rdx
    jmp 2b
3:  ret
"#
);
