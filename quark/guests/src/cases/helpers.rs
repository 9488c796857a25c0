//! Programs that cases execute: `guests helper NAME [ARGUMENT…]`.

use std::process::ExitCode;

use crate::support::{set_of, signal_name, zeroed};
use crate::trace::Trace;

/// Runs a helper; its output goes where the case's goes.
pub fn main(args: &[&str]) -> ExitCode {
    let t = Trace;
    match args {
        ["exit", code] => return ExitCode::from(code.parse::<u8>().unwrap_or(255)),
        ["show", rest @ ..] => {
            t.show("arguments", rest.join("|"));
            let mut variables: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
            variables.sort();
            t.show("environment", variables.join("|"));
        }
        ["state"] => state(&t),
        ["credentials"] => credentials(&t),
        ["descriptors"] => {
            for fd in 3..10 {
                // SAFETY: any number may be asked about.
                if unsafe { libc::fcntl(fd, libc::F_GETFD) } != -1 {
                    t.show("open", fd);
                }
            }
        }
        _ => return ExitCode::from(99),
    }
    ExitCode::SUCCESS
}

/// What survives an execve: the mask, ignored signals, pending ones.
fn state(t: &Trace) {
    let mut mask: libc::sigset_t = zeroed();
    // SAFETY: asks only.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const *&set_of(&[]), &raw mut mask) };
    let mut pending: libc::sigset_t = zeroed();
    // SAFETY: asks only.
    unsafe { libc::sigpending(&raw mut pending) };
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGTERM] {
        let mut action: libc::sigaction = zeroed();
        // SAFETY: asks only.
        let (blocked, waits) = unsafe {
            libc::sigaction(signal, std::ptr::null(), &raw mut action);
            (libc::sigismember(&raw const mask, signal), libc::sigismember(&raw const pending, signal))
        };
        let disposition = match action.sa_sigaction {
            libc::SIG_DFL => "default",
            libc::SIG_IGN => "ignored",
            _ => "handled",
        };
        t.show(&signal_name(signal), format!("{disposition} blocked {blocked} pending {waits}"));
    }
}

fn credentials(t: &Trace) {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: three numbers fit.
    unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) };
    t.show("uids", format!("{real} {effective} {saved}"));
    // SAFETY: three numbers fit.
    unsafe { libc::getresgid(&raw mut real, &raw mut effective, &raw mut saved) };
    t.show("gids", format!("{real} {effective} {saved}"));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("Cap") || line.starts_with("NoNewPrivs")) {
        t.show("status", line.replace('\t', " "));
    }
}
