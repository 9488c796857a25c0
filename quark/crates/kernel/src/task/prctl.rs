//! `prctl(2)` and `arch_prctl(2)`.

use super::credentials::{ALL_CAPABILITIES, secure};
use super::identity::set_credentials;
use super::lock;
use crate::call::Call;
use crate::seccomp;
use crate::signal::set::is_signal;
use crate::{Errno, Result};

const CAP_SETPCAP: u32 = 8;
/// TASK_COMM_LEN.
const NAME_SIZE: usize = 16;
/// What a timer may be late by if nothing was said, nanoseconds.
const TIMER_SLACK: u64 = 50_000;
/// PR_SET_VMA, and its only option.
const PR_SET_VMA: i32 = 0x5356_4d41;
const PR_CAP_AMBIENT: i32 = 47;
const PR_GET_SPECULATION_CTRL: i32 = 52;
const PR_SET_SPECULATION_CTRL: i32 = 53;
const PR_SET_MDWE: i32 = 65;
const PR_GET_MDWE: i32 = 66;
const PR_GET_AUXV: i32 = 0x4155_5856;

/// `prctl(2)`.
pub fn prctl(call: &mut Call<'_>) -> Result<u64> {
    let argument = call.arg(1);
    match call.int(0) {
        libc::PR_SET_NAME => set_name(call),
        libc::PR_GET_NAME => get_name(call),
        libc::PR_SET_PDEATHSIG => set_parent_death_signal(call),
        libc::PR_GET_PDEATHSIG => {
            let signal = lock(&call.task.own).parent_death_signal;
            call.write_value(argument, &signal).map(|()| 0)
        }
        libc::PR_SET_DUMPABLE if argument <= 1 => {
            lock(&call.task.process.details).dumpable = argument as i32;
            Ok(0)
        }
        libc::PR_GET_DUMPABLE => Ok(lock(&call.task.process.details).dumpable as u64),
        libc::PR_SET_KEEPCAPS if argument <= 1 => set_keep_capabilities(call, argument == 1),
        libc::PR_GET_KEEPCAPS => Ok(u64::from(call.task.credentials().secure_bits & secure::KEEP_CAPS != 0)),
        libc::PR_SET_TIMERSLACK => {
            lock(&call.task.own).timer_slack = if argument as i64 <= 0 { TIMER_SLACK } else { argument };
            Ok(0)
        }
        libc::PR_GET_TIMERSLACK => Ok(match lock(&call.task.own).timer_slack {
            0 => TIMER_SLACK,
            slack => slack,
        }),
        libc::PR_SET_CHILD_SUBREAPER => set_subreaper(call, argument != 0),
        libc::PR_GET_CHILD_SUBREAPER => {
            let process = &call.task.process;
            let subreaper = process.container.pids.table().family.get(process.pid).is_some_and(|member| member.subreaper);
            call.write_value(argument, &i32::from(subreaper)).map(|()| 0)
        }
        libc::PR_SET_NO_NEW_PRIVS if [argument, call.arg(2), call.arg(3), call.arg(4)] == [1, 0, 0, 0] => {
            change(call, |who| who.no_new_privileges = true)
        }
        libc::PR_GET_NO_NEW_PRIVS if [argument, call.arg(2), call.arg(3), call.arg(4)] == [0; 4] => {
            Ok(call.task.credentials().no_new_privileges.into())
        }
        libc::PR_CAPBSET_READ | libc::PR_CAPBSET_DROP | libc::PR_SET_SECUREBITS | libc::PR_GET_SECUREBITS | PR_CAP_AMBIENT => {
            capabilities(call)
        }
        libc::PR_SET_THP_DISABLE if [call.arg(2), call.arg(3), call.arg(4)] == [0; 3] => {
            lock(&call.task.process.details).no_huge_pages = argument != 0;
            Ok(0)
        }
        libc::PR_GET_THP_DISABLE => Ok(lock(&call.task.process.details).no_huge_pages.into()),
        libc::PR_GET_TID_ADDRESS => {
            let address = lock(&call.task.own).clear_tid;
            call.write_value(argument, &address).map(|()| 0)
        }
        _ => harmless(call),
    }
}

/// Options that change nothing here, answered as a Linux without the feature or with it off would.
fn harmless(call: &mut Call<'_>) -> Result<u64> {
    match call.int(0) {
        // Names of private memory, which we don't show: EINVAL is what a kernel without CONFIG_ANON_VMA_NAME says.
        PR_SET_VMA => Err(Errno::INVAL),
        libc::PR_GET_TIMING => Ok(0),
        libc::PR_SET_TIMING if call.arg(1) == 0 => Ok(0),
        libc::PR_GET_SECCOMP => Ok(call.task.seccomp.state().0.into()),
        libc::PR_SET_SECCOMP => seccomp::set_by_prctl(call),
        libc::PR_SET_PTRACER => Ok(0),
        libc::PR_GET_TSC => call.write_value(call.arg(1), &1i32).map(|()| 0),
        libc::PR_SET_TSC if call.arg(1) == 1 => Ok(0),
        libc::PR_MCE_KILL | libc::PR_MCE_KILL_GET => Ok(0),
        PR_GET_SPECULATION_CTRL | PR_SET_SPECULATION_CTRL => Err(Errno::NODEV),
        PR_GET_MDWE => Ok(0),
        PR_SET_MDWE | PR_GET_AUXV => Err(Errno::INVAL),
        libc::PR_SET_MM => Err(Errno::PERM),
        libc::PR_TASK_PERF_EVENTS_DISABLE | libc::PR_TASK_PERF_EVENTS_ENABLE => Ok(0),
        _ => Err(Errno::INVAL),
    }
}

fn change(call: &Call<'_>, change: impl FnOnce(&mut super::Credentials)) -> Result<u64> {
    let mut who = (*call.task.credentials()).clone();
    change(&mut who);
    set_credentials(call.task, who);
    Ok(0)
}

fn set_name(call: &mut Call<'_>) -> Result<u64> {
    let mut name = Vec::new();
    // Not a string that has to end: the first 15 bytes count.
    for at in 0..NAME_SIZE as u64 - 1 {
        let byte: u8 = call.read_value(call.arg(1).wrapping_add(at))?;
        if byte == 0 {
            break;
        }
        name.push(byte);
    }
    *lock(&call.task.name) = name;
    Ok(0)
}

fn get_name(call: &mut Call<'_>) -> Result<u64> {
    let mut name = lock(&call.task.name).clone();
    name.resize(NAME_SIZE, 0);
    call.write(call.arg(1), &name)?;
    Ok(0)
}

fn set_parent_death_signal(call: &mut Call<'_>) -> Result<u64> {
    let signal = call.arg(1);
    if signal > i32::MAX as u64 || signal != 0 && !is_signal(signal as i32) {
        return Err(Errno::INVAL);
    }
    lock(&call.task.own).parent_death_signal = signal as i32;
    Ok(0)
}

fn set_subreaper(call: &mut Call<'_>, on: bool) -> Result<u64> {
    let process = &call.task.process;
    if let Some(member) = process.container.pids.table().family.get_mut(process.pid) {
        member.subreaper = on;
    }
    Ok(0)
}

fn set_keep_capabilities(call: &mut Call<'_>, on: bool) -> Result<u64> {
    if call.task.credentials().secure_bits & secure::KEEP_CAPS_LOCKED != 0 {
        return Err(Errno::PERM);
    }
    change(call, |who| who.secure_bits = who.secure_bits & !secure::KEEP_CAPS | if on { secure::KEEP_CAPS } else { 0 })
}

fn capabilities(call: &mut Call<'_>) -> Result<u64> {
    let argument = call.arg(1);
    let who = call.task.credentials();
    let known = |capability: u64| (capability < 64 && ALL_CAPABILITIES >> capability & 1 == 1).then_some(1u64 << (capability & 63));
    match call.int(0) {
        libc::PR_CAPBSET_READ => Ok(u64::from(who.bounding & known(argument).ok_or(Errno::INVAL)? != 0)),
        libc::PR_CAPBSET_DROP => {
            if !who.capable(CAP_SETPCAP) {
                return Err(Errno::PERM);
            }
            let bit = known(argument).ok_or(Errno::INVAL)?;
            change(call, |who| who.bounding &= !bit)
        }
        libc::PR_GET_SECUREBITS => Ok(who.secure_bits.into()),
        libc::PR_SET_SECUREBITS => set_secure_bits(call, argument),
        _ => ambient(call, argument as i32, known(call.arg(2))),
    }
}

fn set_secure_bits(call: &Call<'_>, wanted: u64) -> Result<u64> {
    let who = call.task.credentials();
    let wanted = u32::try_from(wanted).map_err(|_| Errno::PERM)?;
    let locked = (who.secure_bits & secure::LOCKS) >> 1;
    let broken = locked & (who.secure_bits ^ wanted) != 0 || who.secure_bits & secure::LOCKS & !wanted != 0;
    if broken || wanted & !secure::ALL != 0 || !who.capable(CAP_SETPCAP) {
        return Err(Errno::PERM);
    }
    change(call, |who| who.secure_bits = wanted)
}

/// PR_CAP_AMBIENT.
fn ambient(call: &Call<'_>, command: i32, bit: Option<u64>) -> Result<u64> {
    let who = call.task.credentials();
    if command == libc::PR_CAP_AMBIENT_CLEAR_ALL {
        return change(call, |who| who.ambient = 0);
    }
    let bit = bit.ok_or(Errno::INVAL)?;
    match command {
        libc::PR_CAP_AMBIENT_IS_SET => Ok(u64::from(who.ambient & bit != 0)),
        libc::PR_CAP_AMBIENT_LOWER => change(call, |who| who.ambient &= !bit),
        libc::PR_CAP_AMBIENT_RAISE => {
            if who.permitted & who.inheritable & bit == 0 || who.secure_bits & secure::NO_CAP_AMBIENT_RAISE != 0 {
                return Err(Errno::PERM);
            }
            change(call, |who| who.ambient |= bit)
        }
        _ => Err(Errno::INVAL),
    }
}

const ARCH_SET_GS: u64 = 0x1001;
const ARCH_SET_FS: u64 = 0x1002;
const ARCH_GET_FS: u64 = 0x1003;
const ARCH_GET_GS: u64 = 0x1004;
const ARCH_GET_CPUID: u64 = 0x1011;

/// `arch_prctl(2)`: EPERM for a base that is no user address.
pub fn arch_prctl(call: &mut Call<'_>) -> Result<u64> {
    let address = call.arg(1);
    match call.arg(0) {
        ARCH_SET_FS | ARCH_SET_GS if address >= 1 << 47 => Err(Errno::PERM),
        ARCH_SET_FS => {
            call.registers.fs_base = address;
            Ok(0)
        }
        ARCH_SET_GS => {
            call.registers.gs_base = address;
            Ok(0)
        }
        ARCH_GET_FS => {
            let base = call.registers.fs_base;
            call.write_value(address, &base).map(|()| 0)
        }
        ARCH_GET_GS => {
            let base = call.registers.gs_base;
            call.write_value(address, &base).map(|()| 0)
        }
        ARCH_GET_CPUID => Ok(1),
        _ => Err(Errno::INVAL),
    }
}
