use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use super::HostFileSystem;
use crate::Errno;
use crate::vfs::inode::{Attributes, NewNode, TimeStamp};
use crate::vfs::open::flags;
use crate::vfs::path::Last;
use crate::vfs::tests::{Scratch, World};

fn world() -> (Scratch, World) {
    let scratch = Scratch::new();
    let world = World::new(HostFileSystem::new(scratch.open()).unwrap());
    (scratch, world)
}

#[test]
fn what_the_host_changes_is_seen() {
    let (scratch, world) = world();
    assert_eq!(world.read("f").err(), Some(Errno::NOENT));
    std::fs::write(scratch.0.join("f"), "one").unwrap();
    assert_eq!(world.read("f").unwrap(), "one");
    std::fs::write(scratch.0.join("g"), "two").unwrap();
    std::fs::rename(scratch.0.join("g"), scratch.0.join("f")).unwrap();
    assert_eq!(world.read("f").unwrap(), "two");
    std::fs::remove_file(scratch.0.join("f")).unwrap();
    assert_eq!(world.read("f").err(), Some(Errno::NOENT));
    assert_eq!(world.list("."), Vec::<String>::new());
}

#[test]
fn sockets_and_devices_of_the_host_are_not_opened() {
    let (scratch, world) = world();
    let _listener = UnixListener::bind(scratch.0.join("socket")).unwrap();
    assert_eq!(world.open("socket", flags::READ_WRITE, 0).err(), Some(Errno::NXIO));
    assert_eq!(world.make("disk", NewNode::BlockDevice(0x800), 0o666).err(), Some(Errno::PERM));
    let place = world.find("socket", Last::Follow).unwrap();
    assert_eq!(place.inode().unwrap().stat().unwrap().mode & 0o170000, 0o140000);
}

#[test]
fn the_hosts_device_number_does_not_show() {
    let (scratch, world) = world();
    std::fs::write(scratch.0.join("f"), "").unwrap();
    let stat = world.find("f", Last::Follow).unwrap().inode().unwrap().stat().unwrap();
    let host = rustix::fs::stat(scratch.0.join("f")).unwrap();
    assert_ne!(stat.device, host.st_dev);
    assert_eq!(rustix::fs::major(stat.device), 0);
    assert_eq!(stat.inode, host.st_ino);
}

#[test]
fn attributes_are_written_through() {
    let (scratch, world) = world();
    world.write("f", "text");
    let place = world.find("f", Last::Follow).unwrap();
    let time = TimeStamp { seconds: 1_000_000_000, nanoseconds: 500 };
    let change = Attributes { mode: Some(0o4751), modified: Some(time), size: Some(2), ..Attributes::default() };
    place.inode().unwrap().set_attributes(&change).unwrap();
    let host = rustix::fs::stat(scratch.0.join("f")).unwrap();
    assert_eq!((host.st_mode & 0o7777, host.st_mtime, host.st_mtime_nsec as u32, host.st_size), (0o4751, 1_000_000_000, 500, 2));
    assert_eq!(std::fs::read(scratch.0.join("f")).unwrap(), b"te");
}

#[test]
fn appends_tell_where_the_end_is() {
    let (scratch, world) = world();
    std::fs::write(scratch.0.join("f"), "123").unwrap();
    let file = world.open("f", flags::WRITE_ONLY | flags::APPEND, 0).unwrap();
    assert_eq!(file.file.append(b"45"), Ok((2, 5)));
    assert_eq!(std::fs::read(scratch.0.join("f")).unwrap(), b"12345");
}

#[test]
fn a_file_is_mounted_with_what_it_was_opened_for() {
    let scratch = Scratch::new();
    let path = scratch.0.join("f");
    std::fs::write(&path, "text").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let world = World::new(HostFileSystem::new(std::fs::File::open(&path).unwrap().into()).unwrap());
    let file = world.root.inode().unwrap().clone();
    assert!(file.clone().open(flags::READ_ONLY, &world.user).is_ok());
    assert_eq!(file.open(flags::WRITE_ONLY, &world.user).err(), Some(Errno::ACCESS));
    let both = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let world = World::new(HostFileSystem::of_file(std::fs::File::open(&path).unwrap().into(), Some(both.into())).unwrap());
    let file = world.root.inode().unwrap().clone();
    assert_eq!(file.clone().open(flags::WRITE_ONLY, &world.user).unwrap().write(b"r", 2), Ok(1));
    // Who may only read holds nothing of the host's that writes.
    let read = file.open(flags::READ_ONLY, &world.user).unwrap().map(false).unwrap();
    let access = rustix::fs::fcntl_getfl(&read.file).unwrap() & rustix::fs::OFlags::RWMODE;
    assert_eq!(access, rustix::fs::OFlags::RDONLY);
    assert_eq!(std::fs::read(&path).unwrap(), b"tert");
}

#[test]
fn renamed_directories_are_found_after_their_descriptors_were_closed() {
    let (_scratch, world) = world();
    for directory in ["a", "a/b", "c"] {
        world.make(directory, NewNode::Directory, 0o755).unwrap();
    }
    world.write("a/b/f", "deep");
    let deep = world.find("a/b", Last::Follow).unwrap();
    crate::vfs::names::rename(&world.walker(), (&world.root, b"a"), (&world.root, b"c/d"), 0).unwrap();
    while super::pool::relieve() {}
    let found = world.walker().find(&deep, b"f", Last::Follow).unwrap();
    assert_eq!(found.path(&world.root).0, b"/c/d/b/f");
    assert_eq!(world.read("c/d/b/f").unwrap(), "deep");
}
