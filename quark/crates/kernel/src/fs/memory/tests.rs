use super::{MemoryFileSystem, TmpfsOptions};
use crate::Errno;
use crate::vfs::inode::{Attributes, NewNode};
use crate::vfs::mount::FileSystem;
use crate::vfs::names;
use crate::vfs::open::flags;
use crate::vfs::path::Last;
use crate::vfs::tests::{Scratch, World};

fn overlay() -> (Scratch, World) {
    let lower = Scratch::new();
    std::fs::create_dir_all(lower.0.join("dir/sub")).unwrap();
    std::fs::write(lower.0.join("dir/f"), "below").unwrap();
    std::fs::write(lower.0.join("dir/sub/g"), "deep").unwrap();
    std::fs::hard_link(lower.0.join("dir/f"), lower.0.join("twin")).unwrap();
    std::fs::write(lower.0.join("large"), vec![7; 300_000]).unwrap();
    let world = World::new(MemoryFileSystem::overlay(lower.open()).unwrap());
    (lower, world)
}

fn number(world: &World, path: &str) -> u64 {
    world.find(path, Last::Stay).unwrap().inode().unwrap().stat().unwrap().inode
}

#[test]
fn the_lower_layer_is_read_and_never_written() {
    let (lower, world) = overlay();
    assert_eq!(world.read("dir/f").unwrap(), "below");
    let before = number(&world, "dir/f");
    world.write("dir/f", "above");
    assert_eq!(world.read("dir/f").unwrap(), "above");
    assert_eq!(number(&world, "dir/f"), before, "inode numbers stay over a copy");
    assert_eq!(world.read("twin").unwrap(), "above", "so do hard links");
    assert_eq!(std::fs::read(lower.0.join("dir/f")).unwrap(), b"below");
}

#[test]
fn who_has_a_file_open_sees_what_is_written_later() {
    let (_lower, world) = overlay();
    let reader = world.open("large", flags::READ_ONLY, 0).unwrap();
    let writer = world.open("large", flags::READ_WRITE, 0).unwrap();
    assert_eq!(writer.file.write(b"new", 299_999), Ok(3));
    let mut bytes = [0; 4];
    assert_eq!(reader.file.read(&mut bytes, 299_998), Ok(4));
    assert_eq!(&bytes, b"\x07new");
    assert_eq!(reader.file.stat().unwrap().size, 300_002);
}

#[test]
fn what_is_removed_stays_removed() {
    let (_lower, world) = overlay();
    names::remove(&world.walker(), &world.root, b"dir/f", false).unwrap();
    assert_eq!(world.read("dir/f").err(), Some(Errno::NOENT));
    assert_eq!(world.list("dir"), ["sub"]);
    assert_eq!(world.read("twin").unwrap(), "below");
    assert_eq!(names::remove(&world.walker(), &world.root, b"dir", true), Err(Errno::NOTEMPTY));
    names::remove(&world.walker(), &world.root, b"dir/sub/g", false).unwrap();
    names::remove(&world.walker(), &world.root, b"dir/sub", true).unwrap();
    names::remove(&world.walker(), &world.root, b"dir", true).unwrap();
    world.make("dir", NewNode::Directory, 0o755).unwrap();
    assert_eq!(world.list("dir"), Vec::<String>::new(), "a new directory hides the old one");
    names::remove(&world.walker(), &world.root, b"dir", true).unwrap();
    assert_eq!(world.find("dir", Last::Follow).err(), Some(Errno::NOENT));
}

#[test]
fn directories_of_the_lower_layer_are_renamed_with_what_is_in_them() {
    let (lower, world) = overlay();
    world.make("to", NewNode::Directory, 0o755).unwrap();
    names::rename(&world.walker(), (&world.root, b"dir"), (&world.root, b"to/dir"), 0).unwrap();
    assert_eq!(world.read("to/dir/sub/g").unwrap(), "deep");
    world.write("to/dir/sub/new", "x");
    assert_eq!(world.list("to/dir/sub"), ["g", "new"]);
    assert_eq!(world.find("dir", Last::Follow).err(), Some(Errno::NOENT));
    assert_eq!(world.list("."), ["large", "to", "twin"]);
    assert!(lower.0.join("dir/sub/g").exists());
}

#[test]
fn changes_outlive_the_dentries() {
    let (_lower, world) = overlay();
    let change = Attributes { mode: Some(0o711), uid: Some(9), ..Attributes::default() };
    world.find("dir/sub", Last::Follow).unwrap().inode().unwrap().set_attributes(&change).unwrap();
    // More names than the cache keeps.
    world.make("many", NewNode::Directory, 0o755).unwrap();
    for name in 0..5000 {
        let _ = world.find(&format!("many/{name}"), Last::Follow);
    }
    let stat = world.find("dir/sub", Last::Follow).unwrap().inode().unwrap().stat().unwrap();
    assert_eq!((stat.mode & 0o7777, stat.uid), (0o711, 9));
}

#[test]
fn positions_in_directories_stay() {
    let world = World::new(MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions::default()).unwrap());
    for name in 0..50 {
        world.write(&format!("f{name:02}"), "");
    }
    let directory = world.open(".", flags::READ_ONLY, 0).unwrap();
    let first = directory.file.entries(0, 24 * 10).unwrap();
    for name in 0..20 {
        names::remove(&world.walker(), &world.root, format!("f{name:02}").as_bytes(), false).unwrap();
    }
    let rest = directory.file.entries(first.last().unwrap().next, 1 << 16).unwrap();
    assert_eq!(first.len() + rest.len(), 52, "each is told once, whatever was removed since");
    assert_eq!(directory.file.entries(0, 1 << 16).unwrap().len(), 32);
}

#[test]
fn limits_hold() {
    let options = TmpfsOptions { size: Some(256 << 10), inodes: Some(5), ..TmpfsOptions::default() };
    let file_system = MemoryFileSystem::tmpfs("tmpfs", options).unwrap();
    let world = World::new(file_system.clone());
    let file = world.open("f", flags::CREATE | flags::READ_WRITE, 0o644).unwrap();
    let mut written = 0;
    let error = loop {
        match file.file.write(&[1; 10_000], written) {
            Ok(count) => written += count as u64,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Errno::NOSPC);
    assert_eq!(written, 256 << 10);
    assert_eq!(file.file.write(b"over what is there", 100), Ok(18));
    assert_eq!(file_system.stat().unwrap().free, 0);
    file.file.truncate(10).unwrap();
    assert_eq!(file_system.stat().unwrap().free, 63);
    for name in ["a", "b", "c"] {
        world.write(name, "");
    }
    assert_eq!(world.open("d", flags::CREATE | flags::WRITE_ONLY, 0o644).err(), Some(Errno::NOSPC));
    names::remove(&world.walker(), &world.root, b"a", false).unwrap();
    world.write("d", "");
}

#[test]
fn a_hundred_thousand_small_files_take_no_descriptors() {
    let world = World::new(MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions::default()).unwrap());
    let lowest_free = || {
        use std::os::fd::AsRawFd;
        let file = std::fs::File::open("/dev/null").unwrap();
        file.as_raw_fd()
    };
    let before = lowest_free();
    for name in 0..100_000 {
        world.write(&name.to_string(), "small");
    }
    // Other tests open and close as well.
    assert!((lowest_free() - before).abs() < 500);
    assert_eq!(world.read("99999").unwrap(), "small");
}

#[test]
fn holes_read_as_zeros_and_take_no_room() {
    let world = World::new(MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions::default()).unwrap());
    let file = world.open("f", flags::CREATE | flags::READ_WRITE, 0o644).unwrap();
    assert_eq!(file.file.write(b"x", 1 << 40), Ok(1));
    let stat = file.file.stat().unwrap();
    assert_eq!(stat.size, (1 << 40) + 1);
    assert!(stat.blocks < 1000, "{}", stat.blocks);
    assert_eq!(file.file.seek_data(0, false), Ok(1 << 40));
    let mut byte = [1];
    assert_eq!(file.file.read(&mut byte, 5), Ok(1));
    assert_eq!(byte, [0]);
    assert_eq!(file.file.write(b"x", i64::MAX as u64), Err(Errno::FBIG));
}

#[test]
fn extended_attributes_are_kept() {
    let world = World::new(MemoryFileSystem::tmpfs("tmpfs", TmpfsOptions::default()).unwrap());
    world.write("f", "");
    let inode = world.find("f", Last::Follow).unwrap().inode().unwrap().clone();
    assert_eq!(inode.extended_attribute(b"user.a"), Err(Errno::NODATA));
    inode.set_extended_attribute(b"user.a", Some(b"1"), 0).unwrap();
    assert_eq!(inode.set_extended_attribute(b"user.a", Some(b"2"), libc::XATTR_CREATE as u32), Err(Errno::EXIST));
    assert_eq!(inode.set_extended_attribute(b"user.b", Some(b"2"), libc::XATTR_REPLACE as u32), Err(Errno::NODATA));
    assert_eq!(inode.extended_attribute(b"user.a"), Ok(b"1".to_vec()));
    assert_eq!(inode.extended_attributes(), Ok(vec![b"user.a".to_vec()]));
    inode.set_extended_attribute(b"user.a", None, 0).unwrap();
    assert_eq!(inode.set_extended_attribute(b"user.a", None, 0), Err(Errno::NODATA));
}
