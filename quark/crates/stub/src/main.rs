//! The program of a stub process: it holds a guest's memory, runs its threads, and hands their traps over to the kernel.
//!
//! It runs at the guest's privilege, in the guest's reach. Nothing here guards anything: the seccomp filter of the process
//! does, and the kernel, which believes nothing that it reads from the shared pages.
//!
//! The guest owns the thread pointer (FS), so there are no thread locals; its vector registers are in the signal frame
//! while this code runs.
#![no_std]
#![no_main]
#![allow(unsafe_op_in_unsafe_fn)]

mod boot;
mod commands;
mod entry;
mod fast;
mod host;
mod memory;
// The kernel's half uses the rest.
#[allow(dead_code)]
mod shared;
mod trap;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    boot::fail()
}
