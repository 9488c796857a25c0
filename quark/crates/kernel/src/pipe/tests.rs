use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicUsize;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::OFlags;
use rustix::pipe::PipeFlags;

use super::fifo::{Side, enter};
use super::*;
use crate::vfs::inode::Stat;
use crate::wait::Waiter;

const ALL: Events = Events::all();
/// A user of its own for each test that looks at shares.
const USER: u32 = 4711;

/// What a test does to a pipe; the same is done to one of the host, and the answers and poll masks of both ends compared.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write(usize),
    Read(usize),
    CloseReader,
    CloseWriter,
}

struct Host(Option<OwnedFd>, Option<OwnedFd>);

fn host_mask(fd: Option<&OwnedFd>) -> Option<u32> {
    let fd = fd?;
    let interest = PollFlags::IN | PollFlags::OUT | PollFlags::RDNORM | PollFlags::WRNORM | PollFlags::PRI;
    let mut polled = [PollFd::new(fd, interest)];
    rustix::event::poll(&mut polled, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
    Some(u32::from(polled[0].revents().bits()))
}

fn host_step(host: &mut Host, step: Step) -> Result<usize> {
    match step {
        Step::Write(count) => host.1.as_ref().map_or(Ok(0), |fd| rustix::io::write(fd, &vec![7; count])),
        Step::Read(count) => host.0.as_ref().map_or(Ok(0), |fd| rustix::io::read(fd, &mut vec![0; count][..])),
        Step::CloseReader => Ok(host.0.take().map_or(0, |_| 0)),
        Step::CloseWriter => Ok(host.1.take().map_or(0, |_| 0)),
    }
}

type Ours = (Option<Arc<PipeEnd>>, Option<Arc<PipeEnd>>);

fn our_step(ours: &mut Ours, step: Step) -> Result<usize> {
    match step {
        Step::Write(count) => ours.1.as_ref().map_or(Ok(0), |end| end.write(&vec![7; count], 0)),
        Step::Read(count) => ours.0.as_ref().map_or(Ok(0), |end| end.read(&mut vec![0; count], 0)),
        Step::CloseReader => Ok(ours.0.take().map_or(0, |_| 0)),
        Step::CloseWriter => Ok(ours.1.take().map_or(0, |_| 0)),
    }
}

/// Runs the steps on both and compares after each.
fn same_as_host(steps: &[Step], packets: bool) {
    let mut flags = PipeFlags::NONBLOCK;
    flags.set(PipeFlags::DIRECT, packets);
    let (reader, writer) = rustix::pipe::pipe_with(flags).unwrap();
    let mut host = Host(Some(reader), Some(writer));
    let (reader, writer) = pair(USER, packets);
    let mut ours = (Some(reader), Some(writer));
    for (index, step) in steps.iter().enumerate() {
        let at = format!("step {index} of {steps:?}");
        assert_eq!(our_step(&mut ours, *step), host_step(&mut host, *step), "{at}");
        let masks = |end: &Option<Arc<PipeEnd>>| end.as_ref().map(|end| end.poll(ALL).bits());
        assert_eq!(masks(&ours.0), host_mask(host.0.as_ref()), "read end after {at}");
        assert_eq!(masks(&ours.1), host_mask(host.1.as_ref()), "write end after {at}");
    }
}

#[test]
fn answers_and_poll_masks_are_the_hosts() {
    use Step::{CloseReader, CloseWriter, Read, Write};
    // A user with many pipes gets small ones from the host too: the sizes that a fresh user has are assumed.
    let tables: &[&[Step]] = &[
        &[Read(1), Write(0), Write(1), Read(0), Read(10), Read(1), CloseWriter, Read(1)],
        &[Write(65_536), Write(1), Read(1), Write(1), Read(4094), Write(1), Read(1), Write(1), Write(4096), Read(70_000)],
        &[Write(65_535), Write(1), Write(1), Read(4095), Read(1), Write(5000), Write(1)],
        &[Write(70_000), Read(10), Read(5000), Write(4097), Write(4095), Read(65_536), Read(65_536)],
        &[Write(100), Write(4000), Write(100), Write(8192), Write(3), Read(10_000), Read(10_000)],
        &[Write(5), CloseWriter, Read(3), Read(3), Read(3), CloseReader],
        &[Write(5), CloseReader, Write(1), Write(0)],
        &[Write(61_440), Write(4095), Write(2), Write(1), Read(61_440), Write(1), Write(4096)],
    ];
    for table in tables {
        same_as_host(table, false);
    }
    same_as_host(&[Write(3), Write(4), Read(100), Read(2), Read(100), Write(5000), Read(9000), Read(9000)], true);
}

#[test]
fn random_steps_are_the_hosts() {
    let mut seed = 0x9e37_79b9_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for _ in 0..60 {
        let steps: Vec<Step> = (0..40)
            .map(|_| {
                let size = [next(4), next(300), 4000 + next(200), next(30_000), next(70_000)][next(5)];
                if next(2) == 0 { Step::Write(size) } else { Step::Read(size) }
            })
            .collect();
        same_as_host(&steps, false);
        same_as_host(&steps, true);
    }
}

#[test]
fn sizes_are_rounded_and_bounded_as_on_the_host() {
    let (reader, writer) = pair(USER, false);
    let (host, _writer) = rustix::pipe::pipe().unwrap();
    for size in [1, 4096, 4097, 65_536, 100_000, SIZE_MAX] {
        assert_eq!(writer.set_size(size).map(|size| size as usize), rustix::pipe::fcntl_setpipe_size(&host, size as usize));
    }
    assert_eq!(reader.size(), SIZE_MAX);
    assert_eq!(reader.set_size(SIZE_MAX + 1), Err(Errno::PERM));
    assert_eq!(reader.set_size((1 << 31) + 1), Err(Errno::INVAL));
    writer.write(&[0; 20_000], 0).unwrap();
    assert_eq!(reader.set_size(4096 * 4), Err(Errno::BUSY));
}

#[test]
fn a_user_cannot_have_pipes_without_bounds() {
    let uid = 4712;
    let pipes: Vec<_> = (0..USER_SLOTS_SOFT / SLOTS_DEFAULT).map(|_| pair(uid, false)).collect();
    assert!(pipes.iter().all(|(reader, _)| reader.size() == 65_536));
    let (small, _) = pair(uid, false);
    assert_eq!(small.size(), (SLOTS_SMALL * SLOT) as u64);
    assert_eq!(small.set_size(65_536), Err(Errno::PERM));
    drop((pipes, small));
    assert_eq!(lock(&USER_SLOTS).get(&uid), None);
    assert_eq!(pair(uid, false).0.size(), 65_536);
}

#[test]
fn what_a_splice_does_not_take_stays() {
    let (reader, writer) = pair(USER, false);
    assert_eq!(reader.drain(5, false, |_| Ok(0)), Err(Errno::AGAIN));
    writer.write(b"abcdef", 0).unwrap();
    assert_eq!(reader.drain(100, true, |bytes| Ok(bytes.len())), Ok(6));
    assert_eq!(reader.drain(5, false, |bytes| Ok(bytes.len() - 3)), Ok(2));
    assert_eq!(reader.drain(5, false, |_| Err(Errno::IO)), Err(Errno::IO));
    let mut rest = [0; 10];
    assert_eq!(reader.read(&mut rest, 0), Ok(4));
    assert_eq!(&rest[..4], b"cdef");
    drop(writer);
    assert_eq!(reader.drain(5, false, |_| Ok(0)), Ok(0));
}

struct Counter(AtomicUsize);

impl Waiter for Counter {
    fn notify(&self, _: Events) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst);
        false
    }
}

#[test]
fn who_waits_for_room_is_told_when_a_slot_is_free() {
    let (reader, writer) = pair(USER, false);
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    let waiter: Arc<dyn Waiter> = counter.clone();
    writer.write(&[0; 65_536], 0).unwrap();
    writer.queue().unwrap().register(Events::OUT, &waiter);
    reader.read(&mut [0; 4095], 0).unwrap();
    assert_eq!(counter.0.load(Ordering::SeqCst), 0);
    reader.read(&mut [0; 1], 0).unwrap();
    assert_eq!(counter.0.load(Ordering::SeqCst), 1);
    drop(reader);
    assert_eq!(counter.0.load(Ordering::SeqCst), 2);
    assert_eq!(writer.write(b"x", 0), Err(Errno::PIPE));
}

struct Node;

impl Inode for Node {
    fn stat(&self) -> Result<Stat> {
        Ok(Stat { mode: libc::S_IFIFO | 0o644, ..Stat::default() })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn open(pipe: &Arc<Pipe>, flags: i32) -> Result<(Arc<PipeEnd>, Option<Side>)> {
    enter(pipe, Arc::new(Node), flags as u32)
}

#[test]
fn fifo_openers_wait_for_the_other_side() {
    let pipe = Pipe::new(USER);
    assert_eq!(open(&pipe, libc::O_WRONLY | libc::O_NONBLOCK).err(), Some(Errno::NXIO));
    let (reader, wait_for) = open(&pipe, libc::O_RDONLY).unwrap();
    let wait_for = wait_for.unwrap();
    assert!(!wait_for.has_come(&pipe));
    let (writer, nobody) = open(&pipe, libc::O_WRONLY).unwrap();
    assert_eq!(nobody, None);
    writer.write(b"hello", 0).unwrap();
    drop(writer);
    // It came and went, which is enough.
    assert!(wait_for.has_come(&pipe));
    assert_eq!(reader.read(&mut [0; 9], 0), Ok(5));
    assert_eq!(reader.read(&mut [0; 9], 0), Ok(0));
    assert_eq!(reader.poll(ALL), Events::HUP);
}

#[test]
fn fifo_opened_for_both_never_waits_and_never_ends() {
    let pipe = Pipe::new(USER);
    let (both, wait_for) = open(&pipe, libc::O_RDWR).unwrap();
    assert_eq!(wait_for, None);
    assert_eq!(both.read(&mut [0; 9], 0), Err(Errno::AGAIN));
    assert_eq!(both.poll(ALL), OUT);
    assert_eq!(both.write(b"x", 0), Ok(1));
    assert_eq!(both.poll(ALL), IN | OUT);
}

/// Polls a FIFO of the host at each step beside ours: HUP is told only once a writer was there.
#[test]
fn fifo_read_without_blocking_polls_as_on_the_host() {
    let path = std::env::temp_dir().join(format!("fifo-{}", std::process::id()));
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR, 0).unwrap();
    let host_open = |flags| rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).unwrap();
    let host = host_open(OFlags::RDONLY | OFlags::NONBLOCK);
    let pipe = Pipe::new(USER);
    let (ours, wait_for) = open(&pipe, libc::O_RDONLY | libc::O_NONBLOCK).unwrap();
    assert_eq!(wait_for, None);
    let compare = |what: &str| assert_eq!(Some(ours.poll(ALL).bits()), host_mask(Some(&host)), "{what}");
    compare("nobody wrote yet");
    assert_eq!(ours.read(&mut [0; 1], 0), rustix::io::read(&host, &mut [0; 1][..]));
    let writers = (host_open(OFlags::WRONLY), open(&pipe, libc::O_WRONLY).unwrap());
    compare("a writer came");
    assert_eq!(ours.read(&mut [0; 1], 0), rustix::io::read(&host, &mut [0; 1][..]));
    drop(writers);
    compare("the writer went");
    std::fs::remove_file(path).unwrap();
}
