use super::End::{Client, Server};
use super::*;

const BUFFERS: Buffers = Buffers { receive: 3000, send: 3000 };

fn pair() -> Pair {
    Pair::new(BUFFERS, BUFFERS)
}

fn send(pair: &mut Pair, end: End, data: &[u8]) -> Result<usize> {
    pair.send(end, data, false).map(|(count, _)| count)
}

fn receive(pair: &mut Pair, end: End, room: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; room];
    let (count, _) = pair.receive(end, &mut bytes, 0)?;
    bytes.truncate(count);
    Ok(bytes)
}

#[test]
fn bytes_come_in_order_and_end_with_the_sender() {
    let mut pair = pair();
    assert_eq!(receive(&mut pair, Server, 9), Err(Errno::AGAIN));
    send(&mut pair, Client, b"abc").unwrap();
    send(&mut pair, Client, b"def").unwrap();
    assert_eq!(receive(&mut pair, Server, 4).unwrap(), b"abcd");
    pair.close(Client, false);
    assert_eq!(receive(&mut pair, Server, 4).unwrap(), b"ef");
    assert_eq!(receive(&mut pair, Server, 4).unwrap(), b"");
}

#[test]
fn who_writes_to_a_closed_end_is_reset_once() {
    let mut pair = pair();
    pair.close(Client, false);
    assert_eq!((pair.poll(Server), pair.state(Server)), (READABLE | WRITABLE | Events::RDHUP, 8));
    assert_eq!(send(&mut pair, Server, b"x"), Ok(1));
    assert!(pair.poll(Server).contains(Events::HUP | Events::ERR));
    assert_eq!(receive(&mut pair, Server, 4).unwrap(), b"");
    assert_eq!([pair.take_error(Server), pair.take_error(Server)], [Some(Errno::PIPE), None]);
    assert_eq!(send(&mut pair, Server, b"x"), Err(Errno::PIPE));
    assert_eq!(pair.shutdown(Server, libc::SHUT_WR), Err(Errno::NOTCONN));
}

#[test]
fn unread_bytes_reset_the_sender_behind_what_it_has_got() {
    let mut pair = pair();
    send(&mut pair, Client, b"never read").unwrap();
    send(&mut pair, Server, b"read").unwrap();
    pair.close(Server, false);
    assert_eq!(receive(&mut pair, Client, 9).unwrap(), b"read");
    assert_eq!(receive(&mut pair, Client, 9), Err(Errno::CONNRESET));
    assert_eq!(receive(&mut pair, Client, 9).unwrap(), b"");
    assert_eq!(send(&mut pair, Client, b"x"), Err(Errno::PIPE));
}

#[test]
fn aborting_resets_and_closing_twice_does_nothing() {
    let mut pair = pair();
    assert_eq!(pair.close(Server, true), Told { own: Events::empty(), peer: Events::all() });
    assert_eq!(pair.close(Server, false), NOTHING);
    assert_eq!(send(&mut pair, Client, b"x"), Err(Errno::CONNRESET));
    assert_eq!(send(&mut pair, Client, b"x"), Err(Errno::PIPE));
}

#[test]
fn directions_end_by_themselves() {
    let mut pair = pair();
    pair.shutdown(Client, libc::SHUT_WR).unwrap();
    assert_eq!(send(&mut pair, Client, b"x"), Err(Errno::PIPE));
    assert_eq!(pair.poll(Server), READABLE | WRITABLE | Events::RDHUP);
    assert_eq!(send(&mut pair, Server, b"back"), Ok(4));
    assert_eq!(receive(&mut pair, Client, 9).unwrap(), b"back");
    assert_eq!((pair.state(Client), pair.state(Server)), (5, 8));
    pair.shutdown(Server, libc::SHUT_WR).unwrap();
    assert_eq!((pair.state(Client), pair.state(Server)), (CLOSE, CLOSE));
    assert_eq!(pair.poll(Client), READABLE | WRITABLE | Events::RDHUP | Events::HUP);
}

#[test]
fn a_full_end_takes_no_more_until_a_third_is_free() {
    let mut pair = pair();
    assert_eq!(send(&mut pair, Client, &[1; 9000]), Ok(6000));
    assert_eq!(send(&mut pair, Client, &[1; 9000]), Err(Errno::AGAIN));
    assert!(!pair.poll(Client).contains(Events::OUT));
    let mut to = [0; 1999];
    assert_eq!(pair.receive(Server, &mut to, 0), Ok((1999, NOTHING)));
    assert_eq!(pair.receive(Server, &mut to[..1], 0).unwrap().1.peer, WRITABLE);
    assert_eq!(pair.receive(Server, &mut to[..1], 0).unwrap().1, NOTHING);
    assert!(pair.poll(Client).contains(Events::OUT));
    pair.set_buffers(Server, Buffers { receive: 0, send: 0 });
    assert_eq!(send(&mut pair, Client, b"x"), Err(Errno::AGAIN), "buffers may shrink below what is queued");
}

#[test]
fn looking_leaves_bytes_and_truncating_throws_them_away() {
    let mut pair = pair();
    send(&mut pair, Client, b"abcd").unwrap();
    let mut to = [0; 3];
    assert_eq!(pair.receive(Server, &mut to, libc::MSG_PEEK).unwrap().0, 3);
    assert_eq!((&to, pair.queued(Server)), (b"abc", 4));
    assert_eq!(pair.receive(Server, &mut to, libc::MSG_TRUNC).unwrap().0, 3);
    assert_eq!(receive(&mut pair, Server, 9).unwrap(), b"d");
}

#[test]
fn the_urgent_byte_is_beside_the_others() {
    let mut pair = pair();
    assert_eq!(pair.send(Client, b"ab", true).unwrap().0, 2);
    assert!(pair.poll(Server).contains(Events::PRI));
    let mut to = [0; 8];
    assert_eq!((pair.receive(Server, &mut to, libc::MSG_OOB).unwrap().0, to[0]), (1, b'b'));
    assert_eq!(receive(&mut pair, Server, 9).unwrap(), b"a");
    assert_eq!(pair.receive(Server, &mut to, libc::MSG_OOB), Err(Errno::INVAL));
}

/// Random actions against a dumb reference: what is read is what was sent, in order, and nothing is lost but by a reset.
#[test]
fn streams_keep_their_bytes_whatever_happens() {
    for seed in 1..200u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let (mut pair, mut sent, mut got) = (pair(), [Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for step in 0..200u64 {
            let (end, way) = if next(2) == 0 { (Client, 0) } else { (Server, 1) };
            let data = vec![step as u8; next(4000) as usize];
            match next(20) {
                0..9 => {
                    if let Ok(count) = send(&mut pair, end, &data) {
                        sent[way].extend_from_slice(&data[..count]);
                    }
                }
                9..19 => got[1 - way].extend(receive(&mut pair, end, data.len()).unwrap_or_default()),
                _ if step > 150 => _ = pair.shutdown(end, libc::SHUT_WR),
                _ => {}
            }
        }
        for (end, way) in [(Server, 0), (Client, 1)] {
            while let Ok(bytes) = receive(&mut pair, end, 5000)
                && !bytes.is_empty()
            {
                got[way].extend(bytes);
            }
            assert!(got[way] == sent[way], "seed {seed}");
        }
    }
}
