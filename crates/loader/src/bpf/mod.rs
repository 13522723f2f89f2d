//! The one place that knows aya: opening objects (ours or any other), loading and attaching programs, reading maps.

pub mod map;
mod multi;
pub(crate) mod pin;
pub(crate) mod probe;
mod sections;
pub(crate) mod sys;
pub mod user;

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap as StdHashMap},
    error,
    ffi::CString,
    fmt,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use aya::{
    Btf, Ebpf, EbpfLoader, Endianness, Pod,
    maps::{
        Array, CgroupArray, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, PerCpuHashMap, PerCpuValues,
        PerfEventArray, ProgramArray, RingBuf, SkStorage, StackTraceMap,
        lpm_trie::Key,
        perf::{PerfEvent, PerfEventArrayBuffer},
    },
    programs::{
        CgroupAttachMode, CgroupSkbAttachType, FEntry, FExit, KProbe, LinkOrder, ProbeKind, Program, ProgramError,
        ProgramType, RawTracePoint, SchedClassifier, TcAttachType, TestRun as _, TestRunOptions, TracePoint, Xdp,
        links::FdLink,
        tc::{NlOptions, TcAttachOptions},
        xdp::XdpLinkId,
    },
    sys::SyscallError,
    util::{KernelVersion, online_cpus},
};

use ebpflab_common::flows::Direction;
use nix::{
    sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit},
    unistd::SysconfVar,
};
use object::{Object as _, ObjectSection as _};

use self::multi::Multi;
use crate::{
    btf,
    clsact::Clsact,
    error::{Error, Result, with_causes},
    privilege, tracefs,
    verifier::{self, Lines},
};

pub use aya::programs::XdpMode;
pub(crate) use multi::Function;

/// A name in the kernel: known to a tool when it is written, or asked for by a user.
pub type Name = Cow<'static, str>;

/// Where a program is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Entry of a kernel function, by trampoline.
    Fentry(Name),
    /// Return of a kernel function, by trampoline.
    Fexit(Name),
    /// Entry of a kernel function, by breakpoint or ftrace.
    Kprobe(Name),
    /// Return of a kernel function, by breakpoint.
    Kretprobe(Name),
    /// A tracepoint with its raw arguments.
    RawTracepoint(Name),
    /// A tracepoint with its record: category and name.
    Tracepoint(Name, Name),
    /// An interface, by index, in the mode asked for.
    Xdp(u32, XdpMode),
    /// What an interface receives or sends, by a bpf_link (6.6).
    Tcx(Tc),
    /// The same by a netlink filter, which goes when the object is dropped, or this process dies.
    Clsact(Tc),
    /// What a cgroup of v2, by its directory, and those below it receive or send.
    CgroupSkb(PathBuf, Direction),
    /// The sockets that are made, or closed (as the program's section says), in a cgroup of v2 and those below it.
    CgroupSock(PathBuf),
    /// An instruction of a program or library.
    Uprobe(Uprobe),
    /// The return of a function of a program or library.
    Uretprobe(Uprobe),
    /// The clock of a CPU, by its number, and how often a second.
    Clock(u32, u32),
}

/// An instruction of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uprobe {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// Of this process only.
    pub pid: Option<u32>,
    /// What people call it.
    pub name: String,
}

/// One direction of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tc {
    /// Its name.
    pub iface: String,
    /// Its index.
    pub index: u32,
    /// What it receives, or what it sends.
    pub direction: Direction,
}

impl fmt::Display for Tc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.iface, self.direction.name())
    }
}

impl Target {
    /// The kind of hook, as the `attached` record names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Fentry(_) => "fentry",
            Self::Fexit(_) => "fexit",
            Self::Kprobe(_) => "kprobe",
            Self::Kretprobe(_) => "kretprobe",
            Self::RawTracepoint(_) => "raw_tracepoint",
            Self::Tracepoint(..) => "tracepoint",
            Self::Xdp(..) => "xdp",
            Self::Tcx(_) => "tcx",
            Self::Clsact(_) => "clsact",
            Self::CgroupSkb(..) => "cgroup_skb",
            Self::CgroupSock(_) => "cgroup_sock",
            Self::Uprobe(_) => "uprobe",
            Self::Uretprobe(_) => "uretprobe",
            Self::Clock(..) => "perf_event",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fentry(name)
            | Self::Fexit(name)
            | Self::Kprobe(name)
            | Self::Kretprobe(name)
            | Self::RawTracepoint(name) => f.write_str(name),
            Self::Tracepoint(category, name) => write!(f, "{category}:{name}"),
            Self::Xdp(index, _) => write!(f, "interface {index}"),
            Self::Tcx(tc) | Self::Clsact(tc) => tc.fmt(f),
            Self::CgroupSkb(cgroup, direction) => write!(f, "{} {}", cgroup.display(), direction.name()),
            Self::CgroupSock(cgroup) => cgroup.display().fmt(f),
            Self::Uprobe(uprobe) | Self::Uretprobe(uprobe) => f.write_str(&uprobe.name),
            Self::Clock(cpu, hz) => write!(f, "the clock of CPU {cpu}, {hz} times a second"),
        }
    }
}

/// The names of the programs in an object file.
///
/// # Errors
/// [`Error::Object`] for a file that is none.
pub fn program_names(bytes: &[u8]) -> Result<Vec<String>> {
    Ok(parse(bytes)?.programs.into_keys().collect())
}

/// What aya knows of an object file.
pub(crate) fn parse(elf: &[u8]) -> Result<aya_obj::Object> {
    aya_obj::Object::parse(&sections::in_ayas_words(elf)).map_err(|error| Error::Object(with_causes(&error)))
}

/// A BPF object that is being opened: what may be set before its maps are made.
pub struct Opener<'a> {
    bytes: Cow<'a, [u8]>,
    globals: StdHashMap<&'a str, Vec<u8>>,
    max_entries: StdHashMap<&'a str, u32>,
    /// Files that hold maps, with the maps' names.
    pins: Vec<(PathBuf, String)>,
}

impl<'a> Opener<'a> {
    /// Starts opening an object file's bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        let bytes = sections::in_ayas_words(bytes);
        Self { bytes, globals: StdHashMap::new(), max_entries: StdHashMap::new(), pins: Vec::new() }
    }

    /// Sets a global constant; opening fails if the object has none of this name and size.
    #[must_use]
    pub fn global<T: Pod>(mut self, name: &'a str, value: T) -> Self {
        // SAFETY: `Pod` has no padding and no invalid bytes.
        let bytes = unsafe { std::slice::from_raw_parts((&raw const value).cast::<u8>(), size_of::<T>()) };
        self.globals.insert(name, bytes.to_vec());
        self
    }

    /// Sets a global by the bytes of its value.
    #[must_use]
    pub(crate) fn global_bytes(mut self, name: &'a str, bytes: Vec<u8>) -> Self {
        self.globals.insert(name, bytes);
        self
    }

    /// Sets how many entries a map holds.
    #[must_use]
    pub fn max_entries(mut self, map: &'a str, entries: u32) -> Self {
        self.max_entries.insert(map, entries);
        self
    }

    /// Has a map pinned: made there, or taken from there if there is one.
    #[must_use]
    pub(crate) fn pin(mut self, name: &str, path: &Path) -> Self {
        self.pins.push((path.to_owned(), name.to_owned()));
        self
    }

    /// Makes the maps and relocates the programs; none is loaded into the kernel yet.
    ///
    /// # Errors
    /// [`Error::Object`] for a file that is none or does not fit this kernel, [`Error::Privilege`].
    pub fn open(self) -> Result<Object> {
        let mut kernel = None;
        let btf = btf_for(&self.bytes, &mut kernel)?;
        raise_memlock();
        let mut loader = EbpfLoader::new();
        loader.btf(btf.as_ref());
        for (name, value) in &self.globals {
            loader.override_global(name, value.as_slice(), true);
        }
        for (name, entries) in &self.max_entries {
            loader.map_max_entries(name, *entries);
        }
        for (path, name) in &self.pins {
            loader.map_pin_path(name, path.as_path());
        }
        let ebpf = loader.load(&self.bytes).map_err(|error| match is_refusal(&error) {
            true => refused("making BPF maps"),
            false => Error::Object(with_causes(&error)),
        })?;
        let elf = self.bytes.into_owned().into();
        let asks_again = ebpf.programs().any(|(_, program)| matches!(program, Program::FEntry(_) | Program::FExit(_)));
        Ok(Object {
            ebpf,
            elf,
            attached: BTreeSet::new(),
            pairs: Vec::new(),
            events: Vec::new(),
            multi: Vec::new(),
            clsact: Vec::new(),
            xdp_link: None,
            kernel: kernel.filter(|_| asks_again),
            functions: None,
        })
    }
}

/// The kernel's types that an object asks about, if it asks about any. Without them aya leaves an object as it is, and its
/// programs would read at wrong offsets.
fn btf_for(elf: &[u8], kernel: &mut Option<Vec<u8>>) -> Result<Option<Btf>> {
    const TYPE_ID_TARGET: u32 = 7;
    let Some(records) = section(elf, ".BTF.ext") else { return Ok(None) };
    // Where they cannot be read aya has to say so.
    let questions = btf::questions(records);
    if questions.as_ref().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    let cut_down = |kernel: &[u8]| match questions {
        Some(questions) if questions.iter().all(|of| of.kind != TYPE_ID_TARGET) => {
            btf::like_those_of(section(elf, ".BTF")?, kernel)
        }
        _ => None,
    };
    kernel_btf(kernel, "finding fields of the kernel's structs", cut_down).map(Some)
}

pub(crate) fn section<'a>(elf: &'a [u8], name: &str) -> Option<&'a [u8]> {
    object::File::parse(elf).ok()?.section_by_name(name)?.data().ok()
}

/// Kernels before 5.11 charge maps against RLIMIT_MEMLOCK: there it is raised, for good, since maps may be made at any
/// time. Failing is not an error: the kernel will say what it lacks.
fn raise_memlock() {
    if charges_memlock() {
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    }
}

fn charges_memlock() -> bool {
    KernelVersion::current().is_ok_and(|kernel| kernel < KernelVersion::new(5, 11, 0))
}

fn counts_at_events() -> bool {
    KernelVersion::current().is_ok_and(|kernel| kernel >= KernelVersion::new(6, 7, 0))
}

/// Why the kernel said EPERM to someone who has the capabilities.
pub(crate) fn refused(operation: &str) -> Error {
    match getrlimit(Resource::RLIMIT_MEMLOCK) {
        Ok((limit, _)) if charges_memlock() && limit != RLIM_INFINITY => Error::NotSupported {
            feature: operation.to_owned(),
            needs: "a higher limit (ulimit -l unlimited, LimitMEMLOCK=infinity for a service) or CAP_SYS_RESOURCE"
                .to_owned(),
            reason: format!("only {} KiB of memory may be locked (RLIMIT_MEMLOCK), and maps count", limit >> 10),
        },
        _ => privilege::refused(operation),
    }
}

/// The numbers of the CPUs that are online.
///
/// # Errors
/// [`Error::Os`] where the kernel does not tell.
pub fn cpus() -> Result<Vec<u32>> {
    online_cpus().map_err(|(path, error)| Error::os(format!("read {path}"))(error))
}

/// The kinds of programs that run on a packet alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketProgram {
    /// For XDP.
    Xdp,
    /// For tc.
    Classifier,
}

/// What a program made of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// What it returned.
    pub value: u32,
    /// The packet as it left it.
    pub packet: Vec<u8>,
    /// How long one run took, on the average of all.
    pub duration: Duration,
}

/// An object whose maps exist. Dropping it detaches and unloads everything.
pub struct Object {
    ebpf: Ebpf,
    /// The file, for the lines of a program that is refused.
    elf: Box<[u8]>,
    /// The programs that are attached, but for the pairs.
    attached: BTreeSet<String>,
    pairs: Vec<[&'static str; 2]>,
    /// What keeps programs attached to events, by their names.
    events: Vec<(String, OwnedFd)>,
    /// Programs at many functions at once.
    multi: Vec<Multi>,
    /// What holds filters of interfaces, for each one a direction at most.
    clsact: Vec<Clsact>,
    /// The program that is attached to XDP, and its link.
    xdp_link: Option<(String, XdpLinkId)>,
    /// The kernel's types, where more may be asked of them: several megabytes.
    kernel: Option<Vec<u8>>,
    /// The kernel's functions as aya wants them: the one that was asked for, then all; and which one.
    functions: Option<(Option<String>, Btf)>,
}

impl Object {
    /// Loads a program, if it is not loaded yet, and attaches it.
    ///
    /// # Errors
    /// [`Error::Verifier`], [`Error::Privilege`], [`Error::Attach`].
    pub fn attach(&mut self, name: &str, target: &Target) -> Result<()> {
        if matches!(target, Target::Uprobe(_) | Target::Uretprobe(_) | Target::Clock(..)) {
            return self.attach_event(name, target, None);
        }
        self.load(name, target)?;
        let program = self.ebpf.program_mut(name).ok_or_else(|| no_program(name))?;
        match (program, target) {
            (Program::SchedClassifier(program), Target::Clsact(tc)) => {
                let free = self.clsact.iter().position(|clsact| clsact.has_room(tc.index, tc.direction));
                if free.is_none() {
                    self.clsact.push(Clsact::start(tc.index)?);
                }
                let place = free.unwrap_or(self.clsact.len() - 1);
                attach_clsact(program, &self.clsact[place], tc)?;
            }
            (Program::Xdp(program), Target::Xdp(index, mode)) => {
                let link = attach_xdp(program, *index, *mode).map_err(|error| attach_error(target, &error))?;
                self.xdp_link = Some((name.to_owned(), link));
            }
            (program, _) => attach(program, target).map_err(|error| attach_error(target, &error))?,
        }
        self.attached.insert(name.to_owned());
        Ok(())
    }

    /// Loads a program, if it is not loaded yet, and attaches it to one more kprobe, uprobe or tracepoint. It is told the
    /// cookie, if there is one, where the kernel has them (5.15).
    ///
    /// # Errors
    /// [`Error::Verifier`], [`Error::Privilege`], [`Error::Attach`].
    pub fn attach_event(&mut self, name: &str, target: &Target, cookie: Option<u64>) -> Result<()> {
        self.load(name, target)?;
        let program = self.ebpf.program(name).ok_or_else(|| no_program(name))?.fd();
        let program = program.map_err(|error| Error::Object(with_causes(&error)))?.as_fd();
        let attached = open_event(target).and_then(|event| match cookie {
            Some(cookie) => sys::link_event(program, event.as_fd(), cookie),
            None => sys::set_program(program, event.as_fd()).map(|()| event),
        });
        let attached = attached.map_err(|error| attach_error(target, &error))?;
        self.events.push((name.to_owned(), attached));
        self.attached.insert(name.to_owned());
        Ok(())
    }

    /// Attaches a program for kprobes to many functions of the kernel at once (kprobe.multi), with a cookie for each; returns
    /// which the kernel took: none where it has no such links (before 5.18, or without CONFIG_FPROBE). `known` is a function
    /// that every kernel has.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such program.
    pub(crate) fn attach_functions(
        &mut self,
        name: &str,
        functions: &[Function],
        known: Function,
    ) -> Result<Vec<bool>> {
        let none = vec![false; functions.len()];
        let mut multi = match Multi::load(&self.ebpf, &self.elf, name) {
            Err(Error::Os { .. }) => return Ok(none),
            loaded => loaded?,
        };
        if !multi.is_supported(known) {
            return Ok(none);
        }
        let taken = multi.attach(functions);
        if taken.contains(&true) {
            self.multi.push(multi);
            self.attached.insert(name.to_owned());
        }
        Ok(taken)
    }

    /// The same for two programs that do the same, so that it is done as long as the kernel does not skip both.
    ///
    /// # Errors
    /// [`Error::Verifier`], [`Error::Privilege`], [`Error::Attach`].
    pub fn attach_both(&mut self, names: [&'static str; 2], target: &Target) -> Result<()> {
        for name in names {
            self.attach(name, target)?;
            self.attached.remove(name);
        }
        self.pairs.push(names);
        Ok(())
    }

    /// Loads a program for a target, if it is not loaded yet.
    ///
    /// # Errors
    /// [`Error::Verifier`], [`Error::Privilege`].
    pub fn load(&mut self, name: &str, target: &Target) -> Result<()> {
        if let Target::Fentry(function) | Target::Fexit(function) = target {
            self.find(function)?;
        }
        let program = self.ebpf.program_mut(name).ok_or_else(|| no_program(name))?;
        let functions = self.functions.as_ref().map(|(_, functions)| functions);
        load(program, target, functions).map_err(|error| load_error(name, error, &self.elf))
    }

    /// Has aya know one of the kernel's functions. To know one takes half as long as to know all, so the first is alone.
    fn find(&mut self, function: &str) -> Result<()> {
        let one = match &self.functions {
            None => Some(function.to_owned()),
            Some((None, _)) => return Ok(()),
            Some((Some(one), _)) if one == function => return Ok(()),
            Some(_) => None,
        };
        let cut_down =
            |kernel: &[u8]| one.as_ref().and_then(|one| btf::function(kernel, one)).or_else(|| btf::functions(kernel));
        let functions = kernel_btf(&mut self.kernel, "fentry", cut_down)?;
        self.functions = Some((one, functions));
        Ok(())
    }

    /// Loads a program without a target, if it is not loaded yet and of a kind for which that can be done.
    ///
    /// # Errors
    /// [`Error::Verifier`], [`Error::Privilege`], [`Error::NotSupported`] for other kinds.
    fn load_alone(&mut self, name: &str) -> Result<()> {
        let program = self.ebpf.program_mut(name).ok_or_else(|| no_program(name))?;
        if program.fd().is_ok() {
            return Ok(());
        }
        privilege::require(&format!("loading program {name}"), capabilities(program))?;
        load_alone(name, program)?.map_err(|error| load_error(name, error, &self.elf))
    }

    /// Loads a program and puts it into a slot of a program array, for tail calls. Dropping the object takes it out
    /// again.
    ///
    /// # Errors
    /// [`Error::Verifier`], [`Error::Privilege`], [`Error::Object`] if there is no such map.
    pub fn put(&mut self, map: &str, slot: u32, program: &str, target: &Target) -> Result<()> {
        self.load(program, target)?;
        self.put_loaded(map, slot, program)
    }

    fn put_loaded(&mut self, map: &str, slot: u32, program: &str) -> Result<()> {
        let fd = self.ebpf.program(program).ok_or_else(|| no_program(program))?.fd();
        let fd = fd.map_err(|error| Error::Object(with_causes(&error)))?.try_clone().map_err(Error::os("dup"))?;
        ProgramArray::try_from(self.map_mut(map)?).and_then(|mut array| array.set(slot, &fd, 0)).map_err(map_error)
    }

    /// Takes a program out of a slot of a program array.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map, or none in the slot.
    pub fn take_out(&mut self, map: &str, slot: u32) -> Result<()> {
        ProgramArray::try_from(self.map_mut(map)?).and_then(|mut array| array.clear_index(&slot)).map_err(map_error)
    }

    /// Gives back the memory that only loading programs needs.
    pub fn trim(&mut self) {
        (self.kernel, self.functions) = (None, None);
        // aya reads all of the kernel's types, which take 20 MB that the allocator would keep.
        // SAFETY: it may be called at any time, from any thread.
        #[cfg(target_env = "gnu")]
        unsafe {
            libc::malloc_trim(0);
        }
    }

    /// The kernel's id of a loaded program.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such program, or it is not loaded.
    pub fn program_id(&self, name: &str) -> Result<u32> {
        let fd = self.ebpf.program(name).ok_or_else(|| no_program(name))?.fd();
        let info = fd.map_err(|error| Error::Object(with_causes(&error)))?;
        sys::program_id(info.as_fd()).map_err(Error::os(format!("ask for the id of program {name}")))
    }

    /// Whether a program that was attached to an interface by TCX or a filter still is.
    pub fn is_attached(&self, name: &str, target: &Target) -> bool {
        match target {
            Target::Clsact(tc) => self.clsact.iter().any(|clsact| clsact.has_filter(tc.index, tc.direction)),
            Target::Tcx(tc) => {
                let direction = match tc.direction {
                    Direction::Ingress => sys::TCX_INGRESS,
                    Direction::Egress => sys::TCX_EGRESS,
                };
                let ours = self.program_id(name);
                sys::programs_on(tc.index, direction).is_ok_and(|ids| ours.is_ok_and(|ours| ids.contains(&ours)))
            }
            _ => self.attached.contains(name),
        }
    }

    /// Runs an XDP program or a classifier (tc) on a packet, from its link header on, so many times; nothing is attached.
    /// The kernel wants 14 bytes at least, and for XDP a page less some headroom at most.
    ///
    /// # Errors
    /// [`Error::Verifier`], [`Error::Privilege`], [`Error::Os`]; [`Error::Object`] for another program;
    /// [`Error::InvalidArgument`] for a packet without a whole link header.
    pub fn test_run(&mut self, name: &str, packet: &[u8], repeat: u32) -> Result<TestRun> {
        /// What a program may put in front of a packet, and behind it.
        const GROWTH: usize = 4_096;
        /// The least that the kernel takes, but for 5.10, which asks programs about less.
        const LINK_HEADER: usize = 14;
        let program = self.ebpf.program_mut(name).ok_or_else(|| no_program(name))?;
        let loaded = match program {
            Program::Xdp(program) => program.load(),
            Program::SchedClassifier(program) => program.load(),
            _ => return Err(no_program(name)),
        };
        match loaded {
            Ok(()) | Err(ProgramError::AlreadyLoaded) => {}
            Err(error) => return Err(load_error(name, error, &self.elf)),
        }
        if packet.len() < LINK_HEADER {
            let said = format!("a packet has {LINK_HEADER} bytes at the least, not {}", packet.len());
            return Err(Error::InvalidArgument(said));
        }
        let mut output = vec![0; packet.len() + GROWTH];
        let options =
            TestRunOptions { data_in: Some(packet), data_out: Some(&mut output), repeat, ..TestRunOptions::new() };
        let run = match program {
            Program::Xdp(program) => program.test_run(options),
            Program::SchedClassifier(program) => program.test_run(options),
            _ => return Err(no_program(name)),
        };
        let run = run.map_err(|error| Error::Os {
            operation: format!("run {name} on a packet of {} bytes", packet.len()),
            source: io::Error::other(with_causes(&error)),
        })?;
        output.truncate(run.data_size_out as usize);
        Ok(TestRun { value: run.return_value, packet: output, duration: run.duration })
    }

    /// The names of its programs that [`Object::test_run`] runs: those for XDP, or the classifiers.
    pub fn packet_programs(&self, kind: PacketProgram) -> Vec<String> {
        let is_wanted = |program: &Program| match kind {
            PacketProgram::Xdp => matches!(program, Program::Xdp(_)),
            PacketProgram::Classifier => matches!(program, Program::SchedClassifier(_)),
        };
        let programs = self.ebpf.programs().filter(|(_, program)| is_wanted(program));
        programs.map(|(name, _)| name.to_owned()).collect()
    }

    /// Detaches and unloads a program, to try another one.
    pub fn unload(&mut self, name: &str) {
        self.attached.remove(name);
        self.events.retain(|(program, _)| program != name);
        if let Some(program) = self.ebpf.program_mut(name) {
            // It fails only for a program that is not loaded.
            let _ = unload(program);
        }
        if self.attached.is_empty() {
            self.clsact.clear();
        }
    }

    /// Sets the value of a one-word array.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map.
    pub fn set_word(&mut self, map: &str, value: u32) -> Result<()> {
        self.set_value(map, value)
    }

    /// Sets the value of an array of one.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map.
    pub fn set_value<V: Pod>(&mut self, map: &str, value: V) -> Result<()> {
        self.set_values(map, &[value])
    }

    /// Sets the first values of an array.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map, or no room in it.
    pub fn set_values<V: Pod>(&mut self, map: &str, values: &[V]) -> Result<()> {
        let mut array = Array::<_, V>::try_from(self.map_mut(map)?).map_err(map_error)?;
        (0..).zip(values).try_for_each(|(index, value)| array.set(index, value, 0)).map_err(map_error)
    }

    /// All values of an array.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map.
    pub fn array<V: Pod>(&self, map: &str) -> Result<Vec<V>> {
        let array = Array::<_, V>::try_from(self.map(map)?).map_err(map_error)?;
        (0..array.len()).map(|index| array.get(&index, 0).map_err(map_error)).collect()
    }

    /// The value of an array of one; `None` if the object has no such map.
    ///
    /// # Errors
    /// [`Error::Object`] if the map is another one.
    pub fn value<V: Pod>(&self, map: &str) -> Result<Option<V>> {
        let Some(map) = self.ebpf.map(map) else { return Ok(None) };
        Array::<_, V>::try_from(map).and_then(|array| array.get(&0, 0)).map(Some).map_err(map_error)
    }

    /// Puts a cgroup, by its open directory, into an array of one.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map, or the directory is of no cgroup of v2.
    pub fn set_cgroup(&mut self, map: &str, cgroup: BorrowedFd<'_>) -> Result<()> {
        let mut array = CgroupArray::try_from(self.map_mut(map)?).map_err(map_error)?;
        array.set(0, cgroup, 0).map_err(map_error)
    }

    /// Adds an entry to a hash map.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map, or no room in it.
    pub fn insert<K: Pod, V: Pod>(&mut self, map: &str, key: K, value: V) -> Result<()> {
        let mut hash = HashMap::<_, K, V>::try_from(self.map_mut(map)?).map_err(map_error)?;
        hash.insert(key, value, 0).map_err(map_error)
    }

    /// Stores a value with a socket, unless there is one already; whether it was stored.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map, or no memory.
    pub fn store<V: Pod>(&mut self, map: &str, socket: BorrowedFd<'_>, value: V) -> Result<bool> {
        const BPF_NOEXIST: u64 = 1;
        let mut storage = SkStorage::<_, V>::try_from(self.map_mut(map)?).map_err(map_error)?;
        match storage.insert(&socket, value, BPF_NOEXIST) {
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
            stored => stored.map(|()| true).map_err(map_error),
        }
    }

    /// Takes an entry out of a hash map, if it is there.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map.
    pub fn remove<K: Pod, V: Pod>(&mut self, map: &str, key: K) -> Result<()> {
        let mut hash = HashMap::<_, K, V>::try_from(self.map_mut(map)?).map_err(map_error)?;
        match hash.remove(&key) {
            Err(error) if !is_missing(&error) => Err(map_error(error)),
            _ => Ok(()),
        }
    }

    /// Whether a hash map with values of one byte has a key.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map.
    pub fn has_key<K: Pod>(&self, map: &str, key: K) -> Result<bool> {
        let hash = HashMap::<_, K, u8>::try_from(self.map(map)?).map_err(map_error)?;
        match hash.get(&key, 0) {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(map_error(error)),
        }
    }

    /// Every slot of a per-CPU array: for each index, the value of each possible CPU.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map.
    pub fn per_cpu_array<V: Pod>(&self, map: &str) -> Result<Vec<Vec<V>>> {
        let array = PerCpuArray::<_, V>::try_from(self.map(map)?).map_err(map_error)?;
        (0..array.len()).map(|index| Ok(array.get(&index, 0).map_err(map_error)?.to_vec())).collect()
    }

    /// Some slots of a per-CPU array: of each, the value of every possible CPU.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map, or it has no such slot.
    pub fn per_cpu_slots<V: Pod>(&self, map: &str, slots: impl Iterator<Item = u32>) -> Result<Vec<Vec<V>>> {
        let array = PerCpuArray::<_, V>::try_from(self.map(map)?).map_err(map_error)?;
        slots.map(|slot| Ok(array.get(&slot, 0).map_err(map_error)?.to_vec())).collect()
    }

    /// Sets a slot of a per-CPU array to the same value on every CPU.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map, or it has no such slot.
    pub fn set_per_cpu_slot<V: Pod>(&mut self, map: &str, slot: u32, value: V) -> Result<()> {
        let cpus = aya::util::nr_cpus().map_err(|(path, error)| Error::os(format!("read {path}"))(error))?;
        let values = PerCpuValues::try_from(vec![value; cpus]).map_err(Error::os("count CPUs"))?;
        let mut array = PerCpuArray::<_, V>::try_from(self.map_mut(map)?).map_err(map_error)?;
        array.set(slot, values, 0).map_err(map_error)
    }

    /// All entries of a per-CPU hash map: of each, the value of every possible CPU.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map.
    pub fn per_cpu_hash_map<K: Pod, V: Pod>(&self, map: &str) -> Result<Vec<(K, Vec<V>)>> {
        let hash = PerCpuHashMap::<_, K, V>::try_from(self.map(map)?).map_err(map_error)?;
        hash.iter().map(|entry| entry.map(|(key, values)| (key, values.to_vec())).map_err(map_error)).collect()
    }

    /// Adds a prefix to a trie, or changes what it leads to.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map, or no room in it.
    pub fn insert_prefix<K: Pod, V: Pod>(&mut self, map: &str, prefix_len: u8, bits: K, value: V) -> Result<()> {
        let mut trie = LpmTrie::<_, K, V>::try_from(self.map_mut(map)?).map_err(map_error)?;
        trie.insert(&Key::new(prefix_len.into(), bits), value, 0).map_err(map_error)
    }

    /// Takes a prefix out of a trie.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map, or the prefix is not in it.
    pub fn remove_prefix<K: Pod, V: Pod>(&mut self, map: &str, prefix_len: u8, bits: K) -> Result<()> {
        let mut trie = LpmTrie::<_, K, V>::try_from(self.map_mut(map)?).map_err(map_error)?;
        trie.remove(&Key::new(prefix_len.into(), bits)).map_err(map_error)
    }

    /// All prefixes of a trie: how many bits each has, the bits, and what it leads to.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map.
    pub fn prefixes<K: Pod, V: Pod>(&self, map: &str) -> Result<Vec<(u32, K, V)>> {
        let trie = LpmTrie::<_, K, V>::try_from(self.map(map)?).map_err(map_error)?;
        let entry = |(key, value): (Key<K>, V)| (key.prefix_len(), key.data(), value);
        trie.iter().map(|found| found.map(entry).map_err(map_error)).collect()
    }

    /// All entries of a hash map, in batches where the kernel has them.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map, [`Error::Os`].
    pub fn hash_map<K: Pod, V: Pod>(&self, map: &str) -> Result<Vec<(K, V)>> {
        let hash = HashMap::<_, K, V>::try_from(self.map(map)?).map_err(map_error)?;
        match sys::lookup_all(map_data(self.map(map)?)?.fd().as_fd()) {
            Ok(entries) => Ok(entries),
            Err(error) if no_batches(&error) => hash.iter().map(|entry| entry.map_err(map_error)).collect(),
            Err(source) => Err(Error::Os { operation: format!("read map {map}"), source }),
        }
    }

    /// The addresses of a stack, by its number, the innermost first; none if it is not there.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map.
    pub fn stack(&self, map: &str, number: u32) -> Result<Vec<u64>> {
        match StackTraceMap::try_from(self.map(map)?).and_then(|stacks| stacks.get(&number, 0)) {
            Ok(stack) => Ok(stack.frames().iter().map(|frame| frame.ip).collect()),
            Err(error) if is_missing(&error) => Ok(Vec::new()),
            Err(error) => Err(map_error(error)),
        }
    }

    /// The reader of a ring buffer; there is one.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map, or it was taken before.
    pub fn take_ring(&mut self, map: &str) -> Result<Ring> {
        let map = self.ebpf.take_map(map).ok_or_else(|| no_map(map))?;
        RingBuf::try_from(map).map(Ring).map_err(map_error)
    }

    /// The reader of a perf event array, with a buffer of that many bytes (a power of two, at least a page) for each
    /// CPU that is online.
    ///
    /// # Errors
    /// [`Error::Object`] if there is no such map, [`Error::Os`] where the kernel refuses a buffer.
    pub fn take_perf(&mut self, map: &str, bytes: usize) -> Result<Perf> {
        let map = self.ebpf.take_map(map).ok_or_else(|| no_map(map))?;
        let mut array = PerfEventArray::try_from(map).map_err(map_error)?;
        let cpus = cpus()?;
        let pages =
            bytes / nix::unistd::sysconf(SysconfVar::PAGE_SIZE).ok().flatten().map_or(4_096, |size| size as usize);
        let open = |cpu| {
            array.open(cpu, Some(pages)).map_err(|error| match is_refusal(&error) {
                true => privilege::perf_refused("making perf buffers"),
                false => Error::os(format!("make a perf buffer for CPU {cpu}"))(io::Error::other(with_causes(&error))),
            })
        };
        Ok(Perf { buffers: cpus.into_iter().map(open).collect::<Result<_>>()?, lost: 0 })
    }

    /// Runs of attached programs that the kernel skipped, if it tells; of two that do the same, those that it skipped of
    /// both, at most.
    pub fn missed(&self) -> Option<u64> {
        if self.attached.is_empty() {
            return None;
        }
        let single = self.attached.iter().map(|name| self.missed_by(name)).sum::<Option<u64>>()?;
        let paired = self.pairs.iter().map(|names| {
            let [first, second] = names.map(|name| self.missed_by(name));
            Some(first?.min(second?))
        });
        Some(single + paired.sum::<Option<u64>>()?)
    }

    fn missed_by(&self, name: &str) -> Option<u64> {
        let multi: Vec<_> = self.multi.iter().filter(|multi| multi.name == name).collect();
        let missed = multi.iter().map(|multi| multi.missed()).sum::<Option<u64>>()?;
        let is_alone = !multi.is_empty() && self.ebpf.program(name)?.fd().is_err();
        if is_alone { Some(missed) } else { Some(missed + self.missed_by_loaded(name)?) }
    }

    /// Of a program that aya has loaded. The kernel counts what it skips of tracing programs only, of those at perf events
    /// from 6.7 on (`trace_call_bpf` in kernel/trace/bpf_trace.c), and of returns in a link that aya 0.14 does not let us
    /// ask.
    fn missed_by_loaded(&self, name: &str) -> Option<u64> {
        let program = self.ebpf.program(name)?;
        let is_counted = match program {
            Program::KProbe(program) => matches!(program.kind(), ProbeKind::Entry) && counts_at_events(),
            Program::UProbe(program) => matches!(program.kind(), ProbeKind::Entry) && counts_at_events(),
            Program::TracePoint(_) => counts_at_events(),
            Program::Xdp(_)
            | Program::SchedClassifier(_)
            | Program::CgroupSkb(_)
            | Program::CgroupSock(_)
            | Program::PerfEvent(_) => false,
            _ => true,
        };
        is_counted.then(|| sys::recursion_misses(program.fd().ok()?.as_fd()).ok()?).flatten()
    }

    fn map_mut(&mut self, name: &str) -> Result<&mut Map> {
        self.ebpf.map_mut(name).ok_or_else(|| no_map(name))
    }

    fn map(&self, name: &str) -> Result<&Map> {
        self.ebpf.map(name).ok_or_else(|| no_map(name))
    }
}

/// The reading end of a ring buffer. Its file descriptor is readable while there are records.
pub struct Ring(RingBuf<MapData>);

impl Ring {
    /// Hands on the next record, if there is one.
    pub fn next<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.0.next().map(|record| read(&record))
    }
}

/// The reading ends of a perf event array, one for each CPU.
pub struct Perf {
    buffers: Vec<PerfEventArrayBuffer<MapData>>,
    lost: u64,
}

impl Perf {
    /// Hands on all records, those of one CPU after those of another. Where the buffer ends inside of one its end is
    /// handed on beside it. Records are followed by padding.
    pub fn drain(&mut self, mut read: impl FnMut(&[u8], &[u8])) {
        let lost = &mut self.lost;
        for buffer in &mut self.buffers {
            buffer.for_each(|event| match event {
                PerfEvent::Sample { head, tail } => read(head, tail),
                PerfEvent::Lost { count } => *lost += count,
            });
        }
    }

    /// Records that did not fit, as far as the kernel has told it: with the next that did. Our own programs count them.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Each is readable while there are records.
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.buffers.iter().map(AsFd::as_fd).collect()
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn map_data(map: &Map) -> Result<&MapData> {
    match map {
        Map::HashMap(data) | Map::LruHashMap(data) => Ok(data),
        _ => Err(Error::Object("the map is no hash map".to_owned())),
    }
}

/// `EINVAL`: no such command before 5.6; 524, `ENOTSUPP`: not for this kind of map.
fn no_batches(error: &io::Error) -> bool {
    const ENOTSUPP: i32 = 524;
    matches!(error.raw_os_error(), Some(libc::EINVAL | ENOTSUPP))
}

/// Whether EPERM is at the bottom of an error.
fn is_refusal(error: &(dyn error::Error + 'static)) -> bool {
    has_cause(error, |cause| cause.kind() == io::ErrorKind::PermissionDenied)
}

/// Whether the kernel does not know what it was asked for.
fn is_unknown(error: &(dyn error::Error + 'static)) -> bool {
    has_cause(error, |cause| matches!(cause.raw_os_error(), Some(libc::EINVAL | libc::E2BIG)))
}

fn has_cause(error: &(dyn error::Error + 'static), is_it: fn(&io::Error) -> bool) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_it))
}

fn no_program(name: &str) -> Error {
    Error::Object(format!("it has no program {name} of that kind"))
}

fn no_map(name: &str) -> Error {
    Error::Object(format!("it has no map {name}"))
}

fn map_error(error: MapError) -> Error {
    Error::Object(with_causes(&error))
}

/// Whether it says that there is no such key.
fn is_missing(error: &MapError) -> bool {
    match error {
        MapError::KeyNotFound => true,
        MapError::SyscallError(error) => error.io_error.raw_os_error() == Some(libc::ENOENT),
        _ => false,
    }
}

/// The kernel's types, or as many of them as are left when they are cut down. They are read once: `kernel` keeps them.
fn kernel_btf(
    kernel: &mut Option<Vec<u8>>,
    feature: &str,
    cut_down: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Result<Btf> {
    const PATH: &str = "/sys/kernel/btf/vmlinux";
    let lacking = |reason: String| Error::NotSupported {
        feature: feature.to_owned(),
        needs: "a kernel built with CONFIG_DEBUG_INFO_BTF".to_owned(),
        reason: format!("{PATH}: {reason}"),
    };
    if kernel.is_none() {
        *kernel = Some(fs::read(PATH).map_err(|error| lacking(error.to_string()))?);
    }
    let whole = kernel.as_deref().unwrap_or_default();
    let bytes = cut_down(whole).map_or(Cow::Borrowed(whole), Cow::Owned);
    Btf::parse(&bytes, Endianness::default()).map_err(|error| lacking(with_causes(&error)))
}

fn load(program: &mut Program, target: &Target, btf: Option<&Btf>) -> Result<(), ProgramError> {
    let loaded = match (program, target, btf) {
        (Program::FEntry(program), Target::Fentry(function), Some(btf)) => program.load(function, btf),
        (Program::FExit(program), Target::Fexit(function), Some(btf)) => program.load(function, btf),
        (Program::KProbe(program), Target::Kprobe(_) | Target::Kretprobe(_), _) => program.load(),
        (Program::RawTracePoint(program), Target::RawTracepoint(_), _) => program.load(),
        (Program::TracePoint(program), Target::Tracepoint(..), _) => program.load(),
        (Program::Xdp(program), Target::Xdp(..), _) => program.load(),
        (Program::SchedClassifier(program), Target::Tcx(_) | Target::Clsact(_), _) => program.load(),
        (Program::CgroupSkb(program), Target::CgroupSkb(..), _) => program.load(),
        (Program::CgroupSock(program), Target::CgroupSock(_), _) => program.load(),
        (Program::UProbe(program), Target::Uprobe(_) | Target::Uretprobe(_), _) => program.load(),
        (Program::PerfEvent(program), Target::Clock(..), _) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    };
    match loaded {
        Err(ProgramError::AlreadyLoaded) => Ok(()),
        loaded => loaded,
    }
}

/// The perf event that stands for a target.
fn open_event(target: &Target) -> io::Result<OwnedFd> {
    let kind = |pmu: &str| {
        let number = fs::read_to_string(format!("/sys/bus/event_source/devices/{pmu}/type"))?;
        number.trim().parse().map_err(io::Error::other)
    };
    // From a line such as `config:0`, a bit.
    let at_return = || {
        let format = fs::read_to_string("/sys/bus/event_source/devices/uprobe/format/retprobe")?;
        let bit: Option<u32> = format.trim().strip_prefix("config:").and_then(|bit| bit.parse().ok());
        bit.and_then(|bit| 1_u64.checked_shl(bit)).ok_or(io::Error::from(io::ErrorKind::InvalidData))
    };
    match target {
        Target::Clock(cpu, hz) => sys::open_clock(*cpu, *hz),
        Target::Kprobe(function) => sys::open_probe(kind("kprobe")?, 0, &CString::new(function.as_bytes())?, 0, None),
        Target::Uprobe(Uprobe { path, offset, pid, .. }) | Target::Uretprobe(Uprobe { path, offset, pid, .. }) => {
            let config = if matches!(target, Target::Uretprobe(_)) { at_return()? } else { 0 };
            sys::open_probe(kind("uprobe")?, config, &CString::new(path.as_os_str().as_bytes())?, *offset, *pid)
        }
        Target::Tracepoint(category, name) => {
            let id = tracefs::event_id(category, name).ok_or(io::ErrorKind::NotFound)?;
            sys::open_tracepoint(id)
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn attach(program: &mut Program, target: &Target) -> Result<(), ProgramError> {
    match (program, target) {
        (Program::FEntry(program), Target::Fentry(_)) => FEntry::attach(program).map(drop),
        (Program::FExit(program), Target::Fexit(_)) => FExit::attach(program).map(drop),
        // At entry or at return, as the program's section says.
        (Program::KProbe(program), Target::Kprobe(function) | Target::Kretprobe(function)) => {
            KProbe::attach(program, function.as_ref(), 0).map(drop)
        }
        (Program::RawTracePoint(program), Target::RawTracepoint(name)) => {
            RawTracePoint::attach(program, name).map(drop)
        }
        (Program::TracePoint(program), Target::Tracepoint(category, name)) => {
            TracePoint::attach(program, category, name).map(drop)
        }
        (Program::SchedClassifier(program), Target::Tcx(tc)) => {
            // Before all others: the first that does not leave the decision to the next one is the last to run.
            let options = TcAttachOptions::TcxOrder(LinkOrder::first());
            program.attach_with_options(&tc.iface, tc_attach_type(tc.direction), options).map(drop)
        }
        (Program::CgroupSkb(program), Target::CgroupSkb(cgroup, direction)) => {
            let direction = match direction {
                Direction::Ingress => CgroupSkbAttachType::Ingress,
                Direction::Egress => CgroupSkbAttachType::Egress,
            };
            program.attach(open_cgroup(cgroup)?, direction, ONE_OF_MANY).map(drop)
        }
        (Program::CgroupSock(program), Target::CgroupSock(cgroup)) => {
            program.attach(open_cgroup(cgroup)?, ONE_OF_MANY).map(drop)
        }
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// A bpf_link to a cgroup is one of many by itself, and the kernel takes no flag that says so.
const ONE_OF_MANY: CgroupAttachMode = CgroupAttachMode::Single;

fn open_cgroup(cgroup: &Path) -> Result<File, ProgramError> {
    File::open(cgroup).map_err(|io_error| SyscallError { call: "open", io_error }.into())
}

/// By a bpf_link only: a netlink attachment, which aya falls back to on EINVAL, would outlive this process.
fn attach_xdp(program: &mut Xdp, index: u32, mode: XdpMode) -> Result<XdpLinkId, ProgramError> {
    let id = program.attach_to_if_index(index, mode)?;
    let link = FdLink::try_from(program.take_link(id)?).map_err(|_| {
        let io_error = io::Error::from_raw_os_error(libc::EINVAL);
        SyscallError { call: "bpf_link_create", io_error }
    })?;
    let link = link.try_into().map_err(|_| ProgramError::NotAttached)?;
    program.attach_to_link(link)
}

fn tc_attach_type(direction: Direction) -> TcAttachType {
    match direction {
        Direction::Ingress => TcAttachType::Ingress,
        Direction::Egress => TcAttachType::Egress,
    }
}

/// It is `Clsact` that takes the filter away, in the right network namespace from whatever thread.
fn attach_clsact(program: &mut SchedClassifier, clsact: &Clsact, tc: &Tc) -> Result<()> {
    clsact.add(tc.direction, |handle, priority| {
        let options = TcAttachOptions::Netlink(NlOptions { priority, handle: handle.into(), classid: None });
        let added = program
            .attach_with_options(&tc.iface, tc_attach_type(tc.direction), options)
            .and_then(|id| program.take_link(id))
            .and_then(|link| {
                let priority = link.priority();
                // It holds nothing; dropping it would remove the filter.
                std::mem::forget(link);
                priority
            });
        added.map_err(|error| attach_error(&Target::Clsact(tc.clone()), &error))
    })
}

fn unload(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::FEntry(program) => program.unload(),
        Program::FExit(program) => program.unload(),
        Program::KProbe(program) => program.unload(),
        Program::RawTracePoint(program) => program.unload(),
        Program::TracePoint(program) => program.unload(),
        Program::Xdp(program) => program.unload(),
        Program::SchedClassifier(program) => program.unload(),
        Program::CgroupSkb(program) => program.unload(),
        Program::CgroupSock(program) => program.unload(),
        Program::UProbe(program) => program.unload(),
        Program::PerfEvent(program) => program.unload(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// Opens an object for runs of one of its programs on packets: of the only one of its kind, unless it is named.
///
/// # Errors
/// [`Error::InvalidArgument`] where it has none, or several; [`Error::Privilege`], [`Error::Object`].
pub fn open_packet_program(elf: &[u8], kind: PacketProgram, name: Option<String>) -> Result<(Object, String)> {
    privilege::require("running a program on a packet", privilege::NETWORK)?;
    let object = Opener::new(elf).open()?;
    let mut names = object.packet_programs(kind);
    names.sort();
    let what = match kind {
        PacketProgram::Xdp => "for XDP",
        PacketProgram::Classifier => "for tc",
    };
    let told = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    match (name, names.as_slice()) {
        (Some(name), _) if names.contains(&name) => Ok((object, name)),
        (Some(name), _) => {
            Err(Error::InvalidArgument(format!("the object has no program {name} {what}; those it has: {told}")))
        }
        (None, [name]) => Ok((object, name.clone())),
        (None, _) => Err(Error::InvalidArgument(format!("say which program {what}; those it has: {told}"))),
    }
}

/// Has every program of an object verified by this kernel, in the order of their names: each is loaded, nothing is
/// attached, and all are unloaded again. Returns the names and how many instructions the verifier went through, which
/// kernels tell from 5.16 on.
///
/// # Errors
/// [`Error::Verifier`], [`Error::Privilege`], [`Error::Object`]; [`Error::NotSupported`] for a program that is verified
/// against what it is attached to.
pub fn verify(elf: &[u8]) -> Result<Vec<(String, Option<u32>)>> {
    let mut programs = Verifiable::open(elf)?;
    let mut names: Vec<_> = programs.object.ebpf.programs().map(|(name, _)| name.to_owned()).collect();
    if names.is_empty() {
        return Err(Error::Object("it has no programs".to_owned()));
    }
    names.sort();
    names.into_iter().map(|name| Ok((name.clone(), programs.load(&name)?))).collect()
}

/// An object whose programs are only loaded, to see what the verifier says.
pub(crate) struct Verifiable {
    object: Object,
}

impl Verifiable {
    /// Makes the object's maps.
    pub(crate) fn open(elf: &[u8]) -> Result<Self> {
        privilege::require("verifying a BPF object", privilege::TRACING)?;
        Ok(Self { object: Opener::new(elf).open()? })
    }

    /// Loads a program of any kind that can be loaded without saying what it will be attached to; returns how many
    /// instructions the verifier went through.
    pub(crate) fn load(&mut self, name: &str) -> Result<Option<u32>> {
        self.object.load_alone(name)?;
        let program = self.object.ebpf.program(name).ok_or_else(|| no_program(name))?;
        let info = program.info().map_err(|error| Error::Object(with_causes(&error)))?;
        Ok(info.verified_instruction_count())
    }
}

fn load_alone(name: &str, program: &mut Program) -> Result<Result<(), ProgramError>> {
    Ok(match program {
        Program::CgroupDevice(program) => program.load(),
        Program::CgroupSkb(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::CgroupSockopt(program) => program.load(),
        Program::CgroupSysctl(program) => program.load(),
        Program::FlowDissector(program) => program.load(),
        Program::KProbe(program) => program.load(),
        Program::LircMode2(program) => program.load(),
        Program::PerfEvent(program) => program.load(),
        Program::RawTracePoint(program) => program.load(),
        Program::ReusePortSocketFilter(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        Program::SkLookup(program) => program.load(),
        Program::SkMsg(program) => program.load(),
        Program::SkReuseport(program) => program.load(),
        Program::SkSkb(program) => program.load(),
        Program::SockOps(program) => program.load(),
        Program::SocketFilter(program) => program.load(),
        Program::TracePoint(program) => program.load(),
        Program::UProbe(program) => program.load(),
        Program::Xdp(program) => program.load(),
        Program::BtfTracePoint(_)
        | Program::Extension(_)
        | Program::FEntry(_)
        | Program::FExit(_)
        | Program::Iter(_)
        | Program::Lsm(_)
        | Program::LsmCgroup(_) => {
            return Err(Error::NotSupported {
                feature: format!("verifying program {name}"),
                needs: "the kernel function or hook that it is attached to".to_owned(),
                reason: "programs of its kind are only verified when they are attached".to_owned(),
            });
        }
    })
}

/// What the kernel wants of whoever loads a program (`is_net_admin_prog_type` in kernel/bpf/syscall.c).
fn capabilities(program: &Program) -> &'static [privilege::Capability] {
    match program.prog_type() {
        ProgramType::KProbe
        | ProgramType::PerfEvent
        | ProgramType::RawTracePoint
        | ProgramType::SocketFilter
        | ProgramType::TracePoint => privilege::TRACING,
        _ => privilege::NETWORK,
    }
}

fn load_error(program: &str, error: ProgramError, elf: &[u8]) -> Error {
    let ProgramError::LoadError { io_error, verifier_log } = error else {
        return Error::Object(format!("program {program}: {}", with_causes(&error)));
    };
    let log = verifier_log.to_string();
    let log = log.trim();
    match io_error.kind() {
        io::ErrorKind::PermissionDenied if log.is_empty() => refused(&format!("loading {program}")),
        _ if log.is_empty() => Error::Os { operation: format!("load program {program}"), source: io_error },
        _ => {
            let lines = Lines::of(elf, program);
            let explained = Box::new(verifier::explain_program(log, Some(program), lines.as_ref()));
            Error::Verifier { program: program.to_owned(), explained, log: log.to_owned() }
        }
    }
}

fn attach_error(target: &Target, error: &(dyn error::Error + 'static)) -> Error {
    // These are perf events, for which the kernel has rules of their own.
    if matches!(
        target,
        Target::Kprobe(_)
            | Target::Kretprobe(_)
            | Target::Tracepoint(..)
            | Target::Uprobe(_)
            | Target::Uretprobe(_)
            | Target::Clock(..)
    ) && is_refusal(error)
    {
        let operation = format!("attaching to {target}");
        return match target {
            Target::Uprobe(_) | Target::Uretprobe(_) => privilege::uprobe_refused(&operation),
            _ => privilege::perf_refused(&operation),
        };
    }
    if matches!(target, Target::Tcx(_)) && is_unknown(error) {
        return Error::NotSupported {
            feature: "attaching by TCX".to_owned(),
            needs: "Linux 6.6 or later".to_owned(),
            reason: "this kernel has no TCX".to_owned(),
        };
    }
    let (what, hint) = match target {
        Target::Fentry(name) | Target::Fexit(name) | Target::Kprobe(name) | Target::Kretprobe(name) => {
            (format!("kernel function {name}"), "")
        }
        Target::RawTracepoint(name) => (format!("raw tracepoint {name}"), ""),
        Target::Tracepoint(category, name) => {
            (format!("tracepoint {category}:{name}"), "; is tracefs mounted on /sys/kernel/tracing?")
        }
        Target::Xdp(index, _) => (format!("interface {index}"), ""),
        Target::Tcx(tc) | Target::Clsact(tc) => (tc.to_string(), ""),
        Target::CgroupSkb(cgroup, _) | Target::CgroupSock(cgroup) if is_refusal(error) => {
            (format!("cgroup {}", cgroup.display()), "; a program there, or above, allows no others beside it")
        }
        Target::CgroupSkb(cgroup, _) | Target::CgroupSock(cgroup) => (format!("cgroup {}", cgroup.display()), ""),
        Target::Clock(..) => (target.to_string(), ""),
        Target::Uprobe(Uprobe { path, name, .. }) | Target::Uretprobe(Uprobe { path, name, .. }) => {
            (format!("{name} in {}", path.display()), "")
        }
    };
    Error::Attach { target: what, reason: format!("{}{hint}", with_causes(error)) }
}
