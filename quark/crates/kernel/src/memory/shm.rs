//! System V shared memory (`man 2 shmget`).

/// One attachment of a segment to a process' memory; the segment counts those.
pub struct Attachment {}
