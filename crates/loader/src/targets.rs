//! What tools that take any target are pointed at: how it is written, and what it means on this machine.
//!
//! * `kprobe:NAME`, `fentry:NAME` or only `NAME`: a function of the kernel;
//! * `tracepoint:CATEGORY:NAME`, `raw_tracepoint:NAME`;
//! * `uprobe:BINARY:SYMBOL` or only `BINARY:SYMBOL`: a function of a program or library, by its path, by its name in
//!   `PATH`, or as the linker would find it (`libc`); `uprobe:BINARY:+0xOFFSET` any instruction of it, by its place in
//!   the file.
//!
//! `*` in a name stands for any text.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::PathBuf,
    str::FromStr,
};

use crate::{
    btf,
    elf::{self, Place},
    error::{Error, Result},
    tracefs,
};

/// A target as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    text: String,
    what: What,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A function of the kernel, by the hook that was asked for, or the best.
    Function(Option<FunctionHook>, Pattern),
    /// A tracepoint: category and name.
    Tracepoint(Pattern, Pattern),
    /// A tracepoint without its record.
    RawTracepoint(Pattern),
    /// A function of a binary.
    Symbol(String, Pattern),
    /// An instruction of a binary, by its place in the file.
    Offset(String, u64),
}

/// How a function of the kernel is hooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FunctionHook {
    /// By a trampoline.
    Fentry,
    /// By a breakpoint, or ftrace.
    Kprobe,
}

/// A name in which `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut name) = name.strip_prefix(first) else { return false };
        let mut parts: Vec<_> = rest.split('*').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            let Some((_, after)) = name.split_once(part) else { return false };
            name = after;
        }
        name.ends_with(last)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::InvalidArgument(format!("{text:?} is no target: {why}"));
        if text.is_empty() || text.contains(|char: char| char.is_whitespace() || char == '\0') {
            return Err(wrong("a target has no spaces, and is not empty"));
        }
        let pattern = |name: &str| match name {
            "" => Err(wrong("a name is missing")),
            name if name.contains(':') => Err(wrong("there is one colon too many")),
            name => Ok(Pattern(name.to_owned())),
        };
        let what = match text.split_once(':') {
            None => What::Function(None, pattern(text)?),
            Some(("kprobe", name)) => What::Function(Some(FunctionHook::Kprobe), pattern(name)?),
            Some(("fentry", name)) => What::Function(Some(FunctionHook::Fentry), pattern(name)?),
            Some(("raw_tracepoint", name)) => What::RawTracepoint(pattern(name)?),
            Some(("tracepoint", rest)) => {
                let (category, name) =
                    rest.split_once(':').ok_or_else(|| wrong("a tracepoint is tracepoint:CATEGORY:NAME"))?;
                What::Tracepoint(pattern(category)?, pattern(name)?)
            }
            Some(("uprobe", rest)) => user(rest).map_err(wrong)?,
            Some(_) => user(text).map_err(wrong)?,
        };
        Ok(Self { text: text.to_owned(), what })
    }
}

/// `BINARY:SYMBOL` or `BINARY:+0xOFFSET`. A path may have colons.
fn user(text: &str) -> Result<What, &'static str> {
    let (binary, place) = text.rsplit_once(':').ok_or("it is uprobe:BINARY:SYMBOL or uprobe:BINARY:+0xOFFSET")?;
    if binary.is_empty() || place.is_empty() {
        return Err("a name is missing");
    }
    if binary.contains('*') {
        return Err("there are no wildcards in the name of a binary");
    }
    match place.strip_prefix('+') {
        None => Ok(What::Symbol(binary.to_owned(), Pattern(place.to_owned()))),
        Some(offset) => {
            let number = match offset.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => offset.parse(),
            };
            Ok(What::Offset(
                binary.to_owned(),
                number.map_err(|_| "behind + comes a number, or 0x and one in hexadecimal")?,
            ))
        }
    }
}

/// Where a program can be attached, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Site {
    /// A function of the kernel.
    Function(String),
    /// Category and name.
    Tracepoint(String, String),
    /// A tracepoint without its record.
    RawTracepoint(String),
    /// An instruction of a file: its path, its place in the file, and what stands there.
    User(PathBuf, u64, String),
}

/// The sites of a target: at least one. Several of [`Site::User`] may have one name: versions of a symbol.
///
/// # Errors
/// [`Error::InvalidArgument`] for what there is not, with the nearest names; [`Error::NotSupported`] where it cannot be
/// known.
pub(crate) fn resolve(spec: &Spec, pid: Option<u32>) -> Result<Vec<Site>> {
    match &spec.what {
        What::Function(_, pattern) => {
            let names = if pattern.is_exact() { kernel_functions() } else { traceable_functions() };
            let found = choose("function of the kernel", pattern, names)?;
            Ok(found.into_iter().map(Site::Function).collect())
        }
        What::RawTracepoint(pattern) => {
            let found = choose("raw tracepoint", pattern, raw_tracepoints())?;
            Ok(found.into_iter().map(Site::RawTracepoint).collect())
        }
        What::Tracepoint(category, name) => tracepoints(category, name),
        What::Symbol(binary, pattern) => {
            let path = elf::find(binary, pid)?;
            let symbols = elf::functions(&path)?;
            let names = symbols.keys().cloned().collect();
            let kind = format!("function in {}", path.display());
            let found = choose(&kind, pattern, names)?;
            let sites = found.iter().flat_map(|name| {
                let label = format!("{binary}:{name}");
                let at = |offset: &u64| Site::User(path.clone(), *offset, label.clone());
                symbols[name].iter().map(at).collect::<Vec<_>>()
            });
            Ok(sites.collect())
        }
        What::Offset(binary, offset) => {
            let path = elf::find(binary, pid)?;
            match elf::place(&path, *offset)? {
                Place::Code => Ok(vec![Site::User(path, *offset, format!("{binary}:+{offset:#x}"))]),
                Place::Other => Err(Error::InvalidArgument(format!(
                    "at {offset:#x} of {} there is no code that is executed from there",
                    path.display()
                ))),
            }
        }
    }
}

impl Spec {
    /// Whether it may stand for several.
    pub(crate) fn is_wildcard(&self) -> bool {
        match &self.what {
            What::Function(_, name) | What::RawTracepoint(name) | What::Symbol(_, name) => !name.is_exact(),
            What::Tracepoint(category, name) => !(category.is_exact() && name.is_exact()),
            What::Offset(..) => false,
        }
    }

    /// Whether it is a function, and not any instruction.
    pub(crate) fn is_function(&self) -> bool {
        matches!(self.what, What::Function(..) | What::Symbol(..))
    }

    /// The hook that was asked for, of a function of the kernel.
    pub(crate) fn function_hook(&self) -> Option<FunctionHook> {
        match &self.what {
            What::Function(hook, _) => *hook,
            _ => None,
        }
    }
}

/// Targets that begin so, for the completion of a shell: as far as there are names, and they can be known without
/// privileges; none where there are too many of them to be of use.
pub fn complete(text: &str) -> Vec<String> {
    const MOST: usize = 1_000;
    const HOOKS: [&str; 5] = ["fentry:", "kprobe:", "raw_tracepoint:", "tracepoint:", "uprobe:"];
    let names = |hook: &str, names: Vec<String>| names.iter().map(|name| format!("{hook}{name}")).collect::<Vec<_>>();
    let mut found = match text.split_once(':') {
        None if text.is_empty() => names("", HOOKS.map(str::to_owned).into()),
        None => [names("", HOOKS.map(str::to_owned).into()), names("", kernel_functions())].concat(),
        Some((hook @ ("kprobe" | "fentry"), _)) => names(&format!("{hook}:"), kernel_functions()),
        Some(("raw_tracepoint", _)) => names("raw_tracepoint:", raw_tracepoints()),
        Some(("tracepoint", _)) => {
            let all = tracefs::tracepoints().unwrap_or_default();
            all.iter().map(|(category, name)| format!("tracepoint:{category}:{name}")).collect()
        }
        Some(_) => {
            let (of, name) = text.rsplit_once(':').unwrap_or_default();
            let binary = elf::find(of.strip_prefix("uprobe:").unwrap_or(of), None);
            let functions = binary.and_then(|path| elf::functions(&path)).unwrap_or_default();
            let functions = functions.into_keys().filter(|function| function.starts_with(name));
            names(&format!("{of}:"), functions.collect())
        }
    };
    found.retain(|target| target.starts_with(text));
    found.sort();
    found.dedup();
    if found.len() > MOST { Vec::new() } else { found }
}

/// Those of the names that a pattern means. Where no names are known one that is exact is taken for granted.
fn choose(kind: &str, pattern: &Pattern, names: Vec<String>) -> Result<Vec<String>> {
    if names.is_empty() {
        return match pattern.is_exact() {
            true => Ok(vec![pattern.0.clone()]),
            false => Err(Error::NotSupported {
                feature: format!("a wildcard for a {kind}"),
                needs: "tracefs, /proc/kallsyms or BTF to be read".to_owned(),
                reason: "their names are not known".to_owned(),
            }),
        };
    }
    let mut found: Vec<_> = names.iter().filter(|name| pattern.matches(name)).cloned().collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Err(unknown(kind, pattern, names.iter().map(String::as_str)));
    }
    Ok(found)
}

fn unknown<'a>(kind: &str, pattern: &Pattern, names: impl Iterator<Item = &'a str>) -> Error {
    let near = nearest(&pattern.0, names);
    let hint = if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) };
    let what = if pattern.is_exact() { "of this name" } else { "that matches" };
    Error::InvalidArgument(format!("there is no {kind} {what}: {pattern}{hint}"))
}

/// The names that a mistyped one may mean, at most three, the nearest first.
pub(crate) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    const MOST: usize = 3;
    let far = (wanted.len() / 4).max(1);
    let wanted = wanted.replace('*', "");
    let mut near: Vec<_> = names
        .filter(|name| name.len().abs_diff(wanted.len()) <= far)
        .map(|name| (strsim::osa_distance(&wanted, name), name))
        .filter(|(distance, _)| *distance <= far)
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// All functions of the kernel and its modules, or those that BTF knows, or none.
fn kernel_functions() -> Vec<String> {
    let symbols = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let functions: Vec<_> = symbols.lines().filter_map(kernel_symbol).map(|(_, name)| name.to_owned()).collect();
    if functions.is_empty() { btf_functions() } else { functions }
}

/// Those that ftrace can hook, where it tells, which wildcards are for: others are often of no use.
fn traceable_functions() -> Vec<String> {
    let listed = tracefs::traceable_functions().unwrap_or_default();
    let functions: Vec<_> =
        listed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    if functions.is_empty() { kernel_functions() } else { functions }
}

/// The functions with their addresses, where these are told.
pub(crate) fn kernel_addresses(names: &[&str]) -> BTreeMap<u64, String> {
    let symbols = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let wanted =
        symbols.lines().filter_map(kernel_symbol).filter(|(address, name)| *address != 0 && names.contains(name));
    wanted.map(|(address, name)| (address, name.to_owned())).collect()
}

/// Those of the functions of which there is one, and only one, with their addresses (zero where they are not told). A name
/// may be that of several functions, and a function may have several names.
pub(crate) fn single_functions(names: &BTreeSet<&str>) -> Vec<(String, u64)> {
    let symbols = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let found: Vec<_> = symbols.lines().filter_map(kernel_symbol).filter(|(_, name)| names.contains(name)).collect();
    let (mut at, mut called) = (BTreeMap::<u64, usize>::new(), BTreeMap::<&str, usize>::new());
    for (address, name) in &found {
        *at.entry(*address).or_default() += 1;
        *called.entry(*name).or_default() += 1;
    }
    let single = found.iter().filter(|(address, name)| (*address == 0 || at[address] == 1) && called[name] == 1);
    single.map(|(address, name)| ((*name).to_owned(), *address)).collect()
}

/// Address and name of a function.
fn kernel_symbol(line: &str) -> Option<(u64, &str)> {
    // What the compiler and the linker made: padding, call thunks, parts of functions.
    let is_made = |name: &str| {
        name.starts_with("__pfx_") || name.starts_with("__cfi_") || name.starts_with("__SC") || name.ends_with(".cold")
    };
    text_symbol(line).filter(|(_, name)| !is_made(name))
}

/// Address and name of code, from a line such as `ffffffff81000000 T vfs_read [module]`.
pub(crate) fn text_symbol(line: &str) -> Option<(u64, &str)> {
    let mut parts = line.split_whitespace();
    let address = u64::from_str_radix(parts.next()?, 16).ok()?;
    let is_text = matches!(parts.next()?, "t" | "T" | "w" | "W");
    let name = parts.next()?;
    is_text.then_some((address, name))
}

fn btf_functions() -> Vec<String> {
    kernel_btf().and_then(|kernel| btf::function_names(&kernel)).unwrap_or_default()
}

/// By the types of their arguments: `btf_trace_sched_switch`.
fn raw_tracepoints() -> Vec<String> {
    let typedefs = kernel_btf().and_then(|kernel| btf::typedef_names(&kernel)).unwrap_or_default();
    typedefs.iter().filter_map(|name| name.strip_prefix("btf_trace_")).map(str::to_owned).collect()
}

fn kernel_btf() -> Option<Vec<u8>> {
    fs::read("/sys/kernel/btf/vmlinux").ok()
}

fn tracepoints(category: &Pattern, name: &Pattern) -> Result<Vec<Site>> {
    let all = tracefs::tracepoints()?;
    let mut found: Vec<_> = all
        .iter()
        .filter(|(in_category, named)| category.matches(in_category) && name.matches(named))
        .map(|(category, name)| Site::Tracepoint(category.clone(), name.clone()))
        .collect();
    if found.is_empty() {
        let names: Vec<_> = all.iter().map(|(category, name)| format!("{category}:{name}")).collect();
        let pattern = Pattern(format!("{category}:{name}"));
        return Err(unknown("tracepoint", &pattern, names.iter().map(String::as_str)));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(text: &str) -> What {
        text.parse::<Spec>().expect(text).what
    }

    fn pattern(text: &str) -> Pattern {
        Pattern(text.to_owned())
    }

    #[test]
    fn targets_are_read() {
        let symbol = |binary: &str, name| What::Symbol(binary.to_owned(), pattern(name));
        for (text, expected) in [
            ("vfs_read", What::Function(None, pattern("vfs_read"))),
            ("vfs_*", What::Function(None, pattern("vfs_*"))),
            ("kprobe:vfs_read", What::Function(Some(FunctionHook::Kprobe), pattern("vfs_read"))),
            ("fentry:vfs_read", What::Function(Some(FunctionHook::Fentry), pattern("vfs_read"))),
            ("tracepoint:sched:sched_switch", What::Tracepoint(pattern("sched"), pattern("sched_switch"))),
            ("tracepoint:sched:*", What::Tracepoint(pattern("sched"), pattern("*"))),
            ("raw_tracepoint:sys_enter", What::RawTracepoint(pattern("sys_enter"))),
            ("uprobe:libc:getaddrinfo", symbol("libc", "getaddrinfo")),
            ("libc:malloc", symbol("libc", "malloc")),
            ("uprobe:/bin/bash:readline", symbol("/bin/bash", "readline")),
            ("/bin/bash:read*", symbol("/bin/bash", "read*")),
            ("uprobe:/a:b/c:read", symbol("/a:b/c", "read")),
            ("uprobe:/bin/bash:+0x1f0", What::Offset("/bin/bash".to_owned(), 0x1f0)),
            ("/bin/bash:+496", What::Offset("/bin/bash".to_owned(), 0x1f0)),
        ] {
            assert_eq!(what(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_target_says_why() {
        for (text, why) in [
            ("", "not empty"),
            ("a b", "no spaces"),
            ("kprobe:", "a name is missing"),
            ("kprobe:a:b", "one colon too many"),
            ("tracepoint:sched", "tracepoint:CATEGORY:NAME"),
            ("tracepoint:a:b:c", "one colon too many"),
            ("raw_tracepoint:", "a name is missing"),
            ("uprobe:libc", "uprobe:BINARY:SYMBOL"),
            ("uprobe::malloc", "a name is missing"),
            ("libc:", "a name is missing"),
            ("lib*:malloc", "no wildcards"),
            ("libc:+", "a number"),
            ("libc:+0x", "a number"),
            ("libc:+0xg", "a number"),
        ] {
            let error = text.parse::<Spec>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (text, name, expected) in [
            ("vfs_read", "vfs_read", true),
            ("vfs_read", "vfs_readv", false),
            ("vfs_*", "vfs_", true),
            ("vfs_*", "vfs_read", true),
            ("vfs_*", "avfs_read", false),
            ("*", "", true),
            ("*read", "vfs_read", true),
            ("*read", "vfs_readv", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "ab", false),
        ] {
            assert_eq!(pattern(text).matches(name), expected, "{text} {name}");
        }
    }

    #[test]
    fn unknown_names_get_the_nearest() {
        let names = || ["vfs_read", "vfs_readv", "vfs_write", "do_exit"].map(str::to_owned).to_vec();
        let told = |text: &str| choose("function", &pattern(text), names()).expect_err(text).to_string();
        assert_eq!(told("vfs_raed"), "there is no function of this name: vfs_raed; there is vfs_read, vfs_readv");
        assert_eq!(told("schedule"), "there is no function of this name: schedule");
        assert_eq!(told("tcp_*"), "there is no function that matches: tcp_*");
        assert_eq!(choose("function", &pattern("vfs_r*"), names()).expect("two"), ["vfs_read", "vfs_readv"]);
        assert_eq!(choose("function", &pattern("any"), Vec::new()).expect("taken for granted"), ["any"]);
        assert!(matches!(choose("function", &pattern("a*"), Vec::new()), Err(Error::NotSupported { .. })));
    }

    #[test]
    fn what_begins_so_is_completed() {
        assert_eq!(complete(""), ["fentry:", "kprobe:", "raw_tracepoint:", "tracepoint:", "uprobe:"]);
        assert_eq!(complete("uprobe:libc:gethostna"), ["uprobe:libc:gethostname"]);
        assert!(complete("libc:getaddrin").contains(&"libc:getaddrinfo".to_owned()));
        assert!(complete("tracep").contains(&"tracepoint:".to_owned()));
        assert!(complete("no-such-library:a").is_empty());
        // Too many.
        assert!(complete("libc:").is_empty());
    }

    #[test]
    fn functions_of_the_kernel_are_told_from_other_symbols() {
        assert_eq!(kernel_symbol("ffffffff81234560 T vfs_read"), Some((0xffff_ffff_8123_4560, "vfs_read")));
        assert_eq!(kernel_symbol("0000000000000000 t ext4_map\t[ext4]"), Some((0, "ext4_map")));
        for line in ["ffffffff81234560 D jiffies", "ffffffff81234560 T __pfx_vfs_read", "ffffffff81234560 t a.cold", ""]
        {
            assert_eq!(kernel_symbol(line), None, "{line}");
        }
    }
}
