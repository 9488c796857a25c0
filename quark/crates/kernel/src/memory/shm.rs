//! System V shared memory (`man 2 shmget`).

use std::sync::Arc;

use super::area::Object;

/// One attachment of a segment to a process' memory; the segment counts those.
pub struct Attachment {}

impl Attachment {
    pub(super) fn label(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Makes a child's own attachments out of its parent's.
#[derive(Default)]
pub(super) struct Reattached {}

impl Reattached {
    pub(super) fn forked(&mut self, object: &Arc<Object>) -> Arc<Object> {
        object.clone()
    }
}
