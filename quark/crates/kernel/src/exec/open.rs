//! Finding and reading the files of a program.

use std::sync::Arc;

use super::elf::{self, HEAD, Plan};
use crate::task::Credentials;
use crate::vfs::inode::kind;
use crate::vfs::mount::MountFlags;
use crate::vfs::open::{FsContext, OpenFile, Place};
use crate::vfs::path::{Last, Walker};
use crate::vfs::permission::{self, EXECUTE};
use crate::{Errno, Result};

/// Opens a file to be executed: a regular file that the caller may execute, on a mount without MS_NOEXEC (else EACCES). Relative paths
/// start at `directory`, or at the working directory. `follow`: of a symbolic link at the end (else ELOOP).
pub fn open_program(
    fs: &FsContext,
    credentials: &Credentials,
    directory: Option<&Place>,
    path: &[u8],
    follow: bool,
) -> Result<Arc<OpenFile>> {
    let walker = Walker::new(credentials, fs.root());
    let start = directory.cloned().unwrap_or_else(|| fs.directory());
    let place = walker.find(&start, path, if follow { Last::Follow } else { Last::Stay })?;
    open_place(place, credentials)
}

/// Opens what is already found, such as what a descriptor refers to (`fexecve`).
pub fn open_place(place: Place, credentials: &Credentials) -> Result<Arc<OpenFile>> {
    let inode = place.inode()?.clone();
    let (mode, ..) = inode.permissions()?;
    match mode & kind::MASK {
        kind::REGULAR => (),
        kind::SYMLINK => return Err(Errno::LOOP),
        _ => return Err(Errno::ACCESS),
    }
    if place.flags().contains(MountFlags::NO_EXECUTION) {
        return Err(Errno::ACCESS);
    }
    permission::check(&*inode, credentials, EXECUTE)?;
    let file = inode.open(libc::O_RDONLY as u32, credentials)?;
    Ok(OpenFile::new(file, libc::O_RDONLY as u32, Some(place)))
}

/// Reads as much as there is from `offset` on, up to `length` bytes.
pub fn read_some(file: &OpenFile, offset: u64, length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.file.read(rest, offset.wrapping_add(done as u64))? {
            0 => break,
            more => done += more,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// Reads the headers of an ELF file whose first bytes are `head`: ENOEXEC, EINVAL.
pub fn read_plan(file: &OpenFile, head: &[u8], end: u64) -> Result<Plan> {
    let (offset, length) = elf::locate_headers(head)?;
    let inside = usize::try_from(offset).ok().and_then(|start| head.get(start..start.checked_add(length)?));
    let headers = match inside {
        Some(headers) => headers.to_vec(),
        None => read_some(file, offset, length).map_err(|_| Errno::NOEXEC)?,
    };
    if headers.len() < length {
        return Err(Errno::NOEXEC);
    }
    elf::parse(head, &headers, end)
}

/// The path of a program's interpreter: ENOEXEC unless it ends with a NUL, EIO if the file is too short.
pub fn read_interpreter(file: &OpenFile, (offset, length): (u64, u64)) -> Result<Vec<u8>> {
    let mut path = read_some(file, offset, length as usize)?;
    if (path.len() as u64) < length {
        return Err(Errno::IO);
    }
    if path.pop() != Some(0) {
        return Err(Errno::NOEXEC);
    }
    path.truncate(path.iter().position(|byte| *byte == 0).unwrap_or(path.len()));
    Ok(path)
}

/// Opens and reads an interpreter: ELIBBAD if it is no ELF program for this machine.
pub fn read_loader(fs: &FsContext, credentials: &Credentials, path: &[u8], end: u64) -> Result<(Arc<OpenFile>, Plan)> {
    let file = open_program(fs, credentials, None, path, true)?;
    let head = read_some(&file, 0, HEAD)?;
    if head.len() < size_of::<[u64; 8]>() {
        return Err(Errno::IO);
    }
    let plan = read_plan(&file, &head, end).map_err(|error| if error == Errno::NOEXEC { Errno::LIBBAD } else { error })?;
    Ok((file, plan))
}
