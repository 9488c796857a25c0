//! A terminal: the line discipline, who is connected to it, and whose session it controls.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};

use rustix::fs::makedev;

use super::discipline::{Discipline, Effects, Input};
use super::termios::Termios;
use crate::signal::Origin;
use crate::task::lock;
use crate::task::namespace::PidNamespace;
use crate::task::session::{ControllingTerminal, Session};
use crate::time::clock::{SleepClock, now};
use crate::time::timers::{Alarm, arm};
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// Bytes that the keyboard's side can send ahead of the line discipline.
const ARRIVALS_MAX: usize = 64 << 10;
/// The major device number of `/dev/pts/*`.
const MAJOR: u32 = 136;

/// Control bytes that the other side reads in packet mode (`man 2 ioctl_tty`, TIOCPKT).
#[allow(missing_docs)]
pub mod packet {
    pub const FLUSH_READ: u8 = 1;
    pub const FLUSH_WRITE: u8 = 2;
    pub const STOP: u8 = 4;
    pub const START: u8 = 8;
    pub const NO_STOP: u8 = 16;
    pub const DO_STOP: u8 = 32;
}

/// Rows, columns, and their size in dots, as `struct winsize`.
pub type WindowSize = [u16; 4];

/// A terminal.
pub struct Terminal {
    /// `/dev/pts/N`.
    pub number: u32,
    state: Mutex<State>,
    /// Who waits to read from it or write to it as a program does.
    pub(super) programs: WaitQueue,
    /// Who waits at the other side: the keyboard and screen.
    pub(super) screen: WaitQueue,
    /// The host's terminal behind it, asked for its size.
    pub(super) host: OnceLock<Arc<std::os::fd::OwnedFd>>,
    me: Weak<Terminal>,
}

/// Under the terminal's lock.
pub(super) struct State {
    pub discipline: Discipline,
    /// Typed, and not yet taken by the discipline.
    arrivals: VecDeque<u8>,
    pub size: WindowSize,
    /// TIOCSPTLCK: can't be opened.
    pub locked: bool,
    /// TIOCEXCL: can't be opened again.
    pub exclusive: bool,
    /// TIOCPKT, and the control bits that the next read of the other side tells.
    pub packet: Option<u8>,
    /// How many programs' files there are.
    pub opens: usize,
    /// Whether there ever was one: before that the other side waits.
    pub ever_opened: bool,
    /// The other side is gone: reads are the end of the file, writes fail.
    pub hung_up: bool,
    pub control: Option<Control>,
    /// When something was typed last, for VTIME.
    last_typed: Instant,
}

/// The session that a terminal controls.
#[derive(Clone)]
pub(super) struct Control {
    pub session: Weak<Session>,
    pub pids: Arc<PidNamespace>,
}

const IN: Events = Events::IN.union(Events::RDNORM);
const OUT: Events = Events::OUT.union(Events::WRNORM);

impl Terminal {
    /// A new one, set as a pseudo-terminal is, locked until TIOCSPTLCK.
    pub fn new(number: u32, locked: bool) -> Arc<Terminal> {
        let state = State {
            discipline: Discipline::default(),
            arrivals: VecDeque::new(),
            size: [0; 4],
            locked,
            exclusive: false,
            packet: None,
            opens: 0,
            ever_opened: false,
            hung_up: false,
            control: None,
            last_typed: Instant::now(),
        };
        Arc::new_cyclic(|me| Terminal {
            number,
            state: Mutex::new(state),
            programs: WaitQueue::default(),
            screen: WaitQueue::default(),
            host: OnceLock::new(),
            me: me.clone(),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Bytes from the keyboard: how many of them; EAGAIN if none.
    pub fn type_in(&self, bytes: &[u8]) -> Result<usize> {
        let mut state = self.state();
        let room = ARRIVALS_MAX.saturating_sub(state.arrivals.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        state.arrivals.extend(taken);
        state.last_typed = Instant::now();
        self.digest(state);
        if taken.is_empty() && !bytes.is_empty() { Err(Errno::AGAIN) } else { Ok(taken.len()) }
    }

    /// Lets the discipline take what has arrived, and does what it says.
    fn digest(&self, mut state: MutexGuard<'_, State>) {
        let mut signals = Vec::new();
        loop {
            let effects = state.take_arrivals();
            let Some(effects) = effects else {
                break;
            };
            state.note(effects);
            signals.extend(effects.signal);
        }
        drop(state);
        for signal in signals {
            self.signal_foreground(signal);
        }
        self.programs.notify(IN | OUT);
        self.screen.notify(IN | OUT);
    }

    /// Sends a signal to the process group in the foreground.
    pub fn signal_foreground(&self, signal: i32) {
        let Some(control) = self.state().control.clone() else {
            return;
        };
        let group = control.session.upgrade().map_or(0, |session| session.foreground());
        if group > 0 {
            for process in control.pids.group(group) {
                crate::signal::send_to_process(&process, signal, Origin::Kernel);
            }
        }
    }

    /// What programs wrote, for the screen: the status byte of packet mode first. EIO when all programs have closed it, EAGAIN.
    pub fn show(&self, to: &mut [u8]) -> Result<usize> {
        let mut state = self.state();
        let mut at = 0;
        if let (Some(status), Some(first)) = (state.packet, to.first_mut()) {
            *first = status;
            at = 1;
            if status != 0 {
                state.packet = Some(0);
                return Ok(1);
            }
        }
        let output = &mut state.discipline.output.bytes;
        if output.is_empty() {
            let over = state.hung_up || state.ever_opened && state.opens == 0;
            return Err(if over { Errno::IO } else { Errno::AGAIN });
        }
        let room = to.get_mut(at..).unwrap_or_default();
        let count = room.len().min(output.len());
        for (place, byte) in room.iter_mut().zip(output.drain(..count)) {
            *place = byte;
        }
        let state = &mut *state;
        state.discipline.output.carry_out(&state.discipline.termios);
        self.programs.notify(OUT);
        Ok(at + count)
    }

    /// What the screen's side is ready for.
    pub fn screen_ready(&self) -> Events {
        let state = self.state();
        let mut ready = Events::empty();
        ready.set(IN, !state.discipline.output.bytes.is_empty() || state.packet.is_some_and(|status| status != 0));
        ready.set(Events::PRI, state.packet.is_some_and(|status| status != 0));
        ready.set(OUT, state.arrivals.len() < ARRIVALS_MAX);
        ready.set(Events::HUP, state.ever_opened && state.opens == 0);
        ready
    }

    /// What programs are ready for.
    pub fn program_ready(&self) -> Events {
        let state = self.state();
        if state.hung_up {
            return IN | OUT | Events::ERR | Events::HUP;
        }
        let termios = &state.discipline.termios;
        let wanted = if termios.has_local(libc::ICANON) || termios.character(libc::VTIME) > 0 { 1 } else { termios.character(libc::VMIN) };
        let mut ready = Events::empty();
        ready.set(IN, state.discipline.available() >= usize::from(wanted.max(1)));
        ready.set(OUT, state.discipline.output.has_room());
        ready
    }

    /// Reads as a program does; `waits`: not with O_NONBLOCK. EAGAIN while there is too little.
    pub fn read(&self, to: &mut [u8], waits: bool) -> Result<usize> {
        let mut state = self.state();
        if state.hung_up || to.is_empty() {
            return Ok(0);
        }
        match state.judge(to.len(), waits) {
            Verdict::Read => {}
            Verdict::Empty => return Ok(0),
            Verdict::Wait => return Err(Errno::AGAIN),
            Verdict::WaitUntil(left) => {
                let me: Weak<dyn Alarm> = self.me.clone();
                arm(SleepClock::Monotonic, now(SleepClock::Monotonic) + left, me)?;
                return Err(Errno::AGAIN);
            }
        }
        let input = state.discipline.read(to);
        if !state.arrivals.is_empty() {
            self.digest(state);
        }
        match input {
            Input::Read(count) => Ok(count),
            Input::Nothing => Err(Errno::AGAIN),
        }
    }

    /// How long a read waits for the first byte: VTIME where VMIN is 0.
    pub fn patience(&self) -> Option<Duration> {
        let state = self.state();
        let termios = &state.discipline.termios;
        let timed = !termios.has_local(libc::ICANON) && termios.character(libc::VMIN) == 0;
        (timed && termios.character(libc::VTIME) > 0).then(|| tenths(termios))
    }

    /// Writes as a program does: EIO after a hang-up, EAGAIN without room.
    pub fn write(&self, from: &[u8]) -> Result<usize> {
        let mut state = self.state();
        if state.hung_up {
            return Err(Errno::IO);
        }
        let state = &mut *state;
        let written = state.discipline.output.write(&state.discipline.termios, from);
        if written == 0 && !from.is_empty() {
            return Err(Errno::AGAIN);
        }
        self.screen.notify(IN);
        Ok(written)
    }

    /// TCSETS and its kin. `flush`: what was typed and not read is forgotten.
    pub fn set_termios(&self, termios: Termios, flush: bool) {
        let mut state = self.state();
        if flush {
            state.flush(true, false);
        }
        let before = state.discipline.termios.has_input(libc::IXON);
        state.discipline.set(termios);
        let after = termios.has_input(libc::IXON);
        if before != after {
            state.tell(if after { packet::DO_STOP } else { packet::NO_STOP });
        }
        self.digest(state);
    }

    /// TIOCSWINSZ: SIGWINCH for the foreground if it is another size.
    pub fn set_size(&self, size: WindowSize) {
        let before = std::mem::replace(&mut self.state().size, size);
        if before != size {
            self.signal_foreground(libc::SIGWINCH);
        }
    }

    /// TCFLSH.
    pub fn flush(&self, input: bool, output: bool) {
        let mut state = self.state();
        state.flush(input, output);
        self.digest(state);
    }

    /// `tcflow(3)`: TCOOFF and TCOON.
    pub fn stop(&self, stop: bool) {
        let mut state = self.state();
        let termios = state.discipline.termios;
        state.discipline.output.stop(&termios, stop);
        state.tell(if stop { packet::STOP } else { packet::START });
        self.digest(state);
    }

    /// A reference that keeps it.
    pub fn itself(&self) -> Option<Arc<Terminal>> {
        self.me.upgrade()
    }

    /// The session that it controls.
    pub fn controlled_session(&self) -> Option<Arc<Session>> {
        self.state().control.as_ref()?.session.upgrade()
    }

    /// The process group in the foreground; 0 is none.
    pub fn foreground_group(&self) -> i32 {
        self.controlled_session().map_or(0, |session| session.foreground())
    }

    /// The other side is gone: the session loses its terminal, its leader gets SIGHUP and SIGCONT.
    pub fn hang_up(&self) {
        let mut state = self.state();
        if std::mem::replace(&mut state.hung_up, true) {
            return;
        }
        state.flush(true, true);
        let control = state.control.take();
        drop(state);
        if let Some((session, pids)) = control.and_then(|control| Some((control.session.upgrade()?, control.pids))) {
            session.drop_terminal();
            if let Ok(leader) = pids.process(session.id) {
                crate::signal::send_to_process(&leader, libc::SIGHUP, Origin::Kernel);
                crate::signal::send_to_process(&leader, libc::SIGCONT, Origin::Kernel);
            }
        }
        let all = IN | OUT | Events::HUP | Events::ERR;
        self.programs.notify(all);
        self.screen.notify(all);
    }

    /// `st_rdev`.
    pub fn device_number(&self) -> u64 {
        makedev(MAJOR, self.number)
    }
}

impl Alarm for Terminal {
    /// VTIME after the last byte.
    fn expired(&self) {
        self.programs.notify(IN);
    }
}

impl ControllingTerminal for Terminal {
    fn device(&self) -> u64 {
        self.device_number()
    }

    fn released(&self) {
        self.state().control = None;
        self.screen.notify(Events::HUP);
    }

    fn resized(&self) {
        let size = self.host.get().and_then(|host| rustix::termios::tcgetwinsize(host).ok());
        if let Some(size) = size {
            self.set_size([size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel]);
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What a read does now.
enum Verdict {
    Read,
    Empty,
    Wait,
    /// So long at most.
    WaitUntil(Duration),
}

impl State {
    /// Lets the discipline take arrivals once; none if it takes no more.
    fn take_arrivals(&mut self) -> Option<Effects> {
        let (first, _) = self.arrivals.as_slices();
        let (count, effects) = self.discipline.receive(first);
        self.arrivals.drain(..count);
        (count > 0).then_some(effects)
    }

    fn note(&mut self, effects: Effects) {
        if effects.flushed {
            self.tell(packet::FLUSH_READ | packet::FLUSH_WRITE);
        }
        match effects.stopped {
            Some(true) => self.tell(packet::STOP),
            Some(false) => self.tell(packet::START),
            None => {}
        }
    }

    /// Puts bits into packet mode's status.
    pub fn tell(&mut self, bits: u8) {
        let opposite = match bits {
            packet::STOP => packet::START,
            packet::START => packet::STOP,
            packet::DO_STOP => packet::NO_STOP,
            packet::NO_STOP => packet::DO_STOP,
            _ => 0,
        };
        self.packet = self.packet.map(|status| status & !opposite | bits);
    }

    fn flush(&mut self, input: bool, output: bool) {
        if input {
            self.discipline.flush_input();
            self.arrivals.clear();
            self.tell(packet::FLUSH_READ);
        }
        if output {
            self.discipline.output.flush();
            self.tell(packet::FLUSH_WRITE);
        }
    }

    /// VMIN and VTIME (`man 3 termios`).
    fn judge(&self, room: usize, waits: bool) -> Verdict {
        let (termios, available) = (&self.discipline.termios, self.discipline.available());
        if termios.has_local(libc::ICANON) {
            return if available > 0 { Verdict::Read } else { Verdict::Wait };
        }
        let (least, timed) = (usize::from(termios.character(libc::VMIN)), termios.character(libc::VTIME) > 0);
        if available == 0 {
            return if least == 0 && !timed { Verdict::Empty } else { Verdict::Wait };
        }
        if !waits || available >= least.min(room) {
            return Verdict::Read;
        }
        if !timed {
            return Verdict::Wait;
        }
        let left = tenths(termios).saturating_sub(self.last_typed.elapsed());
        if left.is_zero() { Verdict::Read } else { Verdict::WaitUntil(left) }
    }
}

fn tenths(termios: &Termios) -> Duration {
    Duration::from_millis(100 * u64::from(termios.character(libc::VTIME)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(terminal: &Terminal, change: impl FnOnce(&mut Termios)) {
        let mut termios = terminal.state().discipline.termios;
        change(&mut termios);
        terminal.set_termios(termios, false);
    }

    fn show(terminal: &Terminal) -> Vec<u8> {
        let mut to = [0; 100];
        let count = terminal.show(&mut to).unwrap();
        to[..count].to_vec()
    }

    #[test]
    fn what_is_typed_is_echoed_and_read() {
        let terminal = Terminal::new(0, false);
        assert_eq!(terminal.show(&mut [0; 9]), Err(Errno::AGAIN));
        assert_eq!(terminal.type_in(b"ls\r"), Ok(3));
        assert_eq!(show(&terminal), b"ls\r\n");
        assert_eq!(terminal.program_ready(), IN | OUT);
        let mut to = [0; 9];
        assert_eq!(terminal.read(&mut to, true), Ok(3));
        assert_eq!(terminal.read(&mut to, true), Err(Errno::AGAIN));
        assert_eq!(terminal.write(b"a\n"), Ok(2));
        assert_eq!(terminal.screen_ready(), IN | OUT);
        assert_eq!(show(&terminal), b"a\r\n");
    }

    #[test]
    fn raw_reads_wait_for_as_much_or_as_long_as_asked() {
        let terminal = Terminal::new(0, false);
        let mut to = [0; 9];
        let mode = |least: u8, tenths: u8| {
            set(&terminal, |termios| {
                termios.local &= !libc::ICANON;
                termios.characters[libc::VMIN] = least;
                termios.characters[libc::VTIME] = tenths;
            });
        };
        mode(3, 0);
        terminal.type_in(b"ab").unwrap();
        assert_eq!(terminal.program_ready(), OUT);
        assert_eq!(terminal.read(&mut to, true), Err(Errno::AGAIN));
        assert_eq!(terminal.read(&mut to[..2], true), Ok(2));
        terminal.type_in(b"c").unwrap();
        assert_eq!(terminal.read(&mut to, false), Ok(1));
        mode(0, 0);
        assert_eq!(terminal.read(&mut to, true), Ok(0));
        mode(0, 5);
        assert_eq!(terminal.read(&mut to, true), Err(Errno::AGAIN));
        assert_eq!(terminal.patience(), Some(Duration::from_millis(500)));
        mode(5, 1);
        terminal.type_in(b"x").unwrap();
        assert_eq!(terminal.read(&mut to, true), Err(Errno::AGAIN));
        std::thread::sleep(Duration::from_millis(110));
        assert_eq!(terminal.read(&mut to, true), Ok(1));
    }

    #[test]
    fn more_can_be_typed_than_a_line_holds_and_all_of_it_arrives() {
        let terminal = Terminal::new(0, false);
        set(&terminal, |termios| (termios.local, termios.input) = (0, 0));
        let data: Vec<u8> = (0..ARRIVALS_MAX).map(|n| n as u8).collect();
        let mut sent = 0;
        while let Ok(count) = terminal.type_in(&data[sent..]) {
            sent += count;
            if sent == data.len() {
                break;
            }
        }
        let mut got = Vec::new();
        let mut to = [0; 1000];
        while let Ok(count) = terminal.read(&mut to, true) {
            got.extend_from_slice(&to[..count]);
        }
        assert!(got == data[..sent], "{} of {sent} bytes", got.len());
    }

    #[test]
    fn packet_mode_tells_of_flushes_and_stops() {
        let terminal = Terminal::new(0, false);
        terminal.state().packet = Some(0);
        terminal.write(b"x").unwrap();
        assert_eq!(show(&terminal), b"\0x");
        terminal.type_in(b"\x13").unwrap();
        assert_eq!(terminal.screen_ready(), IN | OUT | Events::PRI);
        assert_eq!(show(&terminal), [packet::STOP]);
        terminal.type_in(b"\x11").unwrap();
        terminal.flush(true, true);
        assert_eq!(show(&terminal), [packet::START | packet::FLUSH_READ | packet::FLUSH_WRITE]);
        set(&terminal, |termios| termios.input &= !libc::IXON);
        assert_eq!(show(&terminal), [packet::NO_STOP]);
    }

    #[test]
    fn after_a_hang_up_nothing_is_read_and_writes_fail() {
        let terminal = Terminal::new(0, false);
        terminal.type_in(b"lost\n").unwrap();
        terminal.hang_up();
        assert_eq!(terminal.read(&mut [0; 9], true), Ok(0));
        assert_eq!(terminal.write(b"x"), Err(Errno::IO));
        assert!(terminal.program_ready().contains(Events::HUP));
    }
}
