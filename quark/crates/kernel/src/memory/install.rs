//! What execve does with a fresh [`Memory`].

use quark_host::platform::Context;

use super::area::Area;
use super::host::{map_call, text_source};
use super::map::Map;
use super::{Image, Memory};
use crate::Result;
use crate::file::MapSource;
use crate::task::lock;

impl Memory {
    /// Looks at the map.
    pub(crate) fn with_map<T>(&self, look: impl FnOnce(&Map) -> T) -> T {
        look(&lock(&self.state).map)
    }

    /// Maps areas, in order, in one go. `places`: where the heap starts, and where the search for free addresses begins.
    pub(crate) fn install(&self, context: &mut Context, areas: Vec<Area>, places: (u64, u64), image: Image) -> Result<()> {
        let mut state = lock(&self.state);
        let texts: Vec<Option<MapSource>> = areas.iter().map(text_source).collect();
        let calls: Vec<_> = areas.iter().zip(&texts).map(|(area, text)| map_call(area, text.as_ref(), false)).collect();
        context.call(&calls)?;
        for area in areas {
            state.map.insert(area);
        }
        state.heap = (places.0, places.0);
        state.base = places.1;
        state.image = image.into();
        Ok(())
    }
}
