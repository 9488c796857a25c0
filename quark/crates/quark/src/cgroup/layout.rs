//! Where the host's cgroups are mounted, and where a container's are in them. Pure, but for [`Layout::of_host`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

/// The cgroup file systems that this process sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Version 1 mounts, by controller (`memory`, `cpu`, …, `systemd` for the one that only names).
    pub v1: BTreeMap<String, Hierarchy>,
    /// Version 2's mount.
    pub v2: Option<Hierarchy>,
    /// The controllers of version 2.
    pub v2_controllers: Vec<String>,
}

/// One mounted hierarchy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Where relative paths begin, absolute from the mount: version 1's the cgroup of this process; version 2's the one above it, as runc has it,
    /// for a cgroup of version 2 that has processes passes no controllers on.
    pub own: String,
}

impl Layout {
    /// That of this process.
    pub fn of_host() -> Layout {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let mut layout = Layout::parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        if let Some(v2) = &layout.v2 {
            let controllers = std::fs::read_to_string(v2.mount.join("cgroup.controllers")).unwrap_or_default();
            layout.v2_controllers = controllers.split_whitespace().map(str::to_owned).collect();
        }
        layout
    }

    /// From `/proc/self/mountinfo` and `/proc/self/cgroup` (`man 5 proc`, `man 7 cgroups`).
    fn parse(mountinfo: &str, own: &str) -> Layout {
        let own = own_paths(own);
        let mut layout = Layout::default();
        for line in mountinfo.lines() {
            let Some((fields, kind, options)) = split_mount(line) else {
                continue;
            };
            let mount = PathBuf::from(fields.get(4).copied().unwrap_or_default());
            let root = fields.get(3).copied().unwrap_or("/");
            match kind {
                "cgroup2" if layout.v2.is_none() => {
                    let own = below(root, own.get("").map_or("/", String::as_str));
                    layout.v2 = Some(Hierarchy { mount, own: own.rsplit_once('/').map_or("", |(above, _)| above).to_owned() });
                }
                "cgroup" => {
                    for controller in options.split(',').filter_map(controller_of) {
                        let own = below(root, own.get(controller).map_or("/", String::as_str)).to_owned();
                        layout.v1.entry(controller.to_owned()).or_insert(Hierarchy { mount: mount.clone(), own });
                    }
                }
                _ => {}
            }
        }
        layout
    }
}

/// A cgroup's path from a mount that shows those from `root` on, as a container's does that has the host's namespace. One that it doesn't show is its root.
fn below<'a>(root: &str, own: &'a str) -> &'a str {
    match own.strip_prefix(root.trim_end_matches('/')) {
        Some(rest) if rest.starts_with('/') => rest,
        _ => "/",
    }
}

/// The fields before the dash, the file system's type, and its own options.
fn split_mount(line: &str) -> Option<(Vec<&str>, &str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let kind = after.next()?;
    let options = after.nth(1).unwrap_or_default();
    Some((before.split(' ').collect(), kind, options))
}

/// The controller that an option of a version 1 mount names.
fn controller_of(option: &str) -> Option<&str> {
    const OTHERS: [&str; 9] = ["rw", "ro", "xattr", "release_agent", "clone_children", "noprefix", "all", "none", "cpuset_v2_mode"];
    if let Some(name) = option.strip_prefix("name=") {
        return Some(name);
    }
    let word = option.split('=').next()?;
    (!word.is_empty() && !OTHERS.contains(&word)).then_some(option)
}

/// Own paths by controller; version 2's is under the empty name.
fn own_paths(text: &str) -> BTreeMap<&str, String> {
    let mut paths = BTreeMap::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        for controller in controllers.split(',') {
            paths.insert(controller.strip_prefix("name=").unwrap_or(controller), path.to_owned());
        }
    }
    paths
}

impl Hierarchy {
    /// A container's directory. `path` is `linux.cgroupsPath`: absolute from the mount, or from the cgroup of this process.
    pub fn directory(&self, path: &str) -> PathBuf {
        let inner = if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.own) };
        let mut directory = self.mount.clone();
        directory.extend(Path::new(&inner).components().filter(|part| matches!(part, std::path::Component::Normal(_))));
        directory
    }
}

/// The directory that systemd would give to `SLICE:PREFIX:NAME`: `a-b.slice:p:n` is `/a.slice/a-b.slice/p-n.scope`.
pub fn systemd_path(path: &str) -> Result<String> {
    let mut parts = path.split(':');
    let (Some(slice), Some(prefix), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Error::new(format!("`linux.cgroupsPath` must be SLICE:PREFIX:NAME with --systemd-cgroup, not \"{path}\"")));
    };
    let slice = if slice.is_empty() { "system.slice" } else { slice };
    let unit = match (prefix, name) {
        ("", name) if name.ends_with(".slice") => name.to_owned(),
        ("", name) => format!("{name}.scope"),
        (prefix, name) => format!("{prefix}-{name}.scope"),
    };
    let stem = slice.strip_suffix(".slice").ok_or_else(|| format!("\"{slice}\" must end with .slice"));
    let stem = stem.context(|| format!("use the cgroup \"{path}\""))?;
    let mut directory = String::new();
    if stem != "-" {
        let mut prefix = String::new();
        for word in stem.split('-') {
            if word.is_empty() || word.contains('/') {
                return Err(Error::new(format!("Cannot use the cgroup \"{path}\": \"{slice}\" is no name of a slice")));
            }
            directory.push_str(&format!("/{prefix}{word}.slice"));
            prefix = format!("{prefix}{word}-");
        }
    }
    Ok(format!("{directory}/{unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
25 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,xattr,release_agent=/x,name=systemd
29 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn hybrid_hosts_are_understood() {
        let layout = Layout::parse(HYBRID, "5:cpu,cpuacct:/a\n4:memory:/b/c\n1:name=systemd:/d\n0::/e\n");
        let names: Vec<_> = layout.v1.keys().map(String::as_str).collect();
        assert_eq!(names, ["cpu", "cpuacct", "memory", "systemd"]);
        let memory = layout.v1.get("memory").expect("memory");
        assert_eq!(memory.directory("/pod/x"), Path::new("/sys/fs/cgroup/memory/pod/x"));
        assert_eq!(memory.directory("x"), Path::new("/sys/fs/cgroup/memory/b/c/x"));
        assert_eq!(memory.directory("/../../etc/./x"), Path::new("/sys/fs/cgroup/memory/etc/x"));
        assert_eq!(layout.v2.as_ref().map(|v2| v2.directory("x")), Some("/sys/fs/cgroup/unified/x".into()));
        assert_eq!(layout.v2.map(|v2| v2.directory("/e/x")), Some("/sys/fs/cgroup/unified/e/x".into()));
        assert_eq!(Layout::parse("25 1 0:22 / / rw - ext4 /dev/vda rw\n", ""), Layout::default());
    }

    #[test]
    fn mounts_that_show_a_part_are_understood() {
        let container = "9 1 0:24 /docker/a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let relative = |own: &str| Layout::parse(container, own).v1.get("memory").map(|memory| memory.directory("x"));
        assert_eq!(relative("4:memory:/docker/a\n"), Some("/sys/fs/cgroup/memory/x".into()));
        assert_eq!(relative("4:memory:/docker/a/b\n"), Some("/sys/fs/cgroup/memory/b/x".into()));
        assert_eq!(relative("4:memory:/docker/ab\n"), Some("/sys/fs/cgroup/memory/x".into()));
        let nested = Layout::parse("9 1 0:24 / /c rw - cgroup2 cgroup2 rw\n", "0::/user.slice/session-1.scope\n");
        assert_eq!(nested.v2.map(|v2| v2.directory("x")), Some("/c/user.slice/x".into()));
    }

    #[test]
    fn slices_nest_by_their_dashes() {
        let path = |text| systemd_path(text).ok();
        assert_eq!(
            path("kubepods-besteffort-podx.slice:cri:abc"),
            Some("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podx.slice/cri-abc.scope".into())
        );
        assert_eq!(path(":docker:abc"), Some("/system.slice/docker-abc.scope".into()));
        assert_eq!(path("-.slice::abc"), Some("/abc.scope".into()));
        for wrong in ["/a/b", "a.slice:b", "a:b:c", "a--b.slice:x:y", "a/b.slice:x:y", "a.slice:b:c:d"] {
            assert!(systemd_path(wrong).is_err(), "{wrong}");
        }
    }
}
