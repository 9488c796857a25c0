//! The command line: what was asked for, by one table of verbs and flags that the help is made of too.

mod help;
mod verbs;

pub use help::{SPEC_VERSION, overview, verb_help, version};
pub use verbs::{GLOBAL, VERBS};

use lexopt::Arg;

use crate::error::{Error, Result};

/// One flag.
#[derive(Debug)]
pub struct Flag {
    /// Without the dashes.
    pub long: &'static str,
    /// One letter, if it has one.
    pub short: Option<char>,
    /// What its value is called in the help; `None` if it takes none.
    pub value: Option<&'static str>,
    /// One line.
    pub help: &'static str,
}

/// One verb.
#[derive(Debug)]
pub struct Verb {
    /// As typed.
    pub name: &'static str,
    /// Its operands in the help.
    pub operands: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Further paragraphs of its own help.
    pub details: &'static str,
    /// Its flags, beside [`GLOBAL`].
    pub flags: &'static [Flag],
    /// How many operands it takes, at least and at most.
    pub count: (usize, usize),
    /// Everything behind the first operand is another command's: flags too.
    pub command_follows: bool,
    /// Not in the overview: for our own processes.
    pub hidden: bool,
}

/// A command line that makes sense.
#[derive(Debug)]
pub struct Parsed {
    /// What to do; `None` for `quark --help` and `quark --version` alone.
    pub verb: Option<&'static Verb>,
    flags: Vec<(&'static str, String)>,
    /// What it's done to.
    pub operands: Vec<String>,
}

impl Parsed {
    /// Whether a flag without a value is set.
    pub fn has(&self, flag: &str) -> bool {
        self.value(flag).is_some_and(|value| value != "false")
    }

    /// The last value of a flag.
    pub fn value(&self, flag: &str) -> Option<&str> {
        self.values(flag).pop()
    }

    /// All values of a flag that may be repeated.
    pub fn values(&self, flag: &str) -> Vec<&str> {
        self.flags.iter().filter(|(name, _)| *name == flag).map(|(_, value)| value.as_str()).collect()
    }

    /// A value that is a whole number.
    pub fn number<N: std::str::FromStr>(&self, flag: &str) -> Result<Option<N>> {
        let Some(value) = self.value(flag) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::usage(format!("--{flag} must be a whole number, not \"{value}\""))),
        }
    }

    /// Operand `index`. The parser has counted them, so that it is empty only for optional ones.
    pub fn operand(&self, index: usize) -> &str {
        self.operands.get(index).map_or("", String::as_str)
    }
}

/// Reads a command line, without the program's name.
pub fn parse<I>(arguments: I) -> Result<Parsed>
where
    I: IntoIterator,
    I::Item: Into<std::ffi::OsString>,
{
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut parsed = Parsed { verb: None, flags: Vec::new(), operands: Vec::new() };
    while let Some(argument) = parser.next().map_err(Error::usage)? {
        match argument {
            Arg::Value(value) => {
                let value = value.into_string().map_err(|value| Error::usage(format!("{value:?} is not UTF-8")))?;
                operand(&mut parsed, value)?;
                if parsed.verb.is_some_and(|verb| verb.command_follows) && !parsed.operands.is_empty() {
                    rest(&mut parsed, &mut parser)?;
                }
            }
            Arg::Long(name) => {
                let flag = find(parsed.verb, |flag| flag.long == name).ok_or_else(|| unknown(parsed.verb, &format!("--{name}")))?;
                set(&mut parsed, flag, &mut parser)?;
            }
            Arg::Short(letter) => {
                let flag =
                    find(parsed.verb, |flag| flag.short == Some(letter)).ok_or_else(|| unknown(parsed.verb, &format!("-{letter}")))?;
                set(&mut parsed, flag, &mut parser)?;
            }
        }
    }
    check(&parsed)?;
    Ok(parsed)
}

fn operand(parsed: &mut Parsed, value: String) -> Result<()> {
    if parsed.verb.is_some() {
        parsed.operands.push(value);
        return Ok(());
    }
    let verb = VERBS.iter().find(|verb| verb.name == value);
    parsed.verb = Some(verb.ok_or_else(|| Error::usage(format!("There is no command \"{value}\"")))?);
    Ok(())
}

fn rest(parsed: &mut Parsed, parser: &mut lexopt::Parser) -> Result<()> {
    for value in parser.raw_args().map_err(Error::usage)? {
        parsed.operands.push(value.into_string().map_err(|value| Error::usage(format!("{value:?} is not UTF-8")))?);
    }
    if parsed.operands.get(1).is_some_and(|operand| operand == "--") {
        parsed.operands.remove(1);
    }
    Ok(())
}

fn set(parsed: &mut Parsed, flag: &'static Flag, parser: &mut lexopt::Parser) -> Result<()> {
    let value = match flag.value {
        Some(_) => parser.value().map_err(Error::usage)?,
        None => parser.optional_value().unwrap_or_else(|| "true".into()),
    };
    let value = value.into_string().map_err(|value| Error::usage(format!("{value:?} is not UTF-8")))?;
    if flag.value.is_none() && value != "true" && value != "false" {
        return Err(Error::usage(format!("--{} takes no value, or true or false, not \"{value}\"", flag.long)));
    }
    parsed.flags.push((flag.long, value));
    Ok(())
}

fn find(verb: Option<&'static Verb>, is: impl Fn(&Flag) -> bool) -> Option<&'static Flag> {
    let own = verb.map_or(&[][..], |verb| verb.flags);
    own.iter().chain(GLOBAL).find(|flag| is(flag))
}

fn unknown(verb: Option<&Verb>, flag: &str) -> Error {
    match verb {
        Some(verb) => Error::new(format!("{flag} is no flag of `quark {}`; see `quark {} --help`", verb.name, verb.name)),
        None => Error::usage(format!("{flag} is no flag that can stand before the command")),
    }
}

fn check(parsed: &Parsed) -> Result<()> {
    let Some(verb) = parsed.verb else {
        return Ok(());
    };
    let (least, most) = verb.count;
    if parsed.has("help") || (least..=most).contains(&parsed.operands.len()) {
        return Ok(());
    }
    let wrong = if parsed.operands.len() < least { "Too few" } else { "Too many" };
    Err(Error::new(format!("{wrong} operands: usage is `quark {} [flags] {}`", verb.name, verb.operands)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Parsed> {
        parse(line.split_whitespace())
    }

    #[test]
    fn command_lines_of_the_containerd_shim_are_understood() {
        let create = words(
            "--root /run/r --log /b/log.json --log-format json --systemd-cgroup create --bundle /b --pid-file /b/init.pid \
             --console-socket /tmp/s --no-pivot --no-new-keyring --preserve-fds 2 name",
        )
        .expect("create");
        assert_eq!(create.verb.map(|verb| verb.name), Some("create"));
        assert_eq!(create.value("root"), Some("/run/r"));
        assert_eq!(create.value("bundle"), Some("/b"));
        assert_eq!(create.number::<u32>("preserve-fds").expect("number"), Some(2));
        assert!(create.has("systemd-cgroup") && create.has("no-pivot"));
        assert_eq!(create.operands, ["name"]);
        let kill = words("kill --all name 9").expect("kill");
        assert!(kill.has("all"));
        assert_eq!(kill.operands, ["name", "9"]);
        let exec = words("exec --process /p.json --detach --pid-file /f name").expect("exec");
        assert_eq!((exec.value("process"), exec.operands.as_slice()), (Some("/p.json"), &["name".to_owned()][..]));
        assert_eq!(words("events --interval=5s name").expect("events").value("interval"), Some("5s"));
        assert_eq!(words("update --resources=- name").expect("update").value("resources"), Some("-"));
    }

    #[test]
    fn what_follows_an_exec_belongs_to_its_command() {
        let exec = words("exec -t -e A=b -e C=d name ls --help -l").expect("exec");
        assert_eq!(exec.operands, ["name", "ls", "--help", "-l"]);
        assert_eq!(exec.values("env"), ["A=b", "C=d"]);
        assert!(exec.has("tty") && !exec.has("help"));
        assert_eq!(words("exec name -- ls --x").expect("exec").operands, ["name", "ls", "--x"]);
    }

    #[test]
    fn wrong_command_lines_say_what_is_wrong() {
        for (line, message) in [
            ("frobnicate", "There is no command \"frobnicate\""),
            ("--frob state x", "--frob is no flag that can stand before the command"),
            ("state --frob x", "--frob is no flag of `quark state`"),
            ("state", "Too few operands: usage is `quark state [flags] ID`"),
            ("state a b", "Too many operands"),
            ("create --bundle", "missing argument for option '--bundle'"),
            ("kill --all=maybe x", "--all takes no value, or true or false, not \"maybe\""),
        ] {
            let error = words(line).expect_err(line).to_string();
            assert!(error.contains(message), "{line}: {error}");
        }
        let error = words("create --preserve-fds x y").expect("parse").number::<u32>("preserve-fds").expect_err("number");
        assert!(error.to_string().contains("--preserve-fds must be a whole number, not \"x\""));
        assert!(!words("kill --all=false x").expect("parse").has("all"));
    }

    #[test]
    fn every_flag_is_told_apart() {
        for verb in VERBS {
            let mut longs: Vec<&str> = verb.flags.iter().chain(GLOBAL).map(|flag| flag.long).collect();
            let mut shorts: Vec<char> = verb.flags.iter().chain(GLOBAL).filter_map(|flag| flag.short).collect();
            let counts = (longs.len(), shorts.len());
            longs.sort_unstable();
            longs.dedup();
            shorts.sort_unstable();
            shorts.dedup();
            assert_eq!((longs.len(), shorts.len()), counts, "{}", verb.name);
        }
    }
}
