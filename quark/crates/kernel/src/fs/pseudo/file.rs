//! Open files and directories that are made up.

use std::any::Any;
use std::sync::{Arc, Mutex};

use super::{Body, Pseudo};
use crate::file::File;
use crate::task::lock;
use crate::vfs::inode::{DirectoryEntry, Inode, kind};
use crate::{Errno, Result};

pub(super) fn open(pseudo: Arc<Pseudo>) -> Result<Arc<dyn File>> {
    let inode: Arc<dyn Inode> = pseudo.clone();
    match pseudo.body {
        Body::Text(_) => Ok(Arc::new(TextFile { pseudo, inode, text: Mutex::default() })),
        Body::Folder(_) => Ok(Arc::new(FolderFile { pseudo, inode, list: Mutex::default() })),
        _ => Err(Errno::LOOP),
    }
}

/// A text as it was when it was read from its start last.
struct TextFile {
    pseudo: Arc<Pseudo>,
    inode: Arc<dyn Inode>,
    text: Mutex<Option<Arc<Vec<u8>>>>,
}

impl File for TextFile {
    fn read(&self, to: &mut [u8], offset: u64) -> Result<usize> {
        let Body::Text(body) = &self.pseudo.body else { return Err(Errno::INVAL) };
        let known = if offset == 0 { None } else { lock(&self.text).clone() };
        let text = match known {
            Some(text) => text,
            None => {
                let text = Arc::new(body.read()?);
                *lock(&self.text) = Some(text.clone());
                text
            }
        };
        let rest = usize::try_from(offset).ok().and_then(|offset| text.get(offset..)).unwrap_or_default();
        let count = rest.len().min(to.len());
        if let (Some(to), Some(from)) = (to.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn write(&self, from: &[u8], _: u64) -> Result<usize> {
        let Body::Text(body) = &self.pseudo.body else { return Err(Errno::INVAL) };
        body.write(from)?;
        Ok(from.len())
    }

    fn append(&self, from: &[u8]) -> Result<(usize, u64)> {
        self.write(from, 0).map(|count| (count, 0))
    }

    fn seekable(&self) -> bool {
        true
    }

    /// `echo x > /proc/…` truncates first; there is nothing to cut.
    fn truncate(&self, _: u64) -> Result<()> {
        Ok(())
    }

    fn inode(&self) -> Option<&Arc<dyn Inode>> {
        Some(&self.inode)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The names as they were when the directory was read from its start last.
struct FolderFile {
    pseudo: Arc<Pseudo>,
    inode: Arc<dyn Inode>,
    list: Mutex<Arc<Vec<DirectoryEntry>>>,
}

impl FolderFile {
    fn read_list(&self) -> Result<Arc<Vec<DirectoryEntry>>> {
        let Body::Folder(folder) = &self.pseudo.body else { return Err(Errno::NOTDIR) };
        let own = self.pseudo.about.number;
        let dots = [(b".".to_vec(), own, kind::DIRECTORY), (b"..".to_vec(), own, kind::DIRECTORY)];
        let all = dots.into_iter().chain(folder.names()?).zip(1..);
        let list = all.map(|((name, inode, kind), next)| DirectoryEntry { name, inode, kind: (kind >> 12) as u8, next });
        let list = Arc::new(list.collect::<Vec<_>>());
        *lock(&self.list) = list.clone();
        Ok(list)
    }
}

impl File for FolderFile {
    fn read(&self, _: &mut [u8], _: u64) -> Result<usize> {
        Err(Errno::ISDIR)
    }

    fn seekable(&self) -> bool {
        true
    }

    fn inode(&self) -> Option<&Arc<dyn Inode>> {
        Some(&self.inode)
    }

    fn entries(&self, position: u64, room: usize) -> Result<Vec<DirectoryEntry>> {
        let known = lock(&self.list).clone();
        let list = if position == 0 || known.is_empty() { self.read_list()? } else { known };
        let rest = usize::try_from(position).ok().and_then(|at| list.get(at..)).unwrap_or_default();
        Ok(rest.iter().take(room / 24 + 1).cloned().collect())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
