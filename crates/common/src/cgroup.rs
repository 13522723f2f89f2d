//! Which hierarchy the cgroups of events are from, and the record of a new cgroup in it.

/// A hierarchy of cgroups, as programs know it: the global `HIERARCHY`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// The number of its controller, of v1; [`Hierarchy::V2`] for that of v2.
    pub controller: u32,
    /// Its id, as /proc/cgroups has it; 0 for that of v2.
    pub id: u32,
}

const _: () = assert!(size_of::<Hierarchy>() == 8);
crate::pod!(Hierarchy);

impl Hierarchy {
    /// In the place of a controller.
    pub const V2: u32 = u32::MAX;
    /// That of v2.
    pub const UNIFIED: Self = Self { controller: Self::V2, id: 0 };
}

/// Longest path that the kernel tells of a new cgroup, its closing NUL counted (`TRACE_CGROUP_PATH_LEN`,
/// kernel/cgroup/cgroup-internal.h).
pub const PATH_LEN: usize = 1_024;

/// A new cgroup; its path from the top of the hierarchy follows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewCgroup {
    /// As [`crate::event::Header::cgroup`] has it.
    pub id: u64,
}

const _: () = assert!(size_of::<NewCgroup>() == 8);
crate::pod!(NewCgroup);
