//! Finds `syscall` instructions in machine code and plans how to replace them by jumps.
#![forbid(unsafe_code)]
