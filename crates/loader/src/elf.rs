//! Programs and libraries: where they are, and the functions in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsStr,
    fs::{self, File},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use object::{
    Object as _, ObjectSegment as _, ObjectSymbol as _, ReadCache, SegmentFlags, SymbolFlags, SymbolKind,
    elf::{PF_X, STT_GNU_IFUNC},
};

use crate::error::{Error, Result, with_causes};

const LD_SO_CACHE: &str = "/etc/ld.so.cache";

/// The file of a binary: of a path that path, of a name the library that the process has mapped or the linker would
/// find, or else the program in `PATH`. For a process its own root counts.
///
/// # Errors
/// [`Error::InvalidArgument`] where there is none.
pub(crate) fn find(binary: &str, pid: Option<u32>) -> Result<PathBuf> {
    let root = pid.map_or_else(PathBuf::new, |pid| PathBuf::from(format!("/proc/{pid}/root")));
    let in_root = |path: &Path| match pid {
        Some(_) => root.join(path.strip_prefix("/").unwrap_or(path)),
        None => path.to_owned(),
    };
    let found = if binary.contains('/') {
        let path = Path::new(binary);
        Some(if path.is_absolute() { in_root(path) } else { path.to_owned() })
    } else {
        mapped(binary, pid).map(|path| in_root(&path)).or_else(|| cached(binary)).or_else(|| in_path(binary))
    };
    let found = found.filter(|path| path.is_file());
    found.ok_or_else(|| Error::InvalidArgument(format!("there is no program or library {binary}")))
}

/// Whether a file is a library that people call by that name: `libc.so.6` is `libc`, and `c`.
fn is_called(file: &OsStr, name: &str) -> bool {
    let file = file.as_bytes();
    let [exact, with_lib] = [name.to_owned(), format!("lib{name}")];
    [exact, with_lib].iter().any(|name| {
        let rest = file.strip_prefix(name.as_bytes());
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(b".so") || rest.starts_with(b"-") && ends_as_library(rest)
        })
    })
}

/// Libraries before glibc 2.34 had the version in front: `libc-2.31.so`.
fn ends_as_library(rest: &[u8]) -> bool {
    rest.get(1).is_some_and(u8::is_ascii_digit) && rest.ends_with(b".so")
}

/// The library of that name that a process has mapped.
fn mapped(name: &str, pid: Option<u32>) -> Option<PathBuf> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", pid?)).ok()?;
    let paths = maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
    paths.into_iter().find(|path| path.file_name().is_some_and(|file| is_called(file, name))).map(Path::to_owned)
}

/// The library of that name in the cache of ld.so.
fn cached(name: &str) -> Option<PathBuf> {
    let cache = fs::read(LD_SO_CACHE).ok()?;
    libraries(&cache)?.into_iter().find(|(soname, _)| is_called(OsStr::from_bytes(soname), name)).map(|(_, path)| path)
}

/// Names and paths of the libraries of this architecture, from the cache in the format of glibc 2.2 and later
/// (sysdeps/generic/dl-cache.h, `struct cache_file_new`). An older one may be in front.
fn libraries(cache: &[u8]) -> Option<Vec<(&[u8], PathBuf)>> {
    const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
    const HEADER_LEN: usize = 48;
    const ENTRY_LEN: usize = 24;
    #[cfg(target_arch = "x86_64")]
    const FLAGS: u32 = 0x0303;
    #[cfg(target_arch = "aarch64")]
    const FLAGS: u32 = 0x0a03;
    let start = cache.windows(MAGIC.len()).position(|window| window == MAGIC)?;
    let cache = &cache[start..];
    let word = |at: usize| Some(u32::from_ne_bytes(*cache.get(at..)?.first_chunk()?));
    let text = |at: u32| cache.get(at as usize..)?.split(|byte| *byte == 0).next();
    let mut found = Vec::new();
    for index in 0..word(MAGIC.len())? as usize {
        let entry = HEADER_LEN + index * ENTRY_LEN;
        if word(entry)? == FLAGS {
            found.push((text(word(entry + 4)?)?, PathBuf::from(OsStr::from_bytes(text(word(entry + 8)?)?))));
        }
    }
    Some(found)
}

/// The program that a shell would run.
fn in_path(name: &str) -> Option<PathBuf> {
    let is_program =
        |path: &PathBuf| path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(is_program)
}

/// Calls a function with a binary and its path.
fn with<T>(path: &Path, read: impl FnOnce(&object::File<'_, &ReadCache<File>>) -> T) -> Result<T> {
    let file = File::open(path).map_err(Error::os(format!("open {}", path.display())))?;
    let cache = ReadCache::new(file);
    let binary = object::File::parse(&cache).map_err(|error| {
        Error::InvalidArgument(format!("{} is no ELF file: {}", path.display(), with_causes(&error)))
    })?;
    Ok(read(&binary))
}

/// The parts of a file that are mapped to be executed: the address of each, where it is in the file, its length.
fn code<'data>(binary: &impl object::Object<'data>) -> Vec<(u64, u64, u64)> {
    let is_code = |flags| matches!(flags, SegmentFlags::Elf { p_flags } if p_flags & PF_X != 0);
    let parts = binary.segments().filter(|segment| is_code(segment.flags()));
    parts.map(|segment| (segment.address(), segment.file_range().0, segment.file_range().1)).collect()
}

/// The functions of a binary by their names, with the places of their first instructions in the file: several where a
/// library has versions of one. Symbols whose code is chosen when the library is loaded (IFUNC) are none.
///
/// # Errors
/// [`Error::Os`]; [`Error::InvalidArgument`] for what is no ELF file.
pub(crate) fn functions(path: &Path) -> Result<BTreeMap<String, BTreeSet<u64>>> {
    with(path, |binary| {
        let code = code(binary);
        let mut functions = BTreeMap::<String, BTreeSet<u64>>::new();
        for symbol in binary.symbols().chain(binary.dynamic_symbols()) {
            let is_chosen =
                matches!(symbol.flags(), SymbolFlags::Elf { st_info, .. } if st_info & 0xf == STT_GNU_IFUNC);
            let is_function = symbol.kind() == SymbolKind::Text && symbol.is_definition() && !is_chosen;
            let part = code.iter().find(|(address, _, len)| (*address..address + len).contains(&symbol.address()));
            if let (true, Some((address, offset, _)), Ok(name)) = (is_function, part, symbol.name()) {
                // GNU versions stand behind an @ in the table that is not for the linker.
                let name = name.split('@').next().unwrap_or(name);
                functions.entry(name.to_owned()).or_default().insert(symbol.address() - address + offset);
            }
        }
        functions
    })
}

/// All functions of a binary, those that are not exported too: where each is in the file, its length, its name.
///
/// # Errors
/// [`Error::Os`]; [`Error::InvalidArgument`] for what is no ELF file.
pub(crate) fn symbols(path: &Path) -> Result<Vec<(u64, u64, String)>> {
    with(path, |binary| {
        let code = code(binary);
        let symbols = binary.symbols().chain(binary.dynamic_symbols()).filter_map(|symbol| {
            let is_function = symbol.kind() == SymbolKind::Text && symbol.is_definition();
            let (address, offset, _) =
                code.iter().find(|(address, _, len)| (*address..address + len).contains(&symbol.address()))?;
            let name = symbol.name().ok()?;
            let name = name.split('@').next().unwrap_or(name);
            is_function.then(|| (symbol.address() - address + offset, symbol.size(), name.to_owned()))
        });
        symbols.collect()
    })
}

/// The place of a program's first instruction in its file.
///
/// # Errors
/// [`Error::Os`]; [`Error::InvalidArgument`] for what is no ELF file.
pub(crate) fn start(path: &Path) -> Result<u64> {
    let start = with(path, |binary| {
        let entry = binary.entry();
        let part = code(binary).into_iter().find(|(address, _, len)| (*address..address + len).contains(&entry));
        part.map(|(address, offset, _)| entry - address + offset)
    })?;
    start.ok_or_else(|| Error::InvalidArgument(format!("{} is no program", path.display())))
}

/// What is at a place of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Something that is mapped to be executed.
    Code,
    /// Something else, or the file ends before.
    Other,
}

/// What is at a place of a file.
///
/// # Errors
/// [`Error::Os`]; [`Error::InvalidArgument`] for what is no ELF file.
pub(crate) fn place(path: &Path, offset: u64) -> Result<Place> {
    with(path, |binary| {
        let is_code = code(binary).iter().any(|(_, start, len)| (*start..start + len).contains(&offset));
        if is_code { Place::Code } else { Place::Other }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_called_by_the_short_of_their_names() {
        for (file, name, expected) in [
            ("libc.so.6", "libc", true),
            ("libc.so.6", "c", true),
            ("libc.so.6", "libc.so.6", true),
            ("libc-2.31.so", "libc", true),
            ("libcap.so.2", "libc", false),
            ("libc-client.so.2007", "libc", false),
            ("libcrypto.so.3", "crypto", true),
            ("bash", "bash", true),
        ] {
            assert_eq!(is_called(OsStr::new(file), name), expected, "{file} {name}");
        }
    }

    #[test]
    fn the_cache_is_read_in_its_format() {
        let strings = b"libc.so.6\0/lib/libc.so.6\0libold.so\0/lib32/libold.so\0";
        let at = |index: u32| 48 + 2 * 24 + index;
        let entry = |flags: u32, key: u32, value: u32| {
            [flags, at(key), at(value), 0, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect::<Vec<_>>()
        };
        let native = if cfg!(target_arch = "x86_64") { 0x0303 } else { 0x0a03 };
        let header = [2, strings.len() as u32, 0, 0, 0, 0, 0].into_iter().flat_map(u32::to_ne_bytes);
        let mut cache = b"older format glibc-ld.so.cache1.1".to_vec();
        cache.extend(header);
        cache.extend(entry(native, 0, 10));
        cache.extend(entry(0x0003, 25, 35));
        cache.extend(strings);
        let found = libraries(&cache).expect("well formed");
        assert_eq!(found, [(&b"libc.so.6"[..], PathBuf::from("/lib/libc.so.6"))]);
        for len in 0..cache.len() - strings.len() {
            assert!(libraries(&cache[..len]).is_none_or(|found| found.is_empty()), "{len}");
        }
    }

    #[test]
    fn this_program_finds_the_libc_that_it_has_mapped() {
        let own = std::process::id();
        let libc = find("libc", Some(own)).expect("it is mapped");
        assert!(libc.starts_with(format!("/proc/{own}/root")), "{}", libc.display());
        let functions = functions(&libc).expect("an ELF file");
        let malloc: Vec<_> = functions["malloc"].iter().copied().collect();
        assert_eq!(malloc.len(), 1);
        assert_eq!(place(&libc, malloc[0]).expect("an ELF file"), Place::Code);
        assert_eq!(place(&libc, u64::MAX).expect("an ELF file"), Place::Other);
        assert!(find("no-such-library", None).is_err());
    }

    #[test]
    fn a_file_that_is_no_binary_is_refused() {
        let error = functions(Path::new("/etc/passwd")).expect_err("text");
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    }
}
