//! `/proc`: `man 5 proc`. What is asked for is told from the view of who asks.

mod links;
mod maps;
mod mounts;
mod process;
mod processor;
mod status;
mod sysctl;
mod system;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use system::{memory_in_use, processors};

use super::pseudo::{About, Body, Fixed, Folder, Pseudo, PseudoFileSystem};
use crate::task::{Task, current};
use crate::vfs::inode::kind;
use crate::{Errno, Result};

const MAGIC: u64 = 0x9fa0;

/// What is in `/proc` but for the processes: name, and what makes the text.
type Make = fn(&Arc<Task>) -> Result<Vec<u8>>;

/// Who asks.
fn asker() -> Result<Arc<Task>> {
    current().ok_or(Errno::SRCH)
}

/// The root directory.
struct Root {
    device: u64,
    sysctl: Arc<Pseudo>,
    sysvipc: Arc<Pseudo>,
}

/// Inode numbers of the root's files start here.
const FILES: u64 = 0x100;
const LINKS: u64 = 0x200;
const SYSVIPC: u64 = 0x280;
const SYSCTL: u64 = 0x300;

/// A procfs, with a name for each value of `sysctl` (by path below `/proc/sys`).
pub fn file_system(sysctl: &BTreeMap<String, String>) -> Arc<PseudoFileSystem> {
    let device = super::next_device();
    let root = Root { device, sysctl: sysctl::root(device, SYSCTL, sysctl), sysvipc: sysvipc(device) };
    let about = About { device, number: 1, mode: 0o555, owner: (0, 0), strict: false };
    PseudoFileSystem::new("proc", MAGIC, Pseudo::new(about, Body::Folder(Box::new(root))))
}

/// `/proc/sysvipc`: the objects of `man 7 sysvipc`.
fn sysvipc(device: u64) -> Arc<Pseudo> {
    let listings: [(&str, Make); 3] = [
        ("msg", |_| Ok(crate::ipc::message::listing())),
        ("sem", |_| Ok(crate::ipc::semaphore::listing())),
        ("shm", |_| Ok(crate::memory::shm::listing())),
    ];
    let about = |number, mode| About { device, number, mode, owner: (0, 0), strict: false };
    let folder = (SYSVIPC + 1..).zip(listings).fold(Fixed::default(), |folder, (number, (name, make))| {
        folder.with(name, Pseudo::new(about(number, 0o444), Body::Text(Box::new(move || make(&asker()?)))))
    });
    Pseudo::new(about(SYSVIPC, 0o555), Body::Folder(Box::new(folder)))
}

impl Root {
    fn about(&self, number: u64, mode: u32) -> About {
        About { device: self.device, number, mode, owner: (0, 0), strict: false }
    }
}

/// Links of the root: name, and what they say.
const ROOT_LINKS: &[(&str, Make)] = &[
    ("self", |task| Ok(task.process.pid.to_string().into_bytes())),
    ("thread-self", |task| Ok(format!("{}/task/{}", task.process.pid, task.tid()).into_bytes())),
    ("mounts", |_| Ok(b"self/mounts".to_vec())),
    ("net", |_| Ok(b"self/net".to_vec())),
];

impl Folder for Root {
    fn names(&self) -> Result<Vec<(Vec<u8>, u64, u32)>> {
        let task = asker()?;
        let mut names: Vec<(Vec<u8>, u64, u32)> = Vec::new();
        for (number, (name, _)) in (FILES..).zip(system::FILES) {
            names.push((name.as_bytes().to_vec(), number, kind::REGULAR));
        }
        for (number, (name, _)) in (LINKS..).zip(ROOT_LINKS) {
            names.push((name.as_bytes().to_vec(), number, kind::SYMLINK));
        }
        names.push((b"sys".to_vec(), SYSCTL, kind::DIRECTORY));
        names.push((b"sysvipc".to_vec(), SYSVIPC, kind::DIRECTORY));
        for process in task.process.container.pids.processes() {
            names.push((process.pid.to_string().into_bytes(), process::number(&process), kind::DIRECTORY));
        }
        Ok(names)
    }

    fn child(&self, name: &[u8]) -> Result<Arc<Pseudo>> {
        if name.first().is_some_and(u8::is_ascii_digit) {
            return process::directory(self.device, &asker()?, parse_id(name).ok_or(Errno::NOENT)?);
        }
        match name {
            b"sys" => return Ok(self.sysctl.clone()),
            b"sysvipc" => return Ok(self.sysvipc.clone()),
            _ => {}
        }
        if let Some((number, (_, make))) = (FILES..).zip(system::FILES).find(|(_, (other, _))| other.as_bytes() == name) {
            return Ok(Pseudo::new(self.about(number, 0o444), Body::Text(Box::new(move || make(&asker()?)))));
        }
        if let Some((number, (_, make))) = (LINKS..).zip(ROOT_LINKS).find(|(_, (other, _))| other.as_bytes() == name) {
            return Ok(Pseudo::new(self.about(number, 0o777), Body::Link(Box::new(move || make(&asker()?)))));
        }
        Err(Errno::NOENT)
    }
}

/// A number as the kernel writes it: without leading zeros.
fn parse_id(name: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(name).ok()?;
    let number: i32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
