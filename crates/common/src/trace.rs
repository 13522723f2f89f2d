//! The record of a traced call, and what of the process's memory is read for it.

use crate::event::Header;

/// Most bytes that are read.
pub const DATA_LEN: usize = 4_095;

/// The fixed part; `data_len` bytes of what was read follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Who and when: at the return.
    pub header: Header,
    /// What the call returned.
    pub value: i64,
    /// Nanoseconds from entry to return.
    pub latency: u64,
    /// Bytes that follow.
    pub data_len: u32,
    /// Nothing: the length is a multiple of eight.
    pub padding: u32,
}

const _: () = assert!(size_of::<Trace>() == 88);
crate::pod!(Trace);

/// What [`Header::marks`] may say of a traced call, beside what it may say of any event.
impl Trace {
    /// Nothing was to be read: it was not asked for, or there was none.
    pub const NO_DATA: u16 = 1 << 2;
    /// The function returns nothing.
    pub const NO_VALUE: u16 = 1 << 3;
}

/// A call that has not returned.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// When: nanoseconds since boot.
    pub time: u64,
    /// The argument that is an address; zero where none is asked for.
    pub address: u64,
}

const _: () = assert!(size_of::<Call>() == 16);
crate::pod!(Call);

/// What is read when a call returns: set by the loader.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// [`Read::NOTHING`], [`Read::STRING`] or [`Read::BYTES`].
    pub what: u32,
    /// Which argument is its address, from 0 on; or [`Read::RETURNED`].
    pub place: u32,
}

const _: () = assert!(size_of::<Read>() == 8);
crate::pod!(Read);

impl Read {
    /// Nothing.
    pub const NOTHING: u32 = 0;
    /// Up to the first NUL byte.
    pub const STRING: u32 = 1;
    /// As many bytes as the call returns.
    pub const BYTES: u32 = 2;

    /// What the call returns is the address.
    pub const RETURNED: u32 = u32::MAX;

    /// Arguments that are in registers, on x86_64; arm64 has two more.
    pub const ARGUMENTS: u32 = 6;
}
