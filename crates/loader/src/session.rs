//! A tool that is attached: one file descriptor to wait on, readings, and an end that adds up.
//!
//! The order at the end is what makes the ledger exact: switch the programs off, wait until none runs any more, read
//! the counts and the ledger. Detaching, which may take the kernel long, comes after the summary is out.

use std::{
    os::fd::{AsFd as _, AsRawFd as _, RawFd},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ebpflab_common::ledger;
use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    eventfd::EventFd,
};

use crate::{
    bpf::Object,
    error::{Error, Result},
    records::{Attached, Counts, Ledger, Reading, Summary},
};

/// What is special about a tool that counts.
pub trait Counter: Send {
    /// Reads the counts.
    ///
    /// # Errors
    /// What reading the maps gives.
    fn read(&mut self, object: &Object) -> Result<Reading>;

    /// Whether what it is attached to is still there.
    ///
    /// # Errors
    /// [`Error::Gone`] when it is not.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// A running tool. May be used from several threads; stopping it in one ends the waits of the others.
pub struct Session {
    attached: Attached,
    epoll: Epoll,
    wakeup: EventFd,
    stopped: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// Gone once detached.
    object: Option<Object>,
    counter: Box<dyn Counter>,
    started: Instant,
    /// There once stopped.
    summary: Option<Summary>,
}

impl Session {
    /// Switches the attached programs on.
    ///
    /// # Errors
    /// [`Error::Os`] when no file descriptor is to be had.
    pub fn start(mut object: Object, counter: Box<dyn Counter>, attached: Attached) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(Error::os("epoll_create1"))?;
        let wakeup =
            EventFd::from_value_and_flags(0, nix::sys::eventfd::EfdFlags::EFD_CLOEXEC).map_err(Error::os("eventfd"))?;
        epoll.add(wakeup.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, 0)).map_err(Error::os("epoll_ctl"))?;
        object.set_word("ENABLED", 1)?;
        let state = State { object: Some(object), counter, started: Instant::now(), summary: None };
        Ok(Self { attached, epoll, wakeup, stopped: AtomicBool::new(false), state: Mutex::new(state) })
    }

    /// What is attached, and how.
    pub fn attached(&self) -> &Attached {
        &self.attached
    }

    /// Readable when there is something to do; today that is the session's end.
    pub fn fd(&self) -> RawFd {
        self.epoll.0.as_raw_fd()
    }

    /// Waits until there is something to do, at most that long. True when the session has been stopped.
    pub fn wait(&self, timeout: Duration) -> bool {
        if !self.is_stopped() {
            // Rounded up, so that the last millisecond is not spent spinning.
            let millis = u16::try_from(timeout.as_micros().div_ceil(1_000)).unwrap_or(u16::MAX);
            let mut events = [EpollEvent::empty()];
            // An interrupted wait is a short one: the caller looks at signals and comes back.
            let _ = self.epoll.wait(&mut events, EpollTimeout::from(millis));
        }
        self.is_stopped()
    }

    /// Whether [`Session::stop`] or [`Session::close`] was called.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Reads the counts.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Gone`], or what reading the maps gives.
    pub fn read(&self) -> Result<Reading> {
        let mut state = self.lock();
        if state.summary.is_some() {
            return Err(Error::Closed);
        }
        let State { object, counter, .. } = &mut *state;
        counter.check()?;
        counter.read(object.as_ref().ok_or(Error::Closed)?)
    }

    /// The ledger: as it stands while running (its terms are read one after the other), exact once stopped.
    ///
    /// # Errors
    /// What reading the maps gives.
    pub fn ledger(&self) -> Result<Ledger> {
        let mut state = self.lock();
        match (&state.summary, state.object.is_some()) {
            (Some(summary), _) => Ok(summary.ledger.clone()),
            (None, true) => state.account().map(|(ledger, _)| ledger),
            (None, false) => Err(Error::Closed),
        }
    }

    /// Ends the counting and all waits, and gives the whole run; asked again it gives the same.
    ///
    /// # Errors
    /// What reading the maps gives.
    pub fn stop(&self) -> Result<Summary> {
        let mut state = self.lock();
        if let Some(summary) = &state.summary {
            return Ok(summary.clone());
        }
        self.stopped.store(true, Ordering::Release);
        // It fails only if the counter is full, and then the waits end as well.
        let _ = self.wakeup.write(1);
        state.object.as_mut().ok_or(Error::Closed)?.set_word("ENABLED", 0)?;
        let duration_s = state.started.elapsed().as_secs_f64();
        wait_for_programs();
        let (ledger, reading) = state.account()?;
        let summary = Summary { ledger, duration_s, counts: Counts(reading) };
        state.summary = Some(summary.clone());
        Ok(summary)
    }

    /// Stops and detaches everything. Closing twice is fine.
    ///
    /// # Errors
    /// What [`Session::stop`] gives; everything is detached all the same.
    pub fn close(&self) -> Result<()> {
        let stopped = if self.lock().object.is_some() { self.stop().map(drop) } else { Ok(()) };
        let object = self.lock().object.take();
        drop(object);
        stopped
    }

    /// A panic elsewhere leaves nothing half done here: each step stands alone.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Reads the counts and the ledger.
    fn account(&mut self) -> Result<(Ledger, Reading)> {
        let object = self.object.as_ref().ok_or(Error::Closed)?;
        let reading = self.counter.read(object)?;
        let mut sum = ledger::Ledger::default();
        for cpu in object.per_cpu_array::<ledger::Ledger>("LEDGER")?.iter().flatten() {
            sum.add(cpu);
        }
        let ledger = Ledger::new(sum, object.missed(), reading.sum());
        Ok((ledger, reading))
    }
}

/// Returns when every program that was running has ended. Programs run inside RCU read-side sections, and the
/// global membarrier waits for all of them (kernel/sched/membarrier.c).
fn wait_for_programs() {
    // SAFETY: no memory is passed.
    let done = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if done != 0 {
        // Refused on nohz_full CPUs and without CONFIG_MEMBARRIER. No program of ours runs that long.
        thread::sleep(Duration::from_millis(100));
    }
}
