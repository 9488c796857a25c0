//! The sets of descriptors of `select(2)`. Pure.

use crate::wait::Events;

/// What makes a descriptor ready in the first, second and third set.
pub const READY_FOR: [Events; 3] = [
    Events::IN.union(Events::RDNORM).union(Events::RDBAND).union(Events::HUP).union(Events::ERR),
    Events::OUT.union(Events::WRNORM).union(Events::WRBAND).union(Events::ERR),
    Events::PRI,
];

/// Bytes of a set of `count` descriptors: whole longs.
pub fn size(count: usize) -> usize {
    count.div_ceil(64) * 8
}

/// Whether `fd` is in the set.
pub fn contains(set: &[u8], fd: usize) -> bool {
    set.get(fd / 8).is_some_and(|byte| byte >> (fd % 8) & 1 == 1)
}

/// Puts `fd` into the set, if it has room for it.
pub fn insert(set: &mut [u8], fd: usize) {
    if let Some(byte) = set.get_mut(fd / 8) {
        *byte |= 1 << (fd % 8);
    }
}

/// Which descriptors below `count` are asked for in any of the sets, and for what.
pub fn asked(sets: &[Vec<u8>; 3], count: usize) -> Vec<(usize, Events)> {
    let interest = |fd: usize| {
        let wanted = sets.iter().zip(READY_FOR).filter(|(set, _)| contains(set, fd)).map(|(_, events)| events);
        wanted.fold(Events::empty(), Events::union)
    };
    // Eight at a time: sets are mostly empty.
    let used = |byte: usize| sets.iter().any(|set| set.get(byte).is_some_and(|bits| *bits != 0));
    let fds = (0..count.div_ceil(8)).filter(|byte| used(*byte)).flat_map(|byte| byte * 8..(byte * 8 + 8).min(count));
    fds.map(|fd| (fd, interest(fd))).filter(|(_, events)| !events.is_empty()).collect()
}

/// The sets that answer `sets`, given what each descriptor is ready for; and how many bits are set in all of them.
pub fn answer(sets: &[Vec<u8>; 3], ready: impl Iterator<Item = (usize, Events)>) -> ([Vec<u8>; 3], u64) {
    let mut answers = sets.each_ref().map(|set| vec![0; set.len()]);
    let mut count = 0;
    for (fd, events) in ready {
        for ((set, answer), wanted) in sets.iter().zip(&mut answers).zip(READY_FOR) {
            if contains(set, fd) && events.intersects(wanted) {
                insert(answer, fd);
                count += 1;
            }
        }
    }
    (answers, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(fds: &[usize]) -> Vec<u8> {
        let mut set = vec![0; size(100)];
        fds.iter().for_each(|fd| insert(&mut set, *fd));
        set
    }

    #[test]
    fn sizes_are_whole_longs() {
        assert_eq!([0, 1, 64, 65, 1024].map(size), [0, 8, 8, 16, 128]);
    }

    #[test]
    fn only_descriptors_below_the_count_are_asked_for() {
        let sets = [set(&[0, 9, 70]), set(&[9, 99]), Vec::new()];
        let fds: Vec<usize> = asked(&sets, 71).into_iter().map(|(fd, _)| fd).collect();
        assert_eq!(fds, [0, 9, 70]);
        assert_eq!(asked(&sets, 100)[1], (9, READY_FOR[0] | READY_FOR[1]));
        assert_eq!(asked(&sets, 70).len(), 2);
        assert!(asked(&[Vec::new(), Vec::new(), Vec::new()], 50).is_empty());
    }

    #[test]
    fn each_set_is_answered_by_its_own_events() {
        let sets = [set(&[1, 2, 3]), set(&[1, 2]), set(&[1, 4])];
        let ready = [(1, Events::IN | Events::OUT | Events::PRI), (2, Events::ERR), (3, Events::OUT), (4, Events::HUP)];
        let (answers, count) = answer(&sets, ready.into_iter());
        assert_eq!(answers, [set(&[1, 2]), set(&[1, 2]), set(&[1])]);
        assert_eq!(count, 5);
    }
}
