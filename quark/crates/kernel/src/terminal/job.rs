//! Job control: which processes may use their session's terminal (`man 7 credentials`, `man 4 tty`).

use std::sync::Arc;

use super::tty::{Control, Terminal};
use crate::call::restart;
use crate::signal::action::IGNORE;
use crate::signal::{Origin, send_to_group};
use crate::task::current;
use crate::task::session::Session;
use crate::task::{Process, Task};
use crate::{Errno, Result};

const CAP_SYS_ADMIN: u32 = 21;

/// Whether it has CAP_SYS_ADMIN.
pub fn is_admin(task: &Task) -> bool {
    task.credentials().capable(CAP_SYS_ADMIN)
}

/// The session of a task, if `terminal` controls it.
pub fn session_of(task: &Task, terminal: &Terminal) -> Option<Arc<Session>> {
    let session = task.process.session()?;
    let controls = session.terminal()?.as_any().downcast_ref::<Terminal>().is_some_and(|other| std::ptr::eq(other, terminal));
    controls.then_some(session)
}

/// Whether a task is in the background of `terminal`, and its process group.
fn in_background(task: &Task, terminal: &Terminal) -> Option<i32> {
    let session = session_of(task, terminal)?;
    let group = task.process.group();
    (group != session.foreground()).then_some(group)
}

/// Reading from the background: SIGTTIN, and the call is made again after it; EIO for who ignores or blocks that, and for orphans.
pub fn may_read(terminal: &Terminal) -> Result<()> {
    match current() {
        Some(task) => check(&task, terminal, libc::SIGTTIN, Err(Errno::IO)),
        None => Ok(()),
    }
}

/// Writing from the background is allowed, unless TOSTOP is set: SIGTTOU.
pub fn may_write(terminal: &Terminal) -> Result<()> {
    if !terminal.state().discipline.termios.has_local(libc::TOSTOP) {
        return Ok(());
    }
    current().map_or(Ok(()), |task| may_change(&task, terminal))
}

/// Changing a terminal's settings from the background: SIGTTOU, unless it's ignored or blocked; EIO for orphans.
pub fn may_change(task: &Task, terminal: &Terminal) -> Result<()> {
    check(task, terminal, libc::SIGTTOU, Ok(()))
}

fn check(task: &Task, terminal: &Terminal, signal: i32, if_ignored: Result<()>) -> Result<()> {
    let Some(group) = in_background(task, terminal) else {
        return Ok(());
    };
    if task.signals.blocked().has(signal) || task.process.signals.action(signal).handler == IGNORE {
        return if_ignored;
    }
    if task.process.container.pids.orphaned(group) {
        return Err(Errno::IO);
    }
    send_to_group(&task.process, group, signal, Origin::Kernel);
    Err(restart::SYS)
}

/// Makes `terminal` the controlling one of a session leader that has none, if it controls nobody yet.
pub fn adopt(task: &Task, terminal: &Arc<Terminal>) {
    let _ = take(task, terminal, false);
}

/// TIOCSCTTY: EPERM for who leads no session or has a terminal, and for a terminal that controls another session (unless `steal`).
pub fn take(task: &Task, terminal: &Arc<Terminal>, steal: bool) -> Result<()> {
    let process = &task.process;
    let session = process.session().ok_or(Errno::PERM)?;
    if session_of(task, terminal).is_some() && session.id == process.pid {
        return Ok(());
    }
    if session.id != process.pid || session.terminal().is_some() {
        return Err(Errno::PERM);
    }
    let mut state = terminal.state();
    let former = state.control.clone().and_then(|control| control.session.upgrade());
    if former.is_some() && !steal {
        return Err(Errno::PERM);
    }
    state.control = Some(Control { session: Arc::downgrade(&session), pids: process.container.pids.clone() });
    drop(state);
    if let Some(former) = former {
        former.drop_terminal();
    }
    session.take_terminal(terminal.clone(), process.group());
    Ok(())
}

/// Gives a new process, which leads its session, its terminal.
pub fn give(process: &Process, terminal: &Arc<Terminal>) {
    if let Some(session) = process.session() {
        let control = Control { session: Arc::downgrade(&session), pids: process.container.pids.clone() };
        terminal.state().control = Some(control);
        session.take_terminal(terminal.clone(), process.group());
    }
}

/// TIOCNOTTY: the process gives it up; if it leads the session, all of that do, and the foreground gets SIGHUP and SIGCONT. ENOTTY.
pub fn give_up(task: &Task, terminal: &Terminal) -> Result<()> {
    let session = session_of(task, terminal).ok_or(Errno::NOTTY)?;
    if session.id != task.process.pid {
        // Others keep it: a process alone can't be without its session's terminal here.
        return Ok(());
    }
    let foreground = session.drop_terminal().map_or(0, |(_, foreground)| foreground);
    terminal.state().control = None;
    if foreground > 0 {
        send_to_group(&task.process, foreground, libc::SIGHUP, Origin::Kernel);
        send_to_group(&task.process, foreground, libc::SIGCONT, Origin::Kernel);
    }
    Ok(())
}

/// `tcgetpgrp(3)`: ENOTTY if it isn't the caller's terminal.
pub fn foreground(task: &Task, terminal: &Terminal) -> Result<i32> {
    session_of(task, terminal).map(|session| session.foreground()).ok_or(Errno::NOTTY)
}

/// `tcsetpgrp(3)`: ENOTTY, EINVAL, ESRCH, EPERM for a group of another session.
pub fn set_foreground(task: &Task, terminal: &Terminal, group: i32) -> Result<()> {
    may_change(task, terminal).map_err(|error| if error == Errno::IO { Errno::NOTTY } else { error })?;
    let session = session_of(task, terminal).ok_or(Errno::NOTTY)?;
    if group < 0 {
        return Err(Errno::INVAL);
    }
    let of_group = task.process.container.pids.session_of_group(group).ok_or(Errno::SRCH)?;
    if of_group != session.id {
        return Err(Errno::PERM);
    }
    session.set_foreground(group);
    Ok(())
}
