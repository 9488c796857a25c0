//! Ways out of the root: `..`, links, leaked descriptors, chroot, races of symbolic links (CVE-2019-5736, -2021-30465, -2024-21626).

use super::{Attack, Canaries, breach, c, read_some, say};
use crate::support::spawn;
use crate::sys;
use std::os::unix::fs::symlink;

pub const ATTACKS: &[Attack] = &[
    ("dot_dot", dot_dot),
    ("links", links),
    ("working_directory", working_directory),
    ("leaked_descriptors", leaked_descriptors),
    ("own_program", own_program),
    ("script_of_own_program", script_of_own_program),
    ("chroot_twice", chroot_twice),
    ("link_swap", link_swap),
    ("rename_out", rename_out),
    ("file_handle", file_handle),
];

const UP: &str = "../../../../../../../../../../../..";

fn dot_dot(a: &Canaries) {
    for start in ["", "/volume/", "/readonly/", "/proc/self/cwd/", "/proc/self/root/", "/proc/1/root/", "/proc/1/cwd/", "/dev/fd/", "/tmp/"]
    {
        a.not_canary(format!("{start}.."), &format!("{start}{UP}{}", a.path));
        a.not_canary(format!("{start} and the path"), &format!("{start}{}", a.path));
    }
    let name = a.path.rsplit('/').next().unwrap_or_default();
    for start in ["/volume/..", "/readonly/..", "/..", "/volume/../.."] {
        a.not_canary(format!("beside {start}"), &format!("{start}/{name}"));
    }
}

fn links(a: &Canaries) {
    let name = a.path.rsplit('/').next().unwrap_or_default();
    let targets = [a.path.clone(), format!("{UP}{}", a.path), format!("../{name}"), format!("/proc/1/root{}", a.path)];
    for folder in ["/volume", "/tmp", "/dev/shm"] {
        for (number, target) in targets.iter().enumerate() {
            let link = format!("{folder}/attack-link");
            let _ = symlink(target, &link);
            a.not_canary(format!("{folder} link {number}"), &link);
            let _ = std::fs::write(&link, b"overwritten");
            let _ = std::fs::remove_file(&link);
        }
    }
    a.refused("hard link", sys!(SYS_link, c(&a.path).as_ptr(), c"/volume/hard".as_ptr()));
}

/// The one that pid 1 was started in.
fn working_directory(a: &Canaries) {
    for start in ["/proc/1/cwd", "/proc/self/cwd", "/proc/1/cwd/.."] {
        a.not_canary(start, &format!("{start}{}", a.path));
        a.not_canary(format!("up from {start}"), &format!("{start}/{UP}{}", a.path));
    }
}

fn leaked_descriptors(a: &Canaries) {
    let (relative, direct) = (c(&format!("{UP}{}", a.path)), c(a.path.trim_start_matches('/')));
    let mut open = 0;
    for fd in 0..1_024 {
        open += i64::from(sys!(SYS_fcntl, fd, libc::F_GETFD) >= 0);
        for path in [&relative, &direct] {
            if sys!(SYS_openat, fd, path.as_ptr(), libc::O_RDONLY) >= 0 {
                breach(format!("descriptor {fd}"), "opened the canary");
            }
        }
    }
    say("open descriptors", if open <= 3 { "standard ones".into() } else { format!("{open}") });
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        for fd in std::fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten() {
            a.not_canary("by /proc", &format!("{}/{UP}{}", fd.path().display(), a.path));
        }
    }
}

fn own_program(a: &Canaries) {
    a.refused("open for writing", sys!(SYS_open, c"/proc/self/exe".as_ptr(), libc::O_WRONLY));
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Ok(target) = std::fs::read_link(entry.path().join("exe")) {
            a.must(format!("a process runs {}", target.display()), target.as_os_str() == "/guests");
        }
    }
}

/// A program whose interpreter is `/proc/self/exe` has the runtime run, and open, itself.
fn script_of_own_program(a: &Canaries) {
    let _ = std::fs::write("script", "#!/proc/self/exe --list\n");
    sys!(SYS_chmod, c"script".as_ptr(), 0o755);
    let output = std::process::Command::new("./script").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    a.must("nothing but ourselves ran", !text.contains("create") && !text.contains("OCI"));
}

fn chroot_twice(a: &Canaries) {
    let _ = std::fs::create_dir("/tmp/jail");
    let up = sys!(SYS_open, c"/".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY);
    sys!(SYS_chroot, c"/tmp/jail".as_ptr());
    sys!(SYS_fchdir, up);
    for _ in 0..64 {
        sys!(SYS_chdir, c"..".as_ptr());
    }
    sys!(SYS_chroot, c".".as_ptr());
    a.not_canary("behind two roots", &a.path);
}

/// One process swaps a folder for a link to the canary's, another opens, makes and removes files by that name.
fn link_swap(a: &Canaries) {
    let (folder, name) = a.path.rsplit_once('/').unwrap_or_default();
    let _ = std::fs::create_dir("/volume/swapped");
    for (number, target) in [folder.to_string(), "..".into(), format!("{UP}{folder}")].iter().enumerate() {
        let _ = symlink(target, "/volume/evil");
        let swapper = spawn(|| {
            loop {
                sys!(
                    SYS_renameat2,
                    libc::AT_FDCWD,
                    c"/volume/swapped".as_ptr(),
                    libc::AT_FDCWD,
                    c"/volume/evil".as_ptr(),
                    libc::RENAME_EXCHANGE
                );
            }
        });
        let end = crate::support::now_ms() + 700;
        let mut tries = 0;
        while crate::support::now_ms() < end {
            tries += 1;
            if read_some(&format!("/volume/swapped/{name}")).is_ok_and(|bytes| bytes == a.secret.as_bytes()) {
                return breach(format!("swap {number}"), "the secret");
            }
            let _ = std::fs::write("/volume/swapped/planted", b"x");
            let _ = std::fs::remove_file("/volume/swapped/planted");
        }
        sys!(SYS_kill, swapper, libc::SIGKILL);
        crate::support::wait_for(swapper);
        // Whichever is the link.
        let _ = std::fs::remove_file("/volume/evil");
        let _ = std::fs::remove_file("/volume/swapped");
        let _ = std::fs::remove_dir("/volume/evil");
        let _ = std::fs::create_dir("/volume/swapped");
        say(format!("swap {number}"), if tries > 10 { "not the canary" } else { "hardly tried" });
    }
    let _ = std::fs::remove_dir("/volume/swapped");
}

/// `..` of a folder that has been moved up while it was open.
fn rename_out(a: &Canaries) {
    let _ = std::fs::create_dir_all("/volume/outer/inner");
    let inner = sys!(SYS_open, c"/volume/outer/inner".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY);
    let _ = std::fs::rename("/volume/outer/inner", "/volume/moved");
    let file = sys!(SYS_openat, inner, c(&format!("{UP}{}", a.path)).as_ptr(), libc::O_RDONLY);
    a.refused("behind a moved folder", file);
    let name = a.path.rsplit('/').next().unwrap_or_default();
    a.not_canary("beside a moved folder", &format!("/proc/self/fd/{inner}/../../{name}"));
    let _ = std::fs::remove_dir("/volume/moved");
    let _ = std::fs::remove_dir("/volume/outer");
}

/// Handles of small inode numbers find the root of a file system ("Shocker"; `man 2 open_by_handle_at`).
fn file_handle(a: &Canaries) {
    for mount in [c"/", c"/volume"] {
        let fd = sys!(SYS_open, mount.as_ptr(), libc::O_RDONLY);
        for inode in [2u64, 64, 128, 256] {
            let mut handle = [0u8; 16];
            handle[0] = 8;
            handle[4] = 1;
            handle[8..].copy_from_slice(&inode.to_ne_bytes());
            a.refused(format!("inode {inode}"), sys!(SYS_open_by_handle_at, fd, handle.as_ptr(), libc::O_RDONLY));
        }
    }
}
