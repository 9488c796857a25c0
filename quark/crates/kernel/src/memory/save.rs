//! A guest's memory, written to a file and read back into a new stub process.
//!
//! What the map says is made again from the map; the pages that only the stub has are written: private ones that were written to, but
//! for those that are zero where zeros come by themselves. What is shared has an owner beside the stubs, and stays where it is.

use std::ops::Range;

use quark_host::pagemap::{Content, PageMap};
use quark_host::platform::{Context, HostCall};

use super::area::{Area, Backing, Flags, PAGE, Protection};
use super::host::map_call;
use super::{Memory, State};
use crate::Result;
use crate::hibernate::image::{CHUNK, Image};
use crate::task::lock;

/// Makes pages fault.
const MADV_GUARD_INSTALL: i32 = 102;

/// What of a memory is in the file, and where.
#[derive(Default)]
pub(crate) struct Saved {
    /// Ranges of addresses, rising, whose pages follow each other in the file.
    pages: Vec<Range<u64>>,
    /// Where they start there.
    start: u64,
    /// Pages that fault.
    guards: Vec<Range<u64>>,
    /// What was made readable to be read.
    changed: Vec<(Range<u64>, Protection)>,
}

/// Adds a range behind the others.
fn append(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

impl Memory {
    /// Writes what only the stub has to `image`. Whatever comes of it, [`Memory::unsave`] undoes what was changed for it.
    pub(crate) fn save(&self, context: &mut Context, image: &mut Image) -> (Saved, Result<()>) {
        let state = lock(&self.state);
        let mut saver = Saver { context, image, saved: Saved::default(), bytes: Vec::new() };
        saver.saved.start = saver.image.end();
        let outcome = saver.save(&state.private_areas());
        (saver.saved, outcome)
    }

    /// See [`Memory::save`].
    pub(crate) fn unsave(&self, context: &mut Context, saved: &Saved) {
        let calls: Vec<_> = saved.changed.iter().map(|(range, protection)| protect(range, *protection)).collect();
        // What fails is seen by the guest as a fault, as a hostile stub could have it.
        let _ = context.call(&calls);
    }

    /// Fills a new, empty stub process.
    pub(crate) fn restore(&self, context: &mut Context, saved: &Saved, image: &Image) -> Result<()> {
        let state = lock(&self.state);
        let areas = state.all_areas();
        let written: Vec<bool> = areas.iter().map(|area| saved.has_pages_of(area)).collect();
        let first: Vec<Area> =
            areas.iter().zip(&written).map(|(area, written)| if *written { writable(area) } else { area.clone() }).collect();
        let mut calls: Vec<HostCall<'_>> = first.iter().map(|area| map_call(area, None, false)).collect();
        calls.extend(areas.iter().flat_map(advice));
        context.call(&calls)?;
        drop(calls);
        saved.read(context, image)?;
        let changed = areas.iter().zip(&first).filter(|(area, first)| area.protection != first.protection);
        let protections = changed.map(|(area, _)| protect(&(area.start..area.end), area.protection));
        let guards = saved.guards.iter().map(|range| advise(range, MADV_GUARD_INSTALL));
        context.call(&protections.chain(guards).collect::<Vec<_>>()).map(drop)
    }
}

impl State {
    /// Everything that is mapped, the trampolines that the guest doesn't see too, by rising address.
    fn all_areas(&self) -> Vec<Area> {
        let mapped = self.map.areas().filter(|area| !matches!(area.backing, Backing::Host(_))).cloned();
        let mut areas: Vec<Area> = mapped.chain(self.patching.areas()).collect();
        areas.sort_by_key(|area| area.start);
        areas
    }

    fn private_areas(&self) -> Vec<Area> {
        let mut areas = self.all_areas();
        areas.retain(|area| !area.flags.contains(Flags::SHARED));
        areas
    }
}

fn writable(area: &Area) -> Area {
    Area { protection: Protection::READ | Protection::WRITE, ..area.clone() }
}

fn protect(range: &Range<u64>, protection: Protection) -> HostCall<'static> {
    HostCall::Protect { address: range.start, length: range.end - range.start, protection: protection.bits() as i32 }
}

fn advise<'a>(range: &Range<u64>, advice: i32) -> HostCall<'a> {
    HostCall::Advise { address: range.start, length: range.end - range.start, advice }
}

/// What the guest has advised about an area, for the host.
fn advice<'a>(area: &Area) -> Vec<HostCall<'a>> {
    let known = [
        (Flags::HUGE, libc::MADV_HUGEPAGE),
        (Flags::NO_HUGE, libc::MADV_NOHUGEPAGE),
        (Flags::SEQUENTIAL, libc::MADV_SEQUENTIAL),
        (Flags::RANDOM, libc::MADV_RANDOM),
        (Flags::DONT_FORK, libc::MADV_DONTFORK),
        (Flags::WIPE_ON_FORK, libc::MADV_WIPEONFORK),
        (Flags::DONT_DUMP, libc::MADV_DONTDUMP),
    ];
    let given = known.into_iter().filter(|(flag, _)| area.flags.contains(*flag));
    given.map(|(_, number)| advise(&(area.start..area.end), number)).collect()
}

struct Saver<'a> {
    context: &'a mut Context,
    image: &'a mut Image,
    saved: Saved,
    /// What has been read of the guest's.
    bytes: Vec<u8>,
}

impl Saver<'_> {
    fn save(&mut self, areas: &[Area]) -> Result<()> {
        let mut pages = PageMap::open(self.context.space().pid())?;
        for area in areas {
            for (content, run) in pages.own(area.start..area.end)? {
                match content {
                    Content::Guard => append(&mut self.saved.guards, run),
                    Content::Own => self.take(area, run)?,
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, area: &Area, run: Range<u64>) -> Result<()> {
        if !area.protection.contains(Protection::READ) {
            self.context.call(&[protect(&run, Protection::READ)])?;
            self.saved.changed.push((run.clone(), area.protection));
        }
        let zeros_come = matches!(area.backing, Backing::Anonymous);
        let mut at = run.start;
        while at < run.end {
            let length = (run.end - at).min(CHUNK as u64);
            self.bytes.resize(length as usize, 0);
            self.context.space().read(at, &mut self.bytes)?;
            for (index, page) in self.bytes.chunks(PAGE as usize).enumerate() {
                if !zeros_come || page.iter().any(|byte| *byte != 0) {
                    let page_at = at + index as u64 * PAGE;
                    append(&mut self.saved.pages, page_at..page_at + PAGE);
                    self.image.add(page)?;
                }
            }
            at += length;
        }
        Ok(())
    }
}

impl Saved {
    fn has_pages_of(&self, area: &Area) -> bool {
        let next = self.pages.partition_point(|range| range.end <= area.start);
        self.pages.get(next).is_some_and(|range| range.start < area.end)
    }

    /// Reads the pages back, in pieces.
    fn read(&self, context: &Context, image: &Image) -> Result<()> {
        let mut bytes = Vec::new();
        let mut at = self.start;
        for places in pieces(&self.pages) {
            bytes.resize(places.iter().map(|(_, length)| length).sum(), 0);
            image.read(at, &mut bytes)?;
            context.space().scatter(&places, &bytes)?;
            at += bytes.len() as u64;
        }
        Ok(())
    }
}

/// Ranges as addresses and lengths, in pieces of up to [`CHUNK`] bytes. Pure.
fn pieces(ranges: &[Range<u64>]) -> Vec<Vec<(u64, usize)>> {
    let mut pieces = Vec::new();
    let mut room = 0;
    for range in ranges {
        let mut at = range.start;
        while at < range.end {
            if room == 0 {
                pieces.push(Vec::new());
                room = CHUNK;
            }
            let length = ((range.end - at) as usize).min(room);
            if let Some(piece) = pieces.last_mut() {
                piece.push((at, length));
            }
            room -= length;
            at += length as u64;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_all_bytes_in_order() {
        let chunk = CHUNK as u64;
        let ranges = [0..PAGE, 2 * PAGE..chunk + 2 * PAGE, 2 * chunk..2 * chunk + PAGE];
        let pieces = pieces(&ranges);
        let first = chunk - PAGE;
        assert_eq!(
            pieces,
            [vec![(0, PAGE as usize), (2 * PAGE, first as usize)], vec![(2 * PAGE + first, PAGE as usize), (2 * chunk, PAGE as usize)]]
        );
    }

    #[test]
    fn areas_with_pages_in_the_file_are_found() {
        let saved = Saved { pages: vec![0x2000..0x4000, 0x8000..0x9000], ..Saved::default() };
        let area = |start, end| Area { start, end, protection: Protection::READ, flags: Flags::empty(), backing: Backing::Anonymous };
        assert!(saved.has_pages_of(&area(0x1000, 0x3000)) && saved.has_pages_of(&area(0x3000, 0x4000)));
        assert!(!saved.has_pages_of(&area(0x4000, 0x8000)) && !saved.has_pages_of(&area(0x9000, 0xa000)));
    }
}
