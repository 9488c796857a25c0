//! New stub processes: how the first one starts, and how the kernel makes sure which process a fork has made.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

use rustix::io::{Errno, IoSlice};
use rustix::net::{AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg, socketpair};
use rustix::thread::futex;

use super::control::Control;
use super::process::{Process, Seat};
use super::reaper::Family;
use super::shared::{COMMAND_ABANDON, CONTROL, CONTROL_FILE, SLOT_BYTES, SOCKET, Slot, TURN_KERNEL, TURN_STUB, WINDOW};
use super::{image, memory};
use crate::filter::stub_filter;

/// A forked process must be ready by then. It has nothing to do but a few host calls, on a host that may be busy.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// What a process needs before it is there.
pub(super) struct Cradle {
    control: Arc<Control>,
    control_file: OwnedFd,
    socket: OwnedFd,
    stub_socket: OwnedFd,
    nonce: [u64; 2],
    index: u64,
}

impl Cradle {
    /// For a process whose first thread is on slot 0.
    pub(super) fn new() -> Result<Cradle, Errno> {
        let (control, control_file) = Control::create()?;
        Cradle::with(Arc::new(control), control_file)
    }

    /// For the next stub of a process whose last one has ended.
    pub(super) fn again(process: &Process) -> Result<Cradle, Errno> {
        Cradle::with(process.control.clone(), process.control.renew()?)
    }

    fn with(control: Arc<Control>, control_file: OwnedFd) -> Result<Cradle, Errno> {
        let (socket, stub_socket) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut random = [0u8; 16];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let number = u128::from_ne_bytes(random);
        let nonce = [number as u64, (number >> 64) as u64];
        Ok(Cradle { control, control_file, socket, stub_socket, nonce, index: 0 }.at(0))
    }

    /// The same for a process whose first thread is on slot `index`.
    pub(super) fn at(mut self, index: u64) -> Cradle {
        self.index = index;
        self.slot().nonce.iter().zip(self.nonce).for_each(|(to, from)| to.store(from, Relaxed));
        self
    }

    /// What a stub receives before it forks.
    pub(super) fn files(&self) -> [BorrowedFd<'_>; 2] {
        [self.control_file.as_fd(), self.stub_socket.as_fd()]
    }

    fn slot(&self) -> &Slot {
        self.control.slot(self.index)
    }

    /// Waits until the process `pid`, as somebody says, has stopped for the first time, and takes it into the family. EAGAIN if there is no
    /// such child, or if it does not have this cradle's pages.
    pub(super) fn adopt(self, pid: i32, parent: Option<&Process>, family: &Family) -> Result<(Arc<Process>, Arc<Seat>), Errno> {
        self.wait_ready(pid, parent).inspect_err(|_| self.abandon())?;
        let Cradle { control, socket, nonce, index, .. } = self;
        let (process, seat) = Process::new(pid, control, socket, index);
        if family.register(&process, |process| has_pages(process, index, nonce)) { Ok((process, seat)) } else { Err(Errno::AGAIN) }
    }

    /// Like [`Cradle::adopt`], for the process that the cradle was made for ([`Cradle::again`]).
    pub(super) fn adopt_again(self, pid: i32, process: &Arc<Process>, family: &Family) -> Result<(), Errno> {
        self.wait_ready(pid, None).inspect_err(|_| self.abandon())?;
        let Cradle { socket, nonce, index, .. } = self;
        process.become_alive(pid, socket);
        if family.register(process, |process| has_pages(process, index, nonce)) {
            return Ok(());
        }
        process.bury();
        process.dismiss();
        Err(Errno::AGAIN)
    }

    fn wait_ready(&self, pid: i32, parent: Option<&Process>) -> Result<(), Errno> {
        let deadline = Instant::now() + READY_TIMEOUT;
        let step = futex::Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
        let slot = self.slot();
        loop {
            let turn = slot.turn.load(SeqCst);
            if turn == TURN_KERNEL {
                return Ok(());
            }
            slot.kernel_sleeps.store(1, SeqCst);
            let _ = futex::wait(&slot.turn, futex::Flags::empty(), turn, Some(&step));
            slot.kernel_sleeps.store(0, Relaxed);
            let hopeless = !is_child(pid) || parent.is_some_and(Process::is_dead) || Instant::now() > deadline;
            if hopeless && slot.turn.load(SeqCst) != TURN_KERNEL {
                return Err(Errno::AGAIN);
            }
        }
    }

    /// Makes the process end as soon as it is ready, if ever: nobody knows it.
    pub(super) fn abandon(&self) {
        let slot = self.slot();
        slot.command.store(COMMAND_ABANDON, SeqCst);
        slot.turn.store(TURN_STUB, SeqCst);
        let _ = futex::wake(&slot.turn, futex::Flags::empty(), 1);
    }

    /// Starts the first process: see [`Cradle::become_stub`].
    pub(super) fn spawn(&self) -> Result<i32, Errno> {
        let image = image::file()?;
        self.leave_filter();
        // SAFETY: the child makes nothing but host calls until it executes the stub's program or exits.
        match unsafe { libc::fork() } {
            0 => {
                self.become_stub(&image);
                // SAFETY: a host call.
                unsafe { libc::_exit(127) }
            }
            pid if pid > 0 => Ok(pid),
            _ => Err(last_error()),
        }
    }

    /// Leaves the filter in the window of the process, where its start finds it: `struct sock_fprog`, then the instructions.
    fn leave_filter(&self) {
        const PROGRAM_BYTES: u64 = 16;
        let filter = stub_filter(image::text());
        let mut bytes = Vec::with_capacity(filter.len() * 8);
        for instruction in &filter {
            bytes.extend(instruction.code.to_ne_bytes());
            bytes.extend([instruction.jump_true, instruction.jump_false]);
            bytes.extend(instruction.operand.to_ne_bytes());
        }
        let window = CONTROL + self.index * SLOT_BYTES + WINDOW;
        self.control.fill_window(self.index, 0, &(filter.len() as u64).to_ne_bytes());
        self.control.fill_window(self.index, 8, &(window + PROGRAM_BYTES).to_ne_bytes());
        self.control.fill_window(self.index, PROGRAM_BYTES, &bytes);
    }

    /// Gives up all that a stub needs not, and executes its program. Returns if that fails.
    fn become_stub(&self, image: &OwnedFd) {
        let none = [std::ptr::null::<libc::c_char>()];
        let zero = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: host calls of a process that has one thread, whose memory is its own copy.
        unsafe {
            libc::setsid();
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            libc::setrlimit(libc::RLIMIT_CORE, &zero);
            libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
            reset_signals();
            // The two may be in each other's place.
            let control = libc::fcntl(self.control_file.as_raw_fd(), libc::F_DUPFD, 10);
            let socket = libc::fcntl(self.stub_socket.as_raw_fd(), libc::F_DUPFD, 10);
            let image = libc::fcntl(image.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 10);
            if libc::dup2(socket, SOCKET as i32) < 0 || libc::dup2(control, CONTROL_FILE as i32) < 0 {
                return;
            }
            libc::syscall(libc::SYS_close_range, 2, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
            libc::syscall(libc::SYS_execveat, image, c"".as_ptr(), none.as_ptr(), none.as_ptr(), libc::AT_EMPTY_PATH);
        }
    }
}

/// Whether a process is a living child of ours whose slot `index` has the secret word.
fn has_pages(process: &Process, index: u64, nonce: [u64; 2]) -> bool {
    let address = CONTROL + index * SLOT_BYTES + std::mem::offset_of!(Slot, nonce) as u64;
    let mut seen = [0u8; 16];
    let expected = u128::from(nonce[0]) | u128::from(nonce[1]) << 64;
    is_child(process.pid()) && memory::read_any(process, address, &mut seen).is_ok() && u128::from_ne_bytes(seen) == expected
}

/// Ignored signals and the mask outlive an exec.
///
/// # Safety
/// The process must have one thread, and not come back from here.
unsafe fn reset_signals() {
    // SAFETY: as promised.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut mask = MaybeUninit::<libc::sigset_t>::zeroed();
        libc::sigemptyset(mask.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, mask.as_ptr(), std::ptr::null_mut());
    }
}

/// Whether `pid` is a child of this process that has not ended.
pub(super) fn is_child(pid: i32) -> bool {
    if pid <= 0 {
        return false;
    }
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: writes to `info`, which is valid if the call succeeds, and as zeros if nothing has ended.
    unsafe { libc::waitid(libc::P_PID, pid as libc::id_t, info.as_mut_ptr(), options) == 0 && info.assume_init().si_pid() == 0 }
}

pub(crate) fn last_error() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Sends `files` to a stub.
pub(super) fn send_files(socket: &OwnedFd, files: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut buffer = SendAncillaryBuffer::new(&mut space);
    if !buffer.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(Errno::INVAL);
    }
    // A stub that doesn't receive them harms its own guest only.
    sendmsg(socket, &[IoSlice::new(&[0])], &mut buffer, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
}
