//! Runs each case in a process, a session and a folder of its own, and clears up what it leaves.

use crate::support::{ending, now_ms, sleep_ms};

/// A case that takes longer is killed.
const CASE_MS_MAX: i64 = 10_000;

/// Prints `== NAME`, what the case prints, and `-- ` with how it ended.
pub fn run(name: &str, case: impl FnOnce()) {
    print(&format!("== {name}\n"));
    let folder = format!("/tmp/{}", name.replace("::", "-"));
    let _ = std::fs::remove_dir_all(&folder);
    if let Err(error) = std::fs::create_dir(&folder) {
        print(&format!("no folder: {error}\n"));
    }
    // SAFETY: the runner has one thread.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let _ = std::env::set_current_dir(&folder);
        // SAFETY: plain calls, and the end of this process.
        unsafe {
            libc::setsid();
            libc::umask(0o022);
            case();
            libc::_exit(0);
        }
    }
    let word = if pid == -1 { format!("not forked: {}", crate::trace::errno_name()) } else { wait(pid) };
    clear();
    print(&format!("-- {word}\n"));
    let _ = std::fs::remove_dir_all(&folder);
}

/// By polling: no signal of the runner's own may be what a case sees.
fn wait(pid: libc::pid_t) -> String {
    let end = now_ms() + CASE_MS_MAX;
    let mut pause = 0;
    loop {
        let mut status = 0;
        // SAFETY: status outlives the call.
        if unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } == pid {
            return ending(status);
        }
        if now_ms() > end {
            // SAFETY: our own child.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            return "took too long".into();
        }
        sleep_ms(pause);
        pause = (pause + 1).min(5);
    }
}

/// As pid 1 of a container, kills everything that the case left and reaps it.
fn clear() {
    // SAFETY: pid 1 of its namespace reaches only that namespace.
    unsafe {
        if libc::getpid() == 1 {
            libc::kill(-1, libc::SIGKILL);
        }
        while libc::waitpid(-1, std::ptr::null_mut(), 0) > 0 {}
    }
}

fn print(text: &str) {
    // SAFETY: the text is as long as said.
    unsafe { libc::write(1, text.as_ptr().cast(), text.len()) };
}
