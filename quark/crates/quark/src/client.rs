//! A command's side of a pod's control socket.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::error::{Context, Error, Result};
use crate::messages::{Answer, Order};
use crate::store::Entry;
use crate::wire;

/// How long a kernel may take for an answer that needs no waiting.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to a pod's kernel.
pub struct Connection {
    socket: UnixStream,
}

impl Connection {
    /// Connects to the kernel that listens in this container's directory.
    pub fn open(sandbox: &Entry) -> Result<Connection> {
        let what = || format!("reach the kernel of the pod in \"{}\"", sandbox.path().display());
        let socket = UnixStream::connect(sandbox.short_path("control.sock")).context(what)?;
        socket.set_read_timeout(Some(ANSWER_TIMEOUT)).context(what)?;
        Ok(Connection { socket })
    }

    /// Uses a socket that is connected already.
    pub fn from_socket(socket: UnixStream) -> Connection {
        Connection { socket }
    }

    /// Sends without waiting for an answer.
    pub fn send(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        wire::send(&self.socket, order, descriptors).context(|| "ask the pod's kernel")
    }

    /// The next answer; a failure becomes an error.
    pub fn receive(&self) -> Result<Answer> {
        match wire::receive::<Answer>(&self.socket).context(|| "get an answer from the pod's kernel")? {
            (Answer::Failed(message), _) => Err(Error::new(message)),
            (answer, _) => Ok(answer),
        }
    }

    /// Sends and waits for the answer.
    pub fn ask(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) -> Result<Answer> {
        self.send(order, descriptors)?;
        self.receive()
    }

    /// The same for orders whose answer is `Done`.
    pub fn tell(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        self.send(order, descriptors)?;
        self.done()
    }

    /// Waits for the answer to an order whose answer is `Done`.
    pub fn done(&self) -> Result<()> {
        match self.receive()? {
            Answer::Done => Ok(()),
            answer => Err(Error::new(format!("The pod's kernel answered {answer:?}"))),
        }
    }

    /// The socket, to wait on for as long as it takes.
    pub fn into_socket(self) -> UnixStream {
        let _ = self.socket.set_read_timeout(None);
        self.socket
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
