//! Little guests: machine code that is copied into a stub, and what runs it.
#![allow(dead_code, missing_docs)]

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use quark_host::platform::{AddressSpace, Context, Event, HostCall, Platform, Registers, StubExit};

pub const CODE: u64 = 0x40_0000;
pub const DATA: u64 = 0x60_0000;
pub const DATA_BYTES: u64 = 0x4_0000;
pub const STACK_TOP: u64 = DATA + DATA_BYTES;

/// Code between two labels of a `global_asm!` block.
#[macro_export]
macro_rules! guest_code {
    ($name:ident, $end:ident) => {{
        unsafe extern "C" {
            static $name: u8;
            static $end: u8;
        }
        // SAFETY: both are labels in one block of assembly.
        unsafe { std::slice::from_raw_parts(&raw const $name, (&raw const $end).offset_from(&raw const $name) as usize) }
    }};
}

pub struct Guest {
    pub space: Arc<AddressSpace>,
    pub context: Context,
    pub registers: Registers,
}

pub struct World {
    pub platform: Platform,
    pub ended: Arc<Mutex<Vec<StubExit>>>,
}

impl World {
    pub fn start() -> World {
        let ended = Arc::new(Mutex::new(Vec::new()));
        let seen = ended.clone();
        let platform = Platform::start(Box::new(move |exit| seen.lock().unwrap().push(exit))).unwrap();
        World { platform, ended }
    }

    /// A guest that is about to run `code`, with some data pages and a stack above them.
    pub fn guest(&self, code: &[u8]) -> Guest {
        let (space, mut context) = self.platform.blank().unwrap();
        let file = memfd(code);
        context
            .call(&[
                HostCall::Map {
                    address: CODE,
                    length: (code.len() as u64).next_multiple_of(4096),
                    protection: libc::PROT_READ | libc::PROT_EXEC,
                    flags: libc::MAP_PRIVATE | libc::MAP_FIXED,
                    file: Some((file.as_fd(), 0)),
                },
                anonymous(DATA, DATA_BYTES),
            ])
            .unwrap();
        let registers = Registers { rip: CODE, rsp: STACK_TOP, eflags: 0x202, ..Registers::default() };
        Guest { space, context, registers }
    }

    /// Waits until `count` stubs have ended.
    pub fn wait_ended(&self, count: usize) -> Vec<StubExit> {
        for _ in 0..5000 {
            let ended = self.ended.lock().unwrap().clone();
            if ended.len() >= count {
                return ended;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("{count} stubs must have ended");
    }
}

impl Guest {
    pub fn run(&mut self) -> Event {
        self.context.run(&mut self.registers)
    }

    /// Runs up to the next system call, whose number it returns.
    pub fn run_to_call(&mut self) -> u64 {
        assert_eq!(self.run(), Event::Syscall);
        self.registers.rax
    }
}

pub fn memfd(bytes: &[u8]) -> std::os::fd::OwnedFd {
    let file = rustix::fs::memfd_create("code", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    assert_eq!(rustix::io::write(&file, bytes).unwrap(), bytes.len());
    file
}

pub fn anonymous(address: u64, length: u64) -> HostCall<'static> {
    HostCall::Map {
        address,
        length,
        protection: libc::PROT_READ | libc::PROT_WRITE,
        flags: libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_ANONYMOUS,
        file: None,
    }
}

/// Runs the body of the test `name` in a process of its own, which takes all stubs with it, those too that nobody knows.
pub fn alone(name: &str, body: impl FnOnce()) {
    const INSIDE: &str = "QUARK_TEST_ALONE";
    if std::env::var_os(INSIDE).is_some_and(|inside| inside == name) {
        body();
        return end_children();
    }
    let this = std::env::current_exe().unwrap();
    let output = std::process::Command::new(this).args([name, "--exact", "--nocapture"]).env(INSIDE, name).output().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

/// Behind a filter it can't be seen whom there is to end.
fn end_children() {
    for thread in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for pid in children.split_whitespace().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}
