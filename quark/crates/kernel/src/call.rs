//! A system call that is being answered.

use std::sync::Arc;

use quark_host::platform::{Context, OwnCall, Registers};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::file::File;
use crate::memory::Later;
use crate::task::{Task, lock};
use crate::vfs::open::OpenFile;
use crate::{Errno, Result};

/// The pseudo-errnos by which a call that a signal interrupted says how it wants to go on. The guest never sees them: signal delivery
/// turns each into EINTR or another execution of the call.
pub mod restart {
    use crate::Errno;

    /// EINTR if a handler without SA_RESTART runs; otherwise the call is made again.
    pub const SYS: Errno = Errno::from_raw_os_error(512);
    /// Made again whatever the handler says (only if none runs it's unnoticed).
    pub const NO_INTERRUPT: Errno = Errno::from_raw_os_error(513);
    /// EINTR if any handler runs; otherwise the call is made again.
    pub const NO_HANDLER: Errno = Errno::from_raw_os_error(514);
    /// EINTR if any handler runs; otherwise `restart_syscall` goes on with [`crate::task::Task`]'s restart block (relative sleeps).
    pub const BLOCK: Errno = Errno::from_raw_os_error(516);
}

/// Answers one system call.
pub type Handler = fn(&mut Call<'_>) -> Result<u64>;

/// One system call of one guest thread. Lives while it is answered, on the thread's kernel half.
pub struct Call<'a> {
    /// Who calls.
    pub task: &'a Arc<Task>,
    /// Its stub thread, stopped.
    pub context: &'a mut Context,
    /// Its registers, as they will be when it goes on (`rax` is set from the answer).
    pub registers: &'a mut Registers,
    /// `__NR_*` of x86-64.
    pub number: u32,
    /// `rdi rsi rdx r10 r8 r9` as the guest had them.
    pub args: [u64; 6],
    /// Set by a call that the thread is to make itself, and then answers the pseudo-errno that decides if a signal comes before it has.
    pub own: Option<OwnCall>,
    /// Set by a call that changes memory by the way, when the thread goes on with its answer.
    pub later: Option<Later>,
}

/// The longest path or string that Linux takes, its NUL included (PATH_MAX).
pub const PATH_MAX: usize = 4096;

impl Call<'_> {
    /// Argument `index` (0 to 5).
    pub fn arg(&self, index: usize) -> u64 {
        self.args.get(index).copied().unwrap_or(0)
    }

    /// Argument `index` as C's `int`.
    pub fn int(&self, index: usize) -> i32 {
        self.arg(index) as i32
    }

    /// Gives a new file a descriptor, the lowest free one. `flags` are the file's; of these O_CLOEXEC is the descriptor's. EMFILE.
    pub fn install(&self, file: Arc<dyn File>, flags: u32) -> Result<i32> {
        let close_on_exec = flags & libc::O_CLOEXEC as u32 != 0;
        let open = OpenFile::anonymous(file, flags & !(libc::O_CLOEXEC as u32));
        let limit = lock(&self.task.process.limits).get(libc::RLIMIT_NOFILE as usize).map_or(0, |limit| limit.soft);
        self.task.files().install(open, 0, close_on_exec, limit)
    }

    /// Reads guest memory.
    pub fn read(&mut self, address: u64, to: &mut [u8]) -> Result<()> {
        if to.is_empty() {
            return Ok(());
        }
        self.context.read(address, to)
    }

    /// Writes guest memory.
    pub fn write(&mut self, address: u64, from: &[u8]) -> Result<()> {
        if from.is_empty() {
            return Ok(());
        }
        self.context.write(address, from)
    }

    /// Reads one C structure.
    pub fn read_value<T: FromBytes + IntoBytes>(&mut self, address: u64) -> Result<T> {
        let mut value = T::new_zeroed();
        self.read(address, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes one C structure.
    pub fn write_value<T: IntoBytes + Immutable>(&mut self, address: u64, value: &T) -> Result<()> {
        self.write(address, value.as_bytes())
    }

    /// Reads `count` C structures; EINVAL for more than 16 MiB of them.
    pub fn read_values<T: FromBytes + IntoBytes + Clone>(&mut self, address: u64, count: usize) -> Result<Vec<T>> {
        if count.saturating_mul(size_of::<T>()) > 16 << 20 {
            return Err(Errno::INVAL);
        }
        let mut values = T::new_vec_zeroed(count).map_err(|_| Errno::NOMEM)?;
        self.read(address, values.as_mut_slice().as_mut_bytes())?;
        Ok(values)
    }

    /// Reads a string that ends with a NUL, without it; `too_long` if there is none in the first `limit` bytes.
    pub fn read_string(&mut self, address: u64, limit: usize, too_long: Errno) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        let mut at = address;
        while text.len() < limit {
            // Up to the end of the page: what is behind it may not be mapped.
            let piece = (4096 - (at as usize & 4095)).min(limit - text.len()).min(256);
            let mut bytes = [0; 256];
            let bytes = bytes.get_mut(..piece).ok_or(Errno::FAULT)?;
            self.read(at, bytes)?;
            if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(bytes.get(..end).unwrap_or_default());
                return Ok(text);
            }
            text.extend_from_slice(bytes);
            at = at.checked_add(piece as u64).ok_or(Errno::FAULT)?;
        }
        Err(too_long)
    }

    /// Reads a path: EFAULT, ENAMETOOLONG from PATH_MAX bytes on.
    pub fn read_path(&mut self, address: u64) -> Result<Vec<u8>> {
        self.read_string(address, PATH_MAX, Errno::NAMETOOLONG)
    }
}
