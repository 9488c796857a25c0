//! POSIX message queues (`man 7 mq_overview`): files of a file system of their own, which may be mounted at `/dev/mqueue`.

mod calls;
mod files;
mod notice;
mod queue;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

pub use calls::CALLS;
pub use files::MqueueFileSystem;

use crate::ipc::limits::limits;
use crate::task::{Credentials, Process, lock};
use crate::vfs::permission::{self, capability};
use crate::{Errno, Result};
use queue::Shape;

/// Messages of a queue, for CAP_SYS_RESOURCE.
const MESSAGES_MAX: u64 = 65536;
/// Bytes of a message, for CAP_SYS_RESOURCE.
const SIZE_MAX: u64 = 16 << 20;
/// The longest name.
const NAME_MAX: usize = 255;
/// The root's inode number.
const ROOT: u64 = 1;

static QUEUES: Mutex<Directory> = Mutex::new(Directory { names: BTreeMap::new(), all: Vec::new() });

/// The names that there are, and all queues that still live.
struct Directory {
    names: BTreeMap<Vec<u8>, Arc<MessageQueue>>,
    all: Vec<Weak<MessageQueue>>,
}

/// A queue.
pub struct MessageQueue {
    number: u64,
    shape: Shape,
    state: Mutex<queue::State>,
    changed: crate::wait::WaitQueue,
}

/// EACCES for what is no name in one directory, ENOENT, ENAMETOOLONG.
fn check_name(name: &[u8]) -> Result<()> {
    match name {
        [] => Err(Errno::NOENT),
        b"." | b".." => Err(Errno::ACCESS),
        _ if name.contains(&b'/') => Err(Errno::ACCESS),
        _ if name.len() > NAME_MAX => Err(Errno::NAMETOOLONG),
        _ => Ok(()),
    }
}

impl Directory {
    /// Makes a queue: ENOSPC, EINVAL, EMFILE by RLIMIT_MSGQUEUE.
    fn create(&mut self, name: &[u8], shape: Shape, mode: u32, credentials: &Credentials, process: &Process) -> Result<Arc<MessageQueue>> {
        static NEXT: AtomicU64 = AtomicU64::new(ROOT + 1);
        let privileged = credentials.capable(capability::SYS_RESOURCE);
        self.all.retain(|queue| queue.strong_count() > 0);
        if self.all.len() as u64 >= limits().posix_queues && !privileged {
            return Err(Errno::NOSPC);
        }
        shape.check(privileged)?;
        let owner = credentials.euid;
        let own = self.all.iter().filter_map(Weak::upgrade).filter(|queue| lock(&queue.state).maker == owner);
        let held: u64 = own.map(|queue| queue.shape.bytes()).sum();
        if held + shape.bytes() > process.limit(libc::RLIMIT_MSGQUEUE) {
            return Err(Errno::MFILE);
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let state = Mutex::new(queue::State::new(mode, owner, (credentials.fsuid, credentials.fsgid)));
        let queue = Arc::new(MessageQueue { number, shape, state, changed: crate::wait::WaitQueue::new() });
        self.all.push(Arc::downgrade(&queue));
        self.names.insert(name.to_vec(), queue.clone());
        Ok(queue)
    }

    /// Removes a name. What was opened stays.
    fn unlink(&mut self, name: &[u8]) -> Result<()> {
        self.names.remove(name).map(|_| ()).ok_or(Errno::NOENT)
    }
}

/// EPERM if it is another's: the directory is root's, and sticky.
fn check_unlink(queue: &MessageQueue, credentials: &Credentials) -> Result<()> {
    let owner = lock(&queue.state).owner.0;
    if credentials.fsuid == 0 || permission::owns(credentials, owner) { Ok(()) } else { Err(Errno::PERM) }
}
