//! Terminals.

pub mod discipline;
pub mod echo;
pub mod termios;
