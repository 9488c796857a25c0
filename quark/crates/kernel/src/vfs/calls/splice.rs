//! `sendfile`, `splice`, `tee`, `vmsplice`: bytes go from one file to another without a buffer of the guest's.

use std::sync::Arc;

use super::io::{input_vectors, output_vectors, patiently};
use crate::call::Call;
use crate::dispatch::Calls;
use crate::pipe::PipeEnd;
use crate::signal::{self, Origin};
use crate::task::lock;
use crate::vfs::inode::kind;
use crate::vfs::open::{OpenFile, flags};
use crate::wait::Events;
use crate::{Errno, Result};

pub const CALLS: Calls =
    &[(libc::SYS_sendfile, sendfile), (libc::SYS_splice, splice), (libc::SYS_tee, tee), (libc::SYS_vmsplice, vmsplice)];

/// Bytes of a step.
const STEP: usize = 64 << 10;
/// What surely fits into a pipe that takes anything: one page. More is not taken from what can't be read again.
const SURE: usize = 4096;
/// SPLICE_F_MOVE, _NONBLOCK, _MORE, _GIFT.
const SPLICE_FLAGS: u32 = 0xf;

/// Where bytes come from or go to.
struct Side {
    open: Arc<OpenFile>,
    /// The guest's offset, instead of the file's own.
    given: Option<u64>,
    waits: bool,
}

impl Side {
    fn pipe(&self) -> Option<&PipeEnd> {
        self.open.file.as_any().downcast_ref()
    }

    /// Does something at the side's offset, which moves on by the answer.
    fn at_offset(&mut self, act: impl FnOnce(&OpenFile, u64) -> Result<usize>) -> Result<usize> {
        if let Some(offset) = &mut self.given {
            let count = act(&self.open, *offset)?;
            *offset += count as u64;
            return Ok(count);
        }
        if !self.open.file.seekable() {
            return act(&self.open, 0);
        }
        let mut offset = lock(&self.open.offset);
        let count = act(&self.open, *offset)?;
        *offset += count as u64;
        Ok(count)
    }

    /// Waits until it may be read from or written to: EAGAIN if it isn't to wait.
    fn wait(&self, call: &Call<'_>, events: Events) -> Result<()> {
        let told = events | Events::HUP | Events::ERR;
        let ready = || if self.open.file.poll(told).is_empty() { Err(Errno::AGAIN) } else { Ok(0) };
        if self.waits { patiently(call, &self.open, true, events, ready).map(drop) } else { Err(Errno::AGAIN) }
    }
}

fn side(call: &Call<'_>, fd: i32, blocking: bool) -> Result<Side> {
    let open = call.task.files().get(fd)?;
    let waits = blocking && !open.non_blocking();
    Ok(Side { open, given: None, waits })
}

fn read_offset(call: &mut Call<'_>, side: &mut Side, address: u64) -> Result<()> {
    if address != 0 {
        side.given = Some(u64::try_from(call.read_value::<i64>(address)?).map_err(|_| Errno::INVAL)?);
    }
    Ok(())
}

fn tell_offset(call: &mut Call<'_>, side: &Side, address: u64) -> Result<()> {
    side.given.map_or(Ok(()), |offset| call.write_value(address, &offset))
}

/// A pipe or socket whose other end is gone is told by a signal too.
fn told(call: &Call<'_>, answer: Result<u64>) -> Result<u64> {
    if answer == Err(Errno::PIPE) {
        signal::send_to_task(call.task, libc::SIGPIPE, Origin::Kernel);
    }
    answer
}

fn is_regular(open: &OpenFile) -> Result<bool> {
    Ok(open.file.stat()?.mode & kind::MASK == kind::REGULAR)
}

fn sendfile(call: &mut Call<'_>) -> Result<u64> {
    let (address, count) = (call.arg(2), call.arg(3).min(super::vectors::TRANSFER_MAX));
    let mut from = side(call, call.int(1), true)?;
    from.open.readable()?;
    if address != 0 && !from.open.file.seekable() {
        return Err(Errno::SPIPE);
    }
    read_offset(call, &mut from, address)?;
    let mut to = side(call, call.int(0), true)?;
    to.open.writable()?;
    if !is_regular(&from.open)? || to.open.flags() & flags::APPEND != 0 {
        return Err(Errno::INVAL);
    }
    let answer = pump(call, &mut from, &mut to, count);
    tell_offset(call, &from, address)?;
    told(call, answer)
}

/// Reads and writes until all is done, one ends, or one would wait after something was done.
fn pump(call: &mut Call<'_>, from: &mut Side, to: &mut Side, count: u64) -> Result<u64> {
    let step = if from.open.file.seekable() { STEP } else { SURE };
    let mut buffer = vec![0; step.min(usize::try_from(count).unwrap_or(step))];
    let mut done = 0;
    while done < count {
        let want = usize::try_from(count - done).unwrap_or(step).min(buffer.len());
        let answer = from.at_offset(|file, offset| {
            let read = file.file.read(buffer.get_mut(..want).unwrap_or_default(), offset)?;
            to.at_offset(|file, offset| file.file.write(buffer.get(..read).unwrap_or_default(), offset))
        });
        match answer {
            Ok(0) => break,
            Ok(moved) => done += moved as u64,
            Err(Errno::AGAIN) if from.open.file.seekable() && (done == 0 || to.pipe().is_none()) => match to.wait(call, Events::OUT) {
                Ok(()) => {}
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            },
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Takes from a pipe, or copies (`keep`), as much as the other side takes at once.
fn drain(call: &Call<'_>, from: &Side, to: &mut Side, count: u64, keep: bool) -> Result<u64> {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(1 << 20);
    loop {
        let mut full = false;
        let pipe = from.pipe().ok_or(Errno::INVAL)?;
        let answer = pipe.drain(count, keep, |bytes| {
            let written = to.at_offset(|file, offset| file.file.write(bytes, offset));
            full = written == Err(Errno::AGAIN);
            written
        });
        match answer {
            Err(Errno::AGAIN) if full => to.wait(call, Events::OUT)?,
            Err(Errno::AGAIN) => from.wait(call, Events::IN)?,
            answer => return answer.map(|moved| moved as u64),
        }
    }
}

fn splice(call: &mut Call<'_>) -> Result<u64> {
    let (from_at, to_at, count, how) = (call.arg(1), call.arg(3), call.arg(4), call.arg(5) as u32);
    if count == 0 {
        return Ok(0);
    }
    if how & !SPLICE_FLAGS != 0 {
        return Err(Errno::INVAL);
    }
    let blocking = how & libc::SPLICE_F_NONBLOCK == 0;
    let (mut from, mut to) = (side(call, call.int(0), blocking)?, side(call, call.int(2), blocking)?);
    if from.pipe().is_some() && from_at != 0 || to.pipe().is_some() && to_at != 0 {
        return Err(Errno::SPIPE);
    }
    read_offset(call, &mut from, from_at)?;
    read_offset(call, &mut to, to_at)?;
    from.open.readable()?;
    to.open.writable()?;
    let answer = match (from.pipe(), to.pipe()) {
        (Some(one), Some(other)) if one.same_pipe(other) => return Err(Errno::INVAL),
        (Some(_), _) if to.open.flags() & flags::APPEND != 0 || to.given.is_some() && !to.open.file.seekable() => return Err(Errno::INVAL),
        (Some(_), _) => drain(call, &from, &mut to, count, false),
        (None, Some(_)) if from.given.is_some() && !from.open.file.seekable() => return Err(Errno::INVAL),
        (None, Some(_)) => fill(call, &mut from, &mut to, count),
        (None, None) => return Err(Errno::INVAL),
    };
    tell_offset(call, &from, from_at)?;
    tell_offset(call, &to, to_at)?;
    told(call, answer)
}

/// Into a pipe: waits until it takes something and, for what can't be read again, until there is something.
fn fill(call: &mut Call<'_>, from: &mut Side, to: &mut Side, count: u64) -> Result<u64> {
    to.wait(call, Events::OUT).or_else(|error| if to.open.file.poll(Events::OUT).is_empty() { Err(error) } else { Ok(()) })?;
    loop {
        match pump(call, from, to, count.min(STEP as u64)) {
            Err(Errno::AGAIN) => from.wait(call, Events::IN)?,
            answer => return answer,
        }
    }
}

fn tee(call: &mut Call<'_>) -> Result<u64> {
    let (count, how) = (call.arg(2), call.arg(3) as u32);
    if how & !SPLICE_FLAGS != 0 {
        return Err(Errno::INVAL);
    }
    if count == 0 {
        return Ok(0);
    }
    let blocking = how & libc::SPLICE_F_NONBLOCK == 0;
    let (from, mut to) = (side(call, call.int(0), blocking)?, side(call, call.int(1), blocking)?);
    from.open.readable()?;
    to.open.writable()?;
    match (from.pipe(), to.pipe()) {
        (Some(one), Some(other)) if !one.same_pipe(other) => {}
        _ => return Err(Errno::INVAL),
    }
    let answer = drain(call, &from, &mut to, count, true);
    told(call, answer)
}

/// A `writev` to a pipe, or a `readv` from one: whose pages they are can't be seen.
fn vmsplice(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(3) as u32 & !SPLICE_FLAGS != 0 {
        return Err(Errno::INVAL);
    }
    let side = side(call, call.int(0), true)?;
    if side.open.is_path() {
        return Err(Errno::BADF);
    }
    match (call.arg(2), side.pipe()) {
        (0, _) => Ok(0),
        (_, None) => Err(Errno::BADF),
        _ if side.open.writable().is_ok() => output_vectors(call),
        _ => input_vectors(call),
    }
}
