//! What a hostile program tries, against canaries: `guests attack PATH SECRET PID SOCKET [NAME…]`.
//!
//! PATH is a file of the host outside of the container that holds SECRET, PID a process of the host, SOCKET the name of an abstract unix
//! socket there. Each attack prints a line for each try: what was answered, or `BREACH` and what it reached. `/volume` is a folder of
//! the host that may be written to, `/readonly` one that may not.

mod calls;
mod exhaustion;
pub mod neighbour;
mod paths;
mod reach;
mod sockets;
mod stub;

use crate::trace::errno_name;
use std::fmt::Display;
use std::io::Read;

/// An attack's name and what it does.
pub type Attack = (&'static str, fn(&Canaries));

/// What must not be reached.
pub struct Canaries {
    pub path: String,
    pub secret: String,
    pub pid: i32,
    pub socket: String,
}

impl Canaries {
    /// A call that must fail.
    pub fn refused(&self, what: impl Display, result: i64) {
        if result == -1 { say(what, errno_name()) } else { breach(what, result) }
    }

    /// Something that must hold.
    pub fn must(&self, what: impl Display, holds: bool) {
        if holds { say(what, "ok") } else { breach(what, "does not hold") }
    }

    /// A file that may be there but must not be the canary.
    pub fn not_canary(&self, what: impl Display, path: &str) {
        match read_some(path) {
            Err(error) => say(what, error),
            Ok(bytes) => self.no_secret(what, &bytes),
        }
    }

    /// Bytes that must not hold the secret.
    pub fn no_secret(&self, what: impl Display, bytes: &[u8]) {
        let found = bytes.windows(self.secret.len()).any(|window| window == self.secret.as_bytes());
        if found { breach(what, "the secret") } else { say(what, "not the canary") }
    }
}

fn all() -> impl Iterator<Item = &'static Attack> {
    [paths::ATTACKS, calls::ATTACKS, reach::ATTACKS, sockets::ATTACKS, exhaustion::ATTACKS, neighbour::ATTACKS, stub::ATTACKS]
        .into_iter()
        .flatten()
}

/// Runs the named attacks, or all; each prints as a case does. False when a name or the canaries are wrong.
pub fn main(args: &[&str]) -> bool {
    let [path, secret, pid, socket, names @ ..] = args else { return false };
    let Ok(pid) = pid.parse() else { return false };
    let canaries = Canaries { path: path.to_string(), secret: secret.to_string(), pid, socket: socket.to_string() };
    for (name, attack) in all().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        crate::runner::run(name, || attack(&canaries));
    }
    names.iter().all(|name| all().any(|(one, _)| one == name))
}

/// The first 64 KiB, or the error's name.
pub fn read_some(path: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match std::fs::File::open(path).and_then(|file| file.take(65_536).read_to_end(&mut bytes)) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(errno_name()),
    }
}

/// A path for a system call.
pub fn c(path: &str) -> std::ffi::CString {
    std::ffi::CString::new(path).unwrap_or_default()
}

pub fn say(what: impl Display, outcome: impl Display) {
    print(&format!("{what}: {outcome}\n"));
}

pub fn breach(what: impl Display, outcome: impl Display) {
    print(&format!("BREACH {what}: {outcome}\n"));
}

/// In one write(2), so that nothing is left for a child to print again.
fn print(line: &str) {
    crate::support::write(1, line.as_bytes());
}
