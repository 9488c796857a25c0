//! Links of a process: `cwd`, `root`, `exe`, `fd/N`, `ns/*`; and `fdinfo/N`.

use std::sync::Arc;

use super::process::Subject;
use crate::fs::pseudo::{About, Body, Fixed, Folder, Pseudo, place_of};
use crate::net::tables;
use crate::task::lock;
use crate::vfs::inode::kind;
use crate::vfs::open::{OpenFile, flags};
use crate::vfs::place::Place;
use crate::{Errno, Result};

type ToPlace = fn(&Subject) -> Result<Place>;

/// Links of `/proc/PID` that lead to places.
pub(super) const LINKS: &[(&str, ToPlace)] = &[
    ("cwd", |subject| Ok(subject.task()?.fs().directory())),
    ("exe", |subject| {
        let image = lock(&subject.process.memory).image();
        image.executable.as_ref().and_then(|file| file.place.clone()).ok_or(Errno::NOENT)
    }),
    ("root", |subject| Ok(subject.task()?.fs().root())),
];

/// A magic link, for those who may look into the process.
pub(super) fn to_place(subject: Subject, about: About, place: ToPlace) -> Arc<Pseudo> {
    let find = move || {
        subject.may_look()?;
        place(&subject)
    };
    let find = Arc::new(find);
    let told = find.clone();
    let text = move || Ok(told()?.shown(&super::asker()?.fs().root()));
    Pseudo::new(about, Body::Magic(Box::new(text), Box::new(move || find())))
}

/// `/proc/PID/fd` and `/proc/PID/fdinfo`.
pub(super) struct Descriptors {
    pub subject: Subject,
    pub information: bool,
}

impl Descriptors {
    fn number(&self, fd: i32) -> u64 {
        let part = if self.information { 1 << 62 } else { 1 << 61 };
        super::process::number(&self.subject.process) ^ part | (fd as u64) << 1 | 1
    }

    fn open(&self, fd: i32) -> Result<Arc<OpenFile>> {
        self.subject.may_look()?;
        self.subject.task().and_then(|task| task.files().get_any(fd)).map_err(|_| Errno::NOENT)
    }
}

impl Folder for Descriptors {
    fn names(&self) -> Result<Vec<(Vec<u8>, u64, u32)>> {
        self.subject.may_look()?;
        let kind = if self.information { kind::REGULAR } else { kind::SYMLINK };
        let open = self.subject.task()?.files().list();
        Ok(open.into_iter().map(|(fd, _, _)| (fd.to_string().into_bytes(), self.number(fd), kind)).collect())
    }

    fn child(&self, name: &[u8]) -> Result<Arc<Pseudo>> {
        let fd = super::parse_id(name).ok_or(Errno::NOENT)?;
        let open = self.open(fd)?;
        let owner = self.subject.task()?.credentials();
        let mut about =
            About { device: self.subject.device, number: self.number(fd), mode: 0o444, owner: (owner.euid, owner.egid), strict: false };
        let descriptors = Descriptors { subject: self.subject.clone(), information: self.information };
        if self.information {
            return Ok(Pseudo::new(about, Body::Text(Box::new(move || descriptors.describe(fd)))));
        }
        about.mode = match open.flags() & flags::ACCESS {
            flags::READ_ONLY => 0o500,
            flags::WRITE_ONLY => 0o300,
            _ => 0o700,
        };
        let again = Descriptors { subject: self.subject.clone(), information: false };
        let text = move || shown(&*descriptors.open(fd)?);
        Ok(Pseudo::new(about, Body::Magic(Box::new(text), Box::new(move || place_of(&*again.open(fd)?)))))
    }
}

/// What a link to an open file says.
fn shown(open: &OpenFile) -> Result<Vec<u8>> {
    match &open.place {
        Some(place) => Ok(place.shown(&super::asker()?.fs().root())),
        None => Ok(open.file.name()),
    }
}

impl Descriptors {
    fn describe(&self, fd: i32) -> Result<Vec<u8>> {
        let open = self.open(fd)?;
        let mount = open.place.as_ref().map_or(0, |place| place.mount.id);
        let inode = open.file.stat().map_or(0, |stat| stat.inode);
        let close_on_exec = self.subject.task()?.files().close_on_exec(fd).unwrap_or(false);
        let all = open.flags() | if close_on_exec { flags::CLOSE_ON_EXEC } else { 0 };
        let position = if open.file.seekable() { *lock(&open.offset) } else { 0 };
        let mut text = format!("pos:\t{position}\nflags:\t0{all:o}\nmnt_id:\t{mount}\nino:\t{inode}\n").into_bytes();
        text.extend(open.file.information());
        Ok(text)
    }
}

/// Names of namespaces, with the inode numbers that Linux gives to its first ones.
const NAMESPACES: &[(&str, &str, u64)] = &[
    ("cgroup", "cgroup", 4_026_531_835),
    ("ipc", "ipc", 4_026_531_839),
    ("mnt", "mnt", 4_026_531_841),
    ("net", "net", 4_026_531_840),
    ("pid", "pid", 4_026_531_836),
    ("pid_for_children", "pid", 4_026_531_836),
    ("time", "time", 4_026_531_834),
    ("time_for_children", "time", 4_026_531_834),
    ("user", "user", 4_026_531_837),
    ("uts", "uts", 4_026_531_838),
];

/// `/proc/PID/ns`: links that can be read and compared, and lead nowhere.
pub(super) struct Namespaces {
    pub subject: Subject,
}

impl Namespaces {
    fn number(&self, index: u64) -> u64 {
        super::process::number(&self.subject.process) + 0xc0 + index
    }
}

impl Folder for Namespaces {
    fn names(&self) -> Result<Vec<(Vec<u8>, u64, u32)>> {
        let all = NAMESPACES.iter().zip(0..);
        Ok(all.map(|((name, _, _), index)| (name.as_bytes().to_vec(), self.number(index), kind::SYMLINK)).collect())
    }

    fn child(&self, name: &[u8]) -> Result<Arc<Pseudo>> {
        let found = NAMESPACES.iter().zip(0..).find(|((other, _, _), _)| other.as_bytes() == name);
        let ((_, namespace, number), index) = found.ok_or(Errno::NOENT)?;
        let about = About { device: self.subject.device, number: self.number(index), mode: 0o777, owner: (0, 0), strict: false };
        let text = format!("{namespace}:[{number}]").into_bytes();
        let body = Body::Magic(Box::new(move || Ok(text.clone())), Box::new(|| Err(Errno::ACCESS)));
        Ok(Pseudo::new(about, body))
    }
}

/// Makes the text of a table.
type Table = fn() -> Result<Vec<u8>>;

/// `/proc/PID/net`.
pub(super) fn net(device: u64, base: u64) -> Fixed {
    let tables: &[(&str, Table)] = &[
        ("dev", tables::dev),
        ("if_inet6", tables::if_inet6),
        ("route", tables::route),
        ("tcp", || Ok(sockets(TCP, libc::AF_INET, libc::SOCK_STREAM))),
        ("tcp6", || Ok(sockets(TCP6, libc::AF_INET6, libc::SOCK_STREAM))),
        ("udp", || Ok(sockets(UDP, libc::AF_INET, libc::SOCK_DGRAM))),
        ("udp6", || Ok(sockets(UDP6, libc::AF_INET6, libc::SOCK_DGRAM))),
        ("unix", || Ok(crate::net::unix_listing())),
        ("arp", || Ok(ARP.into())),
        ("sockstat", || Ok(b"sockets: used 0\n".to_vec())),
    ];
    tables.iter().zip(0xd0..).fold(Fixed::default(), |folder, ((name, table), number)| {
        let about = About { device, number: base + number, mode: 0o444, owner: (0, 0), strict: false };
        folder.with(name, Pseudo::new(about, Body::Text(Box::new(table))))
    })
}

fn sockets(heading: &str, domain: i32, kind: i32) -> Vec<u8> {
    [heading, &crate::net::listing::lines(domain, kind)].concat().into_bytes()
}

const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const UDP: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
const TCP6: &str = concat!(
    "  sl  local_address                         remote_address                        st tx_queue rx_queue",
    " tr tm->when retrnsmt   uid  timeout inode\n"
);
const UDP6: &str = concat!(
    "  sl  local_address                         remote_address                        st tx_queue rx_queue",
    " tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"
);
const ARP: &str = "IP address       HW type     Flags       HW address            Mask     Device\n";
