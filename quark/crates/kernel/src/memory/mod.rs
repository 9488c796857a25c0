//! A guest process' memory: what is mapped where.
//!
//! [`map::Map`] is the truth of what the guest has mapped, and pure; [`Memory`] makes the stub process agree with it. The lock of the
//! map is held while the calling thread's stub makes the host calls of a change, so that no two changes cross; if the host refuses,
//! the map stays as it was. The pages themselves are the stub's: the host serves faults, copies on write, and frees.

pub mod area;
pub mod map;
pub mod shm;

use std::sync::{Arc, Mutex};

use quark_host::platform::{AddressSpace, Context, Fault, Layout};

pub use area::{Area, Backing, Flags, Object, ObjectKind, PAGE, Protection};
use map::Map;

use crate::task::{Limit, lock};
use crate::vfs::open::OpenFile;
use crate::{Errno, Result};

/// An address space and its map.
pub struct Memory {
    /// The stub process that has it.
    pub space: Arc<AddressSpace>,
    layout: Layout,
    state: Mutex<State>,
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
}

/// What execve put into the memory, for `/proc` and `prctl(PR_SET_MM)`. Addresses, `start..end`.
#[derive(Clone, Default)]
pub struct Image {
    /// The program: `/proc/self/exe`.
    pub executable: Option<Arc<OpenFile>>,
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
        let state = State {
            map: Map::new(layout.lowest, layout.end),
            heap: (0, 0),
            base: layout.end,
            future: Flags::empty(),
            image: Arc::default(),
        };
        Memory { space, layout, state: Mutex::new(state) }
    }

    /// What execve put there.
    pub fn image(&self) -> Arc<Image> {
        lock(&self.state).image.clone()
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

    /// Copies the memory for a child process (`fork`): its map, and its stub process with the one thread that continues there.
    pub fn fork(&self, context: &mut Context) -> Result<(Arc<Memory>, Context)> {
        let state = lock(&self.state);
        let (space, child) = context.fork()?;
        let state = state.forked();
        Ok((Arc::new(Memory { space, layout: self.layout, state: Mutex::new(state) }), child))
    }

    /// Whether a fault of a guest thread is no fault after all, because memory that grows down (MAP_GROWSDOWN, the stack) has now
    /// grown, at most to `limit` (RLIMIT_STACK): the thread goes on where it was. Else it gets its signal.
    pub fn fault(&self, context: &mut Context, fault: &Fault, limit: &Limit) -> bool {
        let _ = (context, fault, limit);
        false
    }
}

impl State {
    fn region(&self, area: &Area) -> Region {
        Region { area: area.clone(), label: None, file: (0, 0, 0) }
    }

    fn usage(&self) -> MemoryUsage {
        MemoryUsage::default()
    }

    fn forked(&self) -> State {
        unimplemented!()
    }
}

#[allow(unused)]
fn unused(_: Errno, _: OpenFile) {}
