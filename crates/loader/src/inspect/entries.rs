//! What is in a map.

use crate::{
    bpf::{map::TypedMap, sys},
    error::{Error, Result},
    privilege::{self, CAP_SYS_ADMIN},
    records::MapEntry,
};

/// All entries of a map, by its id; with the values of each CPU where that is asked for.
///
/// # Errors
/// [`Error::InvalidArgument`] where there is no such map, [`Error::NotSupported`] for one that cannot be read,
/// [`Error::Privilege`], [`Error::Os`].
pub fn entries(id: u32, per_cpu: bool) -> Result<Vec<MapEntry>> {
    privilege::require("reading a map by its id", &[CAP_SYS_ADMIN])?;
    let fd = sys::open(sys::MAPS, id).map_err(Error::os(format!("open map {id}")))?;
    let fd =
        fd.ok_or_else(|| Error::InvalidArgument(format!("there is no map {id}; ebpflab maps lists those there are")))?;
    let map = TypedMap::new(fd, id.to_string(), None)?;
    let apart = per_cpu && map.is_per_cpu();
    let entries = map.entries()?.into_iter().map(|entry| MapEntry {
        value: entry.value(),
        key: entry.key,
        values: apart.then_some(entry.values),
    });
    Ok(entries.collect())
}
