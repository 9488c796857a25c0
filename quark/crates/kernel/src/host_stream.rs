//! Descriptors that our process was given: standard input, output and error, LISTEN_FDS. They are shared with others on the host, so
//! their flags are left alone: no O_NONBLOCK is set, each read and write asks not to block instead.

use std::any::Any;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};

use rustix::fs::{FileType, SeekFrom};
use rustix::io::ReadWriteFlags;

use crate::call::Call;
use crate::file::{File, MapSource};
use crate::net::given;
use crate::net::socket::Socket;
use crate::reactor::{self, Watched};
use crate::task::lock;
use crate::vfs::inode::{Stat, TimeStamp};
use crate::vfs::open::OpenFile;
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// What a descriptor of the host is, as far as reading and writing differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Has a position.
    Regular,
    /// Knows RWF_NOWAIT.
    Pipe,
    /// Terminals and other devices: asked by `poll` first.
    Other,
}

/// A file of the host that we were given open.
pub struct HostStream {
    fd: Watched,
    kind: Kind,
    /// Taken to set the position of a regular file and use it.
    position: Mutex<()>,
}

/// Opens what a process starts with: one open file for each descriptor, and one for all that are the same regular file, as they share a
/// position on the host too.
pub fn open_all(fds: Vec<OwnedFd>) -> Result<Vec<Arc<OpenFile>>> {
    /// With the device and inode of a regular file.
    type Opened = (Arc<OpenFile>, Option<(u64, u64)>);
    let mut opened: Vec<Opened> = Vec::new();
    for fd in fds {
        let stat = rustix::fs::fstat(&fd)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let regular = (kind == FileType::RegularFile).then_some((stat.st_dev, stat.st_ino));
        let file = match opened.iter().find(|(_, other)| regular.is_some() && *other == regular) {
            Some((file, _)) => file.clone(),
            None if kind == FileType::Socket => OpenFile::anonymous(Socket::new(given::endpoint(fd)?), libc::O_RDWR as u32),
            None => HostStream::new(fd)?.open()?,
        };
        opened.push((file, regular));
    }
    Ok(opened.into_iter().map(|(file, _)| file).collect())
}

impl HostStream {
    /// A descriptor of the host.
    pub fn new(fd: OwnedFd) -> Result<HostStream> {
        let mode = rustix::fs::fstat(&fd)?.st_mode;
        let kind = match FileType::from_raw_mode(mode) {
            FileType::RegularFile => Kind::Regular,
            FileType::Fifo => Kind::Pipe,
            _ => Kind::Other,
        };
        Ok(HostStream { fd: Watched::new(fd), kind, position: Mutex::default() })
    }

    /// Open with the access that the descriptor has, at its position.
    fn open(self) -> Result<Arc<OpenFile>> {
        let flags = rustix::fs::fcntl_getfl(&self.fd)?.bits() & (libc::O_ACCMODE | libc::O_APPEND) as u32;
        let at = if self.kind == Kind::Regular { rustix::fs::tell(&self.fd)? } else { 0 };
        let file = OpenFile::anonymous(Arc::new(self), flags);
        *lock(&file.offset) = at;
        Ok(file)
    }

    fn read_now(&self, to: &mut [u8], offset: u64) -> Result<usize> {
        match self.kind {
            Kind::Regular => {
                let _position = lock(&self.position);
                rustix::fs::seek(&self.fd, SeekFrom::Start(offset))?;
                rustix::io::read(&self.fd, to)
            }
            Kind::Pipe => rustix::io::preadv2(&self.fd, &mut [IoSliceMut::new(to)], u64::MAX, ReadWriteFlags::NOWAIT),
            Kind::Other => self.read_ready(to),
        }
    }

    /// If somebody else reads it between the question and the read, this waits until there is more.
    fn read_ready(&self, to: &mut [u8]) -> Result<usize> {
        reactor::must_be_ready(self.fd.as_fd(), Events::IN)?;
        rustix::io::read(&self.fd, to)
    }

    fn write_now(&self, from: &[u8], offset: u64) -> Result<usize> {
        match self.kind {
            Kind::Regular => {
                let _position = lock(&self.position);
                rustix::fs::seek(&self.fd, SeekFrom::Start(offset))?;
                rustix::io::write(&self.fd, from)
            }
            Kind::Pipe => rustix::io::pwritev2(&self.fd, &[IoSlice::new(from)], u64::MAX, ReadWriteFlags::NOWAIT),
            Kind::Other => self.write_ready(from),
        }
    }

    /// PIPE_BUF bytes at most: so much a terminal or a FIFO that is ready takes.
    fn write_ready(&self, from: &[u8]) -> Result<usize> {
        reactor::must_be_ready(self.fd.as_fd(), Events::OUT)?;
        rustix::io::write(&self.fd, from.get(..4096).unwrap_or(from))
    }
}

impl File for HostStream {
    fn read(&self, to: &mut [u8], offset: u64) -> Result<usize> {
        match self.read_now(to, offset) {
            Err(Errno::OPNOTSUPP) => self.read_ready(to),
            answer => answer,
        }
    }

    fn write(&self, from: &[u8], offset: u64) -> Result<usize> {
        match self.write_now(from, offset) {
            Err(Errno::OPNOTSUPP) => self.write_ready(from),
            answer => answer,
        }
    }

    fn append(&self, from: &[u8]) -> Result<(usize, u64)> {
        if self.kind != Kind::Regular {
            return Ok((self.write(from, 0)?, 0));
        }
        let _position = lock(&self.position);
        let end = rustix::fs::seek(&self.fd, SeekFrom::End(0))?;
        let written = rustix::io::write(&self.fd, from)?;
        Ok((written, end + written as u64))
    }

    fn seekable(&self) -> bool {
        self.kind == Kind::Regular
    }

    fn poll(&self, interest: Events) -> Events {
        reactor::ready(self.fd.as_fd(), interest)
    }

    /// Files that the host doesn't watch are always ready.
    fn queue(&self) -> Option<&WaitQueue> {
        self.fd.watched().then(|| self.fd.queue())
    }

    fn host(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn ioctl(&self, call: &mut Call<'_>, request: u32, argument: u64) -> Result<u64> {
        if u64::from(request) != libc::FIONREAD {
            return Err(Errno::NOTTY);
        }
        let bytes = i32::try_from(rustix::io::ioctl_fionread(&self.fd)?).unwrap_or(i32::MAX);
        call.write_value(argument, &bytes)?;
        Ok(0)
    }

    fn stat(&self) -> Result<Stat> {
        let stat = rustix::fs::fstat(&self.fd)?;
        let time = |seconds: i64, nanoseconds: u64| TimeStamp { seconds, nanoseconds: nanoseconds as u32 };
        Ok(Stat {
            device: stat.st_dev,
            inode: stat.st_ino,
            mode: stat.st_mode,
            links: stat.st_nlink as u32,
            uid: stat.st_uid,
            gid: stat.st_gid,
            represents: stat.st_rdev,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            block_size: stat.st_blksize as u32,
            blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
            accessed: time(stat.st_atime, stat.st_atime_nsec),
            modified: time(stat.st_mtime, stat.st_mtime_nsec),
            changed: time(stat.st_ctime, stat.st_ctime_nsec),
            born: None,
        })
    }

    fn truncate(&self, size: u64) -> Result<()> {
        if self.kind == Kind::Regular { rustix::fs::ftruncate(&self.fd, size) } else { Err(Errno::INVAL) }
    }

    fn sync(&self, data_only: bool) -> Result<()> {
        if data_only { rustix::fs::fdatasync(&self.fd) } else { rustix::fs::fsync(&self.fd) }
    }

    fn map(&self, _: bool) -> Result<MapSource> {
        if self.kind == Kind::Regular { Ok(MapSource { file: self.fd.fd().clone(), offset: 0 }) } else { Err(Errno::NODEV) }
    }

    fn name(&self) -> Vec<u8> {
        if self.kind != Kind::Pipe {
            return b"/host".to_vec();
        }
        format!("pipe:[{}]", self.stat().map_or(0, |stat| stat.inode)).into_bytes()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::with_bands;
    use rustix::pipe::pipe;
    use std::io::{Read, Seek, Write};

    fn stream(fd: OwnedFd) -> HostStream {
        HostStream::new(fd).unwrap()
    }

    #[test]
    fn pipes_never_block_though_they_are_blocking() {
        let (reader, writer) = pipe().unwrap();
        let (reader, writer) = (stream(reader), stream(writer));
        let mut to = [0; 10];
        assert_eq!(reader.read(&mut to, 0), Err(Errno::AGAIN));
        assert_eq!(reader.poll(Events::all()), Events::empty());
        assert_eq!(writer.write(b"hello", 0), Ok(5));
        assert_eq!(with_bands(reader.poll(Events::IN)), Events::IN | Events::RDNORM);
        assert_eq!(reader.read(&mut to, 0), Ok(5));
        while writer.write(&[0; 3000], 0) != Err(Errno::AGAIN) {}
        assert_eq!(writer.poll(Events::OUT), Events::empty());
        drop(reader);
        assert_eq!(writer.write(b"x", 0), Err(Errno::PIPE));
        assert!(writer.name().starts_with(b"pipe:["));
    }

    #[test]
    fn sockets_are_sockets_and_devices_are_read_when_they_are_ready() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let opened = open_all(vec![one.into()]).unwrap();
        assert!(opened[0].file.as_any().is::<Socket>());
        let null = stream(std::fs::File::options().read(true).write(true).open("/dev/null").unwrap().into());
        assert_eq!(null.read(&mut [0; 4], 0), Ok(0));
        assert_eq!(null.write(&[0; 10_000], 0), Ok(4096));
        assert!(null.queue().is_none());
        assert_eq!(null.poll(Events::IN | Events::OUT), Events::IN | Events::OUT);
    }

    #[test]
    fn a_terminal_is_asked_before_it_is_read() {
        let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
        let slave = stream(slave);
        assert_eq!(slave.read(&mut [0; 10], 0), Err(Errno::AGAIN));
        rustix::io::write(&master, b"line\n").unwrap();
        assert_eq!(slave.read(&mut [0; 10], 0), Ok(5));
    }

    #[test]
    fn regular_files_keep_the_position_that_they_share_with_the_host() {
        let path = std::env::temp_dir().join(format!("stream-{}", std::process::id()));
        let mut host = std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        host.write_all(b"before ").unwrap();
        let fds = vec![host.try_clone().unwrap().into(), host.try_clone().unwrap().into(), pipe().unwrap().1];
        let opened = open_all(fds).unwrap();
        assert!(Arc::ptr_eq(&opened[0], &opened[1]));
        assert!(!Arc::ptr_eq(&opened[0], &opened[2]));
        let at = *lock(&opened[0].offset);
        assert_eq!(at, 7);
        assert_eq!(opened[0].file.write(b"guest", at), Ok(5));
        host.write_all(b" after").unwrap();
        let mut text = String::new();
        host.rewind().unwrap();
        host.read_to_string(&mut text).unwrap();
        assert_eq!(text, "before guest after");
        assert_eq!(opened[0].file.append(b"!"), Ok((1, 19)));
        assert!(opened[0].file.seekable() && !opened[2].file.seekable());
    }
}
