use super::super::socket::{Endpoint, Outgoing};
use super::*;

const CREATOR: Sender = Sender { pid: 7, uid: 8, gid: 9 };

fn names() -> Arc<Names> {
    Arc::default()
}

fn send(from: &UnixSocket, data: &[u8]) -> Result<usize> {
    from.send(None, &Outgoing { data, ..Outgoing::default() })
}

fn receive(at: &UnixSocket, room: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; room];
    let got = at.receive(&mut bytes, 0)?;
    bytes.truncate(got.filled);
    Ok(bytes)
}

#[test]
fn a_stream_has_no_bounds_and_packets_have() {
    let (one, two) = UnixSocket::pair(libc::SOCK_STREAM, &names(), CREATOR);
    send(&one, b"ab").unwrap();
    send(&one, b"cd").unwrap();
    assert_eq!(receive(&two, 3).unwrap(), b"abc");
    assert_eq!(receive(&two, 3).unwrap(), b"d");
    assert_eq!(receive(&two, 3).err(), Some(Errno::AGAIN));
    let (one, two) = UnixSocket::pair(libc::SOCK_SEQPACKET, &names(), CREATOR);
    send(&one, b"ab").unwrap();
    send(&one, b"cd").unwrap();
    assert_eq!(receive(&two, 1).unwrap(), b"a");
    assert_eq!(receive(&two, 3).unwrap(), b"cd");
}

#[test]
fn a_full_queue_takes_no_more_until_it_is_read() {
    let (one, two) = UnixSocket::pair(libc::SOCK_STREAM, &names(), CREATOR);
    let mut sent = 0;
    while let Ok(count) = send(&one, &[1; 10_000]) {
        sent += count;
    }
    assert!(sent > 100_000 && sent <= QUEUE_BYTES + 10_000, "{sent}");
    assert!(!one.poll(Events::OUT).contains(Events::OUT));
    let mut got = 0;
    while got < sent {
        got += receive(&two, 65_536).unwrap().len();
    }
    assert_eq!(got, sent);
    assert!(one.poll(Events::OUT).contains(Events::OUT));
}

#[test]
fn the_end_of_a_peer_is_the_end_of_the_stream_after_its_bytes() {
    let (one, two) = UnixSocket::pair(libc::SOCK_STREAM, &names(), CREATOR);
    send(&one, b"last").unwrap();
    drop(one);
    assert_eq!(receive(&two, 9).unwrap(), b"last");
    assert_eq!(receive(&two, 9).unwrap(), b"");
    assert_eq!(send(&two, b"x").err(), Some(Errno::PIPE));
    assert!(two.poll(Events::all()).contains(Events::HUP | Events::IN | Events::RDHUP));
}

#[test]
fn unread_bytes_of_an_ended_peer_reset_the_stream() {
    let (one, two) = UnixSocket::pair(libc::SOCK_STREAM, &names(), CREATOR);
    send(&two, b"never read").unwrap();
    drop(one);
    assert_eq!(receive(&two, 9).err(), Some(Errno::CONNRESET));
    assert_eq!(receive(&two, 9).unwrap(), b"");
}

#[test]
fn shutting_one_direction_leaves_the_other() {
    let (one, two) = UnixSocket::pair(libc::SOCK_STREAM, &names(), CREATOR);
    one.shutdown(libc::SHUT_WR).unwrap();
    assert_eq!(send(&one, b"x").err(), Some(Errno::PIPE));
    assert_eq!(receive(&two, 1).unwrap(), b"");
    send(&two, b"back").unwrap();
    assert_eq!(receive(&one, 9).unwrap(), b"back");
}

#[test]
fn a_listener_takes_connections_up_to_its_backlog() {
    let names = names();
    let listener = UnixSocket::new(libc::SOCK_STREAM, names.clone(), CREATOR);
    names.take(b"here", &listener).unwrap();
    lock(&listener.state).name = Name::Abstract(b"here".to_vec());
    lock(&listener.state).role = Role::Listening { backlog: 1, pending: VecDeque::new() };
    let clients: Vec<_> = (0..3).map(|_| UnixSocket::new(libc::SOCK_STREAM, names.clone(), CREATOR)).collect();
    let answers: Vec<_> = clients.iter().map(|client| client.connect_stream(&listener, CREATOR)).collect();
    assert_eq!(answers, [Ok(()), Ok(()), Err(Errno::AGAIN)]);
    assert_eq!(clients[2].connected().err(), Some(Errno::NOTCONN), "a refused one is as before");
    send(&clients[0], b"early").unwrap();
    let (served, _) = listener.accept().unwrap();
    let mut bytes = [0; 9];
    assert_eq!(served.receive(&mut bytes, 0).unwrap().filled, 5);
    assert_eq!(served.option(libc::SOL_SOCKET, libc::SO_PEERCRED, 12).unwrap(), CREATOR.bytes());
    assert_eq!(clients[2].connect_stream(&listener, CREATOR), Ok(()));
    drop(listener);
    drop(served);
    assert_eq!(receive(&clients[1], 1).unwrap(), b"", "those that nobody accepted end");
    assert!(names.abstract_socket(b"here").is_none());
}
