//! `/proc/PID/mounts` and `mountinfo`.

use std::sync::Arc;

use super::process::Subject;
use crate::Result;
use crate::vfs::mount::{Mount, MountFlags};

/// Space, tab, newline and backslash in octal, as `getmntent(3)` reads them.
fn escaped(text: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => all.extend(format!("\\{byte:03o}").bytes()),
            _ => all.push(*byte),
        }
    }
    all
}

fn options(flags: MountFlags) -> String {
    let mut words = vec![if flags.contains(MountFlags::READ_ONLY) { "ro" } else { "rw" }];
    let named = [
        (MountFlags::NO_SETUID, "nosuid"),
        (MountFlags::NO_DEVICES, "nodev"),
        (MountFlags::NO_EXECUTION, "noexec"),
        (MountFlags::NO_ACCESS_TIME, "noatime"),
        (MountFlags::NO_DIRECTORY_ACCESS_TIME, "nodiratime"),
        (MountFlags::NO_SYMLINKS, "nosymfollow"),
    ];
    words.extend(named.into_iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, word)| word));
    if !flags.intersects(MountFlags::NO_ACCESS_TIME | MountFlags::STRICT_ACCESS_TIME) {
        words.push("relatime");
    }
    words.join(",")
}

/// The mounts that a task sees, each with the path where it does.
fn seen(subject: &Subject) -> Result<Vec<(Arc<Mount>, Vec<u8>)>> {
    let root = subject.task()?.fs().root();
    let top = subject.process.container.root.clone();
    let places = top.tree().into_iter().filter_map(|mount| {
        let place = mount.place();
        let (path, reached) = place.path(&root);
        reached.then_some((mount, path))
    });
    Ok(places.collect())
}

fn super_options(mount: &Mount) -> String {
    format!("rw{}", mount.super_block.file_system.options())
}

pub(super) fn mounts(subject: &Subject) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for (mount, path) in seen(subject)? {
        text.extend(escaped(&mount.source));
        text.push(b' ');
        text.extend(escaped(&path));
        let kind = mount.super_block.file_system.name();
        let rest = format!(" {kind} {}{} 0 0\n", options(mount.flags()), mount.super_block.file_system.options());
        text.extend(rest.bytes());
    }
    Ok(text)
}

pub(super) fn mountinfo(subject: &Subject) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for (mount, path) in seen(subject)? {
        let parent = mount.parent().map_or(mount.id, |place| place.mount.id);
        let device = mount.root.inode()?.stat()?.device;
        text.extend(format!("{} {parent} {}:{} ", mount.id, rustix::fs::major(device), rustix::fs::minor(device)).bytes());
        text.extend(escaped(&root_path(&mount)));
        text.push(b' ');
        text.extend(escaped(&path));
        text.extend(format!(" {} - {} ", options(mount.flags()), mount.super_block.file_system.name()).bytes());
        text.extend(escaped(&mount.source));
        text.extend(format!(" {}\n", super_options(&mount)).bytes());
    }
    Ok(text)
}

/// The path, in its file system, of what a mount shows.
fn root_path(mount: &Mount) -> Vec<u8> {
    let mut names = Vec::new();
    let mut at = mount.root.clone();
    while let Some(parent) = at.parent() {
        names.push(at.name());
        at = parent;
    }
    let mut path: Vec<u8> = names.iter().rev().flat_map(|name| [b"/", &**name].concat()).collect();
    if path.is_empty() {
        path.push(b'/');
    }
    path
}
