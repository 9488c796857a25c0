//! The same operations on the host and on our file systems: both must answer alike, errno by errno.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::inode::{Attributes, NewNode};
use super::mount::{FileSystem, Mount, MountFlags};
use super::names;
use super::open::{OpenFile, flags};
use super::opening::{self, How};
use super::path::{Last, Resolve, Walker};
use super::place::Place;
use crate::fs::host::HostFileSystem;
use crate::fs::memory::{MemoryFileSystem, TmpfsOptions};
use crate::task::Credentials;
use crate::task::credentials::ALL_CAPABILITIES;
use crate::{Errno, Result};

/// A directory of the host that goes with its value.
pub(crate) struct Scratch(pub PathBuf);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("quark-vfs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    pub(crate) fn open(&self) -> std::os::fd::OwnedFd {
        rustix::fs::open(&self.0, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn root_user() -> Credentials {
    Credentials { effective: ALL_CAPABILITIES, permitted: ALL_CAPABILITIES, ..Credentials::default() }
}

fn no_devices(_: &Place, _: &super::inode::Stat, _: u32) -> Result<Arc<dyn crate::file::File>> {
    Err(Errno::NXIO)
}

/// A tree of ours, and root in it.
pub(crate) struct World {
    pub root: Place,
    pub user: Credentials,
}

impl World {
    pub(crate) fn new(file_system: Arc<dyn FileSystem>) -> World {
        let mount = Mount::whole(file_system, b"test", MountFlags::empty()).unwrap();
        World { root: mount.place(), user: root_user() }
    }

    pub(crate) fn walker(&self) -> Walker<'_> {
        Walker::new(&self.user, self.root.clone())
    }

    pub(crate) fn find(&self, path: &str, last: Last) -> Result<Place> {
        self.walker().find(&self.root, path.as_bytes(), last)
    }

    pub(crate) fn open(&self, path: &str, flags: u32, mode: u32) -> Result<Arc<OpenFile>> {
        opening::open(&self.walker(), &self.root, path.as_bytes(), How::new(flags, mode)?, &no_devices)
    }

    pub(crate) fn make(&self, path: &str, node: NewNode<'_>, mode: u32) -> Result<Place> {
        names::make(&self.walker(), &self.root, path.as_bytes(), node, mode)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = self.open(path, flags::CREATE | flags::WRITE_ONLY | flags::TRUNCATE, 0o644).unwrap();
        assert_eq!(file.file.write(text.as_bytes(), 0), Ok(text.len()));
    }

    pub(crate) fn read(&self, path: &str) -> Result<String> {
        let file = self.open(path, flags::READ_ONLY, 0)?;
        let mut bytes = vec![0; 4096];
        let count = file.file.read(&mut bytes, 0)?;
        Ok(String::from_utf8_lossy(&bytes[..count]).into_owned())
    }

    pub(crate) fn list(&self, path: &str) -> Vec<String> {
        let file = self.open(path, flags::READ_ONLY | flags::DIRECTORY, 0).unwrap();
        let (mut names, mut position) = (Vec::new(), 0);
        loop {
            let entries = file.file.entries(position, 1024).unwrap();
            let Some(last) = entries.last() else { break };
            position = last.next;
            names.extend(entries.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()));
        }
        names.retain(|name| name != "." && name != "..");
        names.sort();
        names
    }
}

/// One operation.
#[derive(Clone, Copy, Debug)]
enum Op {
    MakeDirectory(&'static str),
    Symlink(&'static str, &'static str),
    Fifo(&'static str),
    Remove(&'static str),
    RemoveDirectory(&'static str),
    Link(&'static str, &'static str),
    Rename(&'static str, &'static str),
    NoReplace(&'static str, &'static str),
    Exchange(&'static str, &'static str),
    Open(&'static str, u32),
    Stat(&'static str),
    LinkStat(&'static str),
    ReadLink(&'static str),
    Truncate(&'static str, u64),
}

/// What an operation answers: an errno, or what can be compared of a success.
type Answer = Result<(u32, u64, u32), Errno>;

fn on_host(base: &Path, op: Op) -> Answer {
    let at = |path: &str| if path.is_empty() { PathBuf::new() } else { PathBuf::from(format!("{}/{path}", base.display())) };
    let nothing = |answer: rustix::io::Result<()>| answer.map(|()| (0, 0, 0));
    let seen = |stat: rustix::fs::Stat| {
        let size = if stat.st_mode & 0o170000 == 0o040000 { 0 } else { stat.st_size as u64 };
        (stat.st_mode, size, stat.st_nlink as u32)
    };
    match op {
        Op::MakeDirectory(path) => nothing(rustix::fs::mkdir(at(path), Mode::from_raw_mode(0o755))),
        Op::Symlink(target, path) => nothing(rustix::fs::symlink(target, at(path))),
        Op::Fifo(path) => nothing(rustix::fs::mknodat(CWD, at(path), rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o644), 0)),
        Op::Remove(path) => nothing(rustix::fs::unlink(at(path))),
        Op::RemoveDirectory(path) => nothing(rustix::fs::rmdir(at(path))),
        Op::Link(old, new) => nothing(rustix::fs::linkat(CWD, at(old), CWD, at(new), AtFlags::empty())),
        Op::Rename(old, new) => nothing(rustix::fs::rename(at(old), at(new))),
        Op::NoReplace(old, new) => nothing(rustix::fs::renameat_with(CWD, at(old), CWD, at(new), rustix::fs::RenameFlags::NOREPLACE)),
        Op::Exchange(old, new) => nothing(rustix::fs::renameat_with(CWD, at(old), CWD, at(new), rustix::fs::RenameFlags::EXCHANGE)),
        Op::Open(path, flags) => {
            let flags = OFlags::from_bits_retain(flags) | OFlags::CLOEXEC;
            rustix::fs::open(at(path), flags, Mode::from_raw_mode(0o640)).and_then(rustix::fs::fstat).map(seen)
        }
        Op::Stat(path) => rustix::fs::stat(at(path)).map(seen),
        Op::LinkStat(path) => rustix::fs::lstat(at(path)).map(seen),
        Op::ReadLink(path) => rustix::fs::readlink(at(path), Vec::new()).map(|text| (0, text.as_bytes().len() as u64, 0)),
        Op::Truncate(path, size) => {
            let file = rustix::fs::open(at(path), OFlags::WRONLY, Mode::empty())?;
            nothing(rustix::fs::ftruncate(file, size))
        }
    }
}

fn on_ours(world: &World, op: Op) -> Answer {
    let (walker, root) = (world.walker(), &world.root);
    let seen = |stat: super::inode::Stat| {
        let size = if stat.mode & 0o170000 == 0o040000 { 0 } else { stat.size };
        (stat.mode, size, stat.links)
    };
    let rename = |old: &str, new: &str, flags| names::rename(&walker, (root, old.as_bytes()), (root, new.as_bytes()), flags);
    let done = |answer: Result<()>| answer.map(|()| (0, 0, 0));
    match op {
        Op::MakeDirectory(path) => done(world.make(path, NewNode::Directory, 0o755).map(drop)),
        Op::Symlink(target, path) => done(world.make(path, NewNode::Symlink(target.as_bytes()), 0o777).map(drop)),
        Op::Fifo(path) => done(world.make(path, NewNode::Fifo, 0o644).map(drop)),
        Op::Remove(path) => done(names::remove(&walker, root, path.as_bytes(), false)),
        Op::RemoveDirectory(path) => done(names::remove(&walker, root, path.as_bytes(), true)),
        Op::Link(old, new) => {
            let target = world.find(old, Last::Stay)?;
            done(names::link(&walker, &target, root, new.as_bytes()))
        }
        Op::Rename(old, new) => done(rename(old, new, 0)),
        Op::NoReplace(old, new) => done(rename(old, new, names::NO_REPLACE)),
        Op::Exchange(old, new) => done(rename(old, new, names::EXCHANGE)),
        Op::Open(path, flags) => world.open(path, flags, 0o640)?.file.stat().map(seen),
        Op::Stat(path) => world.find(path, Last::Follow)?.inode()?.stat().map(seen),
        Op::LinkStat(path) => world.find(path, Last::Stay)?.inode()?.stat().map(seen),
        Op::ReadLink(path) => {
            let text = world.find(path, Last::Stay)?.inode()?.read_link()?;
            Ok((0, text.len() as u64, 0))
        }
        Op::Truncate(path, size) => {
            let file = world.open(path, flags::WRITE_ONLY, 0)?;
            done(file.file.truncate(size))
        }
    }
}

const CREATE: u32 = flags::CREATE | flags::WRITE_ONLY;
const NEW: u32 = flags::CREATE | flags::EXCLUSIVE | flags::READ_WRITE;

/// Made once; each line sees what those before it left.
const SCRIPT: &[Op] = &[
    Op::MakeDirectory("a"),
    Op::MakeDirectory("a"),
    Op::MakeDirectory("a/"),
    Op::MakeDirectory("b/c"),
    Op::MakeDirectory("a/b/"),
    Op::MakeDirectory("a/b/c"),
    Op::MakeDirectory("."),
    Op::MakeDirectory(".."),
    Op::MakeDirectory("a/."),
    Op::MakeDirectory(""),
    Op::Stat(""),
    Op::Stat("a"),
    Op::Stat("a/b"),
    Op::Open("f", CREATE),
    Op::Open("f", NEW),
    Op::Open("f", flags::READ_ONLY),
    Op::Open("f/", flags::READ_ONLY),
    Op::Open("f/x", flags::READ_ONLY),
    Op::Open("g/", CREATE),
    Op::Open("nothing", flags::READ_ONLY),
    Op::Open("nothing/x", CREATE),
    Op::Open("a", flags::READ_ONLY),
    Op::Open("a", flags::WRITE_ONLY),
    Op::Open("a", CREATE),
    Op::Open("a/", CREATE),
    Op::Open("a", flags::READ_ONLY | flags::TRUNCATE),
    Op::Open("f", flags::READ_ONLY | flags::DIRECTORY),
    Op::Open("a", flags::READ_ONLY | flags::DIRECTORY),
    Op::Open("a", flags::CREATE | flags::DIRECTORY),
    Op::Open("a/tmp", flags::TEMPORARY | flags::DIRECTORY | flags::READ_ONLY),
    Op::Truncate("f", 5000),
    Op::Stat("f"),
    Op::Open("f", flags::WRITE_ONLY | flags::TRUNCATE),
    Op::Stat("f"),
    Op::Symlink("f", "to-f"),
    Op::Symlink("f", "to-f"),
    Op::Symlink("a", "to-a"),
    Op::Symlink("nothing", "dangling"),
    Op::Symlink("made-through", "through"),
    Op::Symlink("loop-2", "loop-1"),
    Op::Symlink("loop-1", "loop-2"),
    Op::Symlink("a/b/c", "deep"),
    Op::Symlink("../f", "a/up"),
    Op::Symlink("to-f", "to-to-f"),
    Op::Symlink("x", "new/"),
    Op::Stat("to-f"),
    Op::LinkStat("to-f"),
    Op::LinkStat("to-f/"),
    Op::LinkStat("to-a/"),
    Op::LinkStat("to-a"),
    Op::Stat("to-a/b"),
    Op::Stat("to-a/../f"),
    Op::Stat("deep/../../f"),
    Op::Stat("a/up"),
    Op::Stat("to-to-f"),
    Op::Stat("dangling"),
    Op::LinkStat("dangling"),
    Op::LinkStat("dangling/"),
    Op::Stat("loop-1"),
    Op::LinkStat("loop-1"),
    Op::Stat("loop-1/x"),
    Op::ReadLink("to-f"),
    Op::ReadLink("f"),
    Op::ReadLink("a"),
    Op::ReadLink("to-a/"),
    Op::Open("through", CREATE),
    Op::Stat("made-through"),
    Op::Open("dangling", flags::CREATE | flags::EXCLUSIVE | flags::WRITE_ONLY),
    Op::Open("to-f", flags::READ_ONLY | flags::NO_FOLLOW),
    Op::Open("to-a", flags::READ_ONLY | flags::NO_FOLLOW | flags::DIRECTORY),
    Op::Open("to-a/", flags::READ_ONLY | flags::NO_FOLLOW | flags::DIRECTORY),
    Op::Open("to-f", flags::PATH | flags::NO_FOLLOW),
    Op::Open("to-f", flags::CREATE | flags::NO_FOLLOW | flags::WRITE_ONLY),
    Op::MakeDirectory("dangling"),
    Op::MakeDirectory("dangling/"),
    Op::MakeDirectory("to-a/new"),
    Op::Link("f", "f2"),
    Op::Stat("f"),
    Op::Link("f", "f2"),
    Op::Link("a", "a2"),
    Op::Link("nothing", "x"),
    Op::Link("to-f", "to-f2"),
    Op::LinkStat("to-f2"),
    Op::Link("f", "nothing/x"),
    Op::Link("f", "f3/"),
    Op::Fifo("pipe"),
    Op::Fifo("pipe"),
    Op::LinkStat("pipe"),
    Op::Remove("pipe/"),
    Op::Remove("a"),
    Op::Remove("a/"),
    Op::Remove("nothing"),
    Op::Remove("f/x"),
    Op::Remove("."),
    Op::Remove("to-a/"),
    Op::RemoveDirectory("a"),
    Op::RemoveDirectory("f"),
    Op::RemoveDirectory("a/."),
    Op::RemoveDirectory("a/.."),
    Op::RemoveDirectory("to-a"),
    Op::RemoveDirectory("nothing"),
    Op::RemoveDirectory("a/new"),
    Op::Stat("a"),
    Op::Rename("f", "g"),
    Op::Stat("f"),
    Op::Stat("g"),
    Op::Rename("g", "f2"),
    Op::Stat("g"),
    Op::Rename("g", "f"),
    Op::Rename("nothing", "x"),
    Op::Rename("a", "f"),
    Op::Rename("f", "a"),
    Op::Rename("f", "a/"),
    Op::Rename("f", "x/"),
    Op::Rename("f/", "x"),
    Op::Rename("a", "a/b/d"),
    Op::Rename("a/b/c", "a"),
    Op::Rename("a/b", "a"),
    Op::Rename("a", "a"),
    Op::Rename("a", "a/"),
    Op::Rename("a/.", "x"),
    Op::Rename("a", ".."),
    Op::MakeDirectory("d"),
    Op::MakeDirectory("e"),
    Op::Open("e/file", CREATE),
    Op::Rename("d", "e"),
    Op::Rename("e", "d"),
    Op::Stat("d/file"),
    Op::Stat("e"),
    Op::Rename("d/file", "to-f"),
    Op::LinkStat("to-f"),
    Op::NoReplace("d", "a"),
    Op::NoReplace("d", "h"),
    Op::Exchange("h", "f"),
    Op::Stat("h"),
    Op::Stat("f"),
    Op::Exchange("h", "nothing"),
    Op::Exchange("a", "a/b"),
    Op::Exchange("a/b", "a"),
    Op::Stat(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ),
];

fn compare(name: &str, world: &World) {
    let host = Scratch::new();
    let mut different = Vec::new();
    for (line, op) in SCRIPT.iter().enumerate() {
        let (theirs, ours) = (on_host(&host.0, *op), on_ours(world, *op));
        if theirs != ours {
            different.push(format!("{line}: {op:?}: the host says {theirs:?}, {name} says {ours:?}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn tmpfs_answers_as_the_host_does() {
    rustix::process::umask(Mode::empty());
    compare("tmpfs", &World::new(MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions::default()).unwrap()));
}

#[test]
fn a_directory_of_the_host_answers_as_itself() {
    rustix::process::umask(Mode::empty());
    let scratch = Scratch::new();
    compare("host", &World::new(HostFileSystem::new(scratch.open()).unwrap()));
}

#[test]
fn an_overlay_over_nothing_answers_as_the_host_does() {
    rustix::process::umask(Mode::empty());
    let scratch = Scratch::new();
    compare("overlay", &World::new(MemoryFileSystem::overlay(scratch.open()).unwrap()));
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 0, "the lower layer is never written to");
}

/// The first part of the script is done below, the rest above.
#[test]
fn an_overlay_over_anything_answers_as_the_host_does() {
    rustix::process::umask(Mode::empty());
    for cut in (5..SCRIPT.len()).step_by(7) {
        let (host, lower) = (Scratch::new(), Scratch::new());
        let (first, rest) = SCRIPT.split_at(cut);
        for op in first {
            assert_eq!(on_host(&host.0, *op), on_host(&lower.0, *op));
        }
        let world = World::new(MemoryFileSystem::overlay(lower.open()).unwrap());
        for (line, op) in rest.iter().enumerate() {
            let (theirs, ours) = (on_host(&host.0, *op), on_ours(&world, *op));
            assert_eq!(theirs, ours, "cut at {cut}, line {}: {op:?}", cut + line);
        }
    }
}

#[test]
fn dotdot_stays_inside_of_root_and_crosses_mounts() {
    let world = World::new(MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions::default()).unwrap());
    world.make("a", NewNode::Directory, 0o755).unwrap();
    world.make("a/on", NewNode::Directory, 0o755).unwrap();
    let other = MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions::default()).unwrap();
    let mount = Mount::whole(other, b"other", MountFlags::READ_ONLY).unwrap();
    Mount::attach(&mount, &world.find("a/on", Last::Follow).unwrap()).unwrap();
    let inside = world.find("/a/on", Last::Follow).unwrap();
    assert!(inside.is(&mount.place()));
    assert_eq!(inside.path(&world.root), (b"/a/on".to_vec(), true));
    assert!(world.find("a/on/..", Last::Follow).unwrap().is(&world.find("a", Last::Follow).unwrap()));
    assert!(world.find("../../a/../..", Last::Follow).unwrap().is(&world.root));
    assert_eq!(world.make("a/on/x", NewNode::Directory, 0o755).err(), Some(Errno::ROFS));
    assert_eq!(on_ours(&world, Op::Rename("a/on", "b")).err(), Some(Errno::BUSY));
    assert_eq!(on_ours(&world, Op::RemoveDirectory("a/on")).err(), Some(Errno::BUSY));
    world.write("f", "");
    mount.set_flags(MountFlags::empty());
    assert_eq!(on_ours(&world, Op::Rename("f", "a/on/f")).err(), Some(Errno::XDEV));
    assert_eq!(on_ours(&world, Op::Link("f", "a/on/f")).err(), Some(Errno::XDEV));
    let changed = Walker::new(&world.user, world.find("a", Last::Follow).unwrap());
    assert!(changed.find(&world.find("a/on", Last::Follow).unwrap(), b"../../..", Last::Follow).unwrap().is(&changed.root));
    assert_eq!(mount.detach(false), Ok(()));
    assert_eq!(inside.path(&world.root), (b"/".to_vec(), false));
}

#[test]
fn openat2_confines() {
    let world = World::new(MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions::default()).unwrap());
    for directory in ["jail", "jail/sub", "out"] {
        world.make(directory, NewNode::Directory, 0o755).unwrap();
    }
    for (path, target) in [("jail/up", "../out"), ("jail/root", "/out"), ("jail/in", "sub"), ("jail/sub/back", "../sub")] {
        world.make(path, NewNode::Symlink(target.as_bytes()), 0o777).unwrap();
    }
    let jail = world.find("jail", Last::Follow).unwrap();
    let find = |resolve: Resolve, path: &str| {
        let walker = Walker { credentials: &world.user, root: world.root.clone(), resolve };
        walker.find(&jail, path.as_bytes(), Last::Follow).map(|place| String::from_utf8(place.path(&world.root).0).unwrap())
    };
    assert_eq!(find(Resolve::BENEATH, "sub/.."), Ok("/jail".into()));
    for path in ["..", "sub/../..", "up", "root", "/out", "/"] {
        assert_eq!(find(Resolve::BENEATH, path), Err(Errno::XDEV), "{path}");
    }
    assert_eq!(find(Resolve::BENEATH, "sub/back"), Ok("/jail/sub".into()));
    assert_eq!(find(Resolve::IN_ROOT, "../../.."), Ok("/jail".into()));
    assert_eq!(find(Resolve::IN_ROOT, "/sub"), Ok("/jail/sub".into()));
    assert_eq!(find(Resolve::IN_ROOT, "root"), Err(Errno::NOENT));
    assert_eq!(find(Resolve::NO_SYMLINKS, "in"), Err(Errno::LOOP));
    assert_eq!(find(Resolve::NO_MOUNTS, "/out"), Ok("/out".into()));
}

#[test]
fn permissions_are_asked_on_the_way() {
    let mut world = World::new(MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions { mode: Some(0o755), ..TmpfsOptions::default() }).unwrap());
    world.make("closed", NewNode::Directory, 0o700).unwrap();
    world.make("sticky", NewNode::Directory, 0o1777).unwrap();
    world.write("closed/f", "x");
    world.write("sticky/f", "x");
    world.write("readable", "x");
    world.make("sticky/link", NewNode::Symlink(b"../readable"), 0o777).unwrap();
    let link = world.find("sticky/link", Last::Stay).unwrap();
    link.inode().unwrap().set_attributes(&Attributes { uid: Some(77), ..Attributes::default() }).unwrap();
    world.user = Credentials { fsuid: 5, fsgid: 5, ..Credentials::default() };
    let open = |path: &str, flags: u32| world.open(path, flags, 0o666).map(drop);
    assert_eq!(open("closed/f", flags::READ_ONLY), Err(Errno::ACCESS));
    assert_eq!(open("closed/nothing", flags::READ_ONLY), Err(Errno::ACCESS));
    assert_eq!(open("readable", flags::READ_ONLY), Ok(()));
    assert_eq!(open("readable", flags::WRITE_ONLY), Err(Errno::ACCESS));
    assert_eq!(open("readable", flags::READ_ONLY | flags::TRUNCATE), Err(Errno::ACCESS));
    assert_eq!(open("readable", flags::READ_ONLY | flags::NO_ACCESS_TIME), Err(Errno::PERM));
    assert_eq!(open("new", CREATE), Err(Errno::ACCESS));
    assert_eq!(open("sticky/new", CREATE), Ok(()));
    assert_eq!(on_ours(&world, Op::Remove("sticky/f")).err(), Some(Errno::PERM));
    assert_eq!(on_ours(&world, Op::Rename("sticky/f", "sticky/g")).err(), Some(Errno::PERM));
    assert_eq!(on_ours(&world, Op::Remove("sticky/new")).err(), None);
    // protected_symlinks: another's link in a directory where anybody may leave one.
    assert_eq!(open("sticky/link", flags::READ_ONLY), Err(Errno::ACCESS));
}

#[test]
fn deep_directories_end_without_overflowing_the_stack() {
    const DEPTH: usize = 100_000;
    let run = || {
        let world = World::new(MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions::default()).unwrap());
        let mut at = world.root.clone();
        for _ in 0..DEPTH {
            at = names::make(&world.walker(), &at, b"d", NewNode::Directory, 0o755).unwrap();
        }
        assert_eq!(at.path(&world.root).0.len(), 2 * DEPTH);
    };
    std::thread::Builder::new().stack_size(128 << 10).spawn(run).unwrap().join().unwrap();
}

/// A racing thread swaps a directory for a link that leads out of the shared directory, and for others. Nothing outside must ever be read or changed.
#[test]
fn a_swapped_link_never_leads_out_of_the_shared_directory() {
    let (shared, outside) = (Scratch::new(), Scratch::new());
    std::fs::write(outside.0.join("secret"), "secret").unwrap();
    std::fs::create_dir(shared.0.join("real")).unwrap();
    std::fs::write(shared.0.join("real/secret"), "harmless").unwrap();
    std::os::unix::fs::symlink(&outside.0, shared.0.join("evil")).unwrap();
    std::os::unix::fs::symlink("../../../../../../../../etc", shared.0.join("dots")).unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let swapper = {
        let (stop, base) = (stop.clone(), shared.0.clone());
        std::thread::spawn(move || {
            let directory = std::fs::File::open(base).unwrap();
            while !stop.load(Ordering::Relaxed) {
                for other in ["evil", "dots"] {
                    let exchange = rustix::fs::RenameFlags::EXCHANGE;
                    rustix::fs::renameat_with(&directory, "real", &directory, other, exchange).unwrap();
                    rustix::fs::renameat_with(&directory, other, &directory, "real", exchange).unwrap();
                }
            }
        })
    };
    let world = World::new(HostFileSystem::new(shared.open()).unwrap());
    let mut harmless = 0;
    for round in 0..3000 {
        match world.read("real/secret") {
            Ok(text) => {
                assert_eq!(text, "harmless");
                harmless += 1;
            }
            Err(error) => assert!(matches!(error, Errno::NOENT | Errno::STALE | Errno::NOTDIR | Errno::LOOP), "{error:?}"),
        }
        let _ = world.open("real/made", flags::CREATE | flags::WRITE_ONLY, 0o644);
        let _ = on_ours(&world, Op::Remove("real/made"));
        let _ = world.make(if round % 2 == 0 { "real/d" } else { "evil/d" }, NewNode::Directory, 0o755);
        if let Ok(place) = world.find("real/secret", Last::Follow) {
            let _ = place.inode().unwrap().set_attributes(&Attributes { mode: Some(0o600), ..Attributes::default() });
        }
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(harmless > 0, "the race was never won by the reader");
    let left: Vec<_> = std::fs::read_dir(&outside.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["secret"], "nothing was made outside");
    assert_ne!(std::fs::metadata(outside.0.join("secret")).unwrap().mode() & 0o777, 0o600, "nothing was changed outside");
}
