//! The arguments of `execve` and `execveat` (`man 2 execve`).

use std::sync::Arc;

use quark_host::platform::Platform;

use super::open::{open_place, open_program};
use super::stack::{STRING_MAX, strings_limit};
use super::{Loaded, Request, load};
use crate::call::Call;
use crate::memory::PAGE;
use crate::task::lock;
use crate::vfs::open::{OpenFile, Place};
use crate::{Errno, Result};

/// A C structure's pointer.
const POINTER: u64 = 8;

/// Loads what `execve` asks for. The caller is still as before.
pub fn read_execve(call: &mut Call<'_>, platform: &Platform, personality: u32) -> Result<Loaded> {
    let path = call.read_path(call.arg(0))?;
    let program = open_program(&call.task.fs(), &call.task.credentials(), None, &path, true)?;
    let found = Found { program, filename: path, name: None, vanishes: false };
    finish(call, platform, personality, found, [call.arg(1), call.arg(2)])
}

/// Loads what `execveat` asks for. The caller is still as before.
pub fn read_execveat(call: &mut Call<'_>, platform: &Platform, personality: u32) -> Result<Loaded> {
    let [fd, path, arguments, environment, flags, _] = call.args;
    let (fd, flags) = (fd as i32, flags as i32);
    let path = call.read_path(path)?;
    if path.is_empty() && flags & libc::AT_EMPTY_PATH == 0 {
        return Err(Errno::NOENT);
    }
    if flags & !(libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno::INVAL);
    }
    let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
    let found = find_at(call, fd, path, follow)?;
    finish(call, platform, personality, found, [arguments, environment])
}

/// A program that was found, and what it is called.
struct Found {
    program: Arc<OpenFile>,
    filename: Vec<u8>,
    /// `comm`, if it is not `filename`'s last component: a program without a path is called like its file (since Linux 6.14).
    name: Option<Vec<u8>>,
    vanishes: bool,
}

fn find_at(call: &Call<'_>, fd: i32, path: Vec<u8>, follow: bool) -> Result<Found> {
    let (fs, credentials) = (call.task.fs(), call.task.credentials());
    if fd == libc::AT_FDCWD || path.starts_with(b"/") {
        let program = match path.as_slice() {
            b"" => open_place(fs.directory(), &credentials)?,
            path => open_program(&fs, &credentials, None, path, follow)?,
        };
        return Ok(Found { program, filename: path, name: None, vanishes: false });
    }
    let files = call.task.files();
    let open = files.get_any(fd)?;
    let vanishes = files.close_on_exec(fd)?;
    let mut filename = format!("/dev/fd/{fd}").into_bytes();
    let mut name = None;
    let program = if path.is_empty() {
        name = Some(file_name(&open));
        open_file(&open, &credentials)?
    } else {
        filename = [&filename[..], b"/", &path].concat();
        let place: &Place = open.place.as_ref().ok_or(Errno::NOTDIR)?;
        open_program(&fs, &credentials, Some(place), &path, follow)?
    };
    Ok(Found { program, filename, name, vanishes })
}

/// The last component of a file's path; `memfd:name`.
fn file_name(open: &OpenFile) -> Vec<u8> {
    let whole = match &open.place {
        Some(place) => place.dentry.name().to_vec(),
        None => open.file.name(),
    };
    let name = whole.strip_prefix(b"/").unwrap_or(&whole);
    name.strip_suffix(b" (deleted)").unwrap_or(name).to_vec()
}

/// What a descriptor refers to; a memfd has no place, and needs no permission but to be open.
fn open_file(open: &Arc<OpenFile>, credentials: &crate::task::Credentials) -> Result<Arc<OpenFile>> {
    match &open.place {
        Some(place) => open_place(place.clone(), credentials),
        None if open.file.map(false).is_ok() => Ok(open.clone()),
        None => Err(Errno::ACCESS),
    }
}

fn finish(call: &mut Call<'_>, platform: &Platform, personality: u32, found: Found, lists: [u64; 2]) -> Result<Loaded> {
    let limits = *lock(&call.task.process.limits);
    let stack_limit = limits.get(libc::RLIMIT_STACK as usize).map_or(u64::MAX, |limit| limit.soft);
    let mut reader = Reader { call, page: None, left: strings_limit(stack_limit) };
    let [arguments, environment] = [reader.list(lists[0])?, reader.list(lists[1])?];
    let mut loaded = load(Request {
        platform,
        fs: &call.task.fs(),
        credentials: &call.task.credentials(),
        limits: &limits,
        personality,
        program: found.program,
        filename: found.filename,
        filename_vanishes: found.vanishes,
        arguments,
        environment,
    })?;
    if let Some(mut name) = found.name {
        name.truncate(15);
        loaded.name = name;
    }
    Ok(loaded)
}

/// Reads lists of strings. Most strings lie side by side: each page of the guest is read once.
struct Reader<'c, 'a> {
    call: &'c mut Call<'a>,
    page: Option<(u64, Vec<u8>)>,
    /// How many bytes may still come, strings and their pointers: E2BIG.
    left: u64,
}

impl Reader<'_, '_> {
    /// A list of pointers to strings that ends with a null pointer; a null pointer is an empty list.
    fn list(&mut self, address: u64) -> Result<Vec<Vec<u8>>> {
        let mut strings = Vec::new();
        if address == 0 {
            return Ok(strings);
        }
        for at in (0..).map(|index| address.wrapping_add(index * POINTER)) {
            let pointer = self.pointer(at)?;
            if pointer == 0 {
                break;
            }
            self.take(POINTER)?;
            strings.push(self.string(pointer)?);
        }
        Ok(strings)
    }

    fn take(&mut self, bytes: u64) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or(Errno::TOOBIG)?;
        Ok(())
    }

    fn pointer(&mut self, address: u64) -> Result<u64> {
        if !address.is_multiple_of(POINTER) {
            return self.call.read_value(address);
        }
        let bytes = self.page_from(address)?.first_chunk::<8>().ok_or(Errno::FAULT)?;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn string(&mut self, address: u64) -> Result<Vec<u8>> {
        let mut string = Vec::new();
        loop {
            let at = address.checked_add(string.len() as u64).ok_or(Errno::FAULT)?;
            let rest = self.page_from(at)?;
            let end = rest.iter().position(|byte| *byte == 0);
            string.extend_from_slice(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default());
            if string.len() >= STRING_MAX {
                return Err(Errno::TOOBIG);
            }
            if end.is_some() {
                break;
            }
        }
        self.take(string.len() as u64 + 1)?;
        Ok(string)
    }

    /// The page that has `address`, from there on.
    fn page_from(&mut self, address: u64) -> Result<&[u8]> {
        let start = address & !(PAGE - 1);
        let page = match self.page.take() {
            Some((known, page)) if known == start => page,
            _ => {
                let mut page = vec![0; PAGE as usize];
                self.call.read(start, &mut page)?;
                page
            }
        };
        let (_, page) = self.page.insert((start, page));
        page.get((address - start) as usize..).ok_or(Errno::FAULT)
    }
}
