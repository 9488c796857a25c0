//! Standard streams, terminals and descriptors that are passed on.

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::Stdio;

use common::{Bed, ended, read, wait_until};
use serde_json::json;

#[test]
fn input_is_read_to_its_end() {
    let bed = Bed::new("cat; echo error >&2");
    let mut command = bed.command(&["run", "--bundle", &bed.path("bundle"), "x"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run");
    let text = "line\n".repeat(50_000);
    let mut input = child.stdin.take().expect("input");
    let writer = std::thread::spawn({
        let text = text.clone();
        move || input.write_all(text.as_bytes()).expect("write")
    });
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().expect("out").read_to_string(&mut out).expect("read");
    child.stderr.take().expect("err").read_to_string(&mut err).expect("read");
    writer.join().expect("writer");
    assert_eq!((ended(&mut child), out == text, err.as_str()), (Some(0), true, "error\n"));
}

/// Takes the master that comes to a console socket.
fn master(listener: &UnixListener) -> File {
    let (connection, _) = listener.accept().expect("accept");
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 64];
    let mut buffers = [std::io::IoSliceMut::new(&mut name)];
    rustix::net::recvmsg(&connection, &mut buffers, &mut control, rustix::net::RecvFlags::CMSG_CLOEXEC).expect("receive");
    let files = control.drain().find_map(|message| match message {
        rustix::net::RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    File::from(files.expect("a descriptor"))
}

/// The host's side of a terminal.
struct Console {
    master: File,
    /// What has come and was not expected yet.
    seen: String,
}

impl Console {
    fn accept(listener: &UnixListener) -> Console {
        Console { master: master(listener), seen: String::new() }
    }

    fn write(&mut self, text: &[u8]) {
        self.master.write_all(text).expect("write");
    }

    /// Reads until the text has come; what is behind it is for the next.
    fn expect(&mut self, text: &str) {
        let mut buffer = [0; 1024];
        wait_until(text, || {
            let mut files = [rustix::event::PollFd::new(&self.master, rustix::event::PollFlags::IN)];
            let soon = rustix::event::Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
            if rustix::event::poll(&mut files, Some(&soon)).expect("poll") > 0 {
                let length = self.master.read(&mut buffer).unwrap_or(0);
                self.seen.push_str(&String::from_utf8_lossy(buffer.get(..length).expect("length")));
            }
            let Some((_, rest)) = self.seen.split_once(text) else { return false };
            self.seen = rest.to_owned();
            true
        });
    }
}

#[test]
fn a_terminal_goes_to_the_console_socket() {
    let bed = Bed::new("exec sh -i");
    bed.change(|config| {
        config["process"]["terminal"] = json!(true);
        config["process"]["consoleSize"] = json!({ "height": 33, "width": 77 });
        config["process"]["env"] = json!(["PATH=/bin", "PS1=> "]);
    });
    let listener = UnixListener::bind(bed.path("console")).expect("bind");
    bed.create("x", &["--console-socket", &bed.path("console")]).must();
    let mut console = Console::accept(&listener);
    bed.must(&["start", "x"]);
    console.expect("> ");
    console.write(b"stty size; tty=$(echo $((1+1)))done; echo $tty\r");
    console.expect("33 77");
    console.expect("2done");
    let size = rustix::termios::Winsize { ws_row: 50, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&console.master, size).expect("resize");
    std::thread::sleep(std::time::Duration::from_millis(50));
    console.write(b"stty size\r");
    console.expect("50 100");
    console.write(b"sleep 1000\r");
    std::thread::sleep(std::time::Duration::from_millis(200));
    console.write(b"\x03echo inter$((1+1))\r");
    console.expect("inter2");
    console.write(b"exit 5\r");
    bed.await_status("x", "stopped");
}

#[test]
fn a_terminal_is_the_console() {
    let bed = Bed::new("ls -l /dev/console; echo shown > /dev/console; read line < /dev/console; echo got $line");
    bed.change(|config| config["process"]["terminal"] = json!(true));
    let listener = UnixListener::bind(bed.path("console")).expect("bind");
    bed.create("x", &["--console-socket", &bed.path("console")]).must();
    let mut console = Console::accept(&listener);
    bed.must(&["start", "x"]);
    console.expect("crw--w----");
    console.expect("136,   0");
    console.expect("shown");
    console.write(b"typed\r");
    console.expect("got typed");
    bed.await_status("x", "stopped");
}

#[test]
fn streams_can_be_sockets() {
    let bed = Bed::new("ls -l /proc/self/fd/1; cat; echo end >&2");
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().expect("pair");
    let stream = || OwnedFd::from(theirs.try_clone().expect("clone"));
    let mut command = bed.command(&["run", "--bundle", &bed.path("bundle"), "x"]);
    command.stdin(stream()).stdout(stream()).stderr(stream());
    let mut child = command.spawn().expect("start");
    drop((command, theirs));
    ours.write_all(b"sent\n").expect("write");
    ours.shutdown(std::net::Shutdown::Write).expect("end");
    let mut said = String::new();
    ours.read_to_string(&mut said).expect("read");
    assert_eq!(ended(&mut child), Some(0));
    assert!(said.contains("/proc/self/fd/1 -> socket:[") && said.ends_with("sent\nend\n"), "{said}");
}

#[test]
fn an_exec_can_have_a_terminal() {
    let bed = Bed::new("exec sleep 1000");
    bed.create("x", &[]).must();
    bed.must(&["start", "x"]);
    let listener = UnixListener::bind(bed.path("console")).expect("bind");
    let arguments =
        ["exec", "-t", "-d", "--pid-file", &bed.path("pid"), "--console-socket", &bed.path("console"), "x", "/bin/sh", "-c", "tty; cat"];
    bed.must(&arguments);
    let mut console = Console::accept(&listener);
    console.expect("/dev/pts/0");
    console.write(b"echoed\r");
    console.expect("echoed\r\nechoed");
    console.write(b"\x04");
    let pid = read(bed.path("pid")).parse().expect("pid");
    wait_until("its end", || !common::lives(pid));
}

#[test]
fn descriptors_are_preserved() {
    let bed = Bed::new("cat <&3; echo end");
    let (reader, writer) = rustix::pipe::pipe().expect("pipe");
    rustix::io::write(&writer, b"passed on\n").expect("write");
    drop(writer);
    // Descriptor 3 of the command, whatever it is here: the shell that starts it renames it.
    let reader: OwnedFd = rustix::io::dup(reader.as_fd()).expect("dup");
    let mut command = std::process::Command::new("sh");
    let line = format!("exec 3<&{} && exec \"$@\" 3<&3", reader.as_raw_fd());
    let inner = bed.command(&["run", "--bundle", &bed.path("bundle"), "--preserve-fds", "1", "x"]);
    command.args(["-c", &line, "sh"]).arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
    let said = common::output(command);
    let out = String::from_utf8_lossy(&said.stdout);
    assert!(out == "passed on\nend\n", "{out} {}", String::from_utf8_lossy(&said.stderr));
    let said = bed.quark(&["run", "--bundle", &bed.path("bundle"), "--preserve-fds", "500", "y"]);
    assert!(said.err.contains("preserve descriptor"), "{}", said.err);
}
