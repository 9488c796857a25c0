//! Making, removing, listing and entering folders; renames.

use crate::support::{file, in_child};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(make_and_remove),
    case!(remove_busy),
    case!(list),
    case!(list_in_parts),
    case!(list_while_removing),
    case!(change_folder),
    case!(current_folder_removed),
    case!(change_root),
    case!(rename_files),
    case!(rename_folders),
    case!(rename_into_itself),
    case!(rename_flags),
    case!(sticky_folder),
    case!(inherits_group),
    case!(unlinkat_flags),
    case!(make_nodes),
    case!(dots_and_slashes),
    case!(deep_path),
    case!(mounts),
];

fn make_and_remove(t: &Trace) {
    t.call("mkdir", sys!(SYS_mkdir, c"d".as_ptr(), 0o755));
    t.call("again", sys!(SYS_mkdir, c"d".as_ptr(), 0o755));
    t.call("with slash", sys!(SYS_mkdir, c"e/".as_ptr(), 0o755));
    t.call("in missing", sys!(SYS_mkdir, c"x/y".as_ptr(), 0o755));
    t.call("dot", sys!(SYS_mkdir, c".".as_ptr(), 0o755));
    t.call("mkdirat", sys!(SYS_mkdirat, AT_FDCWD, c"d/f".as_ptr(), 0o7777));
    let mut stat: stat = crate::support::zeroed();
    sys!(SYS_stat, c"d/f".as_ptr(), &raw mut stat);
    t.show("mode", format!("{:o}", stat.st_mode));
    sys!(SYS_stat, c"d".as_ptr(), &raw mut stat);
    t.show("links", stat.st_nlink);
    t.call("rmdir", sys!(SYS_rmdir, c"d/f".as_ptr()));
    sys!(SYS_stat, c"d".as_ptr(), &raw mut stat);
    t.show("links", stat.st_nlink);
}

fn remove_busy(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    file(c"d/a", b"");
    t.call("not empty", sys!(SYS_rmdir, c"d".as_ptr()));
    t.call("file", sys!(SYS_rmdir, c"d/a".as_ptr()));
    t.call("missing", sys!(SYS_rmdir, c"x".as_ptr()));
    t.call("dot", sys!(SYS_rmdir, c"d/.".as_ptr()));
    t.call("dots", sys!(SYS_rmdir, c"d/..".as_ptr()));
    t.call("unlink", sys!(SYS_unlink, c"d".as_ptr()));
    t.call("root", sys!(SYS_rmdir, c"/".as_ptr()));
    t.call("unlink with slash", sys!(SYS_unlink, c"d/a/".as_ptr()));
}

/// Names and types of the next entries that fit into so many bytes.
fn entries(fd: i64, size: usize) -> Result<Vec<String>, String> {
    let mut buffer = vec![0u8; size];
    let got = sys!(SYS_getdents64, fd, buffer.as_mut_ptr(), size);
    let Ok(length) = usize::try_from(got) else { return Err(crate::trace::errno_name()) };
    let mut found = Vec::new();
    let mut at = 0;
    while at < length {
        let record = usize::from(u16::from_ne_bytes([buffer[at + 16], buffer[at + 17]]));
        let name = buffer[at + 19..at + record].split(|byte| *byte == 0).next().unwrap_or_default();
        found.push(format!("{}:{}", String::from_utf8_lossy(name), buffer[at + 18]));
        at += record;
    }
    Ok(found)
}

fn list(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    file(c"a", b"");
    sys!(SYS_symlink, c"a".as_ptr(), c"l".as_ptr());
    sys!(SYS_mknod, c"p".as_ptr(), S_IFIFO | 0o600, 0);
    let fd = sys!(SYS_open, c".".as_ptr(), O_RDONLY | O_DIRECTORY);
    let mut names = entries(fd, 4096).unwrap_or_default();
    names.sort();
    t.show("entries", names.join(" "));
    t.show("end", entries(fd, 4096).unwrap_or_default().len());
    t.call("rewind", sys!(SYS_lseek, fd, 0, SEEK_SET));
    t.show("again", entries(fd, 4096).unwrap_or_default().len());
    t.show("small buffer", entries(sys!(SYS_open, c".".as_ptr(), O_RDONLY), 8).err().unwrap_or_default());
    t.show("file", entries(sys!(SYS_open, c"a".as_ptr(), O_RDONLY), 4096).err().unwrap_or_default());
    t.show("closed", entries(99, 4096).err().unwrap_or_default());
}

fn list_in_parts(t: &Trace) {
    for i in 0..300 {
        let _ = std::fs::write(format!("file-{i:04}"), "");
    }
    let fd = sys!(SYS_open, c".".as_ptr(), O_RDONLY | O_DIRECTORY);
    let mut all = Vec::new();
    loop {
        let some = entries(fd, 200).unwrap_or_default();
        if some.is_empty() {
            break;
        }
        all.extend(some);
    }
    t.show("entries", all.len());
    all.sort();
    all.dedup();
    t.show("different", all.len());
}

fn list_while_removing(t: &Trace) {
    for i in 0..200 {
        let _ = std::fs::write(format!("file-{i:04}"), "");
    }
    let fd = sys!(SYS_open, c".".as_ptr(), O_RDONLY | O_DIRECTORY);
    let mut removed = 0;
    loop {
        let some = entries(fd, 300).unwrap_or_default();
        if some.is_empty() {
            break;
        }
        for entry in some.iter().filter(|entry| entry.starts_with("file")) {
            removed += u32::from(std::fs::remove_file(entry.trim_end_matches(":8")).is_ok());
        }
    }
    t.show("removed", removed);
    t.show("left", std::fs::read_dir(".").map(Iterator::count).unwrap_or(0));
}

fn cwd(t: &Trace, what: &str) {
    let mut buffer = [0u8; 256];
    let got = sys!(SYS_getcwd, buffer.as_mut_ptr(), buffer.len());
    match usize::try_from(got) {
        Ok(length) => t.bytes(what, &buffer[..length.saturating_sub(1)]),
        Err(_) => t.call(what, got),
    }
}

fn change_folder(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    file(c"a", b"");
    t.call("chdir", sys!(SYS_chdir, c"d".as_ptr()));
    cwd(t, "cwd");
    t.call("missing", sys!(SYS_chdir, c"x".as_ptr()));
    t.call("file", sys!(SYS_chdir, c"../a".as_ptr()));
    let above = sys!(SYS_open, c"..".as_ptr(), O_PATH);
    t.call("fchdir", sys!(SYS_fchdir, above));
    cwd(t, "cwd");
    t.call("fchdir file", sys!(SYS_fchdir, sys!(SYS_open, c"a".as_ptr(), O_RDONLY)));
    let mut small = [0u8; 4];
    t.call("small buffer", sys!(SYS_getcwd, small.as_mut_ptr(), 4));
    t.call("bad pointer", sys!(SYS_getcwd, 8, 100));
}

fn current_folder_removed(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    sys!(SYS_chdir, c"d".as_ptr());
    t.call("rmdir", sys!(SYS_rmdir, c"../d".as_ptr()));
    cwd(t, "cwd");
    t.call("create", sys!(SYS_open, c"a".as_ptr(), O_CREAT | O_RDWR, 0o600));
    t.call("mkdir", sys!(SYS_mkdir, c"e".as_ptr(), 0o700));
    t.call("open dot", sys!(SYS_open, c".".as_ptr(), O_RDONLY));
    t.call("above", sys!(SYS_chdir, c"..".as_ptr()));
}

fn change_root(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    file(c"d/inside", b"");
    let end = in_child(|| {
        t.call("chroot", sys!(SYS_chroot, c"d".as_ptr()));
        t.call("seen", sys!(SYS_access, c"/inside".as_ptr(), F_OK));
        t.call("chdir", sys!(SYS_chdir, c"/..".as_ptr()));
        cwd(t, "cwd");
        t.call("no way out", sys!(SYS_access, c"/../../tmp".as_ptr(), F_OK));
    });
    t.show("child", end);
    t.call("file", sys!(SYS_chroot, c"d/inside".as_ptr()));
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("another uid", sys!(SYS_chroot, c"d".as_ptr()));
    });
    t.show("child", end);
}

fn rename_files(t: &Trace) {
    file(c"a", b"a");
    file(c"b", b"b");
    t.call("over", sys!(SYS_rename, c"a".as_ptr(), c"b".as_ptr()));
    t.call("gone", sys!(SYS_access, c"a".as_ptr(), F_OK));
    t.show("content", std::fs::read_to_string("b").unwrap_or_default());
    t.call("itself", sys!(SYS_rename, c"b".as_ptr(), c"b".as_ptr()));
    t.call("missing", sys!(SYS_rename, c"x".as_ptr(), c"y".as_ptr()));
    t.call("into missing", sys!(SYS_rename, c"b".as_ptr(), c"x/b".as_ptr()));
    t.call("with slash", sys!(SYS_rename, c"b".as_ptr(), c"c/".as_ptr()));
    sys!(SYS_link, c"b".as_ptr(), c"c".as_ptr());
    t.call("same file", sys!(SYS_rename, c"b".as_ptr(), c"c".as_ptr()));
    t.call("both stay", sys!(SYS_access, c"b".as_ptr(), F_OK));
    t.call("dot", sys!(SYS_rename, c".".as_ptr(), c"d".as_ptr()));
}

fn rename_folders(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    sys!(SYS_mkdir, c"e".as_ptr(), 0o755);
    sys!(SYS_mkdir, c"full".as_ptr(), 0o755);
    file(c"full/a", b"");
    file(c"f", b"");
    t.call("over empty", sys!(SYS_rename, c"d".as_ptr(), c"e".as_ptr()));
    t.call("over full", sys!(SYS_rename, c"e".as_ptr(), c"full".as_ptr()));
    t.call("over file", sys!(SYS_rename, c"e".as_ptr(), c"f".as_ptr()));
    t.call("file over", sys!(SYS_rename, c"f".as_ptr(), c"e".as_ptr()));
    t.call("full over empty", sys!(SYS_rename, c"full".as_ptr(), c"e".as_ptr()));
    t.call("moved", sys!(SYS_access, c"e/a".as_ptr(), F_OK));
    t.call("to new with slash", sys!(SYS_rename, c"e".as_ptr(), c"g/".as_ptr()));
}

fn rename_into_itself(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    sys!(SYS_mkdir, c"d/e".as_ptr(), 0o755);
    t.call("below", sys!(SYS_rename, c"d".as_ptr(), c"d/e/f".as_ptr()));
    t.call("above", sys!(SYS_rename, c"d/e".as_ptr(), c"d".as_ptr()));
    let open = sys!(SYS_open, c"d/e".as_ptr(), O_RDONLY | O_DIRECTORY);
    sys!(SYS_fchdir, open);
    t.call("while inside", sys!(SYS_rename, c"../../d".as_ptr(), c"../../g".as_ptr()));
    cwd(t, "cwd follows");
}

fn rename_flags(t: &Trace) {
    file(c"a", b"a");
    file(c"b", b"b");
    let rename =
        |from: &std::ffi::CStr, to: &std::ffi::CStr, flags: u32| sys!(SYS_renameat2, AT_FDCWD, from.as_ptr(), AT_FDCWD, to.as_ptr(), flags);
    t.call("no replace", rename(c"a", c"b", RENAME_NOREPLACE));
    t.call("new", rename(c"a", c"c", RENAME_NOREPLACE));
    t.call("exchange", rename(c"c", c"b", RENAME_EXCHANGE));
    t.show("content", std::fs::read_to_string("b").unwrap_or_default());
    t.call("exchange missing", rename(c"c", c"x", RENAME_EXCHANGE));
    t.call("both", rename(c"c", c"b", RENAME_EXCHANGE | RENAME_NOREPLACE));
    t.call("unknown", rename(c"c", c"b", 64));
}

fn sticky_folder(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    sys!(SYS_chmod, c"d".as_ptr(), 0o1777);
    file(c"d/a", b"");
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("unlink", sys!(SYS_unlink, c"d/a".as_ptr()));
        t.call("rename", sys!(SYS_rename, c"d/a".as_ptr(), c"d/b".as_ptr()));
        t.call("own", sys!(SYS_open, c"d/c".as_ptr(), O_CREAT | O_RDWR, 0o600));
        t.call("unlink own", sys!(SYS_unlink, c"d/c".as_ptr()));
    });
    t.show("child", end);
}

fn inherits_group(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    sys!(SYS_chown, c"d".as_ptr(), 0, 500);
    sys!(SYS_chmod, c"d".as_ptr(), 0o2755);
    file(c"d/a", b"");
    sys!(SYS_mkdir, c"d/e".as_ptr(), 0o755);
    let mut stat: stat = crate::support::zeroed();
    sys!(SYS_stat, c"d/a".as_ptr(), &raw mut stat);
    t.show("file", format!("{:o} {}", stat.st_mode, stat.st_gid));
    sys!(SYS_stat, c"d/e".as_ptr(), &raw mut stat);
    t.show("folder", format!("{:o} {}", stat.st_mode, stat.st_gid));
}

fn unlinkat_flags(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    let folder = sys!(SYS_open, c".".as_ptr(), O_RDONLY);
    t.call("plain", sys!(SYS_unlinkat, folder, c"d".as_ptr(), 0));
    t.call("folder", sys!(SYS_unlinkat, folder, c"d".as_ptr(), AT_REMOVEDIR));
    t.call("missing", sys!(SYS_unlinkat, folder, c"d".as_ptr(), AT_REMOVEDIR));
    t.call("unknown", sys!(SYS_unlinkat, folder, c"d".as_ptr(), 1));
    t.call("empty", sys!(SYS_unlinkat, folder, c"".as_ptr(), 0));
}

fn make_nodes(t: &Trace) {
    t.call("file", sys!(SYS_mknod, c"a".as_ptr(), S_IFREG | 0o600, 0));
    t.call("fifo", sys!(SYS_mknod, c"p".as_ptr(), S_IFIFO | 0o600, 0));
    t.call("socket", sys!(SYS_mknodat, AT_FDCWD, c"s".as_ptr(), S_IFSOCK | 0o600, 0));
    t.call("folder", sys!(SYS_mknod, c"d".as_ptr(), S_IFDIR | 0o600, 0));
    t.call("nothing", sys!(SYS_mknod, c"n".as_ptr(), 0o600, 0));
    t.call("again", sys!(SYS_mknod, c"a".as_ptr(), S_IFREG | 0o600, 0));
    t.call("open socket", sys!(SYS_open, c"s".as_ptr(), O_RDONLY));
    t.call("unknown", sys!(SYS_mknod, c"u".as_ptr(), 0o030600, 0));
    let end = in_child(|| {
        sys!(SYS_chmod, c".".as_ptr(), 0o777);
        sys!(SYS_setuid, 1000);
        t.call("device", sys!(SYS_mknod, c"c".as_ptr(), S_IFCHR | 0o600, makedev(1, 3)));
    });
    t.show("child", end);
}

fn dots_and_slashes(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    file(c"a", b"");
    t.call("dots", sys!(SYS_access, c"d/.././d/../a".as_ptr(), F_OK));
    t.call("slashes", sys!(SYS_access, c".//d///..//a".as_ptr(), F_OK));
    t.call("dot of a file", sys!(SYS_access, c"a/.".as_ptr(), F_OK));
    t.call("above the root", sys!(SYS_access, c"/../../../proc".as_ptr(), F_OK));
    t.call("missing and back", sys!(SYS_access, c"x/../a".as_ptr(), F_OK));
}

fn deep_path(t: &Trace) {
    let mut made = 0;
    let name = std::ffi::CString::new("n".repeat(200)).unwrap_or_default();
    for _ in 0..30 {
        made += i32::from(sys!(SYS_mkdir, name.as_ptr(), 0o755) == 0 && sys!(SYS_chdir, name.as_ptr()) == 0);
    }
    t.show("made", made);
    let mut buffer = [0u8; 256];
    t.call("cwd in a small buffer", sys!(SYS_getcwd, buffer.as_mut_ptr(), 256));
    t.call("create", sys!(SYS_open, c"a".as_ptr(), O_CREAT | O_RDWR, 0o600));
    for _ in 0..30 {
        sys!(SYS_unlink, c"a".as_ptr());
        sys!(SYS_chdir, c"..".as_ptr());
        made -= i32::from(sys!(SYS_rmdir, name.as_ptr()) == 0);
    }
    t.show("left", made);
}

fn mounts(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("another uid", sys!(SYS_mount, c"none".as_ptr(), c"d".as_ptr(), c"tmpfs".as_ptr(), 0, 0));
        t.call("umount", sys!(SYS_umount2, c"d".as_ptr(), 0));
        t.call("pivot_root", sys!(SYS_pivot_root, c"d".as_ptr(), c"d".as_ptr()));
    });
    t.show("child", end);
    let mut fs: statfs = crate::support::zeroed();
    t.call("statfs", sys!(SYS_statfs, c".".as_ptr(), &raw mut fs));
    t.show("type", format!("{:#x}", fs.f_type));
    t.show("name length", fs.f_namelen);
    t.call("proc", sys!(SYS_statfs, c"/proc".as_ptr(), &raw mut fs));
    t.show("type", format!("{:#x}", fs.f_type));
    t.call("closed", sys!(SYS_fstatfs, 99, &raw mut fs));
}
