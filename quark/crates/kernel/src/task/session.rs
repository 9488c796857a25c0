//! Sessions and their controlling terminal.

use std::any::Any;
use std::sync::{Arc, Mutex};

use super::lock;

/// What a session needs of its controlling terminal.
pub trait ControllingTerminal: Send + Sync + Any {
    /// Its device number, for `/proc/PID/stat`.
    fn device(&self) -> u64;

    /// The session's leader has ended or given it up. (SIGHUP and SIGCONT have been sent already.)
    fn released(&self);

    /// The host's terminal behind it has another size.
    fn resized(&self);

    /// For the terminal's owner, who knows the kind.
    fn as_any(&self) -> &dyn Any;
}

/// A session: groups of processes that share a controlling terminal.
pub struct Session {
    /// The process id of its leader.
    pub id: i32,
    control: Mutex<Control>,
}

#[derive(Default)]
struct Control {
    terminal: Option<Arc<dyn ControllingTerminal>>,
    foreground: i32,
}

impl Session {
    /// A new one without terminal.
    pub fn new(id: i32) -> Session {
        Session { id, control: Mutex::default() }
    }

    /// Its controlling terminal.
    pub fn terminal(&self) -> Option<Arc<dyn ControllingTerminal>> {
        lock(&self.control).terminal.clone()
    }

    /// Gives it a controlling terminal (TIOCSCTTY, or the first `open` of one by its leader); `group` is in the foreground. False if it has one.
    pub fn take_terminal(&self, terminal: Arc<dyn ControllingTerminal>, group: i32) -> bool {
        let mut control = lock(&self.control);
        if control.terminal.is_some() {
            return false;
        }
        *control = Control { terminal: Some(terminal), foreground: group };
        true
    }

    /// Takes its terminal away and returns it and the group that was in the foreground (TIOCNOTTY, hang-up, the leader's end).
    pub fn drop_terminal(&self) -> Option<(Arc<dyn ControllingTerminal>, i32)> {
        let control = std::mem::take(&mut *lock(&self.control));
        control.terminal.map(|terminal| (terminal, control.foreground))
    }

    /// The process group in the foreground; 0 if it has no terminal.
    pub fn foreground(&self) -> i32 {
        lock(&self.control).foreground
    }

    /// `tcsetpgrp(3)`: the caller has checked that the group is of this session.
    pub fn set_foreground(&self, group: i32) {
        let mut control = lock(&self.control);
        if control.terminal.is_some() {
            control.foreground = group;
        }
    }
}
