//! `#!` scripts (`man 2 execve`, "Interpreter scripts"). Pure; after Linux' `fs/binfmt_script.c`.

use super::elf::HEAD;
use crate::{Errno, Result};

/// How many interpreters may be scripts themselves before ELOOP.
pub const DEPTH_MAX: usize = 5;

/// The first line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The interpreter's path.
    pub interpreter: Vec<u8>,
    /// All of the rest of the line, as one argument.
    pub argument: Option<Vec<u8>>,
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// The first line of a file that begins with these bytes ([`HEAD`] of them, or fewer if it is shorter); `None` if it is no script.
/// ENOEXEC if there is no interpreter, or its path is cut off.
pub fn parse(head: &[u8]) -> Result<Option<Script>> {
    let Some(rest) = head.strip_prefix(b"#!") else {
        return Ok(None);
    };
    // A shorter file ends as if with a NUL.
    let whole = head.len() < HEAD;
    let line = match rest.iter().position(|byte| *byte == b'\n') {
        Some(end) => rest.get(..end).unwrap_or(rest),
        None => cut_line(rest, whole)?,
    };
    let line = line.trim_ascii_end_blanks();
    let line = line.get(line.iter().position(|byte| !is_blank(*byte)).unwrap_or(line.len())..).unwrap_or_default();
    let end = line.iter().position(|byte| is_blank(*byte) || *byte == 0).unwrap_or(line.len());
    let (interpreter, rest) = line.split_at_checked(end).unwrap_or((line, b""));
    if interpreter.is_empty() {
        return Err(Errno::NOEXEC);
    }
    Ok(Some(Script { interpreter: interpreter.to_vec(), argument: argument(rest) }))
}

/// What is behind the interpreter: nothing behind a NUL counts.
fn argument(rest: &[u8]) -> Option<Vec<u8>> {
    if rest.first() == Some(&0) {
        return None;
    }
    let start = rest.iter().position(|byte| !is_blank(*byte))?;
    let text = rest.get(start..)?;
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    Some(text.get(..end)?.to_vec()).filter(|text| !text.is_empty())
}

/// A first line without an end: ENOEXEC if the interpreter's path may go on beyond what we see.
fn cut_line(rest: &[u8], whole: bool) -> Result<&[u8]> {
    // The last byte of a full buffer counts as its end.
    let line = if whole { rest } else { rest.get(..rest.len().saturating_sub(1)).unwrap_or_default() };
    let start = line.iter().position(|byte| !is_blank(*byte)).ok_or(Errno::NOEXEC)?;
    let ended = line.iter().skip(start).any(|byte| is_blank(*byte) || *byte == 0);
    if whole || ended { Ok(line) } else { Err(Errno::NOEXEC) }
}

trait TrimBlanks {
    fn trim_ascii_end_blanks(&self) -> &[u8];
}

impl TrimBlanks for [u8] {
    fn trim_ascii_end_blanks(&self) -> &[u8] {
        let end = self.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
        self.get(..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(interpreter: &str, argument: Option<&str>) -> Result<Option<Script>> {
        Ok(Some(Script { interpreter: interpreter.into(), argument: argument.map(Into::into) }))
    }

    #[test]
    fn reads_the_first_line() {
        assert_eq!(parse(b"#!/bin/sh\nexit 1\n"), script("/bin/sh", None));
        assert_eq!(parse(b"#! \t/usr/bin/env  python3 -u  \nx"), script("/usr/bin/env", Some("python3 -u")));
        assert_eq!(parse(b"#!/bin/sh"), script("/bin/sh", None));
        assert_eq!(parse(b"#!/bin/sh -e"), script("/bin/sh", Some("-e")));
        assert_eq!(parse(b"#!/bin/sh\0-e\n"), script("/bin/sh", None));
        assert_eq!(parse(b"#!/bin/sh\r\n"), script("/bin/sh\r", None));
        assert_eq!(parse(b"exit 1\n"), Ok(None));
        assert_eq!(parse(b"#"), Ok(None));
    }

    #[test]
    fn refuses_lines_without_an_interpreter() {
        for head in [&b"#!"[..], b"#!\n", b"#! \t \n/bin/sh", b"#!   "] {
            assert_eq!(parse(head), Err(Errno::NOEXEC), "{head:?}");
        }
    }

    #[test]
    fn long_lines_are_cut_but_not_the_interpreter() {
        let path = vec![b'a'; HEAD - 2];
        assert_eq!(parse(&[b"#!", &path[..]].concat()), Err(Errno::NOEXEC));
        let mut line = [b"#!/bin/sh ", &vec![b'a'; HEAD - 10][..]].concat();
        assert_eq!(parse(&line), script("/bin/sh", Some(&"a".repeat(HEAD - 11))));
        line[HEAD - 1] = b'\n';
        assert_eq!(parse(&line), script("/bin/sh", Some(&"a".repeat(HEAD - 11))));
    }
}
