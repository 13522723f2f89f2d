//! Which processes hold programs, maps and links by a file descriptor.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::{records::Holder, schema::Text};

/// The field of /proc/PID/fdinfo/FD that has an id (`bpf_prog_show_fdinfo` and so on, kernel/bpf/syscall.c). A link's has
/// the id of its program too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Held {
    Program,
    Map,
    Link,
}

/// Of what is held, which processes hold it.
pub(crate) struct Holders(BTreeMap<(Held, u32), BTreeSet<u32>>);

impl Holders {
    /// Looks at all processes that may be looked at. `cannot` is told of each that may not.
    pub(crate) fn look(mut cannot: impl FnMut(u32, &std::io::Error)) -> std::io::Result<Self> {
        let mut found = BTreeMap::<_, BTreeSet<u32>>::new();
        for process in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let descriptors = match fs::read_dir(process.path().join("fdinfo")) {
                Ok(descriptors) => descriptors,
                Err(error) => {
                    cannot(pid, &error);
                    continue;
                }
            };
            for info in descriptors.flatten() {
                let text = fs::read_to_string(info.path()).unwrap_or_default();
                for held in held(&text) {
                    found.entry(held).or_default().insert(pid);
                }
            }
        }
        Ok(Self(found))
    }

    /// The processes that hold one.
    pub(crate) fn pids(&self, held: Held, id: u32) -> impl Iterator<Item = u32> + '_ {
        self.0.get(&(held, id)).into_iter().flatten().copied()
    }

    /// The same with their names.
    pub(super) fn of(&self, held: Held, id: u32) -> Vec<Holder> {
        let comm = |pid| fs::read(format!("/proc/{pid}/comm")).ok();
        self.pids(held, id)
            .map(|pid| Holder { pid, comm: comm(pid).map(|comm| Text::from(comm.trim_ascii_end().to_vec())) })
            .collect()
    }
}

#[cfg(test)]
impl<const N: usize> From<[((Held, u32), u32); N]> for Holders {
    fn from(held: [((Held, u32), u32); N]) -> Self {
        Self(held.map(|(held, pid)| (held, BTreeSet::from([pid]))).into())
    }
}

fn held(fdinfo: &str) -> impl Iterator<Item = (Held, u32)> + '_ {
    let kinds = [("prog_id:", Held::Program), ("map_id:", Held::Map), ("link_id:", Held::Link)];
    fdinfo.lines().filter_map(move |line| {
        kinds.iter().find_map(|(field, held)| Some((*held, line.strip_prefix(field)?.trim().parse().ok()?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_its_program_too() {
        let fdinfo = "pos:\t0\nlink_type:\traw_tracepoint\nlink_id:\t7\nprog_tag:\tabcd\nprog_id:\t9\n";
        assert!(held(fdinfo).eq([(Held::Link, 7), (Held::Program, 9)]));
        assert!(held("map_type:\t1\nmap_id:\t12\n").eq([(Held::Map, 12)]));
        assert!(held("eventfd-count: 0\n").next().is_none());
    }
}
