//! Asynchronous input and output (`man 7 aio`, `io_submit(2)`). Reads, writes and syncs are done when they are submitted, as Linux does them
//! for files that are read through its cache; what is waited for is readiness (IOCB_CMD_POLL).

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::io::Request;
use super::vectors::Vectors;
use crate::call::{Call, restart};
use crate::dispatch::Calls;
use crate::eventfd::EventFd;
use crate::memory::Memory;
use crate::poll::block_signals;
use crate::task::lock;
use crate::time::timers::deadline_after;
use crate::time::value::read_timespec;
use crate::vfs::open::OpenFile;
use crate::wait::{Events, WaitQueue, Waiter};
use crate::{Errno, Result};

pub const CALLS: Calls = &[
    (libc::SYS_io_setup, io_setup),
    (libc::SYS_io_destroy, io_destroy),
    (libc::SYS_io_submit, io_submit),
    (libc::SYS_io_cancel, io_cancel),
    (libc::SYS_io_getevents, io_getevents),
    (IO_PGETEVENTS, io_pgetevents),
];

/// `io_pgetevents`, which libc has no name for.
const IO_PGETEVENTS: i64 = 333;
/// `fs.aio-max-nr`: requests of all contexts of the pod.
const REQUESTS_MAX: u64 = 65536;
/// Beyond it a context is EINVAL.
const CONTEXT_MAX: u64 = 0x1000_0000 / 32;
const IOCB_FLAG_RESFD: u32 = 1;

static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// `struct iocb`, as of a little-endian machine.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Block {
    data: u64,
    key: u32,
    how: u32,
    operation: u16,
    priority: i16,
    fd: i32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    result_fd: i32,
}

/// Where the key is in it.
const KEY_AT: u64 = 8;

/// `struct io_event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
struct Event {
    data: u64,
    object: u64,
    result: i64,
    more: i64,
}

/// The contexts of an address space, by the address that is their id.
#[derive(Default)]
pub struct Contexts(Mutex<BTreeMap<u64, Arc<Context>>>);

/// What was submitted and not yet taken.
struct Context {
    most: u64,
    state: Mutex<State>,
    changed: WaitQueue,
}

#[derive(Default)]
struct State {
    done: VecDeque<Event>,
    waiting: Vec<Arc<Poll>>,
    destroyed: bool,
}

/// A request that waits for readiness.
struct Poll {
    context: Weak<Context>,
    file: Arc<OpenFile>,
    asked: Events,
    data: u64,
    object: u64,
    told: Option<Arc<OpenFile>>,
    over: AtomicBool,
}

impl Context {
    fn room(&self) -> bool {
        let state = lock(&self.state);
        ((state.done.len() + state.waiting.len()) as u64) < self.most
    }

    /// A request is over: whoever waits for it, or for its eventfd, is told.
    fn complete(&self, event: Event, told: Option<&Arc<OpenFile>>) {
        lock(&self.state).done.push_back(event);
        self.changed.notify(Events::IN);
        if let Some(file) = told {
            // A counter at its end stays there.
            let _ = file.file.write(&1_u64.to_ne_bytes(), 0);
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        REQUESTS.fetch_sub(self.most, Ordering::Relaxed);
    }
}

impl Poll {
    fn finish(&self, ready: Events) {
        if self.over.swap(true, Ordering::SeqCst) {
            return;
        }
        let Some(context) = self.context.upgrade() else { return };
        let me = lock(&context.state).waiting.extract_if(.., |other| std::ptr::eq(Arc::as_ptr(other), self)).next();
        let event = Event { data: self.data, object: self.object, result: i64::from(ready.bits()), more: 0 };
        context.complete(event, self.told.as_ref());
        drop(me);
    }
}

impl Waiter for Poll {
    fn notify(&self, events: Events) -> bool {
        let ready = events & (self.asked | Events::ERR | Events::HUP);
        if !ready.is_empty() {
            self.finish(ready);
        }
        false
    }
}

fn find(memory: &Memory, id: u64) -> Result<Arc<Context>> {
    lock(&memory.contexts.0).get(&id).cloned().ok_or(Errno::INVAL)
}

fn io_setup(call: &mut Call<'_>) -> Result<u64> {
    let (most, to) = (call.arg(0) & 0xffff_ffff, call.arg(1));
    if call.read_value::<u64>(to)? != 0 || most == 0 || most > CONTEXT_MAX {
        return Err(Errno::INVAL);
    }
    let reserved = REQUESTS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |all| Some(all + most).filter(|all| *all <= REQUESTS_MAX));
    reserved.map_err(|_| Errno::AGAIN)?;
    let context = Arc::new(Context { most, state: Mutex::default(), changed: WaitQueue::new() });
    let memory = call.task.memory();
    // The C library looks for a ring of events there, and finds none in a page of zeros.
    let id = crate::memory::map_page(call)?;
    lock(&memory.contexts.0).insert(id, context);
    if let Err(error) = call.write_value(to, &id) {
        destroy(call, id)?;
        return Err(error);
    }
    Ok(0)
}

fn io_destroy(call: &mut Call<'_>) -> Result<u64> {
    destroy(call, call.arg(0)).map(|()| 0)
}

fn destroy(call: &mut Call<'_>, id: u64) -> Result<()> {
    let memory = call.task.memory();
    let context = lock(&memory.contexts.0).remove(&id).ok_or(Errno::INVAL)?;
    let waiting = {
        let mut state = lock(&context.state);
        state.destroyed = true;
        std::mem::take(&mut state.waiting)
    };
    waiting.iter().for_each(|poll| poll.over.store(true, Ordering::SeqCst));
    context.changed.notify(Events::IN);
    memory.unmap(call.context, id, 4096)
}

fn io_submit(call: &mut Call<'_>) -> Result<u64> {
    let (count, list) = (call.arg(1) as i64, call.arg(2));
    let count = u64::try_from(count).map_err(|_| Errno::INVAL)?;
    let context = find(&call.task.memory(), call.arg(0))?;
    for index in 0..count.min(context.most) {
        let submitted = index
            .checked_mul(8)
            .and_then(|skip| list.checked_add(skip))
            .ok_or(Errno::FAULT)
            .and_then(|at| call.read_value(at))
            .and_then(|block| submit(call, &context, block));
        match submitted {
            Ok(()) => {}
            Err(_) if index > 0 => return Ok(index),
            Err(error) => return Err(error),
        }
    }
    Ok(count.min(context.most))
}

fn submit(call: &mut Call<'_>, context: &Arc<Context>, object: u64) -> Result<()> {
    let block: Block = call.read_value(object)?;
    if block.reserved != 0 || (block.bytes as i64) < 0 {
        return Err(Errno::INVAL);
    }
    if !context.room() {
        return Err(Errno::AGAIN);
    }
    let file = call.task.files().get(block.fd)?;
    let told = if block.flags & IOCB_FLAG_RESFD != 0 {
        let file = call.task.files().get(block.result_fd)?;
        file.file.as_any().downcast_ref::<EventFd>().ok_or(Errno::INVAL)?;
        Some(file)
    } else {
        None
    };
    call.write_value(object + KEY_AT, &0_u32)?;
    let result = match block.operation {
        0 | 7 => {
            let request = transfer(call, &block, file)?;
            request.file.readable()?;
            request.input(call)
        }
        1 | 8 => {
            let request = transfer(call, &block, file)?;
            request.file.writable()?;
            request.output(call)
        }
        2 | 3 => {
            if block.buffer != 0 || block.offset != 0 || block.bytes != 0 || block.how != 0 {
                return Err(Errno::INVAL);
            }
            file.file.inode().ok_or(Errno::INVAL)?;
            file.file.sync(block.operation == 3).map(|()| 0)
        }
        5 => return poll(context, &block, object, file, told),
        _ => return Err(Errno::INVAL),
    };
    let result = match result {
        Ok(count) => count as i64,
        Err(error) if crate::signal::deliver::is_restart(error) => -i64::from(libc::EINTR),
        Err(error) => -i64::from(error.raw_os_error()),
    };
    context.complete(Event { data: block.data, object, result, more: 0 }, told.as_ref());
    Ok(())
}

fn transfer(call: &mut Call<'_>, block: &Block, file: Arc<OpenFile>) -> Result<Request> {
    let vectors = match block.operation {
        0 | 1 => Vectors::one(block.buffer, block.bytes)?,
        _ => Vectors::read(call, block.buffer, block.bytes)?,
    };
    let offset = u64::try_from(block.offset).map_err(|_| Errno::INVAL)?;
    Request::of(file, vectors, offset, block.how)
}

fn poll(context: &Arc<Context>, block: &Block, object: u64, file: Arc<OpenFile>, told: Option<Arc<OpenFile>>) -> Result<()> {
    let asked = u32::try_from(block.buffer).ok().filter(|asked| *asked <= 0xffff).ok_or(Errno::INVAL)?;
    if block.offset != 0 || block.bytes != 0 || block.how != 0 {
        return Err(Errno::INVAL);
    }
    let asked = Events::from_bits_truncate(asked);
    let poll =
        Arc::new(Poll { context: Arc::downgrade(context), file, asked, data: block.data, object, told, over: AtomicBool::new(false) });
    lock(&context.state).waiting.push(poll.clone());
    let waiter: Arc<dyn Waiter> = poll.clone();
    // A dropped waiter is forgotten by the queue. What has none is always ready.
    poll.file.file.queue().map(|queue| queue.register(asked, &waiter));
    let ready = poll.file.file.poll(asked | Events::ERR | Events::HUP);
    if !ready.is_empty() {
        poll.finish(ready);
    }
    Ok(())
}

fn io_cancel(call: &mut Call<'_>) -> Result<u64> {
    let (id, object) = (call.arg(0), call.arg(1));
    if call.read_value::<u32>(object.checked_add(KEY_AT).ok_or(Errno::FAULT)?)? != 0 {
        return Err(Errno::INVAL);
    }
    let context = find(&call.task.memory(), id)?;
    let poll = lock(&context.state).waiting.iter().find(|poll| poll.object == object).cloned().ok_or(Errno::INVAL)?;
    poll.finish(Events::empty());
    // Its event is told as any other's.
    Err(Errno::INPROGRESS)
}

fn io_getevents(call: &mut Call<'_>) -> Result<u64> {
    take_events(call)
}

fn io_pgetevents(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(5) != 0 {
        let [mask, size]: [u64; 2] = call.read_value(call.arg(5))?;
        block_signals(call, mask, size)?;
    }
    take_events(call)
}

fn take_events(call: &mut Call<'_>) -> Result<u64> {
    let (least, most, to) = (call.arg(1) as i64, call.arg(2) as i64, call.arg(3));
    let timeout = read_timespec(call, call.arg(4))?;
    let context = find(&call.task.memory(), call.arg(0))?;
    if least < 0 || least > most {
        return Err(Errno::INVAL);
    }
    let (least, most) = (least as usize, most as usize);
    let deadline = timeout.and_then(deadline_after);
    let mut events = Vec::new();
    let mut enough = || {
        let mut state = lock(&context.state);
        let room = (most - events.len()).min(state.done.len());
        events.extend(state.done.drain(..room));
        (events.len() >= least || state.destroyed).then_some(())
    };
    let now = timeout.is_some_and(|timeout| timeout.is_zero());
    let waited = if enough().is_some() || now { Ok(Some(())) } else { call.task.block_on(&context.changed, Events::IN, deadline, enough) };
    if waited == Err(restart::SYS) && events.is_empty() {
        return Err(Errno::INTR);
    }
    let size = size_of::<Event>() as u64;
    for (event, index) in events.iter().zip(0..) {
        call.write_value(to.checked_add(index * size).ok_or(Errno::FAULT)?, event)?;
    }
    Ok(events.len() as u64)
}
