//! Which cgroup an event is from, and which container that is: found in user space by the id that the event has.
//!
//! The paths of cgroups are known from a walk through their directories when a tool is attached, and from the kernel
//! where one is made later. Ids are not given out twice (idr_alloc_cyclic with a generation, fs/kernfs/dir.c), so what is
//! known once stays right.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use ebpflab_common::{
    cgroup::{self, NewCgroup},
    event,
};

use crate::{
    bpf::{Object, Opener, Ring, Target},
    cgroups::{self, Group, Hierarchy},
    engines::{Engine, Names},
    error::{Error, Result},
    events::Place,
    records::{Container, Hook},
};

/// Most cgroups that are remembered; the oldest are forgotten first, and found again as long as they are there.
const MOST: usize = 65_536;

/// Runtime and id of the container that a cgroup is of, or is in: the innermost.
///
/// Known by their names: of docker `docker/ID` and `docker-ID.scope`, of podman `libpod-ID` and the same with `.scope`, of
/// CRI-O `crio-ID` and the same, of containerd under Kubernetes `cri-containerd-ID.scope`, `SLICE:cri-containerd:ID` and
/// `kubepods/.../ID`. A conmon, which watches over a container, is not in it.
pub(crate) fn container_of(path: &[u8]) -> Option<(&'static str, &str)> {
    const PREFIXES: [(&str, &str); 4] =
        [("docker-", "docker"), ("libpod-", "podman"), ("cri-containerd-", "containerd"), ("crio-", "cri-o")];
    let names: Vec<_> = path.split(|byte| *byte == b'/').map(|name| str::from_utf8(name).unwrap_or_default()).collect();
    names.iter().enumerate().rev().find_map(|(index, name)| {
        if is_id(name) {
            let above = &names[..index];
            let runtime = match above.last() {
                Some(&"docker") => "docker",
                _ if above.iter().any(|name| name.starts_with("kubepods")) => "containerd",
                _ => return None,
            };
            return Some((runtime, *name));
        }
        if let Some((_, id)) = name.split_once(":cri-containerd:") {
            return is_id(id).then_some(("containerd", id));
        }
        let name = name.strip_suffix(".scope").unwrap_or(name);
        PREFIXES
            .iter()
            .find_map(|(prefix, runtime)| name.strip_prefix(prefix).filter(|id| is_id(id)).map(|id| (*runtime, id)))
    })
}

fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The hierarchy that the cgroups of events are from.
pub(crate) struct Source {
    id: cgroup::Hierarchy,
    /// `None` where none is mounted.
    mounted: Option<Hierarchy>,
}

impl Source {
    /// That of v2, unless processes live in those of v1: then of those the one with memory, or else pids, cpu, any.
    ///
    /// # Errors
    /// [`Error::Os`] where procfs is not to be read.
    pub(crate) fn choose() -> Result<Self> {
        let hierarchies = cgroups::hierarchies()?;
        let v2 = hierarchies.iter().find(|hierarchy| hierarchy.controllers.is_none());
        if !v2.is_some_and(|v2| is_lived_in(&v2.mount)) {
            let mut v1: Vec<_> = hierarchies.iter().filter(|hierarchy| preference(hierarchy).is_some()).collect();
            v1.sort_by_key(|hierarchy| preference(hierarchy));
            for hierarchy in v1 {
                let name = hierarchy.controllers.iter().flatten().next().map_or("", String::as_str);
                let number = cgroups::controller_number(name, &hierarchies)?;
                if let Some((controller, id)) = number.zip(cgroups::hierarchy_id(name)?) {
                    let id = cgroup::Hierarchy { controller, id };
                    return Ok(Self { id, mounted: Some(hierarchy.clone()) });
                }
            }
        }
        Ok(Self { id: cgroup::Hierarchy::UNIFIED, mounted: v2.cloned() })
    }

    /// Whether it is that of v2.
    pub(crate) fn is_v2(&self) -> bool {
        self.id == cgroup::Hierarchy::UNIFIED
    }

    /// Tells the programs.
    pub(crate) fn opener<'a>(&self, opener: Opener<'a>) -> Opener<'a> {
        opener.global("HIERARCHY", self.id)
    }
}

/// Whether a cgroup below the top of v2 has processes in it.
fn is_lived_in(mount: &Path) -> bool {
    let entries = fs::read_dir(mount).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| is_populated(&entry.path()))
}

/// Whether there are processes in a cgroup of v2 or below it.
fn is_populated(cgroup: &Path) -> bool {
    fs::read_to_string(cgroup.join("cgroup.events")).is_ok_and(|events| events.contains("populated 1"))
}

/// Which of the hierarchies of v1 tells most of where processes live; `None` for one without controllers, and v2.
fn preference(hierarchy: &Hierarchy) -> Option<usize> {
    const FIRST: [&str; 3] = ["memory", "pids", "cpu"];
    let controllers = hierarchy.controllers.as_ref().filter(|controllers| !controllers.is_empty())?;
    Some(FIRST.iter().position(|name| controllers.iter().any(|has| has == name)).unwrap_or(FIRST.len()))
}

/// Says of events which cgroup and container they are from.
pub(crate) struct Locator {
    mounted: Option<Hierarchy>,
    /// The new ones, where the kernel tells of them.
    new: Option<Ring>,
    /// By id; `None` for those that are not to be found.
    known: HashMap<u64, Option<Arc<Place>>>,
    /// The ids in the order in which they became known.
    order: VecDeque<u64>,
    names: Names,
}

impl Locator {
    /// Attaches the program that tells of new cgroups, and then looks for those that are there.
    ///
    /// # Errors
    /// [`Error::Object`] for an object without it, [`Error::Privilege`]. A kernel without cgroups is none.
    pub(crate) fn attach(source: Source, object: &mut Object, hooks: &mut Vec<Hook>) -> Result<Self> {
        const PROGRAM: &str = "cgroup_new";
        let target = Target::RawTracepoint("cgroup_mkdir".into());
        let mut new = None;
        match object.attach(PROGRAM, &target) {
            Ok(()) => {
                new = Some(object.take_ring("CGROUPS")?);
                hooks.push(Hook {
                    program: PROGRAM.to_owned(),
                    kind: target.kind().to_owned(),
                    target: target.to_string(),
                    reason: "first choice".to_owned(),
                });
            }
            Err(Error::Attach { .. }) => {}
            Err(error) => return Err(error),
        }
        let (known, order) = (HashMap::new(), VecDeque::new());
        let mut locator = Self { mounted: source.mounted, new, known, order, names: Names::start() };
        locator.scan();
        Ok(locator)
    }

    /// For cgroups of v2, of which the kernel does not tell: those that were removed before they were asked for are not
    /// found.
    pub(crate) fn of_v2(mounted: Hierarchy) -> Self {
        let (known, order) = (HashMap::new(), VecDeque::new());
        Self { mounted: Some(mounted), new: None, known, order, names: Names::start() }
    }

    /// Takes in what became known meanwhile. Before events are handed on: their cgroups are older than they are.
    pub(crate) fn update(&mut self) {
        let mut new = Vec::new();
        while let Some(record) = self.new.as_mut().and_then(|ring| ring.next(new_cgroup)) {
            new.extend(record);
        }
        for (id, path) in new {
            self.learn(id, Some(path));
        }
        while let Some((id, name)) = self.names.answer() {
            for place in self.known.values_mut().flatten() {
                if let Some(container) = place.container.as_ref().filter(|container| container.id == id) {
                    let container = Some(Container { name: Some(name.clone()), ..container.clone() });
                    *place = Arc::new(Place { container, ..(**place).clone() });
                }
            }
        }
    }

    /// Where events of a cgroup are from; `None` where that is not known.
    pub(crate) fn place(&mut self, id: u64) -> Option<Arc<Place>> {
        if !self.known.contains_key(&id) {
            self.update();
        }
        if !self.known.contains_key(&id) {
            self.scan();
        }
        let place = self.known.get(&id);
        if place.is_none() {
            // It will not be found later either: it is gone, or not below the mount.
            self.learn(id, None);
            return None;
        }
        place.cloned().flatten()
    }

    /// Walks through the hierarchy.
    fn scan(&mut self) {
        let Some(Hierarchy { mount, root, .. }) = self.mounted.clone() else { return };
        let mut found = Vec::new();
        let _ = cgroups::each_below(&mount, &mut |path, id| {
            // A path on its own does not end in a slash.
            let below = path.strip_prefix(&mount).ok().filter(|below| !below.as_os_str().is_empty());
            let path = below.map_or_else(|| root.clone(), |below| root.join(below));
            found.push((id, path.as_os_str().as_bytes().to_vec()));
        });
        for (id, path) in found {
            if !matches!(self.known.get(&id), Some(Some(_))) {
                self.learn(id, Some(path));
            }
        }
    }

    fn learn(&mut self, id: u64, path: Option<Vec<u8>>) {
        let known = path.map(|path| {
            let container = container_of(&path).map(|(runtime, id)| {
                let name = self.names.ask(id);
                Container { id: id.to_owned(), runtime, name }
            });
            Arc::new(Place { path: path.into(), container })
        });
        if self.known.insert(id, known).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > MOST {
            self.order.pop_front().and_then(|oldest| self.known.remove(&oldest));
        }
    }
}

/// Id and path of a new cgroup, from its record.
fn new_cgroup(record: &[u8]) -> Option<(u64, Vec<u8>)> {
    let (cgroup, path) = event::split::<NewCgroup>(record)?;
    Some((cgroup.id, path.to_vec()))
}

/// The cgroup of a container, by its id, the first four or more digits of that, or its name.
///
/// # Errors
/// [`Error::InvalidArgument`] where there is no such container, or several.
pub(crate) fn find(wanted: &str) -> Result<Group> {
    let hierarchies = cgroups::hierarchies()?;
    let mut places = BTreeMap::<String, Vec<(&Hierarchy, PathBuf)>>::new();
    for hierarchy in &hierarchies {
        let _ = cgroups::each_below(&hierarchy.mount, &mut |path, _| {
            let Some((_, id)) = container_of(path.as_os_str().as_bytes()) else { return };
            let places = places.entry(id.to_owned()).or_default();
            // The outermost of a hierarchy has the others below it.
            if !places.iter().any(|(other, _)| std::ptr::eq(*other, hierarchy)) {
                places.push((hierarchy, path.to_owned()));
            }
        });
    }
    let names: HashMap<_, _> = Engine::all().flat_map(|engine| engine.list()).collect();
    let running: Vec<_> = places.keys().map(|id| (id.as_str(), names.get(id).map_or("", String::as_str))).collect();
    let id = choose(wanted, &running)?.to_owned();
    let mut places = places.remove(&id).unwrap_or_default();
    // Where it has processes: v2, if it is one of those that there are only for it.
    places.sort_by_key(|(hierarchy, path)| match preference(hierarchy) {
        _ if hierarchy.controllers.is_none() && is_populated(path) => 0,
        Some(preference) => 1 + preference,
        None => usize::MAX,
    });
    match places.first() {
        Some((hierarchy, path)) => cgroups::group(hierarchy, path, &hierarchies),
        None => Err(Error::InvalidArgument(format!("container {id} has gone away"))),
    }
}

/// The container that is meant, of those that there are: ids and names, which may be empty.
fn choose<'a>(wanted: &str, running: &[(&'a str, &str)]) -> Result<&'a str> {
    const SHORTEST: usize = 4;
    const SHOWN: usize = 8;
    let is_prefix = wanted.len() >= SHORTEST && wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
    let whole = running.iter().filter(|(id, name)| *id == wanted || *name == wanted).collect::<Vec<_>>();
    let begun = running.iter().filter(|(id, _)| is_prefix && id.starts_with(&wanted.to_ascii_lowercase())).collect();
    let found = if whole.is_empty() { begun } else { whole };
    let told = |containers: &[&(&str, &str)]| {
        let mut told: Vec<_> = containers
            .iter()
            .take(SHOWN)
            .map(|(id, name)| match *name {
                "" => id[..12].to_owned(),
                name => format!("{} ({name})", &id[..12]),
            })
            .collect();
        if containers.len() > SHOWN {
            told.push(format!("{} more", containers.len() - SHOWN));
        }
        told.join(", ")
    };
    match found[..] {
        [(id, _)] => Ok(id),
        [] if running.is_empty() => {
            Err(Error::InvalidArgument(format!("there is no container {wanted}, nor any other that has a cgroup here")))
        }
        [] => {
            let all = told(&running.iter().collect::<Vec<_>>());
            Err(Error::InvalidArgument(format!("there is no container {wanted}; there are {all}")))
        }
        _ => Err(Error::InvalidArgument(format!("{wanted} may be any of the containers {}", told(&found)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const OTHER: &str = "01237777aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn runtime(path: &str) -> Option<&'static str> {
        let path = path.replace("ID", ID).replace("OTHER", OTHER);
        let found = container_of(path.as_bytes());
        assert!(found.is_none_or(|(_, id)| id == ID), "{path}");
        found.map(|(runtime, _)| runtime)
    }

    #[test]
    fn no_more_cgroups_are_remembered_than_there_is_room_for() {
        let (known, order) = (HashMap::new(), VecDeque::new());
        let mut locator = Locator { mounted: None, new: None, known, order, names: Names::start() };
        for id in 0..MOST as u64 + 23 {
            assert!(locator.place(id).is_none());
        }
        assert_eq!((locator.known.len(), locator.order.len()), (MOST, MOST));
        assert_eq!([22, 23].map(|id| locator.known.contains_key(&id)), [false, true]);
    }

    #[test]
    fn containers_are_known_by_the_names_of_their_cgroups() {
        for (path, expected) in [
            ("/docker/ID", "docker"),
            ("/system.slice/docker-ID.scope", "docker"),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/docker-ID.scope", "docker"),
            ("/docker/ID/init.scope", "docker"),
            ("/docker/ID/system.slice/cron.service", "docker"),
            ("/machine.slice/libpod-ID.scope", "podman"),
            ("/machine.slice/libpod-ID.scope/container", "podman"),
            ("/libpod_parent/libpod-ID", "podman"),
            ("/machine.slice/machine-libpod_pod_7.slice/libpod-ID.scope", "podman"),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-ID.scope",
                "containerd",
            ),
            ("/kubepods/besteffort/pod12-34/ID", "containerd"),
            ("/kubepods.slice/kubepods-pod1.slice/ID", "containerd"),
            ("/system.slice/kubepods-pod1_2.slice:cri-containerd:ID", "containerd"),
            ("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/crio-ID.scope", "cri-o"),
            ("/kubepods/burstable/pod1/crio-ID", "cri-o"),
            // Docker in docker, and Kubernetes in docker: the innermost.
            ("/docker/OTHER/docker/ID", "docker"),
            ("/docker/OTHER/kubelet/kubepods/pod1/ID", "containerd"),
        ] {
            assert_eq!(runtime(path), Some(expected), "{path}");
        }
    }

    #[test]
    fn others_are_no_containers() {
        for path in [
            "",
            "/",
            "/system.slice/docker.service",
            "/machine.slice/libpod-conmon-ID.scope",
            "/kubepods.slice/kubepods-pod1.slice/crio-conmon-ID.scope",
            "/docker/0123",
            "/docker/IDf",
            "/somewhere/ID",
            "/docker/buildx/ID.scope",
        ] {
            assert_eq!(runtime(path), None, "{path}");
        }
        let loud = ID.to_uppercase();
        assert_eq!(container_of(format!("/docker/{loud}").as_bytes()), None);
        assert_eq!(container_of(b"/docker/\xff\xfe"), None);
    }

    #[test]
    fn a_container_is_meant_by_id_beginning_or_name() {
        let running = [(ID, "web"), (OTHER, "abcd")];
        for (wanted, expected) in [(ID, ID), ("01234", ID), ("0123456789AB", ID), ("web", ID), ("abcd", OTHER)] {
            assert_eq!(choose(wanted, &running).expect("one"), expected);
        }
        let told = |wanted, running| choose(wanted, running).expect_err("none, or several").to_string();
        assert_eq!(told("0123", &running), "0123 may be any of the containers 0123456789ab (web), 01237777aaaa (abcd)");
        assert_eq!(told("nginx", &[(ID, "")]), "there is no container nginx; there are 0123456789ab");
        assert_eq!(told("012", &[(ID, "")]), "there is no container 012; there are 0123456789ab");
        assert_eq!(told("web", &[]), "there is no container web, nor any other that has a cgroup here");
    }

    #[test]
    fn of_v1_hierarchies_one_with_memory_is_taken() {
        let preference = |controllers: Option<&[&str]>| {
            let controllers = controllers.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            preference(&Hierarchy { mount: "/".into(), root: "/".into(), controllers })
        };
        assert_eq!(preference(Some(&["memory"])), Some(0));
        assert_eq!(preference(Some(&["cpuacct", "cpu"])), Some(2));
        assert_eq!(preference(Some(&["freezer"])), Some(3));
        assert_eq!((preference(Some(&[])), preference(None)), (None, None));
    }
}
