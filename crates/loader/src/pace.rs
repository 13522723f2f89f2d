//! How whoever reads a ring buffer is woken. Waking costs whoever writes to it more than writing does, so while events
//! come the kernel wakes only where much waits, and a timer sees to it that little does not wait long. Where none come
//! the first one wakes at once, and there is no timer.

use std::{
    os::fd::{AsFd as _, BorrowedFd},
    sync::Arc,
    time::Duration,
};

use ebpflab_common::event::Wakeup;
use nix::sys::{
    epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout},
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};

use crate::{
    bpf::Object,
    error::{Error, Result},
};

/// How long events wait at most; the contract is 100 ms.
const TICK: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Each event wakes, as long as few wait.
    Each,
    /// Many wake, or the timer does.
    Many,
    /// Each event wakes again; the timer comes once more, for one whose program had looked before.
    Last,
}

pub(crate) struct Pace {
    epoll: Arc<Epoll>,
    timer: TimerFd,
    is_armed: bool,
    mode: Mode,
    /// Bytes that are many.
    many: u64,
}

impl Pace {
    /// Prepares an object with a buffer of that many bytes.
    ///
    /// # Errors
    /// [`Error::Os`] when no file descriptor is to be had, [`Error::Object`] for an object that wakes in its own way.
    pub(crate) fn new(object: &mut Object, epoll: Arc<Epoll>, buffer: u64) -> Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(Error::os("timerfd_create"))?;
        epoll.add(timer.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, 0)).map_err(Error::os("epoll_ctl"))?;
        // By then there is time enough to wake up before it is full.
        let pace = Self { epoll, timer, is_armed: false, mode: Mode::Each, many: buffer / 8 };
        object.set_value("WAKEUP", pace.wakeup(Mode::Each))?;
        Ok(pace)
    }

    /// Before a look into the buffer: whether the timer asked for it.
    pub(crate) fn look(&mut self) -> bool {
        if self.mode == Mode::Many {
            // What the kernel said up to now is what is looked for now.
            let _ = self.epoll.wait(&mut [EpollEvent::empty(); 4], EpollTimeout::ZERO);
        }
        let ticked = self.is_armed && self.timer.wait().is_ok();
        self.is_armed &= !ticked;
        ticked
    }

    /// After the look: whether it found anything.
    pub(crate) fn looked(&mut self, object: &mut Object, buffer: BorrowedFd<'_>, ticked: bool, found: bool) {
        match (self.mode, found) {
            (Mode::Each | Mode::Last, true) => self.change(object, buffer, Mode::Many),
            (Mode::Many, false) if ticked => self.change(object, buffer, Mode::Last),
            (Mode::Last, false) if ticked => self.mode = Mode::Each,
            _ => {}
        }
        if self.mode != Mode::Each && !self.is_armed {
            self.is_armed = self.arm();
        }
    }

    fn arm(&self) -> bool {
        self.timer.set(Expiration::OneShot(TimeSpec::from_duration(TICK)), TimerSetTimeFlags::empty()).is_ok()
    }

    fn change(&mut self, object: &mut Object, buffer: BorrowedFd<'_>, mode: Mode) {
        // Where many wake, that some wait is not worth a wait's end; what makes it one is that the kernel wakes.
        let edge = if mode == Mode::Many { EpollFlags::EPOLLET } else { EpollFlags::empty() };
        let mut event = EpollEvent::new(EpollFlags::EPOLLIN | edge, 0);
        // Without a timer, or leave to write to the map (kernels before 5.11 ask for privileges), each event wakes.
        if (self.is_armed || self.arm()) && object.set_value("WAKEUP", self.wakeup(mode)).is_ok() {
            self.is_armed = true;
            self.mode = mode;
            let _ = self.epoll.modify(buffer, &mut event);
        }
    }

    fn wakeup(&self, mode: Mode) -> Wakeup {
        /// Bytes that are few. An event may come while the one before has not woken anybody: it does then.
        const FEW: u64 = 4_096;
        match mode {
            Mode::Each | Mode::Last => Wakeup { from: 0, below: FEW },
            Mode::Many => Wakeup { from: self.many, below: u64::MAX },
        }
    }
}
