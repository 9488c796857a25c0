use std::collections::VecDeque;

use super::*;
use crate::frame::{HEADER, Header};

/// Numbers that look random, the same for a seed (xorshift).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// One side of a simulated link: what each stream has sent, has got, and holds unconsumed.
struct End {
    session: Session,
    sent: BTreeMap<u32, Vec<u8>>,
    got: BTreeMap<u32, Vec<u8>>,
    held: BTreeMap<u32, u32>,
    over: Vec<u32>,
}

struct World {
    ends: [End; 2],
    /// Frames on their way to each end, in order.
    wires: [VecDeque<(u32, Frame)>; 2],
}

impl World {
    fn new() -> World {
        let end = |first| End {
            session: Session::new(first),
            sent: BTreeMap::new(),
            got: BTreeMap::new(),
            held: BTreeMap::new(),
            over: Vec::new(),
        };
        World { ends: [end(true), end(false)], wires: Default::default() }
    }

    fn say(&mut self, from: usize, answer: Answer) {
        self.wires[1 - from].extend(answer);
    }

    fn deliver(&mut self, to: usize) {
        let Some((stream, frame)) = self.wires[to].pop_front() else { return };
        let bytes = frame.encode(stream);
        let header = Header::parse(bytes[..HEADER].try_into().unwrap()).unwrap();
        let frame = header.frame(bytes[HEADER..].to_vec()).unwrap();
        let (event, answer) = self.ends[to].session.receive(stream, frame).expect("peers of ours break no rule");
        self.say(to, answer);
        let end = &mut self.ends[to];
        match event {
            Event::Asked { stream, to: target, .. } => {
                let answer = if target.port() == 1 { end.session.refuse(stream) } else { end.session.accept(stream) };
                self.say(to, answer);
            }
            Event::Data(stream, data) => {
                *end.held.entry(stream).or_default() += data.len() as u32;
                assert!(end.held[&stream] <= WINDOW, "no more than a window waits for a receiver");
                end.got.entry(stream).or_default().extend(data);
            }
            Event::Reset(stream) | Event::Refused(stream) => end.over.push(stream),
            _ => {}
        }
    }

    fn act(&mut self, random: &mut Random, step: u64) {
        let who = random.below(2) as usize;
        let streams: Vec<u32> = self.ends[who].session.streams.keys().copied().collect();
        let stream = streams.get(random.below(streams.len().max(1) as u64) as usize).copied();
        let end = &mut self.ends[who];
        let answer = match (random.below(40), stream) {
            (0..2, _) => end.session.open(at("10.0.0.1:7"), at(if random.below(4) == 0 { "10.0.0.2:1" } else { "10.0.0.2:80" })),
            (2..15, Some(stream)) => {
                let length = end.session.credit(stream).unwrap_or(0).min(random.below(40_000) as u32).min(32 << 10);
                let data = vec![step as u8; length as usize];
                let answer = if data.is_empty() { None } else { end.session.send(stream, data.clone()) };
                if answer.is_some() {
                    end.sent.entry(stream).or_default().extend(data);
                }
                answer
            }
            (15..25, Some(stream)) => {
                let held = end.held.entry(stream).or_default();
                let count = (*held).min(random.below(80_000) as u32);
                *held -= count;
                end.session.consumed(stream, count)
            }
            (25, Some(stream)) => end.session.end(stream),
            (26, Some(stream)) if step.is_multiple_of(5) => {
                end.over.push(stream);
                end.session.reset(stream)
            }
            _ => return self.deliver(random.below(2) as usize),
        };
        self.say(who, answer);
    }

    fn settle(&mut self) {
        while self.wires.iter().any(|wire| !wire.is_empty()) {
            self.deliver(0);
            self.deliver(1);
        }
    }
}

/// Two sessions, frames on their way for as long as it pleases, streams that open, end and break: what arrives is what was sent, from its
/// start and in order, and all of it unless the stream was reset; and nobody holds more than a window.
#[test]
fn streams_arrive_whatever_the_order_of_things() {
    for seed in 1..150 {
        let (mut world, mut random) = (World::new(), Random::new(seed));
        (0..800).for_each(|step| world.act(&mut random, step));
        world.settle();
        for (who, other) in [(0, 1), (1, 0)] {
            for (stream, sent) in &world.ends[who].sent {
                let got = world.ends[other].got.get(stream).map_or(&[][..], Vec::as_slice);
                assert!(sent.starts_with(got), "seed {seed}: stream {stream}");
                let broken = world.ends.iter().any(|end| end.over.contains(stream));
                assert!(broken || got.len() == sent.len(), "seed {seed}: stream {stream} lost bytes");
            }
        }
        let (one, other) = (&world.ends[0].session, &world.ends[1].session);
        assert_eq!(one.streams.keys().collect::<Vec<_>>(), other.streams.keys().collect::<Vec<_>>(), "seed {seed}: both know the same");
    }
}

/// Whatever comes: no panic, and what a hostile peer can make us hold is bounded.
#[test]
fn hostile_frames_break_nothing() {
    for seed in 1..300 {
        let (mut session, mut random) = (Session::new(true), Random::new(seed));
        session.open(at("10.0.0.1:7"), at("10.0.0.2:80"));
        let mut held = 0;
        for _ in 0..2000 {
            let stream = random.below(6) as u32;
            let frame = match random.below(8) {
                0 => Frame::Open { from: at("1.2.3.4:5"), to: at("1.2.3.4:5") },
                1 => Frame::Accepted,
                2 => Frame::Refused,
                3 | 4 => Frame::Data(vec![0; 1 + random.below(30_000) as usize]),
                5 => Frame::Credit(random.below(1 << 32) as u32),
                6 => Frame::End,
                _ => Frame::Reset,
            };
            match session.receive(stream, frame) {
                Ok((Event::Asked { stream, .. }, _)) => _ = session.accept(stream),
                Ok((Event::Data(_, data), _)) => held += data.len(),
                Ok((Event::Reset(_) | Event::Ended(_), _)) => held = 0,
                Ok(_) => {}
                Err(_) => break,
            }
            assert!(held <= 6 * WINDOW as usize);
            assert!(session.len() <= 6 && session.streams.values().all(|stream| stream.credit <= WINDOW));
        }
    }
}

#[test]
fn a_sender_without_credit_waits_and_goes_on_with_what_was_consumed() {
    let (mut one, mut other) = (Session::new(true), Session::new(false));
    let (stream, open) = one.open(at("10.0.0.1:7"), at("10.0.0.2:80")).unwrap();
    other.receive(stream, open).unwrap();
    let accepted = other.accept(stream).unwrap().1;
    one.receive(stream, accepted).unwrap();
    for _ in 0..8 {
        let (_, data) = one.send(stream, vec![0; 32 << 10]).unwrap();
        other.receive(stream, data).unwrap();
    }
    assert_eq!((one.credit(stream), one.send(stream, vec![0])), (Some(0), None));
    assert_eq!(other.consumed(stream, CREDIT_STEP - 1), None, "credit is told now and then");
    let (_, credit) = other.consumed(stream, 1).unwrap();
    assert_eq!(one.receive(stream, credit), Ok((Event::Credit(stream), None)));
    assert_eq!(one.credit(stream), Some(CREDIT_STEP));
}

#[test]
fn rules_that_are_broken_are_found() {
    let violated = |frames: &[(u32, Frame)]| {
        let mut session = Session::new(true);
        frames.iter().find_map(|(stream, frame)| {
            let received = session.receive(*stream, frame.clone());
            if let Ok((Event::Asked { stream, .. }, _)) = received {
                session.accept(stream);
            }
            received.err()
        })
    };
    let open = (1, Frame::Open { from: at("1.1.1.1:1"), to: at("2.2.2.2:2") });
    let data = || (1, Frame::Data(vec![0; 32 << 10]));
    assert_eq!(violated(std::slice::from_ref(&open)), None);
    assert!(violated(&[(2, open.1.clone())]).is_some(), "a number of ours");
    assert!(violated(&[open.clone(), open.clone()]).is_some(), "the same number twice");
    assert!(violated(&[open.clone(), (1, Frame::Credit(1))]).is_some(), "credit that nobody has used");
    assert!(violated(&[open.clone(), (1, Frame::End), data()]).is_some(), "bytes behind the end");
    let all: Vec<_> = std::iter::once(open).chain((0..9).map(|_| data())).collect();
    assert!(violated(&all[..9]).is_none() && violated(&all).is_some(), "bytes without credit");
}

#[test]
fn cutting_names_every_stream() {
    let mut session = Session::new(false);
    let opened: Vec<u32> = (0..3).map(|_| session.open(at("1.1.1.1:1"), at("2.2.2.2:2")).unwrap().0).collect();
    assert_eq!(opened, [1, 3, 5]);
    assert_eq!(session.cut(), opened);
    assert!(session.is_empty());
    assert_eq!(session.receive(1, Frame::Data(vec![1])), Ok((Event::Nothing, Some((1, Frame::Reset)))));
    assert_eq!(session.receive(1, Frame::Reset), Ok((Event::Nothing, None)));
}
