//! Opening, reading, writing and positions of regular files.

use crate::support::{file, in_child, sleep_ms, spawn, wait_for};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(open_exclusive),
    case!(open_missing),
    case!(open_folder_for_writing),
    case!(open_not_a_folder),
    case!(open_long_name),
    case!(open_bad_pointer),
    case!(open_truncates),
    case!(openat_relative),
    case!(openat2_beneath),
    case!(creat_mode_and_umask),
    case!(read_at_end),
    case!(read_of_write_only),
    case!(write_of_read_only),
    case!(write_bad_pointer),
    case!(append_goes_to_the_end),
    case!(positioned_io),
    case!(vectors),
    case!(positioned_vectors),
    case!(seek),
    case!(seek_data_and_hole),
    case!(truncate_and_extend),
    case!(dup_shares_position),
    case!(dup2_and_dup3),
    case!(descriptor_flags),
    case!(status_flags),
    case!(lowest_descriptor),
    case!(close_twice),
    case!(close_range_some),
    case!(unlinked_file_lives),
    case!(sendfile_between_files),
    case!(copy_file_range_within),
    case!(fallocate_and_punch),
    case!(sync_calls),
    case!(record_locks),
    case!(open_file_locks),
    case!(flock_conflicts),
    case!(dev_null_zero_full),
    case!(descriptor_limit),
    case!(lock_waits),
    case!(lock_deadlock),
    case!(sparse_file),
    case!(temporary_file),
    case!(size_limit),
    case!(reopened_by_proc),
    case!(no_follow_and_path),
    case!(lease_and_ioctl),
];

/// Everything in a file.
fn show(t: &Trace, what: &str, name: &str) {
    match std::fs::read(name) {
        Ok(content) => t.bytes(what, &content),
        Err(error) => t.show(what, error.kind()),
    }
}

fn open_exclusive(t: &Trace) {
    t.call("first", sys!(SYS_open, c"a".as_ptr(), O_CREAT | O_EXCL | O_WRONLY, 0o600));
    t.call("second", sys!(SYS_open, c"a".as_ptr(), O_CREAT | O_EXCL | O_WRONLY, 0o600));
    t.call("link", sys!(SYS_symlink, c"nowhere".as_ptr(), c"b".as_ptr()));
    t.call("through a link", sys!(SYS_open, c"b".as_ptr(), O_CREAT | O_EXCL | O_WRONLY, 0o600));
}

fn open_missing(t: &Trace) {
    t.call("file", sys!(SYS_open, c"a".as_ptr(), O_RDONLY));
    t.call("folder", sys!(SYS_open, c"a/b".as_ptr(), O_CREAT | O_RDWR, 0o600));
    t.call("empty", sys!(SYS_open, c"".as_ptr(), O_RDONLY));
}

fn open_folder_for_writing(t: &Trace) {
    t.call("write", sys!(SYS_open, c".".as_ptr(), O_RDWR));
    t.call("create", sys!(SYS_open, c".".as_ptr(), O_CREAT | O_RDONLY, 0o600));
    let fd = sys!(SYS_open, c".".as_ptr(), O_RDONLY | O_DIRECTORY);
    t.call("read-only", fd);
    let mut buffer = [0u8; 8];
    t.call("read", sys!(SYS_read, fd, buffer.as_mut_ptr(), 8));
    t.call("temporary", sys!(SYS_open, c"a/".as_ptr(), O_CREAT | O_RDWR, 0o600));
}

fn open_not_a_folder(t: &Trace) {
    file(c"a", b"");
    t.call("below", sys!(SYS_open, c"a/b".as_ptr(), O_RDONLY));
    t.call("as a folder", sys!(SYS_open, c"a".as_ptr(), O_RDONLY | O_DIRECTORY));
    t.call("trailing slash", sys!(SYS_open, c"a/".as_ptr(), O_RDONLY));
}

fn open_long_name(t: &Trace) {
    let name = std::ffi::CString::new("x".repeat(256)).unwrap_or_default();
    t.call("name", sys!(SYS_open, name.as_ptr(), O_CREAT | O_RDWR, 0o600));
    let path = std::ffi::CString::new("./".repeat(2100)).unwrap_or_default();
    t.call("path", sys!(SYS_open, path.as_ptr(), O_RDONLY));
}

fn open_bad_pointer(t: &Trace) {
    t.call("null", sys!(SYS_open, 0, O_RDONLY));
    t.call("kernel's", sys!(SYS_open, -4096i64, O_RDONLY));
}

fn open_truncates(t: &Trace) {
    file(c"a", b"content");
    t.call("open", sys!(SYS_open, c"a".as_ptr(), O_WRONLY | O_TRUNC));
    show(t, "after", "a");
}

fn openat_relative(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    let folder = sys!(SYS_open, c"d".as_ptr(), O_RDONLY | O_DIRECTORY);
    t.call("in folder", sys!(SYS_openat, folder, c"a".as_ptr(), O_CREAT | O_RDWR, 0o600));
    show(t, "there", "d/a");
    let plain = file(c"f", b"");
    t.call("in a file", sys!(SYS_openat, plain, c"a".as_ptr(), O_RDONLY));
    t.call("in nothing", sys!(SYS_openat, 99, c"a".as_ptr(), O_RDONLY));
    t.call("absolute", sys!(SYS_openat, 99, c"/".as_ptr(), O_RDONLY));
}

fn openat2_beneath(t: &Trace) {
    sys!(SYS_symlink, c"/etc".as_ptr(), c"out".as_ptr());
    file(c"a", b"");
    // SAFETY: zero is a valid open_how.
    let mut how: open_how = unsafe { std::mem::zeroed() };
    how.resolve = RESOLVE_BENEATH;
    let size = size_of::<open_how>();
    t.call("inside", sys!(SYS_openat2, AT_FDCWD, c"a".as_ptr(), &raw const how, size));
    t.call("outside", sys!(SYS_openat2, AT_FDCWD, c"..".as_ptr(), &raw const how, size));
    t.call("by a link", sys!(SYS_openat2, AT_FDCWD, c"out/passwd".as_ptr(), &raw const how, size));
    how.resolve = RESOLVE_NO_SYMLINKS;
    t.call("no links", sys!(SYS_openat2, AT_FDCWD, c"out".as_ptr(), &raw const how, size));
    how.resolve = 1 << 40;
    t.call("unknown flag", sys!(SYS_openat2, AT_FDCWD, c"a".as_ptr(), &raw const how, size));
    t.call("short", sys!(SYS_openat2, AT_FDCWD, c"a".as_ptr(), &raw const how, 8));
}

fn creat_mode_and_umask(t: &Trace) {
    t.call("umask", sys!(SYS_umask, 0o027));
    t.call("creat", sys!(SYS_creat, c"a".as_ptr(), 0o666));
    // SAFETY: zero is a valid stat.
    let mut stat: stat = unsafe { std::mem::zeroed() };
    t.call("stat", sys!(SYS_stat, c"a".as_ptr(), &raw mut stat));
    t.show("mode", format!("{:o}", stat.st_mode));
    t.call("umask", sys!(SYS_umask, 0o1777));
    t.call("umask", sys!(SYS_umask, 0));
}

fn read_at_end(t: &Trace) {
    let fd = file(c"a", b"abc");
    let mut buffer = [0u8; 8];
    t.call("read", sys!(SYS_read, fd, buffer.as_mut_ptr(), 8));
    t.call("again", sys!(SYS_read, fd, buffer.as_mut_ptr(), 8));
    t.call("nothing", sys!(SYS_read, fd, buffer.as_mut_ptr(), 0));
    t.call("closed", sys!(SYS_read, 99, buffer.as_mut_ptr(), 8));
}

fn read_of_write_only(t: &Trace) {
    let fd = sys!(SYS_open, c"a".as_ptr(), O_WRONLY | O_CREAT, 0o600);
    t.call("read", sys!(SYS_read, fd, [0u8; 8].as_mut_ptr(), 8));
}

fn write_of_read_only(t: &Trace) {
    file(c"a", b"");
    let fd = sys!(SYS_open, c"a".as_ptr(), O_RDONLY);
    t.call("write", sys!(SYS_write, fd, b"x".as_ptr(), 1));
    t.call("path only", sys!(SYS_open, c"a".as_ptr(), O_PATH));
    t.call("write", sys!(SYS_write, fd + 1, b"x".as_ptr(), 1));
}

fn write_bad_pointer(t: &Trace) {
    let fd = file(c"a", b"");
    t.call("write", sys!(SYS_write, fd, 8, 10));
    t.call("nothing", sys!(SYS_write, fd, 8, 0));
    t.call("read", sys!(SYS_read, fd, 8, 0));
    show(t, "file", "a");
}

fn append_goes_to_the_end(t: &Trace) {
    file(c"a", b"abc");
    let fd = sys!(SYS_open, c"a".as_ptr(), O_WRONLY | O_APPEND);
    t.call("seek", sys!(SYS_lseek, fd, 0, SEEK_SET));
    t.call("write", sys!(SYS_write, fd, b"d".as_ptr(), 1));
    t.call("pwrite", sys!(SYS_pwrite64, fd, b"e".as_ptr(), 1, 0));
    t.call("position", sys!(SYS_lseek, fd, 0, SEEK_CUR));
    show(t, "file", "a");
}

fn positioned_io(t: &Trace) {
    let fd = file(c"a", b"abcdef");
    let mut buffer = [0u8; 3];
    t.call("pread", sys!(SYS_pread64, fd, buffer.as_mut_ptr(), 3, 2));
    t.bytes("bytes", &buffer);
    t.call("pwrite", sys!(SYS_pwrite64, fd, b"X".as_ptr(), 1, 9));
    t.call("position", sys!(SYS_lseek, fd, 0, SEEK_CUR));
    t.call("negative", sys!(SYS_pread64, fd, buffer.as_mut_ptr(), 3, -1));
    t.call("behind the end", sys!(SYS_pread64, fd, buffer.as_mut_ptr(), 3, 100));
    show(t, "file", "a");
}

fn vectors(t: &Trace) {
    let fd = file(c"a", b"");
    let parts = [
        iovec { iov_base: b"ab".as_ptr() as *mut _, iov_len: 2 },
        iovec { iov_base: std::ptr::null_mut(), iov_len: 0 },
        iovec { iov_base: b"cde".as_ptr() as *mut _, iov_len: 3 },
    ];
    t.call("writev", sys!(SYS_writev, fd, parts.as_ptr(), 3));
    t.call("too many", sys!(SYS_writev, fd, parts.as_ptr(), 1025));
    t.call("negative", sys!(SYS_writev, fd, parts.as_ptr(), -1));
    sys!(SYS_lseek, fd, 1, SEEK_SET);
    let (mut one, mut two) = ([0u8; 1], [0u8; 8]);
    let into = [iovec { iov_base: one.as_mut_ptr().cast(), iov_len: 1 }, iovec { iov_base: two.as_mut_ptr().cast(), iov_len: 8 }];
    t.call("readv", sys!(SYS_readv, fd, into.as_ptr(), 2));
    t.bytes("one", &one);
    t.bytes("two", &two);
}

fn positioned_vectors(t: &Trace) {
    let fd = file(c"a", b"abcdef");
    let mut buffer = [0u8; 4];
    let part = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: 4 };
    t.call("preadv", sys!(SYS_preadv, fd, &raw const part, 1, 1, 0));
    t.bytes("bytes", &buffer);
    t.call("pwritev", sys!(SYS_pwritev, fd, &raw const part, 1, 4, 0));
    t.call("preadv2", sys!(SYS_preadv2, fd, &raw const part, 1, -1, -1, 0));
    t.call("unknown flag", sys!(SYS_preadv2, fd, &raw const part, 1, 0, 0, 1 << 20));
    t.call("position", sys!(SYS_lseek, fd, 0, SEEK_CUR));
    show(t, "file", "a");
}

fn seek(t: &Trace) {
    let fd = file(c"a", b"abc");
    t.call("end", sys!(SYS_lseek, fd, 2, SEEK_END));
    t.call("back", sys!(SYS_lseek, fd, -1, SEEK_CUR));
    t.call("too far back", sys!(SYS_lseek, fd, -10, SEEK_CUR));
    t.call("unknown", sys!(SYS_lseek, fd, 0, 9));
    let mut ends = [0i32; 2];
    sys!(SYS_pipe, ends.as_mut_ptr());
    t.call("of a pipe", sys!(SYS_lseek, ends[0], 0, SEEK_SET));
}

fn seek_data_and_hole(t: &Trace) {
    let fd = file(c"a", b"");
    sys!(SYS_pwrite64, fd, b"x".as_ptr(), 1, 0);
    t.call("hole", sys!(SYS_lseek, fd, 0, SEEK_HOLE) > 0);
    t.call("data", sys!(SYS_lseek, fd, 0, SEEK_DATA));
    t.call("behind", sys!(SYS_lseek, fd, 10, SEEK_DATA));
}

fn truncate_and_extend(t: &Trace) {
    let fd = file(c"a", b"abcdef");
    t.call("ftruncate", sys!(SYS_ftruncate, fd, 2));
    t.call("truncate", sys!(SYS_truncate, c"a".as_ptr(), 4));
    show(t, "file", "a");
    t.call("negative", sys!(SYS_ftruncate, fd, -1));
    t.call("folder", sys!(SYS_truncate, c".".as_ptr(), 4));
    let reader = sys!(SYS_open, c"a".as_ptr(), O_RDONLY);
    t.call("read-only", sys!(SYS_ftruncate, reader, 0));
}

fn dup_shares_position(t: &Trace) {
    let fd = file(c"a", b"abcdef");
    let copy = sys!(SYS_dup, fd);
    t.call("dup", copy);
    sys!(SYS_lseek, fd, 3, SEEK_SET);
    t.call("position", sys!(SYS_lseek, copy, 0, SEEK_CUR));
    t.call("closed", sys!(SYS_dup, 99));
}

fn dup2_and_dup3(t: &Trace) {
    let fd = file(c"a", b"");
    t.call("dup2", sys!(SYS_dup2, fd, 20));
    t.call("itself", sys!(SYS_dup2, fd, fd));
    t.call("closed", sys!(SYS_dup2, 99, 99));
    t.call("too high", sys!(SYS_dup2, fd, 1 << 30));
    t.call("dup3 itself", sys!(SYS_dup3, fd, fd, 0));
    t.call("dup3", sys!(SYS_dup3, fd, 21, O_CLOEXEC));
    t.call("flags", sys!(SYS_fcntl, 21, F_GETFD));
    t.call("dup3 flags", sys!(SYS_dup3, fd, 22, 1));
}

fn descriptor_flags(t: &Trace) {
    let fd = sys!(SYS_open, c"a".as_ptr(), O_CREAT | O_RDWR | O_CLOEXEC, 0o600);
    t.call("get", sys!(SYS_fcntl, fd, F_GETFD));
    t.call("set", sys!(SYS_fcntl, fd, F_SETFD, 0));
    t.call("get", sys!(SYS_fcntl, fd, F_GETFD));
    t.call("copy", sys!(SYS_fcntl, fd, F_DUPFD, 30));
    t.call("copy that closes", sys!(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 30));
    t.call("flags", sys!(SYS_fcntl, 31, F_GETFD));
    t.call("unknown", sys!(SYS_fcntl, fd, 9999));
    t.call("closed", sys!(SYS_fcntl, 99, F_GETFD));
}

fn status_flags(t: &Trace) {
    let fd = sys!(SYS_open, c"a".as_ptr(), O_CREAT | O_RDWR | O_APPEND, 0o600);
    t.show("get", format!("{:#o}", sys!(SYS_fcntl, fd, F_GETFL)));
    t.call("set", sys!(SYS_fcntl, fd, F_SETFL, O_NONBLOCK));
    t.show("get", format!("{:#o}", sys!(SYS_fcntl, fd, F_GETFL)));
    let path = sys!(SYS_open, c"a".as_ptr(), O_PATH);
    t.show("path", format!("{:#o}", sys!(SYS_fcntl, path, F_GETFL)));
    t.call("path set", sys!(SYS_fcntl, path, F_SETFL, 0));
}

fn lowest_descriptor(t: &Trace) {
    for fd in 3..6 {
        t.call("open", file(c"a", b""));
        let _ = fd;
    }
    t.call("close", sys!(SYS_close, 4));
    t.call("open", file(c"a", b""));
}

fn close_twice(t: &Trace) {
    let fd = file(c"a", b"");
    t.call("close", sys!(SYS_close, fd));
    t.call("again", sys!(SYS_close, fd));
    t.call("negative", sys!(SYS_close, -1));
}

fn close_range_some(t: &Trace) {
    for _ in 0..4 {
        file(c"a", b"");
    }
    t.call("flag", sys!(SYS_close_range, 3, 3, CLOSE_RANGE_CLOEXEC));
    t.call("flags", sys!(SYS_fcntl, 3, F_GETFD));
    t.call("close", sys!(SYS_close_range, 4, 5, 0));
    for fd in 3..7 {
        t.call("open", sys!(SYS_fcntl, fd, F_GETFD));
    }
    t.call("wrong order", sys!(SYS_close_range, 5, 4, 0));
    t.call("unknown flag", sys!(SYS_close_range, 4, 5, 64));
}

fn unlinked_file_lives(t: &Trace) {
    let fd = file(c"a", b"abc");
    t.call("unlink", sys!(SYS_unlink, c"a".as_ptr()));
    let mut buffer = [0u8; 3];
    t.call("read", sys!(SYS_read, fd, buffer.as_mut_ptr(), 3));
    // SAFETY: zero is a valid stat.
    let mut stat: stat = unsafe { std::mem::zeroed() };
    t.call("stat", sys!(SYS_fstat, fd, &raw mut stat));
    t.show("links", stat.st_nlink);
    t.call("gone", sys!(SYS_open, c"a".as_ptr(), O_RDONLY));
}

fn sendfile_between_files(t: &Trace) {
    let (from, to) = (file(c"a", b"abcdef"), file(c"b", b""));
    let mut offset = 2i64;
    t.call("sendfile", sys!(SYS_sendfile, to, from, &raw mut offset, 3));
    t.show("offset", offset);
    t.call("position", sys!(SYS_lseek, from, 0, SEEK_CUR));
    t.call("the rest", sys!(SYS_sendfile, to, from, 0, 100));
    show(t, "file", "b");
}

fn copy_file_range_within(t: &Trace) {
    let (from, to) = (file(c"a", b"abcdef"), file(c"b", b"......"));
    let (mut start, mut into) = (1i64, 2i64);
    t.call("copy", sys!(SYS_copy_file_range, from, &raw mut start, to, &raw mut into, 3, 0));
    t.show("offsets", format!("{start} {into}"));
    show(t, "file", "b");
    t.call("flags", sys!(SYS_copy_file_range, from, 0, to, 0, 3, 1));
}

fn fallocate_and_punch(t: &Trace) {
    let fd = file(c"a", b"abc");
    t.call("extend", sys!(SYS_fallocate, fd, 0, 0, 10));
    t.call("size", sys!(SYS_lseek, fd, 0, SEEK_END));
    t.call("keep size", sys!(SYS_fallocate, fd, FALLOC_FL_KEEP_SIZE, 0, 100));
    t.call("size", sys!(SYS_lseek, fd, 0, SEEK_END));
    t.call("nothing", sys!(SYS_fallocate, fd, 0, 0, 0));
    t.call("negative", sys!(SYS_fallocate, fd, 0, -1, 10));
}

fn sync_calls(t: &Trace) {
    let fd = file(c"a", b"abc");
    t.call("fsync", sys!(SYS_fsync, fd));
    t.call("fdatasync", sys!(SYS_fdatasync, fd));
    t.call("sync_file_range", sys!(SYS_sync_file_range, fd, 0, 3, SYNC_FILE_RANGE_WRITE));
    t.call("readahead", sys!(SYS_readahead, fd, 0, 3));
    t.call("fadvise", sys!(SYS_fadvise64, fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    t.call("unknown advice", sys!(SYS_fadvise64, fd, 0, 0, 99));
    let mut ends = [0i32; 2];
    sys!(SYS_pipe, ends.as_mut_ptr());
    t.call("of a pipe", sys!(SYS_fsync, ends[0]));
}

fn record_locks(t: &Trace) {
    let fd = file(c"a", b"abcdef");
    // SAFETY: zero is a valid flock.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = F_WRLCK as i16;
    lock.l_len = 3;
    t.call("lock", sys!(SYS_fcntl, fd, F_SETLK, &raw const lock));
    in_child(|| {
        let mut other = lock;
        t.call("other's", sys!(SYS_fcntl, fd, F_SETLK, &raw const other));
        t.call("ask", sys!(SYS_fcntl, fd, F_GETLK, &raw mut other));
        t.show("held", format!("{} {} {} {}", other.l_type, other.l_start, other.l_len, other.l_pid > 0));
        other.l_type = F_WRLCK as i16;
        other.l_start = 3;
        t.call("beside it", sys!(SYS_fcntl, fd, F_SETLK, &raw const other));
    });
    sys!(SYS_close, sys!(SYS_dup, fd));
    in_child(|| t.call("after any close", sys!(SYS_fcntl, fd, F_SETLK, &raw const lock)));
}

fn open_file_locks(t: &Trace) {
    let (one, two) = (file(c"a", b""), sys!(SYS_open, c"a".as_ptr(), O_RDWR));
    // SAFETY: zero is a valid flock.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = F_WRLCK as i16;
    t.call("one", sys!(SYS_fcntl, one, F_OFD_SETLK, &raw const lock));
    t.call("two", sys!(SYS_fcntl, two, F_OFD_SETLK, &raw const lock));
    t.call("close", sys!(SYS_close, one));
    t.call("two", sys!(SYS_fcntl, two, F_OFD_SETLK, &raw const lock));
}

fn flock_conflicts(t: &Trace) {
    let (one, two) = (file(c"a", b""), sys!(SYS_open, c"a".as_ptr(), O_RDWR));
    t.call("exclusive", sys!(SYS_flock, one, LOCK_EX));
    t.call("shared", sys!(SYS_flock, two, LOCK_SH | LOCK_NB));
    t.call("downgrade", sys!(SYS_flock, one, LOCK_SH));
    t.call("shared", sys!(SYS_flock, two, LOCK_SH | LOCK_NB));
    t.call("unlock", sys!(SYS_flock, one, LOCK_UN));
    t.call("upgrade", sys!(SYS_flock, two, LOCK_EX | LOCK_NB));
    t.call("unknown", sys!(SYS_flock, two, 0));
}

fn dev_null_zero_full(t: &Trace) {
    let mut buffer = [1u8; 4];
    let null = sys!(SYS_open, c"/dev/null".as_ptr(), O_RDWR);
    t.call("null write", sys!(SYS_write, null, buffer.as_ptr(), 4));
    t.call("null read", sys!(SYS_read, null, buffer.as_mut_ptr(), 4));
    let zero = sys!(SYS_open, c"/dev/zero".as_ptr(), O_RDWR);
    t.call("zero read", sys!(SYS_read, zero, buffer.as_mut_ptr(), 4));
    t.bytes("zeros", &buffer);
    let full = sys!(SYS_open, c"/dev/full".as_ptr(), O_RDWR);
    t.call("full write", sys!(SYS_write, full, buffer.as_ptr(), 4));
    let random = sys!(SYS_open, c"/dev/urandom".as_ptr(), O_RDONLY);
    t.call("random read", sys!(SYS_read, random, buffer.as_mut_ptr(), 4));
}

fn descriptor_limit(t: &Trace) {
    let limit = rlimit { rlim_cur: 5, rlim_max: 5 };
    t.call("limit", sys!(SYS_setrlimit, RLIMIT_NOFILE, &raw const limit));
    for _ in 0..3 {
        t.call("open", sys!(SYS_open, c"a".as_ptr(), O_CREAT | O_RDWR, 0o600));
    }
    t.call("dup2", sys!(SYS_dup2, 0, 5));
    t.call("copy", sys!(SYS_fcntl, 0, F_DUPFD, 5));
}

fn lock_waits(t: &Trace) {
    let fd = file(c"a", b"");
    let mut lock: libc::flock = crate::support::zeroed();
    lock.l_type = F_WRLCK as i16;
    sys!(SYS_fcntl, fd, F_SETLKW, &raw const lock);
    let child = spawn(|| {
        t.call("got", sys!(SYS_fcntl, fd, F_SETLKW, &raw const lock));
    });
    sleep_ms(50);
    t.show("waits", "now");
    lock.l_type = F_UNLCK as i16;
    t.call("unlock", sys!(SYS_fcntl, fd, F_SETLK, &raw const lock));
    t.show("child", wait_for(child));
}

fn lock_deadlock(t: &Trace) {
    let fd = file(c"a", b"");
    let (parent, child) = crate::support::pipe();
    let mut lock: libc::flock = crate::support::zeroed();
    lock.l_type = F_WRLCK as i16;
    lock.l_len = 1;
    sys!(SYS_fcntl, fd, F_SETLK, &raw const lock);
    let pid = spawn(|| {
        lock.l_start = 1;
        sys!(SYS_fcntl, fd, F_SETLK, &raw const lock);
        crate::support::write(child, b"x");
        lock.l_start = 0;
        sys!(SYS_fcntl, fd, F_SETLKW, &raw const lock);
    });
    crate::support::show_read(t, "child holds", parent);
    sleep_ms(50);
    lock.l_start = 1;
    t.call("circle", sys!(SYS_fcntl, fd, F_SETLKW, &raw const lock));
    lock.l_start = 0;
    lock.l_type = F_UNLCK as i16;
    sys!(SYS_fcntl, fd, F_SETLK, &raw const lock);
    t.show("child", wait_for(pid));
}

fn sparse_file(t: &Trace) {
    let fd = file(c"a", b"");
    t.call("write far", sys!(SYS_pwrite64, fd, b"x".as_ptr(), 1, 1i64 << 30));
    let mut stat: stat = crate::support::zeroed();
    sys!(SYS_fstat, fd, &raw mut stat);
    t.show("size", stat.st_size);
    t.show("few blocks", stat.st_blocks <= 64);
    let mut buffer = [1u8; 4];
    t.call("read the hole", sys!(SYS_pread64, fd, buffer.as_mut_ptr(), 4, 1 << 20));
    t.bytes("zeros", &buffer);
}

fn temporary_file(t: &Trace) {
    let fd = sys!(SYS_open, c".".as_ptr(), O_TMPFILE | O_RDWR, 0o600);
    t.call("open", fd);
    t.call("write", sys!(SYS_write, fd, b"abc".as_ptr(), 3));
    let name = std::ffi::CString::new(format!("/proc/self/fd/{fd}")).unwrap_or_default();
    t.call("link", sys!(SYS_linkat, AT_FDCWD, name.as_ptr(), AT_FDCWD, c"named".as_ptr(), AT_SYMLINK_FOLLOW));
    show(t, "named", "named");
    t.call("read-only", sys!(SYS_open, c".".as_ptr(), O_TMPFILE, 0o600));
}

fn size_limit(t: &Trace) {
    let limit = rlimit { rlim_cur: 10, rlim_max: 10 };
    sys!(SYS_setrlimit, RLIMIT_FSIZE, &raw const limit);
    // SAFETY: ignores a signal.
    unsafe { signal(SIGXFSZ, SIG_IGN) };
    let fd = file(c"a", b"");
    t.call("over", sys!(SYS_write, fd, b"0123456789abc".as_ptr(), 13));
    t.call("at", sys!(SYS_write, fd, b"x".as_ptr(), 1));
    t.call("ftruncate", sys!(SYS_ftruncate, fd, 100));
    t.show(
        "by default",
        in_child(|| {
            // SAFETY: the default action again.
            unsafe { signal(SIGXFSZ, SIG_DFL) };
            sys!(SYS_write, fd, b"x".as_ptr(), 1);
        }),
    );
}

fn reopened_by_proc(t: &Trace) {
    let fd = file(c"a", b"abc");
    let name = std::ffi::CString::new(format!("/proc/self/fd/{fd}")).unwrap_or_default();
    let again = sys!(SYS_open, name.as_ptr(), O_RDONLY);
    t.call("again", again);
    sys!(SYS_unlink, c"a".as_ptr());
    let mut buffer = [0u8; 3];
    t.call("own position", sys!(SYS_read, again, buffer.as_mut_ptr(), 2));
    t.call("and", sys!(SYS_read, fd, buffer.as_mut_ptr(), 3));
    let target = std::fs::read_link(format!("/proc/self/fd/{fd}"));
    t.show("target", target.map(|path| path.display().to_string()).unwrap_or_default());
    t.call("after unlink", sys!(SYS_open, name.as_ptr(), O_RDONLY));
}

fn no_follow_and_path(t: &Trace) {
    file(c"a", b"abc");
    sys!(SYS_symlink, c"a".as_ptr(), c"l".as_ptr());
    t.call("no follow", sys!(SYS_open, c"l".as_ptr(), O_NOFOLLOW));
    let link = sys!(SYS_open, c"l".as_ptr(), O_NOFOLLOW | O_PATH);
    t.call("path", link);
    let mut buffer = [0u8; 8];
    t.call("readlinkat", sys!(SYS_readlinkat, link, c"".as_ptr(), buffer.as_mut_ptr(), 8));
    t.call("read", sys!(SYS_read, link, buffer.as_mut_ptr(), 8));
    t.call("fchmod", sys!(SYS_fchmod, link, 0o600));
    let mut stat: stat = crate::support::zeroed();
    t.call("fstat", sys!(SYS_fstat, link, &raw mut stat));
    t.show("is a link", stat.st_mode & S_IFMT == S_IFLNK);
}

fn lease_and_ioctl(t: &Trace) {
    let fd = file(c"a", b"abc");
    let mut left = 0i32;
    t.call("FIONREAD", sys!(SYS_ioctl, fd, FIONREAD, &raw mut left));
    t.show("left", left);
    t.call("TCGETS", sys!(SYS_ioctl, fd, TCGETS, 0));
    t.call("unknown", sys!(SYS_ioctl, fd, 0x1234, 0));
    t.call("FIOCLEX", sys!(SYS_ioctl, fd, FIOCLEX, 0));
    t.call("flags", sys!(SYS_fcntl, fd, F_GETFD));
    t.call("FIONBIO", sys!(SYS_ioctl, fd, FIONBIO, &raw const left));
    t.call("closed", sys!(SYS_ioctl, 99, FIONREAD, &raw mut left));
}
