//! Seccomp filters: programs of classic BPF that look at one host call and say what becomes of it.

mod assemble;
#[cfg(test)]
mod interpret;
pub mod kernel;
mod stub;

pub use assemble::{Condition, Instruction, Rule};
pub(crate) use stub::stub_filter;
