//! `lseek`.

use crate::call::Call;
use crate::dispatch::Calls;
use crate::task::lock;
use crate::vfs::inode::kind;
use crate::{Errno, Result};

pub const CALLS: Calls = &[(libc::SYS_lseek, lseek)];

fn lseek(call: &mut Call<'_>) -> Result<u64> {
    let file = call.task.files().get(call.int(0))?;
    let (by, whence) = (call.arg(1) as i64, call.int(2));
    if !file.file.seekable() {
        return if file.file.ignores_position() { Ok(0) } else { Err(Errno::SPIPE) };
    }
    // `/dev/null` and its kind have a position that is always 0.
    let device = file.place.as_ref().is_some_and(|place| place.dentry.kind() == kind::CHARACTER);
    let mut offset = lock(&file.offset);
    if device {
        *offset = 0;
        return Ok(0);
    }
    let to = match whence {
        libc::SEEK_SET => 0_i64.checked_add(by),
        libc::SEEK_CUR => (*offset as i64).checked_add(by),
        libc::SEEK_END => (file.file.stat()?.size as i64).checked_add(by),
        libc::SEEK_DATA | libc::SEEK_HOLE => {
            let from = u64::try_from(by).map_err(|_| Errno::NXIO)?;
            Some(file.file.seek_data(from, whence == libc::SEEK_HOLE)? as i64)
        }
        _ => return Err(Errno::INVAL),
    };
    // A sum beyond what an offset can be wraps to a negative one on Linux, and is refused as such.
    let to = to.filter(|to| *to >= 0).ok_or(Errno::INVAL)?;
    *offset = to as u64;
    Ok(to as u64)
}
