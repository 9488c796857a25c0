//! Calls about the whole system: its name, its size, randomness, and what a guest may not do.

use rustix::rand::{GetRandomFlags, getrandom as host_random};
use zerocopy::{Immutable, IntoBytes};

use crate::call::{Call, Handler};
use crate::dispatch::Calls;
use crate::task::lock;
use crate::{Errno, Result};

/// The system's calls.
pub const CALLS: Calls = &[
    (libc::SYS_uname, uname),
    (libc::SYS_sethostname, sethostname),
    (libc::SYS_setdomainname, setdomainname),
    (libc::SYS_sysinfo, sysinfo),
    (libc::SYS_personality, personality),
    (libc::SYS_getrandom, getrandom),
    (libc::SYS_membarrier, membarrier),
    (libc::SYS_syslog, syslog),
    (libc::SYS_reboot, |_| Err(Errno::PERM)),
    (libc::SYS_swapon, |_| Err(Errno::PERM)),
    (libc::SYS_swapoff, |_| Err(Errno::PERM)),
    (libc::SYS_acct, |_| Err(Errno::PERM)),
    (libc::SYS_init_module, |_| Err(Errno::PERM)),
    (libc::SYS_finit_module, |_| Err(Errno::PERM)),
    (libc::SYS_delete_module, |_| Err(Errno::PERM)),
    (libc::SYS_kexec_load, |_| Err(Errno::PERM)),
    (libc::SYS_iopl, |_| Err(Errno::PERM)),
    (libc::SYS_ioperm, |_| Err(Errno::PERM)),
    (libc::SYS_unshare, unshare),
    (libc::SYS_setns, setns),
    (libc::SYS_ptrace, |_| Err(Errno::PERM)),
    (libc::SYS_bpf, |_| Err(Errno::PERM)),
    (libc::SYS_perf_event_open, |_| Err(Errno::PERM)),
    (libc::SYS_vhangup, |_| Err(Errno::PERM)),
    (libc::SYS_rseq, NOT_HERE),
    (libc::SYS_set_thread_area, NOT_HERE),
    (libc::SYS_get_thread_area, NOT_HERE),
    (libc::SYS_modify_ldt, NOT_HERE),
    (libc::SYS_io_uring_setup, NOT_HERE),
    (libc::SYS_landlock_create_ruleset, NOT_HERE),
    (libc::SYS_add_key, NOT_HERE),
    (libc::SYS_request_key, NOT_HERE),
    (libc::SYS_keyctl, NOT_HERE),
];

/// What programs ask for to learn that it isn't there: known, so not counted as missing.
const NOT_HERE: Handler = |_| Err(Errno::NOSYS);

const CAP_SYS_ADMIN: u32 = 21;
/// `__NEW_UTS_LEN`.
const NAME_MAX: usize = 64;

/// What `uname` tells of the kernel: Linux' interface as of this version.
pub const RELEASE: &str = "6.6.0";
/// When it was built: of no meaning, and the same for everybody.
pub const VERSION: &str = "#1 SMP PREEMPT_DYNAMIC Quark";

/// The pod's host name and domain name.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Names {
    pub host: Vec<u8>,
    pub domain: Vec<u8>,
}

/// `uname(2)`.
fn uname(call: &mut Call<'_>) -> Result<u64> {
    let names = lock(&call.task.kernel().names).clone();
    let mut answer = Vec::new();
    let fields = [b"Linux".as_slice(), &names.host, RELEASE.as_bytes(), VERSION.as_bytes(), b"x86_64", &names.domain];
    for field in fields {
        let mut field = field.to_vec();
        field.resize(NAME_MAX + 1, 0);
        answer.extend(field);
    }
    call.write(call.arg(0), &answer)?;
    Ok(0)
}

fn sethostname(call: &mut Call<'_>) -> Result<u64> {
    let name = read_name(call)?;
    lock(&call.task.kernel().names).host = name;
    Ok(0)
}

fn setdomainname(call: &mut Call<'_>) -> Result<u64> {
    let name = read_name(call)?;
    lock(&call.task.kernel().names).domain = name;
    Ok(0)
}

fn read_name(call: &mut Call<'_>) -> Result<Vec<u8>> {
    if !call.task.credentials().capable(CAP_SYS_ADMIN) {
        return Err(Errno::PERM);
    }
    let length = call.int(1);
    if !(0..=NAME_MAX as i32).contains(&length) {
        return Err(Errno::INVAL);
    }
    let mut name = vec![0; length as usize];
    call.read(call.arg(0), &mut name)?;
    Ok(name)
}

/// `struct sysinfo` of x86-64.
#[derive(Clone, Copy, Default, IntoBytes, Immutable)]
#[repr(C)]
struct SystemInformation {
    uptime: i64,
    loads: [u64; 3],
    total: u64,
    free: u64,
    shared: u64,
    buffers: u64,
    total_swap: u64,
    free_swap: u64,
    processes: u16,
    padding: [u8; 6],
    total_high: u64,
    free_high: u64,
    unit: u32,
    end: u32,
}

/// `sysinfo(2)`: memory is what the pod may use.
fn sysinfo(call: &mut Call<'_>) -> Result<u64> {
    let host = rustix::system::sysinfo();
    let unit = u64::from(host.mem_unit.max(1));
    let (host_total, host_free) = (host.totalram * unit, host.freeram * unit);
    let total = call.task.process.container.limits.memory.map_or(host_total, |limit| limit.min(host_total));
    let answer = SystemInformation {
        uptime: host.uptime,
        total,
        free: host_free.min(total),
        processes: call.task.process.container.pids.table().tasks.len().min(u16::MAX.into()) as u16,
        unit: 1,
        ..SystemInformation::default()
    };
    call.write_value(call.arg(0), &answer).map(|()| 0)
}

/// ADDR_NO_RANDOMIZE and what else of `personality(2)` changes nothing but what is told. Other systems' are refused.
const PERSONALITIES: u32 = 0x0fe0_0000 | 0x0004_0000;

/// `personality(2)`.
fn personality(call: &mut Call<'_>) -> Result<u64> {
    let wanted = call.arg(0) as u32;
    let mut details = lock(&call.task.process.details);
    let before = details.personality;
    if wanted != u32::MAX {
        if wanted & !PERSONALITIES & !8 != 0 {
            return Err(Errno::INVAL);
        }
        details.personality = wanted;
    }
    Ok(before.into())
}

/// `getrandom(2)`: the host's.
fn getrandom(call: &mut Call<'_>) -> Result<u64> {
    let (mut at, mut left) = (call.arg(0), (call.arg(1) as usize).min(i32::MAX as usize));
    let flags = call.arg(2) as u32;
    // GRND_INSECURE with GRND_RANDOM makes no sense; unknown flags neither.
    if flags & !7 != 0 || flags & 6 == 6 {
        return Err(Errno::INVAL);
    }
    let mut done = 0;
    while left > 0 {
        let mut bytes = [0u8; 4096];
        let piece = bytes.get_mut(..left.min(4096)).ok_or(Errno::FAULT)?;
        let filled = host_random(&mut *piece, GetRandomFlags::empty())?;
        match call.write(at, bytes.get(..filled).unwrap_or_default()) {
            Ok(()) => {}
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
        (at, left, done) = (at.wrapping_add(filled as u64), left - filled, done + filled);
        if call.task.interrupted() {
            break;
        }
    }
    Ok(done as u64)
}

const MEMBARRIER_QUERY: i32 = 0;
const MEMBARRIER_GLOBAL: i32 = 1;
const MEMBARRIER_PRIVATE: i32 = 8;
const MEMBARRIER_REGISTER_PRIVATE: i32 = 16;

/// `membarrier(2)`: threads that run guest code are stopped once, which orders all.
fn membarrier(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(1) != 0 {
        return Err(Errno::INVAL);
    }
    match call.int(0) {
        MEMBARRIER_QUERY => Ok((MEMBARRIER_GLOBAL | MEMBARRIER_PRIVATE | MEMBARRIER_REGISTER_PRIVATE) as u64),
        MEMBARRIER_REGISTER_PRIVATE => {
            lock(&call.task.process.details).barriers = true;
            Ok(0)
        }
        MEMBARRIER_PRIVATE if !lock(&call.task.process.details).barriers => Err(Errno::PERM),
        MEMBARRIER_GLOBAL | MEMBARRIER_PRIVATE => {
            host_barrier()?;
            Ok(0)
        }
        _ => Err(Errno::INVAL),
    }
}

/// A barrier on all threads of the host: MEMBARRIER_CMD_GLOBAL.
fn host_barrier() -> Result<()> {
    quark_host::barrier::everywhere()
}

const SYSLOG_ACTION_SIZE_UNREAD: i32 = 9;
const SYSLOG_ACTION_SIZE_BUFFER: i32 = 10;

/// `syslog(2)`: the log is empty, and only the host's.
fn syslog(call: &mut Call<'_>) -> Result<u64> {
    match call.int(0) {
        SYSLOG_ACTION_SIZE_UNREAD => Ok(0),
        SYSLOG_ACTION_SIZE_BUFFER => Ok(1 << 17),
        0..=8 if call.task.credentials().capable(CAP_SYS_ADMIN) || call.task.credentials().capable(34) => Ok(0),
        _ if !call.task.credentials().capable(CAP_SYS_ADMIN) && !call.task.credentials().capable(34) => Err(Errno::PERM),
        _ => Err(Errno::INVAL),
    }
}

const CLONE_FS: u64 = 0x200;
const CLONE_FILES: u64 = 0x400;
const CLONE_SYSVSEM: u64 = 0x4_0000;

/// `unshare(2)`: of what threads share. Namespaces are the container's: EPERM.
fn unshare(call: &mut Call<'_>) -> Result<u64> {
    let flags = call.arg(0);
    if flags & !(CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | 0x7e02_0000 | 0x80) != 0 {
        return Err(Errno::INVAL);
    }
    if flags & !(CLONE_FS | CLONE_FILES | CLONE_SYSVSEM) != 0 {
        return Err(Errno::PERM);
    }
    if flags & CLONE_FS != 0 {
        let mut fs = lock(&call.task.fs);
        let copy = std::sync::Arc::new(fs.copy());
        *fs = copy;
    }
    if flags & CLONE_FILES != 0 {
        let mut files = lock(&call.task.files);
        let copy = std::sync::Arc::new(files.copy());
        let before = std::mem::replace(&mut *files, copy);
        drop(files);
        drop(before);
    }
    if flags & CLONE_SYSVSEM != 0 {
        crate::ipc::semaphore::leave_undo_list(call.task);
    }
    Ok(0)
}

/// `setns(2)`: there are no namespaces to go to but the container's own. EBADF, EINVAL for what is none.
fn setns(call: &mut Call<'_>) -> Result<u64> {
    call.task.files().get(call.int(0))?;
    Err(Errno::INVAL)
}
