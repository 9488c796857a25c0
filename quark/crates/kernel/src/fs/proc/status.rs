//! `/proc/PID/stat`, `status` and other small files about a process.

use std::sync::Arc;

use super::process::Subject;
use super::system::resident;
use crate::signal::set::SignalSet;
use crate::task::{Task, lock};
use crate::{Errno, Result};

/// `comm`, without its newline.
fn name(subject: &Subject) -> Vec<u8> {
    subject.task.as_ref().map_or_else(Vec::new, |task| lock(&task.name).clone())
}

pub(super) fn comm(subject: &Subject) -> Result<Vec<u8>> {
    let mut text = name(subject);
    text.push(b'\n');
    Ok(text)
}

/// Threads of the same process may change it.
pub(super) fn set_comm(subject: &Subject, from: &[u8]) -> Result<()> {
    let task = subject.task()?;
    if !Arc::ptr_eq(&super::asker()?.process, &subject.process) {
        return Err(Errno::INVAL);
    }
    let from = from.strip_suffix(b"\n").unwrap_or(from);
    let end = from.iter().position(|byte| *byte == 0).unwrap_or(from.len()).min(15);
    *lock(&task.name) = from.get(..end).unwrap_or_default().to_vec();
    Ok(())
}

pub(super) fn oom_score_adj(subject: &Subject) -> Result<Vec<u8>> {
    Ok(format!("{}\n", lock(&subject.process.details).oom_score_adjust).into_bytes())
}

/// Lower than before takes CAP_SYS_RESOURCE.
pub(super) fn set_oom_score_adj(subject: &Subject, from: &[u8]) -> Result<()> {
    let text = std::str::from_utf8(from).map_err(|_| Errno::INVAL)?;
    let value: i32 = text.trim().parse().map_err(|_| Errno::INVAL)?;
    if !(-1000..=1000).contains(&value) {
        return Err(Errno::INVAL);
    }
    let mut details = lock(&subject.process.details);
    let privileged = super::asker()?.credentials().capable(crate::vfs::permission::capability::SYS_RESOURCE);
    if value < details.oom_score_adjust && !privileged {
        return Err(Errno::ACCESS);
    }
    details.oom_score_adjust = value;
    Ok(())
}

pub(super) fn personality(subject: &Subject) -> Result<Vec<u8>> {
    Ok(format!("{:08x}\n", lock(&subject.process.details).personality).into_bytes())
}

pub(super) fn io(_: &Subject) -> Result<Vec<u8>> {
    let names = ["rchar", "wchar", "syscr", "syscw", "read_bytes", "write_bytes", "cancelled_write_bytes"];
    Ok(names.iter().map(|name| format!("{name}: 0\n")).collect::<String>().into_bytes())
}

const LIMITS: &[(&str, &str)] = &[
    ("Max cpu time", "seconds"),
    ("Max file size", "bytes"),
    ("Max data size", "bytes"),
    ("Max stack size", "bytes"),
    ("Max core file size", "bytes"),
    ("Max resident set", "bytes"),
    ("Max processes", "processes"),
    ("Max open files", "files"),
    ("Max locked memory", "bytes"),
    ("Max address space", "bytes"),
    ("Max file locks", "locks"),
    ("Max pending signals", "signals"),
    ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""),
    ("Max realtime priority", ""),
    ("Max realtime timeout", "us"),
];

pub(super) fn limits(subject: &Subject) -> Result<Vec<u8>> {
    let told = |limit: u64| if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() };
    let mut text = format!("{:<25} {:<20} {:<20} {:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for ((name, unit), limit) in LIMITS.iter().zip(*lock(&subject.process.limits)) {
        let unit = if unit.is_empty() { String::new() } else { format!("{unit:<10}") };
        text.push_str(&format!("{name:<25} {:<20} {:<20} {unit}\n", told(limit.soft), told(limit.hard)));
    }
    Ok(text.into_bytes())
}

pub(super) fn statm(subject: &Subject) -> Result<Vec<u8>> {
    if subject.task.is_none() {
        return Ok(b"0 0 0 0 0 0 0\n".to_vec());
    }
    let usage = lock(&subject.process.memory).usage();
    let pages = |bytes: u64| bytes / 4096;
    let resident = resident(&subject.process);
    let numbers = [usage.total, resident.total, resident.shared, usage.executable, 0, usage.data + usage.stack, 0];
    Ok(format!("{}\n", numbers.map(|bytes| pages(bytes).to_string()).join(" ")).into_bytes())
}

/// R, S, T or Z, of the thread or the process.
fn state(subject: &Subject) -> char {
    match (&subject.task, subject.thread) {
        (Some(task), true) if task.sleeps() => 'S',
        (Some(_), true) => 'R',
        _ => subject.process.state(),
    }
}

fn state_words(letter: char) -> &'static str {
    match letter {
        'R' => "R (running)",
        'S' => "S (sleeping)",
        'T' => "T (stopped)",
        _ => "Z (zombie)",
    }
}

/// Parent, group, session, terminal and its foreground group.
fn family(subject: &Subject) -> (i32, i32, i32, u64, i32) {
    let process = &subject.process;
    let session = process.session();
    let terminal = session.as_ref().and_then(|session| session.terminal());
    let device = terminal.as_ref().map_or(0, |terminal| terminal.device());
    let foreground = if terminal.is_some() { session.as_ref().map_or(-1, |session| session.foreground()) } else { -1 };
    (process.parent_id(), process.group(), session.map_or(0, |session| session.id), device, foreground)
}

/// Signal sets: pending, blocked, ignored, caught.
fn signals(subject: &Subject) -> [u64; 4] {
    let Some(task) = &subject.task else { return [0; 4] };
    let actions = subject.process.signals.actions();
    let actions = lock(&actions);
    let told = |set: SignalSet| set.0;
    [told(task.signals.pending(&subject.process.signals)), told(task.signals.blocked()), told(actions.ignored()), told(actions.handled())]
}

pub(super) fn stat(subject: &Subject) -> Result<Vec<u8>> {
    let process = &subject.process;
    let (parent, group, session, terminal, foreground) = family(subject);
    let (times, details) = (process.times(), lock(&process.details).clone());
    let memory = lock(&process.memory).clone();
    let (usage, image) = (memory.usage(), memory.image());
    let looks = subject.may_look().is_ok();
    let address = |address: u64| if looks { address } else { 0 };
    let [pending, blocked, ignored, caught] = signals(subject).map(|set| set & 0x7fff_ffff);
    let nice = subject.task.as_ref().map_or(0, |task| lock(&task.own).scheduling.nice);
    let id = subject.task.as_ref().filter(|_| subject.thread).map_or(process.pid, |task| task.tid());
    let limit = process.limit(libc::RLIMIT_RSS);
    let mut text = format!("{id} (").into_bytes();
    text.extend(name(subject));
    let numbers: Vec<String> = vec![
        format!(") {}", state(subject)),
        format!("{parent} {group} {session} {terminal} {foreground}"),
        // Flags, and faults: minor, of children, major, of children.
        "4194304 0 0 0 0".into(),
        format!("{} {}", times.user_ticks(), times.system_ticks()),
        format!("{} {}", details.children_time.user_ticks(), details.children_time.system_ticks()),
        format!("{} {nice} {} 0", 20 + nice, process.threads().len().max(1)),
        format!("{}", details.started / 10_000_000),
        format!("{} {} {limit}", usage.total, resident(process).total / 4096),
        format!("{} {} {} 0 0", address(image.code.0), address(image.code.1), address(image.stack)),
        format!("{pending} {blocked} {ignored} {caught}"),
        // wchan, nswap, cnswap, exit signal, processor, real-time priority, policy, delays, guest times.
        format!("0 0 0 {} 0 0 0 0 0 0", libc::SIGCHLD),
        format!("{} {} {}", address(image.data.0), address(image.data.1), address(image.data.1)),
        format!("{} {}", address(image.arguments.0), address(image.arguments.1)),
        format!("{} {} 0", address(image.environment.0), address(image.environment.1)),
    ];
    text.extend(numbers.join(" ").bytes());
    text.push(b'\n');
    Ok(text)
}

pub(super) fn status(subject: &Subject) -> Result<Vec<u8>> {
    let process = &subject.process;
    let parent = process.parent_id();
    let id = subject.task.as_ref().filter(|_| subject.thread).map_or(process.pid, |task| task.tid());
    let mut text = b"Name:\t".to_vec();
    text.extend(name(subject).into_iter().flat_map(|byte| match byte {
        b'\n' => b"\\n".to_vec(),
        b'\\' => b"\\\\".to_vec(),
        byte => vec![byte],
    }));
    let umask = subject.task.as_ref().map_or(0, |task| task.fs().umask());
    text.extend(
        format!(
            "\nUmask:\t{umask:04o}\nState:\t{}\nTgid:\t{pid}\nNgid:\t0\nPid:\t{id}\nPPid:\t{parent}\nTracerPid:\t0\n",
            state_words(state(subject)),
            pid = process.pid
        )
        .bytes(),
    );
    if let Some(task) = &subject.task {
        text.extend(identity(subject, task).bytes());
        text.extend(memory(subject).bytes());
        text.extend(rest(subject, task).bytes());
    }
    Ok(text)
}

fn identity(subject: &Subject, task: &Task) -> String {
    let who = task.credentials();
    // With a space behind the last one, also if there is none.
    let groups = who.groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" ") + " ";
    let process = &subject.process;
    format!(
        "Uid:\t{}\t{}\t{}\t{}\nGid:\t{}\t{}\t{}\t{}\nFDSize:\t{}\nGroups:\t{groups}\nNStgid:\t{pid}\nNSpid:\t{}\nNSpgid:\t{}\nNSsid:\t{}\n",
        who.uid,
        who.euid,
        who.suid,
        who.fsuid,
        who.gid,
        who.egid,
        who.sgid,
        who.fsgid,
        (task.files().list().len().max(1)).next_power_of_two().max(64),
        if subject.thread { task.tid() } else { process.pid },
        process.group(),
        process.session().map_or(0, |session| session.id),
        pid = process.pid,
    )
}

fn memory(subject: &Subject) -> String {
    let usage = lock(&subject.process.memory).usage();
    let resident = resident(&subject.process);
    let rows = [
        ("VmPeak", usage.total),
        ("VmSize", usage.total),
        ("VmLck", usage.locked),
        ("VmPin", 0),
        ("VmHWM", resident.total),
        ("VmRSS", resident.total),
        ("RssAnon", resident.total.saturating_sub(resident.shared)),
        ("RssFile", resident.shared),
        ("RssShmem", 0),
        ("VmData", usage.data),
        ("VmStk", usage.stack),
        ("VmExe", usage.executable),
        ("VmLib", usage.libraries),
        ("VmPTE", 0),
        ("VmSwap", 0),
    ];
    rows.iter().map(|(name, bytes)| format!("{name}:\t{:>8} kB\n", bytes / 1024)).collect()
}

fn rest(subject: &Subject, task: &Task) -> String {
    let process = &subject.process;
    let [pending, blocked, ignored, caught] = signals(subject);
    let who = task.credentials();
    let count = super::processors();
    let mask = if count >= 32 { u32::MAX } else { (1 << count) - 1 };
    let (seccomp, filters) = task.seccomp.state();
    let queued = process.limit(libc::RLIMIT_SIGPENDING);
    let list = if count > 1 { format!("0-{}", count - 1) } else { "0".into() };
    format!(
        "Threads:\t{}\nSigQ:\t0/{queued}\nSigPnd:\t{pending:016x}\nShdPnd:\t{:016x}\nSigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\n\
         SigCgt:\t{caught:016x}\nCapInh:\t{:016x}\nCapPrm:\t{:016x}\nCapEff:\t{:016x}\nCapBnd:\t{:016x}\nCapAmb:\t{:016x}\n\
         NoNewPrivs:\t{}\nSeccomp:\t{seccomp}\nSeccomp_filters:\t{filters}\nSpeculation_Store_Bypass:\tvulnerable\nCpus_allowed:\t{mask:x}\n\
         Cpus_allowed_list:\t{list}\nMems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n",
        process.threads().len(),
        0,
        who.inheritable,
        who.permitted,
        who.effective,
        who.bounding,
        who.ambient,
        u8::from(who.no_new_privileges),
    )
}
