//! What a descriptor refers to.

use std::any::Any;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use crate::call::Call;
use crate::vfs::inode::{DirectoryEntry, Inode, Stat};
use crate::wait::{Bell, Events, WaitQueue};
use crate::{Errno, Result};

/// Where the pages of a mapping come from.
#[derive(Clone)]
pub struct MapSource {
    /// A file of the host, or a memfd, open for no more than the guest may: its stub process gets it and can keep it.
    pub file: Arc<OwnedFd>,
    /// Added to the guest's offset.
    pub offset: u64,
}

/// An open file of any kind: regular files, directories, pipes, sockets, terminals, epoll sets. Shared by all descriptors that `dup` and `fork` made of it.
///
/// Nothing here blocks: what isn't ready answers EAGAIN, and the system call waits on [`File::queue`] (see [`crate::task::Task::block_on`]).
/// Offset, flags such as O_APPEND and O_NONBLOCK are [`crate::vfs::open::OpenFile`]'s.
pub trait File: Send + Sync + Any {
    /// Reads at `offset` (streams ignore it) and returns how much; 0 is the end.
    fn read(&self, to: &mut [u8], offset: u64) -> Result<usize> {
        let _ = (to, offset);
        Err(Errno::INVAL)
    }

    /// Writes at `offset` (streams ignore it) and returns how much. `EPIPE` makes the system call send SIGPIPE.
    fn write(&self, from: &[u8], offset: u64) -> Result<usize> {
        let _ = (from, offset);
        Err(Errno::INVAL)
    }

    /// Writes at the end, atomically, and returns how much and where the end is now (O_APPEND).
    fn append(&self, from: &[u8]) -> Result<(usize, u64)> {
        let end = self.stat()?.size;
        let written = self.write(from, end)?;
        Ok((written, end + written as u64))
    }

    /// Whether it has a position: `lseek`, `pread`, `pwrite` work (else ESPIPE).
    fn seekable(&self) -> bool {
        false
    }

    /// Whether `lseek` of it, without a position, answers 0 instead of ESPIPE.
    fn ignores_position(&self) -> bool {
        false
    }

    /// Whether `read` and `write` are anything that it does: vectors of nothing are EINVAL else, not 0.
    fn moves_bytes(&self) -> bool {
        true
    }

    /// What it is ready for now, of `interest`, ERR and HUP.
    fn poll(&self, interest: Events) -> Events {
        interest & (Events::IN | Events::OUT | Events::RDNORM | Events::WRNORM)
    }

    /// Who waits for it. `None`: it is always ready (and epoll refuses it with EPERM).
    fn queue(&self) -> Option<&WaitQueue> {
        None
    }

    /// The host's descriptor that is ready exactly when this is, if there is one: who waits for this file alone waits on that
    /// ([`crate::task::Task::block_on_file`]), which saves the way through the reactor's thread.
    fn host(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// What rings whenever this may have become ready, if that is how it is told: who waits for this file alone waits on that, as with [`File::host`].
    fn bell(&self) -> Option<Bell> {
        None
    }

    /// `ioctl(2)`; ENOTTY for what it doesn't know.
    fn ioctl(&self, call: &mut Call<'_>, request: u32, argument: u64) -> Result<u64> {
        let _ = (call, request, argument);
        Err(Errno::NOTTY)
    }

    /// The inode it was opened from, if it has one: pipes, sockets and the like have none.
    fn inode(&self) -> Option<&Arc<dyn Inode>> {
        None
    }

    /// `fstat(2)`. What has no inode is told as Linux tells its anonymous inodes.
    fn stat(&self) -> Result<Stat> {
        match self.inode() {
            Some(inode) => inode.stat(),
            None => Ok(Stat { inode: 1, mode: 0o600, links: 1, block_size: 4096, ..Stat::default() }),
        }
    }

    /// Entries of a directory from `position` on (0 is the start; an entry's `next` is the position behind it), as many as `room` bytes of linux_dirent64 hold.
    fn entries(&self, position: u64, room: usize) -> Result<Vec<DirectoryEntry>> {
        let _ = (position, room);
        Err(Errno::NOTDIR)
    }

    /// `ftruncate(2)`.
    fn truncate(&self, size: u64) -> Result<()> {
        let _ = size;
        Err(Errno::INVAL)
    }

    /// `fallocate(2)`.
    fn allocate(&self, mode: u32, offset: u64, length: u64) -> Result<()> {
        let _ = (mode, offset, length);
        Err(Errno::OPNOTSUPP)
    }

    /// `fsync(2)` or `fdatasync(2)`.
    fn sync(&self, data_only: bool) -> Result<()> {
        let _ = data_only;
        Err(Errno::INVAL)
    }

    /// Where SEEK_DATA or SEEK_HOLE (`hole`) leads from `offset`.
    fn seek_data(&self, offset: u64, hole: bool) -> Result<u64> {
        let _ = (offset, hole);
        Err(Errno::INVAL)
    }

    /// What `mmap` maps. `write`: shared and writable. ENODEV if it can't be mapped.
    fn map(&self, write: bool) -> Result<MapSource> {
        let _ = write;
        Err(Errno::NODEV)
    }

    /// What `/proc/self/fd/N` links to where there is no path: `pipe:[7]`, `socket:[8]`, `anon_inode:[eventpoll]`.
    fn name(&self) -> Vec<u8> {
        b"anon_inode:[unknown]".to_vec()
    }

    /// Lines of its own in `/proc/self/fdinfo/N`.
    fn information(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Opens it once more, by `/proc/self/fd/N` or `/dev/stdin`: `None` shares this one, ENXIO for what can't be opened so.
    fn reopen(&self, flags: u32) -> Result<Option<Arc<dyn File>>> {
        let _ = flags;
        Ok(None)
    }

    /// `fcntl(2)` commands that are its own: F_GETPIPE_SZ, F_SETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS. EINVAL (EBADF for a pipe's) for what it doesn't know.
    fn control(&self, command: i32, argument: u64) -> Result<u64> {
        let _ = argument;
        Err(if matches!(command, libc::F_GETPIPE_SZ | libc::F_SETPIPE_SZ) { Errno::BADF } else { Errno::INVAL })
    }

    /// How long `read` (or `write`) waits before EAGAIN: SO_RCVTIMEO and SO_SNDTIMEO. `None` is for ever.
    fn patience(&self, write: bool) -> Option<Duration> {
        let _ = write;
        None
    }

    /// What a read or write answers that has waited as long as [`File::patience`] said.
    fn out_of_patience(&self) -> Result<usize> {
        Err(Errno::AGAIN)
    }

    /// `F_SETFL` changed flags that the file may care about (O_NONBLOCK is handled outside).
    fn flags_changed(&self, flags: u32) {
        let _ = flags;
    }

    /// A descriptor of it was closed in a process (POSIX locks, `flush`). The last one drops it.
    fn closed(&self) {}

    /// For those who need to know the kind: `file.as_any().downcast_ref::<Socket>()`.
    fn as_any(&self) -> &dyn Any;
}
