//! Guests run, and tell what happens to them.

mod support;

use std::time::Duration;

use quark_host::platform::{Event, HostCall, Registers};
use rustix::io::Errno;
use support::{CODE, DATA, STACK_TOP, World, anonymous};

std::arch::global_asm!(
    r#"
    .globl two_calls, two_calls_end, faults, faults_end, spin, spin_end, vectors, vectors_end, bases, bases_end, odd_calls, odd_calls_end, aligned, aligned_end, steps, steps_end, counter, counter_end
two_calls:
    mov rax, 0x1234567812345678
    mov rdi, 1
    mov rsi, 2
    mov rdx, 3
    mov r10, 4
    mov r8, 5
    mov r9, 6
    mov rbx, 7
    mov rbp, 8
    mov r12, 9
    mov r13, 10
    mov r14, 11
    mov r15, 12
    syscall
    inc rax
    syscall
    hlt
two_calls_end:

faults:
    mov rax, [rdi]
    hlt
    ud2
    int3
    xor edx, edx
    mov eax, 1
    div edx
faults_end:

spin:
    inc rax
    jmp spin
spin_end:

vectors:
    vmovdqu ymm5, [rdi]
    vmovdqu ymm15, [rdi]
    syscall
    vmovdqu [rsi], ymm5
    vmovdqu [rsi + 32], ymm15
    syscall
vectors_end:

bases:
    mov rax, fs:[0]
    mov rbx, gs:[8]
    syscall
bases_end:

odd_calls:
    int 0x80
    mov eax, 0xffffffffff600400
    mov rax, 0xffffffffff600400
    xor edi, edi
    call rax
    syscall
odd_calls_end:

aligned:
    pushfq
    or dword ptr [rsp], 0x40400
    popfq
    syscall
    pushfq
    pop rax
    syscall
aligned_end:

steps:
    nop
    syscall
    nop
steps_end:

counter:
    lock inc qword ptr [rdi]
    syscall
    jmp counter
counter_end:
"#
);

#[test]
fn system_calls_come_with_all_registers_and_take_their_results() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(two_calls, two_calls_end));
    assert_eq!(guest.run(), Event::Syscall);
    let r = guest.registers;
    assert_eq!((r.rax, r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9), (0x1234_5678_1234_5678, 1, 2, 3, 4, 5, 6));
    assert_eq!((r.rbx, r.rbp, r.r12, r.r13, r.r14, r.r15, r.rsp), (7, 8, 9, 10, 11, 12, STACK_TOP));
    assert_eq!(r.rcx, r.rip);
    guest.registers.rax = 41;
    assert_eq!(guest.run(), Event::Syscall);
    assert_eq!(guest.registers, Registers { rax: 42, rip: r.rip + 5, rcx: r.rcx + 5, ..r });
}

#[test]
fn faults_tell_what_the_host_told() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(faults, faults_end));
    guest.registers.rdi = 0x123_4560;
    let mut expect = |signal, skip| {
        let Event::Fault(fault) = guest.run() else { panic!("a fault must come") };
        assert_eq!(fault.signal, signal);
        guest.registers.rip += skip;
        fault
    };
    let segv = expect(libc::SIGSEGV, 3);
    assert_eq!((segv.code, segv.address, segv.trap, segv.error, segv.cr2), (1, 0x123_4560, 14, 4, 0x123_4560));
    assert_eq!(expect(libc::SIGSEGV, 1).trap, 13);
    assert_eq!(expect(libc::SIGILL, 2).trap, 6);
    assert_eq!(expect(libc::SIGTRAP, 0).trap, 3);
    assert_eq!(expect(libc::SIGFPE, 0).trap, 0);
}

#[test]
fn jumps_to_nowhere_are_faults() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(spin, spin_end));
    for rip in [0, 0x10_0000, 0x8000_0000_0000, 0xffff_8000_0000_0000, u64::MAX, 0xffff_ffff_ff60_0800] {
        guest.registers.rip = rip;
        guest.registers.rsp = rip;
        let event = guest.run();
        assert!(matches!(event, Event::Fault(fault) if fault.signal == libc::SIGSEGV), "{rip:#x}: {event:?}");
    }
    guest.registers.rip = CODE;
    guest.context.interrupter().interrupt();
    assert_eq!(guest.run(), Event::Interrupted);
}

#[test]
fn interrupts_stop_a_loop_and_are_not_lost() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(spin, spin_end));
    let interrupter = guest.context.interrupter();
    interrupter.interrupt();
    interrupter.interrupt();
    assert_eq!(guest.run(), Event::Interrupted);
    assert_eq!(guest.registers.rax, 0, "the guest must not have run");
    for delay in [0, 1, 5, 20, 100, 1000, 5000].into_iter().cycle().take(100) {
        let other = interrupter.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(delay));
            other.interrupt();
        });
        assert_eq!(guest.run(), Event::Interrupted);
        thread.join().unwrap();
    }
    assert!(guest.registers.rax > 0);
}

#[test]
fn vector_registers_are_kept_shown_and_set() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(vectors, vectors_end));
    let pattern: Vec<u8> = (1..=32).collect();
    guest.space.write(DATA, &pattern).unwrap();
    (guest.registers.rdi, guest.registers.rsi) = (DATA, DATA + 64);
    guest.run_to_call();
    let mut area = guest.context.extended().unwrap();
    let xmm5 = 160 + 5 * 16;
    assert_eq!(area[xmm5..xmm5 + 16], pattern[..16]);
    // YMM_Hi128 lies at 576 in the standard format.
    assert_eq!(area[576 + 5 * 16..576 + 6 * 16], pattern[16..]);
    area[xmm5..xmm5 + 16].fill(0xaa);
    guest.context.set_extended(&area).unwrap();
    guest.run_to_call();
    let mut seen = [0; 64];
    guest.space.read(DATA + 64, &mut seen).unwrap();
    assert_eq!(seen[..16], [0xaa; 16]);
    assert_eq!(seen[16..32], pattern[16..]);
    assert_eq!(seen[32..], pattern[..]);
    guest.context.set_extended(&[]).unwrap();
    guest.registers.rip = CODE + 10;
    guest.run_to_call();
    guest.space.read(DATA + 64, &mut seen).unwrap();
    assert_eq!(seen, [0; 64]);
}

#[test]
fn vector_state_that_the_host_would_refuse_is_refused() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(vectors, vectors_end));
    let area = guest.context.extended().unwrap();
    let refused = |guest: &mut support::Guest, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bad = area.clone();
        change(&mut bad);
        assert_eq!(guest.context.set_extended(&bad), Err(Errno::INVAL));
    };
    refused(&mut guest, &|area| area.truncate(512));
    refused(&mut guest, &|area| area.push(0));
    refused(&mut guest, &|area| area[464] ^= 1);
    refused(&mut guest, &|area| area[27] = 0xff);
    refused(&mut guest, &|area| area[512 + 7] = 0x40);
    refused(&mut guest, &|area| area[512 + 8 + 7] = 0x80);
    refused(&mut guest, &|area| area[512 + 40] = 1);
    guest.context.set_extended(&area).unwrap();
}

#[test]
fn segment_bases_are_the_guests() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(bases, bases_end));
    guest.space.write(DATA, &7u64.to_ne_bytes()).unwrap();
    guest.space.write(DATA + 4096 + 8, &9u64.to_ne_bytes()).unwrap();
    (guest.registers.fs_base, guest.registers.gs_base) = (DATA, DATA + 4096);
    guest.run_to_call();
    assert_eq!((guest.registers.rax, guest.registers.rbx), (7, 9));
    assert_eq!((guest.registers.fs_base, guest.registers.gs_base), (DATA, DATA + 4096));
    guest.registers.fs_base = 1 << 47;
    guest.registers.rip = CODE;
    assert!(matches!(guest.run(), Event::Fault(fault) if fault.signal == libc::SIGSEGV));
}

#[test]
fn old_ways_to_call_are_told() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(odd_calls, odd_calls_end));
    let Event::Fault(fault) = guest.run() else { panic!("int 0x80 must fault") };
    assert_eq!((fault.signal, fault.trap, guest.registers.rip), (libc::SIGSEGV, 13, CODE));
    guest.registers.rip += 2;
    // The vsyscall page's time: it has returned, all but for its result.
    assert_eq!(guest.run_to_call(), libc::SYS_time as u64);
    assert_eq!(guest.registers.rsp, STACK_TOP);
    guest.registers.rax = 77;
    assert_eq!(guest.run_to_call(), 77);
}

#[test]
fn flags_of_the_guest_do_not_disturb_the_stub() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(aligned, aligned_end));
    guest.run_to_call();
    assert_eq!(guest.registers.eflags & 0x40400, 0x40400);
    assert_eq!(guest.run_to_call() & 0x40400, 0x40400);
}

#[test]
fn single_steps_are_faults() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(steps, steps_end));
    guest.registers.eflags |= 0x100;
    assert!(matches!(guest.run(), Event::Fault(fault) if fault.signal == libc::SIGTRAP));
    assert_eq!(guest.registers.rip, CODE + 1);
    assert_eq!(guest.run(), Event::Syscall);
    assert_eq!(guest.registers.eflags & 0x100, 0x100);
    assert!(matches!(guest.run(), Event::Fault(fault) if fault.signal == libc::SIGTRAP));
}

#[test]
fn forked_guests_have_a_copy_of_memory_and_registers() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(vectors, vectors_end));
    guest.space.write(DATA, &[5; 32]).unwrap();
    (guest.registers.rdi, guest.registers.rsi) = (DATA, DATA + 64);
    guest.run_to_call();
    let (space, context) = guest.context.fork().unwrap();
    assert_ne!(space.pid(), guest.space.pid());
    let mut child = support::Guest { space, context, registers: guest.registers };
    guest.space.write(DATA, &[6; 32]).unwrap();
    child.run_to_call();
    let mut seen = [0; 64];
    child.space.read(DATA + 64, &mut seen).unwrap();
    assert_eq!(seen, [5; 64], "vector registers are the parent's");
    child.space.read(DATA, &mut seen[..32]).unwrap();
    assert_eq!(seen[..32], [5; 32], "memory is as it was at the fork");
    let mut grandchild = child.context.fork().unwrap();
    grandchild.0.write(DATA, &[7; 32]).unwrap();
    grandchild.1.call(&[anonymous(0x100_0000, 4096)]).unwrap();
    assert_eq!(child.space.write(0x100_0000, &[1]), Err(Errno::FAULT));
    let pid = child.space.pid();
    child.context.exit();
    let ended = world.wait_ended(1);
    assert_eq!((ended[0].pid, ended[0].status), (pid, 0));
    guest.run_to_call();
}

#[test]
fn threads_share_memory_and_run_at_once() {
    const THREADS: u64 = 5;
    const ROUNDS: u64 = 200;
    let world = World::start();
    let mut guest = world.guest(guest_code!(counter, counter_end));
    guest.registers.rdi = DATA;
    guest.run_to_call();
    let mut threads = Vec::new();
    for _ in 0..THREADS {
        let mut context = guest.context.thread().unwrap();
        let mut registers = guest.registers;
        threads.push(std::thread::spawn(move || {
            for _ in 0..ROUNDS {
                assert_eq!(context.run(&mut registers), Event::Syscall);
            }
            context.exit();
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    let mut count = [0; 8];
    guest.space.read(DATA, &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 1 + THREADS * ROUNDS);
    assert_eq!(world.ended.lock().unwrap().len(), 0);
    guest.context.exit();
    assert_eq!(world.wait_ended(1).len(), 1);
}

#[test]
fn the_first_thread_may_end_before_the_others() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(counter, counter_end));
    guest.registers.rdi = DATA;
    guest.run_to_call();
    let mut other = guest.context.thread().unwrap();
    guest.context.exit();
    assert_eq!(other.run(&mut guest.registers), Event::Syscall);
    guest.space.read(DATA, &mut [0; 8]).unwrap();
    // A thread that forks from another slot than the first.
    let (space, mut forked) = other.fork().unwrap();
    assert_eq!(forked.run(&mut guest.registers), Event::Syscall);
    let mut second = forked.thread().unwrap();
    assert_eq!(second.run(&mut guest.registers), Event::Syscall);
    let mut count = [0; 8];
    space.read(DATA, &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 4);
    other.exit();
    assert_eq!(world.wait_ended(1)[0].pid, guest.space.pid());
}

#[test]
fn slots_of_ended_threads_are_used_again() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(counter, counter_end));
    guest.registers.rdi = DATA;
    guest.run_to_call();
    for _ in 0..200 {
        let mut thread = guest.context.thread().unwrap();
        let mut registers = guest.registers;
        assert_eq!(thread.run(&mut registers), Event::Syscall);
        thread.exit();
    }
}

#[test]
fn a_killed_stub_is_told_to_all_of_its_threads() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(spin, spin_end));
    let mut other = guest.context.thread().unwrap();
    let mut registers = guest.registers;
    let space = guest.space.clone();
    let running = std::thread::spawn(move || other.run(&mut registers));
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        space.kill();
    });
    assert_eq!(guest.run(), Event::Died);
    assert_eq!(running.join().unwrap(), Event::Died);
    killer.join().unwrap();
    let ended = world.wait_ended(1);
    assert_eq!((ended[0].pid, ended[0].status), (guest.space.pid(), libc::SIGKILL));
    assert_eq!(guest.run(), Event::Died);
    assert_eq!(guest.context.call(&[anonymous(0x100_0000, 4096)]), Err(Errno::SRCH));
    assert_eq!(guest.space.read(DATA, &mut [0]), Err(Errno::FAULT));
    assert!(guest.context.fork().is_err());
    assert!(guest.context.thread().is_err());
    guest.space.kill();
}

#[test]
fn host_calls_shape_the_guests_memory() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(spin, spin_end));
    let base = 0x1000_0000;
    guest.context.call(&[anonymous(base, 0x4000)]).unwrap();
    guest.space.write(base + 0x1ffe, &[1, 2, 3, 4]).unwrap();
    let mut seen = [0; 4];
    guest.space.read(base + 0x1ffe, &mut seen).unwrap();
    assert_eq!(seen, [1, 2, 3, 4]);
    guest.context.call(&[HostCall::Unmap { address: base + 0x2000, length: 0x1000 }]).unwrap();
    assert_eq!(guest.space.read(base + 0x1ffe, &mut seen), Err(Errno::FAULT));
    assert_eq!(guest.context.write(base + 0x1ffe, &[9; 4]), Err(Errno::FAULT));
    guest.space.read(base + 0x1ffe, &mut seen[..2]).unwrap();
    let moved = HostCall::Remap { address: base, length: 0x2000, new_address: base + 0x10_0000, new_length: 0x3000, flags: 0 };
    assert_eq!(guest.context.call(&[moved]), Ok(base + 0x10_0000));
    guest.context.call(&[HostCall::Protect { address: base + 0x10_0000, length: 0x1000, protection: libc::PROT_READ }]).unwrap();
    assert_eq!(guest.space.write(base + 0x10_0000, &[1]), Err(Errno::FAULT));
    let word = base + 0x10_2000;
    let exchange = |expected, desired| HostCall::CompareExchange { address: word, expected, desired };
    assert_eq!(guest.context.call(&[exchange(0, 0xffff_fff0)]), Ok(0));
    assert_eq!(guest.context.call(&[exchange(1, 2)]), Ok(0xffff_fff0));
    assert_eq!(guest.context.call(&[exchange(0xffff_fff0, 2)]), Ok(0xffff_fff0));
    let nowhere = HostCall::CompareExchange { address: 0x2000_0000, expected: 0, desired: 1 };
    assert_eq!(guest.context.call(&[nowhere]), Err(Errno::FAULT));
    assert_eq!(guest.context.call(&[HostCall::FutexWake { address: word, count: 5, private: true }]), Ok(0));
    guest.context.call(&[HostCall::Advise { address: word, length: 4096, advice: libc::MADV_DONTNEED }]).unwrap();
    assert_eq!(guest.context.call(&[exchange(0, 1)]), Ok(0));
    let many: Vec<_> = (0..500).map(|index| anonymous(0x4000_0000 + index * 0x1_0000, 0x1000)).collect();
    assert_eq!(guest.context.call(&many), Ok(0x4000_0000 + 499 * 0x1_0000));
}

#[test]
fn host_calls_stop_at_the_first_error_and_refuse_what_would_kill() {
    use std::os::fd::AsFd;
    let world = World::start();
    let mut guest = world.guest(guest_code!(spin, spin_end));
    let file = support::memfd(&[1; 4096]);
    let map = |address, flags| HostCall::Map {
        address,
        length: 4096,
        protection: libc::PROT_READ,
        flags: flags | libc::MAP_FIXED,
        file: Some((file.as_fd(), 0)),
    };
    let bad = HostCall::Protect { address: 0x2000_0000, length: 4096, protection: 0 };
    let calls = [map(0x1000_0000, libc::MAP_SHARED), bad, map(0x1100_0000, libc::MAP_SHARED)];
    assert_eq!(guest.context.call(&calls), Err(Errno::NOMEM));
    guest.space.read(0x1000_0000, &mut [0]).unwrap();
    assert_eq!(guest.space.read(0x1100_0000, &mut [0]), Err(Errno::FAULT));
    // The file of the call that was not made is not taken for the next one's.
    let other = support::memfd(&[2; 4096]);
    let next = HostCall::Map { address: 0x1200_0000, length: 4096, protection: 1, flags: 0x11, file: Some((other.as_fd(), 0)) };
    guest.context.call(&[next]).unwrap();
    let mut seen = [0];
    guest.space.read(0x1200_0000, &mut seen).unwrap();
    assert_eq!(seen, [2]);
    for call in [
        map(0x1000_0000, libc::MAP_SHARED | libc::MAP_LOCKED),
        HostCall::Advise { address: 0x1000_0000, length: 4096, advice: libc::MADV_HWPOISON },
        HostCall::Unmap { address: guest_end() - 4096, length: 8192 },
        HostCall::Barrier { command: 1 },
    ] {
        assert_eq!(guest.context.call(&[call]), Err(Errno::INVAL), "{call:?}");
    }
    let stub = HostCall::Protect { address: guest_end(), length: 4096, protection: 7 };
    assert_eq!(guest.context.call(&[stub]), Err(Errno::NOMEM));
    assert_eq!(guest.context.call(&[anonymous(u64::MAX - 4095, 8192)]), Err(Errno::NOMEM));
    assert_eq!(guest.space.read(guest_end(), &mut [0]), Err(Errno::FAULT));
    assert_eq!(guest.context.call(&[HostCall::Barrier { command: 0 }]).map(|mask| mask & 8), Ok(8));
    fn guest_end() -> u64 {
        0x7fff_0000_0000
    }
}

#[test]
fn guests_use_the_hosts_vdso() {
    let world = World::start();
    let guest = world.guest(guest_code!(spin, spin_end));
    let layout = world.platform.layout();
    assert!(layout.vdso > layout.end);
    let mut magic = [0; 4];
    let file = std::fs::File::open(format!("/proc/{}/mem", guest.space.pid())).unwrap();
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut magic, layout.vdso).unwrap();
    assert_eq!(&magic, b"\x7fELF");
}
