use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use super::*;
use crate::transport::{Memory, Tcp};

/// Accepts everything but port 1, and hands the streams on.
struct Taker(Mutex<mpsc::Sender<(SocketAddr, StreamIn, StreamOut)>>);

impl Accept for Taker {
    fn asked(&self, from: SocketAddr, to: SocketAddr, offer: Offer) {
        if to.port() != 1
            && let Some((incoming, outgoing)) = offer.accept()
        {
            let _ = lock(&self.0).send((from, incoming, outgoing));
        }
    }

    fn told(&self, _: Vec<PodAt>) {}
}

struct Nobody;

impl Accept for Nobody {
    fn asked(&self, _: SocketAddr, _: SocketAddr, _: Offer) {}

    fn told(&self, _: Vec<PodAt>) {}
}

/// Hands on what it is told.
struct Listener(Mutex<mpsc::Sender<Vec<PodAt>>>);

impl Accept for Listener {
    fn asked(&self, _: SocketAddr, _: SocketAddr, _: Offer) {}

    fn told(&self, pods: Vec<PodAt>) {
        let _ = lock(&self.0).send(pods);
    }
}

type Taken = mpsc::Receiver<(SocketAddr, StreamIn, StreamOut)>;

fn linked(one: Box<dyn Transport>, other: Box<dyn Transport>) -> (Link, Link, Taken) {
    let (sender, taken) = mpsc::channel();
    let one = Link::start(one, true, Arc::new(Nobody)).unwrap();
    let other = Link::start(other, false, Arc::new(Taker(Mutex::new(sender)))).unwrap();
    (one, other, taken)
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

fn over_tcp() -> (Link, Link, Taken) {
    let (one, other) = tcp_pair();
    linked(Box::new(Tcp(one)), Box::new(Tcp(other)))
}

fn over_memory() -> (Link, Link, Taken) {
    let (one, other) = Memory::pair().unwrap();
    linked(Box::new(one), Box::new(other))
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn open(link: &Link, taken: &Taken) -> ((StreamIn, StreamOut), (StreamIn, StreamOut)) {
    let near = link.open(at("10.0.0.1:7"), at("10.0.0.2:80"), soon()).unwrap();
    let (_, incoming, outgoing) = taken.recv_timeout(Duration::from_secs(20)).unwrap();
    (near, (incoming, outgoing))
}

fn read_all(stream: &StreamIn) -> Result<Vec<u8>, Reset> {
    let mut all = Vec::new();
    while let Some(data) = stream.receive()? {
        stream.consumed(data.len());
        all.extend(data);
    }
    Ok(all)
}

/// Every transport must carry what a link needs.
fn carries_streams((one, _other, taken): (Link, Link, Taken)) {
    assert!(one.open(at("10.0.0.1:7"), at("10.0.0.2:1"), soon()).is_none(), "refused");
    let streams: Vec<_> = (0..8).map(|_| open(&one, &taken)).collect();
    let data: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    thread::scope(|scope| {
        for (near, far) in &streams {
            let data = &data;
            scope.spawn(move || {
                near.1.send(data).unwrap();
                near.1.end();
                assert_eq!(read_all(&near.0).unwrap(), b"thanks");
            });
            scope.spawn(move || {
                assert!(read_all(&far.0).unwrap() == *data);
                far.1.send(b"thanks").unwrap();
                far.1.end();
            });
        }
    });
    drop(streams);
    let state = lock(&one.shared.state);
    assert!(state.session.is_empty() && state.streams.is_empty(), "nothing is kept of what has ended");
}

#[test]
fn tcp_carries_streams() {
    carries_streams(over_tcp());
}

#[test]
fn memory_carries_streams() {
    carries_streams(over_memory());
}

#[test]
fn a_slow_reader_stops_its_own_stream_and_no_other() {
    let (one, _other, taken) = over_tcp();
    let (slow, slow_far) = open(&one, &taken);
    let (fast, fast_far) = open(&one, &taken);
    let block = vec![1; 4 << 20];
    thread::scope(|scope| {
        let sender = scope.spawn(|| slow.1.send(&block));
        // The slow one has no credit left, and nobody reads it.
        while one.shared.say(|state| (state.session.credit(slow.1.0.stream), None)) != Some(0) {
            thread::yield_now();
        }
        scope.spawn(|| {
            fast.1.send(&block).unwrap();
            fast.1.end();
        });
        assert_eq!(read_all(&fast_far.0).unwrap().len(), block.len());
        assert!(!sender.is_finished());
        slow.1.reset();
        assert_eq!(sender.join().unwrap(), Err(Reset));
    });
    assert_eq!(read_all(&slow_far.0), Err(Reset));
}

#[test]
fn a_cut_connection_resets_every_stream_and_ends_none() {
    let (one, other) = tcp_pair();
    let knife = one.try_clone().unwrap();
    let (one, other, taken) = linked(Box::new(Tcp(one)), Box::new(Tcp(other)));
    let streams: Vec<_> = (0..5).map(|_| open(&one, &taken)).collect();
    for (near, far) in &streams {
        near.1.send(b"before").unwrap();
        assert_eq!(far.0.receive(), Ok(Some(b"before".to_vec())));
    }
    knife.shutdown(std::net::Shutdown::Both).unwrap();
    for (near, far) in &streams {
        assert_eq!((near.0.receive(), far.0.receive()), (Err(Reset), Err(Reset)));
        assert_eq!(near.1.send(b"after"), Err(Reset));
    }
    assert!(!one.alive() && !other.alive());
    assert!(one.open(at("10.0.0.1:7"), at("10.0.0.2:80"), soon()).is_none());
}

#[test]
fn what_is_told_of_pods_comes_in_order() {
    let (one, other) = tcp_pair();
    let one = Link::start(Box::new(Tcp(one)), true, Arc::new(Nobody)).unwrap();
    let (sender, told) = mpsc::channel();
    let _other = Link::start(Box::new(Tcp(other)), false, Arc::new(Listener(Mutex::new(sender)))).unwrap();
    let pod = |last: u8| PodAt { address: IpAddr::from([10, 0, 0, last]), network: 5, identity: 300, isolated: last == 1 };
    let news = [vec![pod(1), pod(2)], vec![], vec![pod(2)]];
    news.iter().for_each(|pods| one.tell(pods.clone()));
    for pods in news {
        assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(pods));
    }
}

#[test]
fn who_lets_go_of_shared_memory_is_noticed() {
    let (one, other) = Memory::pair().unwrap();
    let one = Link::start(Box::new(one), true, Arc::new(Nobody)).unwrap();
    drop(other);
    let deadline = soon();
    while one.alive() {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
}

#[test]
fn bytes_that_are_no_frames_cut_the_link() {
    for bytes in [vec![0xff; 64], Frame::Data(vec![1]).encode(1), Frame::Credit(u32::MAX).encode(0), vec![3; 5]] {
        let (one, mut other) = tcp_pair();
        let link = Link::start(Box::new(Tcp(one)), true, Arc::new(Nobody)).unwrap();
        other.write_all(&bytes).unwrap();
        let unknown = bytes.len() == HEADER + 1 || bytes.len() == HEADER + 4;
        if !unknown {
            other.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let mut answer = Vec::new();
        if unknown {
            // A stream that we don't know: reset, or ignored, and the link lives on.
            other.write_all(&Frame::Data(vec![1]).encode(9)).unwrap();
            answer.resize(HEADER, 0);
            other.read_exact(&mut answer).unwrap();
            assert!(link.alive());
        } else {
            other.read_to_end(&mut answer).unwrap();
            assert!(answer.is_empty());
        }
    }
}

#[test]
fn an_offer_that_nobody_takes_is_refused_and_forgotten() {
    let (one, other) = tcp_pair();
    let one = Link::start(Box::new(Tcp(one)), true, Arc::new(Nobody)).unwrap();
    let other = Link::start(Box::new(Tcp(other)), false, Arc::new(Nobody)).unwrap();
    assert!(one.open(at("10.0.0.1:7"), at("10.0.0.2:80"), soon()).is_none());
    for link in [&one, &other] {
        let state = lock(&link.shared.state);
        assert!(state.session.is_empty() && state.streams.is_empty());
    }
}
