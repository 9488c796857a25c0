//! The limits of IPC that a pod's sysctls set (`man 5 proc_sys_kernel`, `man 7 mq_overview`). They are the pod's, as the objects are.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

static LIMITS: RwLock<Limits> = RwLock::new(Limits::DEFAULT);

/// As Linux has them by default, where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// MSGMAX: bytes of a message.
    pub message_bytes: u64,
    /// MSGMNB: bytes of a queue, unless it is allowed more.
    pub queue_bytes: u64,
    /// MSGMNI: queues.
    pub queues: u64,
    /// SEMMSL: semaphores a set.
    pub semaphores_per_set: u64,
    /// SEMMNS: semaphores of all sets. Linux allows a thousand times more, which nobody has memory for.
    pub semaphores: u64,
    /// SEMOPM: operations a call.
    pub semaphore_operations: u64,
    /// SEMMNI: sets.
    pub semaphore_sets: u64,
    /// SHMMAX: bytes of a segment.
    pub segment_bytes: u64,
    /// SHMALL: pages of all segments.
    pub segment_pages: u64,
    /// SHMMNI: segments.
    pub segments: u64,
    /// `kernel.shm_rmid_forced`: a segment ends with its last attachment.
    pub segments_end_unused: u64,
    /// `fs.mqueue.queues_max`: POSIX queues, but for CAP_SYS_RESOURCE.
    pub posix_queues: u64,
    /// `fs.mqueue.msg_max`: messages of one, but for CAP_SYS_RESOURCE.
    pub posix_messages: u64,
    /// `fs.mqueue.msgsize_max`: bytes of a message of one, but for CAP_SYS_RESOURCE.
    pub posix_message_bytes: u64,
    /// `fs.mqueue.msg_default`: messages of a queue for which nothing is asked.
    pub posix_messages_default: u64,
    /// `fs.mqueue.msgsize_default`.
    pub posix_message_bytes_default: u64,
}

impl Limits {
    const DEFAULT: Limits = Limits {
        message_bytes: 8192,
        queue_bytes: 16384,
        queues: 32000,
        semaphores_per_set: 32000,
        semaphores: 1_024_000,
        semaphore_operations: 500,
        semaphore_sets: 32000,
        segment_bytes: u64::MAX - (1 << 24),
        segment_pages: u64::MAX - (1 << 24),
        segments: 4096,
        segments_end_unused: 0,
        posix_queues: 256,
        posix_messages: 10,
        posix_message_bytes: 8192,
        posix_messages_default: 10,
        posix_message_bytes_default: 8192,
    };

    /// Takes over what sysctls say, by path below `/proc/sys`; what is no number says nothing.
    fn configure(&mut self, sysctl: &BTreeMap<String, String>) {
        let numbers = |name: &str| -> Vec<u64> {
            let words = sysctl.get(name).map(|value| value.split_whitespace()).into_iter().flatten();
            words.map_while(|word| word.parse().ok()).collect()
        };
        let set = |name: &str, to: &mut [&mut u64]| {
            for (place, number) in to.iter_mut().zip(numbers(name)) {
                **place = number;
            }
        };
        set("kernel/msgmax", &mut [&mut self.message_bytes]);
        set("kernel/msgmnb", &mut [&mut self.queue_bytes]);
        set("kernel/msgmni", &mut [&mut self.queues]);
        let semaphores =
            &mut [&mut self.semaphores_per_set, &mut self.semaphores, &mut self.semaphore_operations, &mut self.semaphore_sets];
        set("kernel/sem", semaphores);
        set("kernel/shmmax", &mut [&mut self.segment_bytes]);
        set("kernel/shmall", &mut [&mut self.segment_pages]);
        set("kernel/shmmni", &mut [&mut self.segments]);
        set("kernel/shm_rmid_forced", &mut [&mut self.segments_end_unused]);
        set("fs/mqueue/queues_max", &mut [&mut self.posix_queues]);
        set("fs/mqueue/msg_max", &mut [&mut self.posix_messages]);
        set("fs/mqueue/msgsize_max", &mut [&mut self.posix_message_bytes]);
        set("fs/mqueue/msg_default", &mut [&mut self.posix_messages_default]);
        set("fs/mqueue/msgsize_default", &mut [&mut self.posix_message_bytes_default]);
    }
}

/// Those that hold now.
pub fn limits() -> Limits {
    *LIMITS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Changes those that sysctls name. Objects that are there stay as they are.
pub fn configure(sysctl: &BTreeMap<String, String>) {
    LIMITS.write().unwrap_or_else(PoisonError::into_inner).configure(sysctl);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysctls_change_what_they_name() {
        let sysctl = [("kernel/sem", "10 200\t3 4"), ("kernel/shmmax", "4096"), ("kernel/msgmax", "many"), ("net/core/somaxconn", "5")];
        let sysctl = sysctl.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut limits = Limits::DEFAULT;
        limits.configure(&sysctl);
        let wanted = Limits {
            semaphores_per_set: 10,
            semaphores: 200,
            semaphore_operations: 3,
            semaphore_sets: 4,
            segment_bytes: 4096,
            ..Limits::DEFAULT
        };
        assert_eq!(limits, wanted);
    }
}
