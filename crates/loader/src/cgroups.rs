//! Where cgroups are: the hierarchies that are mounted, and the way from a path to a cgroup.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// A hierarchy of cgroups, and where it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) mount: PathBuf,
    /// The cgroup that is on top of the mount, as the mount table names it.
    pub(crate) root: PathBuf,
    /// The controllers of a v1 hierarchy; `None` for that of v2.
    pub(crate) controllers: Option<Vec<String>>,
}

/// A cgroup and those below it, as programs can be told of them.
#[derive(Debug)]
pub(crate) enum Group {
    /// Of v2: its open directory. Those below it are found by the kernel.
    V2(OwnedFd),
    /// Of the v1 hierarchy with a controller, which has a number in the kernel: it and those below it now.
    V1 { controller: u32, ids: Vec<u64> },
}

/// The controllers and the hierarchies that they are in.
const TABLE: &str = "/proc/cgroups";

/// Controllers in the order in which the kernel numbers them (include/linux/cgroup_subsys.h), by their v1 names. Those
/// that a kernel is built without have no number.
const CONTROLLERS: [&str; 16] = [
    "cpuset",
    "cpu",
    "cpuacct",
    "blkio",
    "memory",
    "devices",
    "freezer",
    "net_cls",
    "perf_event",
    "net_prio",
    "hugetlb",
    "pids",
    "rdma",
    "misc",
    "dmem",
    "debug",
];

/// The hierarchies that are mounted.
///
/// # Errors
/// [`Error::Os`] where procfs is not to be read.
pub(crate) fn hierarchies() -> Result<Vec<Hierarchy>> {
    const PATH: &str = "/proc/self/mountinfo";
    let mounts = fs::read(PATH).map_err(Error::os(format!("read {PATH}")))?;
    Ok(mounts.split(|byte| *byte == b'\n').filter_map(hierarchy).collect())
}

/// The hierarchy in a line of mountinfo, if it is one (proc_pid_mountinfo(5)).
fn hierarchy(line: &[u8]) -> Option<Hierarchy> {
    let fields: Vec<_> = line.split(|byte| *byte == b' ').collect();
    let dash = fields.iter().position(|field| *field == b"-")?;
    let controllers = match *fields.get(dash + 1)? {
        b"cgroup2" => None,
        b"cgroup" => {
            let options = String::from_utf8_lossy(fields.get(dash + 3)?).into_owned();
            Some(options.split(',').filter(|option| CONTROLLERS.contains(option)).map(str::to_owned).collect())
        }
        _ => return None,
    };
    Some(Hierarchy { root: unescaped(fields.get(3)?), mount: unescaped(fields.get(4)?), controllers })
}

/// A path of a mount table, where blanks and the like are octal numbers after a backslash (mangle_path, fs/seq_file.c).
fn unescaped(mut field: &[u8]) -> PathBuf {
    let mut path = Vec::new();
    while let [first, rest @ ..] = field {
        let code = || u8::from_str_radix(str::from_utf8(rest.get(..3)?).ok()?, 8).ok();
        match if *first == b'\\' { code() } else { None } {
            Some(byte) => {
                path.push(byte);
                field = &rest[3..];
            }
            None => {
                path.push(*first);
                field = rest;
            }
        }
    }
    OsString::from_vec(path).into()
}

/// The number of a controller on this kernel; `None` if it has none.
///
/// # Errors
/// [`Error::Os`] where procfs is not to be read.
pub(crate) fn controller_number(name: &str, hierarchies: &[Hierarchy]) -> Result<Option<u32>> {
    let v1 = fs::read_to_string(TABLE).map_err(Error::os(format!("read {TABLE}")))?;
    let v2 = hierarchies.iter().find(|hierarchy| hierarchy.controllers.is_none());
    let v2 = v2.and_then(|v2| fs::read_to_string(v2.mount.join("cgroup.controllers")).ok()).unwrap_or_default();
    Ok(number(name, &v1, &v2))
}

/// The id of the v1 hierarchy that a controller is in, as /proc/cgroups has it; `None` if it is in none.
///
/// # Errors
/// [`Error::Os`] where procfs is not to be read.
pub(crate) fn hierarchy_id(controller: &str) -> Result<Option<u32>> {
    let lines = fs::read_to_string(TABLE).map_err(Error::os(format!("read {TABLE}")))?;
    let fields = lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = fields.into_iter().find(|fields| fields.first() == Some(&controller));
    Ok(line.and_then(|fields| fields.get(1)?.parse().ok()).filter(|id| *id != 0))
}

/// From 6.15 on /proc/cgroups leaves out controllers that only v2 has: the v2 hierarchy tells of those.
fn number(name: &str, v1: &str, v2: &str) -> Option<u32> {
    let v1 = v1.lines().filter_map(|line| line.split_whitespace().next());
    let v2 = v2.split_whitespace().map(|name| if name == "io" { "blkio" } else { name });
    let known: Vec<_> = v1.chain(v2).collect();
    let mut numbered = CONTROLLERS.iter().filter(|controller| known.contains(controller));
    numbered.position(|controller| *controller == name).and_then(|number| u32::try_from(number).ok())
}

/// The cgroup that a path means: a directory below the mount of a hierarchy, or a path that starts at the mount of v2.
///
/// # Errors
/// [`Error::InvalidArgument`] if there is none.
pub(crate) fn find(path: &Path) -> Result<Group> {
    let hierarchies = hierarchies()?;
    let v2 = hierarchies.iter().find(|hierarchy| hierarchy.controllers.is_none());
    let below_v2 = v2.map(|v2| v2.mount.join(path.strip_prefix("/").unwrap_or(path)));
    let given = path.is_absolute().then(|| path.to_owned());
    for candidate in given.iter().chain(&below_v2) {
        if let Some((hierarchy, path)) = place(candidate, &hierarchies) {
            return group(hierarchy, &path, &hierarchies);
        }
    }
    let places: Vec<_> = hierarchies.iter().map(|hierarchy| hierarchy.mount.display().to_string()).collect();
    let places = if places.is_empty() { "and none is mounted".to_owned() } else { format!("in {}", places.join(", ")) };
    Err(Error::InvalidArgument(format!("there is no cgroup {}, {places}", path.display())))
}

/// The hierarchy that a directory is in, and its path without links.
fn place<'a>(path: &Path, hierarchies: &'a [Hierarchy]) -> Option<(&'a Hierarchy, PathBuf)> {
    let path = path.canonicalize().ok().filter(|path| path.is_dir())?;
    let around = hierarchies.iter().filter(|hierarchy| path.starts_with(&hierarchy.mount));
    around.max_by_key(|hierarchy| hierarchy.mount.as_os_str().len()).map(|hierarchy| (hierarchy, path))
}

/// The cgroup at a place.
pub(crate) fn group(hierarchy: &Hierarchy, path: &Path, hierarchies: &[Hierarchy]) -> Result<Group> {
    let Some(controllers) = &hierarchy.controllers else {
        let directory = File::open(path).map_err(Error::os(format!("open {}", path.display())))?;
        return Ok(Group::V2(directory.into()));
    };
    let controller = controllers.first().map(|name| controller_number(name, hierarchies)).transpose()?.flatten();
    let controller = controller.ok_or_else(|| {
        let reason = format!(
            "cgroup {} is in a v1 hierarchy without a controller, which programs cannot look into",
            path.display()
        );
        Error::InvalidArgument(reason)
    })?;
    let mut ids = Vec::new();
    each_below(path, &mut |_, id| ids.push(id)).map_err(Error::os(format!("read {}", path.display())))?;
    Ok(Group::V1 { controller, ids })
}

/// Calls with the path and the id of a cgroup and of all below it. The inode number of its directory is its id
/// (kernfs_ino, include/linux/kernfs.h).
///
/// # Errors
/// If the first cannot be read. Others may go away meanwhile.
pub(crate) fn each_below(path: &Path, found: &mut dyn FnMut(&Path, u64)) -> io::Result<()> {
    found(path, fs::metadata(path)?.ino());
    for entry in fs::read_dir(path)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = each_below(&entry.path(), found);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_in_the_mount_table() {
        let found = |line: &str| hierarchy(line.as_bytes());
        let v2 = found("41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw").expect("v2");
        assert_eq!((v2.mount, v2.controllers), ("/sys/fs/cgroup/unified".into(), None));
        let v1 =
            found(r"33 31 0:30 /a\040b\134 /mnt/x\011y rw - cgroup cgroup rw,cpu,cpuacct,clone_children").expect("v1");
        assert_eq!((v1.root, v1.mount), (r"/a b\".into(), "/mnt/x\ty".into()));
        assert_eq!(v1.controllers, Some(vec!["cpu".to_owned(), "cpuacct".to_owned()]));
        let named = found("40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd").expect("v1");
        assert_eq!(named.controllers, Some(vec![]));
        assert_eq!(found("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw"), None);
        assert_eq!(found(""), None);
    }

    #[test]
    fn controllers_are_numbered_in_the_order_of_the_kernel() {
        let v1 = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t3\t1\t1\ncpu\t1\t1\t1\nblkio\t7\t1\t1\nmemory\t4\t12\t1\n";
        assert_eq!(number("cpuset", v1, ""), Some(0));
        assert_eq!(number("memory", v1, "cpuset cpu io memory"), Some(3));
        assert_eq!(number("pids", v1, ""), None);
        // Hidden ones count as well.
        let shown = "cpu\t1\t1\t1\npids\t4\t12\t1\n";
        assert_eq!((number("pids", shown, ""), number("pids", shown, "cpuset cpu io memory pids")), (Some(1), Some(4)));
    }

    #[test]
    fn a_cgroup_that_is_not_there_is_named() {
        let error = find(Path::new("no/such/cgroup")).expect_err("there is none").to_string();
        assert!(error.starts_with("there is no cgroup no/such/cgroup, "), "{error}");
        assert!(find(Path::new("/proc")).is_err(), "a directory, but no cgroup");
    }
}
