//! From a mapping to the host calls that make it so in the stub process.

use std::os::fd::AsFd;

use quark_host::platform::HostCall;

use super::area::{Area, Backing, Flags, ObjectKind};
use crate::file::MapSource;

/// The host call that maps an area. `text` replaces the file of program text by a copy in which `syscall` instructions are patched.
pub fn map_call<'a>(area: &'a Area, text: Option<&'a MapSource>, populate: bool) -> HostCall<'a> {
    let mut flags = libc::MAP_FIXED | libc::MAP_NORESERVE;
    flags |= if area.flags.contains(Flags::SHARED) { libc::MAP_SHARED } else { libc::MAP_PRIVATE };
    if area.flags.contains(Flags::NO_HUGE) {
        // Linux takes MAP_STACK as "no huge pages" since 6.7.
        flags |= libc::MAP_STACK;
    }
    if populate {
        flags |= libc::MAP_POPULATE;
    }
    let file = match &area.backing {
        Backing::Object(object, offset) => {
            let source = text.unwrap_or(&object.source);
            Some((source.file.as_fd(), source.offset.wrapping_add(*offset)))
        }
        Backing::Anonymous | Backing::Host(_) => None,
    };
    if file.is_none() {
        flags |= libc::MAP_ANONYMOUS;
    }
    HostCall::Map { address: area.start, length: area.length(), protection: area.protection.bits() as i32, flags, file }
}

/// The patched copy of program text that a private, executable mapping of a file gets instead of the file itself, if there is one.
pub fn text_source(area: &Area) -> Option<MapSource> {
    let Backing::Object(object, _) = &area.backing else {
        return None;
    };
    if !area.is_text() || area.flags.contains(Flags::SHARED) || !matches!(object.kind, ObjectKind::File(_)) {
        return None;
    }
    None
}

/// The host call that unmaps a range.
pub fn unmap_call<'a>(start: u64, end: u64) -> HostCall<'a> {
    HostCall::Unmap { address: start, length: end - start }
}
