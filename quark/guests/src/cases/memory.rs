//! Mappings, their protection and size, shared memory.

use crate::support::{file, in_child, zeroed};
use crate::trace::{Case, Trace};
use crate::{case, sys};
use libc::*;

pub const CASES: &[Case] = &[
    case!(anonymous),
    case!(map_errors),
    case!(file_private),
    case!(file_shared),
    case!(map_permissions),
    case!(past_the_end),
    case!(shared_over_fork),
    case!(private_over_fork),
    case!(unmap_parts),
    case!(protect),
    case!(protect_faults),
    case!(remap),
    case!(remap_fixed),
    case!(fixed),
    case!(advise),
    case!(advise_fork),
    case!(resident),
    case!(program_break),
    case!(lock),
    case!(sync_file),
    case!(memfd),
    case!(memfd_seals),
    case!(sysv_segments),
    case!(sysv_errors),
    case!(huge_sizes),
    case!(address_space_limit),
    case!(maps_listed),
    case!(another_process),
    case!(grows_down),
    case!(too_many),
];

const PAGE: usize = 4096;
const RW: i32 = PROT_READ | PROT_WRITE;
const ANON: i32 = MAP_PRIVATE | MAP_ANONYMOUS;

fn map(length: usize, protection: i32, flags: i32) -> i64 {
    sys!(SYS_mmap, 0, length, protection, flags, -1, 0)
}

/// A byte of memory.
fn peek(address: i64) -> u8 {
    // SAFETY: a case that reads what it may not read means to.
    unsafe { std::ptr::read_volatile(address as *const u8) }
}

fn poke(address: i64, value: u8) {
    // SAFETY: as for peek.
    unsafe { std::ptr::write_volatile(address as *mut u8, value) }
}

fn anonymous(t: &Trace) {
    let at = map(3 * PAGE, RW, ANON);
    t.show("aligned", at % PAGE as i64 == 0 && at > 0);
    t.show("zero", peek(at));
    poke(at + 5, 7);
    t.show("written", peek(at + 5));
    t.call("munmap", sys!(SYS_munmap, at, 3 * PAGE));
    t.show("gone", in_child(|| _ = peek(at)));
    t.call("munmap again", sys!(SYS_munmap, at, 3 * PAGE));
}

fn map_errors(t: &Trace) {
    t.call("nothing", sys!(SYS_mmap, 0, 0, RW, ANON, -1, 0));
    t.call("no kind", sys!(SYS_mmap, 0, PAGE, RW, MAP_ANONYMOUS, -1, 0));
    t.call("closed", sys!(SYS_mmap, 0, PAGE, RW, MAP_PRIVATE, 99, 0));
    t.call("offset", sys!(SYS_mmap, 0, PAGE, RW, MAP_PRIVATE, file(c"a", b"x"), 1));
    t.call("too much", sys!(SYS_mmap, 0, 1u64 << 47, RW, ANON, -1, 0));
    t.call("unaligned", sys!(SYS_mmap, 123, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    t.call("kernel's", sys!(SYS_mmap, 1u64 << 47, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    t.call("pipe", sys!(SYS_mmap, 0, PAGE, RW, MAP_PRIVATE, crate::support::pipe().0, 0));
    t.call("folder", sys!(SYS_mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, sys!(SYS_open, c".".as_ptr(), O_RDONLY), 0));
    t.call("munmap unaligned", sys!(SYS_munmap, 1, PAGE));
    t.call("munmap nothing", sys!(SYS_munmap, PAGE, 0));
    t.call("validate", sys!(SYS_mmap, 0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS | 0x8000000, -1, 0));
}

fn file_private(t: &Trace) {
    let fd = file(c"a", b"abcdef");
    let at = sys!(SYS_mmap, 0, PAGE, RW, MAP_PRIVATE, fd, 0);
    t.show("first", peek(at) as char);
    t.show("rest is zero", peek(at + 10));
    poke(at, b'X');
    t.show("file", std::fs::read_to_string("a").unwrap_or_default());
    sys!(SYS_close, fd);
    t.show("after close", peek(at + 1) as char);
}

fn file_shared(t: &Trace) {
    let fd = file(c"a", b"abcdef");
    let at = sys!(SYS_mmap, 0, PAGE, RW, MAP_SHARED, fd, 0);
    let twin = sys!(SYS_mmap, 0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    poke(at, b'X');
    t.show("file", std::fs::read_to_string("a").unwrap_or_default());
    t.show("twin", peek(twin) as char);
    sys!(SYS_pwrite64, fd, b"Y".as_ptr(), 1, 1);
    t.show("written", peek(at + 1) as char);
    t.call("msync", sys!(SYS_msync, at, PAGE, MS_SYNC));
    sys!(SYS_unlink, c"a".as_ptr());
    poke(at + 2, b'Z');
    t.show("after unlink", peek(twin + 2) as char);
}

fn map_permissions(t: &Trace) {
    file(c"a", b"abc");
    let reader = sys!(SYS_open, c"a".as_ptr(), O_RDONLY);
    let writer = sys!(SYS_open, c"a".as_ptr(), O_WRONLY);
    t.call("write, read-only", sys!(SYS_mmap, 0, PAGE, RW, MAP_SHARED, reader, 0));
    t.ok("private, read-only", sys!(SYS_mmap, 0, PAGE, RW, MAP_PRIVATE, reader, 0));
    t.call("write-only", sys!(SYS_mmap, 0, PAGE, PROT_READ, MAP_SHARED, writer, 0));
    t.call("write, write-only", sys!(SYS_mmap, 0, PAGE, PROT_WRITE, MAP_SHARED, writer, 0));
    let at = sys!(SYS_mmap, 0, PAGE, PROT_READ, MAP_SHARED, reader, 0);
    t.call("mprotect", sys!(SYS_mprotect, at, PAGE, RW));
}

fn past_the_end(t: &Trace) {
    let fd = file(c"a", b"abc");
    let at = sys!(SYS_mmap, 0, 3 * PAGE, RW, MAP_SHARED, fd, 0);
    t.show("same page", in_child(|| _ = peek(at + 100)));
    t.show("next page", in_child(|| _ = peek(at + PAGE as i64)));
    sys!(SYS_ftruncate, fd, 2 * PAGE);
    t.show("after growth", in_child(|| _ = peek(at + PAGE as i64)));
    sys!(SYS_ftruncate, fd, 1);
    t.show("after shrinking", in_child(|| _ = peek(at + PAGE as i64)));
    t.show("cut byte", peek(at + 2));
}

fn shared_over_fork(t: &Trace) {
    let at = map(PAGE, RW, MAP_SHARED | MAP_ANONYMOUS);
    let end = in_child(|| {
        poke(at, 9);
        t.show("grandchild", in_child(|| poke(at + 1, 8)));
    });
    t.show("child", end);
    t.show("seen", format!("{} {}", peek(at), peek(at + 1)));
}

fn private_over_fork(t: &Trace) {
    let at = map(PAGE, RW, ANON);
    poke(at, 1);
    let end = in_child(|| {
        t.show("inherited", peek(at));
        poke(at, 2);
    });
    t.show("child", end);
    t.show("own", peek(at));
}

fn unmap_parts(t: &Trace) {
    let at = map(5 * PAGE, RW, ANON);
    let page = PAGE as i64;
    t.call("middle", sys!(SYS_munmap, at + 2 * page, PAGE));
    poke(at + page, 1);
    poke(at + 3 * page, 1);
    t.show("hole", in_child(|| poke(at + 2 * page, 1)));
    t.call("over the hole", sys!(SYS_munmap, at, 5 * PAGE));
    t.show("all gone", in_child(|| poke(at + 4 * page, 1)));
}

fn protect(t: &Trace) {
    let at = map(3 * PAGE, RW, ANON);
    t.call("read-only", sys!(SYS_mprotect, at, PAGE, PROT_READ));
    t.call("unaligned", sys!(SYS_mprotect, at + 1, PAGE, PROT_READ));
    t.call("nothing", sys!(SYS_mprotect, at, 0, PROT_READ));
    t.call("unknown", sys!(SYS_mprotect, at, PAGE, 0x100));
    sys!(SYS_munmap, at + PAGE as i64, PAGE);
    t.call("over a hole", sys!(SYS_mprotect, at, 3 * PAGE, PROT_READ));
    t.call("unmapped", sys!(SYS_mprotect, at + PAGE as i64, PAGE, PROT_READ));
}

fn protect_faults(t: &Trace) {
    let at = map(PAGE, RW, ANON);
    for (name, protection) in [("none", PROT_NONE), ("read", PROT_READ), ("both", RW), ("execute", PROT_READ | PROT_EXEC)] {
        sys!(SYS_mprotect, at, PAGE, protection);
        t.show(name, format!("read {}, write {}", in_child(|| _ = peek(at)), in_child(|| poke(at, 1))));
    }
    sys!(SYS_mprotect, at, PAGE, RW);
    // SAFETY: one instruction, ret.
    unsafe { std::ptr::write(at as *mut u8, 0xc3) };
    // SAFETY: the page holds a function; where it may not run is what the case is about.
    let run = || unsafe { std::mem::transmute::<i64, extern "C" fn()>(at)() };
    t.show("run without", in_child(run));
    sys!(SYS_mprotect, at, PAGE, PROT_READ | PROT_EXEC);
    t.show("run with", in_child(run));
}

fn remap(t: &Trace) {
    let at = map(2 * PAGE, RW, ANON);
    poke(at, 5);
    let moved = sys!(SYS_mremap, at, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    t.show("grown", peek(moved));
    t.show("new part", peek(moved + 60 * PAGE as i64));
    t.show("shrunk in place", sys!(SYS_mremap, moved, 64 * PAGE, PAGE, 0) == moved);
    t.show("cut", in_child(|| _ = peek(moved + PAGE as i64)));
    t.call("unmapped", sys!(SYS_mremap, moved + PAGE as i64, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    t.call("unaligned", sys!(SYS_mremap, moved + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    t.call("nothing", sys!(SYS_mremap, moved, PAGE, 0, MREMAP_MAYMOVE));
    t.call("unknown flag", sys!(SYS_mremap, moved, PAGE, 2 * PAGE, 64));
    t.call("fixed alone", sys!(SYS_mremap, moved, PAGE, 2 * PAGE, MREMAP_FIXED, moved));
    let block = map(3 * PAGE, RW, ANON);
    sys!(SYS_mprotect, block + PAGE as i64, PAGE, PROT_READ);
    t.call("cannot grow here", sys!(SYS_mremap, block, PAGE, 2 * PAGE, 0));
}

fn remap_fixed(t: &Trace) {
    let (from, to) = (map(PAGE, RW, ANON), map(PAGE, RW, ANON));
    poke(from, 5);
    t.show("moved", sys!(SYS_mremap, from, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    t.show("content", peek(to));
    t.show("old place", in_child(|| _ = peek(from)));
    t.call("overlap", sys!(SYS_mremap, to, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to));
    let shared = map(PAGE, RW, MAP_SHARED | MAP_ANONYMOUS);
    poke(shared, 3);
    let copy = sys!(SYS_mremap, shared, 0, PAGE, MREMAP_MAYMOVE);
    t.show("copied", peek(copy));
    poke(copy, 4);
    t.show("one memory", peek(shared));
    let kept = sys!(SYS_mremap, to, PAGE, PAGE, MREMAP_MAYMOVE | 4);
    t.show("old place is empty", format!("{} {}", peek(kept), peek(to)));
}

fn fixed(t: &Trace) {
    let at = map(3 * PAGE, RW, ANON);
    poke(at, 1);
    let middle = at + PAGE as i64;
    t.show("over", sys!(SYS_mmap, middle, PAGE, RW, ANON | MAP_FIXED, -1, 0) == middle);
    t.call("no replace", sys!(SYS_mmap, middle, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
    sys!(SYS_munmap, middle, PAGE);
    t.show("into the hole", sys!(SYS_mmap, middle, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == middle);
    t.show("a hint that is taken", sys!(SYS_mmap, at, PAGE, RW, ANON, -1, 0) != at);
    sys!(SYS_munmap, middle, PAGE);
    t.show("a free hint", sys!(SYS_mmap, middle, PAGE, RW, ANON, -1, 0) == middle);
    t.show("neighbour", peek(at));
    let low = sys!(SYS_mmap, 0, PAGE, RW, ANON | MAP_32BIT, -1, 0);
    t.show("32 bit", low > 0 && low < 1 << 32);
    t.show(
        "zero page",
        in_child(|| {
            sys!(SYS_setuid, 1000);
            t.call("mmap", sys!(SYS_mmap, 0, PAGE, RW, ANON | MAP_FIXED, -1, 0));
        }),
    );
}

fn advise(t: &Trace) {
    let at = map(2 * PAGE, RW, ANON);
    poke(at, 1);
    t.call("need", sys!(SYS_madvise, at, PAGE, MADV_WILLNEED));
    t.call("random", sys!(SYS_madvise, at, PAGE, MADV_RANDOM));
    t.call("free", sys!(SYS_madvise, at + PAGE as i64, PAGE, MADV_FREE));
    t.call("forget", sys!(SYS_madvise, at, PAGE, MADV_DONTNEED));
    t.show("zero again", peek(at));
    t.call("unaligned", sys!(SYS_madvise, at + 1, PAGE, MADV_DONTNEED));
    t.call("unknown", sys!(SYS_madvise, at, PAGE, 999));
    sys!(SYS_munmap, at, PAGE);
    t.call("unmapped", sys!(SYS_madvise, at, PAGE, MADV_DONTNEED));
    let fd = file(c"a", b"abc");
    let private = sys!(SYS_mmap, 0, PAGE, RW, MAP_PRIVATE, fd, 0);
    poke(private, b'X');
    sys!(SYS_madvise, private, PAGE, MADV_DONTNEED);
    t.show("file's again", peek(private) as char);
    let shared = map(PAGE, RW, MAP_SHARED | MAP_ANONYMOUS);
    poke(shared, 1);
    t.call("remove", sys!(SYS_madvise, shared, PAGE, MADV_REMOVE));
    t.show("removed", peek(shared));
}

fn advise_fork(t: &Trace) {
    let (gone, wiped) = (map(PAGE, RW, ANON), map(PAGE, RW, ANON));
    poke(wiped, 3);
    t.call("not for children", sys!(SYS_madvise, gone, PAGE, MADV_DONTFORK));
    t.call("wiped for children", sys!(SYS_madvise, wiped, PAGE, MADV_WIPEONFORK));
    t.show("gone", in_child(|| _ = peek(gone)));
    t.show("wiped", in_child(|| t.show("byte", peek(wiped))));
    t.show("own", peek(wiped));
}

fn resident(t: &Trace) {
    let at = map(3 * PAGE, RW, ANON);
    poke(at + PAGE as i64, 1);
    let mut pages = [9u8; 3];
    t.call("mincore", sys!(SYS_mincore, at, 3 * PAGE, pages.as_mut_ptr()));
    t.show("pages", format!("{:?}", pages.map(|page| page & 1)));
    t.call("unaligned", sys!(SYS_mincore, at + 1, PAGE, pages.as_mut_ptr()));
    sys!(SYS_munmap, at, PAGE);
    t.call("unmapped", sys!(SYS_mincore, at, PAGE, pages.as_mut_ptr()));
    t.call("bad pointer", sys!(SYS_mincore, at + PAGE as i64, PAGE, 8));
}

fn program_break(t: &Trace) {
    let start = sys!(SYS_brk, 0);
    t.show("grown", sys!(SYS_brk, start + 100_000) == start + 100_000);
    poke(start + 99_999, 7);
    t.show("shrunk", sys!(SYS_brk, start) == start);
    t.show("too low", sys!(SYS_brk, 4096) == start);
    t.show("too high", sys!(SYS_brk, 1u64 << 47) == start);
    sys!(SYS_brk, start + 100_000);
    t.show("zero again", peek(start + 99_999));
    let child = in_child(|| _ = sys!(SYS_brk, start));
    t.show("child's own", child);
    t.show("ours", sys!(SYS_brk, 0) == start + 100_000);
}

fn lock(t: &Trace) {
    let at = map(2 * PAGE, RW, ANON);
    t.call("mlock", sys!(SYS_mlock, at, PAGE));
    t.call("mlock2", sys!(SYS_mlock2, at, PAGE, MLOCK_ONFAULT));
    t.call("mlock2 unknown", sys!(SYS_mlock2, at, PAGE, 8));
    t.call("munlock", sys!(SYS_munlock, at, PAGE));
    sys!(SYS_munmap, at, PAGE);
    t.call("unmapped", sys!(SYS_mlock, at, PAGE));
    t.call("mlockall nothing", sys!(SYS_mlockall, 0));
    t.call("mlockall unknown", sys!(SYS_mlockall, 64));
    t.call("munlockall", sys!(SYS_munlockall));
}

fn sync_file(t: &Trace) {
    let fd = file(c"a", b"abc");
    let at = sys!(SYS_mmap, 0, PAGE, RW, MAP_SHARED, fd, 0);
    t.call("later", sys!(SYS_msync, at, PAGE, MS_ASYNC));
    t.call("both", sys!(SYS_msync, at, PAGE, MS_ASYNC | MS_SYNC));
    t.call("unknown", sys!(SYS_msync, at, PAGE, 64));
    t.call("unaligned", sys!(SYS_msync, at + 1, PAGE, MS_SYNC));
    sys!(SYS_munmap, at, PAGE);
    t.call("unmapped", sys!(SYS_msync, at, PAGE, MS_SYNC));
}

fn memfd(t: &Trace) {
    let fd = sys!(SYS_memfd_create, c"name".as_ptr(), MFD_CLOEXEC);
    t.call("create", fd);
    t.call("flags", sys!(SYS_fcntl, fd, F_GETFD));
    t.call("write", sys!(SYS_write, fd, b"abc".as_ptr(), 3));
    let at = sys!(SYS_mmap, 0, PAGE, RW, MAP_SHARED, fd, 0);
    t.show("mapped", peek(at + 1) as char);
    poke(at, b'X');
    let mut buffer = [0u8; 3];
    sys!(SYS_pread64, fd, buffer.as_mut_ptr(), 3, 0);
    t.bytes("read", &buffer);
    t.show("link", std::fs::read_link(format!("/proc/self/fd/{fd}")).map(|path| path.display().to_string()).unwrap_or_default());
    t.call("unknown flag", sys!(SYS_memfd_create, c"x".as_ptr(), 0x100));
    let long = std::ffi::CString::new("x".repeat(250)).unwrap_or_default();
    t.call("long name", sys!(SYS_memfd_create, long.as_ptr(), 0));
    t.call("bad name", sys!(SYS_memfd_create, 8, 0));
    t.call("no seals", sys!(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE));
    let mut stat: stat = zeroed();
    sys!(SYS_fstat, fd, &raw mut stat);
    t.show("stat", format!("{:o} {} {}", stat.st_mode, stat.st_nlink, stat.st_size));
}

fn memfd_seals(t: &Trace) {
    let fd = sys!(SYS_memfd_create, c"name".as_ptr(), MFD_ALLOW_SEALING);
    sys!(SYS_ftruncate, fd, PAGE);
    t.call("get", sys!(SYS_fcntl, fd, F_GET_SEALS));
    t.call("grow", sys!(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));
    t.call("longer", sys!(SYS_ftruncate, fd, 2 * PAGE));
    t.call("shorter", sys!(SYS_ftruncate, fd, 1));
    t.call("write past", sys!(SYS_pwrite64, fd, b"abc".as_ptr(), 3, PAGE));
    let at = sys!(SYS_mmap, 0, PAGE, RW, MAP_SHARED, fd, 0);
    t.call("mapped", sys!(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE));
    sys!(SYS_munmap, at, PAGE);
    t.call("unmapped", sys!(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE));
    t.call("write", sys!(SYS_write, fd, b"x".as_ptr(), 1));
    t.call("map to write", sys!(SYS_mmap, 0, PAGE, RW, MAP_SHARED, fd, 0));
    t.ok("map to read", sys!(SYS_mmap, 0, PAGE, PROT_READ, MAP_SHARED, fd, 0));
    t.call("punch", sys!(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
    t.call("seal", sys!(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SEAL));
    t.call("sealed", sys!(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_GROW));
    t.call("all", sys!(SYS_fcntl, fd, F_GET_SEALS));
    t.call("of a file", sys!(SYS_fcntl, sys!(SYS_open, c"/dev/null".as_ptr(), O_RDWR), F_GET_SEALS));
}

fn sysv_segments(t: &Trace) {
    let id = sys!(SYS_shmget, IPC_PRIVATE, 5000, IPC_CREAT | 0o600);
    t.ok("shmget", id);
    let at = sys!(SYS_shmat, id, 0, 0);
    poke(at, 5);
    let end = in_child(|| {
        t.show("inherited", peek(at));
        poke(at + 1, 6);
        let twin = sys!(SYS_shmat, id, 0, SHM_RDONLY);
        t.show("twin", peek(twin + 1));
        t.show("read-only", in_child(|| poke(twin, 1)));
        t.call("detach", sys!(SYS_shmdt, twin));
    });
    t.show("child", end);
    t.show("seen", peek(at + 1));
    let mut state: shmid_ds = zeroed();
    t.call("stat", sys!(SYS_shmctl, id, IPC_STAT, &raw mut state));
    t.show("state", format!("{} {} {:o}", state.shm_segsz, state.shm_nattch, state.shm_perm.mode));
    t.call("remove", sys!(SYS_shmctl, id, IPC_RMID, 0));
    t.show("still there", peek(at));
    sys!(SYS_shmctl, id, IPC_STAT, &raw mut state);
    t.show("removed", format!("{:o}", state.shm_perm.mode));
    t.call("detach", sys!(SYS_shmdt, at));
    t.call("gone", sys!(SYS_shmctl, id, IPC_STAT, &raw mut state));
}

fn sysv_errors(t: &Trace) {
    t.call("missing key", sys!(SYS_shmget, 4242, 100, 0));
    let id = sys!(SYS_shmget, 4242, 100, IPC_CREAT | 0o600);
    t.show("same key", sys!(SYS_shmget, 4242, 100, IPC_CREAT) == id);
    t.call("exclusive", sys!(SYS_shmget, 4242, 100, IPC_CREAT | IPC_EXCL));
    t.call("larger", sys!(SYS_shmget, 4242, 10_000, 0));
    t.call("nothing", sys!(SYS_shmget, IPC_PRIVATE, 0, IPC_CREAT));
    t.call("attach unknown", sys!(SYS_shmat, 99_999, 0, 0));
    t.call("unaligned", sys!(SYS_shmat, id, 1, 0));
    t.call("detach nothing", sys!(SYS_shmdt, 4096));
    let end = in_child(|| {
        sys!(SYS_setuid, 1000);
        t.call("another", sys!(SYS_shmat, id, 0, 0));
        t.call("another removes", sys!(SYS_shmctl, id, IPC_RMID, 0));
    });
    t.show("child", end);
    t.call("remove", sys!(SYS_shmctl, id, IPC_RMID, 0));
    t.call("unknown command", sys!(SYS_shmctl, id, 77, 0));
}

fn huge_sizes(t: &Trace) {
    let at = sys!(SYS_mmap, 0, 1u64 << 40, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    t.ok("a terabyte of nothing", at);
    t.call("some of it", sys!(SYS_mprotect, at + (1 << 39), PAGE, RW));
    poke(at + (1 << 39), 1);
    t.show("byte", peek(at + (1 << 39)));
    t.call("unmap", sys!(SYS_munmap, at, 1u64 << 40));
    t.ok("64 MiB", map(64 << 20, RW, ANON | MAP_POPULATE));
    t.call("all of it", sys!(SYS_mmap, 0, -4096i64, RW, ANON, -1, 0));
    t.call("wraps", sys!(SYS_munmap, 4096, -4096i64));
    t.call("huge pages", sys!(SYS_madvise, map(4 << 20, RW, ANON), PAGE, MADV_NOHUGEPAGE));
}

fn address_space_limit(t: &Trace) {
    let end = in_child(|| {
        let limit = rlimit { rlim_cur: 64 << 20, rlim_max: 64 << 20 };
        t.call("limit", sys!(SYS_setrlimit, RLIMIT_AS, &raw const limit));
        t.call("over", map(128 << 20, RW, ANON));
        t.ok("below", map(1 << 20, RW, ANON));
        let start = sys!(SYS_brk, 0);
        t.show("brk", sys!(SYS_brk, start + (128 << 20)) == start);
    });
    t.show("child", end);
    let end = in_child(|| {
        let limit = rlimit { rlim_cur: 0, rlim_max: 0 };
        sys!(SYS_setrlimit, RLIMIT_DATA, &raw const limit);
        let start = sys!(SYS_brk, 0);
        t.show("no data", sys!(SYS_brk, start + (1 << 20)) == start);
    });
    t.show("child", end);
}

fn maps_listed(t: &Trace) {
    let at = map(3 * PAGE, PROT_READ, ANON);
    sys!(SYS_mprotect, at + PAGE as i64, PAGE, PROT_NONE);
    let fd = file(c"mapped", b"abc");
    let shared = sys!(SYS_mmap, 0, PAGE, RW, MAP_SHARED, fd, 0);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let line_of = |start: i64| {
        let line = maps.lines().find(|line| line.starts_with(&format!("{start:x}-"))).unwrap_or_default().to_string();
        let parts: Vec<&str> = line.split_whitespace().collect();
        format!("{} {}", parts.get(1).unwrap_or(&"none"), parts.get(5).map_or("", |path| path.rsplit('/').next().unwrap_or("")))
    };
    t.show("middle", line_of(at + PAGE as i64));
    t.show("end", line_of(at + 2 * PAGE as i64));
    t.show("file", line_of(shared));
    for name in ["[heap]", "[stack]", "[vdso]"] {
        t.show(name, maps.contains(name));
    }
    t.show("program", maps.contains("/guests"));
}

fn another_process(t: &Trace) {
    let mut bytes = *b"parent";
    let (reader, writer) = crate::support::pipe();
    let child = crate::support::spawn(|| {
        crate::support::show_read(t, "go", reader);
        t.bytes("changed", &bytes);
    });
    let mut copy = [0u8; 6];
    let local = iovec { iov_base: copy.as_mut_ptr().cast(), iov_len: 6 };
    let remote = iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 6 };
    t.call("read", sys!(SYS_process_vm_readv, child, &raw const local, 1, &raw const remote, 1, 0));
    t.bytes("copy", &copy);
    copy.copy_from_slice(b"edited");
    t.call("write", sys!(SYS_process_vm_writev, child, &raw const local, 1, &raw const remote, 1, 0));
    t.call("flags", sys!(SYS_process_vm_readv, child, &raw const local, 1, &raw const remote, 1, 1));
    t.call("nobody", sys!(SYS_process_vm_readv, 32_000, &raw const local, 1, &raw const remote, 1, 0));
    let wrong = iovec { iov_base: 8 as *mut _, iov_len: 6 };
    t.call("bad address", sys!(SYS_process_vm_readv, child, &raw const local, 1, &raw const wrong, 1, 0));
    crate::support::write(writer, b"x");
    t.show("child", crate::support::wait_for(child));
    bytes[0] = b'P';
    t.bytes("own", &bytes);
}

/// Uses so many KiB of stack.
fn deep(levels: u32) -> u64 {
    let mut block = [0u8; 1024];
    // SAFETY: keeps the block on the stack.
    unsafe { std::ptr::write_volatile(&raw mut block[(levels % 1024) as usize], 1) };
    if levels == 0 { 0 } else { u64::from(block[0]) + deep(levels - 1) }
}

fn grows_down(t: &Trace) {
    t.show("4 MiB of stack", in_child(|| _ = deep(4 << 10)));
    t.show("16 MiB of stack", in_child(|| _ = deep(16 << 10)));
}

/// More mappings than the host gives a process (`vm.max_map_count`): what is refused stays as it was.
fn too_many(t: &Trace) {
    const PAGES: usize = 140_000;
    let page = |index: usize| index * 4096;
    let at = sys!(SYS_mmap, 0, page(PAGES), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) as usize;
    let protect = |index| sys!(SYS_mprotect, at + page(index), 4096, PROT_READ | PROT_WRITE);
    let write = |index| {
        in_child(|| {
            // SAFETY: ours, or a fault, which is what this is about.
            unsafe { std::ptr::write_volatile((at + page(index)) as *mut u8, 1) };
        })
    };
    let Some(refused) = (1..PAGES).step_by(2).find(|index| protect(*index) != 0) else {
        return t.show("refused", "nothing");
    };
    t.call("refused", protect(refused));
    t.show("write there", write(refused));
    t.show("write before", write(refused - 2));
    t.call("unmap", sys!(SYS_munmap, at, page(PAGES)));
    let at = sys!(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) as usize;
    t.call("protect", sys!(SYS_mprotect, at, 4096, PROT_READ | PROT_WRITE));
    t.call("of nothing", sys!(SYS_mprotect, at + page(PAGES), 4096, PROT_READ));
    t.call("unmap", sys!(SYS_munmap, at, 4096));
    t.call("unmap again", sys!(SYS_munmap, at, 4096));
}
