//! Guests that attack: the stub's text, its pages, the kernel through what it reads there.

mod support;

use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quark_host::platform::{AddressSpace, Event, Registers};
use support::{CODE, DATA, DATA_BYTES, Guest, STACK_TOP, World, anonymous};

const TEXT: u64 = 0x7fff_0000_0000;
const CONTROL: u64 = 0x7fff_4000_0000;
const STACKS: u64 = 0x7fff_8000_0000;

std::arch::global_asm!(
    r#"
    .globl call_by_jump, call_by_jump_end, call_here, call_here_end, jump_here, jump_here_end, scribble, scribble_end
call_by_jump:
    call rbx
    ud2
call_by_jump_end:

call_here:
    syscall
    jmp call_here
call_here_end:

    // Calls by a jump to rbx.
jump_here:
    lea rcx, [rip + 2f]
    jmp rbx
2:  jmp jump_here
jump_here_end:

    // Random words at random places of rsi bytes from rdi on.
scribble:
    mov rax, rdx
    shl rax, 13
    xor rdx, rax
    mov rax, rdx
    shr rax, 7
    xor rdx, rax
    mov rax, rdx
    shl rax, 17
    xor rdx, rax
    mov rcx, rdx
    and rcx, rsi
    mov rax, rdx
    bswap rax
    test al, 3
    jnz 2f
    and eax, 3
2:  mov [rdi + rcx], eax
    jmp scribble
scribble_end:
"#
);

/// Addresses of `syscall` instructions in the stub's text.
fn gadgets(space: &AddressSpace) -> Vec<u64> {
    let memory = std::fs::File::open(format!("/proc/{}/mem", space.pid())).unwrap();
    let mut text = vec![0; 0x1000];
    memory.read_exact_at(&mut text, TEXT).unwrap();
    let found = text.windows(2).enumerate().filter(|(_, bytes)| *bytes == [0x0f, 0x05]);
    found.map(|(offset, _)| TEXT + offset as u64).collect()
}

/// What `guest` does with a call at `gadget`.
fn jump(guest: &mut Guest, gadget: u64, number: u64, arguments: [u64; 6]) -> Event {
    let [rdi, rsi, rdx, r10, r8, r9] = arguments;
    guest.registers =
        Registers { rip: CODE, rsp: STACK_TOP, eflags: 0x202, rbx: gadget, rax: number, rdi, rsi, rdx, r10, r8, r9, ..guest.registers };
    guest.run()
}

/// The numbers that the stub's text may call, from `man 2` pages: memory of the process, its threads, its clones.
const ALLOWED: &[i64] = &[
    libc::SYS_rt_sigreturn,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_msync,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_recvmsg,
    libc::SYS_close,
    libc::SYS_dup2,
    libc::SYS_clone,
    libc::SYS_prctl,
    libc::SYS_arch_prctl,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigprocmask,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sched_yield,
    libc::SYS_membarrier,
];

/// `uretprobe` and `uprobe`, which the host answers without asking filters: with SIGILL and ENXIO, as they don't come from its trampolines.
fn is_probe(number: u64) -> bool {
    number == 335 || number == 336
}

#[test]
fn all_calls_of_guest_code_trap() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(call_here, call_here_end));
    for number in (0..600).chain((0..600).map(|number| number | 0x4000_0000)).chain([u64::MAX, 1 << 63, 0xffff_ffff_0000_0001]) {
        guest.registers.rax = number;
        match guest.run() {
            Event::Syscall if is_probe(number) => assert_eq!(guest.registers.rax as i32, -libc::ENXIO),
            Event::Syscall => assert_eq!(guest.registers.rax as u32, number as u32),
            event => {
                assert!(is_probe(number) && matches!(event, Event::Fault(fault) if fault.signal == libc::SIGILL), "{number:#x}: {event:?}")
            }
        }
        guest.registers.rip = CODE;
    }
}

#[test]
fn calls_of_the_stubs_text_that_are_not_on_the_list_kill() {
    let world = World::start();
    let mut guest = world.guest(guest_code!(call_by_jump, call_by_jump_end));
    let gadget = gadgets(&guest.space)[0];
    let mut killed = 0;
    for number in (0..600).filter(|number| !ALLOWED.contains(number) && !is_probe(*number as u64)) {
        assert_eq!(jump(&mut guest, gadget, number as u64, [0; 6]), Event::Died, "{number}");
        killed += 1;
        guest = world.guest(guest_code!(call_by_jump, call_by_jump_end));
    }
    let ended = world.wait_ended(killed);
    assert!(ended.iter().all(|exit| exit.status & 0x7f == libc::SIGSYS), "{ended:?}");
}

#[test]
fn arguments_that_are_not_on_the_list_kill() {
    let world = World::start();
    let calls: &[(i64, [u64; 6])] = &[
        (libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]),
        (libc::SYS_clone, [libc::CLONE_NEWUSER as u64 | 17, 0, 0, 0, 0, 0]),
        (libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as u64, 0, 0, 0, 0, 0]),
        (libc::SYS_prctl, [libc::PR_SET_DUMPABLE as u64, 0, 0, 0, 0, 0]),
        (libc::SYS_arch_prctl, [0x1012, 0, 0, 0, 0, 0]),
        (libc::SYS_futex, [DATA, libc::FUTEX_LOCK_PI as u64, 0, 0, 0, 0]),
        (libc::SYS_futex, [DATA, libc::FUTEX_CMP_REQUEUE_PI as u64, 1, 1, DATA, 0]),
        (libc::SYS_futex_waitv, [DATA, 1, 1, 0, 0, 0]),
        (libc::SYS_mmap, [DATA, 4096, 3, 0x22 | libc::MAP_HUGETLB as u64, u64::MAX, 0]),
        (libc::SYS_madvise, [DATA, 4096, libc::MADV_HWPOISON as u64, 0, 0, 0]),
        (libc::SYS_membarrier, [1, 0, 0, 0, 0, 0]),
        (libc::SYS_mmap | 0x4000_0000, [0; 6]),
    ];
    for (number, arguments) in calls {
        let mut guest = world.guest(guest_code!(call_by_jump, call_by_jump_end));
        let gadget = gadgets(&guest.space)[0];
        let event = jump(&mut guest, gadget, *number as u64, *arguments);
        // What traps with the stub's text as its place is a call of the guest, for the kernel to judge.
        assert!(matches!(event, Event::Died | Event::Syscall), "{number} {arguments:x?}: {event:?}");
    }
}

/// Runs `guest` for a while as whatever it does; answers its calls with nothing. Ends when it died, which it must after a kill.
fn endure(mut guest: Guest, stop: &AtomicBool) {
    let mut rounds = 0u32;
    let entry = guest.registers.rbx;
    while guest.run() != Event::Died {
        rounds += 1;
        let length = [1, 64, 4096, 20000][rounds as usize % 4];
        let _ = guest.context.write(DATA, &vec![rounds as u8; length]);
        let _ = guest.context.read(DATA + 1, &mut vec![0; length]);
        match rounds % 64 {
            1 => drop(guest.context.extended()),
            2 => drop(guest.context.call(&[anonymous(0x2000_0000, 4096)])),
            3 => drop(guest.context.set_extended(&[])),
            6 => drop(guest.context.thread()),
            7 => drop(guest.context.fork()),
            _ => {}
        }
        if stop.load(Ordering::Relaxed) {
            guest.space.kill();
        }
        guest.registers = Registers { rip: CODE, rsp: STACK_TOP, eflags: 0x202, rbx: entry, ..Registers::default() };
    }
}

/// One thread of a guest writes random words to `length` (a power of two) bytes at `address`, as others make calls.
fn scribble_over(address: u64, length: u64) {
    let world = World::start();
    for seed in 1..16u64 {
        let entry = world.platform.fast_entry().filter(|_| seed % 2 == 0);
        let code = if entry.is_some() { guest_code!(jump_here, jump_here_end) } else { guest_code!(call_here, call_here_end) };
        let mut guest = world.guest(code);
        guest.registers.rbx = entry.unwrap_or(0);
        let scribbling = support::memfd(guest_code!(scribble, scribble_end));
        let map = quark_host::platform::HostCall::Map {
            address: 0x50_0000,
            length: 4096,
            protection: libc::PROT_READ | libc::PROT_EXEC,
            flags: libc::MAP_PRIVATE | libc::MAP_FIXED,
            file: Some((std::os::fd::AsFd::as_fd(&scribbling), 0)),
        };
        guest.context.call(&[map]).unwrap();
        guest.run_to_call();
        let mut scribbler = guest.context.thread().unwrap();
        let mut registers = Registers {
            rip: 0x50_0000,
            rdi: address,
            rsi: (length - 1) & !3,
            rdx: 0x9e37_79b9_7f4a_7c15 ^ seed << 32,
            rsp: STACK_TOP - DATA_BYTES / 2,
            eflags: 0x202,
            ..Registers::default()
        };
        let space = guest.space.clone();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| while scribbler.run(&mut registers) != Event::Died {});
            let interrupter = guest.context.interrupter();
            let (stop, killed) = (&stop, &space);
            scope.spawn(move || {
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(30) {
                    interrupter.interrupt();
                    std::thread::sleep(Duration::from_millis(1));
                }
                stop.store(true, Ordering::Relaxed);
                killed.kill();
            });
            // From here on the guest may leave the kernel without an answer, until it is killed.
            let other = guest.context.thread().ok();
            let registers = guest.registers;
            if let Some(context) = other {
                let space = space.clone();
                scope.spawn(move || endure(Guest { space, context, registers }, stop));
            }
            endure(guest, stop);
        });
    }
    // The kernel is well, and so are its other guests.
    let mut guest = world.guest(guest_code!(call_here, call_here_end));
    assert_eq!(guest.run(), Event::Syscall);
}

#[test]
fn the_kernel_survives_random_control_pages() {
    support::alone("the_kernel_survives_random_control_pages", || {
        scribble_over(CONTROL, 0x1000);
    });
}

#[test]
fn the_kernel_survives_random_words_in_the_first_lines_of_a_slot() {
    support::alone("the_kernel_survives_random_words_in_the_first_lines_of_a_slot", || {
        scribble_over(CONTROL, 0x40);
    });
}

#[test]
fn the_kernel_survives_random_control_pages_of_other_threads() {
    support::alone("the_kernel_survives_random_control_pages_of_other_threads", || {
        scribble_over(CONTROL, 0x4_0000);
    });
}

#[test]
fn the_kernel_survives_random_signal_stacks() {
    support::alone("the_kernel_survives_random_signal_stacks", || {
        scribble_over(STACKS, 0x2_0000);
    });
}

#[test]
fn stubs_that_unmap_themselves_die_alone() {
    let world = World::start();
    for (address, length) in [(CONTROL, 0x1000), (STACKS, 0x8000), (TEXT, 0x1000), (TEXT, 0xffff_f000)] {
        let mut guest = world.guest(guest_code!(call_by_jump, call_by_jump_end));
        let gadget = gadgets(&guest.space)[0];
        let before = world.ended.lock().unwrap().len();
        let event = jump(&mut guest, gadget, libc::SYS_munmap as u64, [address, length, 0, 0, 0, 0]);
        assert_eq!(event, Event::Died, "{address:#x}");
        world.wait_ended(before + 1);
    }
    // Without right to write its slot, it can't tell anything either.
    let mut guest = world.guest(guest_code!(call_by_jump, call_by_jump_end));
    let gadget = gadgets(&guest.space)[0];
    assert_eq!(jump(&mut guest, gadget, libc::SYS_mprotect as u64, [CONTROL, 0x1000, 1, 0, 0, 0]), Event::Died);
}

#[test]
fn clones_that_the_kernel_did_not_ask_for_are_reaped_in_silence() {
    support::alone("clones_that_the_kernel_did_not_ask_for_are_reaped_in_silence", || {
        const CLONE_PROCESS: u64 = (libc::CLONE_PARENT | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD) as u64;
        let world = World::start();
        let mut guest = world.guest(guest_code!(call_by_jump, call_by_jump_end));
        let gadget = gadgets(&guest.space)[0];
        let space = guest.space.clone();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            space.kill();
        });
        // Parent and child come to the `ud2` behind the call, on the same slot of the same pages: either of them is the guest's only thread, or
        // none is for long.
        assert!(matches!(jump(&mut guest, gadget, libc::SYS_clone as u64, [CLONE_PROCESS, 0, 0, 0, 0, 0]), Event::Fault(_)));
        if let Ok((space, _)) = guest.context.fork() {
            assert_ne!(space.pid(), guest.space.pid());
        }
        killer.join().unwrap();
        assert!((1..=2).any(|count| world.wait_ended(count).iter().any(|exit| exit.pid == guest.space.pid())));
        let mut other = world.guest(guest_code!(call_here, call_here_end));
        assert_eq!(other.run(), Event::Syscall);
    });
}

#[test]
fn forged_signal_frames_are_the_guests_own_harm() {
    support::alone("forged_signal_frames_are_the_guests_own_harm", || {
        let world = World::start();
        for fill in [0u8, 1, 0x7f, 0xff] {
            let mut guest = world.guest(guest_code!(call_by_jump, call_by_jump_end));
            guest.space.write(DATA, &[fill; 0x8000]).unwrap();
            let gadget = gadgets(&guest.space)[0];
            guest.registers.rsp = DATA + 0x100;
            guest.registers.rip = gadget;
            guest.registers.rax = libc::SYS_rt_sigreturn as u64;
            let event = guest.run();
            assert!(matches!(event, Event::Fault(_) | Event::Died), "{fill}: {event:?}");
        }
    });
}
