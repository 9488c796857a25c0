//! Names of capabilities, limits and signals, and the numbers that Linux has for them (`man 7 capabilities`, `man 2 getrlimit`, `man 7 signal`; x86-64).

/// Capabilities by number.
pub const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Limits by number.
pub const LIMITS: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

/// Signals by number, from 1.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD",
    "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The highest signal number.
const SIGNAL_MAX: i32 = 64;

/// The number of a capability; names are as in config.json.
pub fn capability(name: &str) -> Option<u32> {
    (0..).zip(CAPABILITIES).find(|(_, known)| *known == name).map(|(number, _)| number)
}

/// The number of a limit.
pub fn limit_index(name: &str) -> Option<usize> {
    LIMITS.iter().position(|known| *known == name)
}

/// The number of a signal: `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`, `RTMAX-1`.
pub fn signal_number(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse::<i32>() {
        return (1..=SIGNAL_MAX).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(number) = (1..).zip(SIGNALS).find(|(_, known)| *known == bare).map(|(number, _)| number) {
        return Some(number);
    }
    match bare {
        "IOT" => Some(6),
        "CLD" => Some(17),
        "POLL" => Some(29),
        _ => real_time(bare),
    }
}

fn real_time(name: &str) -> Option<i32> {
    let (base, rest, sign) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => (34, rest.strip_prefix('+'), 1),
        (_, Some(rest)) => (SIGNAL_MAX, rest.strip_prefix('-'), -1),
        _ => return None,
    };
    let offset = match rest {
        None if name.len() == 5 => 0,
        None => return None,
        Some(digits) => digits.parse::<u8>().ok()?,
    };
    let number = base + sign * i32::from(offset);
    (34..=SIGNAL_MAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_linux_numbers() {
        assert_eq!(capability("CAP_SYS_ADMIN"), Some(21));
        assert_eq!(capability("CAP_CHECKPOINT_RESTORE"), Some(40));
        assert_eq!(capability("SYS_ADMIN"), None);
        assert_eq!(limit_index("RLIMIT_NOFILE"), Some(7));
        assert_eq!(limit_index("NOFILE"), None);
        for (name, number) in
            [("9", 9), ("KILL", 9), ("SIGTERM", 15), ("sigusr2", 12), ("SYS", 31), ("RTMIN+3", 37), ("SIGRTMAX", 64), ("RTMAX-30", 34)]
        {
            assert_eq!(signal_number(name), Some(number), "{name}");
        }
        for name in ["0", "65", "-1", "", "SIG", "SIGFOO", "RTMIN+31", "RTMAX-31", "RTMINX", "RTMIN+"] {
            assert_eq!(signal_number(name), None, "{name}");
        }
    }
}
