//! Priorities, processors and scheduling.

use crate::support::{in_child, spawn, wait_for, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(nice),
    case!(priority_errors),
    case!(affinity),
    case!(affinity_errors),
    case!(policies),
    case!(policy_errors),
    case!(attributes),
    case!(io_priority),
    case!(yields),
];

fn nice(t: &Trace) {
    t.call("get", sys!(SYS_getpriority, PRIO_PROCESS, 0));
    t.call("set", sys!(SYS_setpriority, PRIO_PROCESS, 0, 5));
    t.call("get", sys!(SYS_getpriority, PRIO_PROCESS, 0));
    t.show("child", in_child(|| t.call("inherited", sys!(SYS_getpriority, PRIO_PROCESS, 0))));
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("lower", sys!(SYS_setpriority, PRIO_PROCESS, 0, 10));
        t.call("raise", sys!(SYS_setpriority, PRIO_PROCESS, 0, 3));
    });
    t.show("child", end);
    t.call("too far", sys!(SYS_setpriority, PRIO_PROCESS, 0, 100));
    t.call("is", sys!(SYS_getpriority, PRIO_PROCESS, 0));
}

fn priority_errors(t: &Trace) {
    t.call("which", sys!(SYS_getpriority, 9, 0));
    t.call("nobody", sys!(SYS_getpriority, PRIO_PROCESS, 32_000));
    t.call("no user", sys!(SYS_getpriority, PRIO_USER, 54_321));
    t.call("set nobody", sys!(SYS_setpriority, PRIO_PROCESS, 32_000, 1));
    t.call("group", sys!(SYS_getpriority, PRIO_PGRP, 0));
}

fn affinity(t: &Trace) {
    let mut set = [0u64; 16];
    t.show("get", sys!(SYS_sched_getaffinity, 0, 128, set.as_mut_ptr()) > 0);
    t.show("some", set.iter().any(|word| *word != 0));
    let first = 1u64 << set[0].trailing_zeros();
    t.call("set", sys!(SYS_sched_setaffinity, 0, 8, &raw const first));
    let mut now = [0u64; 16];
    sys!(SYS_sched_getaffinity, 0, 128, now.as_mut_ptr());
    t.show("one", now[0] == first);
    // Where it runs then is not looked at: quark tells the mask and does not apply it.
    t.show(
        "child",
        in_child(|| {
            sys!(SYS_sched_getaffinity, 0, 128, now.as_mut_ptr());
            t.show("inherited", now[0] == first);
        }),
    );
}

fn affinity_errors(t: &Trace) {
    let mut set = [0u64; 16];
    t.call("small", sys!(SYS_sched_getaffinity, 0, 1, set.as_mut_ptr()));
    t.call("uneven", sys!(SYS_sched_getaffinity, 0, 13, set.as_mut_ptr()));
    t.call("nobody", sys!(SYS_sched_getaffinity, 32_000, 128, set.as_mut_ptr()));
    t.call("bad pointer", sys!(SYS_sched_getaffinity, 0, 128, 8));
    set = [0; 16];
    t.call("none", sys!(SYS_sched_setaffinity, 0, 128, set.as_ptr()));
    t.call("bad set", sys!(SYS_sched_setaffinity, 0, 128, 8));
}

fn policies(t: &Trace) {
    let parameter = 0i32;
    t.call("get", sys!(SYS_sched_getscheduler, 0));
    for policy in [SCHED_BATCH, SCHED_IDLE, SCHED_OTHER] {
        t.call("set", sys!(SYS_sched_setscheduler, 0, policy, &raw const parameter));
        t.call("get", sys!(SYS_sched_getscheduler, 0));
    }
    for policy in [SCHED_OTHER, SCHED_FIFO, SCHED_RR] {
        t.call("least", sys!(SYS_sched_get_priority_min, policy));
        t.call("most", sys!(SYS_sched_get_priority_max, policy));
    }
    let mut got = 9i32;
    t.call("parameter", sys!(SYS_sched_getparam, 0, &raw mut got));
    t.show("value", got);
    t.call("set parameter", sys!(SYS_sched_setparam, 0, &raw const parameter));
    let mut interval: timespec = zeroed();
    t.call("interval", sys!(SYS_sched_rr_get_interval, 0, &raw mut interval));
}

fn policy_errors(t: &Trace) {
    let one = 1i32;
    t.call("policy", sys!(SYS_sched_setscheduler, 0, 99, &raw const one));
    t.call("priority", sys!(SYS_sched_setscheduler, 0, SCHED_OTHER, &raw const one));
    t.call("nobody", sys!(SYS_sched_getscheduler, 32_000));
    t.call("negative", sys!(SYS_sched_getscheduler, -1));
    t.call("null", sys!(SYS_sched_setscheduler, 0, SCHED_OTHER, 0));
    t.call("least", sys!(SYS_sched_get_priority_min, 99));
    t.call("parameter", sys!(SYS_sched_getparam, 32_000, &raw const one));
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("real time", sys!(SYS_sched_setscheduler, 0, SCHED_FIFO, &raw const one));
    });
    t.show("child", end);
}

fn attributes(t: &Trace) {
    let mut attributes = [0u32; 12];
    t.call("get", sys!(SYS_sched_getattr, 0, attributes.as_mut_ptr(), 48, 0));
    t.show("policy", attributes[1]);
    t.call("small", sys!(SYS_sched_getattr, 0, attributes.as_mut_ptr(), 8, 0));
    t.call("flags", sys!(SYS_sched_getattr, 0, attributes.as_mut_ptr(), 48, 1));
    t.call("nobody", sys!(SYS_sched_getattr, 32_000, attributes.as_mut_ptr(), 48, 0));
    attributes = [0; 12];
    attributes[0] = 48;
    attributes[4] = 3;
    t.call("set", sys!(SYS_sched_setattr, 0, attributes.as_ptr(), 0));
    t.call("nice", sys!(SYS_getpriority, PRIO_PROCESS, 0));
}

fn io_priority(t: &Trace) {
    t.call("get", sys!(SYS_ioprio_get, 1, 0));
    t.call("set", sys!(SYS_ioprio_set, 1, 0, (2 << 13) | 5));
    t.call("get", sys!(SYS_ioprio_get, 1, 0));
    t.call("which", sys!(SYS_ioprio_get, 9, 0));
    t.call("class", sys!(SYS_ioprio_set, 1, 0, 7 << 13));
    t.call("nobody", sys!(SYS_ioprio_get, 1, 32_000));
}

fn yields(t: &Trace) {
    t.call("yield", sys!(SYS_sched_yield));
    let child = spawn(|| {
        for _ in 0..100 {
            sys!(SYS_sched_yield);
        }
    });
    t.show("child", wait_for(child));
}
