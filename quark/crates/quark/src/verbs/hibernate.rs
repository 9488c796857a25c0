//! `quark hibernate` and `quark wake`.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::cli::Parsed;
use crate::error::{Context, Error, Result};
use crate::messages::Order;
use crate::store::Store;

/// Where sleeping pods' memory is kept unless `--disk` says otherwise.
const DEFAULT_DISK: &str = "/var/lib/quark";

/// Puts a pod's memory into a file; the first event wakes it.
pub fn hibernate(store: &Store, parsed: &Parsed) -> Result<()> {
    let id = parsed.operand(0);
    let hold_timers = match parsed.value("timers") {
        None | Some("wake") => false,
        Some("hold") => true,
        Some(other) => return Err(Error::usage(format!("--timers must be wake or hold, not \"{other}\""))),
    };
    let (_, state) = super::look_up(store, id)?;
    let connection = super::connect(store, &state)?;
    connection.tell(&Order::Hibernate { hold_timers }, &[memory_file(parsed)?.as_fd()])
}

/// Has it back.
pub fn wake(store: &Store, id: &str) -> Result<()> {
    let (_, state) = super::look_up(store, id)?;
    super::connect(store, &state)?.tell(&Order::Wake, &[])
}

/// A file without a name, which goes with the last who has it open: whatever is killed, nothing is left of it.
pub fn memory_file(parsed: &Parsed) -> Result<File> {
    let directory = Path::new(parsed.value("disk").unwrap_or(DEFAULT_DISK));
    let what = || format!("make a file for memory in \"{}\"", directory.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).context(what)?;
    File::options().read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(directory).context(what)
}
