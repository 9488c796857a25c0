//! msgget, msgsnd, msgrcv, msgctl.

use std::sync::{Arc, Mutex};

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::queue::{Message, Queue, Wanted};
use super::{MessageQueue, QUEUES, find};
use crate::call::{Call, restart};
use crate::dispatch::Calls;
use crate::ipc::limits::limits;
use crate::ipc::{IpcChange, IpcOwner, IpcPermissions, now};
use crate::task::lock;
use crate::vfs::permission::capability;
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// What this module answers.
pub const CALLS: Calls = &[(libc::SYS_msgget, msgget), (libc::SYS_msgsnd, msgsnd), (libc::SYS_msgrcv, msgrcv), (libc::SYS_msgctl, msgctl)];

const MSG_STAT: i32 = 11;
const MSG_INFO: i32 = 12;
const MSG_STAT_ANY: i32 = 13;
const READ: u32 = 0o444;
const WRITE: u32 = 0o222;

fn msgget(call: &mut Call<'_>) -> Result<u64> {
    let (key, flags) = (call.int(0), call.int(1));
    let credentials = call.task.credentials();
    let mut table = lock(&QUEUES);
    let known = table.find(key, flags, &credentials, |queue| lock(&queue.state).owner.clone(), |_| true)?;
    if let Some(id) = known {
        return Ok(id as u64);
    }
    let state = Mutex::new(Queue::new(IpcOwner::new(key, &credentials, flags as u32)));
    table.add(limits().queues as usize, Arc::new(MessageQueue { state, changed: WaitQueue::new() })).map(|id| id as u64)
}

/// Waits for what `ready` answers, which is asked at least once. EINTR by any handler; ENOMSG or EAGAIN is `nowait`'s.
fn wait<T>(call: &Call<'_>, queue: &MessageQueue, nowait: Option<Errno>, mut ready: impl FnMut() -> Option<Result<T>>) -> Result<T> {
    if let Some(answer) = ready() {
        return answer;
    }
    if let Some(error) = nowait {
        return Err(error);
    }
    let answer = call.task.block_on(&queue.changed, Events::IN, None, ready).map_err(|_| restart::NO_HANDLER)?;
    answer.unwrap_or(Err(restart::NO_HANDLER))
}

fn msgsnd(call: &mut Call<'_>) -> Result<u64> {
    let (id, from, size, flags) = (call.int(0), call.arg(1), call.arg(2), call.int(3));
    let kind: i64 = call.read_value(from)?;
    if size > limits().message_bytes || id < 0 || kind < 1 {
        return Err(Errno::INVAL);
    }
    let text = call.read_values(from.checked_add(8).ok_or(Errno::FAULT)?, size as usize)?;
    let queue = find(id)?;
    let credentials = call.task.credentials();
    let pid = call.task.process.pid;
    let mut message = Some(Message { kind, text });
    let nowait = (flags & libc::IPC_NOWAIT != 0).then_some(Errno::AGAIN);
    wait(call, &queue, nowait, || {
        let mut state = lock(&queue.state);
        if let Err(error) = state.check_there().and_then(|()| state.owner.check(&credentials, WRITE)) {
            return Some(Err(error));
        }
        if !state.has_room(size as usize) {
            return None;
        }
        state.push(message.take()?, pid);
        Some(Ok(()))
    })?;
    queue.changed.notify(Events::IN);
    Ok(0)
}

fn msgrcv(call: &mut Call<'_>) -> Result<u64> {
    let (id, to, size, kind, flags) = (call.int(0), call.arg(1), call.arg(2), call.arg(3) as i64, call.int(4));
    if id < 0 || (size as i64) < 0 {
        return Err(Errno::INVAL);
    }
    let wanted = Wanted::parse(kind, flags)?;
    let queue = find(id)?;
    let credentials = call.task.credentials();
    let pid = call.task.process.pid;
    let most = if flags & libc::MSG_NOERROR != 0 { usize::MAX } else { size as usize };
    let nowait = (flags & libc::IPC_NOWAIT != 0).then_some(Errno::NOMSG);
    let message = wait(call, &queue, nowait, || {
        let mut state = lock(&queue.state);
        let checked = state.check_there().and_then(|()| state.owner.check(&credentials, READ));
        checked.and_then(|()| state.take(wanted, most, pid)).transpose()
    })?;
    queue.changed.notify(Events::IN);
    call.write_value(to, &message.kind)?;
    let text = message.text.get(..size as usize).unwrap_or(&message.text);
    call.write(to.checked_add(8).ok_or(Errno::FAULT)?, text)?;
    Ok(text.len() as u64)
}

/// `struct msqid64_ds`.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
struct Description {
    permissions: IpcPermissions,
    sent_at: i64,
    received_at: i64,
    changed_at: i64,
    bytes: u64,
    messages: u64,
    limit: u64,
    last_sender: i32,
    last_receiver: i32,
    unused: [u64; 2],
}

/// What IPC_SET reads of a `struct msqid64_ds`.
#[derive(Clone, Copy, FromBytes, IntoBytes)]
#[repr(C)]
struct Change {
    owner: IpcChange,
    /// The rest of the permissions, times, what is in the queue.
    between: [u64; 8],
    limit: u64,
}

fn msgctl(call: &mut Call<'_>) -> Result<u64> {
    let (id, command, argument) = (call.int(0), call.int(1), call.arg(2));
    if id < 0 || command < 0 {
        return Err(Errno::INVAL);
    }
    match command {
        libc::IPC_INFO | MSG_INFO => told_limits(call, command == MSG_INFO, argument),
        libc::IPC_STAT | MSG_STAT | MSG_STAT_ANY => status(call, id, command, argument),
        libc::IPC_SET => change(call, id, argument),
        libc::IPC_RMID => {
            let queue = {
                let mut table = lock(&QUEUES);
                let queue = table.get(id)?.clone();
                lock(&queue.state).owner.check_control(&call.task.credentials())?;
                table.remove(id);
                queue
            };
            lock(&queue.state).remove();
            queue.changed.notify(Events::IN);
            Ok(0)
        }
        _ => Err(Errno::INVAL),
    }
}

/// `struct msginfo`; answers the highest slot in use.
fn told_limits(call: &mut Call<'_>, usage: bool, to: u64) -> Result<u64> {
    let most = limits();
    let queue = most.queue_bytes as i32;
    let (mut pool, mut map, mut bytes) = ((most.queues.saturating_mul(most.queue_bytes) / 1024) as i32, queue, queue);
    let table = lock(&QUEUES);
    if usage {
        (pool, map, bytes) = (0, 0, 0);
        for (_, queue) in table.iter() {
            let queue = lock(&queue.state);
            pool += 1;
            map += queue.len() as i32;
            bytes += queue.bytes() as i32;
        }
    }
    let highest = table.highest();
    drop(table);
    call.write_value(to, &[pool, map, most.message_bytes as i32, queue, most.queues as i32, 16, bytes, 0xffff])?;
    Ok(highest as u64)
}

fn status(call: &mut Call<'_>, id: i32, command: i32, to: u64) -> Result<u64> {
    let (id, queue) = {
        let table = lock(&QUEUES);
        match command {
            libc::IPC_STAT => (id, table.get(id)?.clone()),
            _ => table.at(id).map(|(id, queue)| (id, queue.clone())).ok_or(Errno::INVAL)?,
        }
    };
    let description = {
        let queue = lock(&queue.state);
        if command != MSG_STAT_ANY {
            queue.owner.check(&call.task.credentials(), READ)?;
        }
        Description {
            permissions: queue.owner.permissions(id),
            sent_at: queue.sent_at,
            received_at: queue.received_at,
            changed_at: queue.changed_at,
            bytes: queue.bytes(),
            messages: queue.len(),
            limit: queue.limit,
            last_sender: queue.last_sender,
            last_receiver: queue.last_receiver,
            unused: [0; 2],
        }
    };
    call.write_value(to, &description)?;
    Ok(if command == libc::IPC_STAT { 0 } else { id as u64 })
}

/// EPERM for more bytes than MSGMNB without CAP_SYS_RESOURCE.
fn change(call: &mut Call<'_>, id: i32, from: u64) -> Result<u64> {
    let change: Change = call.read_value(from)?;
    let queue = find(id)?;
    let credentials = call.task.credentials();
    let mut state = lock(&queue.state);
    state.owner.check_control(&credentials)?;
    if change.limit > limits().queue_bytes && !credentials.capable(capability::SYS_RESOURCE) {
        return Err(Errno::PERM);
    }
    state.owner.change(&credentials, &change.owner)?;
    state.limit = change.limit;
    state.changed_at = now();
    drop(state);
    queue.changed.notify(Events::IN);
    Ok(0)
}
