//! Our kernel: what the application takes for Linux.
#![forbid(unsafe_code)]
