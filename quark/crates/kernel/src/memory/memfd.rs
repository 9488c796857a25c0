//! `memfd_create(2)`: a file without a name. It is a memfd of the host, which keeps its seals.

use std::any::Any;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, SeekFrom, fallocate, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, seek};
use rustix::io::{pread, pwrite};

use super::pages::Pages;
use crate::call::Call;
use crate::file::{File, MapSource};
use crate::vfs::inode::{Stat, TimeStamp, kind};
use crate::vfs::open::{OpenFile, flags};
use crate::{Errno, Result};

/// The longest name, without its NUL (NAME_MAX less `memfd:`).
const NAME_MAX: usize = 249;
/// MFD_HUGETLB and the size behind it.
const HUGE: u32 = 4 | 0x3f << 26;
/// MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_NOEXEC_SEAL, MFD_EXEC.
const KNOWN: u32 = 1 | 2 | 8 | 16;

/// A file of memory.
pub struct MemoryFile {
    pages: Pages,
    name: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
}

/// `man 2 memfd_create`
pub fn create(call: &mut Call<'_>) -> Result<u64> {
    let wanted = call.arg(1) as u32;
    if wanted & !(KNOWN | HUGE) != 0 || wanted & 24 == 24 {
        return Err(Errno::INVAL);
    }
    let name = call.read_string(call.arg(0), NAME_MAX + 1, Errno::INVAL)?;
    if wanted & HUGE != 0 {
        // There are no huge pages in the pool.
        return Err(if wanted & 4 != 0 { Errno::NOMEM } else { Errno::INVAL });
    }
    let no_exec = wanted & 8 != 0;
    let sealing = if no_exec || wanted & 2 != 0 { MemfdFlags::ALLOW_SEALING } else { MemfdFlags::empty() };
    let executable = if no_exec { MemfdFlags::NOEXEC_SEAL } else { MemfdFlags::empty() };
    let pages = Pages::new("memfd", sealing | executable)?;
    let credentials = call.task.credentials();
    let file =
        Arc::new(MemoryFile { pages, name, mode: if no_exec { 0o666 } else { 0o777 }, owner: (credentials.fsuid, credentials.fsgid) });
    let open = OpenFile::anonymous(file, flags::READ_WRITE | flags::LARGE_FILE);
    let limit = call.task.process.limit(libc::RLIMIT_NOFILE);
    let fd = call.task.files().install(open, 0, wanted & 1 != 0, limit)?;
    Ok(fd as u64)
}

impl File for MemoryFile {
    fn read(&self, to: &mut [u8], offset: u64) -> Result<usize> {
        pread(&self.pages, to, offset)
    }

    fn write(&self, from: &[u8], offset: u64) -> Result<usize> {
        pwrite(&self.pages, from, offset)
    }

    fn seekable(&self) -> bool {
        true
    }

    fn stat(&self) -> Result<Stat> {
        let of = fstat(&self.pages)?;
        let time = |seconds, nanoseconds: u64| TimeStamp { seconds, nanoseconds: nanoseconds as u32 };
        Ok(Stat {
            device: 1,
            inode: of.st_ino,
            mode: kind::REGULAR | self.mode,
            links: 0,
            uid: self.owner.0,
            gid: self.owner.1,
            represents: 0,
            size: of.st_size as u64,
            block_size: 4096,
            blocks: of.st_blocks as u64,
            accessed: time(of.st_atime, of.st_atime_nsec),
            modified: time(of.st_mtime, of.st_mtime_nsec),
            changed: time(of.st_ctime, of.st_ctime_nsec),
            born: None,
        })
    }

    fn truncate(&self, size: u64) -> Result<()> {
        ftruncate(&self.pages, size)
    }

    fn allocate(&self, mode: u32, offset: u64, length: u64) -> Result<()> {
        fallocate(&self.pages, FallocateFlags::from_bits_retain(mode), offset, length)
    }

    fn sync(&self, _: bool) -> Result<()> {
        Ok(())
    }

    fn seek_data(&self, offset: u64, hole: bool) -> Result<u64> {
        seek(&self.pages, if hole { SeekFrom::Hole(offset) } else { SeekFrom::Data(offset) })
    }

    fn map(&self, write: bool) -> Result<MapSource> {
        self.pages.map(write)
    }

    fn control(&self, command: i32, argument: u64) -> Result<u64> {
        match command {
            libc::F_GET_SEALS => Ok(u64::from(fcntl_get_seals(&self.pages)?.bits())),
            libc::F_ADD_SEALS => {
                let seals = u32::try_from(argument).map_err(|_| Errno::INVAL)?;
                fcntl_add_seals(&self.pages, SealFlags::from_bits_retain(seals))?;
                Ok(0)
            }
            _ => Err(Errno::INVAL),
        }
    }

    fn name(&self) -> Vec<u8> {
        [b"/memfd:", &self.name[..], b" (deleted)"].concat()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
