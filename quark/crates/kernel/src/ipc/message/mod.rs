//! System V message queues (`man 2 msgop`).

mod calls;
mod queue;

use std::sync::{Arc, Mutex};

pub use calls::CALLS;

use super::IpcTable;
use crate::Result;
use crate::task::lock;
use crate::wait::WaitQueue;
use queue::Queue;

static QUEUES: Mutex<IpcTable<Arc<MessageQueue>>> = Mutex::new(IpcTable::new());

/// A queue, and who waits for a message or for room.
struct MessageQueue {
    state: Mutex<Queue>,
    changed: WaitQueue,
}

fn find(id: i32) -> Result<Arc<MessageQueue>> {
    lock(&QUEUES).get(id).cloned()
}

/// `/proc/sysvipc/msg`.
pub fn listing() -> Vec<u8> {
    let mut text = String::from(concat!(
        "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid",
        "      stime      rtime      ctime\n"
    ));
    for (id, queue) in lock(&QUEUES).iter() {
        let queue = lock(&queue.state);
        let owner = &queue.owner;
        text += &format!("{:10} {id:10}  {:4o}  {:10} {:10}", owner.key, owner.mode, queue.bytes(), queue.len());
        text += &format!(" {:5} {:5}", queue.last_sender, queue.last_receiver);
        text += &format!(" {:5} {:5} {:5} {:5}", owner.uid, owner.gid, owner.maker_uid, owner.maker_gid);
        text += &format!(" {:10} {:10} {:10}\n", queue.sent_at, queue.received_at, queue.changed_at);
    }
    text.into_bytes()
}
