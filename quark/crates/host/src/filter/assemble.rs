//! Rules to instructions.

/// One instruction, as of `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions to skip if a comparison holds.
    pub jump_true: u8,
    /// How many to skip if not.
    pub jump_false: u8,
    /// Constant.
    pub operand: u32,
}

/// What must hold of one argument of a host call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Argument `.0`, all 64 bits of it, is `.1`.
    Equal(u8, u64),
    /// The lower 32 bits of argument `.0`, masked by `.1`, are `.2`. The host takes no more of an `int`.
    Masked(u8, u32, u32),
    /// All 64 bits of argument `.0` are 0 but for those in `.1`.
    Within(u8, u64),
}

/// A host call that is let pass if all conditions hold. There may be several of one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The call's number.
    pub number: u32,
    /// What holds of its arguments.
    pub conditions: Vec<Condition>,
}

impl Rule {
    /// `number` with whatever arguments.
    pub fn any(number: i64) -> Rule {
        Rule { number: number as u32, conditions: Vec::new() }
    }

    /// `number` if `conditions` hold.
    pub fn when(number: i64, conditions: &[Condition]) -> Rule {
        Rule { number: number as u32, conditions: conditions.to_vec() }
    }
}

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
pub(super) const NUMBER: u32 = 0;
pub(super) const ARCHITECTURE: u32 = 4;
pub(super) const POINTER_LOW: u32 = 8;
pub(super) const POINTER_HIGH: u32 = 12;

pub(super) fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD, jump_true: 0, jump_false: 0, operand: offset }
}

pub(super) fn ret(action: u32) -> Instruction {
    Instruction { code: RETURN, jump_true: 0, jump_false: 0, operand: action }
}

/// Goes on if the loaded word is `value`, else skips `skip` instructions.
pub(super) fn unless_equal(value: u32, skip: u8) -> Instruction {
    Instruction { code: JUMP_EQUAL, jump_true: 0, jump_false: skip, operand: value }
}

/// Skips `at_least` instructions if the loaded word is `value` or more, else `below`.
pub(super) fn compare(value: u32, at_least: u8, below: u8) -> Instruction {
    Instruction { code: JUMP_GREATER_OR_EQUAL, jump_true: at_least, jump_false: below, operand: value }
}

fn and(mask: u32) -> Instruction {
    Instruction { code: AND, jump_true: 0, jump_false: 0, operand: mask }
}

fn argument_low(index: u8) -> u32 {
    16 + 8 * u32::from(index)
}

/// Loads of words and what they must be after a mask.
fn checks(condition: Condition) -> Vec<(u32, u32, u32)> {
    match condition {
        Condition::Equal(index, value) => {
            vec![(argument_low(index), u32::MAX, value as u32), (argument_low(index) + 4, u32::MAX, (value >> 32) as u32)]
        }
        Condition::Masked(index, mask, value) => vec![(argument_low(index), mask, value)],
        Condition::Within(index, bits) => {
            vec![(argument_low(index), !bits as u32, 0), (argument_low(index) + 4, (!bits >> 32) as u32, 0)]
        }
    }
}

/// The instructions that judge the call whose number is loaded: `allow` if one of its rules holds, else `otherwise`.
///
/// A search in halves: the host looks at few instructions a call, and at few for every number that there is when it learns which ones it need
/// not ask the filter for, which a chain of comparisons makes as slow as all the rest of a process' start.
pub(super) fn assemble(rules: &[Rule], allow: u32, otherwise: u32) -> Vec<Instruction> {
    let mut rules: Vec<&Rule> = rules.iter().collect();
    rules.sort_by_key(|rule| rule.number);
    let groups: Vec<&[&Rule]> = rules.chunk_by(|one, other| one.number == other.number).collect();
    search(&groups, allow, otherwise)
}

fn search(groups: &[&[&Rule]], allow: u32, otherwise: u32) -> Vec<Instruction> {
    let (below, above) = groups.split_at(groups.len() / 2);
    match (below, above.first().and_then(|group| group.first())) {
        ([], _) => groups.first().map_or_else(|| vec![ret(otherwise)], |group| assemble_number(group, allow, otherwise)),
        (_, None) => vec![ret(otherwise)],
        (below, Some(middle)) => {
            let below = search(below, allow, otherwise);
            // A comparison skips 255 instructions at most, a jump as many as there are.
            let mut instructions = vec![compare(middle.number, 0, 1), jump(below.len() as u32)];
            instructions.extend(below);
            instructions.extend(search(above, allow, otherwise));
            instructions
        }
    }
}

fn jump(skip: u32) -> Instruction {
    Instruction { code: JUMP, jump_true: 0, jump_false: 0, operand: skip }
}

/// All rules of one number, which is the last that may be.
fn assemble_number(rules: &[&Rule], allow: u32, otherwise: u32) -> Vec<Instruction> {
    let number = rules.first().map_or(0, |rule| rule.number);
    let mut instructions = vec![Instruction { jump_true: 1, ..unless_equal(number, 0) }, ret(otherwise)];
    instructions.extend(rules.iter().flat_map(|rule| assemble_rule(rule, allow)));
    instructions.push(ret(otherwise));
    instructions
}

/// The instructions for the conditions of `rule`: they return `allow` if all hold, and go on behind them, with another word loaded, if not.
fn assemble_rule(rule: &Rule, allow: u32) -> Vec<Instruction> {
    let mut tests = Vec::new();
    for (offset, mask, value) in rule.conditions.iter().flat_map(|condition| checks(*condition)) {
        if mask == 0 {
            continue;
        }
        tests.push(load(offset));
        if mask != u32::MAX {
            tests.push(and(mask));
        }
        tests.push(unless_equal(value, 0));
    }
    tests.push(ret(allow));
    let length = tests.len();
    for (index, test) in tests.iter_mut().enumerate() {
        if test.code == JUMP_EQUAL {
            test.jump_false = (length - index - 1) as u8;
        }
    }
    tests
}
