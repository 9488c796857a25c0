//! Extended attributes: `xattr(7)`.

use super::{At, Target};
use crate::call::Call;
use crate::dispatch::Calls;
use crate::task::Credentials;
use crate::vfs::inode::{Inode, kind};
use crate::vfs::path::Last;
use crate::vfs::permission::{self, READ, WRITE, capability, owns};
use crate::{Errno, Result};

pub const CALLS: Calls = &[
    (libc::SYS_getxattr, |call| on(call, Last::Follow, get)),
    (libc::SYS_lgetxattr, |call| on(call, Last::Stay, get)),
    (libc::SYS_fgetxattr, |call| on_descriptor(call, get)),
    (libc::SYS_setxattr, |call| on(call, Last::Follow, set)),
    (libc::SYS_lsetxattr, |call| on(call, Last::Stay, set)),
    (libc::SYS_fsetxattr, |call| on_descriptor(call, set)),
    (libc::SYS_listxattr, |call| on(call, Last::Follow, list)),
    (libc::SYS_llistxattr, |call| on(call, Last::Stay, list)),
    (libc::SYS_flistxattr, |call| on_descriptor(call, list)),
    (libc::SYS_removexattr, |call| on(call, Last::Follow, remove)),
    (libc::SYS_lremovexattr, |call| on(call, Last::Stay, remove)),
    (libc::SYS_fremovexattr, |call| on_descriptor(call, remove)),
];

/// XATTR_NAME_MAX, and XATTR_SIZE_MAX for values and lists.
const NAME_MAX: usize = 255;
const SIZE_MAX: u64 = 65536;

type Act = fn(&mut Call<'_>, &Target) -> Result<u64>;

fn on(call: &mut Call<'_>, last: Last, act: Act) -> Result<u64> {
    let path = call.read_path(call.arg(0))?;
    let target = At::new(call.task).target(libc::AT_FDCWD, &path, 0, last)?;
    act(call, &target)
}

fn on_descriptor(call: &mut Call<'_>, act: Act) -> Result<u64> {
    let target = Target::File(call.task.files().get(call.int(0))?);
    act(call, &target)
}

fn read_name(call: &mut Call<'_>) -> Result<Vec<u8>> {
    let name = call.read_string(call.arg(1), NAME_MAX + 1, Errno::RANGE)?;
    if name.is_empty() { Err(Errno::RANGE) } else { Ok(name) }
}

/// Which names are anybody's to use (`fs/xattr.c`: xattr_permission).
fn check(credentials: &Credentials, inode: &dyn Inode, name: &[u8], write: bool) -> Result<()> {
    let (mode, uid, _) = inode.permissions()?;
    let absent = if write { Errno::PERM } else { Errno::NODATA };
    let known = [&b"user."[..], b"trusted.", b"security.", b"system."];
    let prefix = known.into_iter().find(|prefix| name.starts_with(prefix)).ok_or(Errno::OPNOTSUPP)?;
    if prefix.len() == name.len() {
        return Err(Errno::INVAL);
    }
    match prefix {
        b"trusted." if !credentials.capable(capability::SYS_ADMIN) => Err(absent),
        b"user." => {
            let node_kind = mode & kind::MASK;
            if node_kind != kind::REGULAR && node_kind != kind::DIRECTORY {
                return Err(absent);
            }
            let sticky = node_kind == kind::DIRECTORY && mode & 0o1000 != 0;
            if sticky && write && !owns(credentials, uid) {
                return Err(Errno::PERM);
            }
            permission::check(inode, credentials, if write { WRITE } else { READ })
        }
        b"security." if write => {
            let needed = if name == b"security.capability" { capability::SETFCAP } else { capability::SYS_ADMIN };
            if credentials.capable(needed) { Ok(()) } else { Err(Errno::PERM) }
        }
        _ => Ok(()),
    }
}

/// Tells a value or list: with no room only its size; ERANGE if it doesn't fit.
fn tell(call: &mut Call<'_>, address: u64, room: u64, told: &[u8]) -> Result<u64> {
    if room > 0 {
        if told.len() as u64 > room {
            return Err(Errno::RANGE);
        }
        call.write(address, told)?;
    }
    Ok(told.len() as u64)
}

fn get(call: &mut Call<'_>, target: &Target) -> Result<u64> {
    let name = read_name(call)?;
    let inode = target.inode(Errno::OPNOTSUPP)?;
    check(&call.task.credentials(), inode.as_ref(), &name, false)?;
    let value = inode.extended_attribute(&name)?;
    tell(call, call.arg(2), call.arg(3), &value)
}

fn set(call: &mut Call<'_>, target: &Target) -> Result<u64> {
    let (size, flags) = (call.arg(3), call.arg(4) as u32);
    if flags & !3 != 0 || flags == 3 {
        return Err(Errno::INVAL);
    }
    let name = read_name(call)?;
    if size > SIZE_MAX {
        return Err(Errno::TOOBIG);
    }
    let mut value = vec![0; size as usize];
    call.read(call.arg(2), &mut value)?;
    change(call, target, &name, Some(&value), flags)
}

fn remove(call: &mut Call<'_>, target: &Target) -> Result<u64> {
    let name = read_name(call)?;
    change(call, target, &name, None, 0)
}

fn change(call: &Call<'_>, target: &Target, name: &[u8], value: Option<&[u8]>, flags: u32) -> Result<u64> {
    target.writable()?;
    let inode = target.inode(Errno::OPNOTSUPP)?;
    check(&call.task.credentials(), inode.as_ref(), name, true)?;
    inode.set_extended_attribute(name, value, flags)?;
    Ok(0)
}

fn list(call: &mut Call<'_>, target: &Target) -> Result<u64> {
    let mut told = Vec::new();
    let privileged = call.task.credentials().capable(capability::SYS_ADMIN);
    let names = match target.inode(Errno::OPNOTSUPP) {
        Ok(inode) => inode.extended_attributes()?,
        Err(_) => Vec::new(),
    };
    for name in names {
        if privileged || !name.starts_with(b"trusted.") {
            told.extend_from_slice(&name);
            told.push(0);
        }
    }
    tell(call, call.arg(1), call.arg(2), &told)
}
