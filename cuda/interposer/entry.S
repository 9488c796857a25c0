// dlsym and dlvsym: ask ours first, and else jump to the C library's, so that it sees the program as the caller (RTLD_NEXT counts from there).
// Ours returns 0: not ours; -1: there is no such symbol; else the address.
#if defined(__x86_64__)
.macro ENTRY name, helper, real
  .globl \name
  .type \name, @function
\name:
  .cfi_startproc
  push %rdi
  .cfi_adjust_cfa_offset 8
  push %rsi
  .cfi_adjust_cfa_offset 8
  push %rdx
  .cfi_adjust_cfa_offset 8
  call \helper
  pop %rdx
  .cfi_adjust_cfa_offset -8
  pop %rsi
  .cfi_adjust_cfa_offset -8
  pop %rdi
  .cfi_adjust_cfa_offset -8
  test %rax, %rax
  jz 1f
  cmp $-1, %rax
  je 2f
  ret
1: jmp *\real(%rip)
2: xor %eax, %eax
  ret
  .cfi_endproc
  .size \name, . - \name
.endm
#elif defined(__aarch64__)
.macro ENTRY name, helper, real
  .globl \name
  .type \name, @function
\name:
  stp x29, x30, [sp, #-48]!
  stp x0, x1, [sp, #16]
  str x2, [sp, #32]
  bl \helper
  mov x9, x0
  ldp x0, x1, [sp, #16]
  ldr x2, [sp, #32]
  ldp x29, x30, [sp], #48
  cbz x9, 1f
  cmn x9, #1
  csel x0, xzr, x9, eq
  ret
1: adrp x9, \real
  ldr x9, [x9, #:lo12:\real]
  br x9
  .size \name, . - \name
.endm
#else
#error "the interposer runs on x86-64 and on 64-bit Arm"
#endif
  .text
  ENTRY dlsym, resolve_dlsym, c_library_dlsym
  ENTRY dlvsym, resolve_dlvsym, c_library_dlvsym
  .section .note.GNU-stack, "", %progbits
