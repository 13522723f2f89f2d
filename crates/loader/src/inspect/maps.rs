//! The maps that are there.

use std::os::fd::{AsFd as _, OwnedFd};

use aya_obj::generated::bpf_map_info;

use super::{
    all,
    holders::{Held, Holders},
    info, kinds, memory, name,
};
use crate::{bpf::sys, error::Result, records::Map};

/// All maps, by their ids.
///
/// # Errors
/// [`crate::error::Error`]: `Privilege`, `Os`.
pub fn maps() -> Result<Vec<Map>> {
    let (maps, holders) = all(sys::MAPS, "maps")?;
    maps.iter().map(|fd| map(fd, &holders)).collect()
}

fn map(fd: &OwnedFd, holders: &Holders) -> Result<Map> {
    let mut about = sys::blank::<bpf_map_info>();
    info(fd, &mut about)?;
    Ok(Map {
        id: about.id,
        kind: kinds::map(about.type_),
        name: name(&about.name),
        key_bytes: about.key_size,
        value_bytes: about.value_size,
        max_entries: about.max_entries,
        flags: about.map_flags,
        memory_bytes: memory(fd.as_fd()),
        holders: holders.of(Held::Map, about.id),
    })
}
