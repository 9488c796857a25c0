//! What cases share: children, handlers, descriptors and waiting.

use crate::trace::Trace;
use libc::{c_int, c_void, pid_t};

/// A value of zero bytes, for the kernel's structures.
pub fn zeroed<T: Copy>() -> T {
    // SAFETY: used with the C library's plain structures alone.
    unsafe { std::mem::zeroed() }
}

/// A child that runs the action and exits with 0. Output of the action is printed at once.
pub fn spawn(action: impl FnOnce()) -> pid_t {
    spawn_with(|| {
        action();
        0
    })
}

/// A child that exits with what the action returns.
pub fn spawn_with(action: impl FnOnce() -> c_int) -> pid_t {
    // SAFETY: the child calls only the action, then ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = action();
        // SAFETY: ends the process.
        unsafe { libc::_exit(code) }
    }
    pid
}

/// Runs the action in a child to its end; how it ended.
pub fn in_child(action: impl FnOnce()) -> String {
    wait_for(spawn(action))
}

/// Waits for a child: how it ended.
pub fn wait_for(pid: pid_t) -> String {
    let mut status = 0;
    loop {
        // SAFETY: status outlives the call.
        let got = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        if got == pid {
            return ending(status);
        }
        if got == -1 && std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return format!("not waited for: {}", crate::trace::errno_name());
        }
    }
}

/// A wait status in words.
pub fn ending(status: c_int) -> String {
    if libc::WIFEXITED(status) {
        format!("exited {}", libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        format!("killed by {}", signal_name(libc::WTERMSIG(status)))
    } else if libc::WIFSTOPPED(status) {
        format!("stopped by {}", signal_name(libc::WSTOPSIG(status)))
    } else if libc::WIFCONTINUED(status) {
        "continued".into()
    } else {
        format!("status {status:#x}")
    }
}

unsafe extern "C" {
    fn sigabbrev_np(signal: c_int) -> *const libc::c_char;
}

/// Such as `SIGINT`, or `signal 34`.
pub fn signal_name(signal: c_int) -> String {
    // SAFETY: the C library's table; null for unknown numbers.
    let name = unsafe { sigabbrev_np(signal) };
    if name.is_null() {
        return format!("signal {signal}");
    }
    // SAFETY: a constant string of the C library.
    format!("SIG{}", unsafe { std::ffi::CStr::from_ptr(name) }.to_string_lossy())
}

pub type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// Installs a handler with all of siginfo.
pub fn handle(signal: c_int, flags: c_int, handler: Handler) {
    let mut action: libc::sigaction = zeroed();
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = flags | libc::SA_SIGINFO;
    // SAFETY: the action is complete.
    unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
}

/// A set of signals.
pub fn set_of(signals: &[c_int]) -> libc::sigset_t {
    let mut set: libc::sigset_t = zeroed();
    for signal in signals {
        // SAFETY: the set is initialized.
        unsafe { libc::sigaddset(&raw mut set, *signal) };
    }
    set
}

/// Blocks signals of this thread.
pub fn block(signals: &[c_int]) {
    let set = set_of(signals);
    // SAFETY: the set is initialized.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

/// The two ends of a pipe.
pub fn pipe() -> (c_int, c_int) {
    let mut ends = [0; 2];
    // SAFETY: two descriptors fit.
    unsafe { libc::pipe(ends.as_mut_ptr()) };
    (ends[0], ends[1])
}

/// Two connected unix sockets.
pub fn socket_pair(kind: c_int) -> (c_int, c_int) {
    let mut ends = [0; 2];
    // SAFETY: two descriptors fit.
    unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) };
    (ends[0], ends[1])
}

pub fn sleep_ms(ms: u64) {
    std::thread::sleep(std::time::Duration::from_millis(ms));
}

/// Kills this process by SIGKILL-like alarm when it waits for longer; cases of their own set none.
pub fn now_ms() -> i64 {
    let mut now: libc::timespec = zeroed();
    // SAFETY: now outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec * 1_000 + now.tv_nsec / 1_000_000
}

/// Waits for at most three seconds until the condition holds; says whether it does.
pub fn until(mut condition: impl FnMut() -> bool) -> bool {
    let end = now_ms() + 3_000;
    while now_ms() < end {
        if condition() {
            return true;
        }
        sleep_ms(1);
    }
    condition()
}

/// Prints how long the action took: `about` when between the two bounds, in milliseconds, with room for a loaded machine.
pub fn took(t: &Trace, what: &str, at_least: i64, action: impl FnOnce()) {
    let start = now_ms();
    action();
    let ms = now_ms() - start;
    let word = if ms + 1 < at_least {
        "too short"
    } else if ms > at_least + 1_500 {
        "too long"
    } else {
        "right"
    };
    t.show(what, word);
}

/// A new file with this content, open for reading and writing from its start.
pub fn file(name: &std::ffi::CStr, content: &[u8]) -> c_int {
    // SAFETY: the name ends with zero and content is as long as said.
    unsafe {
        let fd = libc::open(name.as_ptr(), libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC, 0o644);
        libc::write(fd, content.as_ptr().cast(), content.len());
        libc::lseek(fd, 0, libc::SEEK_SET);
        fd
    }
}

/// Reads at most 256 bytes and prints them, or the error.
pub fn show_read(t: &Trace, what: &str, fd: c_int) {
    let mut buffer = [0u8; 256];
    // SAFETY: the buffer is as long as said.
    let got = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    match usize::try_from(got) {
        Ok(length) => t.bytes(what, &buffer[..length]),
        Err(_) => t.call(what, got as i64),
    }
}

pub fn write(fd: c_int, content: &[u8]) -> i64 {
    // SAFETY: the content is as long as said.
    unsafe { libc::write(fd, content.as_ptr().cast(), content.len()) as i64 }
}

pub fn close(fd: c_int) {
    // SAFETY: any number may be closed.
    unsafe { libc::close(fd) };
}
