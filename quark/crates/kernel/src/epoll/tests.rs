use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::event::epoll::{self as host, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::time::Timespec;

use super::*;
use crate::eventfd::EventFd;
use crate::pipe;
use crate::wait::Waiter;

const IN: u32 = libc::EPOLLIN as u32;
const OUT: u32 = libc::EPOLLOUT as u32;
const ET: u32 = libc::EPOLLET as u32;
const ONE_SHOT: u32 = libc::EPOLLONESHOT as u32;
const EXCLUSIVE: u32 = libc::EPOLLEXCLUSIVE as u32;

/// The same files here and on the host: an eventfd and both ends of a pipe.
struct Both {
    ours: Vec<Option<Arc<OpenFile>>>,
    hosts: Vec<Option<OwnedFd>>,
    set: Arc<Epoll>,
    host_set: OwnedFd,
}

fn open(file: Arc<dyn File>) -> Arc<OpenFile> {
    OpenFile::anonymous(file, libc::O_RDWR as u32)
}

impl Both {
    fn new() -> Both {
        let (reader, writer) = pipe::pair(4713, false);
        let (host_reader, host_writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        let counter = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
        Both {
            ours: vec![Some(open(EventFd::new(0, false))), Some(open(reader)), Some(open(writer))],
            hosts: vec![Some(counter), Some(host_reader), Some(host_writer)],
            set: Epoll::new(),
            host_set: host::create(host::CreateFlags::CLOEXEC).unwrap(),
        }
    }

    /// Adds, changes or removes a file in both sets and compares the answers.
    fn control(&mut self, operation: Operation, index: usize, events: u32) {
        let (Some(ours), Some(theirs)) = (&self.ours[index], &self.hosts[index]) else {
            return;
        };
        let interest = Interest { events, data: index as u64 };
        let (data, flags) = (EventData::new_u64(index as u64), EventFlags::from_bits_retain(events));
        let fd = index as i32;
        let (us, them) = match operation {
            Operation::Add => (self.set.add(fd, ours, interest), host::add(&self.host_set, theirs, data, flags)),
            Operation::Modify => (self.set.modify(fd, ours, interest), host::modify(&self.host_set, theirs, data, flags)),
            Operation::Remove => (self.set.remove(fd, ours), host::delete(&self.host_set, theirs)),
        };
        assert_eq!(us, them, "{operation:?} {index} {events:#x}");
    }

    fn read(&mut self, index: usize, count: usize) {
        if let (Some(ours), Some(theirs)) = (&self.ours[index], &self.hosts[index]) {
            let us = ours.file.read(&mut vec![0; count], 0);
            assert_eq!(us, rustix::io::read(theirs, &mut vec![0; count][..]));
        }
    }

    fn write(&mut self, index: usize, count: usize) {
        if let (Some(ours), Some(theirs)) = (&self.ours[index], &self.hosts[index]) {
            let mut bytes = vec![0; count];
            bytes[0] = 1;
            assert_eq!(ours.file.write(&bytes, 0), rustix::io::write(theirs, &bytes));
        }
    }

    fn wait(&mut self, count: usize) -> Vec<(u64, u32)> {
        let mut events = vec![MaybeUninit::uninit(); count];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let (events, _) = host::wait(&self.host_set, &mut events[..], Some(&now)).unwrap();
        let theirs: Vec<(u64, u32)> = events
            .iter()
            .map(|event| {
                let (data, flags) = (event.data, event.flags);
                (data.u64(), flags.bits())
            })
            .collect();
        let ours: Vec<(u64, u32)> = self.set.take(count).iter().map(|event| (event.data, event.events)).collect();
        assert_eq!(ours, theirs);
        ours
    }
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Add,
    Modify,
    Remove,
}

#[test]
fn level_edge_and_one_shot_are_the_hosts() {
    for how in [0, ET, ONE_SHOT, ET | ONE_SHOT] {
        let mut both = Both::new();
        both.control(Operation::Modify, 0, IN);
        both.control(Operation::Remove, 0, IN);
        both.control(Operation::Add, 0, IN | OUT | how);
        both.control(Operation::Add, 0, IN);
        both.wait(8);
        both.wait(8);
        both.write(0, 8);
        both.wait(8);
        both.wait(8);
        both.write(0, 8);
        both.wait(8);
        both.read(0, 8);
        both.wait(8);
        both.control(Operation::Modify, 0, IN | how);
        both.wait(8);
        both.write(0, 8);
        both.wait(8);
        both.control(Operation::Remove, 0, 0);
        both.wait(8);
    }
}

#[test]
fn random_steps_are_the_hosts() {
    let mut seed = 12345_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for _ in 0..300 {
        let mut both = Both::new();
        for _ in 0..60 {
            let (index, how) = (next(3), [0, ET, ONE_SHOT, 0][next(4)]);
            let events = [IN, OUT, IN | OUT, 0, libc::EPOLLRDHUP as u32 | IN][next(5)] | how;
            match next(20) {
                0..4 => both.control(Operation::Add, index, events),
                4..6 => both.control(Operation::Modify, index, events),
                6 => both.control(Operation::Remove, index, 0),
                7..10 => both.write(2, [1, 4096, 65_536][next(3)]),
                10..12 => both.read(1, [1, 4096, 65_536][next(3)]),
                12 => both.write(0, 8),
                13 => both.read(0, 8),
                14 if next(20) == 0 => {
                    both.ours[index] = None;
                    both.hosts[index] = None;
                }
                _ => drop(both.wait(1 + next(3))),
            }
        }
    }
}

#[test]
fn a_closed_file_leaves_and_its_number_can_be_used_again() {
    let mut both = Both::new();
    both.control(Operation::Add, 2, OUT);
    assert_eq!(both.wait(4).len(), 1);
    (both.ours[2], both.hosts[2]) = (None, None);
    assert_eq!(both.wait(4), []);
    let file = open(EventFd::new(1, false));
    both.set.add(2, &file, Interest { events: IN, data: 9 }).unwrap();
    assert_eq!(both.set.take(9), [Interest { events: IN, data: 9 }]);
    assert_eq!(both.set.watched().len(), 1);
}

#[test]
fn exclusive_goes_with_few_others() {
    let mut both = Both::new();
    both.control(Operation::Add, 0, IN | EXCLUSIVE | ONE_SHOT);
    both.control(Operation::Add, 0, IN | EXCLUSIVE | libc::EPOLLPRI as u32);
    both.control(Operation::Add, 0, IN | EXCLUSIVE | ET);
    both.control(Operation::Modify, 0, IN);
    both.control(Operation::Add, 1, IN);
    both.control(Operation::Modify, 1, IN | EXCLUSIVE);
    let inner = open(Epoll::new());
    assert_eq!(both.set.add(7, &inner, Interest { events: IN | EXCLUSIVE, data: 0 }), Err(Errno::INVAL));
}

/// Pretends to be a thread that waits in a set.
struct Sleeper(AtomicUsize);

impl Waiter for Sleeper {
    fn notify(&self, _: Events) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst);
        true
    }
}

#[test]
fn of_sets_that_wait_exclusively_one_is_woken() {
    let file = open(EventFd::new(0, false));
    let sets: Vec<_> = (0..3)
        .map(|_| {
            let (set, sleeper) = (Epoll::new(), Arc::new(Sleeper(AtomicUsize::new(0))));
            let waiter: Arc<dyn Waiter> = sleeper.clone();
            set.queue.register_exclusive(Events::IN, &waiter);
            set.add(0, &file, Interest { events: IN | EXCLUSIVE, data: 0 }).unwrap();
            (set, sleeper, waiter)
        })
        .collect();
    file.file.write(&1u64.to_ne_bytes(), 0).unwrap();
    let woken: usize = sets.iter().map(|(_, sleeper, _)| sleeper.0.load(Ordering::SeqCst)).sum();
    assert_eq!(woken, 1);
}

#[test]
fn sets_in_sets_tell_and_are_bounded_as_on_the_host() {
    let sets: Vec<Arc<OpenFile>> = (0..8).map(|_| open(Epoll::new())).collect();
    let hosts: Vec<OwnedFd> = (0..8).map(|_| host::create(host::CreateFlags::CLOEXEC).unwrap()).collect();
    let set = |index: usize| sets[index].file.as_any().downcast_ref::<Epoll>().unwrap();
    let join = |outer: usize, inner: usize| {
        let us = set(outer).add(inner as i32, &sets[inner], Interest { events: IN, data: 0 });
        let them = host::add(&hosts[outer], hosts[inner].as_fd(), EventData::new_u64(0), EventFlags::IN);
        assert_eq!(us, them, "{inner} into {outer}");
        us.is_ok()
    };
    let file = open(EventFd::new(0, false));
    set(0).add(0, &file, Interest { events: IN, data: 5 }).unwrap();
    let joined = (0..7).filter(|inner| join(inner + 1, *inner)).count();
    assert!(joined >= 3);
    assert!(!join(0, 2), "a loop");
    assert_eq!(set(3).take(1), []);
    file.file.write(&1u64.to_ne_bytes(), 0).unwrap();
    assert_eq!(sets[3].file.poll(Events::IN), Events::IN);
    assert_eq!(set(3).take(1).len(), 1);
    file.file.read(&mut [0; 8], 0).unwrap();
    assert_eq!(set(3).take(1), []);
    assert_eq!(sets[3].file.poll(Events::IN), Events::empty());
}
