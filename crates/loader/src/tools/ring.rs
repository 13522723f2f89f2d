//! The source of tools whose events come through the ring buffer `EVENTS`.

use std::os::fd::{AsFd as _, BorrowedFd};

use ebpflab_common::{event::Kind, exec::ExecCall, latency::Frame, open, trace};

use crate::{
    bpf::{Object, Ring},
    error::Result,
    session::Source,
};

pub(super) struct RingSource {
    ring: Ring,
    kinds: &'static [Kind],
}

impl RingSource {
    /// Takes the buffer of an object.
    pub(super) fn new(object: &mut Object, kinds: &'static [Kind]) -> Result<Self> {
        Ok(Self { ring: object.take_ring("EVENTS")?, kinds })
    }
}

impl Source for RingSource {
    fn drain(&mut self, most: usize, take: &mut dyn FnMut(&[u8], &[u8])) {
        for _ in 0..most {
            if self.ring.next(|record| take(record, &[])).is_none() {
                return;
            }
        }
    }

    fn pending(&self, object: &Object, kind: Kind) -> Result<u64> {
        match kind {
            Kind::Open => Ok(object.hash_map::<u32, open::Call>("CALLS")?.len() as u64),
            Kind::Exec => Ok(object.hash_map::<u32, ExecCall>("EXEC_CALLS")?.len() as u64),
            // An exit is one event, with nothing to come after it.
            Kind::Exit => Ok(0),
            Kind::Trace => Ok(object.hash_map::<Frame, trace::Call>("CALLS")?.len() as u64),
        }
    }

    fn kinds(&self) -> &[Kind] {
        self.kinds
    }

    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.ring.as_fd()]
    }

    fn ring(&self) -> Option<BorrowedFd<'_>> {
        Some(self.ring.as_fd())
    }
}
