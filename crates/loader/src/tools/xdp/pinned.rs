//! XDP programs that stay when this process ends, with their rules and counts: each is in a folder of its own on a bpffs,
//! and goes when that is removed.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Firewall, Options, PROGRAM, Plan, STAGES, attach_program, counts, mode_of, needs};
use crate::{
    bpf::pin,
    error::{Error, Result},
    interface, objects, privilege,
    records::PinnedXdp,
};

/// An interface, by its number in a network namespace: names have characters that no file on a bpffs may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    namespace: u64,
    index: u32,
}

impl Place {
    /// Of an interface of this thread's namespace.
    fn here(index: u32) -> Result<Self> {
        Ok(Self { namespace: own_namespace()?, index })
    }

    fn of(folder: &OsStr) -> Option<Self> {
        let (namespace, index) = folder.to_str()?.strip_prefix("xdp-")?.split_once('-')?;
        Some(Self { namespace: namespace.parse().ok()?, index: index.parse().ok()? })
    }

    fn folder(self) -> PathBuf {
        root().join(format!("xdp-{}-{}", self.namespace, self.index))
    }
}

fn root() -> PathBuf {
    Path::new(pin::BPFFS).join("ebpflab")
}

fn own_namespace() -> Result<u64> {
    const PATH: &str = "/proc/thread-self/ns/net";
    fs::metadata(PATH).map(|file| file.ino()).map_err(Error::os(format!("look at {PATH}")))
}

/// All that are pinned, in all network namespaces; none where there is no bpffs.
fn places() -> Result<Vec<Place>> {
    let folders = match fs::read_dir(root()) {
        Ok(folders) => folders,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::os(format!("read {}", root().display()))(error)),
    };
    let mut places: Vec<_> = folders.flatten().filter_map(|folder| Place::of(&folder.file_name())).collect();
    places.sort();
    Ok(places)
}

/// Attaches to an interface, and leaves it there: programs, link and maps stay until they are unpinned.
///
/// # Errors
/// What [`super::attach`] gives; [`Error::NotSupported`] where no bpffs is mounted, [`Error::Attach`] where one is pinned
/// on the interface already, [`Error::InvalidArgument`] for options that need a process.
pub fn pin(iface: &OsStr, mode: &str, options: &Options) -> Result<PinnedXdp> {
    if options.capture.is_some() || options.top.is_some() {
        let reason = "what is pinned has rules and counts by protocol; packet files and busiest sources need a process";
        return Err(Error::InvalidArgument(reason.to_owned()));
    }
    let (asked, flags) = mode_of(mode)?;
    let plan = Plan::new(options)?;
    let index = interface::index_of(iface)?;
    needs().check_privileges()?;
    pin::check_mounted()?;
    let place = Place::here(index)?;
    let folder = place.folder();
    make(&folder, &iface.to_string_lossy())?;
    let pinned = plan.open(Some(&folder)).and_then(|(mut object, _)| {
        attach_program(&mut object, &iface.to_string_lossy(), index, asked, flags)?;
        object.pin(&folder)?;
        object.set_word("ENABLED", 1)?;
        read(place)
    });
    pinned.inspect_err(|_| {
        // The first error is the one to tell.
        let _ = remove(&folder);
    })
}

fn make(folder: &Path, iface: &str) -> Result<()> {
    fs::create_dir_all(root()).map_err(Error::os(format!("make {}", root().display())))?;
    fs::create_dir(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Attach {
            target: format!("interface {iface}"),
            reason: format!("an XDP program is pinned on it already, in {}; --unpin removes it", folder.display()),
        },
        _ => Error::os(format!("make {}", folder.display()))(error),
    })
}

/// What is pinned: on an interface of this network namespace, or everywhere.
///
/// # Errors
/// [`Error::Attach`] where there is no such interface, [`Error::Privilege`], [`Error::Os`].
pub fn pinned(iface: Option<&OsStr>) -> Result<Vec<PinnedXdp>> {
    privilege::require("reading what is pinned", privilege::NETWORK)?;
    wanted(iface)?.into_iter().map(read).collect()
}

/// Takes away what is pinned, and returns what it had counted.
///
/// # Errors
/// As [`pinned`]. What cannot be read is taken away all the same.
pub fn unpin(iface: Option<&OsStr>) -> Result<Vec<PinnedXdp>> {
    privilege::require("removing what is pinned", privilege::NETWORK)?;
    let take = |place: Place| {
        let last = read(place);
        remove(&place.folder())?;
        last
    };
    // All of them, before the first error is told.
    let taken: Vec<_> = wanted(iface)?.into_iter().map(take).collect();
    taken.into_iter().collect()
}

fn wanted(iface: Option<&OsStr>) -> Result<Vec<Place>> {
    let wanted = iface.map(|iface| interface::index_of(iface).and_then(Place::here)).transpose()?;
    Ok(places()?.into_iter().filter(|place| wanted.is_none_or(|wanted| wanted == *place)).collect())
}

fn remove(folder: &Path) -> Result<()> {
    pin::remove(folder)?;
    // The last one to go takes the folder above with it.
    let _ = fs::remove_dir(root());
    Ok(())
}

fn read(place: Place) -> Result<PinnedXdp> {
    let folder = place.folder();
    let program = pin::program_id(&folder.join(PROGRAM))?;
    let object = pin::open(objects::XDP, &folder)?;
    let has_rules = pin::max_entries(&folder.join("RULE_COUNTS"))? > 1;
    let firewall = has_rules.then(|| Firewall::of_object(&object)?.read(&object)).transpose()?;
    let is_here = own_namespace()? == place.namespace;
    let attached = is_here.then(|| interface::attached_xdp(place.index).ok()).flatten().flatten();
    Ok(PinnedXdp {
        iface: is_here.then(|| interface::name_of(place.index)).flatten(),
        folder: folder.display().to_string(),
        program,
        mode: attached.filter(|xdp| xdp.program == Some(program)).map(|xdp| xdp.mode),
        counts: counts(&object)?,
        firewall,
    })
}

/// What is pinned, for those who look at programs: the ids of these, and the name of the interface where it is known.
pub(crate) fn programs() -> Vec<(BTreeSet<u32>, Option<String>)> {
    let names = || [PROGRAM].into_iter().chain(STAGES.map(|(_, name)| name));
    let own = own_namespace().ok();
    let of = |place: Place| {
        let ids = names().filter_map(|name| pin::program_id(&place.folder().join(name)).ok()).collect();
        let is_here = own == Some(place.namespace);
        (ids, is_here.then(|| interface::name_of(place.index)).flatten())
    };
    places().unwrap_or_default().into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_in_the_name_of_its_folder() {
        let place = Place { namespace: 4_026_531_840, index: 3 };
        assert_eq!(place.folder(), Path::new("/sys/fs/bpf/ebpflab/xdp-4026531840-3"));
        assert_eq!(Place::of(place.folder().file_name().expect("a name")), Some(place));
        for other in ["xdp", "xdp-1", "xdp-1-x", "tc-1-2", "xdp-1-2-3"] {
            assert_eq!(Place::of(OsStr::new(other)), None, "{other}");
        }
    }
}
