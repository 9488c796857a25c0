//! TCP sockets as [`Endpoint`]s.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::carrier::CLOSE;
use super::listeners::Backlog;
use super::options::Options;
use super::{Inside, LISTENERS, Role, TcpSocket, address, kind};
use crate::call::Call;
use crate::net::options::{Judgement, judge};
use crate::net::socket::{Endpoint, Incoming, Outgoing};
use crate::reactor::with_bands;
use crate::task::{Task, lock};
use crate::wait::{Bell, Events, WaitQueue};
use crate::{Errno, Result};

impl TcpSocket {
    fn backlog(&self) -> Option<Arc<Backlog>> {
        match &*lock(&self.role) {
            Role::Listening(backlog) => Some(backlog.clone()),
            _ => None,
        }
    }

    /// No longer what it was: it listens no more, or the connection inside has ended.
    fn leave(&self) {
        self.abort();
        let role = std::mem::replace(&mut *lock(&self.role), Role::Host);
        self.end(role);
    }

    fn accept_outside(&self) -> Result<(Arc<dyn Endpoint>, Vec<u8>)> {
        let queue = Arc::<WaitQueue>::default();
        let (socket, address) = self.host()?.accept_sharing(&queue)?;
        Ok((TcpSocket::over(socket, self.domain, queue), address))
    }

    fn accept_inside(&self, backlog: &Backlog) -> Option<(Arc<dyn Endpoint>, Vec<u8>)> {
        let socket = backlog.take()?;
        let peer = socket.inside()?.peer;
        Some((socket, address::form(self.domain, peer)))
    }
}

impl Inside {
    fn connect_again(&self) -> Result<()> {
        if self.told.swap(true, Ordering::Relaxed) { Err(Errno::ISCONN) } else { Ok(()) }
    }

    fn send(&self, message: &Outgoing<'_>) -> Result<usize> {
        self.carrier.send(message.data, message.flags & libc::MSG_OOB != 0)
    }

    fn receive(&self, to: &mut [u8], flags: i32) -> Result<Incoming> {
        let count = self.carrier.receive(to, flags)?;
        // MSG_TRUNC throws bytes away.
        let filled = if flags & libc::MSG_TRUNC != 0 { 0 } else { count };
        Ok(Incoming { filled, length: count, flags: flags & libc::MSG_OOB, ..Incoming::default() })
    }
}

impl Endpoint for TcpSocket {
    fn bind(&self, task: &Arc<Task>, address: &[u8]) -> Result<()> {
        if self.inside().is_some() {
            return Err(Errno::INVAL);
        }
        self.host()?.bind(task, address)
    }

    fn listen(&self, task: &Arc<Task>, backlog: i32) -> Result<()> {
        let mut role = lock(&self.role);
        if matches!(*role, Role::Inside(_)) {
            return Err(Errno::INVAL);
        }
        let host = self.host()?;
        host.listen(task, backlog)?;
        if let Role::Host = *role {
            let Some(name) = address::parse(self.domain, &host.name()?) else {
                return Ok(());
            };
            let options = self.options.clone();
            let only_six = lock(&options).only_six();
            let listener = Arc::new(Backlog::new(name, self.domain, only_six, options, self.queue.clone()));
            LISTENERS.add(&listener);
            *role = Role::Listening(listener);
        }
        if let Role::Listening(listener) = &*role {
            listener.set_limit(backlog);
        }
        Ok(())
    }

    fn connect(&self, task: &Arc<Task>, address: &[u8]) -> Result<()> {
        let dissolve = address.get(..2) == Some(&(libc::AF_UNSPEC as u16).to_ne_bytes());
        let mut role = lock(&self.role);
        match &*role {
            Role::Inside(inside) if !dissolve => return inside.connect_again(),
            Role::Host if !dissolve => {
                if let Some(inside) = self.connect_elsewhere(address) {
                    *role = Role::Inside(inside);
                    drop(role);
                    self.queue.notify(with_bands(Events::OUT));
                    // As Linux says even on its loopback; `poll` has it at once.
                    return Err(Errno::INPROGRESS);
                }
            }
            _ => {}
        }
        drop(role);
        self.host()?.connect(task, address)?;
        if dissolve {
            self.leave();
        }
        Ok(())
    }

    fn accept(&self) -> Result<(Arc<dyn Endpoint>, Vec<u8>)> {
        let Some(backlog) = self.backlog() else {
            return if self.inside().is_some() { Err(Errno::INVAL) } else { self.accept_outside() };
        };
        // Who comes from outside has a turn too, however many come from inside.
        if backlog.outside_first() {
            match self.accept_outside() {
                Err(Errno::AGAIN) => {}
                answer => return answer,
            }
        }
        self.accept_inside(&backlog).map_or_else(|| self.accept_outside(), Ok)
    }

    fn send(&self, task: Option<&Arc<Task>>, message: &Outgoing<'_>) -> Result<usize> {
        match self.inside() {
            Some(inside) => inside.send(message),
            None => self.host()?.send(task, message),
        }
    }

    fn receive(&self, to: &mut [u8], flags: i32) -> Result<Incoming> {
        match self.inside() {
            Some(inside) => inside.receive(to, flags),
            None => self.host()?.receive(to, flags),
        }
    }

    fn shutdown(&self, how: i32) -> Result<()> {
        if let Some(inside) = self.inside() {
            return inside.carrier.shutdown(how);
        }
        self.host()?.shutdown(how)?;
        if how != libc::SHUT_WR && self.backlog().is_some() {
            self.leave();
            self.queue.notify(Events::all());
        }
        Ok(())
    }

    fn name(&self) -> Result<Vec<u8>> {
        match self.inside() {
            Some(inside) => Ok(address::form(self.domain, inside.name)),
            None => self.host()?.name(),
        }
    }

    fn peer(&self) -> Result<Vec<u8>> {
        match self.inside() {
            Some(inside) if inside.carrier.state() == CLOSE => Err(Errno::NOTCONN),
            Some(inside) => Ok(address::form(self.domain, inside.peer)),
            None => self.host()?.peer(),
        }
    }

    fn set_option(&self, task: &Arc<Task>, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let inside = self.inside();
        if inside.is_some() && Options::only_the_host_has(level, name) {
            return Err(Errno::NOPROTOOPT);
        }
        self.host()?.set_option(task, level, name, value)?;
        if judge(level, name, true) == Judgement::Pass {
            lock(&self.options).note(level, name, value);
        }
        if let Some(inside) = inside {
            let buffers = lock(&self.options).buffers();
            inside.carrier.set_buffers(buffers);
        }
        Ok(())
    }

    fn option(&self, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
        let Some(inside) = self.inside() else {
            return self.host()?.option(level, name, room);
        };
        if (level, name) == (libc::SOL_SOCKET, libc::SO_ERROR) {
            let error = inside.carrier.take_error().map_or(0, Errno::raw_os_error);
            return Ok(error.to_ne_bytes().get(..room.min(4)).unwrap_or_default().to_vec());
        }
        let mut value = self.host()?.option(level, name, room)?;
        if let ((libc::IPPROTO_TCP, libc::TCP_INFO), Some(state)) = ((level, name), value.first_mut()) {
            *state = inside.carrier.state();
        }
        Ok(value)
    }

    fn poll(&self, interest: Events) -> Events {
        if let Some(inside) = self.inside() {
            return inside.carrier.poll() & (interest | Events::ERR | Events::HUP);
        }
        if self.backlog().is_some_and(|backlog| backlog.ready()) {
            return with_bands(Events::IN) & interest;
        }
        self.host().map_or(Events::empty(), |host| host.poll(interest))
    }

    fn queue(&self) -> &WaitQueue {
        match (self.inside(), self.host.get()) {
            // The host has nothing to tell of a connection inside.
            (Some(inside), _) => inside.carrier.watch(),
            (None, Some(host)) => return host.queue(),
            (None, None) => {}
        }
        &self.queue
    }

    fn bell(&self) -> Option<Bell> {
        self.inside()?.carrier.bell()
    }

    fn ioctl(&self, call: &mut Call<'_>, request: u32, argument: u64) -> Result<u64> {
        let Some(inside) = self.inside() else {
            return self.host()?.ioctl(call, request, argument);
        };
        let bytes = match u64::from(request) {
            libc::FIONREAD => inside.carrier.queued() as i32,
            // What was sent has arrived.
            libc::TIOCOUTQ => 0,
            _ => return self.host()?.ioctl(call, request, argument),
        };
        call.write_value(argument, &bytes)?;
        Ok(0)
    }

    fn kind(&self) -> (i32, i32, i32) {
        kind(self.domain)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
