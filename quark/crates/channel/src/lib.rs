//! TCP between sandboxes without TCP of each: many streams over one [`Transport`] that two nodes keep open.
//!
//! [`frame`] is what is said, [`session`] decides (pure: frames in, events out, credit a stream), [`Transport`] carries bytes, and [`link`] runs a
//! session over a transport. Between a node's service and its pods are rings in shared memory ([`port`]) that [`pod`] hands out. A stream that a dying transport takes with it is reset: nothing is lost without being told.

#![forbid(unsafe_code)]

pub mod frame;
pub mod link;
pub mod pod;
pub mod port;
pub mod session;
pub mod transport;

pub use link::{Accept, Link, StreamIn, StreamOut};
pub use transport::{Memory, Tcp, Transport};
