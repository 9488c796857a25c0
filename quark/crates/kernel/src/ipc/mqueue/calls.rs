//! mq_open, mq_unlink, mq_timedsend, mq_timedreceive, mq_notify, mq_getsetattr.

use std::sync::Arc;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::files::QueueFile;
use super::notice::{COOKIE, Means, Notice, route_socket};
use super::queue::{Message, Sent, Shape};
use super::{MessageQueue, QUEUES, check_name, check_unlink};
use crate::call::{Call, restart};
use crate::dispatch::Calls;
use crate::ipc::sleeper::{Sleeper, Until};
use crate::task::lock;
use crate::time::value::TimeSpec;
use crate::vfs::open::{OpenFile, flags as open_flags};
use crate::vfs::permission;
use crate::{Errno, Result};

/// What this module answers.
pub const CALLS: Calls = &[
    (libc::SYS_mq_open, mq_open),
    (libc::SYS_mq_unlink, mq_unlink),
    (libc::SYS_mq_timedsend, mq_timedsend),
    (libc::SYS_mq_timedreceive, mq_timedreceive),
    (libc::SYS_mq_notify, mq_notify),
    (libc::SYS_mq_getsetattr, mq_getsetattr),
];

/// MQ_PRIO_MAX.
const PRIORITIES: u32 = 32768;

/// `struct mq_attr`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct QueueAttributes {
    flags: i64,
    messages: i64,
    size: i64,
    current: i64,
    reserved: [i64; 4],
}

fn mq_open(call: &mut Call<'_>) -> Result<u64> {
    let flags = call.int(1) as u32;
    let shape = match call.arg(3) {
        0 => Shape::default(),
        _ if flags & open_flags::CREATE == 0 => Shape::default(),
        at => {
            let wanted: QueueAttributes = call.read_value(at)?;
            Shape { messages: wanted.messages, size: wanted.size }
        }
    };
    let name = call.read_path(call.arg(0))?;
    check_name(&name)?;
    let credentials = call.task.credentials();
    let queue = {
        let mut queues = lock(&QUEUES);
        match queues.names.get(&name).cloned() {
            Some(queue) => {
                if flags & open_flags::CREATE != 0 && flags & open_flags::EXCLUSIVE != 0 {
                    return Err(Errno::EXIST);
                }
                let want = match flags & open_flags::ACCESS {
                    open_flags::READ_ONLY => permission::READ,
                    open_flags::WRITE_ONLY => permission::WRITE,
                    open_flags::READ_WRITE => permission::READ | permission::WRITE,
                    _ => return Err(Errno::INVAL),
                };
                permission::check(&*queue, &credentials, want)?;
                queue
            }
            None if flags & open_flags::CREATE == 0 => return Err(Errno::NOENT),
            None => {
                let mode = call.arg(2) as u32 & 0o7777 & !call.task.fs().umask();
                queues.create(&name, shape, mode, &credentials, &call.task.process)?
            }
        }
    };
    let kept = open_flags::ACCESS | open_flags::NON_BLOCKING;
    let flags = flags & kept | open_flags::CLOSE_ON_EXEC;
    call.install(QueueFile::new(queue), flags).map(|fd| fd as u64)
}

fn mq_unlink(call: &mut Call<'_>) -> Result<u64> {
    let name = call.read_path(call.arg(0))?;
    check_name(&name)?;
    let mut queues = lock(&QUEUES);
    let queue = queues.names.get(&name).ok_or(Errno::NOENT)?;
    check_unlink(queue, &call.task.credentials())?;
    queues.unlink(&name).map(|()| 0)
}

/// When an absolute timeout is: EFAULT, EINVAL.
fn deadline(call: &mut Call<'_>, index: usize) -> Result<Until> {
    match call.arg(index) {
        0 => Ok(Until::Ever),
        at => call.read_value::<TimeSpec>(at)?.duration().map(Until::Realtime),
    }
}

/// The queue of a descriptor: EBADF for everything else.
fn opened(call: &Call<'_>, fd: i32) -> Result<(Arc<OpenFile>, Arc<MessageQueue>)> {
    let file = call.task.files().get(fd)?;
    let queue = file.file.as_any().downcast_ref().map(|file: &QueueFile| file.queue.clone()).ok_or(Errno::BADF)?;
    Ok((file, queue))
}

fn late(error: Errno) -> Errno {
    if error == Errno::INTR { restart::SYS } else { error }
}

fn mq_timedsend(call: &mut Call<'_>) -> Result<u64> {
    let until = deadline(call, 4)?;
    let (from, length, priority) = (call.arg(1), call.arg(2), call.arg(3) as u32);
    if priority >= PRIORITIES {
        return Err(Errno::INVAL);
    }
    let (file, queue) = opened(call, call.int(0))?;
    file.writable()?;
    if length > queue.shape.size as u64 {
        return Err(Errno::MSGSIZE);
    }
    let text = call.read_values(from, length as usize)?;
    let task = call.task;
    let sender = Sleeper::new(task);
    let waiting = (!file.non_blocking()).then_some(&sender);
    match queue.send(Message { priority, text }, waiting) {
        Sent::Done => return Ok(0),
        Sent::Noticed(notice) => {
            notice.tell(task);
            return Ok(0);
        }
        Sent::Full => _ = waiting.ok_or(Errno::AGAIN)?,
    }
    let sent = sender.sleep(task, until).or_else(|error| {
        queue.forget_sender(&sender);
        sender.take().ok_or(late(error))
    });
    sent.map(|()| 0)
}

fn mq_timedreceive(call: &mut Call<'_>) -> Result<u64> {
    let until = deadline(call, 4)?;
    let (to, length, priority_to) = (call.arg(1), call.arg(2), call.arg(3));
    let (file, queue) = opened(call, call.int(0))?;
    file.readable()?;
    if length < queue.shape.size as u64 {
        return Err(Errno::MSGSIZE);
    }
    let task = call.task;
    let message = if file.non_blocking() {
        queue.receive(None).ok_or(Errno::AGAIN)?
    } else {
        let receiver = Sleeper::new(task);
        match queue.receive(Some(&receiver)) {
            Some(message) => message,
            None => receiver.sleep(task, until).or_else(|error| {
                queue.forget_receiver(&receiver);
                receiver.take().ok_or(late(error))
            })?,
        }
    };
    call.write(to, &message.text)?;
    if priority_to != 0 {
        call.write_value(priority_to, &message.priority)?;
    }
    Ok(message.text.len() as u64)
}

/// The start of a `struct sigevent`.
#[derive(Clone, Copy, FromBytes, IntoBytes)]
#[repr(C)]
struct Event {
    value: u64,
    signal: i32,
    notify: i32,
}

fn means(call: &mut Call<'_>, event: Event) -> Result<Means> {
    match event.notify {
        libc::SIGEV_NONE => Ok(Means::Silent),
        libc::SIGEV_SIGNAL if (0..=64).contains(&event.signal) => Ok(Means::Signal(event.signal, event.value)),
        libc::SIGEV_THREAD => {
            let mut cookie = [0; COOKIE];
            call.read(event.value, &mut cookie)?;
            let file = call.task.files().get(event.signal)?;
            if route_socket(&file).is_none() {
                return Err(Errno::NOTSOCK);
            }
            Ok(Means::Thread(cookie, file))
        }
        _ => Err(Errno::INVAL),
    }
}

fn mq_notify(call: &mut Call<'_>) -> Result<u64> {
    let means = match call.arg(1) {
        0 => None,
        at => {
            let event = call.read_value(at)?;
            Some(means(call, event)?)
        }
    };
    let (_, queue) = opened(call, call.int(0))?;
    let process = &call.task.process;
    let Some(means) = means else {
        let before = lock(&queue.state).notice.take_if(|notice| notice.is_of(process));
        if let Some(before) = before {
            before.withdraw();
        }
        return Ok(0);
    };
    let mut state = lock(&queue.state);
    // Of a process that has ended without closing it nothing is left to tell.
    if state.notice.as_ref().is_some_and(|notice| notice.process.strong_count() > 0) {
        return Err(Errno::BUSY);
    }
    state.notice = Some(Notice { process: Arc::downgrade(process), means });
    Ok(0)
}

fn mq_getsetattr(call: &mut Call<'_>) -> Result<u64> {
    let non_blocking = i64::from(libc::O_NONBLOCK);
    let wanted = match call.arg(1) {
        0 => None,
        at => Some(call.read_value::<QueueAttributes>(at)?.flags),
    };
    if wanted.is_some_and(|flags| flags & !non_blocking != 0) {
        return Err(Errno::INVAL);
    }
    let (file, queue) = opened(call, call.int(0))?;
    let before = QueueAttributes {
        flags: if file.non_blocking() { non_blocking } else { 0 },
        messages: queue.shape.messages,
        size: queue.shape.size,
        current: lock(&queue.state).held().0,
        reserved: [0; 4],
    };
    if let Some(flags) = wanted {
        file.set_non_blocking(flags != 0);
    }
    if call.arg(2) != 0 {
        call.write_value(call.arg(2), &before)?;
    }
    Ok(0)
}
