//! The map against a dumb one: an array of pages.

use std::sync::Arc;

use rustix::fs::{MemfdFlags, memfd_create};

use super::super::area::{Area, Backing, Flags, GUARD, Object, ObjectKind, PAGE, Protection};
use super::{Map, Totals};
use crate::file::MapSource;

const LOWEST: u64 = 16 * PAGE;
const PAGES: u64 = 1200;

/// Numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }
}

#[derive(Clone)]
struct Page {
    protection: Protection,
    flags: Flags,
    object: Option<(usize, u64)>,
}

struct Both {
    map: Map,
    pages: Vec<Option<Page>>,
    objects: Vec<Arc<Object>>,
}

fn at(page: u64) -> u64 {
    LOWEST + page * PAGE
}

impl Both {
    fn new() -> Both {
        let file = || Arc::new(memfd_create(c"object", MemfdFlags::CLOEXEC).expect("a memfd"));
        let source = || MapSource { file: file(), offset: 0 };
        let object = || Arc::new(Object { source: source(), kind: ObjectKind::Anonymous, identity: (0, 0) });
        Both { map: Map::new(LOWEST, at(PAGES)), pages: vec![None; PAGES as usize], objects: vec![object(), object()] }
    }

    fn insert(&mut self, random: &mut Random, start: u64, end: u64) {
        let protection = Protection::from_bits_truncate(random.below(8) as u32);
        let mut flags = Flags::empty();
        flags.set(Flags::GROWS_DOWN, random.below(20) == 0);
        flags.set(Flags::LOCKED, random.below(5) == 0);
        let object = (random.below(2) == 0).then(|| (random.below(2) as usize, start + PAGE * random.below(2)));
        flags.set(Flags::SHARED, object.is_some());
        let backing = match object {
            Some((object, offset)) => Backing::Object(self.objects[object].clone(), at(offset)),
            None => Backing::Anonymous,
        };
        self.map.insert(Area { start: at(start), end: at(end), protection, flags, backing });
        for page in start..end {
            let object = object.map(|(object, offset)| (object, offset + (page - start)));
            self.pages[page as usize] = Some(Page { protection, flags, object });
        }
    }

    fn remove(&mut self, start: u64, end: u64) {
        let removed: u64 = self.map.remove(at(start), at(end)).iter().map(Area::length).sum();
        let range = &mut self.pages[start as usize..end as usize];
        assert_eq!(removed, range.iter().flatten().count() as u64 * PAGE);
        range.fill(None);
    }

    fn protect(&mut self, random: &mut Random, start: u64, end: u64) {
        let protection = Protection::from_bits_truncate(random.below(8) as u32);
        self.map.change(at(start), at(end), |area| area.protection = protection);
        for page in self.pages[start as usize..end as usize].iter_mut().flatten() {
            page.protection = protection;
        }
    }

    /// Whether `page` may not be used because it is mapped, or is kept free below what grows down.
    fn taken(&self) -> Vec<bool> {
        let mut taken: Vec<bool> = self.pages.iter().map(Option::is_some).collect();
        for (page, what) in self.pages.iter().enumerate() {
            if what.as_ref().is_some_and(|what| what.flags.contains(Flags::GROWS_DOWN)) {
                let lowest = page.saturating_sub((GUARD / PAGE) as usize);
                let below = (lowest..page).rev().take_while(|page| self.pages[*page].is_none());
                below.for_each(|page| taken[page] = true);
            }
        }
        taken
    }

    fn find(&mut self, length: u64, low: u64, high: u64) {
        let taken = self.taken();
        let free = |start: &u64| taken[*start as usize..(start + length) as usize].iter().all(|taken| !taken);
        let starts = low..=high.saturating_sub(length);
        let down = starts.clone().rev().find(|start| high >= low + length && free(start)).map(at);
        let up = starts.clone().find(|start| high >= low + length && free(start)).map(at);
        assert_eq!(self.map.find_down(length * PAGE, at(low), at(high)), down);
        assert_eq!(self.map.find_up(length * PAGE, at(low), at(high)), up);
    }

    fn check(&self) {
        let mut totals = Totals::default();
        for (page, what) in self.pages.iter().enumerate() {
            let area = self.map.at(at(page as u64));
            assert_eq!(area.is_some(), what.is_some(), "page {page}");
            let (Some(area), Some(what)) = (area, what) else { continue };
            assert_eq!((area.protection, area.flags), (what.protection, what.flags), "page {page}");
            let page = area.part(at(page as u64), at(page as u64 + 1));
            match (&page.backing, what.object) {
                (Backing::Anonymous, None) => (),
                (Backing::Object(object, offset), Some((index, page))) => {
                    assert!(Arc::ptr_eq(object, &self.objects[index]));
                    assert_eq!(*offset, at(page));
                }
                _ => panic!("another backing"),
            }
            totals.count(&page, u64::wrapping_add);
        }
        assert_eq!(self.map.totals(), totals);
        let areas: Vec<&Area> = self.map.areas().collect();
        for pair in areas.windows(2) {
            assert!(pair[0].start < pair[0].end && pair[0].end <= pair[1].start && !pair[0].joins(pair[1]));
        }
    }
}

#[test]
fn agrees_with_an_array_of_pages() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let mut both = Both::new();
        for _ in 0..200 {
            let start = random.below(PAGES);
            let end = (start + 1 + random.below(40)).min(PAGES);
            match random.below(6) {
                0 | 1 => both.insert(&mut random, start, end),
                2 => both.remove(start, end),
                3 => both.protect(&mut random, start, end),
                _ => both.find(1 + random.below(30), random.below(10), PAGES - 20 * random.below(2)),
            }
            let gap = (start..end).find(|page| both.pages[*page as usize].is_none()).map(at);
            assert_eq!(both.map.first_gap(at(start), at(end)), gap, "seed {seed}");
            assert_eq!(both.map.is_free(at(start), at(end)), both.pages[start as usize..end as usize].iter().all(Option::is_none));
        }
        both.check();
    }
}

#[test]
fn plain_memory_side_by_side_is_one_area() {
    let mut map = Map::new(LOWEST, at(PAGES));
    let plain = |start, end| Area {
        start: at(start),
        end: at(end),
        protection: Protection::READ,
        flags: Flags::empty(),
        backing: Backing::Anonymous,
    };
    map.insert(plain(0, 1));
    map.insert(plain(2, 3));
    assert_eq!(map.areas().count(), 2);
    map.insert(plain(1, 2));
    assert_eq!(map.areas().count(), 1);
    map.change(at(1), at(2), |area| area.protection = Protection::empty());
    assert_eq!(map.areas().count(), 3);
}
