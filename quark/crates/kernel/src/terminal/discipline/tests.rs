use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{self as host_termios, ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex};
use rustix::time::Timespec;

use super::super::echo::OUTPUT_MAX;
use super::*;

/// Both sides of a pseudo-terminal of the host.
struct Host {
    master: OwnedFd,
    slave: OwnedFd,
}

impl Host {
    fn new(termios: &Termios) -> Host {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags | OpenptFlags::from_bits_retain(libc::O_NONBLOCK as u32)).unwrap();
        let host = Host { master, slave };
        host.set(termios);
        host
    }

    fn set(&self, termios: &Termios) {
        let mut host = host_termios::tcgetattr(&self.slave).unwrap();
        host.input_modes = InputModes::from_bits_retain(termios.input);
        host.output_modes = OutputModes::from_bits_retain(termios.output);
        host.control_modes = ControlModes::from_bits_retain(termios.control);
        host.local_modes = LocalModes::from_bits_retain(termios.local);
        let codes = [
            (SpecialCodeIndex::VEOL, libc::VEOL),
            (SpecialCodeIndex::VEOL2, libc::VEOL2),
            (SpecialCodeIndex::VMIN, libc::VMIN),
            (SpecialCodeIndex::VERASE, libc::VERASE),
        ];
        for (code, index) in codes {
            host.special_codes[code] = termios.character(index);
        }
        host_termios::tcsetattr(&self.slave, OptionalActions::Now, &host).unwrap();
    }

    /// Has the host deal with what was typed: its work runs behind. A look at a terminal that has nothing to read does it at once; what is behind
    /// a line that nobody has read yet needs time.
    fn settle(&self) {
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut asked = [rustix::event::PollFd::new(&self.slave, rustix::event::PollFlags::IN)];
        let ready = rustix::event::poll(&mut asked, Some(&now)).unwrap();
        std::thread::sleep(Duration::from_millis(if ready > 0 { 20 } else { 2 }));
    }

    /// Waits for `ready`, but not for ever.
    fn wait_for(&self, ready: impl Fn() -> bool) {
        let patience = Instant::now() + Duration::from_secs(2);
        while !ready() && Instant::now() < patience {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// What is on the screen, when as much is there as is expected, and what may come behind it.
    fn screen(&self, expected: usize) -> Vec<u8> {
        let mut all = Vec::new();
        let waiting = || rustix::io::ioctl_fionread(&self.master).unwrap_or(0);
        while all.len() < expected {
            self.wait_for(|| waiting() > 0);
            if waiting() == 0 {
                return all;
            }
            all.extend(self.master_bytes());
        }
        self.settle();
        if waiting() > 0 {
            all.extend(self.master_bytes());
        }
        all
    }

    fn master_bytes(&self) -> Vec<u8> {
        let mut bytes = [0; 4096];
        let count = rustix::io::read(&self.master, &mut bytes[..]).unwrap();
        bytes[..count].to_vec()
    }

    fn read(&self, count: usize, expected: bool) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        if expected {
            self.wait_for(|| {
                let mut polled = [PollFd::new(&self.slave, PollFlags::IN)];
                rustix::event::poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(1)
            });
        }
        let count = rustix::io::read(&self.slave, &mut bytes[..]).ok()?;
        bytes.truncate(count);
        Some(bytes)
    }
}

fn our_screen(ours: &mut Discipline) -> Vec<u8> {
    let bytes = ours.output.bytes.drain(..).collect();
    ours.output.carry_out(&ours.termios);
    bytes
}

fn our_read(ours: &mut Discipline, count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count];
    match ours.read(&mut bytes) {
        Input::Read(count) => {
            bytes.truncate(count);
            Some(bytes)
        }
        Input::Nothing => None,
    }
}

/// What a test does.
#[derive(Clone, Debug)]
enum Step {
    Type(Vec<u8>),
    Print(Vec<u8>),
    Read(usize),
    Set(Termios),
}

fn typed(text: &[u8]) -> Step {
    Step::Type(text.to_vec())
}

fn receive_all(ours: &mut Discipline, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let (count, _) = ours.receive(bytes);
        bytes = bytes.get(count..).unwrap_or_default();
        if count == 0 {
            return;
        }
    }
}

/// Does the same to ours and to the host's, and compares what is on the screen and what is read.
fn same_as_host(termios: Termios, steps: &[Step]) {
    let host = Host::new(&termios);
    let mut ours = Discipline::default();
    ours.set(termios);
    for (index, step) in steps.iter().enumerate() {
        let at = format!("step {index} of {steps:?}, {termios:x?}");
        match step {
            Step::Type(bytes) => {
                rustix::io::write(&host.master, bytes).unwrap();
                receive_all(&mut ours, bytes);
                host.settle();
            }
            Step::Print(bytes) => {
                let theirs = rustix::io::write(&host.slave, bytes).unwrap_or(0);
                assert_eq!(ours.output.write(&ours.termios.clone(), bytes), theirs, "{at}");
            }
            Step::Read(count) => {
                let read = our_read(&mut ours, *count);
                assert_eq!(read.clone().map(text), host.read(*count, read.is_some()).map(text), "read at {at}");
            }
            Step::Set(termios) => {
                host.settle();
                host.set(termios);
                ours.set(*termios);
            }
        }
        let screen = our_screen(&mut ours);
        assert_eq!(text(screen.clone()), text(host.screen(screen.len())), "screen after {at}");
    }
}

fn text(bytes: Vec<u8>) -> String {
    bytes.escape_ascii().to_string()
}

fn with(change: impl FnOnce(&mut Termios)) -> Termios {
    let mut termios = Termios::default();
    change(&mut termios);
    termios
}

#[test]
fn lines_are_edited_as_on_the_host() {
    use Step::Read;
    let tables: &[&[Step]] = &[
        &[typed(b"hello\r"), Read(100), Read(100)],
        &[typed(b"hellp\x7fo\x7f\x7f\x7f\x7f\x7f\x7f\x7fx\n"), Read(2), Read(100)],
        &[typed(b"one two  three"), typed(b"\x17"), typed(b"\x17\x17"), typed(b"four\x15five\n"), Read(100)],
        &[typed(b"a\tb\x01c"), typed(b"\x7f\x7f\x7f\x7f\x7f"), typed(b"\t\x7f\n"), Read(9)],
        &[typed(b"\x04"), Read(10), Read(10), typed(b"abc\x04"), Read(3), Read(3), typed(b"abc\x04de\n"), Read(2), Read(2), Read(9)],
        &[typed(b"x\x16\x03\x16\n\x16\x7fz"), typed(b"\x12"), typed(b"\x7f\x7f\x7f\x7f\n"), Read(10)],
        &[typed(b"a\x13b"), Step::Print(b"out".to_vec()), typed(b"c\x11"), Step::Print(b"out".to_vec()), typed(b"\n"), Read(9)],
        &[typed(b"lost\x03"), typed(b"kept\n"), Read(9), typed(b"x\x1a"), typed(b"y\x1c\n"), Read(9)],
        &[typed(b"two\nlines\n"), Read(1), Read(10), Read(10), Read(10)],
        &[typed(b"\xc3\xa9\x7f\x7f"), typed(b"\xff\x80\n"), Read(9)],
    ];
    for table in tables {
        same_as_host(Termios::default(), table);
        same_as_host(with(|termios| termios.input |= libc::IUTF8), table);
        for without in [libc::ECHO, libc::ECHOE, libc::ECHOK, libc::ECHOKE, libc::ECHOCTL, libc::IEXTEN, libc::ISIG] {
            same_as_host(with(|termios| termios.local &= !without), table);
        }
        for with_flag in [libc::ECHOPRT, libc::NOFLSH, libc::ECHONL] {
            same_as_host(with(|termios| termios.local |= with_flag), table);
        }
    }
}

#[test]
fn output_is_processed_as_on_the_host() {
    let steps =
        [Step::Print(b"a\nb\tc\r\rd\x08\x08\te\n\n\ttab\r\n".to_vec()), Step::Print(b"Upper lower \x01\x7f \xc3\xa9\t|\n".to_vec())];
    for flags in [
        0,
        libc::ONLCR,
        libc::OCRNL,
        libc::ONOCR,
        libc::ONLRET,
        libc::XTABS,
        libc::OLCUC,
        libc::ONLCR | libc::XTABS,
        libc::OCRNL | libc::ONLRET,
    ] {
        same_as_host(with(|termios| termios.output = libc::OPOST | flags), &steps);
    }
    same_as_host(with(|termios| termios.output = libc::ONLCR), &steps);
    same_as_host(
        with(|termios| {
            termios.output |= libc::XTABS;
            termios.input |= libc::IUTF8
        }),
        &steps,
    );
}

#[test]
fn modes_of_input_are_the_hosts() {
    let steps = [typed(b"A\rB\nC\xe9\xff"), Step::Read(3), typed(b"\r\n"), Step::Read(100), Step::Read(100)];
    let inputs =
        [0, libc::IGNCR, libc::INLCR, libc::ICRNL | libc::INLCR, libc::ISTRIP, libc::IUCLC, libc::PARMRK, libc::IXON | libc::IXANY];
    for input in inputs {
        same_as_host(with(|termios| termios.input = input), &steps);
        same_as_host(
            with(|termios| {
                termios.input = input;
                termios.local &= !(libc::ICANON | libc::ISIG)
            }),
            &steps,
        );
        same_as_host(
            with(|termios| {
                termios.input = input;
                termios.local = 0
            }),
            &steps,
        );
    }
    same_as_host(
        with(|termios| {
            termios.characters[libc::VEOL] = b';';
            termios.characters[libc::VEOL2] = b':'
        }),
        &[typed(b"a;b:c\n"), Step::Read(9), Step::Read(9), Step::Read(9)],
    );
}

#[test]
fn what_was_typed_survives_a_change_of_mode() {
    let raw = with(|termios| termios.local &= !libc::ICANON);
    let cooked = Termios::default();
    same_as_host(cooked, &[typed(b"half"), Step::Read(9), Step::Set(raw), Step::Read(9)]);
    same_as_host(raw, &[typed(b"raw"), Step::Set(cooked), typed(b"\x7fmore\n"), Step::Read(9), Step::Read(9)]);
    same_as_host(
        cooked,
        &[typed(b"line\nrest"), Step::Set(raw), typed(b"!"), Step::Set(cooked), Step::Read(2), Step::Set(raw), Step::Read(20)],
    );
}

#[test]
fn random_typing_is_the_hosts() {
    let mut seed = 99_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let keys: &[u8] = b"ab_ .\t\x7f\x7f\x7f\x15\x17\x17\x12\x16\x04\n\r\x01\x1b\xc3\xa9\xff\x0011";
    let flags = [libc::ECHO, libc::ECHOE, libc::ECHOK, libc::ECHOKE, libc::ECHOCTL, libc::IEXTEN, libc::ECHOPRT, libc::ICANON];
    for _ in 0..60 {
        let termios = with(|termios| {
            for flag in flags {
                if next(5) == 0 {
                    termios.local ^= flag;
                }
            }
            termios.input ^= [0, libc::IUTF8, libc::IUTF8, libc::ICRNL][next(4)];
        });
        let steps: Vec<Step> = (0..12)
            .map(|_| match next(4) {
                0 => Step::Read([1, 3, 50][next(3)]),
                1 => Step::Print((0..next(6)).map(|_| keys[next(keys.len())]).collect()),
                _ => Step::Type((0..1 + next(12)).map(|_| keys[next(keys.len())]).collect()),
            })
            .collect();
        same_as_host(termios, &steps);
    }
}

#[test]
fn signals_and_stops_are_told() {
    let mut terminal = Discipline::default();
    assert_eq!(terminal.receive(b"ab\x03cd"), (3, Effects { signal: Some(libc::SIGINT), flushed: true, stopped: None }));
    assert_eq!(terminal.receive(b"\x13"), (1, Effects { stopped: Some(true), ..Effects::default() }));
    assert_eq!(terminal.output.write(&terminal.termios.clone(), b"x"), 0);
    assert_eq!(terminal.receive(b"\x11"), (1, Effects { stopped: Some(false), ..Effects::default() }));
    terminal.receive(b"\x13");
    let effects = terminal.receive(b"\x1a").1;
    assert_eq!((effects.signal, effects.stopped), (Some(libc::SIGTSTP), Some(false)));
}

#[test]
fn nothing_grows_without_bounds() {
    let mut terminal = Discipline::default();
    assert_eq!(terminal.receive(&[b'x'; 3 * INPUT_MAX]).0, 3 * INPUT_MAX);
    assert_eq!(terminal.receive(b"\n").0, 1);
    assert_eq!(terminal.receive(b"more").0, 0);
    assert_eq!(our_read(&mut terminal, 2 * INPUT_MAX).unwrap().len(), INPUT_MAX + 1);
    assert!(terminal.output.bytes.len() <= OUTPUT_MAX + 1);
    assert_eq!(terminal.output.write(&Termios::default(), &[0; 10]), 0);
}
