//! The directory with all containers' state, and who may change one of them.
//!
//! A container is a directory `<root>/<id>`. It appears with its lock (flock on the directory itself) held by the command that makes it, and
//! disappears by a rename, so that nobody ever sees half of one. What a killed command leaves behind begins with a dot and is swept.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};

use crate::error::{Context, Error, Result};
use crate::state::State;

/// Where state is kept unless `--root` says otherwise.
pub const DEFAULT_ROOT: &str = "/run/quark";

/// How long a command waits for another that changes the same container.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Leftovers younger than this may belong to a command that still runs.
const SWEEP_AGE: Duration = Duration::from_secs(60);

/// All containers under one `--root`.
pub struct Store {
    root: PathBuf,
}

/// One container's directory. Nobody else changes it as long as this lives, if it came from `create` or `lock`.
pub struct Entry {
    path: PathBuf,
    directory: File,
}

impl Store {
    /// `root` need not exist yet.
    pub fn new(root: &str) -> Store {
        Store { root: PathBuf::from(root) }
    }

    /// Makes a container's directory, locked, with its first state. Fails if there is one.
    pub fn create(&self, state: &State) -> Result<Entry> {
        let id = state.id.as_str();
        check_id(id)?;
        fs::DirBuilder::new().recursive(true).mode(0o711).create(&self.root).context(|| format!("make \"{}\"", self.root.display()))?;
        if self.path(id).exists() {
            return Err(Error::new(format!("container with id \"{id}\" exists already")));
        }
        self.sweep();
        let draft = self.root.join(format!(".new-{}-{}", std::process::id(), nanoseconds()));
        fs::DirBuilder::new().mode(0o700).create(&draft).context(|| format!("make \"{}\"", draft.display()))?;
        let directory = File::open(&draft).context(|| format!("open \"{}\"", draft.display()))?;
        directory.try_lock().context(|| format!("lock \"{}\"", draft.display()))?;
        save(&draft, state)?;
        match rustix::fs::renameat_with(CWD, &draft, CWD, self.path(id), RenameFlags::NOREPLACE) {
            Ok(()) => Ok(Entry { path: self.path(id), directory }),
            Err(error) => {
                let _ = fs::remove_dir_all(&draft);
                if error == rustix::io::Errno::EXIST {
                    return Err(Error::new(format!("container with id \"{id}\" exists already")));
                }
                Err(error).context(|| format!("make \"{}\"", self.path(id).display()))
            }
        }
    }

    /// Opens a container's directory for reading.
    pub fn open(&self, id: &str) -> Result<Entry> {
        check_id(id)?;
        let path = self.path(id);
        match rustix::fs::open(&path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(directory) => Ok(Entry { path, directory: directory.into() }),
            Err(rustix::io::Errno::NOENT) => Err(Error::no_container(id)),
            Err(error) => Err(error).context(|| format!("open \"{}\"", path.display())),
        }
    }

    /// Opens it for changing: waits for other commands that do.
    pub fn lock(&self, id: &str) -> Result<Entry> {
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            let entry = self.open(id)?;
            match entry.directory.try_lock() {
                Ok(()) if entry.is_current() => return Ok(entry),
                // Deleted, and perhaps made anew, between the two calls.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(format!(
                        "Another command has been changing container \"{id}\" for {} s: try again",
                        LOCK_WAIT.as_secs()
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(error).context(|| format!("lock \"{}\"", entry.path.display())),
            }
        }
    }

    /// The ids of all containers, sorted.
    pub fn ids(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.context(|| format!("read \"{}\"", self.root.display()))?,
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut ids: Vec<String> = names.filter(|name| check_id(name).is_ok()).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Removes what commands that were killed left of containers that nobody ever saw, or that were deleted.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.root) else {
            return;
        };
        for entry in entries.flatten() {
            let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(".new-") || name.starts_with(".gone-"));
            let old =
                entry.metadata().ok().and_then(|metadata| metadata.modified().ok()?.elapsed().ok()).is_some_and(|age| age > SWEEP_AGE);
            let free = || File::open(entry.path()).is_ok_and(|directory| directory.try_lock().is_ok());
            if ours && old && free() {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    fn path(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }
}

impl Entry {
    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path of a file in it that is short enough for a socket's address, whatever `--root` is. Holds as long as this lives.
    pub fn short_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.directory.as_raw_fd()))
    }

    /// What is remembered.
    pub fn state(&self) -> Result<State> {
        let file = rustix::fs::openat(&self.directory, "state.json", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let what = || format!("read \"{}/state.json\"", self.path.display());
        let mut text = Vec::new();
        match file {
            // Deleted since it was opened.
            Err(rustix::io::Errno::NOENT) => {
                return Err(Error::no_container(self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()));
            }
            file => File::from(file.context(what)?).read_to_end(&mut text).context(what)?,
        };
        serde_json::from_slice(&text).context(what)
    }

    /// Remembers. Atomic: others see the old state or the new one.
    pub fn save(&self, state: &State) -> Result<()> {
        save(&self.path, state)
    }

    /// Removes the directory and all in it.
    pub fn remove(self) -> Result<()> {
        let what = || format!("remove \"{}\"", self.path.display());
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        let gone = parent.join(format!(".gone-{}-{}", std::process::id(), nanoseconds()));
        fs::rename(&self.path, &gone).context(what)?;
        fs::remove_dir_all(&gone).context(what)
    }

    /// Whether another command is changing it now.
    pub fn busy(&self) -> bool {
        matches!(self.directory.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    fn is_current(&self) -> bool {
        match (self.directory.metadata(), fs::metadata(&self.path)) {
            (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
            _ => false,
        }
    }
}

impl AsFd for Entry {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

fn save(directory: &Path, state: &State) -> Result<()> {
    let what = || format!("write \"{}/state.json\"", directory.display());
    let text = serde_json::to_vec(state).context(what)?;
    let draft = directory.join("state.json.new");
    File::create(&draft).and_then(|mut file| file.write_all(&text)).context(what)?;
    fs::rename(&draft, directory.join("state.json")).context(what)
}

/// Whether `id` may be a container's: letters, digits, `_`, `+`, `-` and `.`, as runc has it; no dot first, at most 255 bytes.
fn check_id(id: &str) -> Result<()> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    if id.is_empty() || id.len() > 255 || id.starts_with('.') || !id.bytes().all(known) {
        return Err(Error::new(format!(
            "container id \"{id}\" must be 1 to 255 letters, digits, \"_\", \"+\", \"-\" and \".\", and not begin with a dot"
        )));
    }
    Ok(())
}

fn nanoseconds() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("quark-store-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("scratch");
            Scratch(path)
        }

        fn store(&self) -> Store {
            Store::new(self.0.join("root").to_str().expect("path"))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn of_fifty_creates_one_wins() {
        let scratch = Scratch::new("race");
        let won = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| {
                    if let Ok(entry) = scratch.store().create(&State::new("same")) {
                        won.fetch_add(1, Ordering::Relaxed);
                        std::mem::forget(entry);
                    }
                });
            }
        });
        assert_eq!(won.load(Ordering::Relaxed), 1);
        assert_eq!(scratch.store().ids().expect("ids"), ["same"]);
        assert_eq!(fs::read_dir(scratch.0.join("root")).expect("root").count(), 1);
    }

    #[test]
    fn deleting_and_making_anew_never_mix() {
        let scratch = Scratch::new("turns");
        let (made, deleted) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        if scratch.store().create(&State::new("x")).is_ok() {
                            made.fetch_add(1, Ordering::Relaxed);
                        }
                        if let Ok(entry) = scratch.store().lock("x") {
                            entry.remove().expect("remove");
                            deleted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let left = scratch.store().ids().expect("ids").len();
        assert_eq!(made.load(Ordering::Relaxed), deleted.load(Ordering::Relaxed) + left);
    }

    #[test]
    fn ids_stay_inside_the_root() {
        for id in ["", ".", "..", "a/b", ".hidden", "ä", "a b", &"x".repeat(256)] {
            assert!(check_id(id).is_err(), "{id}");
        }
        for id in ["a", "A-1_b+c.d", &"f".repeat(64)] {
            assert!(check_id(id).is_ok(), "{id}");
        }
    }

    #[test]
    fn what_is_not_there_does_not_exist() {
        let scratch = Scratch::new("absent");
        let error = scratch.store().open("nothing").err().expect("error").to_string();
        assert!(error.contains("does not exist"), "{error}");
        assert_eq!(scratch.store().ids().expect("ids"), Vec::<String>::new());
    }
}
