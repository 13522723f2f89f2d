//! The source of tools whose events come through the ring buffer `EVENTS`.

use std::os::fd::{AsFd as _, BorrowedFd};

use ebpflab_common::{event::Kind, exec::ExecCall, open::Call};

use super::clock_offset;
use crate::{
    bpf::{Object, Ring},
    containers::Locator,
    error::Result,
    records::Event,
    session::Source,
};

/// Makes an event of a record; the offset leads from the clock of records to nanoseconds since the epoch.
type Parse = fn(&[u8], u64) -> Option<Event>;

pub(super) struct RingSource {
    ring: Ring,
    clock_offset: u64,
    parse: Parse,
    locator: Locator,
    kinds: &'static [Kind],
}

impl RingSource {
    /// Takes the buffer of an object.
    pub(super) fn new(object: &mut Object, parse: Parse, locator: Locator, kinds: &'static [Kind]) -> Result<Self> {
        Ok(Self { ring: object.take_ring("EVENTS")?, clock_offset: clock_offset()?, parse, locator, kinds })
    }
}

impl Source for RingSource {
    fn drain(&mut self, most: usize, take: &mut dyn FnMut(Event)) {
        self.locator.update();
        for _ in 0..most {
            match self.ring.next(|record| (self.parse)(record, self.clock_offset)) {
                Some(Some(mut event)) => {
                    self.locator.locate(&mut event);
                    take(event);
                }
                // A record that is no record is missing from `received`, and the ledger says so.
                Some(None) => {}
                None => return,
            }
        }
    }

    fn pending(&self, object: &Object, kind: Kind) -> Result<u64> {
        match kind {
            Kind::Open => Ok(object.hash_map::<u32, Call>("CALLS")?.len() as u64),
            Kind::Exec => Ok(object.hash_map::<u32, ExecCall>("EXEC_CALLS")?.len() as u64),
            // An exit is one event, with nothing to come after it.
            Kind::Exit => Ok(0),
        }
    }

    fn kinds(&self) -> &[Kind] {
        self.kinds
    }

    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.ring.as_fd()]
    }
}
