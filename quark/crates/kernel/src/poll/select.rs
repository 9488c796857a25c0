//! `select(2)` and `pselect6(2)`.

use super::{Timeout, Watched, block_signals, sets, wait_for_any, write_left};
use crate::call::{Call, restart};
use crate::dispatch::Calls;
use crate::time::value::{TimeVal, read_timespec};
use crate::{Errno, Result};

/// What this module answers.
pub const CALLS: Calls = &[(libc::SYS_select, select), (libc::SYS_pselect6, pselect6)];

fn select(call: &mut Call<'_>) -> Result<u64> {
    let time_at = call.arg(4);
    let wanted = if time_at == 0 { None } else { Some(call.read_value::<TimeVal>(time_at)?.duration_with_carry()?) };
    let timeout = Timeout::after(wanted);
    let answer = select_once(call, timeout);
    let told = if time_at == 0 { Ok(()) } else { call.write_value(time_at, &TimeVal::from(timeout.left())) };
    conclude(answer, told)
}

fn pselect6(call: &mut Call<'_>) -> Result<u64> {
    let timeout = Timeout::after(read_timespec(call, call.arg(4))?);
    let [mask, size] = if call.arg(5) == 0 { [0, 0] } else { call.read_value::<[u64; 2]>(call.arg(5))? };
    block_signals(call, mask, size)?;
    let answer = select_once(call, timeout);
    let told = write_left(call, call.arg(4), timeout);
    conclude(answer, told)
}

/// The call can only be made again after a signal if the time that is left is where it will be read.
fn conclude(answer: Result<u64>, told: Result<()>) -> Result<u64> {
    if answer == Err(Errno::INTR) && told.is_ok() { Err(restart::NO_HANDLER) } else { answer }
}

fn select_once(call: &mut Call<'_>, timeout: Timeout) -> Result<u64> {
    let files = call.task.files();
    // What is beyond the descriptor table isn't looked at, as by Linux: the sets may end there.
    let count = usize::try_from(call.int(0)).map_err(|_| Errno::INVAL)?.min(files.span());
    let asked = [read_set(call, 1, count)?, read_set(call, 2, count)?, read_set(call, 3, count)?];
    let fds = sets::asked(&asked, count);
    let watch = |(fd, interest): &(usize, _)| Ok(Watched { file: files.get(*fd as i32)?, interest: *interest });
    let watched = fds.iter().map(watch).collect::<Result<Vec<_>>>()?;
    let ready = wait_for_any(call.task, &watched, timeout)?;
    let (answers, told) = sets::answer(&asked, fds.iter().map(|(fd, _)| *fd).zip(ready));
    for (index, answer) in (1..).zip(&answers) {
        call.write(call.arg(index), answer)?;
    }
    Ok(told)
}

/// The set at argument `index`; empty for NULL.
fn read_set(call: &mut Call<'_>, index: usize, count: usize) -> Result<Vec<u8>> {
    let address = call.arg(index);
    let mut set = vec![0; if address == 0 { 0 } else { sets::size(count) }];
    call.read(address, &mut set)?;
    Ok(set)
}
