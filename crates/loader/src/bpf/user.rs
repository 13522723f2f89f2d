//! Objects of others: whatever ELF files of eBPF there are, by aya or by clang and libbpf.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Read as _,
    os::{
        fd::{AsFd as _, AsRawFd as _, RawFd},
        unix::fs::{MetadataExt as _, PermissionsExt as _},
    },
    panic,
    path::{Path, PathBuf},
    sync::{Arc, Once},
};

use aya::maps::{Map, MapData};
use aya_obj::ProgramSection;
use ebpflab_common::flows::Direction;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::{
    Object, Opener, Perf, Ring, Target, Tc, Uprobe, XdpMode,
    map::{TypedMap, Types},
    no_map, no_program, pin, section, sys,
};
use crate::{
    btf::{self, Btf, Data, Shape},
    error::{Error, Result, with_causes},
    interface, privilege,
    targets::{self, Site},
};

/// An object of somebody's: opened, and loaded when that is asked for.
pub struct UserObject {
    elf: Vec<u8>,
    btf: Option<Arc<Btf<'static>>>,
    programs: BTreeMap<String, UserProgram>,
    maps: BTreeMap<String, UserMap>,
    globals: BTreeMap<String, Global>,
    set: BTreeMap<String, Vec<u8>>,
    /// Where maps are pinned, by their names.
    pinned: BTreeMap<String, PathBuf>,
    loaded: Option<Object>,
}

/// A map as the object describes it.
struct UserMap {
    types: Option<Types>,
    layout: Layout,
}

/// What a map is: its kind, and the bytes of a key and of a value.
#[derive(PartialEq, Eq)]
struct Layout {
    kind: u32,
    key: u32,
    value: u32,
}

/// A program of such an object.
#[derive(Clone, Debug)]
pub struct UserProgram {
    /// The section that it is in, which says what it is, and may say where it is attached.
    pub section: String,
    /// Its kind.
    pub kind: &'static str,
    /// Where it is attached unless something else is said.
    pub target: Option<String>,
}

#[derive(Debug)]
struct Global {
    /// The map of the section that it is in.
    section: String,
    offset: usize,
    bytes: Vec<u8>,
    /// Its type; 0 where it is not told.
    number: u32,
}

impl UserObject {
    /// Reads an object from a file that nobody else may write. When it is loaded, the maps that are named are pinned:
    /// made there, or taken from there if there is one.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a file that others may write, a map that there is not and a place that is not on a
    /// bpffs; [`Error::Object`] for a file that is no object of BPF, [`Error::Os`].
    pub fn open(path: &Path, pinned: BTreeMap<String, PathBuf>) -> Result<Self> {
        let mut object = Self::parse(read_safely(path)?)?;
        for (name, path) in &pinned {
            object.find_map(name)?;
            pin::check_place(path)?;
        }
        object.pinned = pinned;
        Ok(object)
    }

    fn parse(elf: Vec<u8>) -> Result<Self> {
        let object = guarded(|| super::parse(&elf))?;
        let types = section(&elf, ".BTF").and_then(|bytes| Btf::parse(bytes.to_vec())).map(Arc::new);
        let places = sections_of_functions(&elf);
        let programs = object.programs.iter().map(|(name, program)| {
            let section = places.get(name).cloned().unwrap_or_default();
            (name.clone(), UserProgram { kind: kind(&program.section), target: default_target(&section), section })
        });
        let maps = object.maps.iter().map(|(name, map)| {
            let of = |btf: &Arc<Btf<'static>>| match map {
                aya_obj::Map::Btf(map) => {
                    Some(Types { btf: Arc::clone(btf), key: map.def.btf_key_type_id, value: map.def.btf_value_type_id })
                }
                aya_obj::Map::Legacy(_) => {
                    Some(Types { btf: Arc::clone(btf), key: 0, value: btf.named(name).next().unwrap_or_default() })
                }
            };
            let layout = Layout { kind: map.map_type(), key: map.key_size(), value: map.value_size() };
            (name.clone(), UserMap { types: types.as_ref().and_then(of), layout })
        });
        let (programs, maps) = (programs.collect(), maps.collect());
        let globals = globals(&elf, types.as_deref());
        let (set, pinned) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { programs, maps, globals, btf: types, elf, set, pinned, loaded: None })
    }

    /// Its programs, by their names.
    pub fn programs(&self) -> &BTreeMap<String, UserProgram> {
        &self.programs
    }

    /// The names of its maps.
    pub fn maps(&self) -> Vec<String> {
        self.maps.keys().cloned().collect()
    }

    /// The names of its globals: variables that are no part of a program.
    pub fn globals(&self) -> Vec<String> {
        self.globals.keys().cloned().collect()
    }

    /// What it asks about the kernel's types (CO-RE): fields and types, in the kernel's names.
    pub fn kernel_fields(&self) -> BTreeSet<String> {
        let questions = section(&self.elf, ".BTF.ext").and_then(btf::questions).unwrap_or_default();
        let btf = self.btf.as_deref();
        questions.iter().filter_map(|question| btf?.asked_for(question)).collect()
    }

    /// Whether its maps exist.
    pub fn is_loaded(&self) -> bool {
        self.loaded.is_some()
    }

    /// The value of a global: as it will be when it is loaded, and then as it is.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where there is none of this name, [`Error::Os`].
    pub fn global(&self, name: &str) -> Result<Data> {
        let global = self.find_global(name)?;
        let bytes = match &self.loaded {
            None => self.set.get(name).unwrap_or(&global.bytes).clone(),
            Some(object) => {
                let fd = map_data(object.map(&global.section)?).fd().as_fd();
                let mut about = sys::blank::<aya_obj::generated::bpf_map_info>();
                let asked = || Error::os(format!("read global {name}"));
                sys::info(fd, &mut about).map_err(asked())?;
                let memory = sys::lookup(fd, &[0; 4], about.value_size as usize).map_err(asked())?.unwrap_or_default();
                let found = memory.get(global.offset..global.offset + global.bytes.len());
                found.unwrap_or_default().to_vec()
            }
        };
        let typed = self.btf.as_ref().filter(|_| global.number != 0);
        Ok(typed.and_then(|btf| btf::decode(btf, global.number, &bytes)).unwrap_or(Data::Bytes(bytes)))
    }

    /// Sets a global, before it is loaded.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where there is none of this name, for a value that it cannot have, and once it is loaded.
    pub fn set_global(&mut self, name: &str, value: &Data) -> Result<()> {
        let global = self.find_global(name)?;
        if self.loaded.is_some() {
            let said = format!("global {name} can be set before the object is loaded, and now it is");
            return Err(Error::InvalidArgument(said));
        }
        let wrong = |error: String| Error::InvalidArgument(format!("global {name}: {error}"));
        let bytes = match (self.btf.as_ref().filter(|_| global.number != 0), value) {
            (Some(btf), value) => btf::encode(btf, global.number, value).map_err(wrong)?,
            (None, Data::Bytes(bytes)) if bytes.len() == global.bytes.len() => bytes.clone(),
            (None, _) => {
                let len = global.bytes.len();
                return Err(wrong(format!("the object does not tell its type, so it is given as {len} bytes")));
            }
        };
        self.set.insert(name.to_owned(), bytes);
        Ok(())
    }

    fn find_global(&self, name: &str) -> Result<&Global> {
        self.globals.get(name).ok_or_else(|| unknown("global", name, self.globals.keys()))
    }

    /// Makes the maps and relocates the programs, unless that was done.
    ///
    /// # Errors
    /// [`Error::Object`] for an object that does not fit this kernel, [`Error::Privilege`].
    pub fn load(&mut self) -> Result<()> {
        if self.loaded.is_some() {
            return Ok(());
        }
        privilege::require("loading a BPF object", &[privilege::CAP_BPF])?;
        let mut opener = Opener::new(&self.elf);
        for (name, bytes) in &self.set {
            opener = opener.global_bytes(name, bytes.clone());
        }
        for (name, path) in &self.pinned {
            opener = opener.pin(name, path);
        }
        let object = guarded(|| opener.open())?;
        for (name, path) in &self.pinned {
            is_as_described(&object, name, path, &self.find_map(name)?.layout)?;
        }
        self.loaded = Some(object);
        Ok(())
    }

    fn find_map(&self, name: &str) -> Result<&UserMap> {
        self.maps.get(name).ok_or_else(|| unknown("map", name, self.maps.keys()))
    }

    fn find_program(&self, name: &str) -> Result<&UserProgram> {
        self.programs.get(name).ok_or_else(|| unknown("program", name, self.programs.keys()))
    }

    /// Puts a program into a slot of a program array, for tail calls; both are loaded before.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where there is none of these names, [`Error::Object`] for another map, and what loading
    /// may raise.
    pub fn put(&mut self, map: &str, slot: u32, program: &str) -> Result<()> {
        self.find_map(map)?;
        self.find_program(program)?;
        self.load()?;
        let object = self.loaded.as_mut().ok_or(Error::Closed)?;
        object.load_alone(program)?;
        object.put_loaded(map, slot, program)
    }

    /// Pins a map: it stays when this object and this process are gone, until the file is removed.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where there is none of this name and for a place that is not on a bpffs, [`Error::Os`],
    /// and what loading may raise.
    pub fn pin_map(&mut self, name: &str, path: &Path) -> Result<()> {
        self.find_map(name)?;
        pin::check_place(path)?;
        self.load()?;
        let map = map_data(self.loaded.as_ref().ok_or(Error::Closed)?.map(name)?);
        map.pin(path).map_err(|error| pin::refused(path, &error))
    }

    /// Pins a program, loaded before if it is not yet. It stays loaded; what it is attached to it leaves at the end.
    ///
    /// # Errors
    /// As for maps, and [`Error::Verifier`].
    pub fn pin_program(&mut self, name: &str, path: &Path) -> Result<()> {
        self.find_program(name)?;
        pin::check_place(path)?;
        self.load()?;
        let object = self.loaded.as_mut().ok_or(Error::Closed)?;
        object.load_alone(name)?;
        let program = object.ebpf.program_mut(name).ok_or_else(|| no_program(name))?;
        program.pin(path).map_err(|error| pin::refused(path, &error))
    }

    /// Attaches a program, and loads before what is not loaded yet; to where its section says, unless something else is
    /// said. Returns where.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], [`Error::Verifier`], [`Error::Privilege`], [`Error::Attach`].
    pub fn attach(&mut self, name: &str, target: Option<&str>) -> Result<String> {
        let program = self.find_program(name)?;
        let target = target.map(str::to_owned).or_else(|| program.target.clone()).ok_or_else(|| {
            let place = if program.section.is_empty() { "it" } else { &program.section };
            Error::InvalidArgument(format!(
                "say what to attach {name} to: {place} does not; it takes {}",
                takes(program.kind)
            ))
        })?;
        let hook = hook(name, program, &target)?;
        self.load()?;
        let object = self.loaded.as_mut().ok_or(Error::Closed)?;
        match (object.attach(name, &hook), &hook) {
            // Before 6.6 there is no TCX.
            (Err(Error::NotSupported { .. }), Target::Tcx(tc)) => object.attach(name, &Target::Clsact(tc.clone()))?,
            (attached, _) => attached?,
        }
        Ok(hook.to_string())
    }

    /// What the kernel says about a program: its id, how many instructions the verifier went through (5.16), how often it
    /// ran and for how many nanoseconds, while runs are measured.
    ///
    /// # Errors
    /// [`Error::Object`] for a program that is not loaded yet.
    pub fn about(&self, name: &str) -> Result<(u32, Option<u32>, u64, u64)> {
        let object = self.loaded.as_ref().ok_or_else(|| no_program(name))?;
        let fd = object.ebpf.program(name).ok_or_else(|| no_program(name))?.fd();
        let fd = fd.map_err(|error| Error::Object(with_causes(&error)))?;
        let about = sys::about_program(fd.as_fd()).map_err(Error::os(format!("ask about program {name}")))?;
        Ok((about.id, about.verified_instructions, about.run_count, about.run_time_ns))
    }

    /// Runs of a program that the kernel skipped, as it does of one that it has preempted on the same CPU; `None` before
    /// Linux 5.12.
    ///
    /// # Errors
    /// [`Error::Object`] for a program that is not loaded yet.
    pub fn missed(&self, name: &str) -> Result<Option<u64>> {
        let object = self.loaded.as_ref().ok_or_else(|| no_program(name))?;
        let fd = object.ebpf.program(name).ok_or_else(|| no_program(name))?.fd();
        let fd = fd.map_err(|error| Error::Object(with_causes(&error)))?;
        sys::recursion_misses(fd.as_fd()).map_err(Error::os(format!("ask about program {name}")))
    }

    /// A map, loaded before if it is not yet.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where there is none of this name, and what loading may raise.
    pub fn map(&mut self, name: &str) -> Result<TypedMap> {
        let types = self.find_map(name)?.types.clone();
        self.load()?;
        let object = self.loaded.as_ref().ok_or(Error::Closed)?;
        let fd = map_data(object.map(name)?).fd().as_fd().try_clone_to_owned().map_err(Error::os("dup"))?;
        TypedMap::new(fd, name.to_owned(), types)
    }

    /// The reader of a ring buffer or of perf buffers; there is one. Records are read as a type, by its name.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where there is no such map, or no such type; [`Error::Object`] once it was taken.
    pub fn events(&mut self, name: &str, of: Option<&str>, bytes: usize) -> Result<UserEvents> {
        self.find_map(name)?;
        let number = of.map(|of| self.event_type(of)).transpose()?;
        self.load()?;
        let object = self.loaded.as_mut().ok_or(Error::Closed)?;
        let buffer = match object.ebpf.map(name).ok_or_else(|| no_map(name))? {
            Map::RingBuf(_) => Buffer::Ring(object.take_ring(name)?),
            Map::PerfEventArray(_) => Buffer::Perf(object.take_perf(name, bytes)?),
            _ => return Err(Error::InvalidArgument(format!("map {name} is no ring buffer and no perf buffer"))),
        };
        let of = number.and_then(|number| Some((Arc::clone(self.btf.as_ref()?), number)));
        Ok(UserEvents { buffer, of })
    }

    fn event_type(&self, name: &str) -> Result<u32> {
        let is_struct = |btf: &Btf<'_>, number: u32| matches!(btf.bare(number), Some((_, Shape::Struct { .. })));
        let found = self.btf.as_ref().and_then(|btf| btf.named(name).find(|number| is_struct(btf, *number)));
        found.ok_or_else(|| {
            Error::InvalidArgument(format!(
                "the object's type information has no struct {name}; compilers leave out what no map, global or function \
                 is of: a global of this type puts it in"
            ))
        })
    }
}

/// Records of a buffer of such an object.
pub struct UserEvents {
    buffer: Buffer,
    of: Option<(Arc<Btf<'static>>, u32)>,
}

enum Buffer {
    Ring(Ring),
    Perf(Perf),
}

impl UserEvents {
    /// The descriptors that are readable while there are records.
    pub fn fds(&self) -> Vec<RawFd> {
        match &self.buffer {
            Buffer::Ring(ring) => vec![ring.as_fd().as_raw_fd()],
            Buffer::Perf(perf) => perf.fds().iter().map(|fd| fd.as_raw_fd()).collect(),
        }
    }

    /// The records that there are now.
    pub fn drain(&mut self) -> Vec<Data> {
        let (of, mut found) = (&self.of, Vec::new());
        match &mut self.buffer {
            Buffer::Ring(ring) => while ring.next(|record| found.push(read(of.as_ref(), record))).is_some() {},
            Buffer::Perf(perf) => perf.drain(|head, tail| found.push(read(of.as_ref(), &[head, tail].concat()))),
        }
        found
    }

    /// Records that did not fit, as perf buffers tell it; ring buffers do not.
    pub fn lost(&self) -> Option<u64> {
        match &self.buffer {
            Buffer::Ring(_) => None,
            Buffer::Perf(perf) => Some(perf.lost()),
        }
    }
}

/// Checks that a map which was taken from where it was pinned is one as the object describes it: aya takes any.
fn is_as_described(object: &Object, name: &str, path: &Path, wanted: &Layout) -> Result<()> {
    let mut about = sys::blank::<aya_obj::generated::bpf_map_info>();
    let fd = map_data(object.map(name)?).fd().as_fd();
    sys::info(fd, &mut about).map_err(Error::os(format!("ask about map {name}")))?;
    let found = Layout { kind: about.type_, key: about.key_size, value: about.value_size };
    if found == *wanted {
        return Ok(());
    }
    let told = |layout: &Layout| {
        format!("{} of {} and {} bytes", crate::inspect::map_kind(layout.kind), layout.key, layout.value)
    };
    let (path, found, wanted) = (path.display(), told(&found), told(wanted));
    Err(Error::InvalidArgument(format!("map {name}: what is pinned at {path} is a {found}, not a {wanted}")))
}

/// A record as its type; as bytes without one, and where it is shorter. What is behind it is padding.
fn read(of: Option<&(Arc<Btf<'static>>, u32)>, record: &[u8]) -> Data {
    let typed = of.and_then(|(btf, number)| btf::decode(btf, *number, record.get(..btf.size(*number)?)?));
    typed.unwrap_or_else(|| Data::Bytes(record.to_vec()))
}

/// The bytes of a file that nobody but root and this user may write, nor put another in its place.
fn read_safely(path: &Path) -> Result<Vec<u8>> {
    let whole = fs::canonicalize(path).map_err(Error::os(format!("open {}", path.display())))?;
    let mut file = File::open(&whole).map_err(Error::os(format!("open {}", path.display())))?;
    let us = fs::metadata("/proc/self").map_err(Error::os("look at /proc/self"))?.uid();
    let about = file.metadata().map_err(Error::os(format!("look at {}", path.display())))?;
    let unsafe_because = |which: &Path, fix: &str| {
        Error::InvalidArgument(format!(
            "{} is not loaded, since others may write {}; {fix}",
            path.display(),
            which.display()
        ))
    };
    let is_others = |about: &fs::Metadata| ![0, us].contains(&about.uid()) || about.permissions().mode() & 0o022 != 0;
    if is_others(&about) {
        return Err(unsafe_because(
            &whole,
            &format!("chmod go-w {0}, or copy it to a file of your own", whole.display()),
        ));
    }
    for folder in whole.ancestors().skip(1) {
        let about = fs::metadata(folder).map_err(Error::os(format!("look at {}", folder.display())))?;
        // In a folder as /tmp nobody can replace files of others.
        let is_sticky = about.permissions().mode() & 0o1000 != 0 && [0, us].contains(&about.uid());
        if is_others(&about) && !is_sticky {
            return Err(unsafe_because(folder, "copy it to a folder that only you can write"));
        }
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(Error::os(format!("read {}", path.display())))?;
    Ok(bytes)
}

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls what may panic on a file that is damaged (aya-obj 0.3 does), and makes an error of that, without a word on stderr.
fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |about| {
            if !IS_GUARDED.get() {
                usual(about);
            }
        }));
    });
    IS_GUARDED.set(true);
    let called = panic::catch_unwind(panic::AssertUnwindSafe(call));
    IS_GUARDED.set(false);
    called.unwrap_or_else(|_| Err(Error::Object("the file is damaged: it contradicts itself".to_owned())))
}

/// The sections that functions are in.
fn sections_of_functions(elf: &[u8]) -> BTreeMap<String, String> {
    let Ok(file) = object::File::parse(elf) else { return BTreeMap::new() };
    let place = |symbol: object::Symbol<'_, '_>| {
        let section = file.section_by_index(symbol.section_index()?).ok()?;
        Some((symbol.name().ok()?.to_owned(), section.name().ok()?.to_owned()))
    };
    file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text).filter_map(place).collect()
}

/// The variables of the sections for globals.
fn globals(elf: &[u8], btf: Option<&Btf<'_>>) -> BTreeMap<String, Global> {
    let Ok(file) = object::File::parse(elf) else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Data && symbol.size() > 0) {
        let Some(section) = symbol.section_index().and_then(|index| file.section_by_index(index).ok()) else {
            continue;
        };
        let (Ok(name), Ok(its)) = (symbol.name(), section.name()) else { continue };
        if ![".data", ".rodata", ".bss"].iter().any(|prefix| its.starts_with(prefix)) {
            continue;
        }
        let (offset, len) = (symbol.address() as usize, symbol.size() as usize);
        let memory = section.data().unwrap_or_default();
        let bytes =
            memory.get(offset..offset.saturating_add(len)).map_or_else(|| vec![0; len.min(1 << 20)], <[u8]>::to_vec);
        let typed = btf.and_then(|btf| variable(btf, its, name));
        found.insert(
            name.to_owned(),
            Global { section: its.to_owned(), offset, bytes, number: typed.unwrap_or_default() },
        );
    }
    found
}

/// The type of a variable of a section.
fn variable(btf: &Btf<'_>, section: &str, name: &str) -> Option<u32> {
    btf.named(section).find_map(|number| match btf.shape(number)? {
        Shape::Struct { members, .. } => {
            members.iter().find(|member| member.name == name).map(|member| unwrapped(btf, member.number))
        }
        _ => None,
    })
}

/// The type inside of what aya and Rust wrap around a variable: that of a `Global<u32>` is `u32`. bpf-linker writes the
/// `<` of such names as `_3C_`.
fn unwrapped(btf: &Btf<'_>, mut number: u32) -> u32 {
    const WRAPPERS: [&str; 5] =
        ["Global_3C_", "MaybeUninit_3C_", "ManuallyDrop_3C_", "MaybeDangling_3C_", "UnsafeCell_3C_"];
    while let Some((bare, Shape::Struct { bytes, members, .. })) = btf.bare(number)
        && WRAPPERS.iter().any(|wrapper| btf.name_of(bare).starts_with(wrapper))
        && let Some(inner) = members.iter().find(|member| btf.size(member.number) == Some(bytes))
    {
        number = inner.number;
    }
    number
}

fn kind(section: &ProgramSection) -> &'static str {
    match section {
        ProgramSection::KProbe => "kprobe",
        ProgramSection::KRetProbe => "kretprobe",
        ProgramSection::UProbe { .. } => "uprobe",
        ProgramSection::URetProbe { .. } => "uretprobe",
        ProgramSection::TracePoint => "tracepoint",
        ProgramSection::RawTracePoint => "raw_tracepoint",
        ProgramSection::FEntry { .. } => "fentry",
        ProgramSection::FExit { .. } => "fexit",
        ProgramSection::Xdp { .. } => "xdp",
        ProgramSection::SchedClassifier => "tc",
        ProgramSection::CgroupSkb { attach_type: Some(aya_obj::programs::CgroupSkbAttachType::Egress) } => {
            "cgroup_skb/egress"
        }
        ProgramSection::CgroupSkb { .. } => "cgroup_skb/ingress",
        ProgramSection::CgroupSock { .. } => "cgroup_sock",
        _ => "other",
    }
}

/// What the kernel puts before the names of its functions for system calls.
#[cfg(target_arch = "x86_64")]
const SYSCALL: &str = "__x64_sys_";
#[cfg(target_arch = "aarch64")]
const SYSCALL: &str = "__arm64_sys_";

/// What a section says about where its programs are attached.
fn default_target(section: &str) -> Option<String> {
    let (kind, rest) = section.trim_start_matches('?').split_once('/')?;
    Some(match kind {
        "tp" | "tracepoint" => rest.replacen('/', ":", 1),
        "ksyscall" | "kretsyscall" => format!("{SYSCALL}{rest}"),
        "kprobe" | "kretprobe" | "fentry" | "fentry.s" | "fexit" | "fexit.s" | "raw_tp" | "raw_tracepoint"
        | "uprobe" | "uretprobe" | "uprobe.s" | "uretprobe.s" => rest.to_owned(),
        _ => return None,
    })
}

/// What a target of a kind is.
fn takes(kind: &str) -> &'static str {
    match kind {
        "kprobe" | "kretprobe" | "fentry" | "fexit" => "a function of the kernel",
        "tracepoint" => "CATEGORY:NAME",
        "raw_tracepoint" => "the name of a tracepoint",
        "uprobe" | "uretprobe" => "BINARY:SYMBOL or BINARY:+0xOFFSET",
        "xdp" => "an interface",
        "tc" => "INTERFACE:ingress or INTERFACE:egress",
        _ => "the folder of a cgroup",
    }
}

fn hook(name: &str, program: &UserProgram, target: &str) -> Result<Target> {
    let own = || target.to_owned().into();
    let wrong =
        || Error::InvalidArgument(format!("{target} is no target for {name}: it takes {}", takes(program.kind)));
    Ok(match program.kind {
        "kprobe" => Target::Kprobe(own()),
        "kretprobe" => Target::Kretprobe(own()),
        "fentry" => Target::Fentry(own()),
        "fexit" => Target::Fexit(own()),
        "raw_tracepoint" => Target::RawTracepoint(own()),
        "tracepoint" => {
            let (category, event) = target.split_once(':').ok_or_else(wrong)?;
            Target::Tracepoint(category.to_owned().into(), event.to_owned().into())
        }
        "uprobe" => Target::Uprobe(instruction(target)?),
        "uretprobe" => Target::Uretprobe(instruction(target)?),
        "xdp" => Target::Xdp(interface::index_of(target.as_ref())?, XdpMode::Default),
        "tc" => {
            let (iface, direction) = target.rsplit_once(':').ok_or_else(wrong)?;
            let direction = match direction {
                "ingress" => Direction::Ingress,
                "egress" => Direction::Egress,
                _ => return Err(wrong()),
            };
            Target::Tcx(Tc { iface: iface.to_owned(), index: interface::index_of(iface.as_ref())?, direction })
        }
        "cgroup_skb/ingress" => Target::CgroupSkb(PathBuf::from(target), Direction::Ingress),
        "cgroup_skb/egress" => Target::CgroupSkb(PathBuf::from(target), Direction::Egress),
        "cgroup_sock" => Target::CgroupSock(PathBuf::from(target)),
        _ => {
            return Err(Error::NotSupported {
                feature: format!("attaching {name}"),
                needs: "a program of another kind".to_owned(),
                reason: format!("ebpflab does not attach programs of section {}", program.section),
            });
        }
    })
}

fn instruction(target: &str) -> Result<Uprobe> {
    let sites = targets::resolve(&format!("uprobe:{target}").parse()?, None)?;
    match sites.as_slice() {
        [Site::User(path, offset, label)] => {
            Ok(Uprobe { path: path.clone(), offset: *offset, pid: None, name: label.clone() })
        }
        _ => Err(Error::InvalidArgument(format!("{target} are several; attach to each"))),
    }
}

fn unknown<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a String>) -> Error {
    let names: Vec<_> = names.map(String::as_str).collect();
    let told = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Error::InvalidArgument(format!("the object has no {what} {name}; it has {told}"))
}

pub(super) fn map_data(map: &Map) -> &MapData {
    match map {
        Map::Array(data)
        | Map::ArrayOfMaps(data)
        | Map::BloomFilter(data)
        | Map::CgroupArray(data)
        | Map::CgroupStorage(data)
        | Map::CgrpStorage(data)
        | Map::CpuMap(data)
        | Map::DevMap(data)
        | Map::DevMapHash(data)
        | Map::HashMap(data)
        | Map::HashOfMaps(data)
        | Map::InodeStorage(data)
        | Map::LpmTrie(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuCgroupStorage(data)
        | Map::PerCpuHashMap(data)
        | Map::PerCpuLruHashMap(data)
        | Map::PerfEventArray(data)
        | Map::ProgramArray(data)
        | Map::Queue(data)
        | Map::ReusePortSockArray(data)
        | Map::RingBuf(data)
        | Map::SkStorage(data)
        | Map::SockHash(data)
        | Map::SockMap(data)
        | Map::Stack(data)
        | Map::StackTraceMap(data)
        | Map::Unsupported(data)
        | Map::XskMap(data) => data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects;

    #[test]
    fn a_global_of_aya_is_what_is_in_it() {
        let mut object = UserObject::parse(objects::RETURNS.to_vec()).expect("an object");
        assert_eq!(object.global("BY").expect("a global"), Data::Unsigned(0));
        object.set_global("BY", &Data::Unsigned(3)).expect("a number");
        assert_eq!(object.global("BY").expect("a global"), Data::Unsigned(3));
        assert!(matches!(object.global("FILTER").expect("a global"), Data::Struct(..)));
    }
}
