//! `read`, `write` and their family.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use super::vectors::Vectors;
use crate::call::Call;
use crate::dispatch::Calls;
use crate::signal::{self, Origin};
use crate::task::lock;
use crate::vfs::inode::kind;
use crate::vfs::notify::{self, mask};
use crate::vfs::open::{OpenFile, flags};
use crate::vfs::permission;
use crate::wait::Events;
use crate::{Errno, Result};

pub const CALLS: Calls = &[
    (libc::SYS_read, |call| input(call, Request::plain)),
    (libc::SYS_pread64, |call| input(call, Request::at)),
    (libc::SYS_readv, |call| input(call, Request::vectors)),
    (libc::SYS_preadv, |call| input(call, Request::vectors_at)),
    (libc::SYS_preadv2, |call| input(call, Request::vectors_how)),
    (libc::SYS_write, |call| output(call, Request::plain)),
    (libc::SYS_pwrite64, |call| output(call, Request::at)),
    (libc::SYS_writev, |call| output(call, Request::vectors)),
    (libc::SYS_pwritev, |call| output(call, Request::vectors_at)),
    (libc::SYS_pwritev2, |call| output(call, Request::vectors_how)),
];

/// Bytes that are moved in one step. Datagrams and writes to pipes that have to be whole fit.
const STEP: usize = 256 << 10;
/// What of its buffer a thread keeps between calls.
const KEPT: usize = 64 << 10;
/// Buffers start at a multiple of this, as O_DIRECT asks for.
const ALIGNMENT: usize = 4096;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Runs `act` with an aligned buffer of `length` bytes of this thread's own.
fn with_buffer<T>(length: usize, act: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut memory = BUFFER.take();
    if memory.len() < length + ALIGNMENT {
        memory.resize(length + ALIGNMENT, 0);
    }
    let skip = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    let answer = act(memory.get_mut(skip..skip + length).unwrap_or_default());
    if memory.len() > KEPT + ALIGNMENT {
        memory = Vec::new();
    }
    BUFFER.set(memory);
    answer
}

/// RWF_* of `preadv2` and `pwritev2`.
mod how {
    /// RWF_HIPRI (1) is taken and makes no difference.
    pub const DATA_SYNC: u32 = 2;
    pub const SYNC: u32 = 4;
    pub const NO_WAIT: u32 = 8;
    pub const APPEND: u32 = 16;
    pub const NO_APPEND: u32 = 32;
    pub const ALL: u32 = 63;
}

/// What one call of the family asks for.
pub(super) struct Request {
    pub(super) file: Arc<OpenFile>,
    vectors: Vectors,
    /// `None`: the file's own.
    offset: Option<u64>,
    /// RWF_*.
    how: u32,
    /// One of the calls with an `iovec`.
    pieces: bool,
}

type Ask = fn(&mut Call<'_>) -> Result<Request>;

impl Request {
    fn plain(call: &mut Call<'_>) -> Result<Request> {
        let file = call.task.files().get(call.int(0))?;
        Ok(Request { file, vectors: Vectors::one(call.arg(1), call.arg(2))?, offset: None, how: 0, pieces: false })
    }

    fn at(call: &mut Call<'_>) -> Result<Request> {
        if (call.arg(3) as i64) < 0 {
            return Err(Errno::INVAL);
        }
        let mut request = Request::plain(call)?;
        if !request.file.file.seekable() {
            return Err(Errno::SPIPE);
        }
        request.offset = Some(call.arg(3));
        Ok(request)
    }

    fn vectors(call: &mut Call<'_>) -> Result<Request> {
        let file = call.task.files().get(call.int(0))?;
        Ok(Request { file, vectors: Vectors::read(call, call.arg(1), call.arg(2) & 0xffff_ffff)?, offset: None, how: 0, pieces: true })
    }

    fn vectors_at(call: &mut Call<'_>) -> Result<Request> {
        let offset = u64::try_from(call.arg(3) as i64).map_err(|_| Errno::INVAL)?;
        let mut request = Request::vectors(call)?;
        if !request.file.file.seekable() {
            return Err(Errno::SPIPE);
        }
        request.offset = Some(offset);
        Ok(request)
    }

    /// With RWF_*; an offset of -1 is the file's own.
    fn vectors_how(call: &mut Call<'_>) -> Result<Request> {
        let how = call.arg(5) as u32;
        if how & !how::ALL != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        let own = call.arg(3) as i64 == -1;
        let request = if own { Request::vectors(call)? } else { Request::vectors_at(call)? };
        Ok(Request { how, ..request })
    }

    /// One of `io_submit(2)`: at an offset, which what has no position ignores. EOPNOTSUPP for RWF_* that aren't.
    pub(super) fn of(file: Arc<OpenFile>, vectors: Vectors, offset: u64, how: u32) -> Result<Request> {
        if how & !how::ALL != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        Ok(Request { file, vectors, offset: Some(offset), how, pieces: true })
    }

    /// Pieces without a byte: the file isn't even asked.
    fn is_empty(&self) -> bool {
        self.pieces && self.vectors.total == 0
    }

    fn waits(&self) -> bool {
        !self.file.non_blocking() && self.how & how::NO_WAIT == 0
    }
}

/// Tries until it doesn't answer EAGAIN, and waits in between if the file is one to wait for.
pub(super) fn patiently(
    call: &Call<'_>,
    file: &OpenFile,
    waits: bool,
    interest: Events,
    mut attempt: impl FnMut() -> Result<usize>,
) -> Result<usize> {
    let first = attempt();
    if first != Err(Errno::AGAIN) || !waits {
        return first;
    }
    if file.file.host().is_none() && file.file.bell().is_none() && file.file.queue().is_none() {
        return Err(Errno::AGAIN);
    }
    let patience = file.file.patience(interest.contains(Events::OUT));
    let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
    let answer = call.task.block_on_file(&*file.file, interest, deadline, || match attempt() {
        Err(Errno::AGAIN) => None,
        answer => Some(answer),
    })?;
    answer.unwrap_or_else(|| file.file.out_of_patience())
}

/// `readv(2)`.
pub(super) fn input_vectors(call: &mut Call<'_>) -> Result<u64> {
    input(call, Request::vectors)
}

/// `writev(2)`.
pub(super) fn output_vectors(call: &mut Call<'_>) -> Result<u64> {
    output(call, Request::vectors)
}

fn input(call: &mut Call<'_>, ask: Ask) -> Result<u64> {
    let request = ask(call)?;
    request.file.readable()?;
    request.input(call)
}

fn output(call: &mut Call<'_>, ask: Ask) -> Result<u64> {
    let request = ask(call)?;
    request.file.writable()?;
    request.output(call)
}

impl Request {
    /// Reads, of a file that is open for it.
    pub(super) fn input(&self, call: &mut Call<'_>) -> Result<u64> {
        if self.is_empty() {
            return self.file.file.moves_bytes().then_some(0).ok_or(Errno::INVAL);
        }
        let open = self.file.clone();
        let answer = if !open.file.seekable() {
            input_from(call, self, &mut 0)
        } else {
            match self.offset {
                Some(mut offset) => input_from(call, self, &mut offset),
                None => input_from(call, self, &mut lock(&open.offset)),
            }
        };
        tell(&open, &answer, mask::ACCESS);
        answer
    }

    /// Writes, of a file that is open for it.
    pub(super) fn output(&self, call: &mut Call<'_>) -> Result<u64> {
        if self.is_empty() {
            return self.file.file.moves_bytes().then_some(0).ok_or(Errno::INVAL);
        }
        let open = self.file.clone();
        let limit = size_limit(call, self)?;
        let answer = if !open.file.seekable() {
            output_to(call, self, &mut 0, limit)
        } else if let Some(mut offset) = self.offset {
            output_to(call, self, &mut offset, limit)
        } else {
            output_to(call, self, &mut lock(&open.offset), limit)
        };
        if answer == Err(Errno::PIPE) {
            signal::send_to_task(call.task, libc::SIGPIPE, Origin::Kernel);
        }
        tell(&open, &answer, mask::MODIFY);
        if let (Ok(1..), Some(inode)) = (&answer, open.file.inode()) {
            permission::drop_privileges(inode.as_ref(), &call.task.credentials())?;
        }
        let syncs = self.how & (how::SYNC | how::DATA_SYNC) != 0;
        if syncs && answer.is_ok() {
            open.file.sync(self.how & how::SYNC == 0)?;
        }
        answer
    }
}

/// Who watches the file is told of what was moved.
fn tell(file: &OpenFile, answer: &Result<u64>, event: u32) {
    if let (Ok(1..), Some(place)) = (answer, &file.place) {
        notify::at(place, event);
    }
}

fn input_from(call: &mut Call<'_>, request: &Request, offset: &mut u64) -> Result<u64> {
    let file = &request.file;
    let total = request.vectors.total;
    let mut done = 0;
    loop {
        let want = usize::try_from(total - done).unwrap_or(STEP).min(STEP);
        let step = with_buffer(want, |buffer| {
            let count = patiently(call, file, request.waits(), Events::IN, || file.file.read(buffer, *offset))?;
            request.vectors.scatter(call, done, buffer.get(..count).unwrap_or_default())
        });
        let count = match step {
            Ok(count) => count,
            Err(_) if done > 0 => return Ok(done),
            Err(error) => return Err(error),
        };
        *offset = offset.saturating_add(count as u64);
        done += count as u64;
        if count < want || done == total || !file.file.seekable() {
            return Ok(done);
        }
    }
}

/// RLIMIT_FSIZE, if it is one and the file is regular.
fn size_limit(call: &Call<'_>, request: &Request) -> Result<Option<u64>> {
    let limit = call.task.process.limit(libc::RLIMIT_FSIZE);
    if limit == u64::MAX || !request.file.file.seekable() {
        return Ok(None);
    }
    let regular = request.file.file.stat()?.mode & kind::MASK == kind::REGULAR;
    Ok(regular.then_some(limit))
}

/// How many of `want` bytes at `offset` the file may still grow by: EFBIG and SIGXFSZ for none.
fn within_limit(call: &Call<'_>, limit: Option<u64>, offset: u64, want: usize) -> Result<usize> {
    let Some(limit) = limit else { return Ok(want) };
    if want > 0 && offset >= limit {
        signal::send_to_task(call.task, libc::SIGXFSZ, Origin::Kernel);
        return Err(Errno::FBIG);
    }
    Ok(want.min(usize::try_from(limit - offset.min(limit)).unwrap_or(want)))
}

fn output_to(call: &mut Call<'_>, request: &Request, offset: &mut u64, limit: Option<u64>) -> Result<u64> {
    let file = &request.file;
    let total = request.vectors.total;
    let appends = (file.flags() & flags::APPEND != 0 || request.how & how::APPEND != 0) && request.how & how::NO_APPEND == 0;
    let appends = appends && file.file.seekable();
    let mut done = 0;
    loop {
        let want = usize::try_from(total - done).unwrap_or(STEP).min(STEP);
        let step = within(call, request, appends, *offset, limit, want).and_then(|allowed| {
            with_buffer(allowed, |buffer| {
                let there = request.vectors.gather(call, done, buffer)?;
                if there < buffer.len() && !file.file.seekable() {
                    return Err(Errno::FAULT);
                }
                let from = buffer.get(..there).unwrap_or_default();
                output_step(call, request, from, offset, appends).map(|count| (count, allowed))
            })
        });
        let (count, allowed) = match step {
            Ok(counts) => counts,
            // A pipe without readers is told by a signal, even if something was written.
            Err(Errno::PIPE) if done > 0 => {
                signal::send_to_task(call.task, libc::SIGPIPE, Origin::Kernel);
                return Ok(done);
            }
            Err(_) if done > 0 => return Ok(done),
            Err(error) => return Err(error),
        };
        done += count as u64;
        let short = count < allowed && (file.file.seekable() || !request.waits()) || allowed < want || count == 0;
        if done == total || short {
            return Ok(done);
        }
    }
}

fn within(call: &Call<'_>, request: &Request, appends: bool, offset: u64, limit: Option<u64>, want: usize) -> Result<usize> {
    if limit.is_none() {
        return Ok(want);
    }
    let at = if appends { request.file.file.stat()?.size } else { offset };
    within_limit(call, limit, at, want)
}

fn output_step(call: &Call<'_>, request: &Request, from: &[u8], offset: &mut u64, appends: bool) -> Result<usize> {
    let file = &request.file;
    if appends {
        let (count, end) = file.file.append(from)?;
        *offset = end;
        return Ok(count);
    }
    let count = patiently(call, file, request.waits(), Events::OUT, || file.file.write(from, *offset))?;
    *offset = offset.saturating_add(count as u64);
    Ok(count)
}
