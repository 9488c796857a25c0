//! What only the host's procfs tells and does: how much of a stub process is in memory, and a descriptor of a file in memory that may be
//! read and not written.
//!
//! It is a mount that nothing else sees: of this process' own pid namespace, with processes' folders alone, and nothing in it can be written to.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen};

const PAGE: u64 = 4096;

static MOUNT: OnceLock<OwnedFd> = OnceLock::new();

/// Mounts it for this process' life. Needs CAP_SYS_ADMIN over its pid namespace: before the process is in a user namespace of its own.
pub fn mount() -> Result<(), Errno> {
    let system = fsopen(c"proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&system, c"subset", c"pid")?;
    fsconfig_create(&system)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount = fsmount(&system, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    // Another thread may have been faster; one is as good as the other.
    let _ = MOUNT.set(mount);
    Ok(())
}

/// Opens a file of memory again, for reading alone: who gets that descriptor cannot write, nor map the file to write to it.
pub fn read_only(file: impl AsFd) -> Result<OwnedFd, Errno> {
    open(&format!("self/fd/{}", file.as_fd().as_raw_fd()))
}

/// What a process has in memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// All of it.
    pub total: u64,
    /// Of that, pages of files and shared memory.
    pub shared: u64,
}

/// What the process `pid` of this pid namespace has in memory: nothing, once it has ended. ESRCH, ENOENT.
pub fn resident(pid: i32) -> Result<Resident, Errno> {
    let file = open(&format!("{pid}/statm"))?;
    let mut text = [0; 128];
    let length = rustix::io::read(&file, &mut text)?;
    parse(text.get(..length).unwrap_or_default()).ok_or(Errno::IO)
}

/// `/proc/PID/pagemap`. ESRCH, ENOENT.
pub(crate) fn page_map(pid: i32) -> Result<OwnedFd, Errno> {
    open(&format!("{pid}/pagemap"))
}

/// `size resident shared …`, in pages.
fn parse(text: &[u8]) -> Option<Resident> {
    let mut numbers = std::str::from_utf8(text).ok()?.split_whitespace().skip(1).map(|word| word.parse::<u64>().ok());
    let mut bytes = || numbers.next().flatten().map(|pages| pages.saturating_mul(PAGE));
    Some(Resident { total: bytes()?, shared: bytes()? })
}

fn open(path: &str) -> Result<OwnedFd, Errno> {
    openat2(root()?, path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty(), ResolveFlags::empty())
}

/// Where none was mounted, as in tests, the machine's own.
fn root() -> Result<BorrowedFd<'static>, Errno> {
    if let Some(mount) = MOUNT.get() {
        return Ok(mount.as_fd());
    }
    let machine = openat2(CWD, c"/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::empty())?;
    Ok(MOUNT.get_or_init(|| machine).as_fd())
}

#[cfg(test)]
mod tests {
    use rustix::fs::{MemfdFlags, memfd_create};
    use rustix::mm::{MapFlags, ProtFlags};

    use super::*;

    fn shared(file: &OwnedFd, protection: ProtFlags) -> Result<(), Errno> {
        // SAFETY: a mapping of its own, which nobody uses.
        let mapped = unsafe { rustix::mm::mmap(std::ptr::null_mut(), 4096, protection, MapFlags::SHARED, file, 0) }?;
        // SAFETY: as above.
        unsafe { rustix::mm::munmap(mapped, 4096) }
    }

    #[test]
    fn a_descriptor_for_reading_neither_writes_nor_maps_for_writing() {
        let file = memfd_create(c"test", MemfdFlags::CLOEXEC).unwrap();
        rustix::io::write(&file, &[7; 4096]).unwrap();
        let reader = read_only(&file).unwrap();
        let mut byte = [0];
        assert_eq!(rustix::io::pread(&reader, &mut byte, 4095), Ok(1));
        assert_eq!(byte, [7]);
        assert_eq!(rustix::io::pwrite(&reader, &byte, 0), Err(Errno::BADF));
        assert_eq!(rustix::fs::ftruncate(&reader, 0), Err(Errno::INVAL));
        assert_eq!(shared(&reader, ProtFlags::READ), Ok(()));
        assert_eq!(shared(&reader, ProtFlags::READ | ProtFlags::WRITE), Err(Errno::ACCESS));
        assert_eq!(shared(&file, ProtFlags::READ | ProtFlags::WRITE), Ok(()));
    }

    #[test]
    fn tells_what_is_in_memory() {
        let own = resident(std::process::id() as i32).unwrap();
        assert!(own.total > own.shared && own.shared > 0, "{own:?}");
        assert_eq!(resident(0), Err(Errno::NOENT));
        assert_eq!(parse(b"100 20 5 1 0 40 0\n"), Some(Resident { total: 20 * PAGE, shared: 5 * PAGE }));
        assert_eq!(parse(b"100 20"), None);
    }
}
