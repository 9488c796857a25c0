//! What of a process' memory `/proc/PID` tells.

use super::process::Subject;
use crate::memory::area::{Backing, Flags, ObjectKind, Protection};
use crate::memory::{Memory, Region};
use crate::task::lock;
use crate::vfs::place::Place;
use crate::{Errno, Result};
use std::sync::Arc;

/// The most of `cmdline` and `environ` that is told, bytes.
const STRINGS_MAX: u64 = 1 << 21;

fn memory(subject: &Subject) -> Arc<Memory> {
    lock(&subject.process.memory).clone()
}

fn strings(subject: &Subject, (start, end): (u64, u64)) -> Result<Vec<u8>> {
    if subject.task.is_none() {
        return Ok(Vec::new());
    }
    let length = end.saturating_sub(start).min(STRINGS_MAX);
    let mut text = vec![0; length as usize];
    // What the guest has unmapped there is nobody's error.
    if memory(subject).space.read(start, &mut text).is_err() {
        text.clear();
    }
    Ok(text)
}

/// `argv` as it is in the process' memory; what `setproctitle` wrote beyond it, into the environment, shows too.
pub(super) fn cmdline(subject: &Subject) -> Result<Vec<u8>> {
    let image = memory(subject).image();
    let (start, end) = image.arguments;
    let text = strings(subject, (start, end))?;
    if text.last().is_none_or(|last| *last == 0) {
        return Ok(text);
    }
    let mut more = strings(subject, (start, image.environment.1.max(end)))?;
    if let Some(length) = more.iter().position(|byte| *byte == 0) {
        more.truncate(length + 1);
    }
    Ok(more)
}

pub(super) fn environ(subject: &Subject) -> Result<Vec<u8>> {
    strings(subject, memory(subject).image().environment)
}

/// The line of one region, without its end.
fn line(region: &Region, root: &Place) -> Vec<u8> {
    let area = &region.area;
    let bit = |has: bool, letter: char| if has { letter } else { '-' };
    let (offset, device, inode) = region.file;
    let mut text = format!(
        "{:08x}-{:08x} {}{}{}{} {offset:08x} {:02x}:{:02x} {inode} ",
        area.start,
        area.end,
        bit(area.protection.contains(Protection::READ), 'r'),
        bit(area.protection.contains(Protection::WRITE), 'w'),
        bit(area.protection.contains(Protection::EXEC), 'x'),
        if area.flags.contains(Flags::SHARED) { 's' } else { 'p' },
        rustix::fs::major(device),
        rustix::fs::minor(device),
    )
    .into_bytes();
    if let Some(name) = name(region, root) {
        text.resize(text.len().max(73), b' ');
        text.extend(name.into_iter().flat_map(|byte| if byte == b'\n' { b"\\012".to_vec() } else { vec![byte] }));
    } else {
        text.pop();
    }
    text
}

fn name(region: &Region, root: &Place) -> Option<Vec<u8>> {
    if region.label.is_some() {
        return region.label.clone();
    }
    let Backing::Object(object, _) = &region.area.backing else { return None };
    let ObjectKind::File(file) = &object.kind else { return None };
    Some(file.place.as_ref().map_or_else(|| file.file.name(), |place| place.shown(root)))
}

fn each(subject: &Subject, mut tell: impl FnMut(&Region, &Place, &mut Vec<u8>)) -> Result<Vec<u8>> {
    if subject.task.is_none() {
        return Ok(Vec::new());
    }
    let root = super::asker()?.fs().root();
    let mut text = Vec::new();
    for region in memory(subject).regions() {
        tell(&region, &root, &mut text);
    }
    Ok(text)
}

pub(super) fn maps(subject: &Subject) -> Result<Vec<u8>> {
    each(subject, |region, root, text| {
        text.extend(line(region, root));
        text.push(b'\n');
    })
}

/// Sizes of a region that is told of in `smaps`: what can be written is taken as being there and its own.
fn sizes(region: &Region) -> [(&'static str, u64); 8] {
    let size = region.area.length() / 1024;
    let readable = if region.area.protection.is_empty() { 0 } else { size };
    let own = if region.area.protection.contains(Protection::WRITE) { readable } else { 0 };
    let locked = if region.area.flags.contains(Flags::LOCKED) { size } else { 0 };
    [
        ("Size", size),
        ("Rss", readable),
        ("Pss", readable),
        ("Shared_Clean", readable - own),
        ("Private_Dirty", own),
        ("Anonymous", own),
        ("Swap", 0),
        ("Locked", locked),
    ]
}

fn rows(sizes: &[(&str, u64)], text: &mut Vec<u8>) {
    for (name, kilobytes) in sizes {
        text.extend(format!("{:<16}{kilobytes:>8} kB\n", format!("{name}:")).bytes());
    }
}

pub(super) fn smaps(subject: &Subject) -> Result<Vec<u8>> {
    each(subject, |region, root, text| {
        text.extend(line(region, root));
        text.push(b'\n');
        rows(&sizes(region), text);
        let protection = region.area.protection;
        let mut flags = String::from("VmFlags:");
        for (has, word) in [
            (protection.contains(Protection::READ), " rd"),
            (protection.contains(Protection::WRITE), " wr"),
            (protection.contains(Protection::EXEC), " ex"),
            (region.area.flags.contains(Flags::SHARED), " sh"),
            (region.area.flags.contains(Flags::GROWS_DOWN), " gd"),
            (region.area.flags.contains(Flags::LOCKED), " lo"),
            (region.area.flags.contains(Flags::DONT_FORK), " dc"),
        ] {
            if has {
                flags.push_str(word);
            }
        }
        text.extend(format!("{flags}\n").bytes());
    })
}

pub(super) fn smaps_rollup(subject: &Subject) -> Result<Vec<u8>> {
    let regions = memory(subject).regions();
    let (Some(first), Some(last)) = (regions.first(), regions.last()) else { return Err(Errno::SRCH) };
    let mut text =
        format!("{:08x}-{:08x} ---p 00000000 00:00 0                    [rollup]\n", first.area.start, last.area.end).into_bytes();
    let mut sums = sizes(first).map(|(name, _)| (name, 0));
    for region in &regions {
        for (sum, (_, size)) in sums.iter_mut().zip(sizes(region)) {
            sum.1 += size;
        }
    }
    rows(sums.get(1..).unwrap_or_default(), &mut text);
    Ok(text)
}
