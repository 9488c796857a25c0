//! execve: what it keeps and what it refuses.

use crate::support::{block, file, in_child, write};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(arguments_and_environment),
    case!(no_arguments),
    case!(failures),
    case!(bad_programs),
    case!(permissions),
    case!(scripts),
    case!(script_failures),
    case!(signals_kept),
    case!(descriptors_kept),
    case!(set_user_id),
    case!(set_user_id_refused),
    case!(by_descriptor),
    case!(from_a_thread),
    case!(too_big),
    case!(busy_text),
    case!(names_after),
];

/// This program; copied for cases that change it.
const GUESTS: &std::ffi::CStr = c"/guests";

/// Executes a program with arguments and the variable A=1.
fn exec(name: &std::ffi::CStr, args: &[&std::ffi::CStr]) -> i64 {
    let mut pointers: Vec<*const c_char> = args.iter().map(|arg| arg.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let variables = [c"A=1".as_ptr(), std::ptr::null()];
    sys!(SYS_execve, name.as_ptr(), pointers.as_ptr(), variables.as_ptr())
}

fn helper(t: &Trace, what: &str, args: &[&std::ffi::CStr]) {
    let end = in_child(|| t.call("exec", exec(GUESTS, &[&[c"guests", c"helper"], args].concat())));
    t.show(what, end);
}

fn arguments_and_environment(t: &Trace) {
    helper(t, "show", &[c"show", c"one", c"", c"three words here"]);
    helper(t, "exit", &[c"exit", c"17"]);
    let end = in_child(|| {
        t.call(
            "exec",
            sys!(SYS_execve, GUESTS.as_ptr(), [c"guests".as_ptr(), c"helper".as_ptr(), c"show".as_ptr(), std::ptr::null()].as_ptr(), 0),
        )
    });
    t.show("no environment", end);
}

fn no_arguments(t: &Trace) {
    let end = in_child(|| {
        sys!(SYS_close, 2);
        t.call("exec", sys!(SYS_execve, GUESTS.as_ptr(), 0, 0));
    });
    t.show("null", end);
}

fn failures(t: &Trace) {
    file(c"a", b"");
    t.call("missing", exec(c"x", &[]));
    t.call("empty name", exec(c"", &[]));
    t.call("folder", exec(c"/tmp", &[]));
    t.call("below a file", exec(c"a/b", &[]));
    t.call("bad name", sys!(SYS_execve, 8, 0, 0));
    t.call("bad arguments", sys!(SYS_execve, GUESTS.as_ptr(), 8, 0));
    let wrong = [8 as *const c_char, std::ptr::null()];
    t.call("bad argument", sys!(SYS_execve, GUESTS.as_ptr(), wrong.as_ptr(), 0));
    t.call("still here", sys!(SYS_access, c"a".as_ptr(), F_OK));
}

fn bad_programs(t: &Trace) {
    let mut elf = std::fs::read("/guests").unwrap_or_default();
    elf.truncate(4096);
    let try_one = |name: &str, content: &[u8]| {
        let path = std::ffi::CString::new(name).unwrap_or_default();
        sys!(SYS_close, file(&path, content));
        sys!(SYS_chmod, path.as_ptr(), 0o755);
        t.show(name, in_child(|| t.call("exec", exec(&path, &[c"x"]))));
    };
    try_one("empty", b"");
    try_one("text", b"hello");
    try_one("magic only", b"\x7fELF");
    let mut machine = elf.clone();
    machine[18] = 0xb7;
    try_one("other machine", &machine);
    let mut bits = elf.clone();
    bits[4] = 1;
    bits[18] = 0x28;
    try_one("32 bits", &bits);
    let mut kind = elf.clone();
    kind[16] = 1;
    try_one("object file", &kind);
    let mut headers = elf.clone();
    headers[54] = 10;
    try_one("header size", &headers);
}

fn permissions(t: &Trace) {
    file(c"a", b"#!/guests helper\n");
    t.call("not executable", exec(c"a", &[]));
    let copied = std::fs::copy("/guests", "program").is_ok();
    t.show("copied", copied);
    sys!(SYS_chmod, c"program".as_ptr(), 0o700);
    sys!(SYS_chmod, c".".as_ptr(), 0o755);
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("another's", exec(c"program", &[]));
    });
    t.show("child", end);
    sys!(SYS_chmod, c"program".as_ptr(), 0o711);
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("unreadable", exec(c"program", &[c"guests", c"helper", c"exit", c"4"]));
    });
    t.show("child", end);
}

fn script(name: &std::ffi::CStr, content: &[u8]) {
    sys!(SYS_close, file(name, content));
    sys!(SYS_chmod, name.as_ptr(), 0o755);
}

fn scripts(t: &Trace) {
    script(c"a", b"#!/guests\n");
    t.show("plain", in_child(|| t.call("exec", exec(c"./a", &[c"ignored", c"more"]))));
    script(c"b", b"#! /guests helper \nrest\n");
    t.show("one argument", in_child(|| t.call("exec", exec(c"b", &[c"b"]))));
    script(c"inner", b"#!/guests helper\n");
    script(c"outer", b"#!inner\n");
    t.show("of a script", in_child(|| t.call("exec", exec(c"outer", &[c"outer"]))));
}

fn script_failures(t: &Trace) {
    script(c"a", b"#!/missing\n");
    t.call("missing interpreter", exec(c"a", &[]));
    script(c"b", b"#!\n");
    t.call("no interpreter", exec(c"b", &[]));
    script(c"c", b"#!c\n");
    t.call("itself", exec(c"c", &[]));
    script(c"d", b"#!/tmp\n");
    t.call("folder", exec(c"d", &[]));
    script(c"e", [b"#!/".as_slice(), &[b'x'; 300], b"\n"].concat().as_slice());
    t.call("long line", exec(c"e", &[]));
}

extern "C" fn nothing(_: c_int, _: *mut siginfo_t, _: *mut c_void) {}

fn signals_kept(t: &Trace) {
    let end = in_child(|| {
        crate::support::handle(SIGHUP, 0, nothing);
        // SAFETY: ignores a signal.
        unsafe { signal(SIGINT, SIG_IGN) };
        block(&[SIGUSR1, SIGUSR2]);
        // SAFETY: a signal to ourselves.
        unsafe { raise(SIGUSR2) };
        t.call("exec", exec(GUESTS, &[c"guests", c"helper", c"state"]));
    });
    t.show("child", end);
}

fn descriptors_kept(t: &Trace) {
    sys!(SYS_dup2, 0, 5);
    sys!(SYS_dup3, 0, 6, O_CLOEXEC);
    sys!(SYS_dup2, 0, 7);
    helper(t, "child", &[c"descriptors"]);
    t.call("ours", sys!(SYS_fcntl, 6, F_GETFD));
}

fn set_user_id(t: &Trace) {
    let _ = std::fs::copy("/guests", "program");
    sys!(SYS_chmod, c".".as_ptr(), 0o755);
    sys!(SYS_chown, c"program".as_ptr(), 2000, 3000);
    sys!(SYS_chmod, c"program".as_ptr(), 0o6755);
    let end = in_child(|| {
        sys!(SYS_setgid, 1000);
        sys!(SYS_setuid, 1000);
        t.call("exec", exec(c"program", &[c"guests", c"helper", c"credentials"]));
    });
    t.show("child", end);
    let end = in_child(|| {
        sys!(SYS_setgid, 1000);
        sys!(SYS_setuid, 1000);
        t.call("exec", exec(GUESTS, &[c"guests", c"helper", c"credentials"]));
    });
    t.show("plain", end);
}

fn set_user_id_refused(t: &Trace) {
    let _ = std::fs::copy("/guests", "program");
    sys!(SYS_chmod, c".".as_ptr(), 0o755);
    sys!(SYS_chmod, c"program".as_ptr(), 0o4755);
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        sys!(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        t.call("exec", exec(c"program", &[c"guests", c"helper", c"credentials"]));
    });
    t.show("no new privileges", end);
}

fn by_descriptor(t: &Trace) {
    let fd = sys!(SYS_open, GUESTS.as_ptr(), O_PATH | O_CLOEXEC);
    let args = [c"guests".as_ptr(), c"helper".as_ptr(), c"exit".as_ptr(), c"5".as_ptr(), std::ptr::null()];
    let end = in_child(|| t.call("exec", sys!(SYS_execveat, fd, c"".as_ptr(), args.as_ptr(), 0, AT_EMPTY_PATH)));
    t.show("child", end);
    t.call("empty without", sys!(SYS_execveat, fd, c"".as_ptr(), args.as_ptr(), 0, 0));
    sys!(SYS_symlink, GUESTS.as_ptr(), c"l".as_ptr());
    t.call("no follow", sys!(SYS_execveat, AT_FDCWD, c"l".as_ptr(), args.as_ptr(), 0, AT_SYMLINK_NOFOLLOW));
    t.call("unknown flag", sys!(SYS_execveat, AT_FDCWD, c"l".as_ptr(), args.as_ptr(), 0, 1));
    t.show("through a link", in_child(|| t.call("exec", sys!(SYS_execveat, AT_FDCWD, c"l".as_ptr(), args.as_ptr(), 0, 0))));
    let memory = sys!(SYS_memfd_create, c"program".as_ptr(), 0) as i32;
    let program = std::fs::read("/guests").unwrap_or_default();
    t.show("copied", write(memory, &program) == program.len() as i64);
    t.show("memfd", in_child(|| t.call("exec", sys!(SYS_execveat, memory, c"".as_ptr(), args.as_ptr(), 0, AT_EMPTY_PATH))));
}

fn from_a_thread(t: &Trace) {
    let end = in_child(|| {
        std::thread::spawn(|| crate::support::sleep_ms(5_000));
        let other = std::thread::spawn(|| exec(GUESTS, &[c"guests", c"helper", c"exit", c"6"]));
        let _ = other.join();
    });
    t.show("child", end);
}

fn too_big(t: &Trace) {
    let long = std::ffi::CString::new("x".repeat(131_072)).unwrap_or_default();
    t.call("one argument", exec(GUESTS, &[c"guests", &long]));
    let part = std::ffi::CString::new("x".repeat(100_000)).unwrap_or_default();
    let many: Vec<&std::ffi::CStr> = std::iter::repeat_n(part.as_c_str(), 100).collect();
    t.call("all", exec(GUESTS, &many));
    let some: Vec<&std::ffi::CStr> =
        [c"guests", c"helper", c"exit", c"3"].into_iter().chain(std::iter::repeat_n(part.as_c_str(), 5)).collect();
    t.show("half a megabyte", in_child(|| t.call("exec", exec(GUESTS, &some))));
}

fn busy_text(t: &Trace) {
    let _ = std::fs::copy("/guests", "program");
    sys!(SYS_chmod, c"program".as_ptr(), 0o755);
    let writer = sys!(SYS_open, c"program".as_ptr(), O_WRONLY);
    t.call("open for writing", exec(c"program", &[]));
    sys!(SYS_close, writer);
    t.show("closed", in_child(|| t.call("exec", exec(c"program", &[c"guests", c"helper", c"exit", c"2"]))));
}

fn names_after(t: &Trace) {
    let (reader, writer) = crate::support::pipe();
    sys!(SYS_symlink, GUESTS.as_ptr(), c"another".as_ptr());
    let end = in_child(|| {
        sys!(SYS_dup2, writer, 1);
        t.call("exec", exec(c"another", &[c"argument zero", c"helper", c"exit", c"0"]));
    });
    t.show("child", end);
    crate::support::close(writer);
    crate::support::show_read(t, "output", reader);
    t.show("comm", std::fs::read_to_string("/proc/self/comm").unwrap_or_default().trim_end());
}
