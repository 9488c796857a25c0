//! What `ioctl(2)` does with terminals (`man 2 ioctl_tty`).

use std::sync::Arc;

use zerocopy::{FromBytes, IntoBytes};

use super::file::{ProgramSide, ScreenSide};
use super::job;
use super::termios::{SHORT, Termios};
use super::tty::Terminal;
use crate::call::Call;
use crate::{Errno, Result};

const TCGETS: u32 = 0x5401;
const TCSETS: u32 = 0x5402;
const TCSETSW: u32 = 0x5403;
const TCSETSF: u32 = 0x5404;
const TCSBRK: u32 = 0x5409;
const TCXONC: u32 = 0x540a;
const TCFLSH: u32 = 0x540b;
const TIOCEXCL: u32 = 0x540c;
const TIOCNXCL: u32 = 0x540d;
const TIOCSCTTY: u32 = 0x540e;
const TIOCGPGRP: u32 = 0x540f;
const TIOCSPGRP: u32 = 0x5410;
const TIOCOUTQ: u32 = 0x5411;
const TIOCSTI: u32 = 0x5412;
const TIOCGWINSZ: u32 = 0x5413;
const TIOCSWINSZ: u32 = 0x5414;
const FIONREAD: u32 = 0x541b;
const TIOCCONS: u32 = 0x541d;
const TIOCPKT: u32 = 0x5420;
const TIOCNOTTY: u32 = 0x5422;
const TIOCSETD: u32 = 0x5423;
const TIOCGETD: u32 = 0x5424;
const TCSBRKP: u32 = 0x5425;
const TIOCGSID: u32 = 0x5429;
const TCGETS2: u32 = 0x802c_542a;
const TCSETS2: u32 = 0x402c_542b;
const TCSETSW2: u32 = 0x402c_542c;
const TCSETSF2: u32 = 0x402c_542d;
const TIOCGPTN: u32 = 0x8004_5430;
const TIOCSPTLCK: u32 = 0x4004_5431;
const TIOCSIG: u32 = 0x4004_5436;
const TIOCVHANGUP: u32 = 0x5437;
const TIOCGPKT: u32 = 0x8004_5438;
const TIOCGPTLCK: u32 = 0x8004_5439;
const TIOCGEXCL: u32 = 0x8004_5440;
const TIOCGPTPEER: u32 = 0x5441;

/// Of the programs' side.
pub fn program(terminal: &Arc<Terminal>, call: &mut Call<'_>, request: u32, argument: u64) -> Result<u64> {
    if terminal.state().hung_up {
        return Err(if matches!(request, TIOCSPGRP | TIOCGPGRP) { Errno::NOTTY } else { Errno::IO });
    }
    match request {
        FIONREAD => {
            let bytes = terminal.state().discipline.readable_bytes() as i32;
            call.write_value(argument, &bytes)?;
        }
        TIOCOUTQ => {
            let bytes = terminal.state().discipline.output.bytes.len() as i32;
            call.write_value(argument, &bytes)?;
        }
        TIOCSCTTY => job::take(call.task, terminal, argument == 1 && job::is_admin(call.task))?,
        TIOCNOTTY => job::give_up(call.task, terminal)?,
        TIOCGPGRP => {
            let group = job::foreground(call.task, terminal)?;
            call.write_value(argument, &group)?;
        }
        TIOCGSID => {
            let session = job::session_of(call.task, terminal).ok_or(Errno::NOTTY)?;
            call.write_value(argument, &session.id)?;
        }
        TIOCVHANGUP if job::is_admin(call.task) => terminal.hang_up(),
        // Typing for others is how a sandbox' process would reach beyond it.
        TIOCSTI | TIOCCONS | TIOCVHANGUP => return Err(Errno::PERM),
        _ => return both(terminal, call, request, argument, true),
    }
    Ok(0)
}

/// Of the screen's side.
pub fn screen(side: &ScreenSide, call: &mut Call<'_>, request: u32, argument: u64) -> Result<u64> {
    let terminal = &side.terminal;
    match request {
        FIONREAD => {
            let bytes = terminal.state().discipline.output.bytes.len() as i32;
            call.write_value(argument, &bytes)?;
        }
        TIOCOUTQ => call.write_value(argument, &0i32)?,
        TIOCGPTN => call.write_value(argument, &terminal.number)?,
        TIOCSPTLCK => {
            let locked: i32 = call.read_value(argument)?;
            terminal.state().locked = locked != 0;
        }
        TIOCGPTLCK => {
            let locked = i32::from(terminal.state().locked);
            call.write_value(argument, &locked)?;
        }
        TIOCPKT => {
            let on: i32 = call.read_value(argument)?;
            let mut state = terminal.state();
            state.packet = (on != 0).then(|| state.packet.unwrap_or(0));
        }
        TIOCGPKT => {
            let on = i32::from(terminal.state().packet.is_some());
            call.write_value(argument, &on)?;
        }
        TIOCSIG => {
            let signal = argument as i32;
            if !matches!(signal, libc::SIGINT | libc::SIGQUIT | libc::SIGTSTP) {
                return Err(Errno::INVAL);
            }
            terminal.signal_foreground(signal);
        }
        TIOCGPTPEER => {
            let file = ProgramSide::open_by(call.task, terminal, argument as u32, Some(side.pts.inode()))?;
            return call.install(file, argument as u32).map(|fd| fd as u64);
        }
        TIOCGPGRP => {
            let group = terminal.foreground_group();
            call.write_value(argument, &group)?;
        }
        TIOCGSID => {
            let session = terminal.controlled_session().ok_or(Errno::NOTTY)?;
            call.write_value(argument, &session.id)?;
        }
        TIOCSCTTY | TIOCNOTTY | TIOCSTI => return Err(Errno::NOTTY),
        _ => return both(terminal, call, request, argument, false),
    }
    Ok(0)
}

/// What is the same on both sides: settings and the window's size.
fn both(terminal: &Arc<Terminal>, call: &mut Call<'_>, request: u32, argument: u64, checked: bool) -> Result<u64> {
    match request {
        TCGETS | TCGETS2 => {
            let termios = terminal.state().discipline.termios;
            let size = if request == TCGETS { SHORT } else { size_of::<Termios>() };
            call.write(argument, termios.as_bytes().get(..size).unwrap_or_default())?;
        }
        TCSETS | TCSETSW | TCSETSF | TCSETS2 | TCSETSW2 | TCSETSF2 => {
            let long = matches!(request, TCSETS2 | TCSETSW2 | TCSETSF2);
            let termios = read_termios(terminal, call, argument, long)?;
            change(terminal, call, checked)?;
            terminal.set_termios(termios, matches!(request, TCSETSF | TCSETSF2));
        }
        TIOCGWINSZ => {
            let size = terminal.state().size;
            call.write_value(argument, &size)?;
        }
        TIOCSWINSZ => terminal.set_size(call.read_value(argument)?),
        TIOCSPGRP => {
            let group: i32 = call.read_value(argument)?;
            job::set_foreground(call.task, terminal, group)?;
        }
        TCFLSH => {
            change(terminal, call, checked)?;
            flush(terminal, argument)?;
        }
        TCXONC => {
            change(terminal, call, checked)?;
            flow(terminal, argument)?;
        }
        // What was written is with the other side already.
        TCSBRK | TCSBRKP => change(terminal, call, checked)?,
        TIOCEXCL => terminal.state().exclusive = true,
        TIOCNXCL => terminal.state().exclusive = false,
        TIOCGEXCL => {
            let exclusive = i32::from(terminal.state().exclusive);
            call.write_value(argument, &exclusive)?;
        }
        TIOCGETD => call.write_value(argument, &0i32)?,
        TIOCSETD if call.read_value::<i32>(argument)? == 0 => {}
        TIOCSETD => return Err(Errno::INVAL),
        _ => return Err(Errno::NOTTY),
    }
    Ok(0)
}

fn change(terminal: &Terminal, call: &Call<'_>, checked: bool) -> Result<()> {
    if checked { job::may_change(call.task, terminal) } else { Ok(()) }
}

fn read_termios(terminal: &Terminal, call: &mut Call<'_>, address: u64, long: bool) -> Result<Termios> {
    let mut termios = terminal.state().discipline.termios;
    let mut bytes = [0; size_of::<Termios>()];
    bytes.copy_from_slice(termios.as_bytes());
    let size = if long { bytes.len() } else { SHORT };
    call.read(address, bytes.get_mut(..size).unwrap_or_default())?;
    termios = Termios::read_from_bytes(&bytes).map_err(|_| Errno::INVAL)?;
    termios.settle_speeds();
    Ok(termios)
}

fn flush(terminal: &Terminal, which: u64) -> Result<()> {
    match which as i32 {
        libc::TCIFLUSH => terminal.flush(true, false),
        libc::TCOFLUSH => terminal.flush(false, true),
        libc::TCIOFLUSH => terminal.flush(true, true),
        _ => return Err(Errno::INVAL),
    }
    Ok(())
}

fn flow(terminal: &Terminal, action: u64) -> Result<()> {
    match action as i32 {
        libc::TCOOFF => terminal.stop(true),
        libc::TCOON => terminal.stop(false),
        // They send ^S and ^Q to the keyboard, which no pseudo-terminal's program minds.
        libc::TCIOFF | libc::TCION => {}
        _ => return Err(Errno::INVAL),
    }
    Ok(())
}
