//! inotify.

use crate::support::{file, write};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[case!(inotify_events), case!(inotify_moves), case!(inotify_masks), case!(inotify_errors)];

/// What an inotify descriptor has, in order.
fn notes(t: &Trace, fd: i64) {
    let mut buffer = [0u8; 4096];
    let Ok(length) = usize::try_from(sys!(SYS_read, fd, buffer.as_mut_ptr(), 4096)) else {
        return t.call("no events", -1i64);
    };
    let (mut at, mut cookie) = (0, 0);
    while at < length {
        let word = |i: usize| u32::from_ne_bytes(buffer[at + i..at + i + 4].try_into().unwrap_or_default());
        let (mask, this, size) = (word(4), word(8), word(12) as usize);
        let name = buffer[at + 16..at + 16 + size].split(|byte| *byte == 0).next().unwrap_or_default();
        let same = if this == 0 {
            ""
        } else if this == cookie {
            " same cookie"
        } else {
            " cookie"
        };
        cookie = this;
        t.show("event", format!("{} {mask:#x} {}{same}", word(0), name.escape_ascii()));
        at += 16 + size;
    }
}

fn watch(fd: i64, name: &std::ffi::CStr, mask: u32) -> i64 {
    sys!(SYS_inotify_add_watch, fd, name.as_ptr(), mask)
}

fn inotify_events(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    let fd = sys!(SYS_inotify_init1, IN_NONBLOCK);
    t.call("watch", watch(fd, c"d", IN_ALL_EVENTS));
    notes(t, fd);
    let new = sys!(SYS_open, c"d/a".as_ptr(), O_CREAT | O_RDWR, 0o644);
    sys!(SYS_write, new, b"abc".as_ptr(), 3);
    sys!(SYS_close, new);
    notes(t, fd);
    let _ = std::fs::read("d/a");
    sys!(SYS_chmod, c"d/a".as_ptr(), 0o600);
    sys!(SYS_truncate, c"d/a".as_ptr(), 1);
    notes(t, fd);
    sys!(SYS_mkdir, c"d/e".as_ptr(), 0o755);
    sys!(SYS_rmdir, c"d/e".as_ptr());
    sys!(SYS_symlink, c"x".as_ptr(), c"d/l".as_ptr());
    sys!(SYS_link, c"d/a".as_ptr(), c"d/b".as_ptr());
    sys!(SYS_unlink, c"d/a".as_ptr());
    sys!(SYS_unlink, c"d/b".as_ptr());
    sys!(SYS_unlink, c"d/l".as_ptr());
    notes(t, fd);
    sys!(SYS_rmdir, c"d".as_ptr());
    notes(t, fd);
}

fn inotify_moves(t: &Trace) {
    sys!(SYS_mkdir, c"d".as_ptr(), 0o755);
    sys!(SYS_mkdir, c"e".as_ptr(), 0o755);
    file(c"d/a", b"");
    let fd = sys!(SYS_inotify_init1, IN_NONBLOCK);
    watch(fd, c"d", IN_MOVE | IN_DELETE);
    watch(fd, c"e", IN_MOVE);
    watch(fd, c"d/a", IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB);
    sys!(SYS_rename, c"d/a".as_ptr(), c"d/b".as_ptr());
    notes(t, fd);
    sys!(SYS_rename, c"d/b".as_ptr(), c"e/c".as_ptr());
    notes(t, fd);
    sys!(SYS_unlink, c"e/c".as_ptr());
    notes(t, fd);
}

fn inotify_masks(t: &Trace) {
    let path = file(c"a", b"");
    let fd = sys!(SYS_inotify_init1, IN_NONBLOCK | IN_CLOEXEC);
    t.call("watch", watch(fd, c"a", IN_MODIFY | IN_ONESHOT));
    write(path, b"x");
    write(path, b"y");
    notes(t, fd);
    let number = watch(fd, c"a", IN_MODIFY);
    t.call("second number", number);
    t.call("same file", watch(fd, c"a", IN_ATTRIB));
    write(path, b"z");
    notes(t, fd);
    t.call("more", watch(fd, c"a", IN_MODIFY | IN_MASK_ADD));
    write(path, b"z");
    write(path, b"z");
    notes(t, fd);
    t.call("only new", watch(fd, c"a", IN_MODIFY | IN_MASK_CREATE));
    t.call("remove", sys!(SYS_inotify_rm_watch, fd, number));
    notes(t, fd);
    t.call("remove again", sys!(SYS_inotify_rm_watch, fd, number));
    let mut left = 0i32;
    watch(fd, c"a", IN_MODIFY);
    write(path, b"q");
    sys!(SYS_ioctl, fd, FIONREAD, &raw mut left);
    t.show("bytes", left);
}

fn inotify_errors(t: &Trace) {
    file(c"a", b"");
    t.call("flags", sys!(SYS_inotify_init1, 1));
    let fd = sys!(SYS_inotify_init);
    t.call("missing", watch(fd, c"x", IN_MODIFY));
    t.call("no mask", watch(fd, c"a", 0));
    t.call("no folder", watch(fd, c"a", IN_MODIFY | IN_ONLYDIR));
    t.call("closed", watch(99, c"a", IN_MODIFY));
    t.call("another kind", watch(0, c"a", IN_MODIFY));
    t.call("remove nothing", sys!(SYS_inotify_rm_watch, fd, 55));
    watch(fd, c"a", IN_MODIFY);
    sys!(SYS_truncate, c"a".as_ptr(), 5);
    t.call("small buffer", sys!(SYS_read, fd, [0u8; 8].as_mut_ptr(), 8));
}
