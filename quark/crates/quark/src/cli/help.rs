//! What `--help` and `--version` print.

use std::fmt::Write;

use super::{Flag, GLOBAL, VERBS, Verb};

/// The version of the OCI runtime specification that we follow.
pub const SPEC_VERSION: &str = "1.2.0";

/// Help on everything.
pub fn overview() -> String {
    let mut text = String::from(
        "quark runs containers (OCI bundles), each pod on a kernel of its own: no system call of a program in it reaches the\n\
         host's kernel.\n\n\
         Usage: quark [flags] COMMAND [flags] [operands]\n\n\
         Try it, as root:\n\
         \x20 mkdir -p bundle/rootfs/bin && cp /bin/busybox bundle/rootfs/bin/sh   (a static program)\n\
         \x20 quark spec --bundle bundle                                  writes bundle/config.json; see process.args in it\n\
         \x20 quark run --bundle bundle first\n\n\
         With containerd: runtime_type = \"io.containerd.runc.v2\", and in its options BinaryName = \"/usr/local/bin/quark\".\n\n\
         Commands:\n",
    );
    for verb in VERBS.iter().filter(|verb| !verb.hidden) {
        let _ = writeln!(text, "  {:<10} {}", verb.name, verb.summary);
    }
    text.push_str("\nFlags for all commands:\n");
    flags(&mut text, GLOBAL);
    text.push_str("\n`quark COMMAND --help` explains one command.\n");
    text
}

/// Help on one verb.
pub fn verb_help(verb: &Verb) -> String {
    let mut text = format!("{}.\n\nUsage: quark [flags] {} [flags] {}\n", verb.summary, verb.name, verb.operands);
    if !verb.details.is_empty() {
        let _ = write!(text, "\n{}\n", verb.details);
    }
    if !verb.flags.is_empty() {
        text.push_str("\nFlags:\n");
        flags(&mut text, verb.flags);
    }
    text.push_str("\nFlags for all commands:\n");
    flags(&mut text, GLOBAL);
    text
}

fn flags(text: &mut String, flags: &[Flag]) {
    for flag in flags {
        let short = flag.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
        let value = flag.value.map_or_else(String::new, |value| format!(" {value}"));
        let _ = writeln!(text, "  {short}--{:<28} {}", format!("{}{value}", flag.long), flag.help);
    }
}

/// What `--version` prints, in the three lines that containerd's and Docker's parsers know from runc.
pub fn version() -> String {
    format!("quark version {}\ncommit: unknown\nspec: {SPEC_VERSION}\n", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_command_and_flag() {
        let text = overview();
        for verb in VERBS.iter().filter(|verb| !verb.hidden) {
            assert!(text.contains(verb.summary), "{}", verb.name);
            let own = verb_help(verb);
            assert!(verb.flags.iter().all(|flag| own.contains(flag.help)), "{}", verb.name);
            assert!(own.starts_with(verb.summary));
        }
        assert!(!text.contains("wait-for"));
    }
}
