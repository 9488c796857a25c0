//! `close`, `close_range`, `dup`, `dup2`, `dup3`.

use std::sync::Arc;

use crate::call::Call;
use crate::dispatch::Calls;
use crate::task::lock;
use crate::{Errno, Result};

pub const CALLS: Calls =
    &[(libc::SYS_close, close), (libc::SYS_close_range, close_range), (libc::SYS_dup, dup), (libc::SYS_dup2, dup2), (libc::SYS_dup3, dup3)];

/// CLOSE_RANGE_UNSHARE and CLOSE_RANGE_CLOEXEC.
const UNSHARE: u32 = 2;
const CLOSE_ON_EXEC: u32 = 4;

fn close(call: &mut Call<'_>) -> Result<u64> {
    call.task.files().close(call.int(0)).map(|()| 0)
}

fn close_range(call: &mut Call<'_>) -> Result<u64> {
    let (first, last, flags) = (call.arg(0) as u32, call.arg(1) as u32, call.arg(2) as u32);
    if flags & !(UNSHARE | CLOSE_ON_EXEC) != 0 || first > last {
        return Err(Errno::INVAL);
    }
    if flags & UNSHARE != 0 {
        let own = Arc::new(call.task.files().copy());
        let before = std::mem::replace(&mut *lock(&call.task.files), own);
        drop(before);
    }
    let files = call.task.files();
    if flags & CLOSE_ON_EXEC == 0 {
        files.close_range(first, last);
        return Ok(0);
    }
    for (fd, _, _) in files.list() {
        if (first..=last).contains(&(fd as u32)) {
            // Another thread may have closed it by now.
            let _ = files.set_close_on_exec(fd, true);
        }
    }
    Ok(0)
}

fn dup(call: &mut Call<'_>) -> Result<u64> {
    let files = call.task.files();
    let file = files.get_any(call.int(0))?;
    Ok(files.install(file, 0, false, call.task.process.limit(libc::RLIMIT_NOFILE))? as u64)
}

fn dup2(call: &mut Call<'_>) -> Result<u64> {
    let (from, to) = (call.int(0), call.int(1));
    if from == to {
        call.task.files().get_any(from)?;
        return Ok(to as u64);
    }
    replace(call, from, to, false)
}

fn dup3(call: &mut Call<'_>) -> Result<u64> {
    let (from, to, flags) = (call.int(0), call.int(1), call.int(2));
    if flags & !libc::O_CLOEXEC != 0 || from == to {
        return Err(Errno::INVAL);
    }
    replace(call, from, to, flags != 0)
}

fn replace(call: &mut Call<'_>, from: i32, to: i32, close_on_exec: bool) -> Result<u64> {
    let limit = call.task.process.limit(libc::RLIMIT_NOFILE);
    let files = call.task.files();
    let file = files.get_any(from)?;
    files.install_at(to, file, close_on_exec, limit)?;
    Ok(to as u64)
}
