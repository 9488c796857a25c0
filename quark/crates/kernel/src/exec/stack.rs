//! The first stack: strings, argument and environment pointers, the auxiliary vector (System V ABI for x86-64, `man 3 getauxval`). Pure.

use crate::{Errno, Result};

/// The longest argument or environment string, its NUL included (MAX_ARG_STRLEN).
pub const STRING_MAX: usize = 128 << 10;
/// What arguments may always take together (ARG_MAX), and at most.
const STRINGS_LIMIT: (u64, u64) = (128 << 10, 6 << 20);
/// How much stack there is at least below them, bytes.
pub const ROOM: u64 = 132 << 10;

/// How many bytes arguments and environment may take, their pointers included, by RLIMIT_STACK (`man 2 execve`).
pub fn strings_limit(stack_limit: u64) -> u64 {
    (stack_limit / 4).min(STRINGS_LIMIT.1).max(STRINGS_LIMIT.0)
}

/// E2BIG if arguments and environment are too large.
pub fn check_strings<'a>(strings: impl Iterator<Item = &'a Vec<u8>>, stack_limit: u64) -> Result<u64> {
    let mut size = 0_u64;
    for string in strings {
        if string.len() >= STRING_MAX {
            return Err(Errno::TOOBIG);
        }
        size += string.len() as u64 + 1 + 8;
    }
    if size <= strings_limit(stack_limit) { Ok(size) } else { Err(Errno::TOOBIG) }
}

/// What to put on the stack.
pub struct Strings<'a> {
    /// AT_EXECFN.
    pub filename: &'a [u8],
    /// `argv`.
    pub arguments: &'a [Vec<u8>],
    /// `envp`.
    pub environment: &'a [Vec<u8>],
    /// What AT_RANDOM points to.
    pub seed: [u8; 16],
}

/// A stack as it is written.
pub struct Stack {
    /// The stack pointer, aligned by 16; the bytes start there.
    pub pointer: u64,
    /// Up to the stack's end.
    pub bytes: Vec<u8>,
    /// The auxiliary vector, as it is in `bytes`.
    pub auxiliary: Vec<u8>,
    /// Where the strings of `argv` are.
    pub arguments: (u64, u64),
    /// Where those of `envp` are.
    pub environment: (u64, u64),
}

/// AT_NULL, AT_PLATFORM, AT_RANDOM and AT_EXECFN: what this adds to the entries it is given.
const NULL: u64 = 0;
const PLATFORM: u64 = 15;
const RANDOM: u64 = 25;
const EXECFN: u64 = 31;

/// Lays out a stack that ends at `top` (page aligned). `skew` moves it down by up to 8 KiB, for randomness. `entries`: the auxiliary vector,
/// without AT_PLATFORM, AT_RANDOM, AT_EXECFN and AT_NULL.
pub fn build(top: u64, strings: &Strings<'_>, entries: &[(u64, u64)], skew: u64) -> Stack {
    let mut down = Down { at: top - 8, pieces: vec![vec![0; 8]] };
    let filename = down.push_string(strings.filename);
    let environment_end = down.at;
    let environment = down.push_strings(strings.environment);
    let (environment_start, arguments_end) = (down.at, down.at);
    let arguments = down.push_strings(strings.arguments);
    let arguments_start = down.at;
    down.pad_to((down.at - skew % 8192) & !15);
    let platform = down.push_string(b"x86_64");
    let seed = down.push(strings.seed.to_vec());

    let mut auxiliary = entries.to_vec();
    auxiliary.extend([(RANDOM, seed), (EXECFN, filename), (PLATFORM, platform), (NULL, 0)]);
    let auxiliary: Vec<u8> = auxiliary.iter().flat_map(|(kind, value)| [*kind, *value]).flat_map(u64::to_le_bytes).collect();
    let mut words = vec![strings.arguments.len() as u64];
    words.extend(arguments);
    words.push(0);
    words.extend(environment);
    words.push(0);
    let words: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
    let size = (words.len() + auxiliary.len()) as u64;
    down.pad_to(((down.at - size) & !15) + size);
    down.push(auxiliary.clone());
    let pointer = down.push(words);
    Stack {
        pointer,
        bytes: down.into_bytes(),
        auxiliary,
        arguments: (arguments_start, arguments_end),
        environment: (environment_start, environment_end),
    }
}

/// Something that grows downwards.
struct Down {
    at: u64,
    pieces: Vec<Vec<u8>>,
}

impl Down {
    fn push(&mut self, piece: Vec<u8>) -> u64 {
        self.at -= piece.len() as u64;
        self.pieces.push(piece);
        self.at
    }

    fn push_string(&mut self, string: &[u8]) -> u64 {
        self.push([string, b"\0"].concat())
    }

    /// The first one is the lowest.
    fn push_strings(&mut self, strings: &[Vec<u8>]) -> Vec<u64> {
        let mut addresses: Vec<u64> = strings.iter().rev().map(|string| self.push_string(string)).collect();
        addresses.reverse();
        addresses
    }

    fn pad_to(&mut self, at: u64) {
        self.push(vec![0; self.at.saturating_sub(at) as usize]);
    }

    fn into_bytes(self) -> Vec<u8> {
        self.pieces.into_iter().rev().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: u64 = 0x7000_0000_0000;

    fn word(stack: &Stack, index: usize) -> u64 {
        u64::from_le_bytes(stack.bytes[index * 8..index * 8 + 8].try_into().unwrap())
    }

    fn string(stack: &Stack, address: u64) -> &[u8] {
        let from = &stack.bytes[(address - stack.pointer) as usize..];
        &from[..from.iter().position(|byte| *byte == 0).unwrap()]
    }

    #[test]
    fn is_as_a_program_reads_it() {
        let arguments = [b"ls".to_vec(), b"-l".to_vec()];
        let environment = [b"A=1".to_vec(), b"".to_vec(), b"PATH=/bin".to_vec()];
        let strings = Strings { filename: b"/bin/ls", arguments: &arguments, environment: &environment, seed: *b"0123456789abcdef" };
        for skew in [0, 1, 15, 16, 8191, u64::MAX] {
            let stack = build(TOP, &strings, &[(6, 4096)], skew);
            assert_eq!(stack.pointer % 16, 0);
            assert_eq!(stack.pointer + stack.bytes.len() as u64, TOP);
            assert_eq!(word(&stack, 0), 2);
            assert_eq!(string(&stack, word(&stack, 1)), b"ls");
            assert_eq!(string(&stack, word(&stack, 2)), b"-l");
            assert_eq!(word(&stack, 3), 0);
            assert_eq!(string(&stack, word(&stack, 5)), b"");
            assert_eq!(string(&stack, word(&stack, 6)), b"PATH=/bin");
            assert_eq!(word(&stack, 7), 0);
            assert_eq!((word(&stack, 8), word(&stack, 9)), (6, 4096));
            assert_eq!(word(&stack, 10), RANDOM);
            let seed = (word(&stack, 11) - stack.pointer) as usize;
            assert_eq!(&stack.bytes[seed..seed + 16], b"0123456789abcdef");
            assert_eq!((word(&stack, 12), string(&stack, word(&stack, 13))), (EXECFN, &b"/bin/ls"[..]));
            assert_eq!((word(&stack, 14), string(&stack, word(&stack, 15))), (PLATFORM, &b"x86_64"[..]));
            assert_eq!((word(&stack, 16), word(&stack, 17)), (NULL, 0));
            let (start, end) = stack.arguments;
            let bytes = &stack.bytes[(start - stack.pointer) as usize..(end - stack.pointer) as usize];
            assert_eq!(bytes, b"ls\0-l\0");
            let (start, end) = stack.environment;
            let bytes = &stack.bytes[(start - stack.pointer) as usize..(end - stack.pointer) as usize];
            assert_eq!(bytes, b"A=1\0\0PATH=/bin\0");
        }
    }

    #[test]
    fn limits_strings_by_the_stack() {
        let short = vec![b"a".to_vec(); 13_000];
        assert_eq!(check_strings(short.iter(), 0), Ok(130_000));
        assert_eq!(check_strings(vec![b"a".to_vec(); 14_000].iter(), 0), Err(Errno::TOOBIG));
        assert_eq!(check_strings(vec![b"a".to_vec(); 14_000].iter(), 8 << 20), Ok(140_000));
        assert_eq!(check_strings([vec![b'a'; STRING_MAX]].iter(), u64::MAX), Err(Errno::TOOBIG));
        assert_eq!(strings_limit(u64::MAX), 6 << 20);
    }
}
