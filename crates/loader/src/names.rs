//! The names that programmers know for numbers of the kernel.

use std::{collections::HashMap, fmt, sync::LazyLock};

#[cfg(target_arch = "x86_64")]
use ebpflab_common::syscall::X32_SYSCALL_BIT;
use nix::errno::Errno;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::schema::{List, Type, Value};

/// What an IP packet carries, by its number (include/uapi/linux/in.h); `ip-N` for what has no name here.
pub fn ip_protocol(number: u8) -> String {
    match number {
        1 => "icmp",
        2 => "igmp",
        4 => "ipip",
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        41 => "ipv6",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "icmpv6",
        89 => "ospf",
        103 => "pim",
        112 => "vrrp",
        132 => "sctp",
        136 => "udplite",
        _ => return format!("ip-{number}"),
    }
    .to_owned()
}

/// What a frame carries, by its number (include/uapi/linux/if_ether.h), in hexadecimal for what has no name here. IP is
/// only named so where its header is wrong.
pub fn ethertype(number: u16) -> String {
    match number {
        0 => "802.3",
        0x0800 => "ipv4",
        0x0806 => "arp",
        0x8100 | 0x88a8 => "vlan",
        0x86dd => "ipv6",
        0x8847 => "mpls",
        0x8863 | 0x8864 => "pppoe",
        0x888e => "eapol",
        0x88cc => "lldp",
        _ => return format!("0x{number:04x}"),
    }
    .to_owned()
}

/// A system call: through which interface it came, and its name there; `nr-N` for a number that has none.
pub fn syscall(number: u32, is_compat: bool) -> (&'static str, String) {
    let (abi, name) = interface(number, is_compat);
    (abi, name.map_or_else(|| format!("nr-{number}"), str::to_owned))
}

#[cfg(target_arch = "x86_64")]
fn interface(number: u32, is_compat: bool) -> (&'static str, Option<&'static str>) {
    let native = |number: u32| syscalls::x86_64::Sysno::new(number as usize).map(|call| call.name());
    let x32 = X32_SYSCALL_BIT as u32;
    match is_compat {
        true => ("i386", syscalls::x86::Sysno::new(number as usize).map(|call| call.name())),
        // A negative number, of which ptrace makes -1, has the bit too.
        false if number & x32 != 0 && number >> 31 == 0 => ("x32", native(number & !x32)),
        false => ("x86_64", native(number)),
    }
}

#[cfg(target_arch = "aarch64")]
fn interface(number: u32, is_compat: bool) -> (&'static str, Option<&'static str>) {
    match is_compat {
        true => ("arm", syscalls::arm::Sysno::new(number as usize).map(|call| call.name())),
        false => ("aarch64", syscalls::aarch64::Sysno::new(number as usize).map(|call| call.name())),
    }
}

/// Flags of open(2), as their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagNames(pub u64);

/// Flags with their names, those before that have the bits of others. The values depend on the architecture.
const FLAGS: [(i32, &str); 16] = [
    (libc::O_SYNC, "O_SYNC"),
    (libc::O_TMPFILE, "O_TMPFILE"),
    (libc::O_CREAT, "O_CREAT"),
    (libc::O_EXCL, "O_EXCL"),
    (libc::O_NOCTTY, "O_NOCTTY"),
    (libc::O_TRUNC, "O_TRUNC"),
    (libc::O_APPEND, "O_APPEND"),
    (libc::O_NONBLOCK, "O_NONBLOCK"),
    (libc::O_DSYNC, "O_DSYNC"),
    (libc::O_ASYNC, "O_ASYNC"),
    (libc::O_DIRECT, "O_DIRECT"),
    (libc::O_DIRECTORY, "O_DIRECTORY"),
    (libc::O_NOFOLLOW, "O_NOFOLLOW"),
    (libc::O_NOATIME, "O_NOATIME"),
    (libc::O_CLOEXEC, "O_CLOEXEC"),
    (libc::O_PATH, "O_PATH"),
];

impl FlagNames {
    /// The access mode, then each flag that is set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let access = match self.0 as i32 & libc::O_ACCMODE {
            libc::O_RDONLY => "O_RDONLY",
            libc::O_WRONLY => "O_WRONLY",
            libc::O_RDWR => "O_RDWR",
            // For ioctl(2) alone; so fs/open.c, `build_open_flags`.
            _ => "O_ACCMODE",
        };
        let mut left = self.0;
        let flags = FLAGS.into_iter().filter_map(move |(flag, name)| {
            let flag = flag as u64;
            (left & flag == flag).then(|| {
                left &= !flag;
                name
            })
        });
        std::iter::once(access).chain(flags)
    }
}

impl FlagNames {
    /// The flags of these names; `None` if there is another.
    pub(crate) fn from_names(names: &[String]) -> Option<Self> {
        let flag = |name: &String| match name.as_str() {
            "O_RDONLY" => Some(libc::O_RDONLY),
            "O_WRONLY" => Some(libc::O_WRONLY),
            "O_RDWR" => Some(libc::O_RDWR),
            "O_ACCMODE" => Some(libc::O_ACCMODE),
            name => FLAGS.iter().find(|(_, known)| *known == name).map(|(flag, _)| *flag),
        };
        names.iter().map(flag).try_fold(0, |all, flag| Some(all | flag? as u64)).map(Self)
    }
}

impl Value for FlagNames {
    const TYPE: Type = Type::Array(&Type::String);

    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(name, &List(|| self.names()))
    }
}

/// What a system call returned, as the name of its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorName(pub i32);

impl ErrorName {
    /// `ENOENT` and so on; `None` for a success.
    pub fn name(self) -> Option<Name> {
        (self.0 < 0).then_some(Name(-self.0))
    }
}

impl ErrorName {
    /// The error of a name; `None` if there is none.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        static KNOWN: LazyLock<HashMap<String, i32>> =
            // include/linux/err.h, `MAX_ERRNO`
            LazyLock::new(|| (1..4_096).map(|number| (Name(number).to_string(), -number)).collect());
        KNOWN.get(name).copied().map(Self)
    }
}

/// The name of an error, by its number.
pub fn error_name(errno: u32) -> String {
    Name(errno as i32).to_string()
}

/// The number of an error, shown as its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(i32);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // The kernel's own: a signal came first, and the call is made again or ends with EINTR
            // (include/linux/errno.h).
            512 => f.write_str("ERESTARTSYS"),
            513 => f.write_str("ERESTARTNOINTR"),
            514 => f.write_str("ERESTARTNOHAND"),
            516 => f.write_str("ERESTART_RESTARTBLOCK"),
            number => match Errno::from_raw(number) {
                Errno::UnknownErrno => write!(f, "{number}"),
                errno => write!(f, "{errno:?}"),
            },
        }
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Value for ErrorName {
    const TYPE: Type = Type::Nullable(&Type::String);

    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(name, &self.name())
    }
}

/// Some of a few known words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words([Option<&'static str>; Self::MOST]);

impl Words {
    /// Most words that there are.
    const MOST: usize = 4;

    /// Those that are true.
    pub fn of(words: [(&'static str, bool); Self::MOST]) -> Self {
        Self(words.map(|(word, holds)| holds.then_some(word)))
    }

    /// All of these; `None` if one is missing, or they are too many.
    pub(crate) fn from_iter(words: impl Iterator<Item = Option<&'static str>>) -> Option<Self> {
        let mut all = Self::default();
        for (place, word) in words.enumerate() {
            *all.0.get_mut(place)? = Some(word?);
        }
        Some(all)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.0.into_iter().flatten()
    }
}

impl Value for Words {
    const TYPE: Type = Type::Array(&Type::String);

    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(name, &List(|| self.iter()))
    }
}

/// The number that stat(2) gives for a device of the kernel (`MKDEV`, include/linux/kdev_t.h).
pub fn device_number(kernel: u32) -> u64 {
    const MINOR_BITS: u32 = 20;
    libc::makedev(kernel >> MINOR_BITS, kernel & ((1 << MINOR_BITS) - 1))
}

/// Whether a path leads through one of the links of procfs that lead to an open file and not to a path (proc(5)), by
/// its usual names.
pub fn is_magic_link(path: &[u8]) -> bool {
    let mut names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    let is_number = |name: &[u8]| !name.is_empty() && name.iter().all(u8::is_ascii_digit);
    if path.first() != Some(&b'/') {
        return false;
    }
    match names.next() {
        Some(b"dev") => match names.next() {
            Some(b"stdin" | b"stdout" | b"stderr") => true,
            Some(b"fd") => names.next().is_some_and(is_number),
            _ => false,
        },
        Some(b"proc") => {
            let Some(task) = names.next() else { return false };
            if !(is_number(task) || matches!(task, b"self" | b"thread-self")) {
                return false;
            }
            let mut name = names.next();
            if name == Some(b"task") {
                name = names.nth(1);
            }
            match name {
                Some(b"exe" | b"cwd" | b"root") => true,
                Some(b"fd" | b"map_files" | b"ns") => names.next().is_some(),
                _ => false,
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(flags: i32) -> Vec<&'static str> {
        FlagNames(flags as u64).names().collect()
    }

    #[test]
    fn flags_have_their_names() {
        assert_eq!(names(0), ["O_RDONLY"]);
        assert_eq!(names(libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC), ["O_WRONLY", "O_CREAT", "O_TRUNC"]);
        assert_eq!(names(libc::O_ACCMODE), ["O_ACCMODE"]);
        // Those that have the bits of another are told as one.
        assert_eq!(names(libc::O_RDWR | libc::O_TMPFILE), ["O_RDWR", "O_TMPFILE"]);
        assert_eq!(names(libc::O_DIRECTORY), ["O_RDONLY", "O_DIRECTORY"]);
        assert_eq!(
            (names(libc::O_SYNC), names(libc::O_DSYNC)),
            (vec!["O_RDONLY", "O_SYNC"], vec!["O_RDONLY", "O_DSYNC"])
        );
    }

    #[test]
    fn every_flag_of_its_own_has_a_name() {
        let all = FLAGS.iter().fold(libc::O_ACCMODE, |all, (flag, _)| all | flag);
        assert_eq!(names(all).len(), 1 + FLAGS.len() - 2, "O_DSYNC and O_DIRECTORY are in others");
    }

    #[test]
    fn errors_have_their_names() {
        let name = |ret| ErrorName(ret).name().map(|name| name.to_string());
        assert_eq!((name(0), name(3)), (None, None));
        assert_eq!(name(-libc::ENOENT).as_deref(), Some("ENOENT"));
        assert_eq!(name(-libc::ENAMETOOLONG).as_deref(), Some("ENAMETOOLONG"));
        assert_eq!(name(-512).as_deref(), Some("ERESTARTSYS"));
        assert_eq!(name(-4_000).as_deref(), Some("4000"));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn system_calls_are_named_by_their_interface() {
        for (number, is_compat, expected) in [
            (libc::SYS_openat as u32, false, ("x86_64", "openat")),
            (libc::SYS_mseal as u32, false, ("x86_64", "mseal")),
            (5, true, ("i386", "open")),
            (0x4000_0000 | 2, false, ("x32", "open")),
            (5_000, false, ("x86_64", "nr-5000")),
            (u32::MAX, false, ("x86_64", "nr-4294967295")),
        ] {
            assert_eq!(syscall(number, is_compat), (expected.0, expected.1.to_owned()));
        }
    }

    #[test]
    fn devices_are_as_stat_has_them() {
        assert_eq!(device_number(8 << 20 | 1), libc::makedev(8, 1));
        assert_eq!(device_number(0x103 << 20 | 0x12345), libc::makedev(0x103, 0x12345));
    }

    #[test]
    fn links_to_open_files_are_known_by_name() {
        for path in
            ["/proc/self/fd/3", "/proc/1/exe", "//proc/thread-self/./cwd/file", "/proc/7/task/8/root/etc/passwd"]
        {
            assert!(is_magic_link(path.as_bytes()), "{path}");
        }
        for path in ["/dev/stdin", "/dev/fd/0", "/proc/self/ns/pid", "/proc/self/map_files/1-2"] {
            assert!(is_magic_link(path.as_bytes()), "{path}");
        }
        for path in
            ["", "/", "/proc", "/proc/self", "/proc/self/fd", "/proc/self/status", "/proc/fd/3", "proc/self/exe"]
        {
            assert!(!is_magic_link(path.as_bytes()), "{path}");
        }
        for path in ["/dev/null", "/dev/fd", "/tmp/proc/self/exe", "/proc/self/task/8"] {
            assert!(!is_magic_link(path.as_bytes()), "{path}");
        }
    }
}
