//! What stays when whoever made it is gone: files on a bpffs that hold maps, programs and links.

use std::{fs, io, path::Path};

use aya::{
    maps::MapInfo,
    programs::{Program, ProgramInfo, links::FdLink},
};
use nix::sys::statfs::{FsType, statfs};

use super::{Object, Opener};
use crate::error::{Error, Result, with_causes};

/// Where the kernel's file system for them is mounted.
pub(crate) const BPFFS: &str = "/sys/fs/bpf";
/// The file of the link. (Those of maps and programs are named like these.)
const LINK: &str = "link";

/// Checks that there is such a file system.
///
/// # Errors
/// [`Error::NotSupported`] where it is not mounted.
pub(crate) fn check_mounted() -> Result<()> {
    if is_bpffs(Path::new(BPFFS)) {
        return Ok(());
    }
    Err(Error::NotSupported {
        feature: "pinning".to_owned(),
        needs: format!("mount -t bpf bpf {BPFFS}"),
        reason: format!("no bpffs is mounted on {BPFFS}"),
    })
}

fn is_bpffs(folder: &Path) -> bool {
    /// `BPF_FS_MAGIC`, include/uapi/linux/magic.h
    const BPF_FS_MAGIC: FsType = FsType(0xcafe_4a11);
    statfs(folder).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

/// Checks that the folder of a file is on such a file system, wherever it is mounted.
///
/// # Errors
/// [`Error::InvalidArgument`].
pub(crate) fn check_place(path: &Path) -> Result<()> {
    if path.parent().is_some_and(is_bpffs) {
        return Ok(());
    }
    let path = path.display();
    Err(Error::InvalidArgument(format!(
        "nothing can be pinned at {path}: its folder is not there, or on no bpffs (mount -t bpf bpf {BPFFS})"
    )))
}

/// Why something could not be pinned.
pub(crate) fn refused(path: &Path, error: &(dyn std::error::Error + 'static)) -> Error {
    Error::os(format!("pin {}", path.display()))(io::Error::other(with_causes(error)))
}

impl Opener<'_> {
    /// Has each map pinned in a folder: made there, or taken from there if it has been.
    ///
    /// # Errors
    /// [`Error::Object`] for a file that is none.
    pub(crate) fn pins(self, folder: &Path) -> Result<Self> {
        let names = map_names(&self.bytes)?;
        Ok(names.iter().fold(self, |opener, name| opener.pin(name, &folder.join(name))))
    }
}

/// Names of maps, but for those that hold globals.
fn map_names(elf: &[u8]) -> Result<Vec<String>> {
    let object = super::parse(elf)?;
    Ok(object.maps.into_keys().filter(|name| !name.starts_with('.')).collect())
}

/// Takes the maps of an object from where they were pinned. It has no programs that are loaded.
///
/// # Errors
/// [`Error::Os`] names one that is not there.
pub(crate) fn open(elf: &[u8], folder: &Path) -> Result<Object> {
    let names = map_names(elf)?;
    let mut opener = Opener::new(elf);
    for name in &names {
        opener = opener.max_entries(name, max_entries(&folder.join(name))?);
    }
    opener.pins(folder)?.open()
}

/// How many entries a map that is pinned holds.
///
/// # Errors
/// [`Error::Os`] if it is not there.
pub(crate) fn max_entries(path: &Path) -> Result<u32> {
    MapInfo::from_pin(path).map(|info| info.max_entries()).map_err(|error| not_there(path, &error))
}

/// The kernel's id of a program that is pinned.
///
/// # Errors
/// [`Error::Os`] if it is not there.
pub(crate) fn program_id(path: &Path) -> Result<u32> {
    ProgramInfo::from_pin(path).map(|info| info.id()).map_err(|error| not_there(path, &error))
}

fn not_there(path: &Path, error: &(dyn std::error::Error + 'static)) -> Error {
    Error::os(format!("look for {}", path.display()))(io::Error::other(with_causes(error)))
}

/// Removes the files in a folder, the link first, which detaches; and the folder. What is not there is no error.
///
/// # Errors
/// [`Error::Os`] where the file system refuses it.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    let present = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let files = || -> io::Result<()> {
        present(fs::remove_file(folder.join(LINK)))?;
        for file in fs::read_dir(folder)? {
            present(fs::remove_file(file?.path()))?;
        }
        fs::remove_dir(folder)
    };
    present(files()).map_err(Error::os(format!("remove {}", folder.display())))
}

impl Object {
    /// Pins all programs that are loaded, and the link of the one that is attached to XDP: from now on they are not this
    /// object's alone.
    ///
    /// # Errors
    /// [`Error::Os`] where the file system refuses it.
    pub(crate) fn pin(&mut self, folder: &Path) -> Result<()> {
        for (name, program) in self.ebpf.programs_mut() {
            let Program::Xdp(program) = program else { continue };
            let path = folder.join(name);
            program.pin(&path).map_err(|error| refused(&path, &error))?;
            let Some(id) = self.xdp_link.take_if(|(attached, _)| attached == name).map(|(_, id)| id) else { continue };
            let path = folder.join(LINK);
            let link = program.take_link(id).map_err(|error| refused(&path, &error))?;
            let link = FdLink::try_from(link).map_err(|error| refused(&path, &error))?;
            link.pin(&path).map_err(|error| refused(&path, &error))?;
        }
        Ok(())
    }
}
