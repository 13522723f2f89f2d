//! A tool that is attached: one file descriptor to wait on, readings, and an end that adds up.
//!
//! The order at the end is what makes the ledger exact: switch the programs off, wait until none runs any more, read
//! the counts and the ledger. Detaching, which may take the kernel long, comes after the summary is out.

use std::{
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, RawFd},
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ebpflab_common::{event::Kind, ledger};
use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    eventfd::{EfdFlags, EventFd},
};

use crate::{
    bpf::Object,
    columns::KINDS,
    containers::Locator,
    error::{Error, Result},
    events::{Backlog, OwnedRaw, Raw},
    pace::Pace,
    privilege,
    records::{Attached, Counts, Ledger, Ledgers, More, Reading, Summary},
    rules::Rules,
    schema::Optional,
    tools::{boot_time, clock_offset, now},
};

/// Events taken out of the buffer at once.
const BATCH: usize = 1_024;

/// What is special about a tool that counts.
pub trait Counter: Send {
    /// Reads the counts.
    ///
    /// # Errors
    /// What reading the maps gives.
    fn read(&mut self, object: &Object) -> Result<Reading>;

    /// Puts other rules in force.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a tool that has none, and for rules that there is no room for.
    fn replace(&mut self, _object: &mut Object, _rules: Rules) -> Result<()> {
        Err(Error::InvalidArgument("this session has no rules that could be replaced".to_owned()))
    }

    /// Calls whose return has not been seen, of a tool that counts at the return.
    ///
    /// # Errors
    /// What reading the maps gives.
    fn pending(&self, _object: &Object) -> Result<u64> {
        Ok(0)
    }

    /// Does what has to be done in time while somebody waits, and says when to come again; `None`: there is nothing.
    fn tend(&mut self, _object: &Object) -> Option<Duration> {
        None
    }

    /// What whoever runs it should be told.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether what it is attached to is still there, and it is still attached.
    ///
    /// # Errors
    /// [`Error::Gone`] when it is not.
    fn check(&self, _object: &Object) -> Result<()> {
        Ok(())
    }
}

/// What is special about a tool that has events.
pub(crate) trait Source: Send {
    /// Takes records out of the buffer: `most` of them, or more where no buffer would show that there are more. Each
    /// may be in two pieces, and have padding behind it.
    fn drain(&mut self, most: usize, take: &mut dyn FnMut(&[u8], &[u8]));

    /// Entries of that kind whose return has not been seen.
    ///
    /// # Errors
    /// What reading the maps gives.
    fn pending(&self, object: &Object, kind: Kind) -> Result<u64>;

    /// The kinds of events that it has; where there are several each has a ledger of its own.
    fn kinds(&self) -> &[Kind];

    /// Readable while there are events in the buffer, or the buffers.
    fn fds(&self) -> Vec<BorrowedFd<'_>>;

    /// The same of the one ring buffer whose programs ask the map `WAKEUP` whether to wake whoever reads.
    fn ring(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A tool's own part of a session.
pub(crate) enum Tool {
    /// It counts, and is read at any time.
    Counter(Box<dyn Counter>),
    /// It has events, which wait in a buffer, and whoever knows where they are from.
    Source(Box<dyn Source>, Box<Locator>),
}

/// A running tool. May be used from several threads; stopping it in one ends the waits of the others.
///
/// It belongs to the process that made it. A child that inherits it by fork can do nothing with it, not even end it;
/// but as long as the child lives, so do the links and programs that it holds.
pub struct Session {
    attached: Attached,
    /// How many forks lay between this process and the first one when it was made.
    forks: u32,
    epoll: Arc<Epoll>,
    /// Readable once stopped.
    wakeup: EventFd,
    stopped: AtomicBool,
    /// Whether there may be something to do while somebody waits.
    counts: bool,
    state: Mutex<State>,
}

struct State {
    /// Gone once closed, and with it everything in the kernel.
    running: Option<Running>,
    started: Instant,
    /// Taken out of the buffer and not handed on yet.
    backlog: Backlog,
    /// Where there is a ring buffer.
    pace: Option<Pace>,
    /// The last look into the buffer ended before the buffer did.
    is_more: bool,
    /// Readable while there is a backlog, or more: the buffer does not show it any more.
    waiting: EventFd,
    is_waiting: bool,
    /// Events taken out of the buffer, and events handed on, by kind.
    received: [u64; KINDS],
    shown: [u64; KINDS],
    /// There once stopped.
    summary: Option<Summary>,
}

struct Running {
    object: Object,
    tool: Tool,
}

impl Session {
    /// Switches the attached programs on.
    ///
    /// # Errors
    /// [`Error::Os`] when no file descriptor is to be had.
    pub(crate) fn start(mut object: Object, tool: Tool, attached: Attached) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(Error::os("epoll_create1"))?;
        let epoll = Arc::new(epoll);
        let eventfd = || EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(Error::os("eventfd"));
        let (wakeup, waiting) = (eventfd()?, eventfd()?);
        let watch =
            |fd: BorrowedFd<'_>| epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0)).map_err(Error::os("epoll_ctl"));
        watch(wakeup.as_fd())?;
        watch(waiting.as_fd())?;
        if let Tool::Source(source, _) = &tool {
            source.fds().into_iter().try_for_each(watch)?;
        }
        let has_ring = matches!(&tool, Tool::Source(source, _) if source.ring().is_some());
        let pace = match has_ring {
            true => Some(Pace::new(&mut object, epoll.clone(), attached.buffer.unwrap_or_default())?),
            false => None,
        };
        object.trim();
        object.set_word("ENABLED", 1)?;
        let counts = matches!(tool, Tool::Counter(_));
        let state = State {
            running: Some(Running { object, tool }),
            started: Instant::now(),
            backlog: Backlog::new(clock_offset()?),
            pace,
            is_more: false,
            waiting,
            is_waiting: false,
            received: [0; KINDS],
            shown: [0; KINDS],
            summary: None,
        };
        let forks = forks();
        Ok(Self { attached, forks, epoll, wakeup, stopped: AtomicBool::new(false), counts, state: Mutex::new(state) })
    }

    /// The kinds of events that it has; none for a tool that counts, and once it is closed.
    pub fn kinds(&self) -> Vec<Kind> {
        match &self.lock().running {
            Some(Running { tool: Tool::Source(source, _), .. }) => source.kinds().to_vec(),
            _ => Vec::new(),
        }
    }

    /// When it was switched on: nanoseconds since the epoch.
    pub fn start_time(&self) -> u64 {
        now().saturating_sub(self.lock().started.elapsed().as_nanos() as u64)
    }

    /// What is attached, and how.
    pub fn attached(&self) -> &Attached {
        &self.attached
    }

    /// Readable when there is something to do: events wait, or the session was stopped.
    pub fn fd(&self) -> RawFd {
        self.epoll.0.as_raw_fd()
    }

    /// Waits until events wait or the session has been stopped, at most that long; whether that is so.
    pub fn wait(&self, timeout: Duration) -> bool {
        let timeout = self.tend().map_or(timeout, |again| timeout.min(again));
        // Rounded up, so that the last millisecond is not spent spinning.
        let millis = u16::try_from(timeout.as_micros().div_ceil(1_000)).unwrap_or(u16::MAX);
        let mut events = [EpollEvent::empty()];
        // An interrupted wait is a short one: the caller looks at signals and comes back.
        self.epoll.wait(&mut events, EpollTimeout::from(millis)).is_ok_and(|ready| ready > 0)
    }

    /// Lets the tool do what cannot wait until it is read.
    fn tend(&self) -> Option<Duration> {
        if !self.counts || self.is_stopped() {
            return None;
        }
        match self.lock().running.as_mut()? {
            Running { object, tool: Tool::Counter(counter) } => counter.tend(object),
            Running { tool: Tool::Source(..), .. } => None,
        }
    }

    /// Whether [`Session::stop`] or [`Session::close`] was called, or it belongs to the parent process.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire) || !self.is_ours()
    }

    /// Whether this process made it, and did not inherit it.
    fn is_ours(&self) -> bool {
        self.forks == forks()
    }

    /// Reads the counts of a tool that counts.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Gone`], or what reading the maps gives.
    pub fn read(&self) -> Result<Reading> {
        if !self.is_ours() {
            return Err(Error::Closed);
        }
        let mut state = self.lock();
        if state.summary.is_some() {
            return Err(Error::Closed);
        }
        match state.running.as_mut().ok_or(Error::Closed)? {
            Running { object, tool: Tool::Counter(counter) } => {
                counter.check(object)?;
                counter.read(object)
            }
            Running { tool: Tool::Source(..), .. } => {
                Err(Error::InvalidArgument("this tool has events, not counts".to_owned()))
            }
        }
    }

    /// Gives up for good the capabilities of this thread that the session needs no longer, but those that are `kept`.
    ///
    /// Kernels before 5.19 want CAP_BPF of whoever reads maps, if unprivileged BPF is disabled; whether this one does is
    /// tried. With CAP_NET_ADMIN filters of clsact are taken away, and it is asked whether programs are still on TCX.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Os`] where the kernel refuses; [`Error::InvalidArgument`] for a name that is none.
    pub fn give_up_capabilities(&self, kept: &[&str]) -> Result<()> {
        let state = self.lock();
        let Running { object, .. } = state.running.as_ref().ok_or(Error::Closed)?;
        let is_on_tc = self.attached.hooks.iter().any(|hook| matches!(hook.kind.as_str(), "tcx" | "clsact"));
        let own = if is_on_tc { &["CAP_NET_ADMIN"][..] } else { &[] };
        privilege::give_up(&[kept, own].concat(), || object.array::<u32>("ENABLED").is_ok())
    }

    /// Puts other rules in force, of a tool that has rules: every packet meets the old ones or the new ones.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::InvalidArgument`] where it has none, or no room for so many. The old ones stay.
    pub fn replace(&self, rules: Rules) -> Result<()> {
        if !self.is_ours() {
            return Err(Error::Closed);
        }
        let mut state = self.lock();
        if state.summary.is_some() {
            return Err(Error::Closed);
        }
        match state.running.as_mut().ok_or(Error::Closed)? {
            Running { object, tool: Tool::Counter(counter) } => counter.replace(object, rules),
            Running { tool: Tool::Source(..), .. } => {
                Err(Error::InvalidArgument("this tool has events, not rules".to_owned()))
            }
        }
    }

    /// What whoever runs it should be told, as long as it is not closed.
    pub fn warnings(&self) -> Vec<String> {
        if !self.is_ours() {
            return Vec::new();
        }
        match &self.lock().running {
            Some(Running { tool: Tool::Counter(counter), .. }) => counter.warnings(),
            _ => Vec::new(),
        }
    }

    /// Hands on the next event, if one waits. After a stop the rest of them can be had.
    pub fn next(&self) -> Option<OwnedRaw> {
        if self.is_ours() { self.lock().next(|raw| raw.to_owned()) } else { None }
    }

    /// Like [`Session::next`], but gives up with `None` where another thread is at work on the session.
    pub fn try_next(&self) -> Option<Option<OwnedRaw>> {
        if !self.is_ours() {
            return Some(None);
        }
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(state.next(|raw| raw.to_owned()))
    }

    /// Whether events wait, or the session was stopped. Takes events out of the buffer for that, so that the file
    /// descriptor is readable until they are gone: that of a perf buffer says so only once.
    pub fn is_readable(&self) -> bool {
        if self.is_stopped() {
            return true;
        }
        let mut state = self.lock();
        if state.backlog.is_empty() {
            state.drain();
            state.show_waiting();
        }
        !state.backlog.is_empty()
    }

    /// Hands on the events that wait, at most `most` and not too many at once; returns how many. What is done with them
    /// is done while other threads wait for it.
    pub fn take(&self, most: u64, mut take: impl FnMut(&Raw<'_>)) -> usize {
        if !self.is_ours() {
            return 0;
        }
        let mut state = self.lock();
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(BATCH);
        (0..most).take_while(|_| state.next(&mut take).is_some()).count()
    }

    /// Hands on all events that there are: those that happen meanwhile need not be among them.
    pub fn take_all(&self, mut take: impl FnMut(&Raw<'_>)) {
        let now = boot_time();
        let mut is_later = false;
        while !is_later {
            let taken = self.take(u64::MAX, |raw| {
                is_later |= raw.written_at() > now;
                take(raw);
            });
            if taken == 0 {
                return;
            }
        }
    }

    /// Takes back that so many events of each kind were shown: they were taken, and then got lost.
    pub fn unshow(&self, count: [u64; KINDS]) {
        let mut state = self.lock();
        state.shown.iter_mut().zip(count).for_each(|(shown, count)| *shown -= count);
    }

    /// What [`Session::take`] hands on, as lines of JSON.
    pub fn next_json(&self, most: u64) -> Vec<u8> {
        let mut lines = Vec::new();
        self.take(most, |raw| raw.event().write_json_line(&mut lines));
        lines
    }

    /// The ledger: as it stands while running (its terms are read one after the other), exact once stopped.
    ///
    /// # Errors
    /// What reading the maps gives.
    pub fn ledger(&self) -> Result<Ledger> {
        if !self.is_ours() {
            return Err(Error::Closed);
        }
        let mut state = self.lock();
        match state.summary() {
            Some(summary) => Ok(summary.ledger),
            None => state.account(0.0).map(|summary| summary.ledger),
        }
    }

    /// Ends the run and all waits, and gives the whole run; asked again it gives the same, but for what was shown.
    ///
    /// # Errors
    /// What reading the maps gives.
    pub fn stop(&self) -> Result<Summary> {
        if !self.is_ours() {
            return Err(Error::Closed);
        }
        let mut state = self.lock();
        if let Some(summary) = state.summary() {
            return Ok(summary);
        }
        self.stopped.store(true, Ordering::Release);
        // It fails only if the counter is full, and then the waits end as well.
        let _ = self.wakeup.write(1);
        state.running.as_mut().ok_or(Error::Closed)?.object.set_word("ENABLED", 0)?;
        let duration_s = state.started.elapsed().as_secs_f64();
        wait_for_programs();
        while state.drain() > 0 {}
        state.show_waiting();
        state.summary = Some(state.account(duration_s)?);
        state.summary().ok_or(Error::Closed)
    }

    /// Stops and detaches everything; events that still wait are gone. Closing twice is fine.
    ///
    /// # Errors
    /// What [`Session::stop`] gives; everything is detached all the same.
    pub fn close(&self) -> Result<()> {
        if !self.is_ours() {
            return Ok(());
        }
        let running = self.lock().running.is_some();
        let stopped = if running { self.stop().map(drop) } else { Ok(()) };
        let mut state = self.lock();
        state.backlog.clear();
        state.is_more = false;
        state.show_waiting();
        let running = state.running.take();
        drop(state);
        // Detaching may take long; other threads do not wait for it.
        drop(running);
        stopped
    }

    /// A panic elsewhere leaves nothing half done here: each step stands alone.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Session {
    /// In a child that inherited it nothing is detached: detaching a perf event disables it for the parent too.
    fn drop(&mut self) {
        if !self.is_ours() {
            let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(state.running.take());
        }
    }
}

impl State {
    /// Hands on the next event, from the backlog or else from the buffer.
    fn next<T>(&mut self, take: impl FnOnce(&Raw<'_>) -> T) -> Option<T> {
        if self.backlog.is_empty() {
            self.drain();
        }
        let taken = self.backlog.pop().map(|raw| {
            self.shown[raw.kind() as usize] += 1;
            take(&raw)
        });
        self.show_waiting();
        taken
    }

    /// Makes the file descriptor say whether there is a backlog.
    fn show_waiting(&mut self) {
        let waits = self.is_more || !self.backlog.is_empty();
        if waits != self.is_waiting {
            // Neither can fail or block: it is raised from zero, and lowered from one.
            let _ = if waits { self.waiting.write(1).map(drop) } else { self.waiting.read().map(drop) };
            self.is_waiting = waits;
        }
    }

    /// Takes events out of the buffer into the backlog, and returns how many.
    fn drain(&mut self) -> usize {
        let Some(Running { object, tool: Tool::Source(source, locator) }) = &mut self.running else { return 0 };
        let ticked = self.pace.as_mut().is_some_and(Pace::look);
        let (mut found, mut taken) = (0, 0);
        source.drain(BATCH, &mut |head, tail| {
            found += 1;
            // A record that is no record is missing from `received`, and the ledger says so.
            if let Some(kind) = self.backlog.push(head, tail) {
                self.received[kind as usize] += 1;
                taken += 1;
            }
        });
        if taken > 0 {
            // After the events: what made them possible was told before.
            locator.update();
            self.backlog.locate(taken, |cgroup| locator.place(cgroup));
        }
        self.is_more = found >= BATCH;
        if let Some((pace, ring)) = self.pace.as_mut().zip(source.ring()) {
            pace.looked(object, ring, ticked, found > 0);
        }
        taken
    }

    /// The summary, with what has been shown by now.
    fn summary(&self) -> Option<Summary> {
        let mut summary = self.summary.clone()?;
        if let Some(Ledgers { open, exec, exit }) = &mut summary.ledgers.0 {
            if let Some(open) = &mut open.0 {
                open.shown = self.shown[Kind::Open as usize];
            }
            exec.shown = self.shown[Kind::Exec as usize];
            exit.shown = self.shown[Kind::Exit as usize];
        }
        summary.ledger.shown = self.shown.iter().sum();
        Some(summary)
    }

    /// Reads the ledger, and the counts of a tool that counts.
    fn account(&mut self, duration_s: f64) -> Result<Summary> {
        let Running { object, tool } = self.running.as_mut().ok_or(Error::Closed)?;
        let slots = object.per_cpu_array::<ledger::Ledger>("LEDGER")?;
        // No object has both. The map of a tree's processes is part of every filter; where none is asked for nothing is
        // added to it.
        let lost = object.value::<u64>("TREE_LOST")?.or(object.value::<u64>("STAGE_LOST")?).filter(|lost| *lost > 0);
        let missed = object.missed().map_or(lost, |missed| Some(missed + lost.unwrap_or(0)));
        let mut counts = None;
        let mut more = More::default();
        let mut pending = [0; KINDS];
        match tool {
            Tool::Counter(counter) => {
                let mut reading = counter.read(object)?;
                more = reading.take_more();
                // Counts are given out as they stand.
                self.received[0] = reading.sum();
                self.shown[0] = reading.sum();
                pending[0] = counter.pending(object)?;
                counts = Some(Counts(reading));
            }
            Tool::Source(source, _) => {
                for kind in source.kinds() {
                    pending[*kind as usize] = source.pending(object, *kind)?;
                }
            }
        }
        let of = |slot: usize| {
            let mut sum = ledger::Ledger::default();
            slots.get(slot).into_iter().flatten().for_each(|cpu| sum.add(cpu));
            // The kernel tells the runs that it skipped by program, not by kind: they stand in the sum.
            Ledger::new(sum, None, pending[slot], self.received[slot], self.shown[slot])
        };
        let [open, exec, exit, trace] = Kind::ALL.map(|(kind, _)| of(kind as usize));
        let ledger = Ledger { missed, ..open.plus(&exec).plus(&exit).plus(&trace) };
        let kinds = if let Tool::Source(source, _) = tool { source.kinds() } else { &[] };
        let open = Optional(kinds.contains(&Kind::Open).then_some(open));
        let ledgers = (kinds.len() > 1).then_some(Ledgers { open, exec, exit });
        let More { firewall, sources, capture } = more;
        Ok(Summary {
            ledger,
            duration_s,
            counts: Optional(counts),
            ledgers: Optional(ledgers),
            firewall,
            sources,
            capture,
        })
    }
}

/// How many forks lie between this process and the first one that asked. (Asking for the process id each time would be
/// a system call for each event.)
fn forks() -> u32 {
    static FORKS: AtomicU32 = AtomicU32::new(0);
    static COUNTED: Once = Once::new();
    extern "C" fn forked() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: the handler does nothing but an atomic addition. Without memory for it, forks go unnoticed.
    COUNTED.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(forked));
    });
    FORKS.load(Ordering::Relaxed)
}

/// Returns when every program that was running has ended. Programs run inside RCU read-side sections, and the
/// global membarrier waits for all of them (kernel/sched/membarrier.c).
pub(crate) fn wait_for_programs() {
    // SAFETY: no memory is passed.
    let done = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if done != 0 {
        // Refused on nohz_full CPUs and without CONFIG_MEMBARRIER. No program of ours runs that long.
        thread::sleep(Duration::from_millis(100));
    }
}
