//! Pseudo terminals, the line discipline and job control.

use crate::support::{close, handle, in_child, set_of, show_read, sleep_ms, spawn, until, wait_for, write, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(open_pair),
    case!(names),
    case!(line_mode),
    case!(editing),
    case!(raw_mode),
    case!(echo_forms),
    case!(output_processing),
    case!(signals_of_keys),
    case!(end_of_file),
    case!(window_size),
    case!(closed_master),
    case!(closed_slave),
    case!(controlling),
    case!(foreground_groups),
    case!(background_reads),
    case!(background_writes),
    case!(hang_up),
    case!(settings),
    case!(ioctl_errors),
    case!(packet_mode),
    case!(flush_and_queue),
    case!(not_blocking),
    case!(stopped_output),
    case!(minimum_and_time),
    case!(dev_tty),
];

/// A master and its slave, neither of them controlling.
fn pair() -> (i32, i32) {
    let master = sys!(SYS_open, c"/dev/ptmx".as_ptr(), O_RDWR | O_NOCTTY) as i32;
    let unlock = 0i32;
    sys!(SYS_ioctl, master, TIOCSPTLCK, &raw const unlock);
    let mut number = 0i32;
    sys!(SYS_ioctl, master, TIOCGPTN, &raw mut number);
    let name = std::ffi::CString::new(format!("/dev/pts/{number}")).unwrap_or_default();
    (master, sys!(SYS_open, name.as_ptr(), O_RDWR | O_NOCTTY) as i32)
}

fn get(fd: i32) -> termios {
    let mut settings: termios = zeroed();
    // SAFETY: the settings outlive the call.
    unsafe { tcgetattr(fd, &raw mut settings) };
    settings
}

fn set(fd: i32, change: impl FnOnce(&mut termios)) {
    let mut settings = get(fd);
    change(&mut settings);
    // SAFETY: the settings are complete.
    unsafe { tcsetattr(fd, TCSANOW, &raw const settings) };
}

fn raw(settings: &mut termios) {
    // SAFETY: changes the structure.
    unsafe { cfmakeraw(settings) };
}

/// What can be read now, without waiting.
fn now(t: &Trace, what: &str, fd: i32) {
    sleep_ms(5);
    let flags = sys!(SYS_fcntl, fd, F_GETFL);
    sys!(SYS_fcntl, fd, F_SETFL, flags | i64::from(O_NONBLOCK));
    show_read(t, what, fd);
    sys!(SYS_fcntl, fd, F_SETFL, flags);
}

fn open_pair(t: &Trace) {
    let master = sys!(SYS_open, c"/dev/ptmx".as_ptr(), O_RDWR | O_NOCTTY) as i32;
    t.call("master", master);
    let mut number = -1i32;
    t.call("number", sys!(SYS_ioctl, master, TIOCGPTN, &raw mut number));
    let name = std::ffi::CString::new(format!("/dev/pts/{number}")).unwrap_or_default();
    t.call("locked", sys!(SYS_open, name.as_ptr(), O_RDWR | O_NOCTTY));
    let mut locked = -1i32;
    sys!(SYS_ioctl, master, TIOCGPTLCK, &raw mut locked);
    t.show("lock", locked);
    locked = 0;
    t.call("unlock", sys!(SYS_ioctl, master, TIOCSPTLCK, &raw const locked));
    t.call("slave", sys!(SYS_open, name.as_ptr(), O_RDWR | O_NOCTTY));
    t.call("by ioctl", sys!(SYS_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
    t.show("is a terminal", unsafe { isatty(master) });
    let mut stat: stat = zeroed();
    sys!(SYS_stat, name.as_ptr(), &raw mut stat);
    t.show("slave", format!("{:o} {}", stat.st_mode, major(stat.st_rdev)));
    close(master);
    t.call("gone", sys!(SYS_open, name.as_ptr(), O_RDWR | O_NOCTTY));
}

fn names(t: &Trace) {
    let (_, slave) = pair();
    let path = std::fs::read_link(format!("/proc/self/fd/{slave}")).map(|path| path.display().to_string()).unwrap_or_default();
    t.show("slave", path.starts_with("/dev/pts/"));
    t.show("folder", std::fs::read_dir("/dev/pts").is_ok());
}

fn line_mode(t: &Trace) {
    let (master, slave) = pair();
    write(master, b"half");
    now(t, "no line yet", slave);
    write(master, b" done\nmore\n");
    show_read(t, "one line", slave);
    show_read(t, "second", slave);
    now(t, "echo", master);
    write(master, b"long line\n");
    let mut buffer = [0u8; 4];
    t.call("part", sys!(SYS_read, slave, buffer.as_mut_ptr(), 4));
    show_read(t, "rest", slave);
}

fn editing(t: &Trace) {
    let (master, slave) = pair();
    write(master, b"abx\x7fc\n");
    show_read(t, "erase", slave);
    now(t, "echo", master);
    write(master, b"one two\x17three\n");
    show_read(t, "word erase", slave);
    now(t, "echo", master);
    write(master, b"all gone\x15kept\n");
    show_read(t, "kill", slave);
    now(t, "echo", master);
    write(master, b"\x16\x03literal\n");
    show_read(t, "literal next", slave);
    now(t, "echo", master);
    write(master, b"\x7f\x7fx\n");
    show_read(t, "nothing to erase", slave);
    now(t, "echo", master);
}

fn raw_mode(t: &Trace) {
    let (master, slave) = pair();
    set(slave, raw);
    write(master, b"a\x03\r\x04");
    show_read(t, "as it came", slave);
    now(t, "no echo", master);
    write(slave, b"x\ny");
    now(t, "as it went", master);
}

fn echo_forms(t: &Trace) {
    let (master, slave) = pair();
    write(master, b"a\tb\x01\n");
    now(t, "control", master);
    set(slave, |settings| settings.c_lflag &= !ECHO);
    write(master, b"secret\n");
    now(t, "off", master);
    set(slave, |settings| settings.c_lflag |= ECHONL);
    write(master, b"secret\n");
    now(t, "new line only", master);
    set(slave, |settings| {
        settings.c_lflag |= ECHO;
        settings.c_iflag &= !ICRNL;
        settings.c_iflag |= INLCR;
    });
    write(master, b"x\r");
    now(t, "other returns", master);
    set(slave, |settings| settings.c_iflag = IGNCR | ISTRIP | IUCLC);
    set(slave, |settings| settings.c_lflag |= IEXTEN);
    write(master, b"A\rB\xe1\n");
    now(t, "strip and lower", master);
}

fn output_processing(t: &Trace) {
    let (master, slave) = pair();
    write(slave, b"a\nb\r\tc");
    now(t, "new lines", master);
    set(slave, |settings| settings.c_oflag |= TABDLY | OLCUC);
    write(slave, b"x\ty\n");
    now(t, "tabs and capitals", master);
    set(slave, |settings| settings.c_oflag = OPOST | OCRNL | ONOCR);
    write(slave, b"\ra\rb");
    now(t, "returns", master);
    set(slave, |settings| settings.c_oflag = 0);
    write(slave, b"a\n\tb");
    now(t, "nothing", master);
}

extern "C" fn report(signal: c_int, _: *mut siginfo_t, _: *mut c_void) {
    Trace.show("signal", crate::support::signal_name(signal));
}

/// A child whose controlling terminal the slave is.
fn session(slave: i32, action: impl FnOnce()) -> i32 {
    spawn(|| {
        sys!(SYS_setsid);
        sys!(SYS_ioctl, slave, TIOCSCTTY, 0);
        action();
    })
}

fn signals_of_keys(t: &Trace) {
    let (master, slave) = pair();
    let (reader, writer) = crate::support::pipe();
    let child = session(slave, || {
        for signal in [SIGINT, SIGQUIT, SIGTSTP] {
            handle(signal, SA_RESTART, report);
        }
        write(writer, b"x");
        show_read(t, "line", slave);
    });
    show_read(t, "ready", reader);
    for key in [b"lost\x03", b"lost\x1c", b"lost\x1a"] {
        write(master, key);
        sleep_ms(30);
    }
    write(master, b"kept\n");
    t.show("child", wait_for(child));
    now(t, "echo", master);
}

fn end_of_file(t: &Trace) {
    let (master, slave) = pair();
    write(master, b"\x04");
    show_read(t, "end", slave);
    write(master, b"abc\x04def\n");
    show_read(t, "pushed", slave);
    show_read(t, "rest", slave);
    set(slave, |settings| settings.c_cc[VEOL] = b';');
    write(master, b"one;two\n");
    show_read(t, "own end of line", slave);
    show_read(t, "rest", slave);
}

fn window_size(t: &Trace) {
    let (master, slave) = pair();
    let mut size: winsize = zeroed();
    t.call("get", sys!(SYS_ioctl, slave, TIOCGWINSZ, &raw mut size));
    t.show("size", format!("{} {}", size.ws_row, size.ws_col));
    let (reader, writer) = crate::support::pipe();
    let child = session(slave, || {
        handle(SIGWINCH, 0, report);
        crate::support::block(&[SIGWINCH]);
        write(writer, b"x");
        let none = set_of(&[]);
        t.call("suspend", sys!(SYS_rt_sigsuspend, &raw const none, 8));
    });
    show_read(t, "ready", reader);
    size = winsize { ws_row: 40, ws_col: 132, ws_xpixel: 1, ws_ypixel: 2 };
    t.call("set", sys!(SYS_ioctl, master, TIOCSWINSZ, &raw const size));
    t.show("child", wait_for(child));
    sys!(SYS_ioctl, slave, TIOCGWINSZ, &raw mut size);
    t.show("size", format!("{} {}", size.ws_row, size.ws_col));
}

fn closed_master(t: &Trace) {
    let (master, slave) = pair();
    close(master);
    show_read(t, "read", slave);
    t.call("write", write(slave, b"x"));
    let mut poll = pollfd { fd: slave, events: POLLIN | POLLOUT, revents: 0 };
    sys!(SYS_poll, &raw mut poll, 1, 0);
    t.show("poll", format!("{:#x}", poll.revents));
    t.call("ioctl", sys!(SYS_ioctl, slave, TIOCGWINSZ, [0u16; 4].as_mut_ptr()));
}

fn closed_slave(t: &Trace) {
    let (master, slave) = pair();
    write(slave, b"last words");
    close(slave);
    show_read(t, "rest", master);
    show_read(t, "then", master);
    let mut poll = pollfd { fd: master, events: POLLIN | POLLOUT, revents: 0 };
    sys!(SYS_poll, &raw mut poll, 1, 0);
    t.show("poll", format!("{:#x}", poll.revents));
}

fn controlling(t: &Trace) {
    let (_master, slave) = pair();
    let child = spawn(|| {
        t.call("not a leader", sys!(SYS_ioctl, slave, TIOCSCTTY, 0));
        sys!(SYS_setsid);
        t.call("no terminal", sys!(SYS_open, c"/dev/tty".as_ptr(), O_RDWR));
        t.call("take", sys!(SYS_ioctl, slave, TIOCSCTTY, 0));
        t.call("/dev/tty", sys!(SYS_open, c"/dev/tty".as_ptr(), O_RDWR));
        let mut id = 0i32;
        t.call("session", sys!(SYS_ioctl, slave, TIOCGSID, &raw mut id));
        t.show("own", i64::from(id) == sys!(SYS_getpid));
        t.call("give up", sys!(SYS_ioctl, slave, TIOCNOTTY, 0));
        t.call("again", sys!(SYS_ioctl, slave, TIOCNOTTY, 0));
    });
    t.show("child", wait_for(child));
    let holder = session(slave, || sleep_ms(200));
    sleep_ms(30);
    let child = spawn(|| {
        sys!(SYS_setsid);
        t.call("another's", sys!(SYS_ioctl, slave, TIOCSCTTY, 0));
    });
    t.show("child", wait_for(child));
    t.show("holder", wait_for(holder));
}

fn foreground_groups(t: &Trace) {
    let (_master, slave) = pair();
    let child = session(slave, || {
        let own = sys!(SYS_getpid);
        let mut group = 0i32;
        t.call("get", sys!(SYS_ioctl, slave, TIOCGPGRP, &raw mut group));
        t.show("own", i64::from(group) == own);
        let other = spawn(|| _ = sys!(SYS_pause));
        sys!(SYS_setpgid, other, other);
        t.call("set", sys!(SYS_ioctl, slave, TIOCSPGRP, &raw const other));
        sys!(SYS_ioctl, slave, TIOCGPGRP, &raw mut group);
        t.show("other's", group == other);
        t.call("no group", sys!(SYS_ioctl, slave, TIOCSPGRP, &raw const *&30_000i32));
        t.call("negative", sys!(SYS_ioctl, slave, TIOCSPGRP, &raw const *&-1i32));
        sys!(SYS_kill, other, SIGKILL);
        t.show("ended", wait_for(other));
    });
    t.show("child", wait_for(child));
}

fn background_reads(t: &Trace) {
    let (master, slave) = pair();
    let child = session(slave, || {
        let other = spawn(|| {
            sys!(SYS_setpgid, 0, 0);
            show_read(t, "read at last", slave);
        });
        sys!(SYS_setpgid, other, other);
        let mut status = 0;
        sys!(SYS_wait4, other, &raw mut status, WUNTRACED, 0);
        t.show("stopped", crate::support::ending(status));
        sys!(SYS_ioctl, slave, TIOCSPGRP, &raw const other);
        sys!(SYS_kill, other, SIGCONT);
        write(master, b"line\n");
        t.show("ended", wait_for(other));
        // SAFETY: ignores a signal.
        unsafe { libc::signal(SIGTTIN, SIG_IGN) };
        show_read(t, "ignored", slave);
    });
    t.show("child", wait_for(child));
}

fn background_writes(t: &Trace) {
    let (master, slave) = pair();
    let child = session(slave, || {
        let run = |ignored: bool| {
            let other = spawn(|| {
                sys!(SYS_setpgid, 0, 0);
                if ignored {
                    // SAFETY: ignores a signal.
                    unsafe { libc::signal(SIGTTOU, SIG_IGN) };
                }
                t.call("write", write(slave, b"x"));
            });
            sys!(SYS_setpgid, other, other);
            let mut status = 0;
            sys!(SYS_wait4, other, &raw mut status, WUNTRACED, 0);
            t.show("child", crate::support::ending(status));
            sys!(SYS_kill, other, SIGKILL);
        };
        run(false);
        set(slave, |settings| settings.c_lflag |= TOSTOP);
        run(false);
        run(true);
    });
    t.show("child", wait_for(child));
    now(t, "written", master);
}

fn hang_up(t: &Trace) {
    let (master, slave) = pair();
    let (reader, writer) = crate::support::pipe();
    let child = session(slave, || {
        handle(SIGHUP, 0, report);
        crate::support::block(&[SIGHUP]);
        close(master);
        write(writer, b"x");
        let none = set_of(&[]);
        t.call("suspend", sys!(SYS_rt_sigsuspend, &raw const none, 8));
        show_read(t, "read", slave);
    });
    show_read(t, "ready", reader);
    close(master);
    t.show("child", wait_for(child));
    // The leader's end hangs up for the rest of its foreground group.
    let (_master, slave) = pair();
    let child = session(slave, || {
        spawn(|| {
            handle(SIGHUP, 0, report);
            crate::support::block(&[SIGHUP]);
            let none = set_of(&[]);
            sys!(SYS_rt_sigsuspend, &raw const none, 8);
            write(writer, b"done");
        });
        sleep_ms(50);
    });
    t.show("leader", wait_for(child));
    show_read(t, "member", reader);
}

fn settings(t: &Trace) {
    let (master, slave) = pair();
    let settings = get(slave);
    t.show("input", format!("{:#o}", settings.c_iflag));
    t.show("output", format!("{:#o}", settings.c_oflag));
    t.show("control", format!("{:#o}", settings.c_cflag));
    t.show("local", format!("{:#o}", settings.c_lflag));
    t.show("keys", format!("{:?}", &settings.c_cc[..17]));
    t.show("one for both", get(master).c_lflag == settings.c_lflag);
    set(master, raw);
    t.show("changed", get(slave).c_lflag & ICANON);
    for (name, action) in [("drain", TCSADRAIN), ("flush", TCSAFLUSH)] {
        // SAFETY: the settings are complete.
        t.call(name, unsafe { tcsetattr(slave, action, &raw const settings) });
    }
}

fn ioctl_errors(t: &Trace) {
    let (master, slave) = pair();
    t.call("unknown", sys!(SYS_ioctl, slave, 0x54ff, 0));
    t.call("bad pointer", sys!(SYS_ioctl, slave, TCGETS, 8));
    t.call("bad set", sys!(SYS_ioctl, slave, TCSETS, 8));
    t.call("number of a slave", sys!(SYS_ioctl, slave, TIOCGPTN, [0i32; 1].as_mut_ptr()));
    t.call("group without session", sys!(SYS_ioctl, slave, TIOCGPGRP, [0i32; 1].as_mut_ptr()));
    t.call("session of the master", sys!(SYS_ioctl, master, TIOCGSID, [0i32; 1].as_mut_ptr()));
    t.call("seek", sys!(SYS_lseek, slave, 0, SEEK_SET));
    t.call("pread", sys!(SYS_pread64, slave, [0u8; 4].as_mut_ptr(), 4, 0));
    t.call("of a pipe", sys!(SYS_ioctl, crate::support::pipe().0, TIOCGWINSZ, 0));
}

fn packet_mode(t: &Trace) {
    let (master, slave) = pair();
    let on = 1i32;
    t.call("on", sys!(SYS_ioctl, master, TIOCPKT, &raw const on));
    write(slave, b"abc");
    now(t, "data", master);
    // SAFETY: a terminal of our own.
    unsafe { tcflush(slave, TCIFLUSH) };
    now(t, "flushed", master);
}

fn flush_and_queue(t: &Trace) {
    let (master, slave) = pair();
    write(master, b"abc\ndef\n");
    sleep_ms(5);
    let mut left = 0i32;
    t.call("FIONREAD", sys!(SYS_ioctl, slave, FIONREAD, &raw mut left));
    t.show("left", left);
    t.call("flush", sys!(SYS_ioctl, slave, TCFLSH, TCIFLUSH));
    now(t, "nothing", slave);
    t.call("wrong", sys!(SYS_ioctl, slave, TCFLSH, 9));
    t.call("drain", sys!(SYS_ioctl, slave, TCSBRK, 1));
    t.call("waiting", sys!(SYS_ioctl, slave, TIOCOUTQ, &raw mut left));
    t.call("typed", sys!(SYS_ioctl, slave, TIOCSTI, c"x".as_ptr()));
}

fn not_blocking(t: &Trace) {
    let (master, slave) = pair();
    sys!(SYS_fcntl, slave, F_SETFL, O_NONBLOCK);
    sys!(SYS_fcntl, master, F_SETFL, O_NONBLOCK);
    show_read(t, "slave", slave);
    show_read(t, "master", master);
    let mut poll = pollfd { fd: slave, events: POLLIN | POLLOUT, revents: 0 };
    t.call("poll", sys!(SYS_poll, &raw mut poll, 1, 0));
    t.show("events", format!("{:#x}", poll.revents));
    write(master, b"half");
    sleep_ms(5);
    sys!(SYS_poll, &raw mut poll, 1, 0);
    t.show("half a line", format!("{:#x}", poll.revents));
    write(master, b"\n");
    sleep_ms(5);
    sys!(SYS_poll, &raw mut poll, 1, 0);
    t.show("a line", format!("{:#x}", poll.revents));
}

fn takes_output(fd: i32) -> bool {
    let mut poll = pollfd { fd, events: POLLOUT, revents: 0 };
    sys!(SYS_poll, &raw mut poll, 1, 0) == 1
}

fn stopped_output(t: &Trace) {
    let (master, slave) = pair();
    sys!(SYS_fcntl, slave, F_SETFL, O_NONBLOCK);
    // Keys take effect when the host's worker has seen them.
    write(master, b"\x13");
    until(|| !takes_output(slave));
    t.call("stopped", write(slave, b"abc"));
    write(master, b"\x11");
    until(|| takes_output(slave));
    t.call("started", write(slave, b"abc"));
    now(t, "output", master);
    t.call("TCXONC", sys!(SYS_ioctl, slave, TCXONC, TCOOFF));
    t.call("stopped", write(slave, b"abc"));
    sys!(SYS_ioctl, slave, TCXONC, TCOON);
    t.call("started", write(slave, b"abc"));
}

fn minimum_and_time(t: &Trace) {
    let (master, slave) = pair();
    set(slave, |settings| {
        raw(settings);
        settings.c_cc[VMIN] = 3;
        settings.c_cc[VTIME] = 0;
    });
    let child = spawn(|| {
        write(master, b"ab");
        sleep_ms(40);
        write(master, b"c");
    });
    show_read(t, "three", slave);
    t.show("child", wait_for(child));
    set(slave, |settings| {
        settings.c_cc[VMIN] = 0;
        settings.c_cc[VTIME] = 1;
    });
    crate::support::took(t, "a tenth", 90, || show_read(t, "nothing", slave));
    set(slave, |settings| settings.c_cc[VTIME] = 0);
    show_read(t, "at once", slave);
}

fn dev_tty(t: &Trace) {
    let (master, slave) = pair();
    let child = session(slave, || {
        let tty = sys!(SYS_open, c"/dev/tty".as_ptr(), O_RDWR) as i32;
        t.call("write", write(tty, b"out\n"));
        write(master, b"in\n");
        show_read(t, "read", tty);
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let number = stat.rsplit(") ").next().unwrap_or("").split(' ').nth(4).unwrap_or("").to_string();
        t.show("has a terminal", number != "0");
        t.show("child's", in_child(|| t.ok("open", sys!(SYS_open, c"/dev/tty".as_ptr(), O_RDWR))));
    });
    t.show("child", wait_for(child));
    now(t, "output", master);
}
