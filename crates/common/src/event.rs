//! What every event record starts with. Records are of variable length: a fixed part of plain integers, then the
//! bytes of its strings one after the other, as long as the fixed part says; so a short event takes few bytes of the
//! buffer.

use crate::filter::COMM_LEN;

/// The start of every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Nanoseconds since boot, suspend included (`CLOCK_BOOTTIME`).
    pub time: u64,
    /// Id of the cgroup in the hierarchy that [`crate::cgroup::Hierarchy`] names.
    pub cgroup: u64,
    /// Process id (the kernel's tgid), in the initial PID namespace.
    pub pid: u32,
    /// Thread id (the kernel's pid), in the initial PID namespace.
    pub tid: u32,
    /// Real user id, in the initial user namespace.
    pub uid: u32,
    /// Real group id, in the initial user namespace.
    pub gid: u32,
    /// Name of the thread, padded with NUL bytes.
    pub comm: [u8; COMM_LEN],
    /// CPU it was recorded on.
    pub cpu: u32,
    /// What kind of record it is: several share a buffer.
    pub kind: u16,
    /// What is wrong with the record: the constants of this type, or-ed.
    pub marks: u16,
    /// Process id in its own, the innermost, PID namespace.
    pub ns_pid: u32,
    /// Nothing: the length is a multiple of eight.
    pub padding: u32,
}

/// The kinds of records, as [`Header::kind`] has them; also the slot of each in the map `LEDGER`.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`crate::open::Open`]
    Open = 0,
    /// [`crate::exec::Exec`]
    Exec = 1,
    /// [`crate::exit::Exit`]
    Exit = 2,
    /// [`crate::trace::Trace`]
    Trace = 3,
}

impl Kind {
    /// All kinds with their names.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Open, "open"), (Self::Exec, "exec"), (Self::Exit, "exit"), (Self::Trace, "trace")];
}

const _: () = assert!(size_of::<Header>() == 64);
crate::pod!(Header);

impl Header {
    /// A string could not be read: its bytes are missing.
    pub const FAULT: u16 = 1;
    /// A string is longer than the record has room for: its end is missing.
    pub const TRUNCATED: u16 = 1 << 1;

    /// Whether something is wrong.
    pub fn has(&self, mark: u16) -> bool {
        self.marks & mark != 0
    }

    /// The name without its padding.
    pub fn comm(&self) -> &[u8] {
        unpadded(&self.comm)
    }
}

/// How much of a ring buffer is filled where whoever writes to it wakes whoever reads: the value of the map `WAKEUP`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wakeup {
    /// Least bytes.
    pub from: u64,
    /// One more than most bytes.
    pub below: u64,
}

const _: () = assert!(size_of::<Wakeup>() == 16);
crate::pod!(Wakeup);

impl Wakeup {
    /// Whether it is so where that many bytes are filled.
    #[inline(always)]
    pub fn at(&self, filled: u64) -> bool {
        self.from <= filled && filled < self.below
    }
}

/// A task's name without its padding.
pub fn unpadded(comm: &[u8; COMM_LEN]) -> &[u8] {
    comm.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The fixed part of a record and the bytes after it; `None` for a record that is too short.
#[cfg(feature = "user")]
pub fn split<T: aya::Pod>(record: &[u8]) -> Option<(T, &[u8])> {
    let (fixed, rest) = record.split_at_checked(size_of::<T>())?;
    // SAFETY: as many bytes as a T has, and any bytes are a valid T.
    Some((unsafe { fixed.as_ptr().cast::<T>().read_unaligned() }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_at_its_first_nul() {
        let named = |comm| Header { comm, ..Header::default() };
        assert_eq!(named(*b"sh\0old bytes....").comm(), b"sh");
        assert_eq!(named(*b"sixteen-bytes-xx").comm(), b"sixteen-bytes-xx");
        assert_eq!(named([0; 16]).comm(), b"");
    }

    #[test]
    fn whoever_reads_is_woken_from_one_level_to_another() {
        let wakeup = Wakeup { from: 8, below: 16 };
        let woken: Vec<_> = (0..24).filter(|filled| wakeup.at(*filled)).collect();
        assert_eq!(woken, (8..16).collect::<Vec<_>>());
        assert!(!Wakeup::default().at(0));
    }

    #[cfg(feature = "user")]
    #[test]
    fn a_record_is_split_after_its_fixed_part() {
        let mut record = vec![0; 64];
        record[16] = 7;
        record.extend(b"tail");
        let (header, rest) = split::<Header>(&record).expect("long enough");
        assert_eq!((header.pid, rest), (7, &b"tail"[..]));
        assert_eq!(split::<Header>(&record[..63]), None);
    }
}
