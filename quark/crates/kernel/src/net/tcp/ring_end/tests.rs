use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use quark_channel::port::bell;
use quark_host::ring::{self, RING_BYTES};

use super::*;
use crate::wait::Parker;

struct Ends {
    client: RingEnd,
    server: RingEnd,
    memory: OwnedFd,
    closed: Arc<AtomicUsize>,
}

fn ends() -> Ends {
    let memory = ring::create().unwrap();
    let bells = [bell().unwrap(), bell().unwrap()];
    let closed = Arc::<AtomicUsize>::default();
    let end = |side, own: &OwnedFd, other: &OwnedFd| {
        let other = Bells { reader: other.try_clone().unwrap(), writer: other.try_clone().unwrap() };
        let end = End { memory: memory.try_clone().unwrap(), own: own.try_clone().unwrap(), other };
        let closed = closed.clone();
        let count = move || {
            closed.fetch_add(1, Ordering::Relaxed);
        };
        RingEnd::new(end, side, Arc::default(), Box::new(count)).unwrap()
    };
    let [one, other] = &bells;
    let (client, server) = (end(Side::Client, one, other), end(Side::Server, other, one));
    Ends { client, server, memory, closed }
}

fn receive(end: &RingEnd, room: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; room];
    let count = end.receive(&mut bytes, 0)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Whether the end's bell was rung since this was asked before.
fn rung(end: &RingEnd) -> bool {
    rustix::io::read(end.bell.fd(), &mut [0; 8][..]).is_ok()
}

#[test]
fn bytes_come_in_order_and_end_with_the_sender() {
    let Ends { client, server, .. } = ends();
    assert_eq!(receive(&server, 9), Err(Errno::AGAIN));
    assert_eq!((client.send(b"abc", false), client.send(b"def", false)), (Ok(3), Ok(3)));
    assert!(rung(&server), "it waited");
    assert_eq!(server.queued(), 6);
    assert_eq!(receive(&server, 4).unwrap(), b"abcd");
    client.close(false);
    assert_eq!(receive(&server, 4).unwrap(), b"ef");
    assert_eq!(receive(&server, 4).unwrap(), b"");
    assert_eq!(server.state(), 8, "CLOSE_WAIT");
}

#[test]
fn peeked_bytes_stay_and_truncated_ones_go() {
    let Ends { client, server, .. } = ends();
    client.send(b"abcd", false).unwrap();
    let mut bytes = [0; 2];
    assert_eq!((server.receive(&mut bytes, libc::MSG_PEEK), &bytes), (Ok(2), b"ab"));
    assert_eq!((server.receive(&mut bytes, libc::MSG_TRUNC), &bytes), (Ok(2), b"ab"));
    assert_eq!(receive(&server, 9).unwrap(), b"cd");
}

#[test]
fn a_full_ring_takes_no_more_and_rings_when_there_is_room() {
    let Ends { client, server, .. } = ends();
    assert_eq!(client.send(&vec![7; RING_BYTES + 1], false), Ok(RING_BYTES));
    assert_eq!(client.send(b"x", false), Err(Errno::AGAIN));
    assert!(!client.poll().contains(Events::OUT));
    assert!(!rung(&client));
    assert_eq!(receive(&server, RING_BYTES / 2).unwrap().len(), RING_BYTES / 2);
    assert!(rung(&client) && client.poll().contains(Events::OUT));
    assert_eq!(client.send(b"x", false), Ok(1));
}

#[test]
fn who_closes_with_bytes_unread_or_aborts_resets() {
    for (abort, unread) in [(true, false), (false, true)] {
        let Ends { client, server, .. } = ends();
        if unread {
            client.send(b"never read", false).unwrap();
        }
        server.close(abort);
        assert!(client.poll().contains(Events::IN | Events::HUP | Events::ERR | Events::OUT));
        assert_eq!((receive(&client, 9), receive(&client, 9)), (Err(Errno::CONNRESET), Ok(Vec::new())));
        assert_eq!((client.send(b"x", false), client.state()), (Err(Errno::PIPE), CLOSE));
    }
}

#[test]
fn who_writes_to_a_closed_end_finds_out_as_on_linux() {
    let Ends { client, server, .. } = ends();
    server.close(false);
    assert_eq!(client.send(b"x", false), Ok(1), "the answer is yet to come");
    assert_eq!(client.take_error(), Some(Errno::PIPE));
    assert_eq!(client.send(b"x", false), Err(Errno::PIPE));
}

#[test]
fn directions_end_one_by_one() {
    let Ends { client, server, .. } = ends();
    client.shutdown(libc::SHUT_WR).unwrap();
    assert_eq!(client.send(b"x", false), Err(Errno::PIPE));
    assert_eq!((receive(&server, 9), client.state(), server.state()), (Ok(Vec::new()), 5, 8));
    assert!(server.poll().contains(Events::RDHUP) && !server.poll().contains(Events::HUP));
    server.send(b"last", false).unwrap();
    assert_eq!(receive(&client, 9).unwrap(), b"last");
    server.shutdown(libc::SHUT_WR).unwrap();
    assert!(server.poll().contains(Events::HUP));
    assert_eq!(server.shutdown(libc::SHUT_RDWR), Err(Errno::NOTCONN));
}

#[test]
fn the_end_is_told_once_and_dropping_ends_too() {
    let Ends { client, server, closed, .. } = ends();
    client.close(false);
    client.close(true);
    assert_eq!(closed.load(Ordering::Relaxed), 1);
    assert_eq!(receive(&server, 9), Ok(Vec::new()), "the first counts");
    drop((client, server));
    assert_eq!(closed.load(Ordering::Relaxed), 2);
}

#[test]
fn who_cuts_from_outside_resets_both() {
    let Ends { client, server, memory, .. } = ends();
    client.send(b"lost", false).unwrap();
    ring::cut(memory.as_fd()).unwrap();
    assert_eq!(receive(&server, 9).unwrap(), b"lost", "what came before comes before the error");
    assert_eq!((receive(&server, 9), receive(&client, 9)), (Err(Errno::CONNRESET), Err(Errno::CONNRESET)));
    let Ends { client, server, .. } = ends();
    client.cut();
    assert_eq!((receive(&client, 9), receive(&server, 9)), (Err(Errno::CONNRESET), Err(Errno::CONNRESET)));
}

#[test]
fn positions_that_cannot_be_reset_the_connection() {
    let Ends { client, server, memory, .. } = ends();
    // The client's first word: how many bytes it has sent.
    rustix::io::pwrite(&memory, &u32::MAX.to_ne_bytes(), 0).unwrap();
    assert_eq!(receive(&server, 9), Err(Errno::CONNRESET));
    assert_eq!(receive(&client, 9), Err(Errno::CONNRESET), "and the other one is told");
}

#[test]
fn urgent_bytes_are_not_carried() {
    let Ends { client, .. } = ends();
    assert_eq!(client.send(b"!", true), Err(Errno::OPNOTSUPP));
    assert_eq!(client.receive(&mut [0], libc::MSG_OOB), Err(Errno::INVAL));
}

#[test]
fn what_is_rung_for_one_is_told_to_the_others_that_wait() {
    let Ends { client, server, .. } = ends();
    assert_eq!(receive(&server, 9), Err(Errno::AGAIN));
    let bell = server.bell().unwrap();
    let parkers = [(); 2].map(|()| Arc::<Parker>::default());
    let keys = parkers.each_ref().map(|parker| bell.queue.register(Events::IN, &(parker.clone() as Arc<dyn crate::wait::Waiter>)));
    client.send(b"x", false).unwrap();
    bell.take(keys[0]);
    let soon = || Some(std::time::Instant::now() + std::time::Duration::from_millis(10));
    assert!(parkers[1].park(soon()), "the other one");
    assert!(!parkers[0].park(soon()), "and not who has taken it");
    bell.take(keys[1]);
    assert!(!parkers[0].park(soon()), "nothing was rung");
}
