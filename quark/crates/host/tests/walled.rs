//! The platform works behind the kernel process' own filter.

mod support;

use quark_host::filter::kernel::confine;
use quark_host::platform::Event;
use support::{DATA, Guest, World, anonymous};

std::arch::global_asm!(
    r#"
    .globl calls, calls_end, spin, spin_end
calls:
    syscall
    jmp calls
calls_end:

spin:
    jmp spin
spin_end:
"#
);

#[test]
fn stubs_are_made_run_and_reaped_behind_the_filter() {
    // The filter can't be taken off again.
    support::alone("stubs_are_made_run_and_reaped_behind_the_filter", inside);
}

fn inside() {
    let world = World::start();
    rustix::thread::set_no_new_privs(true).unwrap();
    confine(true).unwrap();
    assert!(std::fs::File::open("/etc/passwd").is_err(), "the filter must be there");
    for _ in 0..20 {
        let mut guest = world.guest(guest_code!(calls, calls_end));
        guest.run_to_call();
        guest.context.call(&[anonymous(0x1000_0000, 4096)]).unwrap();
        guest.space.write(DATA, &[1; 64]).unwrap();
        guest.space.read(DATA, &mut [0; 64]).unwrap();
        guest.context.extended().unwrap();
        let (space, context) = guest.context.fork().unwrap();
        let mut child = Guest { space, context, registers: guest.registers };
        child.run_to_call();
        let mut thread = child.context.thread().unwrap();
        let mut registers = guest.registers;
        assert_eq!(thread.run(&mut registers), Event::Syscall);
        thread.exit();
        child.space.kill();
        assert_eq!(child.run(), Event::Died);
    }
    assert_eq!(world.wait_ended(40).len(), 40);
    let mut guest = world.guest(guest_code!(spin, spin_end));
    let interrupter = guest.context.interrupter();
    let other = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(5));
        interrupter.interrupt();
    });
    assert_eq!(guest.run(), Event::Interrupted);
    other.join().unwrap();
}
