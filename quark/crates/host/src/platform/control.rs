//! The control file of a stub process, mapped into the kernel: a slot a guest thread.

use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use super::shared::{SLOT_BYTES, SLOTS, Slot, WINDOW, WINDOW_BYTES};

const BYTES: u64 = SLOTS * SLOT_BYTES;

/// All slots of a stub process. Most of it is never touched, and takes no memory.
pub(super) struct Control {
    base: NonNull<u8>,
}

// SAFETY: the mapping belongs to the value, and all in it is atomic or reached by raw copies.
unsafe impl Send for Control {}
// SAFETY: as above.
unsafe impl Sync for Control {}

impl Control {
    /// A new control file, and its mapping.
    pub(super) fn create() -> Result<(Control, OwnedFd), Errno> {
        let file = control_file()?;
        let flags = MapFlags::SHARED | MapFlags::NORESERVE;
        // SAFETY: the host chooses where; nothing else is there.
        let base = unsafe { mmap(std::ptr::null_mut(), BYTES as usize, ProtFlags::READ | ProtFlags::WRITE, flags, file.as_fd(), 0)? };
        let base = NonNull::new(base.cast()).ok_or(Errno::NOMEM)?;
        Ok((Control { base }, file))
    }

    /// A new control file in place of the one before, which nobody uses any more: all zero.
    pub(super) fn renew(&self) -> Result<OwnedFd, Errno> {
        let file = control_file()?;
        let flags = MapFlags::SHARED | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: replaces the value's own mapping by one of the same size. Whoever has a reference to what is in it finds other values
        // there, as they may come from the stub at any time.
        unsafe { mmap(self.base.as_ptr().cast(), BYTES as usize, ProtFlags::READ | ProtFlags::WRITE, flags, file.as_fd(), 0)? };
        Ok(file)
    }

    /// Gives the host back the memory of all slots.
    pub(super) fn forget(&self) {
        // SAFETY: the value's own mapping, whose pages are zero from here on.
        let _ = unsafe { madvise(self.base.as_ptr().cast(), BYTES as usize, Advice::LinuxRemove) };
    }

    /// Slot `index`, which is the last one if there are fewer.
    pub(super) fn slot(&self, index: u64) -> &Slot {
        // SAFETY: within the mapping, which lives as long as the borrow; made of atomic integers, for which all bits are values.
        unsafe { self.base.add((index.min(SLOTS - 1) * SLOT_BYTES) as usize).cast::<Slot>().as_ref() }
    }

    /// Copies `bytes` into the window of slot `index`, at `offset`.
    ///
    /// # Panics
    /// If they don't fit.
    pub(super) fn fill_window(&self, index: u64, offset: u64, bytes: &[u8]) {
        let at = self.window(index, offset, bytes.len());
        // SAFETY: within the mapping. The stub may write there meanwhile, so no reference is made.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at.as_ptr(), bytes.len()) };
    }

    /// Copies the start of the window of slot `index` to `bytes`.
    ///
    /// # Panics
    /// If there are too many.
    pub(super) fn empty_window(&self, index: u64, bytes: &mut [u8]) {
        let at = self.window(index, 0, bytes.len());
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(at.as_ptr(), bytes.as_mut_ptr(), bytes.len()) };
    }

    fn window(&self, index: u64, offset: u64, length: usize) -> NonNull<u8> {
        assert!(offset + length as u64 <= WINDOW_BYTES, "a window must hold what is copied there");
        // SAFETY: within the mapping.
        unsafe { self.base.add((index.min(SLOTS - 1) * SLOT_BYTES + WINDOW + offset) as usize) }
    }
}

/// A file for [`Control`], whose size nobody can change.
fn control_file() -> Result<OwnedFd, Errno> {
    let file = memfd_create("quark-control", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&file, BYTES)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file)
}

impl Drop for Control {
    fn drop(&mut self) {
        // SAFETY: nobody borrows it any more.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), BYTES as usize) };
    }
}
