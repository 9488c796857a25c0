use std::sync::Arc;

use super::set::{Operation, Request, Set};
use crate::Errno;
use crate::ipc::IpcOwner;
use crate::ipc::sleeper::Sleeper;
use crate::task::Credentials;

const NOWAIT: i16 = libc::IPC_NOWAIT as i16;
const UNDO: i16 = 0x1000;

fn set(values: &[u16]) -> Set {
    let mut set = Set::new(IpcOwner::new(1, &Credentials::default(), 0o600), values.len());
    set.set_all(values, 0);
    set
}

fn request(operations: &[(u16, i16, i16)], undo: u64) -> Request {
    let operations = operations.iter().map(|(number, by, flags)| Operation { number: *number, by: *by, flags: *flags });
    Request { operations: operations.collect(), pid: 7, undo }
}

fn waiting(set: &mut Set, operations: &[(u16, i16, i16)]) -> Arc<Sleeper<Result<(), Errno>>> {
    let request = request(operations, 0);
    let blocked = set.operate(&request).unwrap().unwrap();
    let sleeper = Arc::new(Sleeper::detached());
    set.wait(request, blocked, sleeper.clone());
    sleeper
}

#[test]
fn operations_are_done_all_or_none() {
    let mut set = set(&[1, 0]);
    assert_eq!(set.operate(&request(&[(0, 2, 0), (1, -1, 0)], 0)), Ok(Some(1)));
    assert_eq!(set.operate(&request(&[(0, 2, 0), (1, -1, NOWAIT)], 0)), Err(Errno::AGAIN));
    assert_eq!(set.operate(&request(&[(0, 2, UNDO), (0, 32766, 0)], 5)), Err(Errno::RANGE));
    assert_eq!(set.values(), [1, 0]);
    set.undo(5, 1);
    assert_eq!(set.values(), [1, 0]);
    // A semaphore may come up twice: for a lock, zero and then one.
    assert_eq!(set.operate(&request(&[(1, 0, 0), (1, 1, 0)], 0)), Ok(None));
    assert_eq!(set.operate(&request(&[(1, 0, 0), (1, 1, 0)], 0)), Ok(Some(0)));
    assert_eq!((set.values(), set.get(1).unwrap().pid), (vec![1, 1], 7));
}

#[test]
fn who_waits_is_served_in_order_as_far_as_it_goes() {
    let mut set = set(&[0, 0]);
    let first = waiting(&mut set, &[(0, -2, 0)]);
    let second = waiting(&mut set, &[(0, -1, 0), (1, 1, 0)]);
    let third = waiting(&mut set, &[(1, -1, 0)]);
    assert_eq!((set.count_waiting(0, false), set.count_waiting(1, false), set.count_waiting(0, true)), (2, 1, 0));
    assert_eq!(set.operate(&request(&[(0, 1, 0)], 0)), Ok(None));
    assert_eq!((first.take(), second.take(), third.take()), (None, Some(Ok(())), Some(Ok(()))));
    assert_eq!(set.operate(&request(&[(0, 3, 0)], 0)), Ok(None));
    assert_eq!(first.take(), Some(Ok(())));
    assert_eq!(set.values(), [1, 0]);
}

#[test]
fn who_waits_for_zero_sees_it_before_it_is_over() {
    let mut set = set(&[1]);
    let zero = waiting(&mut set, &[(0, 0, 0)]);
    assert_eq!(set.count_waiting(0, true), 1);
    assert_eq!(set.operate(&request(&[(0, -1, 0)], 0)), Ok(None));
    assert_eq!(zero.take(), Some(Ok(())));
}

#[test]
fn a_removed_set_tells_who_waits_and_who_comes_late() {
    let mut set = set(&[0]);
    let (one, gone) = (waiting(&mut set, &[(0, -1, 0)]), waiting(&mut set, &[(0, -1, 0)]));
    set.forget(&gone);
    set.remove();
    assert_eq!((one.take(), gone.take()), (Some(Err(Errno::IDRM)), None));
    assert_eq!(set.operate(&request(&[(0, 1, 0)], 0)), Err(Errno::IDRM));
}

#[test]
fn what_is_undone_stays_in_range_and_setting_forgets_it() {
    let mut set = set(&[5, 5]);
    assert_eq!(set.operate(&request(&[(0, -3, UNDO), (1, 4, UNDO)], 9)), Ok(None));
    assert_eq!(set.operate(&request(&[(1, -7, 0)], 0)), Ok(None));
    set.undo(9, 1);
    assert_eq!(set.values(), [5, 0]);
    assert_eq!(set.operate(&request(&[(0, -3, UNDO)], 9)), Ok(None));
    set.set(0, 1, 1).unwrap();
    set.undo(9, 1);
    assert_eq!(set.values(), [1, 0]);
}
