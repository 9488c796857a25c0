//! A guest process' memory: what is mapped where.
//!
//! [`map::Map`] is the truth of what the guest has mapped, and pure; [`Memory`] makes the stub process agree with it. The lock of the
//! map is held while the calling thread's stub makes the host calls of a change, so that no two changes cross; if the host refuses,
//! the map stays as it was. The pages themselves are the stub's: the host serves faults, copies on write, and frees.

mod allowance;
pub mod area;
mod calls;
mod change;
mod grow;
mod host;
mod install;
mod later;
pub mod map;
mod memfd;
pub mod pages;
mod patch;
mod peers;
mod place;
mod remap;
mod save;
pub mod shm;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use quark_host::platform::{AddressSpace, Context, Layout};

pub use allowance::Allowance;
pub use area::{Area, Backing, Flags, GUARD, Object, ObjectKind, PAGE, Protection};
pub use calls::{CALLS, map_page};
pub use later::Later;
use map::Map;
pub use place::{Fixed, MapRequest, Zone};
pub use remap::RemapRequest;
pub(crate) use save::Saved;

use crate::exec::busy::Running;
use crate::task::lock;
use crate::vfs::calls::Contexts;
use crate::vfs::open::OpenFile;
use crate::{Errno, Result};

/// An address space and its map.
pub struct Memory {
    /// The stub process that has it.
    pub space: Arc<AddressSpace>,
    layout: Layout,
    state: Mutex<State>,
    /// [`patch::Patching`]'s.
    generation: Arc<AtomicU64>,
    /// Of `io_setup(2)`.
    pub(crate) contexts: Contexts,
}

/// What changes together.
struct State {
    map: Map,
    /// Where `brk` starts and ends.
    heap: (u64, u64),
    /// Below this, and from there downwards, the guest's mappings are put unless it says where.
    base: u64,
    /// Flags of all mappings to come (MCL_FUTURE).
    future: Flags,
    image: Arc<Image>,
    patching: patch::Patching,
}

/// What execve put into the memory, for `/proc` and `prctl(PR_SET_MM)`. Addresses, `start..end`.
#[derive(Clone, Default)]
pub struct Image {
    /// The program: `/proc/self/exe`.
    pub executable: Option<Arc<OpenFile>>,
    /// Keeps the program from being written.
    pub running: Option<Arc<Running>>,
    /// Its text.
    pub code: (u64, u64),
    /// Its data.
    pub data: (u64, u64),
    /// Where `argv`'s strings are (`/proc/self/cmdline`).
    pub arguments: (u64, u64),
    /// Where the environment's strings are (`/proc/self/environ`).
    pub environment: (u64, u64),
    /// The stack pointer at its start.
    pub stack: u64,
    /// The auxiliary vector as it was put on the stack (`/proc/self/auxv`).
    pub auxiliary: Vec<u8>,
}

/// How much is mapped, in bytes, as `/proc/self/status` tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// VmSize.
    pub total: u64,
    /// VmData.
    pub data: u64,
    /// VmStk.
    pub stack: u64,
    /// VmExe.
    pub executable: u64,
    /// VmLib.
    pub libraries: u64,
    /// VmLck.
    pub locked: u64,
}

/// One line of `/proc/self/maps`.
#[derive(Clone)]
pub struct Region {
    /// What is mapped. Its backing has the file's [`OpenFile`], with the place to name.
    pub area: Area,
    /// `[heap]`, `[stack]`, `[vdso]`, `[vvar]`, `/dev/zero (deleted)`, `/SYSV00000000 (deleted)`; `None` for a file (name it by its place) and for plain memory.
    pub label: Option<Vec<u8>>,
    /// The offset in the file, device and inode number; zero for plain memory.
    pub file: (u64, u64, u64),
}

impl Memory {
    /// The memory of a fresh stub process: empty, but for the host's vDSO.
    pub fn new(space: Arc<AddressSpace>, layout: Layout) -> Memory {
        Memory::with(space, layout, State::new(&layout))
    }

    fn with(space: Arc<AddressSpace>, layout: Layout, state: State) -> Memory {
        let generation = state.patching.generation.clone();
        Memory { space, layout, state: Mutex::new(state), generation, contexts: Contexts::default() }
    }

    /// Forgets what is mapped, for its processes have ended: who waits for them finds segments detached and files closed.
    pub(crate) fn let_go(&self) {
        let mapped = lock(&self.state).map.remove(0, u64::MAX);
        // What a file's end makes others do happens without the lock.
        drop(mapped);
    }

    /// What execve put there.
    pub fn image(&self) -> Arc<Image> {
        lock(&self.state).image.clone()
    }

    /// Says what execve, or `prctl(PR_SET_MM)`, put there.
    pub fn set_image(&self, image: Image) {
        lock(&self.state).image = Arc::new(image);
    }

    /// Everything that is mapped, by rising address.
    pub fn regions(&self) -> Vec<Region> {
        let state = lock(&self.state);
        state.map.areas().map(|area| state.region(area)).collect()
    }

    /// How much is mapped.
    pub fn usage(&self) -> MemoryUsage {
        lock(&self.state).usage()
    }

    /// What a word at `address` is known by to all who map it: its object, and the offset in that. `None` for private memory, whose words
    /// are known by their address only. EFAULT if nothing is mapped there.
    pub fn shared_place(&self, address: u64) -> Result<Option<((u64, u64), u64)>> {
        let state = lock(&self.state);
        let area: &Area = state.map.at(address).ok_or(Errno::FAULT)?;
        let Backing::Object(object, offset) = &area.backing else {
            return Ok(None);
        };
        if !area.flags.contains(Flags::SHARED) {
            return Ok(None);
        }
        Ok(Some((object.identity, offset.wrapping_add(address - area.start))))
    }

    /// Copies the memory for a child process (`fork`): its map, and its stub process with the one thread that continues there.
    pub fn fork(&self, context: &mut Context) -> Result<(Arc<Memory>, Context)> {
        let state = lock(&self.state);
        let (space, child) = context.fork()?;
        let state = state.forked();
        Ok((Arc::new(Memory::with(space, self.layout, state)), child))
    }
}

impl State {
    fn new(layout: &Layout) -> State {
        let mut map = Map::new(layout.lowest, layout.end);
        let (start, end) = layout.reserved;
        let host = |start: u64, end: u64, name| Area {
            start,
            end,
            protection: Protection::READ | if name == "[vdso]" { Protection::EXEC } else { Protection::empty() },
            flags: Flags::empty(),
            backing: Backing::Host(name),
        };
        if end <= layout.end {
            let code = if layout.vdso == 0 { end } else { layout.vdso.clamp(start, end) };
            map.insert(host(start, code, "[vvar]"));
            map.insert(host(code, end, "[vdso]"));
        }
        State { map, heap: (0, 0), base: layout.end, future: Flags::empty(), image: Arc::default(), patching: patch::Patching::default() }
    }

    fn region(&self, area: &Area) -> Region {
        let (mut label, mut file) = (None, (0, 0, 0));
        match &area.backing {
            Backing::Host(name) => label = Some(name.as_bytes().to_vec()),
            Backing::Anonymous if area.flags.contains(Flags::STACK) => label = Some(b"[stack]".to_vec()),
            Backing::Anonymous if area.start < self.heap.1 && area.end > self.heap.0 => label = Some(b"[heap]".to_vec()),
            Backing::Anonymous => (),
            Backing::Object(object, offset) => {
                file = (*offset, object.identity.0, object.identity.1);
                label = object.label();
            }
        }
        Region { area: area.clone(), label, file }
    }

    fn usage(&self) -> MemoryUsage {
        let totals = self.map.totals();
        let (start, end) = self.image.code;
        let executable = place::page_up(end).unwrap_or(end).saturating_sub(start & !(PAGE - 1)).min(totals.text);
        MemoryUsage {
            total: totals.all,
            data: totals.data,
            stack: totals.stack,
            executable,
            libraries: totals.text - executable,
            locked: totals.locked,
        }
    }

    /// The child's: without what MADV_DONTFORK keeps from it, nothing is locked.
    fn forked(&self) -> State {
        let mut map = Map::new(self.map.lowest(), self.map.end());
        let mut segments = shm::Reattached::default();
        for area in self.map.areas().filter(|area| !area.flags.contains(Flags::DONT_FORK)) {
            let mut area = area.clone();
            area.flags.remove(Flags::LOCKED | Flags::LOCKED_ON_FAULT);
            if let Backing::Object(object, _) = &mut area.backing {
                *object = segments.forked(object);
            }
            map.insert(area);
        }
        State { map, heap: self.heap, base: self.base, future: Flags::empty(), image: self.image.clone(), patching: self.patching.forked() }
    }
}

impl Object {
    /// What `/proc/self/maps` calls it, unless it is a file.
    fn label(&self) -> Option<Vec<u8>> {
        match &self.kind {
            ObjectKind::File(_) => None,
            ObjectKind::Anonymous => Some(b"/dev/zero (deleted)".to_vec()),
            ObjectKind::Segment(attachment) => Some(attachment.label()),
        }
    }
}
