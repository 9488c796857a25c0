//! A guest's memory in a real stub process, against a model of it.

use std::collections::BTreeMap;
use std::time::Instant;

use quark_host::platform::{Context, Platform};
use quark_kernel::Errno;
use quark_kernel::memory::{Allowance, Backing, Fixed, Flags, MapRequest, Memory, PAGE, Protection, RemapRequest, Zone};

const START: u64 = 0x10_0000;
const PAGES: u64 = 48;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }
}

fn start() -> (Platform, Memory, Context) {
    let platform = Platform::start(Box::new(|_| ())).expect("stubs start");
    let (space, context) = platform.blank().expect("a blank stub");
    let memory = Memory::new(space, platform.layout());
    (platform, memory, context)
}

fn plain(address: u64, length: u64, fixed: Fixed) -> MapRequest {
    let protection = Protection::READ | Protection::WRITE;
    MapRequest { address, length, fixed, zone: Zone::Any, protection, flags: Flags::empty(), backing: Backing::Anonymous }
}

fn at(page: u64) -> u64 {
    START + page * PAGE
}

/// What a page has: its protection, and its first byte.
type Model = BTreeMap<u64, (Protection, u8)>;

fn check(memory: &Memory, model: &Model, step: usize) {
    for page in 0..PAGES {
        let mut byte = [0];
        let read = memory.space.read(at(page), &mut byte);
        let expected = match model.get(&page) {
            Some((protection, byte)) if protection.contains(Protection::READ) => Ok(*byte),
            _ => Err(Errno::FAULT),
        };
        assert_eq!(read.map(|()| byte[0]), expected, "page {page} after step {step}");
    }
    let mapped: u64 = memory.regions().iter().map(|region| region.area.length()).sum();
    assert_eq!(mapped, model.len() as u64 * PAGE);
    assert_eq!(memory.usage().total, mapped);
}

fn remap(model: &mut Model, (from, count): (u64, u64), (to, new_count): (u64, u64)) {
    let moved: Vec<_> = (0..count).map(|page| model.remove(&(from + page))).collect();
    model.retain(|page, _| !(to..to + new_count).contains(page));
    let protection = moved.first().copied().flatten().map_or(Protection::empty(), |page| page.0);
    for page in 0..new_count {
        let content = moved.get(page as usize).copied().flatten().unwrap_or((protection, 0));
        model.insert(to + page, content);
    }
}

struct Both {
    memory: Memory,
    context: Context,
    model: Model,
}

impl Both {
    fn map(&mut self, random: &mut Random, page: u64, count: u64) {
        let request = plain(at(page), count * PAGE, Fixed::Replace);
        assert_eq!(self.memory.map(&mut self.context, &Allowance::ALL, request, false), Ok(at(page)));
        for page in page..page + count {
            let byte = 1 + random.below(255) as u8;
            self.memory.space.write(at(page), &[byte]).unwrap();
            self.model.insert(page, (Protection::READ | Protection::WRITE, byte));
        }
    }

    fn unmap(&mut self, page: u64, count: u64) {
        self.memory.unmap(&mut self.context, at(page), count * PAGE).unwrap();
        self.model.retain(|mapped, _| !(page..page + count).contains(mapped));
    }

    fn protect(&mut self, random: &mut Random, page: u64, count: u64) {
        let protection = Protection::from_bits_truncate(random.below(4) as u32) | Protection::READ;
        let range = (at(page), count * PAGE);
        let got = self.memory.protect(&mut self.context, &Allowance::ALL, range, protection, false);
        let gap = (page..page + count).find(|page| !self.model.contains_key(page));
        assert_eq!(got.is_ok(), gap.is_none());
        for page in page..gap.unwrap_or(page + count) {
            self.model.get_mut(&page).unwrap().0 = protection;
        }
    }

    fn remap(&mut self, random: &mut Random, page: u64, count: u64) {
        let to = random.below(PAGES);
        let new_count = 1 + random.below((PAGES - to).min(8));
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let (length, new_length) = (count * PAGE, new_count * PAGE);
        let request = RemapRequest { address: at(page), length, new_length, flags, new_address: at(to) };
        if self.memory.remap(&mut self.context, &Allowance::ALL, &request).is_ok() {
            remap(&mut self.model, (page, count), (to, new_count));
            return;
        }
        // As Linux: what was at the target may be gone.
        let regions = self.memory.regions();
        let mapped = |page: u64| regions.iter().any(|region| region.area.start <= at(page) && at(page) < region.area.end);
        self.model.retain(|page, _| !(to..to + new_count).contains(page) || mapped(*page));
    }
}

#[test]
fn the_stub_has_what_the_map_says() {
    let (_platform, memory, context) = start();
    let mut random = Random(7);
    let mut both = Both { memory, context, model: Model::new() };
    for step in 0..600 {
        let page = random.below(PAGES);
        let count = 1 + random.below((PAGES - page).min(8));
        match random.below(5) {
            0 | 1 => both.map(&mut random, page, count),
            2 => both.unmap(page, count),
            3 => both.protect(&mut random, page, count),
            _ => both.remap(&mut random, page, count),
        }
        check(&both.memory, &both.model, step);
    }
}

#[test]
fn a_child_has_a_copy() {
    let (_platform, memory, mut context) = start();
    let address = memory.map(&mut context, &Allowance::ALL, plain(0, PAGE, Fixed::No), false).unwrap();
    memory.space.write(address, b"before").unwrap();
    let (child, _context) = memory.fork(&mut context).unwrap();
    memory.space.write(address, b"parent").unwrap();
    let mut bytes = [0; 6];
    child.space.read(address, &mut bytes).unwrap();
    assert_eq!(&bytes, b"before");
    assert_eq!(child.usage(), memory.usage());
}

/// Prints what a mapping costs: `cargo test --release -p quark-kernel --test memory -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn measure() {
    let (_platform, memory, mut context) = start();
    let rounds = 10_000;
    let begun = Instant::now();
    for _ in 0..rounds {
        let address = memory.map(&mut context, &Allowance::ALL, plain(0, PAGE, Fixed::No), false).unwrap();
        memory.unmap(&mut context, address, PAGE).unwrap();
    }
    println!("map and unmap: {:?}", begun.elapsed() / rounds);
    let begun = Instant::now();
    for _ in 0..1000 {
        drop(memory.fork(&mut context).unwrap());
    }
    println!("fork: {:?}", begun.elapsed() / 1000);
}
