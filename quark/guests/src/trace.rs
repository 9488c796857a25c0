//! What a case is, and how it prints what it saw.

use std::ffi::{CStr, c_char, c_int};
use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

/// One case of an area.
pub struct Case {
    /// Without the area.
    pub name: &'static str,
    /// Prints what it sees.
    pub run: fn(&Trace),
}

/// A case named as its function.
#[macro_export]
macro_rules! case {
    ($name:ident) => {
        $crate::trace::Case { name: stringify!($name), run: $name }
    };
}

/// A system call with its arguments as the kernel gets them, the rest zero; -1 and `errno` when it fails.
#[macro_export]
macro_rules! sys {
    ($number:ident $(, $argument:expr)* $(,)?) => {
        // SAFETY: the case says what memory the kernel may touch; a wrong one is what some cases are about.
        unsafe { libc::syscall(libc::$number $(, $argument as libc::c_long)*, 0 as libc::c_long, 0 as libc::c_long, 0 as libc::c_long, 0 as libc::c_long, 0 as libc::c_long) }
    };
}

unsafe extern "C" {
    fn strerrorname_np(errno: c_int) -> *const c_char;
}

/// Lines that this process, and its parents before they forked it, printed.
static LINES: AtomicU32 = AtomicU32::new(0);

/// Prints lines at once, so that what was printed stays when the process dies and forks do not print it twice.
pub struct Trace;

impl Trace {
    /// What a system call returned: a number, or -1 with the errno's name.
    pub fn call(&self, what: &str, result: impl Into<i64>) {
        let result = result.into();
        if result == -1 {
            self.line(&format!("{what} = -1 {}", errno_name()));
        } else {
            self.line(&format!("{what} = {result}"));
        }
    }

    /// As [`Trace::call`] for numbers that differ from run to run, such as pids: `ok` stands for those that are not negative.
    pub fn ok(&self, what: &str, result: impl Into<i64>) {
        let result = result.into();
        if result == -1 { self.call(what, result) } else { self.show(what, if result < 0 { "negative" } else { "ok" }) }
    }

    /// A state.
    pub fn show(&self, what: &str, value: impl Display) {
        self.line(&format!("{what}: {value}"));
    }

    /// Bytes as text, with what is not ASCII escaped.
    pub fn bytes(&self, what: &str, value: &[u8]) {
        self.line(&format!("{what}: \"{}\"", value.escape_ascii()));
    }

    fn line(&self, text: &str) {
        // The number orders the lines of one process, which others' may interleave. One write(2): nothing is left in a buffer for a child to print again.
        let number = LINES.fetch_add(1, Ordering::SeqCst);
        let _ = std::io::stdout().lock().write_all(format!("{number:03} {text}\n").as_bytes());
    }
}

/// The name of the last error, such as `ENOENT`.
pub fn errno_name() -> String {
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    // SAFETY: the C library's table; null for unknown numbers.
    let name = unsafe { strerrorname_np(errno) };
    if name.is_null() {
        return format!("errno {errno}");
    }
    // SAFETY: a constant string of the C library.
    unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
}
