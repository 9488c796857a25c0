//! The table of verbs and flags. Names are runc's where runc has them, as containerd, Docker, Podman and CRI-O call runtimes that way.

use super::{Flag, Verb};

const fn switch(long: &'static str, help: &'static str) -> Flag {
    Flag { long, short: None, value: None, help }
}

const fn takes(long: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { long, short: None, value: Some(value), help }
}

const fn short(letter: char, flag: Flag) -> Flag {
    Flag { short: Some(letter), ..flag }
}

/// Flags that stand before the verb, or behind it.
pub const GLOBAL: &[Flag] = &[
    takes("root", "DIRECTORY", "Where containers' state is kept (default /run/quark)"),
    takes("disk", "DIRECTORY", "Where the memory of pods that sleep is kept, on a disk (default /var/lib/quark)"),
    takes("log", "FILE", "Where to append log lines (default: warnings to standard error)"),
    takes("log-format", "text|json", "How log lines look (default text)"),
    switch("debug", "Log what is ignored and why, too"),
    takes(
        "channel",
        "SOCKET",
        "Where the node's `quark channel` is, if it is anywhere (default QUARK_CHANNEL of the environment, or /run/quark-channel.sock)",
    ),
    switch("systemd-cgroup", "cgroupsPath is SLICE:PREFIX:NAME, as systemd names cgroups"),
    takes("rootless", "true|false|auto", "Accepted for runc's sake: containers never have rights on the host"),
    takes("criu", "PATH", "Accepted for runc's sake: not used"),
    short('h', switch("help", "Explain the command")),
    short('v', switch("version", "Say which version this is")),
];

const BUNDLE: Flag = short('b', takes("bundle", "DIRECTORY", "Where config.json is (default: the working directory)"));
const CONSOLE_SOCKET: Flag = takes("console-socket", "SOCKET", "Unix socket that gets the terminal's master side (process.terminal)");
const PID_FILE: Flag = takes("pid-file", "FILE", "Where to write the process id that ends with the container's exit status");
const PRESERVE_FDS: Flag = takes("preserve-fds", "N", "Pass descriptors 3 to 3+N-1 on to the process");
const NO_PIVOT: Flag = switch("no-pivot", "Accepted for runc's sake: the host's root is never seen");
const NO_KEYRING: Flag = switch("no-new-keyring", "Accepted for runc's sake: containers never see the host's keyrings");
const PIDFD_SOCKET: Flag = takes("pidfd-socket", "SOCKET", "Unix socket that gets a pidfd of the process");

const fn verb(name: &'static str, operands: &'static str, summary: &'static str, flags: &'static [Flag]) -> Verb {
    Verb { name, operands, summary, details: "", flags, count: (1, 1), command_follows: false, hidden: false }
}

/// Every verb.
pub const VERBS: &[Verb] = &[
    Verb {
        details: "Makes a container from a bundle, with a kernel of its own, and stops right before its program runs: `quark start` goes \
                  on. The container's standard streams are those of this command.\n\nA container whose annotations name a sandbox \
                  (io.kubernetes.cri.sandbox-id) that is here runs on that sandbox's kernel.",
        ..verb(
            "create",
            "ID",
            "Make a container, without running its program yet",
            &[BUNDLE, CONSOLE_SOCKET, PID_FILE, PIDFD_SOCKET, NO_PIVOT, NO_KEYRING, PRESERVE_FDS],
        )
    },
    verb("start", "ID", "Run the program of a created container", &[]),
    Verb {
        details: "Is `create`, `start`, waiting, and `delete`. The exit code is the program's (128 and the signal's number if one killed it).",
        ..verb(
            "run",
            "ID",
            "Make a container, run it, wait for its end and delete it",
            &[
                BUNDLE,
                short('d', switch("detach", "Don't wait and don't delete")),
                CONSOLE_SOCKET,
                PID_FILE,
                PIDFD_SOCKET,
                switch("keep", "Don't delete it at its end"),
                switch("no-subreaper", "Accepted for runc's sake: nothing to adopt"),
                NO_PIVOT,
                NO_KEYRING,
                PRESERVE_FDS,
            ],
        )
    },
    Verb {
        details: "Prints the state as JSON: ociVersion, id, status (creating, created, running, paused, stopped), pid, bundle, annotations.",
        ..verb("state", "ID", "Print a container's state", &[])
    },
    Verb {
        count: (1, 2),
        details: "SIGNAL is a number or a name, with or without SIG (default SIGTERM).",
        ..verb("kill", "ID [SIGNAL]", "Send a signal to a container", &[short('a', switch("all", "To all of its processes"))])
    },
    verb(
        "delete",
        "ID",
        "Remove what is left of a container",
        &[short('f', switch("force", "Kill it first if it runs; no error if it isn't there"))],
    ),
    Verb {
        count: (1, usize::MAX),
        command_follows: true,
        details: "Without --detach the exit code is the command's.",
        ..verb(
            "exec",
            "ID COMMAND [ARGUMENT…] | --process FILE ID",
            "Run another process in a container",
            &[
                CONSOLE_SOCKET,
                takes("cwd", "DIRECTORY", "Its working directory"),
                short('e', takes("env", "NAME=VALUE", "A variable of its environment; may be repeated")),
                short('t', switch("tty", "Give it a terminal")),
                short('u', takes("user", "UID[:GID]", "Whose process it is")),
                short('g', takes("additional-gids", "GID", "Further group; may be repeated")),
                short('p', takes("process", "FILE", "The process as JSON, as in config.json")),
                short('d', switch("detach", "Don't wait for its end")),
                PID_FILE,
                PIDFD_SOCKET,
                takes("process-label", "LABEL", "Accepted for runc's sake: SELinux does not see guests"),
                takes("apparmor", "PROFILE", "Accepted for runc's sake: AppArmor does not see guests"),
                switch("no-new-privs", "Its programs can't gain privileges"),
                short('c', takes("cap", "CAP_NAME", "Add a capability; may be repeated")),
                PRESERVE_FDS,
                takes("cgroup", "PATH", "Accepted for runc's sake: processes share the container's limits"),
                switch("ignore-paused", "Don't fail if the container is paused: the process runs after `resume`"),
            ],
        )
    },
    Verb {
        count: (1, usize::MAX),
        ..verb(
            "ps",
            "ID",
            "List a container's processes",
            &[short('f', takes("format", "table|json", "json prints process ids of the host (default table)"))],
        )
    },
    Verb {
        count: (0, 0),
        ..verb(
            "list",
            "",
            "List the containers under --root",
            &[short('f', takes("format", "table|json", "How (default table)")), short('q', switch("quiet", "Only their ids"))],
        )
    },
    verb(
        "events",
        "ID",
        "Print what a container uses, now and then",
        &[takes("interval", "DURATION", "How often, such as 500ms, 5s or 1m (default 5s)"), switch("stats", "Once, now")],
    ),
    verb("pause", "ID", "Stop all processes of a container's pod where they are", &[]),
    verb("resume", "ID", "Let them go on", &[]),
    Verb {
        details: "All threads of the pod must wait for something. Its memory is in a file then, and its processes have none; the kernel holds \
                  its sockets, files and timers, and the first event that one of its threads waits for wakes it. If that fails, the pod \
                  runs on as before. With --timers hold, waits that only end in time (poll, futex, nanosleep) don't wake it.",
        ..verb(
            "hibernate",
            "ID",
            "Put the memory of a container's pod into a file, until something happens",
            &[takes("timers", "wake|hold", "Whether the end of a wait in time wakes it (default wake)")],
        )
    },
    verb("wake", "ID", "Take the memory of a container's pod back", &[]),
    verb(
        "update",
        "ID",
        "Change a container's limits",
        &[
            short('r', takes("resources", "FILE", "linux.resources as JSON; - is standard input")),
            takes("memory", "BYTES", "Memory limit"),
            takes("memory-reservation", "BYTES", "Memory soft limit"),
            takes("memory-swap", "BYTES", "Memory and swap; -1 is no limit"),
            takes("cpu-period", "µs", "Period of the processor quota"),
            takes("cpu-quota", "µs", "Processor time a period; -1 is no limit"),
            takes("cpu-share", "N", "Weight against other containers, 2 to 262144"),
            takes("cpuset-cpus", "LIST", "Processors, such as 0-2,5"),
            takes("cpuset-mems", "LIST", "Memory nodes"),
            takes("pids-limit", "N", "Processes; -1 is no limit"),
            takes("blkio-weight", "N", "Weight of block I/O, 10 to 1000"),
        ],
    ),
    Verb { count: (0, 0), ..verb("features", "", "Print as JSON what of the runtime specification is supported", &[]) },
    Verb { count: (0, 0), ..verb("spec", "", "Write a config.json to start from", &[BUNDLE]) },
    verb("wait", "ID", "Wait for a container's end, and exit like its program", &[]),
    Verb {
        count: (0, 0),
        details: "For the control side of a node, which writes plans as lines of JSON to the control socket: `pods` of this node, `sets` with what \
                  policies say of who connects to them, `identities` that are known, other `nodes`. Each is answered by a line that tells how many \
                  pods and connections there are; an empty line asks for that alone. Pods of --root that are in the plan use it, and those that \
                  are made while it runs. It ends when there is neither a control side nor a pod.",
        ..verb(
            "channel",
            "",
            "Give the pods of this node connections past its network",
            &[
                takes("listen", "ADDRESS:PORT", "Where the services of other nodes connect to"),
                takes("control", "PATH", "Where the control side connects to"),
                takes("socket", "PATH", "Where pods come (default /run/quark-channel.sock)"),
            ],
        )
    },
    Verb {
        hidden: true,
        count: (0, 0),
        ..verb("wait-for", "", "Ends like a process in a sandbox. Standard input is its kernel's socket", &[])
    },
];
