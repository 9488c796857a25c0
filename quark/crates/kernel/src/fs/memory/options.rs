//! The options of a tmpfs (`man 5 tmpfs`).

use crate::{Errno, Result};

/// What a tmpfs is made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TmpfsOptions {
    /// The most bytes, if that is said; `u64::MAX` is no limit.
    pub size: Option<u64>,
    /// The most bytes if it isn't.
    pub usual_size: Option<u64>,
    /// The most inodes, if limited.
    pub inodes: Option<u64>,
    /// The root's permissions, if they are said.
    pub mode: Option<u32>,
    /// The root's owner.
    pub owner: (u32, u32),
}

/// The root's permissions where nothing is said.
const MODE: u32 = 0o1777;

impl TmpfsOptions {
    /// `size=`, `nr_blocks=`, `nr_inodes=`, `mode=`, `uid=`, `gid=`: EINVAL for others.
    pub fn parse(data: &[u8]) -> Result<TmpfsOptions> {
        let text = std::str::from_utf8(data).map_err(|_| Errno::INVAL)?;
        let mut options = TmpfsOptions::default();
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let number = |radix| u32::from_str_radix(value, radix).map_err(|_| Errno::INVAL);
            match name {
                "size" => options.size = some(sized(value)?).or(Some(u64::MAX)),
                "nr_blocks" => options.size = some(sized(value)?.saturating_mul(4096)).or(Some(u64::MAX)),
                "nr_inodes" => options.inodes = some(sized(value)?),
                "mode" => options.mode = Some(number(8)? & 0o7777),
                "uid" => options.owner.0 = number(10)?,
                "gid" => options.owner.1 = number(10)?,
                "noswap" | "inode64" | "inode32" | "huge" | "mpol" => {}
                _ => return Err(Errno::INVAL),
            }
        }
        Ok(options)
    }

    /// With half of `memory` for one that says nothing of its size, as Linux has it.
    pub fn within(self, memory: u64) -> TmpfsOptions {
        TmpfsOptions { usual_size: Some(memory / 2), ..self }
    }

    /// The most bytes.
    pub fn most_bytes(&self) -> u64 {
        self.size.or(self.usual_size).unwrap_or(u64::MAX)
    }

    /// The root's permissions.
    pub fn root_mode(&self) -> u32 {
        self.mode.unwrap_or(MODE)
    }

    /// As `/proc/mounts` tells them, each behind a comma.
    pub fn told(&self) -> String {
        let mut text = String::new();
        if let Some(size) = self.size.filter(|size| *size < u64::MAX) {
            text += &format!(",size={}k", size.div_ceil(1024));
        }
        if let Some(inodes) = self.inodes {
            text += &format!(",nr_inodes={inodes}");
        }
        if self.root_mode() != MODE {
            text += &format!(",mode={:o}", self.root_mode());
        }
        for (name, id) in [("uid", self.owner.0), ("gid", self.owner.1)] {
            if id != 0 {
                text += &format!(",{name}={id}");
            }
        }
        text
    }
}

/// 0 is no limit.
fn some(limit: u64) -> Option<u64> {
    (limit > 0).then_some(limit)
}

/// A number with `k`, `m`, `g`, or `%` of the memory.
fn sized(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let number: u64 = digits.parse().map_err(|_| Errno::INVAL)?;
    let shift = match text.get(digits.len()..).unwrap_or_default() {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "%" => {
            let host = rustix::system::sysinfo();
            let total = (host.totalram as u64).saturating_mul(u64::from(host.mem_unit.max(1)));
            return Ok(total / 100 * number.min(100));
        }
        _ => return Err(Errno::INVAL),
    };
    number.checked_mul(1 << shift).ok_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_told() {
        let options = TmpfsOptions::parse(b"size=64k,mode=700,uid=5,nr_inodes=1m").unwrap();
        let wanted = TmpfsOptions { size: Some(65536), mode: Some(0o700), owner: (5, 0), inodes: Some(1 << 20), usual_size: None };
        assert_eq!(options, wanted);
        assert_eq!(options.told(), ",size=64k,nr_inodes=1048576,mode=700,uid=5");
        let unlimited = TmpfsOptions::parse(b"size=0,gid=6").unwrap().within(8192);
        assert_eq!((unlimited.told().as_str(), unlimited.most_bytes()), (",gid=6", u64::MAX));
        let usual = TmpfsOptions::parse(b"").unwrap().within(8192);
        assert_eq!((usual.told().as_str(), usual.most_bytes()), ("", 4096));
        for wrong in ["size=x", "size=1t", "nonsense", "mode=9", "uid=-1"] {
            assert_eq!(TmpfsOptions::parse(wrong.as_bytes()), Err(Errno::INVAL), "{wrong}");
        }
    }
}
