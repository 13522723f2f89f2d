//! Recordings that are read: as tables, and as events that happen again.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use ebpflab_common::{event::Kind, ledger};
use serde_json::{Value, value::RawValue};

use super::{Feed, Format, RECORDED, RECORDING, damaged, ipc, jsonl, parquet};
use crate::{
    columns::{Columns, Events, KINDS},
    error::{Error, Result},
    records::{Event, Ledger, Summary},
    schema::{Optional, Text},
};

/// A recording as a table.
pub struct Table {
    /// What its batches are made of.
    pub schema: SchemaRef,
    /// What it says of its start, as JSON.
    pub recording: String,
    /// What it says of its end, if it has one.
    pub recorded: Option<String>,
    /// Its rows.
    pub batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send>,
}

impl Table {
    /// Opens a recording.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for what is no recording, and a Parquet file without its end; [`Error::Os`].
    pub fn open(path: &Path) -> Result<Self> {
        let (schema, batches): (SchemaRef, Box<dyn Iterator<Item = _> + Send>) = match Format::of(path)? {
            Format::Parquet => {
                let (schema, batches) = parquet::batches(path)?;
                (schema, Box::new(batches))
            }
            Format::Arrow => {
                let batches = ipc::Batches::open(path)?;
                (batches.schema(), Box::new(batches.map(Ok)))
            }
            Format::Lines => {
                let reading = jsonl::Reading::open(path)?;
                let schema = Columns::new(&Kind::ALL.map(|(kind, _)| kind), Default::default()).schema().clone();
                let (recording, recorded) = (reading.recording.clone(), jsonl::end(path)?);
                return Ok(Self { schema, recording, recorded, batches: Box::new(reading) });
            }
        };
        let told = |key| schema.metadata.get(key).map(|json| json.trim().to_owned()).filter(|json| !json.is_empty());
        let recording = told(RECORDING).ok_or_else(|| damaged(path)("its metadata does not say what was recorded"))?;
        Ok(Self { recorded: told(RECORDED), recording, schema, batches })
    }
}

/// Which events of a recording are asked for: all conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// Of one process.
    pub pid: Option<u32>,
    /// Of one thread.
    pub tid: Option<u32>,
    /// Of one real user id.
    pub uid: Option<u32>,
    /// Of threads of that name.
    pub comm: Option<Vec<u8>>,
    /// Of one cgroup, by its path in the hierarchy, and those below it.
    pub cgroup: Option<Vec<u8>>,
    /// Of one container, by its name, its id or the first digits of that.
    pub container: Option<String>,
    /// Of opens, those whose whole path begins so, or is not known.
    pub path_prefix: Option<Vec<u8>>,
    /// Only what failed.
    pub failed: bool,
}

/// What the filter looks at.
struct Traits<'e> {
    pid: u32,
    tid: Option<u32>,
    uid: u32,
    comm: &'e [u8],
    cgroup_path: Option<&'e Text<'static>>,
    container: Option<&'e crate::records::Container>,
    failed: bool,
}

impl<'e> Traits<'e> {
    fn of(event: &'e Event<'_>) -> Self {
        macro_rules! traits {
            ($event:ident, $tid:expr, $failed:expr) => {
                Traits {
                    pid: $event.pid,
                    tid: $tid,
                    uid: $event.uid,
                    comm: &$event.comm.0,
                    cgroup_path: $event.cgroup_path,
                    container: $event.container,
                    failed: $failed,
                }
            };
        }
        match event {
            Event::Open(open) => traits!(open, Some(open.tid), open.ret < 0),
            Event::Exec(exec) => traits!(exec, None, exec.ret < 0),
            Event::Exit(exit) => traits!(exit, None, exit.exit_code != Some(0)),
            Event::Trace(trace) => traits!(trace, Some(trace.tid), trace.value.is_some_and(|value| value < 0)),
        }
    }
}

impl Keep {
    /// Fewest digits of a container's id that stand for it.
    const DIGITS: usize = 4;

    fn keeps(&self, event: &Event<'_>) -> bool {
        let of = Traits::of(event);
        let is = |asked: Option<u32>, has| asked.is_none_or(|asked| asked == has);
        let in_cgroup = |asked: &[u8]| {
            let asked = asked.strip_suffix(b"/").unwrap_or(asked);
            let below = of.cgroup_path.and_then(|path| path.0.strip_prefix(asked));
            below.is_some_and(|below| below.is_empty() || below.starts_with(b"/"))
        };
        let in_container = |asked: &str| {
            of.container.is_some_and(|container| {
                container.name.as_deref() == Some(asked)
                    || (asked.len() >= Self::DIGITS && container.id.starts_with(asked))
            })
        };
        is(self.pid, of.pid)
            && (self.tid.is_none() || self.tid == of.tid)
            && is(self.uid, of.uid)
            && self.comm.as_ref().is_none_or(|asked| asked == of.comm)
            && (!self.failed || of.failed)
            && self.cgroup.as_deref().is_none_or(in_cgroup)
            && self.container.as_deref().is_none_or(in_container)
            && self.path_prefix.as_deref().is_none_or(|asked| Self::begins(event, asked))
    }

    /// As programs do it: what is not known is kept, what has no name is not, and only opens are concerned.
    fn begins(event: &Event<'_>, asked: &[u8]) -> bool {
        let Event::Open(open) = event else { return true };
        match &open.full_path {
            Some(path) => path.0.starts_with(asked) || (open.path_truncated && !path.0.starts_with(b"/")),
            None => open.path_fault.is_some(),
        }
    }

    /// Whether the events of a tool have what is asked for.
    fn check(&self, tool: &str) -> Result<()> {
        let refuse = |reason: &str| Err(Error::InvalidArgument(reason.to_owned()));
        if self.tid.is_some() && !matches!(tool, "open" | "trace") {
            return refuse(
                "only recordings of open and trace can be filtered by thread: execs and exits do not say theirs",
            );
        }
        if self.path_prefix.is_some() && matches!(tool, "exec" | "trace") {
            return refuse(
                "a recording of exec or trace cannot be filtered by the beginning of paths: it has no opens",
            );
        }
        Ok(())
    }
}

/// What there is next.
#[derive(Debug)]
pub enum Next<T> {
    /// An event, or what was made of it.
    Event(T),
    /// An event that comes later.
    Later,
    /// Nothing any more.
    End,
}

/// The events of a recording, which happen again.
pub struct Replay {
    recording: String,
    recorded: Option<String>,
    stopped: AtomicBool,
    state: Mutex<State>,
}

struct State {
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send>,
    events: Option<Events>,
    row: usize,
    keep: Keep,
    /// So many times as fast as it happened; `None` waits for nothing.
    speed: Option<f64>,
    /// When the first event came, and the time of that.
    first: Option<(Instant, u64)>,
    /// When the next one is due.
    due: Option<Instant>,
    started: Instant,
    duration: Option<Duration>,
    seen: u64,
    filtered: u64,
    shown: [u64; KINDS],
}

impl Replay {
    /// Opens a recording.
    ///
    /// # Errors
    /// What [`Table::open`] gives, and [`Error::InvalidArgument`] where its events do not have what is asked for.
    pub fn open(path: &Path, keep: Keep, speed: Option<f64>) -> Result<Self> {
        let Table { recording, recorded, batches, .. } = Table::open(path)?;
        keep.check(&tool(&recording))?;
        let state = State {
            batches,
            events: None,
            row: 0,
            keep,
            speed,
            first: None,
            due: None,
            started: Instant::now(),
            duration: None,
            seen: 0,
            filtered: 0,
            shown: [0; KINDS],
        };
        Ok(Self { recording, recorded, stopped: AtomicBool::new(false), state: Mutex::new(state) })
    }

    /// How it was recorded, as JSON.
    pub fn recording(&self) -> &str {
        &self.recording
    }

    /// How the recording ended, as JSON; `None` if it did not.
    pub fn recorded(&self) -> Option<&str> {
        self.recorded.as_deref()
    }

    /// What was attached, as the line of JSON that it was.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the recording does not say.
    pub fn attached_json(&self) -> Result<Vec<u8>> {
        let told: HashMap<String, Box<RawValue>> = serde_json::from_str(&self.recording).unwrap_or_default();
        let attached = told.get("attached").map(|attached| format!("{attached}\n").into_bytes());
        attached.ok_or_else(|| Error::InvalidArgument("the recording does not say what was attached".to_owned()))
    }

    /// Hands on the next event, if it is due.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the file is damaged.
    pub fn next<T>(&self, take: impl FnOnce(&Event<'_>) -> T) -> Result<Next<T>> {
        let next = if self.stopped.load(Ordering::Acquire) { Next::End } else { self.lock().next(take)? };
        if let Next::End = next {
            self.stopped.store(true, Ordering::Release);
        }
        Ok(next)
    }

    /// Hands on the events that are due, at most `most` and not too many at once; returns how many.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the file is damaged.
    pub fn take(&self, most: u64, take: &mut dyn FnMut(&Event<'_>)) -> Result<usize> {
        /// Events at once.
        const BATCH: u64 = 1_024;
        let mut taken = 0;
        while taken < most.min(BATCH)
            && let Next::Event(()) = self.next(&mut *take)?
        {
            taken += 1;
        }
        Ok(taken as usize)
    }

    /// How long until the next event is due.
    pub fn due(&self) -> Duration {
        self.lock().due.map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now()))
    }

    /// Waits until the next event is due or it has been stopped, at most that long or a
    /// tenth of a second; whether that is so.
    pub fn wait(&self, timeout: Duration) -> bool {
        /// A signal does not end a sleep, nor does a stop.
        const LONGEST: Duration = Duration::from_millis(100);
        let timeout = timeout.min(LONGEST);
        let due = self.due();
        if !self.is_stopped() {
            thread::sleep(due.min(timeout));
        }
        due <= timeout || self.is_stopped()
    }

    /// Whether it was stopped, or is over.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// What became of the events so far.
    pub fn ledger(&self) -> Ledger {
        self.lock().ledger()
    }

    /// Ends it. Asked again it gives the same, but for what was shown.
    pub fn stop(&self) -> Summary {
        self.stopped.store(true, Ordering::Release);
        let mut state = self.lock();
        let elapsed = state.started.elapsed();
        let duration = *state.duration.get_or_insert(elapsed);
        let ledger = state.ledger();
        Summary {
            ledger,
            duration_s: duration.as_secs_f64(),
            counts: Optional(None),
            ledgers: Optional(None),
            firewall: Optional(None),
            sources: Optional(None),
            capture: Optional(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed for Replay {
    fn kinds(&self) -> Vec<Kind> {
        match tool(&self.recording).as_str() {
            "open" => vec![Kind::Open],
            "exec" => vec![Kind::Exec, Kind::Exit],
            "trace" => vec![Kind::Trace],
            _ => vec![Kind::Open, Kind::Exec, Kind::Exit],
        }
    }

    /// It stays the recording that it was.
    fn recording(&self, _command: Vec<String>) -> String {
        self.recording.clone()
    }

    fn take(&self, most: u64, take: &mut dyn FnMut(&Event<'_>)) -> Result<usize> {
        self.take(most, take)
    }

    fn unshow(&self, count: [u64; KINDS]) {
        self.lock().shown.iter_mut().zip(count).for_each(|(shown, count)| *shown -= count);
    }

    fn wait(&self, timeout: Duration) -> bool {
        self.wait(timeout)
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped()
    }

    fn stop(&self) -> Result<Summary> {
        Ok(self.stop())
    }
}

/// The tool that a recording is of.
fn tool(recording: &str) -> String {
    let told: Value = serde_json::from_str(recording).unwrap_or_default();
    told["attached"]["command"].as_str().unwrap_or_default().to_owned()
}

impl State {
    fn next<T>(&mut self, take: impl FnOnce(&Event<'_>) -> T) -> Result<Next<T>> {
        loop {
            let Some(events) = self.events.as_ref().filter(|events| self.row < events.len()) else {
                let Some(batch) = self.batches.next().transpose()? else { return Ok(Next::End) };
                let events = Events::new(&batch);
                let not = || Error::InvalidArgument("the recording has not the columns of events".to_owned());
                (self.events, self.row) = (Some(events.ok_or_else(not)?), 0);
                continue;
            };
            let Some(event) = events.event(self.row) else {
                return Err(Error::InvalidArgument(format!("event {} of the recording is damaged", self.seen + 1)));
            };
            if self.keep.keeps(&event) {
                if let Some(speed) = self.speed {
                    let (start, first) = *self.first.get_or_insert((Instant::now(), event.time()));
                    let after = Duration::from_nanos(event.time().saturating_sub(first)).div_f64(speed);
                    self.due = Some(start + after);
                    if start.elapsed() < after {
                        return Ok(Next::Later);
                    }
                }
                self.shown[event.kind() as usize] += 1;
                let taken = take(&event);
                (self.row, self.seen) = (self.row + 1, self.seen + 1);
                return Ok(Next::Event(taken));
            }
            (self.row, self.seen, self.filtered) = (self.row + 1, self.seen + 1, self.filtered + 1);
        }
    }

    fn ledger(&self) -> Ledger {
        let submitted = self.seen - self.filtered;
        let read = ledger::Ledger { seen: self.seen, filtered: self.filtered, submitted, ..Default::default() };
        Ledger::new(read, None, 0, submitted, self.shown.iter().sum())
    }
}
