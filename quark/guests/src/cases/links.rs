//! Hard links and symbolic links.

use crate::support::{file, in_child, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(hard_links),
    case!(hard_link_errors),
    case!(symbolic),
    case!(read_link),
    case!(loops),
    case!(through_folders),
    case!(link_modes),
    case!(proc_self),
];

fn hard_links(t: &Trace) {
    let fd = file(c"a", b"abc");
    t.call("link", sys!(SYS_link, c"a".as_ptr(), c"b".as_ptr()));
    let mut stat: stat = zeroed();
    sys!(SYS_fstat, fd, &raw mut stat);
    t.show("links", stat.st_nlink);
    let inode = stat.st_ino;
    sys!(SYS_stat, c"b".as_ptr(), &raw mut stat);
    t.show("same inode", stat.st_ino == inode);
    sys!(SYS_write, fd, b"X".as_ptr(), 1);
    t.show("content", std::fs::read_to_string("b").unwrap_or_default());
    t.call("unlink", sys!(SYS_unlink, c"a".as_ptr()));
    sys!(SYS_fstat, fd, &raw mut stat);
    t.show("links", stat.st_nlink);
}

fn hard_link_errors(t: &Trace) {
    file(c"a", b"");
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    sys!(SYS_symlink, c"a".as_ptr(), c"l".as_ptr());
    t.call("exists", sys!(SYS_link, c"a".as_ptr(), c"l".as_ptr()));
    t.call("folder", sys!(SYS_link, c"d".as_ptr(), c"e".as_ptr()));
    t.call("missing", sys!(SYS_link, c"x".as_ptr(), c"y".as_ptr()));
    t.call("other file system", sys!(SYS_link, c"a".as_ptr(), c"/proc/x".as_ptr()));
    t.call("of a link", sys!(SYS_link, c"l".as_ptr(), c"l2".as_ptr()));
    let mut stat: stat = zeroed();
    sys!(SYS_lstat, c"l2".as_ptr(), &raw mut stat);
    t.show("is a link", stat.st_mode & S_IFMT == S_IFLNK);
    t.call("followed", sys!(SYS_linkat, AT_FDCWD, c"l".as_ptr(), AT_FDCWD, c"f".as_ptr(), AT_SYMLINK_FOLLOW));
    sys!(SYS_lstat, c"f".as_ptr(), &raw mut stat);
    t.show("is a file", stat.st_mode & S_IFMT == S_IFREG);
    t.call("unknown flag", sys!(SYS_linkat, AT_FDCWD, c"l".as_ptr(), AT_FDCWD, c"g".as_ptr(), 1));
}

fn symbolic(t: &Trace) {
    file(c"a", b"abc");
    t.call("symlink", sys!(SYS_symlink, c"a".as_ptr(), c"l".as_ptr()));
    t.call("again", sys!(SYS_symlink, c"a".as_ptr(), c"l".as_ptr()));
    t.call("empty", sys!(SYS_symlink, c"".as_ptr(), c"e".as_ptr()));
    t.call("with slash", sys!(SYS_symlink, c"a".as_ptr(), c"s/".as_ptr()));
    t.show("content", std::fs::read_to_string("l").unwrap_or_default());
    let mut stat: stat = zeroed();
    sys!(SYS_lstat, c"l".as_ptr(), &raw mut stat);
    t.show("mode", format!("{:o} {}", stat.st_mode, stat.st_size));
    t.call("unlink", sys!(SYS_unlink, c"l".as_ptr()));
    t.call("target stays", sys!(SYS_access, c"a".as_ptr(), F_OK));
    sys!(SYS_symlink, c"new".as_ptr(), c"m".as_ptr());
    t.call("create through", sys!(SYS_open, c"m".as_ptr(), O_CREAT | O_RDWR, 0o600));
    t.call("made", sys!(SYS_access, c"new".as_ptr(), F_OK));
    t.call("mkdir through", sys!(SYS_mkdir, c"m".as_ptr(), 0o700));
    t.call("rmdir of a link", sys!(SYS_rmdir, c"m".as_ptr()));
}

fn read_link(t: &Trace) {
    file(c"a", b"");
    sys!(SYS_symlinkat, c"target/of/it".as_ptr(), AT_FDCWD, c"l".as_ptr());
    let mut buffer = [b'.'; 20];
    t.call("whole", sys!(SYS_readlink, c"l".as_ptr(), buffer.as_mut_ptr(), 20));
    t.bytes("bytes", &buffer);
    let mut buffer = [b'.'; 8];
    t.call("part", sys!(SYS_readlink, c"l".as_ptr(), buffer.as_mut_ptr(), 4));
    t.bytes("bytes", &buffer);
    t.call("none", sys!(SYS_readlink, c"l".as_ptr(), buffer.as_mut_ptr(), 0));
    t.call("negative", sys!(SYS_readlink, c"l".as_ptr(), buffer.as_mut_ptr(), -1));
    t.call("file", sys!(SYS_readlink, c"a".as_ptr(), buffer.as_mut_ptr(), 8));
    t.call("missing", sys!(SYS_readlink, c"x".as_ptr(), buffer.as_mut_ptr(), 8));
    t.call("bad pointer", sys!(SYS_readlink, c"l".as_ptr(), 8, 8));
}

fn loops(t: &Trace) {
    sys!(SYS_symlink, c"b".as_ptr(), c"a".as_ptr());
    sys!(SYS_symlink, c"a".as_ptr(), c"b".as_ptr());
    t.call("circle", sys!(SYS_open, c"a".as_ptr(), O_RDONLY));
    t.call("as a folder", sys!(SYS_open, c"a/x".as_ptr(), O_RDONLY));
    t.call("rename", sys!(SYS_rename, c"a".as_ptr(), c"c".as_ptr()));
    file(c"l0", b"");
    for i in 0..45 {
        let _ = std::os::unix::fs::symlink(format!("l{i}"), format!("l{}", i + 1));
    }
    t.call("40 links", sys!(SYS_access, c"l40".as_ptr(), F_OK));
    t.call("41 links", sys!(SYS_access, c"l41".as_ptr(), F_OK));
}

fn through_folders(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    file(c"d/a", b"abc");
    sys!(SYS_symlink, c"d".as_ptr(), c"l".as_ptr());
    t.call("below", sys!(SYS_access, c"l/a".as_ptr(), F_OK));
    t.call("dots", sys!(SYS_access, c"l/../d/a".as_ptr(), F_OK));
    t.call("open folder", sys!(SYS_open, c"l".as_ptr(), O_DIRECTORY));
    t.call("no follow", sys!(SYS_open, c"l".as_ptr(), O_DIRECTORY | O_NOFOLLOW));
    t.call("no follow, slash", sys!(SYS_open, c"l/".as_ptr(), O_DIRECTORY | O_NOFOLLOW));
    t.call("rmdir", sys!(SYS_rmdir, c"l/".as_ptr()));
    let long = std::ffi::CString::new("x".repeat(4095)).unwrap_or_default();
    t.call("long target", sys!(SYS_symlink, long.as_ptr(), c"long".as_ptr()));
    let longer = std::ffi::CString::new("x".repeat(4096)).unwrap_or_default();
    t.call("longer target", sys!(SYS_symlink, longer.as_ptr(), c"longer".as_ptr()));
}

fn link_modes(t: &Trace) {
    file(c"a", b"");
    sys!(SYS_symlink, c"a".as_ptr(), c"l".as_ptr());
    t.call("lchown", sys!(SYS_lchown, c"l".as_ptr(), 5, 6));
    let mut stat: stat = zeroed();
    sys!(SYS_lstat, c"l".as_ptr(), &raw mut stat);
    t.show("link's", format!("{} {}", stat.st_uid, stat.st_gid));
    sys!(SYS_stat, c"l".as_ptr(), &raw mut stat);
    t.show("file's", format!("{} {}", stat.st_uid, stat.st_gid));
    t.call("chmod follows", sys!(SYS_chmod, c"l".as_ptr(), 0o600));
    t.call("fchmodat2", sys!(SYS_fchmodat2, AT_FDCWD, c"l".as_ptr(), 0o644, AT_SYMLINK_NOFOLLOW));
}

fn proc_self(t: &Trace) {
    let mut buffer = [0u8; 64];
    t.ok("self", sys!(SYS_readlink, c"/proc/self".as_ptr(), buffer.as_mut_ptr(), 64));
    let exe = std::fs::read_link("/proc/self/exe").map(|path| path.display().to_string());
    t.show("exe", exe.unwrap_or_default());
    let cwd = std::fs::read_link("/proc/self/cwd").map(|path| path.display().to_string());
    t.show("cwd", cwd.unwrap_or_default());
    let root = std::fs::read_link("/proc/self/root").map(|path| path.display().to_string());
    t.show("root", root.unwrap_or_default());
    let end = in_child(|| {
        let own = std::fs::read_link("/proc/self").map(|path| path.display().to_string());
        t.show("own pid", own.unwrap_or_default() == std::process::id().to_string());
    });
    t.show("child", end);
}
