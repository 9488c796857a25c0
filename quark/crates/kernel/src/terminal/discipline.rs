//! The line discipline of a terminal: what becomes of bytes that are typed, until a program reads them. Pure: no terminal, no process is
//! touched here.
//!
//! Behaves as N_TTY of Linux does (`drivers/tty/n_tty.c`); tests type the same into a pseudo-terminal of the host.

use std::collections::VecDeque;

use super::echo::{Output, is_continuation, is_control};
use super::termios::Termios;

/// Bytes that can be typed ahead of what programs read.
pub const INPUT_MAX: usize = 4096;

/// After so many bytes at the latest echoes go out.
const ECHO_BATCH: usize = 256;

/// A byte that was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Typed {
    byte: u8,
    /// What it ends, in canonical mode.
    ends: Ends,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Nothing,
    /// A line, which it belongs to.
    Line,
    /// A line, which it doesn't belong to: VEOF.
    File,
}

/// What typing did besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// SIGINT, SIGQUIT or SIGTSTP for the process group in the foreground.
    pub signal: Option<i32>,
    /// What was typed before was forgotten, and what was to go out.
    pub flushed: bool,
    /// ^S (true) or ^Q (false).
    pub stopped: Option<bool>,
}

/// How a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// So many bytes; 0 is the end of the file.
    Read(usize),
    /// There is nothing to read yet.
    Nothing,
}

/// A terminal between a keyboard and a screen on one side and programs on the other.
#[derive(Debug, Default)]
pub struct Discipline {
    /// How it is set.
    pub termios: Termios,
    /// To the screen.
    pub output: Output,
    typed: VecDeque<Typed>,
    /// How many of `typed` are in lines that have ended (canonical mode).
    finished: usize,
    /// The next byte is to be taken as it is (VLNEXT).
    literal: bool,
    /// Between the slashes of ECHOPRT.
    erasing: bool,
}

impl Discipline {
    /// Takes typed bytes up to the first that sends a signal or for which there is no room; how many, and what they did.
    pub fn receive(&mut self, bytes: &[u8]) -> (usize, Effects) {
        let mut effects = Effects::default();
        let mut received = 0;
        for byte in bytes {
            if effects.signal.is_some() || !self.make_room() {
                break;
            }
            self.receive_byte(*byte, &mut effects);
            received += 1;
            if received % ECHO_BATCH == 0 {
                self.output.carry_out(&self.termios);
            }
        }
        self.output.carry_out(&self.termios);
        (received, effects)
    }

    /// Whether another byte can be typed. A line that is too long can only be ended: its last byte gives way.
    fn make_room(&mut self) -> bool {
        let too_long_a_line = self.canonical() && self.finished == 0;
        if too_long_a_line {
            self.typed.truncate(INPUT_MAX);
        }
        too_long_a_line || self.typed.len() < INPUT_MAX
    }

    fn canonical(&self) -> bool {
        self.termios.has_local(libc::ICANON)
    }

    fn local(&self, flag: u32) -> bool {
        self.termios.has_local(flag)
    }

    fn echo(&mut self, byte: u8) {
        self.output.echo(&self.termios, byte);
    }

    fn echo_raw(&mut self, byte: u8) {
        self.output.echo_raw(byte);
    }

    fn receive_byte(&mut self, mut byte: u8, effects: &mut Effects) {
        if self.termios.has_input(libc::ISTRIP) {
            byte &= 0x7f;
        }
        if self.termios.has_input(libc::IUCLC) && self.local(libc::IEXTEN) {
            byte = byte.to_ascii_lowercase();
        }
        if std::mem::take(&mut self.literal) {
            return self.ordinary(byte, false, effects);
        }
        if self.flow_control(byte, effects) || self.signal(byte, effects) {
            return;
        }
        let Some(translated) = self.translate(byte) else {
            return;
        };
        if !(self.canonical() && self.edit(translated)) {
            self.ordinary(translated, translated != byte, effects);
        }
    }

    /// IXON: VSTART and VSTOP are no input.
    fn flow_control(&mut self, byte: u8, effects: &mut Effects) -> bool {
        let on = self.termios.has_input(libc::IXON);
        let stop = if on && self.termios.is(byte, libc::VSTART) {
            false
        } else if on && self.termios.is(byte, libc::VSTOP) {
            true
        } else {
            return false;
        };
        self.set_stopped(stop, effects);
        true
    }

    fn set_stopped(&mut self, stop: bool, effects: &mut Effects) {
        if self.output.stopped != stop {
            effects.stopped = Some(stop);
        }
        self.output.stop(&self.termios, stop);
    }

    /// ISIG: VINTR, VQUIT and VSUSP are no input.
    fn signal(&mut self, byte: u8, effects: &mut Effects) -> bool {
        if !self.local(libc::ISIG) {
            return false;
        }
        let signals = [(libc::VINTR, libc::SIGINT), (libc::VQUIT, libc::SIGQUIT), (libc::VSUSP, libc::SIGTSTP)];
        let Some((_, signal)) = signals.into_iter().find(|(index, _)| self.termios.is(byte, *index)) else {
            return false;
        };
        effects.signal = Some(signal);
        if !self.local(libc::NOFLSH) {
            self.flush_input();
            self.output.flush();
            effects.flushed = true;
        }
        if self.termios.has_input(libc::IXON) {
            self.set_stopped(false, effects);
        }
        if self.local(libc::ECHO) {
            self.echo(byte);
        }
        true
    }

    /// IGNCR, ICRNL and INLCR.
    fn translate(&self, byte: u8) -> Option<u8> {
        match byte {
            b'\r' if self.termios.has_input(libc::IGNCR) => None,
            b'\r' if self.termios.has_input(libc::ICRNL) => Some(b'\n'),
            b'\n' if self.termios.has_input(libc::INLCR) => Some(b'\r'),
            byte => Some(byte),
        }
    }

    /// A byte that is input and nothing else. A line end that was `translated` into one is echoed as one, others as control characters.
    fn ordinary(&mut self, byte: u8, translated: bool, effects: &mut Effects) {
        if self.output.stopped && self.termios.has_input(libc::IXON | libc::IXANY) {
            self.set_stopped(false, effects);
        }
        if self.local(libc::ECHO) {
            self.finish_erasing();
            if byte == b'\n' && translated {
                self.echo_raw(byte);
            } else {
                self.begin_line();
                self.echo(byte);
            }
        }
        self.keep(byte);
    }

    fn begin_line(&mut self) {
        if self.typed.len() == self.finished {
            self.output.line_starts();
        }
    }

    fn keep(&mut self, byte: u8) {
        if byte == 0xff && self.termios.has_input(libc::PARMRK) {
            self.typed.push_back(Typed { byte, ends: Ends::Nothing });
        }
        self.typed.push_back(Typed { byte, ends: Ends::Nothing });
    }

    /// Canonical mode: bytes that edit or end the line. False for all others.
    fn edit(&mut self, byte: u8) -> bool {
        let extended = self.local(libc::IEXTEN);
        let is = |index: usize| self.termios.is(byte, index);
        if is(libc::VERASE) {
            self.erase(What::Character);
        } else if is(libc::VKILL) {
            self.kill();
        } else if extended && is(libc::VWERASE) {
            self.erase(What::Word);
        } else if extended && is(libc::VLNEXT) {
            self.take_literally();
        } else if extended && self.local(libc::ECHO) && is(libc::VREPRINT) {
            self.reprint(byte);
        } else if byte == b'\n' {
            if self.local(libc::ECHO) || self.local(libc::ECHONL) {
                self.echo_raw(byte);
            }
            self.end_line(byte, Ends::Line);
        } else if is(libc::VEOF) {
            self.end_line(0, Ends::File);
        } else if is(libc::VEOL) || extended && is(libc::VEOL2) {
            if self.local(libc::ECHO) {
                self.begin_line();
                self.echo(byte);
            }
            self.end_line(byte, Ends::Line);
        } else {
            return false;
        }
        true
    }

    fn end_line(&mut self, byte: u8, ends: Ends) {
        self.typed.push_back(Typed { byte, ends });
        self.finished = self.typed.len();
    }

    fn take_literally(&mut self) {
        self.literal = true;
        if self.local(libc::ECHO) {
            self.finish_erasing();
            if self.local(libc::ECHOCTL) {
                self.echo_raw(b'^');
                self.echo_raw(8);
            }
        }
    }

    fn reprint(&mut self, byte: u8) {
        self.finish_erasing();
        self.echo(byte);
        self.echo_raw(b'\n');
        for typed in self.typed.iter().skip(self.finished) {
            self.output.echo(&self.termios, typed.byte);
        }
    }

    fn finish_erasing(&mut self) {
        if std::mem::take(&mut self.erasing) {
            self.echo_raw(b'/');
        }
    }

    fn kill(&mut self) {
        if self.typed.len() == self.finished {
            return;
        }
        if !self.local(libc::ECHO) {
            self.typed.truncate(self.finished);
        } else if !self.local(libc::ECHOK | libc::ECHOKE | libc::ECHOE) {
            self.typed.truncate(self.finished);
            self.finish_erasing();
            self.echo(self.termios.character(libc::VKILL));
            if self.local(libc::ECHOK) {
                self.echo_raw(b'\n');
            }
        } else {
            self.erase(What::Line);
        }
    }

    fn erase(&mut self, what: What) {
        if self.typed.len() == self.finished {
            return;
        }
        let mut in_word = false;
        while self.typed.len() > self.finished {
            let Some((start, first)) = self.last_character() else {
                break;
            };
            if what == What::Word {
                if is_word(first) {
                    in_word = true;
                } else if in_word {
                    break;
                }
            }
            let erased: Vec<u8> = self.typed.drain(start..).map(|typed| typed.byte).collect();
            if self.local(libc::ECHO) {
                self.echo_erased(&erased, first, what);
            }
            if what == What::Character {
                break;
            }
        }
        if self.typed.len() == self.finished && self.local(libc::ECHO) {
            self.finish_erasing();
        }
    }

    /// Where the last character of the line begins, and its first byte; none if all that is left is a part of one.
    fn last_character(&self) -> Option<(usize, u8)> {
        let line = self.typed.iter().enumerate().skip(self.finished);
        let (start, typed) = line.rev().find(|(_, typed)| !is_continuation(&self.termios, typed.byte))?;
        Some((start, typed.byte))
    }

    fn echo_erased(&mut self, erased: &[u8], first: u8, what: What) {
        if self.local(libc::ECHOPRT) {
            self.echo_printing(erased, first);
        } else if what == What::Character && !self.local(libc::ECHOE) {
            self.echo(self.termios.character(libc::VERASE));
        } else if first == b'\t' {
            let (columns, after_tab) = self.columns_since_tab();
            self.output.erase_tab(columns, after_tab);
        } else {
            let carets = self.local(libc::ECHOCTL);
            let columns = match (is_control(first), carets) {
                (true, true) => 2,
                (true, false) => 0,
                (false, _) => 1,
            };
            for byte in [8, b' ', 8].repeat(columns) {
                self.echo_raw(byte);
            }
        }
    }

    fn echo_printing(&mut self, erased: &[u8], first: u8) {
        if !self.erasing {
            self.echo_raw(b'\\');
            self.erasing = true;
        }
        self.echo(first);
        for byte in erased.iter().skip(1) {
            self.echo_raw(*byte);
            self.output.column_back();
        }
    }

    /// Columns that the line has used since its last tab, or since its start.
    fn columns_since_tab(&self) -> (usize, bool) {
        let carets = self.local(libc::ECHOCTL);
        let mut columns = 0;
        for typed in self.typed.iter().skip(self.finished).rev() {
            match typed.byte {
                b'\t' => return (columns, true),
                byte if is_control(byte) => columns += if carets { 2 } else { 0 },
                byte => columns += usize::from(!is_continuation(&self.termios, byte)),
            }
        }
        (columns, false)
    }

    /// Bytes that a read would find: those of ended lines in canonical mode (VEOF counts), else all.
    pub fn available(&self) -> usize {
        if self.canonical() { self.finished } else { self.typed.len() }
    }

    /// Bytes that FIONREAD tells: without the marks of VEOF.
    pub fn readable_bytes(&self) -> usize {
        self.typed.iter().take(self.available()).filter(|typed| !(self.canonical() && typed.ends == Ends::File)).count()
    }

    /// Reads what there is: a line at most in canonical mode.
    pub fn read(&mut self, to: &mut [u8]) -> Input {
        if self.available() == 0 {
            return Input::Nothing;
        }
        if self.canonical() { self.read_line(to) } else { self.read_all(to) }
    }

    fn read_all(&mut self, to: &mut [u8]) -> Input {
        let count = to.len().min(self.typed.len());
        for (place, typed) in to.iter_mut().zip(self.typed.drain(..count)) {
            *place = typed.byte;
        }
        Input::Read(count)
    }

    fn read_line(&mut self, to: &mut [u8]) -> Input {
        let mut read = 0;
        while let Some(next) = self.typed.front().copied().filter(|_| self.finished > 0) {
            // A mark right behind the last byte that fits goes with it.
            if read == to.len() && next.ends != Ends::File {
                break;
            }
            self.typed.pop_front();
            self.finished -= 1;
            if next.ends == Ends::File {
                break;
            }
            if let Some(place) = to.get_mut(read) {
                *place = next.byte;
            }
            read += 1;
            if next.ends == Ends::Line {
                break;
            }
        }
        Input::Read(read)
    }

    /// Forgets what was typed (TCIFLUSH).
    pub fn flush_input(&mut self) {
        self.typed.clear();
        self.finished = 0;
    }

    /// Sets it anew. What was typed stays: with canonical mode it becomes a line, without it plain bytes.
    pub fn set(&mut self, termios: Termios) {
        let canonical = termios.has_local(libc::ICANON);
        if canonical != self.canonical() {
            self.typed.iter_mut().for_each(|typed| typed.ends = Ends::Nothing);
            self.finished = if canonical { self.typed.len() } else { 0 };
            if let Some(last) = self.typed.back_mut().filter(|_| canonical) {
                last.ends = Ends::Line;
            }
            self.erasing = false;
            self.literal = false;
        }
        self.termios = termios;
        if self.output.stopped && !termios.has_input(libc::IXON) {
            self.output.stop(&termios, false);
        }
    }
}

/// What is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Character,
    Word,
    Line,
}

/// Whether a byte is of a word for VWERASE: letters and digits as the kernel's Latin-1 table has them, and underscores.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || (byte >= 0xc0 && byte != 0xd7 && byte != 0xf7)
}

#[cfg(test)]
mod tests;
