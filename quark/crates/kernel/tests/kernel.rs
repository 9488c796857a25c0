//! Containers and processes through the kernel's own interface, with the host's root as theirs: needs `/bin/sh`, `sleep` and `cat` there.

mod common;

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use common::{booted, container, null, read_line, readable, shell, start};
use quark_kernel::Errno;
use quark_kernel::kernel::{Exit, Kernel};

fn output(kernel: &Arc<Kernel>, script: &str) -> (Exit, String) {
    let (pid, to, mut from) = start(kernel, "c", script);
    drop(to);
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    (kernel.wait("c", pid).unwrap(), text)
}

#[test]
fn a_script_runs_its_programs_and_its_status_is_told() {
    let kernel = booted();
    let (exit, text) = output(&kernel, "echo a | cat; (exit 3); echo $?; echo $$ $PPID; exit 7");
    assert_eq!((exit, text.as_str()), (Exit::Code(7), "a\n3\n1 0\n"));
}

#[test]
fn what_cannot_be_started_is_told_in_words() {
    let kernel = booted();
    let mut spec = shell("true", [null(), null(), null()]);
    spec.arguments = vec![b"/no/such/program".to_vec()];
    let error = kernel.start("c", spec).unwrap_err();
    assert!(error.starts_with("exec /no/such/program: "), "{error}");
    assert!(kernel.start("none", shell("true", [null(), null(), null()])).unwrap_err().contains("container none"));
}

#[test]
fn the_end_of_init_ends_the_container() {
    let kernel = booted();
    let (init, to, _from) = start(&kernel, "c", "cat; exit 4");
    let (other, _to, _from) = start(&kernel, "c", "sleep 100 & sleep 100");
    assert_eq!((init, kernel.processes("c").unwrap().len() >= 2), (1, true));
    drop(to);
    assert_eq!(kernel.wait("c", init), Ok(Exit::Code(4)));
    assert_eq!(kernel.wait("c", other), Ok(Exit::Signal(libc::SIGKILL)));
    assert_eq!(kernel.processes("c").unwrap().len(), 0);
    assert_eq!(kernel.wait("c", init), Err(Errno::SRCH), "each is waited for once");
}

#[test]
fn signals_from_outside_reach_init_as_far_as_it_handles_them() {
    let kernel = booted();
    let (init, _to, mut from) = start(&kernel, "c", "trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.01; done");
    read_line(&mut from);
    kernel.signal("c", Some(init), libc::SIGHUP).unwrap();
    kernel.signal("c", Some(init), libc::SIGTERM).unwrap();
    assert_eq!(kernel.wait("c", init), Ok(Exit::Code(5)));
    assert_eq!(kernel.signal("c", Some(init), libc::SIGTERM), Err(Errno::SRCH));
}

#[test]
fn sigkill_ends_init_and_one_that_computes() {
    let kernel = booted();
    let (init, _to, mut from) = start(&kernel, "c", "echo ready; while :; do :; done");
    read_line(&mut from);
    kernel.signal("c", None, libc::SIGKILL).unwrap();
    assert_eq!(kernel.wait("c", init), Ok(Exit::Signal(libc::SIGKILL)));
}

#[test]
fn a_paused_pod_does_nothing_and_goes_on() {
    let kernel = booted();
    let (init, mut to, mut from) = start(&kernel, "c", "while read line; do echo $line; done");
    to.write_all(b"one\n").unwrap();
    assert_eq!(read_line(&mut from), "one");
    kernel.pause().unwrap();
    to.write_all(b"two\n").unwrap();
    assert!(!readable(&from, Duration::from_millis(300)));
    kernel.resume().unwrap();
    assert_eq!(read_line(&mut from), "two");
    drop(to);
    assert_eq!(kernel.wait("c", init), Ok(Exit::Code(0)));
}

#[test]
fn containers_share_process_ids_if_asked_and_end_alone() {
    let kernel = booted();
    let (first, _to, _from) = start(&kernel, "c", "sleep 100");
    kernel.create_container(container("d", Some("c"))).unwrap();
    let (second, to, _from) = start(&kernel, "d", "cat");
    assert_eq!((first, second > 1), (1, true));
    drop(to);
    assert_eq!(kernel.wait("d", second), Ok(Exit::Code(0)));
    assert!(kernel.processes("c").unwrap().iter().any(|process| process.pid == 1));
    kernel.remove_container("c").unwrap();
    assert_eq!(kernel.processes("c").unwrap_err(), Errno::NOENT);
}
