//! Hooks: programs of the host that run at points of a container's life (config.md, "POSIX-platform Hooks").

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::config::Hook;
use crate::error::{Context, Error, Result};
use crate::log;

/// How much of a failed hook's standard error is told, bytes.
const ERROR_BYTES_MAX: usize = 4096;

/// Runs hooks in order, with the container's state as JSON on their standard input. Stops at the first that fails.
pub fn run(kind: &str, hooks: &[Hook], state: &[u8]) -> Result<()> {
    for hook in hooks {
        log::debug(&format!("Running the {kind} hook \"{}\"", hook.path));
        run_one(hook, state).context(|| format!("run the {kind} hook \"{}\"", hook.path))?;
    }
    Ok(())
}

/// Runs all hooks, whatever becomes of them; failures are logged.
pub fn run_all(kind: &str, hooks: &[Hook], state: &[u8]) {
    for hook in hooks {
        if let Err(error) = run(kind, std::slice::from_ref(hook), state) {
            log::warn(&error.to_string());
        }
    }
}

fn run_one(hook: &Hook, state: &[u8]) -> Result<()> {
    let mut command = Command::new(&hook.path);
    if let Some((name, arguments)) = hook.args.split_first() {
        command.arg0(name).args(arguments);
    }
    command.env_clear().envs(hook.env.iter().filter_map(|variable| variable.split_once('=')));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context(|| "start it")?;
    let (mut input, mut errors) = (child.stdin.take(), child.stderr.take());
    let deadline = hook.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.max(0) as u64));
    // A hook that doesn't read its input must not block us, nor one that fills its standard error: both go on aside.
    let feed = state.to_vec();
    let writer = std::thread::spawn(move || input.as_mut().map(|input| input.write_all(&feed)));
    let reader = std::thread::spawn(move || errors.as_mut().map_or_else(Vec::new, beginning));
    let status = wait(&mut child, deadline)?;
    if status.success() {
        // What it left running may hold its ends of the pipes open: not our business.
        return Ok(());
    }
    drop(writer);
    let told = if reader.is_finished() || wait_briefly(&reader) { reader.join().unwrap_or_default() } else { Vec::new() };
    let told = String::from_utf8_lossy(&told);
    Err(Error::new(format!("{status}{}{}", if told.trim().is_empty() { "" } else { ": " }, told.trim())))
}

/// The first bytes of what a hook says; the rest is read and dropped.
fn beginning(errors: &mut std::process::ChildStderr) -> Vec<u8> {
    let mut told = Vec::new();
    let _ = errors.take(ERROR_BYTES_MAX as u64).read_to_end(&mut told);
    let _ = std::io::copy(errors, &mut std::io::sink());
    told
}

fn wait_briefly<T>(thread: &std::thread::JoinHandle<T>) -> bool {
    let deadline = Instant::now() + Duration::from_millis(200);
    while !thread.is_finished() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    thread.is_finished()
}

fn wait(child: &mut Child, deadline: Option<Instant>) -> Result<std::process::ExitStatus> {
    let Some(deadline) = deadline else {
        return child.wait().context(|| "wait for it");
    };
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait().context(|| "wait for it")? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::new("it was killed because its timeout is over"));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Option<i64>) -> Hook {
        Hook { path: "/bin/sh".into(), args: vec!["sh".into(), "-c".into(), script.into()], env: vec!["WORD=yes".into()], timeout }
    }

    #[test]
    fn hooks_get_the_state_and_their_environment() {
        let hook = shell("read line && test \"$line\" = state && test \"$WORD\" = yes && test -z \"$HOME\"", None);
        run("test", &[hook], b"state\n").expect("hook");
    }

    #[test]
    fn failures_are_told_with_what_the_hook_said() {
        let error = run("prestart", &[shell("echo because >&2; exit 3", None)], b"").expect_err("failure").to_string();
        assert_eq!(error, "Cannot run the prestart hook \"/bin/sh\": exit status: 3: because");
        let hook = Hook { path: "/nonexistent/hook".into(), ..Hook::default() };
        let error = run("poststop", &[hook], b"").expect_err("failure").to_string();
        assert!(error.contains("No such file"), "{error}");
    }

    #[test]
    fn a_hook_that_takes_too_long_is_killed() {
        let started = Instant::now();
        let error = run("x", &[shell("sleep 30", Some(1))], b"").expect_err("timeout").to_string();
        assert!(error.contains("timeout is over") && started.elapsed() < Duration::from_secs(10), "{error}");
    }

    #[test]
    fn a_hook_that_reads_nothing_does_not_block() {
        run("x", &[shell("exit 0", None)], &vec![b'x'; 1 << 20]).expect("hook");
        let chatty = shell("head -c 200000 /dev/zero >&2; exit 1", None);
        assert!(run("x", &[chatty], b"").is_err());
    }
}
