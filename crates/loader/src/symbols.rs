//! Names for addresses: of functions of the kernel, of programs and libraries, and of code that a process made itself and
//! tells of (`/tmp/perf-PID.map`).
//!
//! A process's addresses mean something as long as it is there: what it has mapped is read when there are new ones, and
//! kept for the time after its end. Files of processes are read, not mapped into memory, and none that is too large, so
//! that nobody can make this process fail by changing them.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fmt::{self, Write as _},
    fs::{self, File, OpenOptions},
    io::Read as _,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{elf, targets::text_symbol};

/// What stands in the place of a name that cannot be had.
pub(crate) const UNKNOWN: &str = "[unknown]";

/// Functions by their addresses, or by their places in a file.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    /// First and last byte, and name; by the first.
    functions: Vec<(u64, u64, Box<str>)>,
}

impl Symbols {
    /// Those of the kernel and its modules, and BPF programs. None where the kernel hides their addresses.
    fn of_kernel() -> Self {
        let text = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
        Self::parse_kallsyms(&text)
    }

    fn parse_kallsyms(text: &str) -> Self {
        /// Longer than any function: what comes later was made after this was read, or belongs to nobody.
        const LONGEST: u64 = 1 << 20;
        let mut starts: Vec<_> = text.lines().filter_map(text_symbol).filter(|(address, _)| *address != 0).collect();
        // Of several names for one the first is taken.
        starts.sort_by_key(|(address, _)| *address);
        starts.dedup_by_key(|(address, _)| *address);
        let next: Vec<_> = starts.iter().skip(1).map(|(address, _)| *address).chain([u64::MAX]).collect();
        let functions = starts
            .into_iter()
            .zip(next)
            .map(|((start, name), next)| (start, (next - 1).min(start.saturating_add(LONGEST)), name.into()));
        Self { functions: functions.collect() }
    }

    /// Those of a binary by their places in the file.
    fn of_file(path: &Path) -> Self {
        let mut found = elf::symbols(path).unwrap_or_default();
        // Of several names for one: the one that says how long it is, then the one that looks most like for people.
        let key = |(start, size, name): &(u64, u64, String)| (*start, *size == 0, name.starts_with('_'), name.len());
        found.sort_by_cached_key(|symbol| (key(symbol), symbol.2.clone()));
        found.dedup_by_key(|(start, ..)| *start);
        let next: Vec<_> = found.iter().skip(1).map(|(start, ..)| *start).chain([u64::MAX]).collect();
        let functions = found.into_iter().zip(next).map(|((start, size, name), next)| {
            // Those written in assembler may have no size.
            let end = if size == 0 { next - 1 } else { start.saturating_add(size - 1) };
            (start, end, name.into())
        });
        Self { functions: functions.collect() }
    }

    /// Those of code that a process made, from lines such as `7f0000000000 1f py::work:/srv/app.py`. A line that is none, as
    /// the last may be that is being written, is left out.
    fn parse_perf_map(text: &[u8]) -> Self {
        let function = |line: &[u8]| {
            let line = String::from_utf8_lossy(line);
            let mut parts = line.splitn(3, ' ');
            let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
            let (start, size) = (number()?, number()?);
            Some((start, start.checked_add(size.checked_sub(1)?)?, parts.next()?.into()))
        };
        let mut functions: Vec<(u64, u64, Box<str>)> = text.split(|byte| *byte == b'\n').filter_map(function).collect();
        // Of several at one place the last is there now.
        functions.reverse();
        functions.sort_by_key(|(start, ..)| *start);
        functions.dedup_by_key(|(start, ..)| *start);
        Self { functions }
    }

    /// The function that is there.
    fn find(&self, address: u64) -> Option<&str> {
        let after = self.functions.partition_point(|(start, ..)| *start <= address);
        let (_, end, name) = self.functions.get(after.checked_sub(1)?)?;
        (address <= *end).then_some(name)
    }
}

/// The name as it is in the source, for C++ and Rust. Short names can be made that stand for endless ones: these stay.
fn demangle(name: &str) -> String {
    let mut long = Bounded(String::new());
    let written = if let Ok(symbol) = rustc_demangle::try_demangle(name) {
        // Without the hash at the end.
        write!(long, "{symbol:#}")
    } else if name.starts_with("_Z")
        && let Ok(symbol) = cpp_demangle::Symbol::new(name)
    {
        symbol.structured_demangle(&mut long, &cpp_demangle::DemangleOptions::default())
    } else {
        Err(fmt::Error)
    };
    written.map_or_else(|_| name.to_owned(), |()| long.0)
}

/// Takes no more than there is sense in.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        const MOST: usize = 4_096;
        if self.0.len() + part.len() > MOST {
            return Err(fmt::Error);
        }
        self.0.push_str(part);
        Ok(())
    }
}

/// A part of a process's memory that may be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    /// The file, or a name in brackets such as `[vdso]`; empty for memory that the process made itself.
    path: PathBuf,
}

/// From a line such as `7f0000000000-7f0000001000 r-xp 00001000 fe:00 1234   /usr/lib/libc.so.6`.
fn mapping(line: &[u8]) -> Option<Mapping> {
    let mut parts = line.splitn(6, |byte| *byte == b' ');
    let mut part = || std::str::from_utf8(parts.next()?).ok();
    let (start, end) = part()?.split_once('-')?;
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    let (start, end) = (number(start)?, number(end)?);
    let is_code = part()?.contains('x');
    let offset = number(part()?)?;
    let _device = part()?;
    let _inode = part()?;
    let path = parts.next().unwrap_or_default().trim_ascii_start();
    is_code.then(|| Mapping { start, end, offset, path: OsStr::from_bytes(path).into() })
}

impl Mapping {
    /// Whether it is memory of no file, into which a process may have put code that it made.
    fn is_made(&self) -> bool {
        let path = self.path.as_os_str().as_bytes();
        path.is_empty()
            || [&b"[anon"[..], b"/memfd:", b"//anon", b"/dev/zero"].iter().any(|made| path.starts_with(made))
    }

    /// Where the file may be found, the surest first.
    fn files(&self, pid: u32, is_here: bool) -> Vec<PathBuf> {
        let Self { start, end, path, .. } = self;
        // It takes CAP_SYS_ADMIN, and is the very file also where its name is gone or of another container.
        let mut files = vec![PathBuf::from(format!("/proc/{pid}/map_files/{start:x}-{end:x}"))];
        if !path.as_os_str().as_bytes().ends_with(b" (deleted)") {
            files.push(Path::new(&format!("/proc/{pid}/root")).join(path.strip_prefix("/").unwrap_or(path)));
            if is_here {
                files.push(path.clone());
            }
        }
        files
    }
}

/// A process, as it was when it was last looked at.
#[derive(Default)]
struct Process {
    /// Where it has code, with the symbols of those files that were asked for.
    mappings: Vec<(Mapping, Option<Arc<Symbols>>)>,
    /// Code that it made itself.
    made: Symbols,
    /// How long the file was that tells of it.
    told: u64,
    /// Whether it sees the same files as this process.
    is_here: bool,
}

impl Process {
    /// Looks at what it has mapped now; `None` if it is gone.
    fn look(&mut self, pid: u32) -> Option<()> {
        let maps = fs::read(format!("/proc/{pid}/maps")).ok()?;
        let mut known = std::mem::take(&mut self.mappings);
        let symbols = |mapping: Mapping| {
            let same = known.iter_mut().find(|(known, _)| *known == mapping);
            let symbols = same.and_then(|(_, symbols)| symbols.take());
            (mapping, symbols)
        };
        self.mappings = maps.split(|byte| *byte == b'\n').filter_map(mapping).map(symbols).collect();
        let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/mnt")).ok();
        self.is_here = namespace("self").is_some_and(|own| namespace(&pid.to_string()) == Some(own));
        Some(())
    }

    /// Reads what it tells of the code that it made itself, if that has become more.
    fn read_made(&mut self, pid: u32) {
        let Some(file) = perf_map(pid) else { return };
        let len = file.metadata().map_or(0, |file| file.len());
        if len == self.told || len > LARGEST_PERF_MAP {
            return;
        }
        let mut text = Vec::new();
        if file.take(LARGEST_PERF_MAP).read_to_end(&mut text).is_ok() {
            self.made = Symbols::parse_perf_map(&text);
            self.told = len;
        }
    }
}

/// Nobody has more to tell.
const LARGEST_PERF_MAP: u64 = 64 << 20;
/// Nor so much code, with what is said about it.
const LARGEST_FILE: u64 = 512 << 20;
/// Functions of files that are kept at once.
const MOST_FUNCTIONS: usize = 4 << 20;
/// Processes that are kept at once.
const MOST_PROCESSES: usize = 8_192;

/// The file in which a process tells of code that it made, by the name that it has there. Whoever may write to /tmp can
/// make one for any process: only its own user is believed.
fn perf_map(pid: u32) -> Option<File> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let inner =
        status.lines().find_map(|line| line.strip_prefix("NSpid:")).and_then(|ids| ids.split_whitespace().last());
    let path = format!("/proc/{pid}/root/tmp/perf-{}.map", inner.map_or_else(|| pid.to_string(), str::to_owned));
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).ok()?;
    let (about, process) = (file.metadata().ok()?, fs::metadata(format!("/proc/{pid}")).ok()?);
    (about.is_file() && about.uid() == process.uid()).then_some(file)
}

/// Gives names to addresses.
pub(crate) struct Symbolizer {
    kernel: Symbols,
    processes: HashMap<u32, Process>,
    /// By device and inode.
    files: HashMap<(u64, u64), Arc<Symbols>>,
    /// How many functions there are in all of them.
    kept: usize,
    /// Processes that were gone before they could be looked at.
    gone: HashSet<u32>,
}

impl Symbolizer {
    /// Reads the symbols of the kernel, which takes CAP_SYSLOG.
    pub(crate) fn new() -> Self {
        Self {
            kernel: Symbols::of_kernel(),
            processes: HashMap::new(),
            files: HashMap::new(),
            kept: 0,
            gone: HashSet::new(),
        }
    }

    /// Whether the kernel tells where its functions are.
    pub(crate) fn knows_kernel(&self) -> bool {
        !self.kernel.functions.is_empty()
    }

    /// How many processes ended before anything could be known of them.
    pub(crate) fn gone(&self) -> usize {
        self.gone.len()
    }

    /// Looks at what a process has mapped, before its addresses are asked for.
    pub(crate) fn look(&mut self, pid: u32) {
        if self.processes.len() >= MOST_PROCESSES {
            self.processes.clear();
        }
        if self.processes.entry(pid).or_default().look(pid).is_none() && self.processes[&pid].mappings.is_empty() {
            self.gone.insert(pid);
        }
    }

    /// Names for a stack in the kernel, the innermost first.
    pub(crate) fn kernel(&self, addresses: &[u64]) -> Vec<String> {
        calls(addresses).map(|address| self.kernel.find(address).unwrap_or(UNKNOWN).to_owned()).collect()
    }

    /// Names for a stack of a process, the innermost first.
    pub(crate) fn user(&mut self, pid: u32, addresses: &[u64]) -> Vec<String> {
        calls(addresses).map(|address| self.function(pid, address).unwrap_or_else(|| UNKNOWN.to_owned())).collect()
    }

    fn function(&mut self, pid: u32, address: u64) -> Option<String> {
        let process = self.processes.get_mut(&pid)?;
        let (mapping, known) =
            process.mappings.iter_mut().find(|(mapping, _)| (mapping.start..mapping.end).contains(&address))?;
        if mapping.is_made() {
            if process.made.find(address).is_none() {
                process.read_made(pid);
            }
            return process.made.find(address).map(str::to_owned);
        }
        let Some(file) = mapping.path.file_name().filter(|_| mapping.path.is_absolute()) else {
            return Some(mapping.path.to_string_lossy().into_owned());
        };
        let symbols = match known {
            Some(symbols) => symbols.clone(),
            None => {
                let read = symbols_of(&mut self.files, &mut self.kept, pid, mapping, process.is_here);
                known.insert(read).clone()
            }
        };
        let place = address - mapping.start + mapping.offset;
        let unnamed = || format!("{}+{place:#x}", file.to_string_lossy());
        Some(symbols.find(place).map_or_else(unnamed, demangle))
    }
}

/// The symbols of a file that a process has mapped; none where it cannot be read.
fn symbols_of(
    files: &mut HashMap<(u64, u64), Arc<Symbols>>,
    kept: &mut usize,
    pid: u32,
    mapping: &Mapping,
    is_here: bool,
) -> Arc<Symbols> {
    let Some((path, about)) = mapping.files(pid, is_here).into_iter().find_map(|path| {
        let about = fs::metadata(&path).ok()?;
        (about.is_file() && about.len() <= LARGEST_FILE).then_some((path, about))
    }) else {
        return Arc::default();
    };
    let key = (about.dev(), about.ino());
    if let Some(symbols) = files.get(&key) {
        return symbols.clone();
    }
    let symbols = Arc::new(Symbols::of_file(&path));
    if *kept + symbols.functions.len() > MOST_FUNCTIONS {
        files.clear();
        *kept = 0;
    }
    *kept += symbols.functions.len();
    files.insert(key, symbols.clone());
    symbols
}

/// Where to look for the functions of a stack: all addresses but the first are those that calls return to, and a call may
/// be the last instruction of its function.
fn calls(addresses: &[u64]) -> impl Iterator<Item = u64> + '_ {
    addresses.iter().enumerate().map(|(depth, address)| address - u64::from(depth > 0))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    fn functions(symbols: &Symbols) -> Vec<(u64, u64, &str)> {
        symbols.functions.iter().map(|(start, end, name)| (*start, *end, &**name)).collect()
    }

    #[test]
    fn functions_of_the_kernel_end_where_others_begin() {
        let text = "ffffffff81000040 T second\nffffffff81000000 T first\nffffffff81000000 t alias\n\
                    ffffffff81000020 t first.cold\nffffffff81000010 D data\nffffffffc0000000 t last\t[module]\n";
        let kernel = Symbols::parse_kallsyms(text);
        for (address, expected) in [
            (0xffff_ffff_80ff_ffff, None),
            (0xffff_ffff_8100_0000, Some("first")),
            (0xffff_ffff_8100_001f, Some("first")),
            (0xffff_ffff_8100_0020, Some("first.cold")),
            (0xffff_ffff_8100_0040, Some("second")),
            (0xffff_ffff_b000_0000, None),
            (0xffff_ffff_c000_0010, Some("last")),
        ] {
            assert_eq!(kernel.find(address), expected, "{address:#x}");
        }
        assert!(Symbols::parse_kallsyms("0000000000000000 T hidden\n").functions.is_empty());
    }

    #[test]
    fn code_that_a_process_made_has_the_last_name_that_it_gave() {
        let text = b"7f10 10 py::old:/a.py\n7f00 8 py::f:/a b.py\n7f10 4 py::new:/a.py\nzz 1 x\n7f20 0 empty\n7f30 1";
        let made = Symbols::parse_perf_map(text);
        let expected = [(0x7f00, 0x7f07, "py::f:/a b.py"), (0x7f10, 0x7f13, "py::new:/a.py")];
        assert_eq!(functions(&made), expected);
        assert_eq!(made.find(0x7f08), None);
    }

    #[test]
    fn what_may_be_executed_is_found_among_mappings() {
        let line =
            b"7f0000001000-7f0000002000 r-xp 00001000 fe:00 1234                       /usr/lib/a b.so (deleted)";
        let found = mapping(line).expect("code");
        let path = PathBuf::from("/usr/lib/a b.so (deleted)");
        let expected = Mapping { start: 0x7f00_0000_1000, end: 0x7f00_0000_2000, offset: 0x1000, path };
        assert_eq!(found, expected);
        assert_eq!(found.files(1, true), [Path::new("/proc/1/map_files/7f0000001000-7f0000002000")]);
        let made = mapping(b"7f0000001000-7f0000002000 rwxp 00000000 00:00 0 ").expect("code");
        assert!(made.is_made() && !found.is_made());
        for line in ["7f0000001000-7f0000002000 rw-p 00000000 00:00 0", "", "x-y r-xp 0 0 0"] {
            assert_eq!(mapping(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn names_are_those_of_the_source() {
        for (name, expected) in [
            ("main", "main"),
            ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
            ("_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int, std::allocator<int> >::push_back(int const&)"),
            ("_Zwrong", "_Zwrong"),
        ] {
            assert_eq!(demangle(name), expected);
        }
        // `f(A<int, int>, A<A<int, int>, A<int, int>>, ...)`: each argument is twice as long as the one before.
        let twice = |digit| format!("S_IS{digit}_S{digit}_E");
        let bomb = format!("_Z1f1AIiiE{}", ('0'..='9').chain('A'..='T').map(twice).collect::<String>());
        assert_eq!(demangle(&bomb), bomb);
        assert_eq!(demangle("_Z1f1AIiiES_IS0_S0_E"), "f(A<int, int>, A<A<int, int>, A<int, int> >)");
    }

    #[test]
    fn a_perf_map_is_believed_only_of_its_own_user_and_up_to_a_size() {
        let own = std::process::id();
        let path = format!("/tmp/perf-{own}.map");
        symlink("/proc/self/maps", &path).expect("a link");
        assert!(perf_map(own).is_none());
        fs::remove_file(&path).expect("it is there");
        fs::write(&path, "1000 10 made\n").expect("written");
        let mut process = Process::default();
        process.read_made(own);
        assert_eq!((process.told, process.made.functions.len()), (13, 1));
        let file = OpenOptions::new().write(true).open(&path).expect("it is there");
        file.set_len(LARGEST_PERF_MAP + 1).expect("it takes no room");
        process.read_made(own);
        assert_eq!(process.told, 13);
        // Only root may give it away.
        let is_given_away = chown(&path, Some(65_534), None).is_ok();
        assert_eq!(perf_map(own).is_none(), is_given_away);
        fs::remove_file(&path).expect("it is there");
    }

    #[test]
    fn this_process_knows_its_own_functions() {
        let own = std::process::id();
        let mut symbolizer = Symbolizer::new();
        symbolizer.look(own);
        let here = this_process_knows_its_own_functions as fn() as usize as u64;
        let malloc = libc::malloc as unsafe extern "C" fn(usize) -> *mut libc::c_void as usize as u64;
        let names = symbolizer.user(own, &[here, malloc + 1, 1]);
        assert!(names[0].ends_with("this_process_knows_its_own_functions"), "{names:?}");
        assert_eq!(names[1..], ["malloc", UNKNOWN]);
        assert_eq!(symbolizer.gone(), 0);
        // Above the largest pid there can be (PID_MAX_LIMIT).
        symbolizer.look(4_194_305);
        assert_eq!((symbolizer.gone(), symbolizer.user(4_194_305, &[here])), (1, vec![UNKNOWN.to_owned()]));
    }
}
