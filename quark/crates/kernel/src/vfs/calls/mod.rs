//! The system calls of files.

mod aio;
mod at;
mod attributes;
mod descriptors;
mod directories;
mod extended;
mod extent;
mod fcntl;
mod inotify;
mod io;
mod mounting;
mod names;
mod open;
mod refused;
mod seek;
mod space;
mod splice;
mod stat;
mod transfer;
mod vectors;
mod working;

pub use aio::Contexts;
pub use at::{At, Target};

use crate::dispatch::Calls;

/// What this module answers.
pub const CALLS: &[Calls] = &[
    aio::CALLS,
    attributes::CALLS,
    descriptors::CALLS,
    directories::CALLS,
    extended::CALLS,
    extent::CALLS,
    fcntl::CALLS,
    inotify::CALLS,
    io::CALLS,
    mounting::CALLS,
    names::CALLS,
    open::CALLS,
    refused::CALLS,
    seek::CALLS,
    space::CALLS,
    splice::CALLS,
    stat::CALLS,
    transfer::CALLS,
    working::CALLS,
];
