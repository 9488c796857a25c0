//! System V semaphores and messages, POSIX message queues.

use crate::support::{in_child, sleep_ms, spawn, took, wait_for, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(semaphores),
    case!(semaphore_waits),
    case!(semaphore_undo),
    case!(semaphore_errors),
    case!(semaphores_removed),
    case!(semaphore_lists),
    case!(semaphore_threads),
    case!(messages),
    case!(message_kinds),
    case!(message_waits),
    case!(message_errors),
    case!(message_lists),
    case!(message_copies),
    case!(queues),
    case!(queue_priorities),
    case!(queue_waits),
    case!(queue_notifies),
    case!(queue_errors),
    case!(queue_files),
    case!(queue_owners),
    case!(queue_threads_told),
];

fn operate(id: i64, operations: &[sembuf]) -> i64 {
    sys!(SYS_semop, id, operations.as_ptr(), operations.len())
}

const fn op(number: u16, by: i16, flags: i32) -> sembuf {
    sembuf { sem_num: number, sem_op: by, sem_flg: flags as i16 }
}

fn semaphores(t: &Trace) {
    let id = sys!(SYS_semget, IPC_PRIVATE, 3, IPC_CREAT | 0o600);
    t.ok("semget", id);
    t.call("set", sys!(SYS_semctl, id, 1, SETVAL, 5));
    t.call("get", sys!(SYS_semctl, id, 1, GETVAL, 0));
    t.call("both", operate(id, &[op(0, 2, 0), op(1, -3, 0)]));
    let mut values = [9u16; 3];
    t.call("all", sys!(SYS_semctl, id, 0, GETALL, values.as_mut_ptr()));
    t.show("values", format!("{values:?}"));
    t.call("not all", operate(id, &[op(0, -1, IPC_NOWAIT), op(2, -1, IPC_NOWAIT)]));
    t.call("unchanged", sys!(SYS_semctl, id, 0, GETVAL, 0));
    t.call("zero", operate(id, &[op(2, 0, IPC_NOWAIT)]));
    t.call("not zero", operate(id, &[op(0, 0, IPC_NOWAIT)]));
    t.show("last was us", sys!(SYS_semctl, id, 0, GETPID, 0) == sys!(SYS_getpid));
    let mut state: semid_ds = zeroed();
    t.call("stat", sys!(SYS_semctl, id, 0, IPC_STAT, &raw mut state));
    t.show("state", format!("{} {:o}", state.sem_nsems, state.sem_perm.mode));
    t.call("set all", sys!(SYS_semctl, id, 0, SETALL, [7u16, 8, 9].as_ptr()));
    t.call("get", sys!(SYS_semctl, id, 2, GETVAL, 0));
    t.call("remove", sys!(SYS_semctl, id, 0, IPC_RMID, 0));
}

fn semaphore_waits(t: &Trace) {
    let id = sys!(SYS_semget, IPC_PRIVATE, 1, 0o600);
    let child = spawn(|| t.call("child", operate(id, &[op(0, -2, 0)])));
    sleep_ms(40);
    t.call("waiting", sys!(SYS_semctl, id, 0, GETNCNT, 0));
    operate(id, &[op(0, 1, 0)]);
    sleep_ms(20);
    t.call("still", sys!(SYS_semctl, id, 0, GETNCNT, 0));
    operate(id, &[op(0, 1, 0)]);
    t.show("ended", wait_for(child));
    operate(id, &[op(0, 1, 0)]);
    let child = spawn(|| t.call("child", operate(id, &[op(0, 0, 0)])));
    sleep_ms(40);
    t.call("for zero", sys!(SYS_semctl, id, 0, GETZCNT, 0));
    operate(id, &[op(0, -1, 0)]);
    t.show("ended", wait_for(child));
    let short = timespec { tv_sec: 0, tv_nsec: 40_000_000 };
    took(t, "time", 40, || t.call("timeout", sys!(SYS_semtimedop, id, &raw const *&op(0, -1, 0), 1, &raw const short)));
    sys!(SYS_semctl, id, 0, IPC_RMID, 0);
}

fn semaphore_undo(t: &Trace) {
    let id = sys!(SYS_semget, IPC_PRIVATE, 1, 0o600);
    sys!(SYS_semctl, id, 0, SETVAL, 5);
    t.show("child", in_child(|| t.call("take", operate(id, &[op(0, -3, SEM_UNDO)]))));
    t.call("given back", sys!(SYS_semctl, id, 0, GETVAL, 0));
    t.show("child", in_child(|| _ = operate(id, &[op(0, -3, 0)])));
    t.call("kept", sys!(SYS_semctl, id, 0, GETVAL, 0));
    sys!(SYS_semctl, id, 0, IPC_RMID, 0);
}

fn semaphore_errors(t: &Trace) {
    t.call("missing", sys!(SYS_semget, 4343, 1, 0));
    t.call("none", sys!(SYS_semget, IPC_PRIVATE, 0, 0o600));
    let id = sys!(SYS_semget, 4343, 2, IPC_CREAT | 0o600);
    t.call("exclusive", sys!(SYS_semget, 4343, 2, IPC_CREAT | IPC_EXCL));
    t.call("larger", sys!(SYS_semget, 4343, 3, 0));
    t.call("number", operate(id, &[op(9, 1, 0)]));
    t.call("no operations", operate(id, &[]));
    t.call("too many", sys!(SYS_semop, id, 8, 100_000));
    t.call("bad pointer", sys!(SYS_semop, id, 8, 1));
    t.call("range", sys!(SYS_semctl, id, 0, SETVAL, 40_000));
    t.call("over", operate(id, &[op(0, 32_767, 0), op(0, 1, 0)]));
    t.call("command", sys!(SYS_semctl, id, 0, 99, 0));
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("another", operate(id, &[op(0, 1, 0)]));
        t.call("another opens", sys!(SYS_semget, 4343, 2, 0o600));
        t.call("another removes", sys!(SYS_semctl, id, 0, IPC_RMID, 0));
    });
    t.show("child", end);
    sys!(SYS_semctl, id, 0, IPC_RMID, 0);
    t.call("gone", operate(id, &[op(0, 1, 0)]));
}

fn semaphores_removed(t: &Trace) {
    let id = sys!(SYS_semget, IPC_PRIVATE, 1, 0o600);
    let child = spawn(|| t.call("child", operate(id, &[op(0, -1, 0)])));
    sleep_ms(40);
    t.call("remove", sys!(SYS_semctl, id, 0, IPC_RMID, 0));
    t.show("ended", wait_for(child));
}

/// A line of a table of /proc, by its id, without what differs from run to run.
fn listed(t: &Trace, what: &str, file: &str, id: i64, fields: std::ops::Range<usize>) {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    t.show(what, text.lines().next().unwrap_or_default());
    let line = text.lines().find(|line| line.split_whitespace().nth(1) == Some(&id.to_string()));
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    t.show(what, format!("{:?}", words.get(fields)));
}

fn semaphore_lists(t: &Trace) {
    let id = sys!(SYS_semget, 4545, 2, IPC_CREAT | 0o640);
    listed(t, "listed", "/proc/sysvipc/sem", id, 2..8);
    let mut state: semid_ds = zeroed();
    let highest = sys!(SYS_semctl, 0, 0, IPC_INFO, [0i32; 10].as_mut_ptr());
    t.ok("highest", highest);
    t.show("by slot", sys!(SYS_semctl, highest, 0, 18, &raw mut state) == id);
    t.show("state", format!("{} {:o}", state.sem_nsems, state.sem_perm.mode));
    t.call("no slot", sys!(SYS_semctl, 99, 0, 18, &raw mut state));
    let mut info = [0i32; 10];
    t.ok("usage", sys!(SYS_semctl, 0, 0, 19, info.as_mut_ptr()));
    t.show("usage", format!("{} {}", info[7], info[9]));
    state.sem_perm.mode = 0o777;
    state.sem_perm.uid = 1000;
    t.call("change", sys!(SYS_semctl, id, 0, IPC_SET, &raw const state));
    t.call("stat", sys!(SYS_semctl, id, 0, IPC_STAT, &raw mut state));
    t.show("state", format!("{} {} {:o}", state.sem_perm.uid, state.sem_perm.cuid, state.sem_perm.mode));
    t.call("values", sys!(SYS_semctl, id, 0, SETALL, [40_000u16, 0].as_ptr()));
    t.call("remove", sys!(SYS_semctl, id, 0, IPC_RMID, 0));
    listed(t, "gone", "/proc/sysvipc/sem", id, 2..8);
}

/// Threads of a process share what is undone: the end of one undoes nothing.
fn semaphore_threads(t: &Trace) {
    let id = sys!(SYS_semget, IPC_PRIVATE, 1, 0o600);
    let end = in_child(|| {
        let thread = std::thread::spawn(move || operate(id, &[op(0, 3, SEM_UNDO)]));
        t.call("thread", thread.join().unwrap_or(-2));
        t.call("kept", sys!(SYS_semctl, id, 0, GETVAL, 0));
        let child = in_child(|| t.call("not its own", operate(id, &[op(0, 1, 0)])));
        t.show("child", child);
    });
    t.show("child", end);
    t.call("undone", sys!(SYS_semctl, id, 0, GETVAL, 0));
    let child = spawn(|| {
        operate(id, &[op(0, 1, SEM_UNDO)]);
        sys!(SYS_pause);
    });
    while sys!(SYS_semctl, id, 0, GETVAL, 0) < 2 {
        sleep_ms(1);
    }
    sys!(SYS_kill, child, SIGKILL);
    t.show("killed", wait_for(child));
    t.call("undone", sys!(SYS_semctl, id, 0, GETVAL, 0));
    sys!(SYS_semctl, id, 0, IPC_RMID, 0);
}

#[repr(C)]
struct Message {
    kind: i64,
    text: [u8; 16],
}

fn send(id: i64, kind: i64, text: &[u8], flags: i32) -> i64 {
    let mut message = Message { kind, text: [0; 16] };
    message.text[..text.len()].copy_from_slice(text);
    sys!(SYS_msgsnd, id, &raw const message, text.len(), flags)
}

fn receive(t: &Trace, what: &str, id: i64, kind: i64, size: usize, flags: i32) {
    let mut message = Message { kind: -1, text: [0; 16] };
    let got = sys!(SYS_msgrcv, id, &raw mut message, size, kind, flags);
    match usize::try_from(got) {
        Ok(length) => t.show(what, format!("{} \"{}\"", message.kind, message.text[..length].escape_ascii())),
        Err(_) => t.call(what, got),
    }
}

fn messages(t: &Trace) {
    let id = sys!(SYS_msgget, IPC_PRIVATE, IPC_CREAT | 0o600);
    t.ok("msgget", id);
    t.call("send", send(id, 3, b"three", 0));
    t.call("send", send(id, 1, b"one", 0));
    let mut state: msqid_ds = zeroed();
    t.call("stat", sys!(SYS_msgctl, id, IPC_STAT, &raw mut state));
    t.show("state", format!("{} {} {}", state.msg_qnum, state.__msg_cbytes, state.msg_qbytes));
    receive(t, "first", id, 0, 16, 0);
    receive(t, "second", id, 0, 16, 0);
    receive(t, "none", id, 0, 16, IPC_NOWAIT);
    t.call("remove", sys!(SYS_msgctl, id, IPC_RMID, 0));
}

fn message_kinds(t: &Trace) {
    let id = sys!(SYS_msgget, IPC_PRIVATE, 0o600);
    for (kind, text) in [(5, b"five"), (2, b"two."), (9, b"nine"), (2, b"too.")] {
        send(id, kind, text, 0);
    }
    receive(t, "of a kind", id, 2, 16, 0);
    receive(t, "lowest", id, -5, 16, 0);
    receive(t, "not of a kind", id, 5, 16, MSG_EXCEPT);
    receive(t, "too small", id, 0, 2, 0);
    receive(t, "cut", id, 0, 2, MSG_NOERROR);
    receive(t, "no such kind", id, 7, 16, IPC_NOWAIT);
    sys!(SYS_msgctl, id, IPC_RMID, 0);
}

fn message_waits(t: &Trace) {
    let id = sys!(SYS_msgget, IPC_PRIVATE, 0o600);
    let child = spawn(|| receive(t, "child", id, 4, 16, 0));
    sleep_ms(40);
    send(id, 3, b"other", 0);
    sleep_ms(20);
    send(id, 4, b"its own", 0);
    t.show("ended", wait_for(child));
    let child = spawn(|| receive(t, "child", id, 4, 16, 0));
    sleep_ms(40);
    sys!(SYS_msgctl, id, IPC_RMID, 0);
    t.show("ended", wait_for(child));
}

fn message_errors(t: &Trace) {
    t.call("missing", sys!(SYS_msgget, 4444, 0));
    let id = sys!(SYS_msgget, 4444, IPC_CREAT | 0o600);
    t.call("exclusive", sys!(SYS_msgget, 4444, IPC_CREAT | IPC_EXCL));
    t.call("kind", send(id, 0, b"x", 0));
    t.call("size", sys!(SYS_msgsnd, id, [1i64; 4].as_ptr(), 100_000, 0));
    t.call("negative", sys!(SYS_msgsnd, id, [1i64; 4].as_ptr(), -1, 0));
    t.call("bad pointer", sys!(SYS_msgsnd, id, 8, 1, 0));
    let mut last = 0;
    for _ in 0..2000 {
        last = send(id, 1, b"0123456789abcdef", IPC_NOWAIT);
        if last == -1 {
            break;
        }
    }
    t.call("full", last);
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("another", send(id, 1, b"x", 0));
    });
    t.show("child", end);
    sys!(SYS_msgctl, id, IPC_RMID, 0);
    t.call("gone", send(id, 1, b"x", 0));
    t.call("command", sys!(SYS_msgctl, id, 99, 0));
}

fn message_lists(t: &Trace) {
    let id = sys!(SYS_msgget, 4646, IPC_CREAT | 0o640);
    send(id, 1, b"hello", 0);
    listed(t, "listed", "/proc/sysvipc/msg", id, 2..5);
    listed(t, "owners", "/proc/sysvipc/msg", id, 7..11);
    let mut state: msqid_ds = zeroed();
    let highest = sys!(SYS_msgctl, 0, IPC_INFO, [0i32; 8].as_mut_ptr());
    t.ok("highest", highest);
    t.show("by slot", sys!(SYS_msgctl, highest, 11, &raw mut state) == id);
    t.show("sender", i64::from(state.msg_lspid) == sys!(SYS_getpid));
    let mut info = [0i32; 8];
    t.ok("usage", sys!(SYS_msgctl, 0, 12, info.as_mut_ptr()));
    t.show("usage", format!("{info:?}"));
    state.msg_qbytes = 7;
    state.msg_perm.mode = 0o600;
    t.call("change", sys!(SYS_msgctl, id, IPC_SET, &raw const state));
    t.call("full", send(id, 1, b"hello", IPC_NOWAIT));
    t.call("fits", send(id, 1, b"hi", IPC_NOWAIT));
    state.msg_qbytes = 100_000;
    t.call("more", sys!(SYS_msgctl, id, IPC_SET, &raw const state));
    let child = spawn(|| t.call("waits", send(id, 1, b"hello", 0)));
    sleep_ms(40);
    receive(t, "room", id, 0, 16, 0);
    t.show("child", wait_for(child));
    t.call("remove", sys!(SYS_msgctl, id, IPC_RMID, 0));
}

fn message_copies(t: &Trace) {
    let id = sys!(SYS_msgget, IPC_PRIVATE, 0o600);
    for text in [b"one", b"two"] {
        send(id, 1, text, 0);
    }
    receive(t, "copy", id, 1, 16, MSG_COPY | IPC_NOWAIT);
    receive(t, "again", id, 1, 16, MSG_COPY | IPC_NOWAIT);
    receive(t, "beyond", id, 2, 16, MSG_COPY | IPC_NOWAIT);
    receive(t, "waiting", id, 1, 16, MSG_COPY);
    receive(t, "except", id, 1, 16, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT);
    receive(t, "first", id, 0, 16, 0);
    sys!(SYS_msgctl, id, IPC_RMID, 0);
}

fn open(name: &std::ffi::CStr, flags: i32, most: i64, size: i64) -> i64 {
    let attributes = [0i64, most, size, 0, 0, 0, 0, 0];
    sys!(SYS_mq_open, name.as_ptr(), flags, 0o600, attributes.as_ptr())
}

fn queues(t: &Trace) {
    let fd = open(c"guests", O_CREAT | O_RDWR, 4, 16);
    t.call("open", fd);
    t.call("send", sys!(SYS_mq_timedsend, fd, b"hello".as_ptr(), 5, 0, 0));
    let mut attributes = [0i64; 8];
    t.call("attributes", sys!(SYS_mq_getsetattr, fd, 0, attributes.as_mut_ptr()));
    t.show("attributes", format!("{:?}", &attributes[..4]));
    let (mut buffer, mut priority) = ([0u8; 16], 9u32);
    t.call("receive", sys!(SYS_mq_timedreceive, fd, buffer.as_mut_ptr(), 16, &raw mut priority, 0));
    t.bytes("bytes", &buffer[..5]);
    let change = [i64::from(O_NONBLOCK), 0, 0, 0, 0, 0, 0, 0];
    t.call("not blocking", sys!(SYS_mq_getsetattr, fd, change.as_ptr(), 0));
    t.call("empty", sys!(SYS_mq_timedreceive, fd, buffer.as_mut_ptr(), 16, 0, 0));
    for _ in 0..5 {
        t.call("fill", sys!(SYS_mq_timedsend, fd, b"x".as_ptr(), 1, 0, 0));
    }
    let mut poll = pollfd { fd: fd as i32, events: POLLIN | POLLOUT, revents: 0 };
    sys!(SYS_poll, &raw mut poll, 1, 0);
    t.show("poll", poll.revents);
    t.call("unlink", sys!(SYS_mq_unlink, c"guests".as_ptr()));
    t.call("still there", sys!(SYS_mq_timedreceive, fd, buffer.as_mut_ptr(), 16, 0, 0));
    t.call("gone", open(c"guests", O_RDWR, 4, 16));
}

fn queue_priorities(t: &Trace) {
    let fd = open(c"guests", O_CREAT | O_RDWR, 8, 16);
    for (text, priority) in [(b"a", 1), (b"b", 5), (b"c", 3), (b"d", 5)] {
        sys!(SYS_mq_timedsend, fd, text.as_ptr(), 1, priority, 0);
    }
    for _ in 0..4 {
        let (mut buffer, mut priority) = ([0u8; 16], 0u32);
        sys!(SYS_mq_timedreceive, fd, buffer.as_mut_ptr(), 16, &raw mut priority, 0);
        t.show("next", format!("{} {priority}", buffer[0] as char));
    }
    sys!(SYS_mq_unlink, c"guests".as_ptr());
}

fn queue_waits(t: &Trace) {
    let fd = open(c"guests", O_CREAT | O_RDWR, 1, 16);
    let child = spawn(|| {
        let mut buffer = [0u8; 16];
        t.call("child", sys!(SYS_mq_timedreceive, fd, buffer.as_mut_ptr(), 16, 0, 0));
    });
    sleep_ms(40);
    sys!(SYS_mq_timedsend, fd, b"late".as_ptr(), 4, 0, 0);
    t.show("ended", wait_for(child));
    let past = timespec { tv_sec: 1, tv_nsec: 0 };
    t.call("past", sys!(SYS_mq_timedreceive, fd, [0u8; 16].as_mut_ptr(), 16, 0, &raw const past));
    let wrong = timespec { tv_sec: 0, tv_nsec: -1 };
    t.call("wrong", sys!(SYS_mq_timedreceive, fd, [0u8; 16].as_mut_ptr(), 16, 0, &raw const wrong));
    sys!(SYS_mq_unlink, c"guests".as_ptr());
}

fn queue_notifies(t: &Trace) {
    crate::support::block(&[SIGUSR1]);
    let fd = open(c"guests", O_CREAT | O_RDWR, 4, 16);
    let mut event: sigevent = zeroed();
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    t.call("ask", sys!(SYS_mq_notify, fd, &raw const event));
    t.call("twice", sys!(SYS_mq_notify, fd, &raw const event));
    sys!(SYS_mq_timedsend, fd, b"x".as_ptr(), 1, 0, 0);
    let set = crate::support::set_of(&[SIGUSR1]);
    let mut info: siginfo_t = zeroed();
    let zero = timespec { tv_sec: 1, tv_nsec: 0 };
    t.call("signal", sys!(SYS_rt_sigtimedwait, &raw const set, &raw mut info, &raw const zero, 8));
    t.show("code", info.si_code);
    t.call("once", sys!(SYS_mq_notify, fd, 0));
    sys!(SYS_mq_unlink, c"guests".as_ptr());
}

fn queue_errors(t: &Trace) {
    t.call("missing", open(c"nobody", O_RDWR, 1, 1));
    t.call("slash", open(c"a/b", O_CREAT | O_RDWR, 1, 1));
    t.call("attributes", open(c"guests", O_CREAT | O_RDWR, 0, 16));
    let fd = open(c"guests", O_CREAT | O_RDWR, 1, 16);
    t.call("exclusive", open(c"guests", O_CREAT | O_EXCL | O_RDWR, 1, 16));
    t.call("long", sys!(SYS_mq_timedsend, fd, [0u8; 32].as_ptr(), 17, 0, 0));
    t.call("small buffer", sys!(SYS_mq_timedreceive, fd, [0u8; 8].as_mut_ptr(), 8, 0, 0));
    t.call("priority", sys!(SYS_mq_timedsend, fd, b"x".as_ptr(), 1, 40_000, 0));
    t.call("another kind", sys!(SYS_mq_timedsend, 0, b"x".as_ptr(), 1, 0, 0));
    t.call("closed", sys!(SYS_mq_timedsend, 99, b"x".as_ptr(), 1, 0, 0));
    let reader = open(c"guests", O_RDONLY, 1, 16);
    t.call("read-only", sys!(SYS_mq_timedsend, reader, b"x".as_ptr(), 1, 0, 0));
    t.call("unlink", sys!(SYS_mq_unlink, c"guests".as_ptr()));
    t.call("unlink again", sys!(SYS_mq_unlink, c"guests".as_ptr()));
}

fn queue_files(t: &Trace) {
    let fd = open(c"guests", O_CREAT | O_RDWR, 4, 16);
    sys!(SYS_mq_timedsend, fd, b"hello".as_ptr(), 5, 0, 0);
    let names = std::fs::read_dir("/dev/mqueue").map(|all| all.flatten().map(|entry| entry.file_name()).collect::<Vec<_>>());
    t.show("names", format!("{names:?}"));
    t.show("text", std::fs::read_to_string("/dev/mqueue/guests").unwrap_or_default().escape_debug());
    let mut stat: stat = zeroed();
    t.call("stat", sys!(SYS_fstat, fd, &raw mut stat));
    t.show("stat", format!("{:o} {} {}", stat.st_mode, stat.st_size, stat.st_nlink));
    t.show("link", std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default().display());
    t.call("flags", sys!(SYS_fcntl, fd, F_GETFD, 0));
    t.call("access", sys!(SYS_fcntl, fd, F_GETFL, 0));
    let other = sys!(SYS_open, c"/dev/mqueue/guests".as_ptr(), O_RDWR, 0);
    let mut buffer = [0u8; 16];
    t.call("receive", sys!(SYS_mq_timedreceive, other, buffer.as_mut_ptr(), 16, 0, 0));
    t.call("write", sys!(SYS_write, fd, b"x".as_ptr(), 1));
    t.call("make", sys!(SYS_open, c"/dev/mqueue/new".as_ptr(), O_RDWR | O_CREAT, 0o640));
    t.call("folder", sys!(SYS_mkdir, c"/dev/mqueue/folder".as_ptr(), 0o755));
    let made = open(c"new", O_RDWR | O_NONBLOCK, 0, 0);
    let mut attributes = [0i64; 8];
    sys!(SYS_mq_getsetattr, made, 0, attributes.as_mut_ptr());
    t.show("attributes", format!("{:?}", &attributes[..4]));
    t.call("change", sys!(SYS_mq_getsetattr, made, [1i64, 0, 0, 0, 0, 0, 0, 0].as_ptr(), 0));
    t.call("unlink", sys!(SYS_unlink, c"/dev/mqueue/new".as_ptr()));
    t.call("unlink", sys!(SYS_mq_unlink, c"guests".as_ptr()));
    let mut state: statfs = zeroed();
    t.call("statfs", sys!(SYS_statfs, c"/dev/mqueue".as_ptr(), &raw mut state));
    t.show("type", format!("{:x}", state.f_type));
}

fn queue_owners(t: &Trace) {
    let limit = rlimit { rlim_cur: 20_000, rlim_max: 20_000 };
    open(c"guests", O_CREAT | O_RDWR, 4, 16);
    let end = in_child(|| {
        sys!(SYS_setrlimit, RLIMIT_MSGQUEUE, &raw const limit);
        sys!(SYS_setuid, 1000);
        t.call("another", open(c"guests", O_RDWR, 0, 0));
        t.call("another unlinks", sys!(SYS_mq_unlink, c"guests".as_ptr()));
        t.ok("own", open(c"own", O_CREAT | O_RDWR, 10, 1024));
        t.call("too much", open(c"more", O_CREAT | O_RDWR, 10, 1024));
        t.call("longer", open(c"more", O_CREAT | O_RDWR, 11, 1));
        t.call("larger", open(c"more", O_CREAT | O_RDWR, 1, 8193));
        t.call("own unlinked", sys!(SYS_mq_unlink, c"own".as_ptr()));
    });
    t.show("child", end);
    t.call("both", open(c"guests", 3, 0, 0));
    t.call("dots", open(c"..", O_RDWR, 0, 0));
    t.call("empty", open(c"", O_RDWR, 0, 0));
    t.call("bad name", sys!(SYS_mq_open, 8, O_RDWR, 0, 0));
    t.call("bad attributes", sys!(SYS_mq_open, c"new".as_ptr(), O_RDWR | O_CREAT, 0o600, 8));
    sys!(SYS_mq_unlink, c"guests".as_ptr());
}

/// What the C library does for SIGEV_THREAD: it waits for a cookie at a netlink socket.
fn queue_threads_told(t: &Trace) {
    let fd = open(c"guests", O_CREAT | O_RDWR, 4, 16);
    let socket = sys!(SYS_socket, AF_NETLINK, SOCK_RAW, 0);
    let cookie = *b"0123456789abcdef0123456789abcdef";
    let mut event: sigevent = zeroed();
    event.sigev_notify = SIGEV_THREAD;
    event.sigev_signo = socket as i32;
    event.sigev_value = sigval { sival_ptr: cookie.as_ptr().cast_mut().cast() };
    t.call("ask", sys!(SYS_mq_notify, fd, &raw const event));
    sys!(SYS_mq_timedsend, fd, b"x".as_ptr(), 1, 0, 0);
    let mut told = [0u8; 64];
    t.call("told", sys!(SYS_read, socket, told.as_mut_ptr(), 64));
    t.bytes("cookie", &told[..32]);
    t.call("again", sys!(SYS_mq_notify, fd, &raw const event));
    t.call("taken back", sys!(SYS_mq_notify, fd, 0));
    t.call("told", sys!(SYS_read, socket, told.as_mut_ptr(), 64));
    t.bytes("cookie", &told[..32]);
    event.sigev_signo = fd as i32;
    t.call("no socket", sys!(SYS_mq_notify, fd, &raw const event));
    event.sigev_notify = 99;
    t.call("no way", sys!(SYS_mq_notify, fd, &raw const event));
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = 99;
    t.call("no signal", sys!(SYS_mq_notify, fd, &raw const event));
    event.sigev_notify = SIGEV_NONE;
    let end = in_child(|| t.call("child", sys!(SYS_mq_notify, fd, &raw const event)));
    t.show("child", end);
    t.call("free again", sys!(SYS_mq_notify, fd, &raw const event));
    sys!(SYS_mq_unlink, c"guests".as_ptr());
}
