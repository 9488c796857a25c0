//! Programs of this machine, loaded into real stubs, up to their first system call.

use std::os::fd::OwnedFd;
use std::time::Instant;

use quark_host::platform::{Event, Platform};
use quark_kernel::Errno;
use quark_kernel::exec::{Loaded, Request, load, open_program};
use quark_kernel::fs::host::HostFileSystem;
use quark_kernel::memory::{Allowance, PAGE};
use quark_kernel::task::{Credentials, Limit};
use quark_kernel::vfs::mount::{Mount, MountFlags};
use quark_kernel::vfs::open::FsContext;

const NO_RANDOMIZE: u32 = 0x0004_0000;

struct World {
    platform: Platform,
    fs: FsContext,
    limits: [Limit; 16],
}

fn world() -> World {
    let root: OwnedFd = std::fs::File::open("/").unwrap().into();
    let mount = Mount::whole(HostFileSystem::new(root).unwrap(), b"/", MountFlags::default()).unwrap();
    let mut limits = [Limit { soft: u64::MAX, hard: u64::MAX }; 16];
    limits[libc::RLIMIT_STACK as usize].soft = 8 << 20;
    World {
        platform: Platform::start(Box::new(|_| ())).expect("stubs start"),
        fs: FsContext::new(mount.place(), mount.place(), 0o022),
        limits,
    }
}

impl World {
    fn load(&self, path: &str, arguments: &[&str], personality: u32) -> Result<Loaded, Errno> {
        let credentials = Credentials::default();
        let program = open_program(&self.fs, &credentials, None, path.as_bytes(), true)?;
        load(Request {
            platform: &self.platform,
            fs: &self.fs,
            credentials: &credentials,
            limits: &self.limits,
            personality,
            program,
            filename: path.into(),
            filename_vanishes: false,
            arguments: arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect(),
            environment: vec![b"A=b".to_vec()],
        })
    }
}

fn script(name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("quark-exec-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn read(loaded: &Loaded, (start, end): (u64, u64)) -> Vec<u8> {
    let mut bytes = vec![0; (end - start) as usize];
    loaded.memory.space.read(start, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_dynamic_program_starts_in_its_loader() {
    let world = world();
    for personality in [0, NO_RANDOMIZE] {
        let mut loaded = world.load("/bin/true", &["true", "x"], personality).unwrap();
        assert_eq!(loaded.name, b"true");
        let image = loaded.memory.image();
        assert_eq!(read(&loaded, image.arguments), b"true\0x\0");
        assert_eq!(read(&loaded, image.environment), b"A=b\0");
        assert_eq!(loaded.context.run(&mut loaded.registers), Event::Syscall);
        assert_eq!(loaded.registers.rax as i64, libc::SYS_brk, "what ld.so asks for first");
        let regions = loaded.memory.regions();
        let at = regions.iter().find(|region| (region.area.start..region.area.end).contains(&loaded.registers.rip)).unwrap();
        assert_ne!(at.file, (0, 0, 0));
        assert!(!(image.code.0..image.code.1).contains(&loaded.registers.rip));
        assert_eq!(image.code.0 == 0x5555_5555_4000, personality != 0, "{:x}", image.code.0);
        assert!(regions.iter().any(|region| region.label.as_deref() == Some(b"[stack]")));
    }
}

#[test]
fn the_heap_is_behind_the_program() {
    let world = world();
    let mut loaded = world.load("/bin/true", &[], 0).unwrap();
    let start = loaded.memory.set_break(&mut loaded.context, &Allowance::ALL, 0);
    let grown = loaded.memory.set_break(&mut loaded.context, &Allowance::ALL, start + 5 * PAGE);
    assert_eq!(grown, start + 5 * PAGE);
    loaded.memory.space.write(grown - 1, b"x").unwrap();
    assert_eq!(loaded.memory.space.write(grown + PAGE, b"x"), Err(Errno::FAULT));
    let limited = Allowance { data: 8 * PAGE, ..Allowance::ALL };
    assert_eq!(loaded.memory.set_break(&mut loaded.context, &limited, start + 9 * PAGE), grown);
    assert_eq!(loaded.memory.set_break(&mut loaded.context, &Allowance::ALL, start + 1), start + 1);
    assert_eq!(loaded.memory.space.write(start + PAGE, b"x"), Err(Errno::FAULT));
    assert!(loaded.memory.regions().iter().any(|region| region.label.as_deref() == Some(b"[heap]")));
}

#[test]
fn scripts_run_their_interpreter() {
    let world = world();
    let path = script("plain", "#!/bin/true  -a b \nrest\n");
    let loaded = world.load(&path, &["called", "more"], 0).unwrap();
    let expected = format!("/bin/true\0-a b\0{path}\0more\0");
    assert_eq!(read(&loaded, loaded.memory.image().arguments), expected.as_bytes());
    assert!(path.ends_with("-plain") && loaded.name == path.rsplit('/').next().unwrap().as_bytes()[..15]);

    let mut nested = path.clone();
    for depth in 0..5 {
        let next = script(&format!("nested{depth}"), &format!("#!{nested}\n"));
        let loaded = world.load(&next, &[], 0);
        assert_eq!(loaded.err(), if depth < 4 { None } else { Some(Errno::LOOP) }, "depth {depth}");
        nested = next;
    }
    let lost = script("lost", "#!/no/such/interpreter\n");
    assert_eq!(world.load(&lost, &[], 0).err(), Some(Errno::NOENT));
    let text = script("text", "echo no first line\n");
    assert_eq!(world.load(&text, &[], 0).err(), Some(Errno::NOEXEC));
    let empty = script("empty", "");
    assert_eq!(world.load(&empty, &[], 0).err(), Some(Errno::NOEXEC));
    for entry in std::fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&format!("quark-exec-{}-", std::process::id())) {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
}

#[test]
fn what_is_no_program_is_refused() {
    let world = world();
    assert_eq!(world.load("/bin", &[], 0).err(), Some(Errno::ACCESS));
    assert_eq!(world.load("/etc/passwd", &[], 0).err(), Some(Errno::ACCESS));
    assert_eq!(world.load("/no/such/file", &[], 0).err(), Some(Errno::NOENT));
    let long = "x".repeat(128 << 10);
    assert_eq!(world.load("/bin/true", &[&long], 0).err(), Some(Errno::TOOBIG));
    let many = vec!["x"; 300_000];
    assert_eq!(world.load("/bin/true", &many, 0).err(), Some(Errno::TOOBIG));
}

/// Prints what loading costs: `cargo test --release -p quark-kernel --test exec -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn measure() {
    let world = world();
    let begun = Instant::now();
    for _ in 0..500 {
        world.load("/bin/true", &["true"], 0).unwrap();
    }
    println!("load of /bin/true: {:?}", begun.elapsed() / 500);
}
