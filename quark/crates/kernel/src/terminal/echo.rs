//! What goes out: the program's output as OPOST changes it, and the echo of what was typed. Pure.

use std::collections::VecDeque;

use super::termios::Termios;

/// Bytes on their way to the terminal beyond which a writer waits.
pub const OUTPUT_MAX: usize = 8192;
/// Echoes that wait while output is stopped; more are lost.
const ECHOES_MAX: usize = 4096;

/// Something to echo. It is carried out when output isn't stopped, by the column that is reached then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Echo {
    /// A byte as the program would write it.
    Byte(u8),
    /// A control character as `^X`.
    Caret(u8),
    /// The line that is being edited starts at this column.
    LineStartsHere,
    /// One column back without output.
    ColumnBack,
    /// Back over a tab: columns before it since the tab before, or since the line's start.
    Tab { columns: usize, after_tab: bool },
}

/// The output side of a terminal.
#[derive(Debug, Default)]
pub struct Output {
    /// For the other side to read.
    pub bytes: VecDeque<u8>,
    /// ^S came.
    pub stopped: bool,
    column: usize,
    /// Where the line that is being edited starts.
    line_column: usize,
    echoes: VecDeque<Echo>,
}

impl Output {
    /// Whether a write would find room.
    pub fn has_room(&self) -> bool {
        !self.stopped && self.bytes.len() < OUTPUT_MAX
    }

    /// Takes what a program writes; how much of it. 0: wait for room.
    pub fn write(&mut self, termios: &Termios, from: &[u8]) -> usize {
        self.carry_out(termios);
        let mut written = 0;
        for byte in from {
            if !self.has_room() {
                break;
            }
            self.put(termios, *byte);
            written += 1;
        }
        written
    }

    /// ^S and ^Q. Echoes that waited go out.
    pub fn stop(&mut self, termios: &Termios, stopped: bool) {
        self.stopped = stopped;
        self.carry_out(termios);
    }

    /// Forgets what nobody has read (TCOFLUSH, signals).
    pub fn flush(&mut self) {
        self.bytes.clear();
        self.echoes.clear();
    }

    /// One byte, processed if OPOST is on.
    fn put(&mut self, termios: &Termios, byte: u8) {
        if !termios.has_output(libc::OPOST) {
            self.bytes.push_back(byte);
            return;
        }
        match byte {
            b'\n' => self.new_line(termios),
            b'\r' => self.carriage_return(termios),
            b'\t' => self.tab(termios),
            8 => {
                self.column = self.column.saturating_sub(1);
                self.bytes.push_back(byte);
            }
            byte => self.plain(termios, byte),
        }
    }

    fn new_line(&mut self, termios: &Termios) {
        if termios.has_output(libc::ONLRET) {
            self.column = 0;
        }
        if termios.has_output(libc::ONLCR) {
            self.column = 0;
            self.bytes.push_back(b'\r');
        }
        self.line_column = self.column;
        self.bytes.push_back(b'\n');
    }

    fn carriage_return(&mut self, termios: &Termios) {
        if termios.has_output(libc::ONOCR) && self.column == 0 {
            return;
        }
        let as_new_line = termios.has_output(libc::OCRNL);
        if !as_new_line || termios.has_output(libc::ONLRET) {
            (self.column, self.line_column) = (0, 0);
        }
        self.bytes.push_back(if as_new_line { b'\n' } else { b'\r' });
    }

    fn tab(&mut self, termios: &Termios) {
        let spaces = 8 - self.column % 8;
        self.column += spaces;
        if termios.output & libc::TABDLY == libc::XTABS {
            self.bytes.extend(std::iter::repeat_n(b' ', spaces));
        } else {
            self.bytes.push_back(b'\t');
        }
    }

    fn plain(&mut self, termios: &Termios, mut byte: u8) {
        if !is_control(byte) {
            if termios.has_output(libc::OLCUC) {
                byte = byte.to_ascii_uppercase();
            }
            self.column += usize::from(!is_continuation(termios, byte));
        }
        self.bytes.push_back(byte);
    }

    /// Echoes a typed character: control characters as `^X` with ECHOCTL.
    pub fn echo(&mut self, termios: &Termios, byte: u8) {
        let caret = termios.has_local(libc::ECHOCTL) && is_control(byte) && byte != b'\t';
        self.add(if caret { Echo::Caret(byte) } else { Echo::Byte(byte) });
    }

    /// Echoes a byte as it is.
    pub fn echo_raw(&mut self, byte: u8) {
        self.add(Echo::Byte(byte));
    }

    /// Notes where the line that is being edited starts.
    pub fn line_starts(&mut self) {
        self.add(Echo::LineStartsHere);
    }

    /// Counts a byte of a longer character as none.
    pub fn column_back(&mut self) {
        self.add(Echo::ColumnBack);
    }

    /// Goes back over a tab that `columns` columns precede, since another tab or since the line's start.
    pub fn erase_tab(&mut self, columns: usize, after_tab: bool) {
        self.add(Echo::Tab { columns, after_tab });
    }

    /// Echoes go out when the bytes that came together have been dealt with, as on Linux.
    fn add(&mut self, echo: Echo) {
        if self.echoes.len() < ECHOES_MAX {
            self.echoes.push_back(echo);
        }
    }

    /// Brings out the echoes that wait, unless output is stopped.
    pub fn carry_out(&mut self, termios: &Termios) {
        while self.has_room() {
            let Some(echo) = self.echoes.pop_front() else {
                return;
            };
            match echo {
                Echo::Byte(byte) => self.put(termios, byte),
                Echo::Caret(byte) => {
                    self.bytes.extend([b'^', byte ^ 0o100]);
                    self.column += 2;
                }
                Echo::LineStartsHere => self.line_column = self.column,
                Echo::ColumnBack => self.column = self.column.saturating_sub(1),
                Echo::Tab { columns, after_tab } => {
                    let before = if after_tab { columns } else { columns + self.line_column };
                    for _ in 0..8 - before % 8 {
                        self.bytes.push_back(8);
                        self.column = self.column.saturating_sub(1);
                    }
                }
            }
        }
    }
}

/// Whether it's a control character (of ASCII).
pub fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// Whether it's a byte of a UTF-8 character other than its first (IUTF8).
pub fn is_continuation(termios: &Termios, byte: u8) -> bool {
    termios.has_input(libc::IUTF8) && byte & 0xc0 == 0x80
}
