//! Pipes, FIFOs, splice and its kin.

use crate::support::{close, file, handle, in_child, pipe, show_read, sleep_ms, spawn, wait_for, write};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(order),
    case!(ends),
    case!(broken),
    case!(broken_by_default),
    case!(not_blocking),
    case!(capacity),
    case!(waits_for_a_writer),
    case!(waits_for_room),
    case!(pipe2_flags),
    case!(packets),
    case!(wrong_end),
    case!(fifo),
    case!(fifo_not_blocking),
    case!(splice_to_file),
    case!(splice_errors),
    case!(tee_copies),
    case!(vmsplice_in),
    case!(bytes_left),
    case!(atomic_writes),
    case!(big_transfer),
    case!(reopened_by_proc),
    case!(sendfile_to_pipe),
];

extern "C" fn nothing(_: c_int, _: *mut siginfo_t, _: *mut c_void) {}

fn order(t: &Trace) {
    let (reader, writer) = pipe();
    t.show("ends", format!("{reader} {writer}"));
    t.call("write", write(writer, b"abc"));
    t.call("more", write(writer, b"def"));
    let mut buffer = [0u8; 4];
    t.call("read", sys!(SYS_read, reader, buffer.as_mut_ptr(), 4));
    t.bytes("bytes", &buffer);
    show_read(t, "rest", reader);
    t.call("nothing", write(writer, b""));
}

fn ends(t: &Trace) {
    let (reader, writer) = pipe();
    write(writer, b"abc");
    close(writer);
    show_read(t, "left over", reader);
    show_read(t, "end", reader);
    show_read(t, "end again", reader);
}

fn broken(t: &Trace) {
    let (reader, writer) = pipe();
    handle(SIGPIPE, 0, nothing);
    close(reader);
    t.call("write", write(writer, b"abc"));
    t.call("nothing", write(writer, b""));
}

fn broken_by_default(t: &Trace) {
    let (reader, writer) = pipe();
    close(reader);
    t.show(
        "child",
        in_child(|| {
            // SAFETY: Rust ignores SIGPIPE.
            unsafe { signal(SIGPIPE, SIG_DFL) };
            write(writer, b"abc");
        }),
    );
}

fn not_blocking(t: &Trace) {
    let (reader, writer) = pipe();
    sys!(SYS_fcntl, reader, F_SETFL, O_NONBLOCK);
    sys!(SYS_fcntl, writer, F_SETFL, O_NONBLOCK);
    show_read(t, "empty", reader);
    let block = [1u8; 4096];
    let mut written = 0;
    loop {
        let got = write(writer, &block);
        if got == -1 {
            t.call("full", got);
            break;
        }
        written += got;
    }
    t.show("written", written);
    let mut big = [0u8; 5000];
    t.call("read", sys!(SYS_read, reader, big.as_mut_ptr(), 5000));
    t.call("part", sys!(SYS_write, writer, [2u8; 8192].as_ptr(), 8192));
    t.call("one page", write(writer, &block));
}

fn capacity(t: &Trace) {
    let (reader, writer) = pipe();
    t.call("get", sys!(SYS_fcntl, writer, F_GETPIPE_SZ));
    t.call("set", sys!(SYS_fcntl, writer, F_SETPIPE_SZ, 5000));
    t.call("get", sys!(SYS_fcntl, reader, F_GETPIPE_SZ));
    t.call("large", sys!(SYS_fcntl, writer, F_SETPIPE_SZ, 1 << 20));
    t.call("zero", sys!(SYS_fcntl, writer, F_SETPIPE_SZ, 0));
    sys!(SYS_fcntl, writer, F_SETPIPE_SZ, 65_536);
    write(writer, &[1; 10_000]);
    t.call("smaller than its content", sys!(SYS_fcntl, writer, F_SETPIPE_SZ, 4096));
    t.call("of a file", sys!(SYS_fcntl, file(c"a", b""), F_GETPIPE_SZ));
}

fn waits_for_a_writer(t: &Trace) {
    let (reader, writer) = pipe();
    let child = spawn(|| {
        sleep_ms(30);
        write(writer, b"late");
    });
    close(writer);
    show_read(t, "read", reader);
    show_read(t, "end", reader);
    t.show("child", wait_for(child));
}

fn waits_for_room(t: &Trace) {
    let (reader, writer) = pipe();
    let child = spawn(|| {
        close(reader);
        t.call("write", write(writer, &vec![3; 200_000]));
    });
    close(writer);
    let mut total = 0;
    let mut buffer = [0u8; 10_000];
    loop {
        let got = sys!(SYS_read, reader, buffer.as_mut_ptr(), buffer.len());
        if got <= 0 {
            break;
        }
        total += got;
    }
    t.show("child", wait_for(child));
    t.show("read", total);
}

fn pipe2_flags(t: &Trace) {
    let mut ends = [0i32; 2];
    t.call("pipe2", sys!(SYS_pipe2, ends.as_mut_ptr(), O_CLOEXEC | O_NONBLOCK));
    t.call("closes", sys!(SYS_fcntl, ends[0], F_GETFD));
    t.show("reader", format!("{:#o}", sys!(SYS_fcntl, ends[0], F_GETFL)));
    t.show("writer", format!("{:#o}", sys!(SYS_fcntl, ends[1], F_GETFL)));
    t.call("unknown", sys!(SYS_pipe2, ends.as_mut_ptr(), O_APPEND));
    t.call("bad pointer", sys!(SYS_pipe, 8));
    let next = sys!(SYS_dup, 0);
    t.call("none leaked", next);
}

fn packets(t: &Trace) {
    let mut ends = [0i32; 2];
    t.call("pipe2", sys!(SYS_pipe2, ends.as_mut_ptr(), O_DIRECT));
    write(ends[1], b"one");
    write(ends[1], b"three");
    let mut buffer = [0u8; 2];
    t.call("short read", sys!(SYS_read, ends[0], buffer.as_mut_ptr(), 2));
    show_read(t, "next", ends[0]);
}

fn wrong_end(t: &Trace) {
    let (reader, writer) = pipe();
    t.call("write", write(reader, b"a"));
    show_read(t, "read", writer);
    let mut buffer = [0u8; 4];
    t.call("pread", sys!(SYS_pread64, reader, buffer.as_mut_ptr(), 4, 0));
    t.call("ftruncate", sys!(SYS_ftruncate, writer, 0));
    t.call("bad pointer", sys!(SYS_write, writer, 8, 4));
    write(writer, b"abc");
    t.call("bad pointer", sys!(SYS_read, reader, 8, 4));
}

fn fifo(t: &Trace) {
    sys!(SYS_mknod, c"p".as_ptr(), S_IFIFO | 0o600, 0);
    let child = spawn(|| {
        let writer = sys!(SYS_open, c"p".as_ptr(), O_WRONLY) as i32;
        write(writer, b"through");
    });
    let reader = sys!(SYS_open, c"p".as_ptr(), O_RDONLY) as i32;
    show_read(t, "read", reader);
    t.show("child", wait_for(child));
    show_read(t, "end", reader);
    let again = sys!(SYS_open, c"p".as_ptr(), O_WRONLY) as i32;
    t.call("write", write(again, b"more"));
    show_read(t, "read", reader);
}

fn fifo_not_blocking(t: &Trace) {
    sys!(SYS_mknod, c"p".as_ptr(), S_IFIFO | 0o600, 0);
    t.call("no reader", sys!(SYS_open, c"p".as_ptr(), O_WRONLY | O_NONBLOCK));
    let reader = sys!(SYS_open, c"p".as_ptr(), O_RDONLY | O_NONBLOCK) as i32;
    t.call("reader", reader);
    show_read(t, "no writer", reader);
    let writer = sys!(SYS_open, c"p".as_ptr(), O_WRONLY | O_NONBLOCK) as i32;
    t.call("writer", writer);
    show_read(t, "empty", reader);
    t.call("both ways", sys!(SYS_open, c"p".as_ptr(), O_RDWR));
    close(reader);
    t.call("write", write(writer, b"held by the third"));
}

fn splice_to_file(t: &Trace) {
    let (reader, writer) = pipe();
    write(writer, b"abcdef");
    let fd = file(c"a", b"");
    t.call("splice", sys!(SYS_splice, reader, 0, fd, 0, 4, 0));
    t.show("file", std::fs::read_to_string("a").unwrap_or_default());
    let mut offset = 1i64;
    t.call("back", sys!(SYS_splice, fd, &raw mut offset, writer, 0, 2, 0));
    t.show("offset", offset);
    show_read(t, "pipe", reader);
    let (second, far) = pipe();
    write(writer, b"xyz");
    t.call("pipe to pipe", sys!(SYS_splice, reader, 0, far, 0, 100, 0));
    show_read(t, "second", second);
}

fn splice_errors(t: &Trace) {
    let (reader, writer) = pipe();
    let fd = file(c"a", b"abc");
    t.call("no pipe", sys!(SYS_splice, fd, 0, fd, 0, 4, 0));
    t.call("empty", sys!(SYS_splice, reader, 0, fd, 0, 4, SPLICE_F_NONBLOCK));
    let offset = 0i64;
    t.call("offset of a pipe", sys!(SYS_splice, reader, &raw const offset, fd, 0, 4, 0));
    t.call("same pipe", sys!(SYS_splice, reader, 0, writer, 0, 4, 0));
    t.call("nothing", sys!(SYS_splice, reader, 0, fd, 0, 0, 0));
    t.call("unknown flag", sys!(SYS_splice, reader, 0, fd, 0, 1, 64));
    let appending = sys!(SYS_open, c"a".as_ptr(), O_WRONLY | O_APPEND);
    write(writer, b"abc");
    t.call("appending", sys!(SYS_splice, reader, 0, appending, 0, 1, 0));
}

fn tee_copies(t: &Trace) {
    let ((reader, writer), (second, far)) = (pipe(), pipe());
    write(writer, b"abcdef");
    t.call("tee", sys!(SYS_tee, reader, far, 4, 0));
    show_read(t, "copy", second);
    show_read(t, "original", reader);
    t.call("same", sys!(SYS_tee, reader, writer, 4, 0));
    t.call("empty", sys!(SYS_tee, reader, far, 4, SPLICE_F_NONBLOCK));
    t.call("file", sys!(SYS_tee, file(c"a", b"abc"), far, 4, 0));
}

fn vmsplice_in(t: &Trace) {
    let (reader, writer) = pipe();
    let part = iovec { iov_base: b"abcdef".as_ptr() as *mut _, iov_len: 6 };
    t.call("vmsplice", sys!(SYS_vmsplice, writer, &raw const part, 1, 0));
    show_read(t, "read", reader);
    t.call("file", sys!(SYS_vmsplice, file(c"a", b""), &raw const part, 1, 0));
}

fn bytes_left(t: &Trace) {
    let (reader, writer) = pipe();
    write(writer, b"abcdef");
    let mut left = 0i32;
    t.call("FIONREAD", sys!(SYS_ioctl, reader, FIONREAD, &raw mut left));
    t.show("left", left);
    t.call("of the writer", sys!(SYS_ioctl, writer, FIONREAD, &raw mut left));
    t.show("left", left);
    let on = 1i32;
    t.call("FIONBIO", sys!(SYS_ioctl, reader, FIONBIO, &raw const on));
    t.show("flags", format!("{:#o}", sys!(SYS_fcntl, reader, F_GETFL)));
    t.call("TCGETS", sys!(SYS_ioctl, reader, TCGETS, 0));
}

fn atomic_writes(t: &Trace) {
    let (reader, writer) = pipe();
    let children: Vec<_> = (0..4u8)
        .map(|i| {
            spawn(|| {
                for _ in 0..50 {
                    write(writer, &[b'a' + i; 1000]);
                }
            })
        })
        .collect();
    close(writer);
    let mut mixed = 0;
    let mut blocks = 0;
    let mut buffer = [0u8; 1000];
    // SAFETY: blocks of 1000 bytes are written at once, so that a read of 1000 gets whole ones.
    while unsafe { read(reader, buffer.as_mut_ptr().cast(), 1000) } == 1000 {
        blocks += 1;
        mixed += u32::from(buffer.iter().any(|byte| *byte != buffer[0]));
    }
    children.into_iter().for_each(|pid| _ = wait_for(pid));
    t.show("blocks", blocks);
    t.show("mixed", mixed);
}

fn big_transfer(t: &Trace) {
    let (reader, writer) = pipe();
    let child = spawn(|| {
        let block: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        for _ in 0..20 {
            write(writer, &block);
        }
    });
    close(writer);
    let (mut sum, mut total) = (0u64, 0u64);
    let mut buffer = vec![0u8; 70_000];
    loop {
        let got = sys!(SYS_read, reader, buffer.as_mut_ptr(), buffer.len());
        let Ok(length @ 1..) = usize::try_from(got) else { break };
        total += length as u64;
        sum += buffer[..length].iter().map(|byte| u64::from(*byte)).sum::<u64>();
    }
    t.show("child", wait_for(child));
    t.show("bytes and sum", format!("{total} {sum}"));
}

fn reopened_by_proc(t: &Trace) {
    let (reader, writer) = pipe();
    let name = std::ffi::CString::new(format!("/proc/self/fd/{reader}")).unwrap_or_default();
    let again = sys!(SYS_open, name.as_ptr(), O_WRONLY) as i32;
    t.call("as a writer", again);
    t.call("write", write(again, b"abc"));
    close(again);
    show_read(t, "read", reader);
    close(writer);
    show_read(t, "end", reader);
}

fn sendfile_to_pipe(t: &Trace) {
    let (reader, writer) = pipe();
    let fd = file(c"a", b"abcdef");
    t.call("sendfile", sys!(SYS_sendfile, writer, fd, 0, 4));
    show_read(t, "read", reader);
    t.call("from a pipe", sys!(SYS_sendfile, fd, reader, 0, 4));
    t.call("position", sys!(SYS_lseek, fd, 0, SEEK_CUR));
}
