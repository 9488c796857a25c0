//! The options of a mount (config.md, "Linux mount options"; `man 8 mount`).

use libc::c_ulong;

/// Of what the owners are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdMap {
    /// Of the mount.
    Mount,
    /// Of those below it too.
    Recursive,
}

/// What a mount's options say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// `MS_*` that hold for it.
    pub flags: u64,
    /// `bind` or `rbind`.
    pub bind: bool,
    /// `rbind`, `rro` and the like: the mounts below too.
    pub recursive: bool,
    /// Read-only for the mounts below too (`rro`).
    pub recursive_read_only: bool,
    /// Copy what is at the destination into the new tmpfs.
    pub copy_up: bool,
    /// `idmap` or `ridmap`: owners of files are shown by id mappings.
    pub id_map: Option<IdMap>,
    /// Options of the file system itself, such as `size=64m`.
    pub data: Vec<String>,
}

/// Name, flag, and whether the flag is set or cleared.
const FLAGS: [(&str, c_ulong, bool); 24] = [
    ("ro", libc::MS_RDONLY, true),
    ("rw", libc::MS_RDONLY, false),
    ("nosuid", libc::MS_NOSUID, true),
    ("suid", libc::MS_NOSUID, false),
    ("nodev", libc::MS_NODEV, true),
    ("dev", libc::MS_NODEV, false),
    ("noexec", libc::MS_NOEXEC, true),
    ("exec", libc::MS_NOEXEC, false),
    ("sync", libc::MS_SYNCHRONOUS, true),
    ("async", libc::MS_SYNCHRONOUS, false),
    ("dirsync", libc::MS_DIRSYNC, true),
    ("mand", libc::MS_MANDLOCK, true),
    ("nomand", libc::MS_MANDLOCK, false),
    ("noatime", libc::MS_NOATIME, true),
    ("atime", libc::MS_NOATIME, false),
    ("nodiratime", libc::MS_NODIRATIME, true),
    ("diratime", libc::MS_NODIRATIME, false),
    ("relatime", libc::MS_RELATIME, true),
    ("norelatime", libc::MS_RELATIME, false),
    ("strictatime", libc::MS_STRICTATIME, true),
    ("nostrictatime", libc::MS_STRICTATIME, false),
    ("nosymfollow", NOSYMFOLLOW, true),
    ("symfollow", NOSYMFOLLOW, false),
    ("silent", libc::MS_SILENT, true),
];

/// `MS_NOSYMFOLLOW` of Linux 5.10.
const NOSYMFOLLOW: c_ulong = 256;

/// How a mount passes others on: between our kernel's guests and the host nothing is passed on, whatever is asked for.
const PROPAGATION: [&str; 8] = ["private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"];

/// Options without meaning here: tmpfs' copy of what is below is done by `tmpcopyup`, the rest is of the host's mount machinery.
const IGNORED: [&str; 8] = ["defaults", "loud", "iversion", "noiversion", "lazytime", "nolazytime", "acl", "noacl"];

/// Reads options; those that it doesn't know are data of the file system.
pub fn parse_options(options: &[String]) -> MountOptions {
    let mut parsed = MountOptions::default();
    for option in options {
        parse_option(&mut parsed, option);
    }
    parsed
}

fn parse_option(parsed: &mut MountOptions, option: &str) {
    match option {
        "bind" => parsed.bind = true,
        "rbind" => (parsed.bind, parsed.recursive) = (true, true),
        "idmap" => parsed.id_map = Some(IdMap::Mount),
        "ridmap" => parsed.id_map = Some(IdMap::Recursive),
        "tmpcopyup" => parsed.copy_up = true,
        "rro" => (parsed.recursive, parsed.recursive_read_only) = (true, true),
        "rrw" => parsed.recursive_read_only = false,
        "" | "remount" => {}
        _ if PROPAGATION.contains(&option) || IGNORED.contains(&option) => {}
        _ => match flag(option).or_else(|| option.strip_prefix('r').and_then(flag)) {
            Some((flag, true)) => parsed.flags |= flag,
            Some((flag, false)) => parsed.flags &= !flag,
            None => parsed.data.push(option.to_owned()),
        },
    }
    if parsed.recursive_read_only {
        parsed.flags |= libc::MS_RDONLY;
    }
}

fn flag(name: &str) -> Option<(u64, bool)> {
    FLAGS.iter().find(|(known, ..)| *known == name).map(|(_, flag, set)| (*flag, *set))
}

/// Every option that is known, for `quark features`; those of the file systems are not among them.
pub fn option_names() -> Vec<String> {
    const OTHERS: [&str; 8] = ["bind", "rbind", "idmap", "ridmap", "rro", "rrw", "tmpcopyup", "remount"];
    // Of all mounts below; the first two are above, and are more than what the rest is.
    let recursive = FLAGS.iter().map(|(name, ..)| format!("r{name}")).filter(|name| !OTHERS.contains(&name.as_str()));
    let known = FLAGS.iter().map(|(name, ..)| *name).chain(OTHERS).chain(PROPAGATION).chain(IGNORED);
    let mut names: Vec<String> = known.map(str::to_owned).chain(recursive).collect();
    names.sort_unstable();
    names
}

/// How mounts that are made later would be passed on, if that is asked for: `shared`, `rslave` and the like.
pub fn propagation(options: &[String]) -> Option<&str> {
    let mut asked = options.iter().map(String::as_str).filter(|option| PROPAGATION.contains(option));
    asked.next_back().filter(|option| option.contains("shared") || option.contains("slave"))
}

/// The first option of a tmpfs that has none of that name (`man 5 tmpfs`).
pub fn unknown_to_tmpfs(data: &[String]) -> Option<&str> {
    const NAMES: [&str; 11] = ["size", "nr_blocks", "nr_inodes", "mode", "uid", "gid", "huge", "mpol", "noswap", "inode32", "inode64"];
    let name = |option: &str| option.split('=').next().unwrap_or_default().to_owned();
    data.iter().map(String::as_str).find(|option| !NAMES.contains(&name(option).as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> MountOptions {
        parse_options(&text.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_become_flags_and_data() {
        let parsed = options("nosuid,noexec,size=64m,mode=755,rprivate,strictatime,exec");
        assert_eq!(parsed.flags, libc::MS_NOSUID | libc::MS_STRICTATIME);
        assert_eq!(parsed.data, ["size=64m", "mode=755"]);
        assert!(!parsed.bind);
        let bind = options("rbind,ro,rslave");
        assert_eq!((bind.bind, bind.recursive, bind.flags, bind.recursive_read_only), (true, true, libc::MS_RDONLY, false));
        assert!(options("rbind,rro").recursive_read_only);
        assert_eq!(options("rbind,rnosuid").flags, libc::MS_NOSUID);
        assert_eq!(options("ro,rw"), MountOptions::default());
    }

    #[test]
    fn what_is_asked_for_in_vain_is_found() {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(propagation(&list("rbind,rprivate")), None);
        assert_eq!(propagation(&list("rslave,private")), None);
        assert_eq!(propagation(&list("private,rshared,ro")), Some("rshared"));
        assert_eq!(unknown_to_tmpfs(&list("size=5,mode=755,huge=never")), None);
        assert_eq!(unknown_to_tmpfs(&list("size=5,sized=6")), Some("sized=6"));
    }
}
