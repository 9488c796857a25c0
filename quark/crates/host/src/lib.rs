//! Everything of the kernel process that touches the host in a way that needs `unsafe`: stub processes and the hand-over
//! with them, guest memory, seccomp filters, and the few host calls that rustix has no safe form of.

pub mod barrier;
pub mod clock;
pub mod files;
pub mod filter;
pub mod footprint;
pub mod landlock;
pub mod pagemap;
pub mod platform;
pub mod process;
pub mod processor;
pub mod procfs;
pub mod ring;
pub mod socket;
