//! stat and statx, modes, owners, times, extended attributes.

use crate::support::{file, in_child, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(stat_kinds),
    case!(stat_errors),
    case!(statx_fields),
    case!(newfstatat_flags),
    case!(chmod_bits),
    case!(chown_clears_bits),
    case!(permissions_of_another),
    case!(permissions_of_group),
    case!(folder_permissions),
    case!(access_real_and_effective),
    case!(write_clears_bits),
    case!(times_set),
    case!(times_errors),
    case!(times_change),
    case!(attributes),
    case!(attribute_errors),
    case!(blocks_and_sizes),
];

fn mode_of(name: &std::ffi::CStr) -> String {
    let mut stat: stat = zeroed();
    sys!(SYS_lstat, name.as_ptr(), &raw mut stat);
    format!("{:o} {} {}", stat.st_mode, stat.st_uid, stat.st_gid)
}

fn stat_kinds(t: &Trace) {
    file(c"a", b"abc");
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    sys!(SYS_mknod, c"p".as_ptr(), S_IFIFO | 0o600, 0);
    for name in [c"a", c"d", c"p", c"/dev/null", c"/dev/zero"] {
        t.show(&name.to_string_lossy(), mode_of(name));
    }
    let mut stat: stat = zeroed();
    sys!(SYS_stat, c"/dev/null".as_ptr(), &raw mut stat);
    t.show("device", format!("{} {}", major(stat.st_rdev), minor(stat.st_rdev)));
    let (reader, _) = crate::support::pipe();
    sys!(SYS_fstat, reader, &raw mut stat);
    t.show("pipe", format!("{:o} {}", stat.st_mode, stat.st_size));
    let (socket, _) = crate::support::socket_pair(SOCK_STREAM);
    sys!(SYS_fstat, socket, &raw mut stat);
    t.show("socket", format!("{:o}", stat.st_mode));
    sys!(SYS_fstat, sys!(SYS_epoll_create1, 0), &raw mut stat);
    t.show("epoll", format!("{:o}", stat.st_mode));
}

fn stat_errors(t: &Trace) {
    let mut stat: stat = zeroed();
    t.call("missing", sys!(SYS_stat, c"x".as_ptr(), &raw mut stat));
    t.call("empty", sys!(SYS_stat, c"".as_ptr(), &raw mut stat));
    t.call("closed", sys!(SYS_fstat, 99, &raw mut stat));
    t.call("bad result", sys!(SYS_stat, c".".as_ptr(), 8));
    t.call("bad name", sys!(SYS_stat, 8, &raw mut stat));
}

fn statx_fields(t: &Trace) {
    file(c"a", b"abcd");
    let mut x: statx = zeroed();
    t.call("statx", sys!(SYS_statx, AT_FDCWD, c"a".as_ptr(), 0, STATX_BASIC_STATS, &raw mut x));
    t.show("basic", x.stx_mask & STATX_BASIC_STATS == STATX_BASIC_STATS);
    t.show("mode", format!("{:o} {} {}", x.stx_mode, x.stx_nlink, x.stx_size));
    let mut stat: stat = zeroed();
    sys!(SYS_stat, c"a".as_ptr(), &raw mut stat);
    t.show("same as stat", x.stx_ino == stat.st_ino && makedev(x.stx_dev_major, x.stx_dev_minor) == stat.st_dev);
    t.call("empty path", sys!(SYS_statx, AT_FDCWD, c"".as_ptr(), AT_EMPTY_PATH, STATX_TYPE, &raw mut x));
    t.show("folder", u32::from(x.stx_mode) & S_IFMT == S_IFDIR);
    t.call("reserved", sys!(SYS_statx, AT_FDCWD, c"a".as_ptr(), 0, 1u32 << 31, &raw mut x));
    t.call("both syncs", sys!(SYS_statx, AT_FDCWD, c"a".as_ptr(), 0x6000, STATX_TYPE, &raw mut x));
    t.call("unknown flag", sys!(SYS_statx, AT_FDCWD, c"a".as_ptr(), 0x80000, STATX_TYPE, &raw mut x));
    t.call("bad pointer", sys!(SYS_statx, AT_FDCWD, c"a".as_ptr(), 0, STATX_TYPE, 8));
}

fn newfstatat_flags(t: &Trace) {
    file(c"a", b"abcd");
    sys!(SYS_symlink, c"a".as_ptr(), c"l".as_ptr());
    let mut stat: stat = zeroed();
    t.call("follow", sys!(SYS_newfstatat, AT_FDCWD, c"l".as_ptr(), &raw mut stat, 0));
    t.show("size", stat.st_size);
    t.call("no follow", sys!(SYS_newfstatat, AT_FDCWD, c"l".as_ptr(), &raw mut stat, AT_SYMLINK_NOFOLLOW));
    t.show("size", stat.st_size);
    let fd = sys!(SYS_open, c"a".as_ptr(), O_PATH);
    t.call("empty path", sys!(SYS_newfstatat, fd, c"".as_ptr(), &raw mut stat, AT_EMPTY_PATH));
    t.show("size", stat.st_size);
    t.call("empty without", sys!(SYS_newfstatat, fd, c"".as_ptr(), &raw mut stat, 0));
    t.call("unknown", sys!(SYS_newfstatat, fd, c"a".as_ptr(), &raw mut stat, 1));
}

fn chmod_bits(t: &Trace) {
    let fd = file(c"a", b"");
    t.call("chmod", sys!(SYS_chmod, c"a".as_ptr(), 0o7755));
    t.show("mode", mode_of(c"a"));
    t.call("fchmod", sys!(SYS_fchmod, fd, 0o177777));
    t.show("mode", mode_of(c"a"));
    t.call("fchmodat", sys!(SYS_fchmodat, AT_FDCWD, c"a".as_ptr(), 0));
    t.show("mode", mode_of(c"a"));
    t.call("root reads", sys!(SYS_open, c"a".as_ptr(), O_RDONLY));
    t.call("missing", sys!(SYS_chmod, c"x".as_ptr(), 0o600));
    sys!(SYS_chown, c"a".as_ptr(), 1000, 500);
    let end = in_child(|| {
        sys!(SYS_setgid, 1000);
        sys!(SYS_setuid, 1000);
        t.call("owner", sys!(SYS_chmod, c"a".as_ptr(), 0o2755));
        t.show("not in the group", mode_of(c"a"));
        sys!(SYS_setuid, 1001);
    });
    t.show("child", end);
    let end = in_child(|| {
        sys!(SYS_setuid, 1001);
        t.call("another", sys!(SYS_chmod, c"a".as_ptr(), 0o644));
    });
    t.show("child", end);
}

fn chown_clears_bits(t: &Trace) {
    let fd = file(c"a", b"");
    sys!(SYS_chmod, c"a".as_ptr(), 0o6755);
    t.call("chown", sys!(SYS_chown, c"a".as_ptr(), 1000, -1));
    t.show("mode", mode_of(c"a"));
    sys!(SYS_chmod, c"a".as_ptr(), 0o6644);
    t.call("fchown", sys!(SYS_fchown, fd, -1, 1000));
    t.show("mode", mode_of(c"a"));
    t.call("fchownat", sys!(SYS_fchownat, fd, c"".as_ptr(), 7, 8, AT_EMPTY_PATH));
    t.show("mode", mode_of(c"a"));
    sys!(SYS_chown, c"a".as_ptr(), 1000, 1000);
    let end = in_child(|| {
        let groups = [1000u32, 2000];
        sys!(SYS_setgroups, 2, groups.as_ptr());
        sys!(SYS_setgid, 1000);
        sys!(SYS_setuid, 1000);
        t.call("own group", sys!(SYS_chown, c"a".as_ptr(), -1, 2000));
        t.call("other group", sys!(SYS_chown, c"a".as_ptr(), -1, 3000));
        t.call("give away", sys!(SYS_chown, c"a".as_ptr(), 1001, -1));
        t.call("same", sys!(SYS_chown, c"a".as_ptr(), 1000, 2000));
    });
    t.show("child", end);
}

/// Tries what a file's mode lets this process do.
fn tries(t: &Trace, name: &std::ffi::CStr) {
    t.ok("read", sys!(SYS_open, name.as_ptr(), O_RDONLY));
    t.ok("write", sys!(SYS_open, name.as_ptr(), O_WRONLY));
    t.ok("both", sys!(SYS_open, name.as_ptr(), O_RDWR));
    t.ok("truncate", sys!(SYS_truncate, name.as_ptr(), 0));
}

fn permissions_of_another(t: &Trace) {
    for mode in [0o640, 0o644, 0o646, 0o602] {
        file(c"a", b"abc");
        sys!(SYS_chmod, c"a".as_ptr(), mode);
        t.show("mode", format!("{mode:o}"));
        let end = in_child(|| {
            sys!(SYS_setgid, 1000);
            sys!(SYS_setgroups, 0, 0);
            sys!(SYS_setuid, 1000);
            tries(t, c"a");
        });
        t.show("child", end);
    }
}

fn permissions_of_group(t: &Trace) {
    file(c"a", b"abc");
    sys!(SYS_chown, c"a".as_ptr(), 1000, 500);
    for (mode, uid) in [(0o046, 1000), (0o046, 1001), (0o460, 1000), (0o460, 1001)] {
        sys!(SYS_chmod, c"a".as_ptr(), mode);
        t.show("mode", format!("{mode:o} as {uid}"));
        let end = in_child(|| {
            let groups = [500u32];
            sys!(SYS_setgroups, 1, groups.as_ptr());
            sys!(SYS_setgid, 77);
            sys!(SYS_setuid, uid);
            tries(t, c"a");
        });
        t.show("child", end);
    }
}

fn folder_permissions(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    file(c"d/a", b"abc");
    for mode in [0o755, 0o751, 0o754, 0o750, 0o757] {
        sys!(SYS_chmod, c"d".as_ptr(), mode);
        t.show("mode", format!("{mode:o}"));
        let end = in_child(|| {
            sys!(SYS_setgid, 1000);
            sys!(SYS_setuid, 1000);
            t.ok("list", sys!(SYS_open, c"d".as_ptr(), O_RDONLY));
            t.ok("below", sys!(SYS_open, c"d/a".as_ptr(), O_RDONLY));
            t.ok("create", sys!(SYS_open, c"d/b".as_ptr(), O_CREAT | O_RDWR, 0o600));
            t.ok("enter", sys!(SYS_chdir, c"d".as_ptr()));
        });
        t.show("child", end);
    }
}

fn access_real_and_effective(t: &Trace) {
    file(c"a", b"");
    sys!(SYS_chmod, c"a".as_ptr(), 0o600);
    t.call("root execute", sys!(SYS_access, c"a".as_ptr(), X_OK));
    t.call("root write", sys!(SYS_access, c"a".as_ptr(), W_OK));
    t.call("unknown mode", sys!(SYS_access, c"a".as_ptr(), 8));
    let end = in_child(|| {
        sys!(SYS_setresuid, 1000, 0, 0);
        t.call("real", sys!(SYS_access, c"a".as_ptr(), R_OK));
        t.call("effective", sys!(SYS_faccessat2, AT_FDCWD, c"a".as_ptr(), R_OK, AT_EACCESS));
        t.call("faccessat", sys!(SYS_faccessat, AT_FDCWD, c"a".as_ptr(), R_OK));
    });
    t.show("child", end);
    t.call("unknown flag", sys!(SYS_faccessat2, AT_FDCWD, c"a".as_ptr(), R_OK, 1));
}

fn write_clears_bits(t: &Trace) {
    let fd = file(c"a", b"");
    sys!(SYS_fchmod, fd, 0o6777);
    let end = in_child(|| {
        sys!(SYS_setgid, 1000);
        sys!(SYS_setuid, 1000);
        let fd = sys!(SYS_open, c"a".as_ptr(), O_WRONLY);
        t.call("write", sys!(SYS_write, fd, b"x".as_ptr(), 1));
    });
    t.show("child", end);
    t.show("mode", mode_of(c"a"));
}

fn times_of(name: &std::ffi::CStr) -> String {
    let mut stat: stat = zeroed();
    sys!(SYS_lstat, name.as_ptr(), &raw mut stat);
    format!("{}.{} {}.{}", stat.st_atime, stat.st_atime_nsec, stat.st_mtime, stat.st_mtime_nsec)
}

fn times_set(t: &Trace) {
    file(c"a", b"");
    sys!(SYS_symlink, c"a".as_ptr(), c"l".as_ptr());
    let times = [timespec { tv_sec: 100, tv_nsec: 1 }, timespec { tv_sec: 200, tv_nsec: 2 }];
    t.call("utimensat", sys!(SYS_utimensat, AT_FDCWD, c"a".as_ptr(), times.as_ptr(), 0));
    t.show("times", times_of(c"a"));
    let some = [timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, timespec { tv_sec: 300, tv_nsec: 0 }];
    t.call("omit", sys!(SYS_utimensat, AT_FDCWD, c"a".as_ptr(), some.as_ptr(), 0));
    t.show("times", times_of(c"a"));
    let old = [timeval { tv_sec: 5, tv_usec: 6 }, timeval { tv_sec: 7, tv_usec: 8 }];
    t.call("utimes", sys!(SYS_utimes, c"l".as_ptr(), old.as_ptr()));
    t.show("times", times_of(c"a"));
    t.call("link's", sys!(SYS_utimensat, AT_FDCWD, c"l".as_ptr(), times.as_ptr(), AT_SYMLINK_NOFOLLOW));
    t.show("link", times_of(c"l"));
    let oldest = utimbuf { actime: 11, modtime: 12 };
    t.call("utime", sys!(SYS_utime, c"a".as_ptr(), &raw const oldest));
    t.show("times", times_of(c"a"));
    t.call("now", sys!(SYS_utimensat, AT_FDCWD, c"a".as_ptr(), 0, 0));
    let mut stat: stat = zeroed();
    sys!(SYS_stat, c"a".as_ptr(), &raw mut stat);
    t.show("recent", stat.st_mtime > 1_600_000_000);
    let fd = sys!(SYS_open, c"a".as_ptr(), O_RDONLY);
    t.call("by descriptor", sys!(SYS_utimensat, fd, 0, times.as_ptr(), 0));
    t.show("times", times_of(c"a"));
}

fn times_errors(t: &Trace) {
    file(c"a", b"");
    let wrong = [timespec { tv_sec: 0, tv_nsec: 1_000_000_000 }, timespec { tv_sec: 0, tv_nsec: 0 }];
    t.call("nanoseconds", sys!(SYS_utimensat, AT_FDCWD, c"a".as_ptr(), wrong.as_ptr(), 0));
    t.call("missing", sys!(SYS_utimensat, AT_FDCWD, c"x".as_ptr(), 0, 0));
    t.call("null name", sys!(SYS_utimensat, AT_FDCWD, 0, 0, 0));
    t.call("bad times", sys!(SYS_utimensat, AT_FDCWD, c"a".as_ptr(), 8, 0));
    sys!(SYS_chmod, c"a".as_ptr(), 0o646);
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        let times = [timespec { tv_sec: 0, tv_nsec: 1 }, timespec { tv_sec: 0, tv_nsec: 0 }];
        t.call("another sets", sys!(SYS_utimensat, AT_FDCWD, c"a".as_ptr(), times.as_ptr(), 0));
        t.call("another, now", sys!(SYS_utimensat, AT_FDCWD, c"a".as_ptr(), 0, 0));
    });
    t.show("child", end);
}

fn times_change(t: &Trace) {
    let fd = file(c"a", b"abc");
    let past = [timespec { tv_sec: 100, tv_nsec: 0 }, timespec { tv_sec: 100, tv_nsec: 0 }];
    let set = || sys!(SYS_utimensat, AT_FDCWD, c"a".as_ptr(), past.as_ptr(), 0);
    let changed = || {
        let mut stat: stat = zeroed();
        sys!(SYS_stat, c"a".as_ptr(), &raw mut stat);
        format!("modified {} changed {}", stat.st_mtime != 100, stat.st_ctime != 100)
    };
    set();
    sys!(SYS_write, fd, b"x".as_ptr(), 1);
    t.show("write", changed());
    set();
    sys!(SYS_ftruncate, fd, 1);
    t.show("truncate", changed());
    set();
    sys!(SYS_chmod, c"a".as_ptr(), 0o600);
    t.show("chmod", changed());
    set();
    sys!(SYS_open, c"a".as_ptr(), O_WRONLY | O_TRUNC);
    t.show("open to truncate", changed());
}

fn attributes(t: &Trace) {
    let fd = file(c"a", b"");
    let name = c"user.one".as_ptr();
    t.call("set", sys!(SYS_setxattr, c"a".as_ptr(), name, b"value".as_ptr(), 5, 0));
    let mut buffer = [0u8; 16];
    t.call("get", sys!(SYS_getxattr, c"a".as_ptr(), name, buffer.as_mut_ptr(), 16));
    t.bytes("bytes", &buffer);
    t.call("size", sys!(SYS_fgetxattr, fd, name, 0, 0));
    t.call("small", sys!(SYS_fgetxattr, fd, name, buffer.as_mut_ptr(), 2));
    t.call("exists", sys!(SYS_fsetxattr, fd, name, b"v".as_ptr(), 1, XATTR_CREATE));
    t.call("replace", sys!(SYS_fsetxattr, fd, name, b"v".as_ptr(), 1, XATTR_REPLACE));
    t.call("replace missing", sys!(SYS_fsetxattr, fd, c"user.two".as_ptr(), b"v".as_ptr(), 1, XATTR_REPLACE));
    let mut names = [0u8; 256];
    let got = sys!(SYS_flistxattr, fd, names.as_mut_ptr(), 256);
    t.show("listed", names[..usize::try_from(got).unwrap_or(0)].escape_ascii().to_string().contains("user.one"));
    t.call("remove", sys!(SYS_removexattr, c"a".as_ptr(), name));
    t.call("gone", sys!(SYS_getxattr, c"a".as_ptr(), name, buffer.as_mut_ptr(), 16));
    t.call("remove again", sys!(SYS_fremovexattr, fd, name));
}

fn attribute_errors(t: &Trace) {
    file(c"a", b"");
    sys!(SYS_symlink, c"a".as_ptr(), c"l".as_ptr());
    t.call("on a link", sys!(SYS_lsetxattr, c"l".as_ptr(), c"user.x".as_ptr(), b"v".as_ptr(), 1, 0));
    t.call("no prefix", sys!(SYS_setxattr, c"a".as_ptr(), c"name".as_ptr(), b"v".as_ptr(), 1, 0));
    t.call("unknown prefix", sys!(SYS_setxattr, c"a".as_ptr(), c"foo.bar".as_ptr(), b"v".as_ptr(), 1, 0));
    t.call("empty name", sys!(SYS_setxattr, c"a".as_ptr(), c"".as_ptr(), b"v".as_ptr(), 1, 0));
    t.call("flags", sys!(SYS_setxattr, c"a".as_ptr(), c"user.x".as_ptr(), b"v".as_ptr(), 1, 9));
    t.call("too big", sys!(SYS_setxattr, c"a".as_ptr(), c"user.x".as_ptr(), b"v".as_ptr(), 65537, 0));
    t.call("missing", sys!(SYS_lgetxattr, c"x".as_ptr(), c"user.x".as_ptr(), 0, 0));
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("another", sys!(SYS_setxattr, c"a".as_ptr(), c"user.x".as_ptr(), b"v".as_ptr(), 1, 0));
        t.call("trusted", sys!(SYS_setxattr, c"a".as_ptr(), c"trusted.x".as_ptr(), b"v".as_ptr(), 1, 0));
    });
    t.show("child", end);
}

fn blocks_and_sizes(t: &Trace) {
    let fd = file(c"a", &[1; 10_000]);
    let mut stat: stat = zeroed();
    sys!(SYS_fstat, fd, &raw mut stat);
    t.show("size", stat.st_size);
    t.show("block size", stat.st_blksize);
    t.show("blocks", stat.st_blocks);
}
