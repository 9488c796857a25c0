//! What a command fails with.

use std::fmt;

/// A sentence for people (and for containerd, which looks for some of them), and the exit code of the command.
#[derive(Debug)]
pub struct Error {
    message: String,
    code: u8,
}

/// What the commands return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure with exit code 1.
    pub fn new(message: impl Into<String>) -> Error {
        Error { message: message.into(), code: 1 }
    }

    /// A container that isn't there. containerd takes "does not exist" for success when it deletes.
    pub fn no_container(id: &str) -> Error {
        Error::new(format!("container \"{id}\" does not exist"))
    }

    /// A container whose process has ended. containerd looks for these words after `kill`.
    pub fn not_running(id: &str) -> Error {
        Error::new(format!("container not running: the process of \"{id}\" has ended"))
    }

    /// The command line is wrong.
    pub fn usage(message: impl fmt::Display) -> Error {
        Error::new(format!("{message}; see `quark --help`"))
    }

    /// The same with another exit code.
    pub fn with_code(mut self, code: u8) -> Error {
        self.code = code;
        self
    }

    /// The command's exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Says what was tried when something fails.
pub trait Context<T> {
    /// `Cannot {what}: {cause}`; `what` is only made when needed.
    fn context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|cause| Error::new(format!("Cannot {}: {cause}", what())))
    }
}
