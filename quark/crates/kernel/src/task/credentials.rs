//! Who a thread is, and how that changes (`man 7 credentials`, `man 7 capabilities`).

use std::sync::Arc;

/// Who a thread is, in its container. Capability sets are bit masks of `CAP_*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Credentials {
    pub uid: u32,
    pub euid: u32,
    pub suid: u32,
    pub fsuid: u32,
    pub gid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub fsgid: u32,
    pub groups: Arc<[u32]>,
    pub permitted: u64,
    pub effective: u64,
    pub inheritable: u64,
    pub bounding: u64,
    pub ambient: u64,
    pub secure_bits: u32,
    pub no_new_privileges: bool,
}

impl Credentials {
    /// Whether a capability (`CAP_*`, its number) is effective.
    pub fn capable(&self, capability: u32) -> bool {
        capability < 64 && self.effective >> capability & 1 == 1
    }
}
