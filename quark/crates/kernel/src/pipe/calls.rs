//! `pipe(2)`.

use crate::call::Call;
use crate::dispatch::Calls;
use crate::{Errno, Result};

/// What this module answers.
pub const CALLS: Calls = &[(libc::SYS_pipe, pipe), (libc::SYS_pipe2, pipe2)];

fn pipe(call: &mut Call<'_>) -> Result<u64> {
    make(call, 0)
}

fn pipe2(call: &mut Call<'_>) -> Result<u64> {
    let flags = call.int(1);
    if flags & !(libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_DIRECT) != 0 {
        return Err(Errno::INVAL);
    }
    make(call, flags)
}

fn make(call: &mut Call<'_>, flags: i32) -> Result<u64> {
    let packets = flags & libc::O_DIRECT != 0;
    let (reader, writer) = super::pair(call.task.credentials().uid, packets);
    let read_fd = call.install(reader, (flags | libc::O_RDONLY) as u32)?;
    let answer = call.install(writer, (flags | libc::O_WRONLY) as u32).and_then(|write_fd| {
        let told = call.write_value(call.arg(0), &[read_fd, write_fd]);
        if told.is_err() {
            call.task.files().close(write_fd)?;
        }
        told
    });
    if answer.is_err() {
        call.task.files().close(read_fd)?;
    }
    answer.map(|()| 0)
}
