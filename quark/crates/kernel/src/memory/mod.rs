//! A guest process' memory: what is mapped where. (The memory owner's; the shapes that others use are here.)

use std::sync::Arc;

use quark_host::platform::AddressSpace;

/// An address space and its map.
pub struct Memory {
    /// The stub process that has it.
    pub space: Arc<AddressSpace>,
}
