//! `struct termios` (`man 3 termios`), in the kernel's layout.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How many control characters there are.
pub const CONTROLS: usize = 19;

/// `struct termios2`; its first 36 bytes are `struct termios`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Termios {
    pub input: u32,
    pub output: u32,
    pub control: u32,
    pub local: u32,
    pub line: u8,
    pub characters: [u8; CONTROLS],
    /// Bits per second.
    pub input_speed: u32,
    /// Bits per second.
    pub output_speed: u32,
}

/// Bytes of `struct termios`, which has no speeds.
pub const SHORT: usize = 36;

/// VINTR … VEOL2 as Linux sets them: ^C ^\ DEL ^U ^D, VTIME 0, VMIN 1, ^Q ^S ^Z ^R ^O ^W ^V.
const CHARACTERS: [u8; CONTROLS] = [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0];

impl Default for Termios {
    /// What a new pseudo-terminal has: `ICRNL IXON | OPOST ONLCR | B38400 CS8 CREAD | ISIG ICANON ECHO ECHOE ECHOK ECHOCTL ECHOKE IEXTEN`.
    fn default() -> Termios {
        Termios {
            input: libc::ICRNL | libc::IXON,
            output: libc::OPOST | libc::ONLCR,
            control: libc::B38400 | libc::CS8 | libc::CREAD,
            local: libc::ISIG | libc::ICANON | libc::ECHO | libc::ECHOE | libc::ECHOK | libc::ECHOCTL | libc::ECHOKE | libc::IEXTEN,
            line: 0,
            characters: CHARACTERS,
            input_speed: 38_400,
            output_speed: 38_400,
        }
    }
}

impl Termios {
    /// Whether all of `flags` are set in `c_iflag`.
    pub fn has_input(&self, flags: u32) -> bool {
        self.input & flags == flags
    }

    /// Whether all of `flags` are set in `c_oflag`.
    pub fn has_output(&self, flags: u32) -> bool {
        self.output & flags == flags
    }

    /// Whether all of `flags` are set in `c_lflag`.
    pub fn has_local(&self, flags: u32) -> bool {
        self.local & flags == flags
    }

    /// The control character `V*`.
    pub fn character(&self, index: usize) -> u8 {
        self.characters.get(index).copied().unwrap_or(0)
    }

    /// Whether `byte` is the control character `V*`; 0 is none.
    pub fn is(&self, byte: u8, index: usize) -> bool {
        byte != 0 && byte == self.character(index)
    }

    /// The speed that the bits of `c_cflag` name, or the one in the structure for BOTHER.
    pub fn settle_speeds(&mut self) {
        let code = self.control & libc::CBAUD;
        if code != libc::BOTHER {
            let speed = SPEEDS.iter().find(|(named, _)| *named == code).map_or(38_400, |(_, speed)| *speed);
            (self.input_speed, self.output_speed) = (speed, speed);
        }
    }
}

const SPEEDS: [(u32, u32); 19] = [
    (libc::B0, 0),
    (libc::B50, 50),
    (libc::B75, 75),
    (libc::B110, 110),
    (libc::B134, 134),
    (libc::B150, 150),
    (libc::B200, 200),
    (libc::B300, 300),
    (libc::B600, 600),
    (libc::B1200, 1200),
    (libc::B1800, 1800),
    (libc::B2400, 2400),
    (libc::B4800, 4800),
    (libc::B9600, 9600),
    (libc::B19200, 19_200),
    (libc::B38400, 38_400),
    (libc::B57600, 57_600),
    (libc::B115200, 115_200),
    (libc::B230400, 230_400),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_that_of_a_hosts_pseudo_terminal() {
        assert_eq!(size_of::<Termios>(), 44);
        let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
        let host = rustix::termios::tcgetattr(&master).unwrap();
        let ours = Termios::default();
        assert_eq!(ours.input, host.input_modes.bits());
        assert_eq!(ours.output, host.output_modes.bits());
        assert_eq!(ours.control & !libc::CIBAUD, host.control_modes.bits() & !libc::CIBAUD);
        assert_eq!(ours.local, host.local_modes.bits());
        assert_eq!((ours.input_speed, ours.output_speed), (host.input_speed(), host.output_speed()));
        let index = rustix::termios::SpecialCodeIndex::VINTR;
        assert_eq!(ours.character(libc::VINTR), host.special_codes[index]);
    }

    #[test]
    fn speeds_follow_their_names() {
        let mut termios = Termios { control: libc::B9600, ..Termios::default() };
        termios.settle_speeds();
        assert_eq!(termios.output_speed, 9600);
        termios.control = libc::BOTHER;
        termios.output_speed = 12_345;
        termios.settle_speeds();
        assert_eq!(termios.output_speed, 12_345);
    }
}
