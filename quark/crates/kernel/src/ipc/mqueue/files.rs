//! Queues as files, and their file system.

use std::any::Any;
use std::sync::{Arc, LazyLock};

use super::queue::Shape;
use super::{MessageQueue, QUEUES, ROOT};
use crate::file::File;
use crate::task::{Credentials, current, lock};
use crate::vfs::inode::{Attributes, DirectoryEntry, Inode, NewNode, Stat, kind};
use crate::vfs::mount::{FileSystem, FileSystemStat};
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

const MAGIC: u64 = 0x1980_0202;
/// What a name adds to the size that the directory is told to have (`DIRENT_SIZE`).
const ENTRY_SIZE: u64 = 20;
/// What a queue's size is told as.
const FILE_SIZE: u64 = 80;

static DEVICE: LazyLock<u64> = LazyLock::new(crate::fs::next_device);

/// An open queue.
pub struct QueueFile {
    /// What is open.
    pub queue: Arc<MessageQueue>,
    inode: Arc<dyn Inode>,
}

impl QueueFile {
    /// Opens a queue.
    pub fn new(queue: Arc<MessageQueue>) -> Arc<QueueFile> {
        Arc::new(QueueFile { inode: queue.clone(), queue })
    }
}

impl File for QueueFile {
    /// What is in the queue and who is told, as text.
    fn read(&self, to: &mut [u8], offset: u64) -> Result<usize> {
        let (notify, signal, pid) = lock(&self.queue.state).notice.as_ref().map_or((0, 0, 0), |notice| notice.describe());
        let bytes = lock(&self.queue.state).held().1;
        let text = format!("QSIZE:{bytes:<10} NOTIFY:{notify:<5} SIGNO:{signal:<5} NOTIFY_PID:{pid:<6}\n");
        let rest = usize::try_from(offset).ok().and_then(|offset| text.as_bytes().get(offset..)).unwrap_or_default();
        to.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(rest.len().min(to.len()))
    }

    fn seekable(&self) -> bool {
        true
    }

    fn poll(&self, interest: Events) -> Events {
        self.queue.ready() & interest
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue.changed)
    }

    fn inode(&self) -> Option<&Arc<dyn Inode>> {
        Some(&self.inode)
    }

    fn name(&self) -> Vec<u8> {
        let queues = lock(&QUEUES);
        let name = queues.names.iter().find(|(_, queue)| Arc::ptr_eq(queue, &self.queue)).map(|(name, _)| name.as_slice());
        [b"/", name.unwrap_or(b" (deleted)")].concat()
    }

    /// Who closes any descriptor of a queue is not told any more.
    fn closed(&self) {
        let Some(task) = current() else { return };
        let notice = lock(&self.queue.state).notice.take_if(|notice| notice.is_of(&task.process));
        if let Some(notice) = notice {
            notice.withdraw();
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Inode for MessageQueue {
    fn stat(&self) -> Result<Stat> {
        let state = lock(&self.state);
        let [accessed, modified, changed] = state.times;
        Ok(Stat {
            device: *DEVICE,
            inode: self.number,
            mode: kind::REGULAR | state.mode,
            links: 1,
            uid: state.owner.0,
            gid: state.owner.1,
            size: FILE_SIZE,
            block_size: 4096,
            accessed,
            modified,
            changed,
            ..Stat::default()
        })
    }

    fn set_attributes(&self, change: &Attributes) -> Result<()> {
        let mut state = lock(&self.state);
        state.mode = change.mode.unwrap_or(state.mode);
        state.owner = (change.uid.unwrap_or(state.owner.0), change.gid.unwrap_or(state.owner.1));
        let [accessed, modified, _] = state.times;
        state.times = [change.accessed.unwrap_or(accessed), change.modified.unwrap_or(modified), crate::fs::now()];
        Ok(())
    }

    fn cacheable(&self) -> bool {
        false
    }

    fn open(self: Arc<Self>, _: u32, _: &Credentials) -> Result<Arc<dyn File>> {
        Ok(QueueFile::new(self))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The one directory of a file system of queues.
struct Root;

impl Inode for Root {
    fn stat(&self) -> Result<Stat> {
        let time = crate::fs::now();
        let times = Stat { accessed: time, modified: time, changed: time, ..Stat::default() };
        let size = ENTRY_SIZE * (2 + lock(&QUEUES).names.len() as u64);
        Ok(Stat { device: *DEVICE, inode: ROOT, mode: kind::DIRECTORY | 0o1777, links: 2, size, block_size: 4096, ..times })
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let queue = lock(&QUEUES).names.get(name).cloned();
        queue.map(|queue| queue as Arc<dyn Inode>).ok_or(Errno::NOENT)
    }

    fn cacheable(&self) -> bool {
        false
    }

    fn create(&self, name: &[u8], node: NewNode<'_>, mode: u32, _: (u32, u32)) -> Result<Arc<dyn Inode>> {
        if !matches!(node, NewNode::Regular) {
            return Err(Errno::PERM);
        }
        let task = current().ok_or(Errno::PERM)?;
        let mut queues = lock(&QUEUES);
        if queues.names.contains_key(name) {
            return Err(Errno::EXIST);
        }
        Ok(queues.create(name, Shape::default(), mode & 0o7777, &task.credentials(), &task.process)?)
    }

    fn unlink(&self, name: &[u8], directory: bool) -> Result<()> {
        if directory { Err(Errno::NOTDIR) } else { lock(&QUEUES).unlink(name) }
    }

    fn open(self: Arc<Self>, _: u32, _: &Credentials) -> Result<Arc<dyn File>> {
        Ok(Arc::new(RootFile(self)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct RootFile(Arc<dyn Inode>);

impl File for RootFile {
    fn read(&self, _: &mut [u8], _: u64) -> Result<usize> {
        Err(Errno::ISDIR)
    }

    fn seekable(&self) -> bool {
        true
    }

    fn inode(&self) -> Option<&Arc<dyn Inode>> {
        Some(&self.0)
    }

    /// Positions 1 and 2 are behind the dots; a queue's is its number more, so that others may come and go meanwhile.
    fn entries(&self, position: u64, room: usize) -> Result<Vec<DirectoryEntry>> {
        let entry = |name: &[u8], inode, kind: u32, next| DirectoryEntry { name: name.to_vec(), inode, kind: (kind >> 12) as u8, next };
        let mut all = vec![entry(b".", ROOT, kind::DIRECTORY, 1), entry(b"..", ROOT, kind::DIRECTORY, 2)];
        all.extend(lock(&QUEUES).names.iter().map(|(name, queue)| entry(name, queue.number, kind::REGULAR, queue.number + 2)));
        all.sort_by_key(|entry| entry.next);
        all.retain(|entry| entry.next > position);
        all.truncate(room / 24 + 1);
        Ok(all)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The file system of all queues of the pod.
pub struct MqueueFileSystem;

impl FileSystem for MqueueFileSystem {
    fn name(&self) -> &'static str {
        "mqueue"
    }

    fn root(&self) -> Arc<dyn Inode> {
        static THE_ROOT: LazyLock<Arc<Root>> = LazyLock::new(|| Arc::new(Root));
        THE_ROOT.clone()
    }

    fn stat(&self) -> Result<FileSystemStat> {
        Ok(FileSystemStat { magic: MAGIC, block_size: 4096, name_max: 255, ..FileSystemStat::default() })
    }

    fn dentries(&self) -> usize {
        0
    }
}
