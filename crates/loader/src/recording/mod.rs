//! Recordings: the events of a session in a file, so that a kill at any moment costs at most the last second.
//!
//! A file that is written is appended to and nothing else; what ends it comes last. [`recover`] ends what a kill left
//! without an end.

mod folder;
mod ipc;
mod jsonl;
mod parquet;
mod read;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    fs::{self, File, TryLockError},
    io, mem,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arrow_array::{RecordBatch, cast::AsArray as _, types::TimestampNanosecondType};
use ebpflab_common::event::Kind;
use nix::sys::utsname::uname;
use serde_json::Value;

use self::folder::Folder;
use crate::{
    columns::{Columns, KINDS, MOST_ROWS, VERSION},
    error::{Error, Result},
    records::{Event, Recorded, Recording, Summary},
    schema::{Optional, Record},
    session::Session,
};

pub use folder::Rotation;
pub use read::{Keep, Next, Replay, Table};

/// The names in the metadata of files, and what they hold: [`Recording`] and [`Recorded`] as JSON.
const RECORDING: &str = "ebpflab.recording";
const RECORDED: &str = "ebpflab.recorded";

/// What may wait in memory for so long: with the slack that a loaded machine needs it is on its way to the disk within
/// a second.
const FLUSH: Duration = Duration::from_millis(400);

/// Lines of JSON that are written at once.
const LINES: usize = 1 << 20;

/// The formats, each by the end of a file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Arrow's IPC stream format.
    Arrow,
    /// JSON lines.
    Lines,
}

impl Format {
    /// The format that a file's name asks for.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for another name.
    pub fn of(path: &Path) -> Result<Self> {
        let name = folder::finished(path).unwrap_or_else(|| path.to_owned());
        match name.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => Ok(Self::Parquet),
            Some("arrow") => Ok(Self::Arrow),
            Some("jsonl") => Ok(Self::Lines),
            _ => {
                let name = path.display();
                Err(Error::InvalidArgument(format!(
                    "the name of a recording ends in .parquet, .arrow or .jsonl, not {name}"
                )))
            }
        }
    }
}

/// A file of batches that is written.
trait Sink: Send {
    /// Writes a batch so that a kill from now on leaves it to be read, or recovered.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// How many bytes it has, with those of the rows that are not in it yet.
    fn bytes(&self) -> u64;

    /// Ends the file.
    fn finish(self: Box<Self>, recorded: &Recorded) -> Result<()>;
}

enum Output {
    Lines { file: jsonl::Lines, lines: Vec<u8> },
    Table { file: Box<dyn Sink>, columns: Columns },
}

/// A file that events are written to.
pub struct Writer {
    path: PathBuf,
    output: Output,
    /// Events that are written, and those of each kind that wait in memory.
    rows: u64,
    waiting: [u64; KINDS],
    flushed: Instant,
}

impl Writer {
    /// Makes the file, which nobody but its owner may read (mode 0600), for events of these kinds. `recording` is
    /// [`Recording`] as a line of JSON.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a name that ends in no format, [`Error::Os`]: there is such a file already, and
    /// `overwrite` does not say to remove it, or it cannot be written.
    pub fn create(path: &Path, kinds: &[Kind], recording: &str, overwrite: bool) -> Result<Self> {
        let format = Format::of(path)?;
        if overwrite {
            for path in [path, &parquet::journal(path)] {
                fs::remove_file(path).or_else(|error| match error.kind() {
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(Error::os(format!("remove {}", path.display()))(error)),
                })?;
            }
        }
        let metadata = HashMap::from([(RECORDING.to_owned(), recording.to_owned())]);
        let columns = Columns::new(kinds, metadata);
        let output = match format {
            Format::Lines => Output::Lines { file: jsonl::Lines::create(path, recording)?, lines: Vec::new() },
            Format::Arrow => Output::Table { file: Box::new(ipc::Stream::create(path, columns.schema())?), columns },
            Format::Parquet => {
                Output::Table { file: Box::new(parquet::Parquet::create(path, columns.schema().clone())?), columns }
            }
        };
        Ok(Self { path: path.to_owned(), output, rows: 0, waiting: [0; KINDS], flushed: Instant::now() })
    }

    /// Takes an event in.
    pub fn append(&mut self, event: &Event<'_>) {
        self.waiting[event.kind() as usize] += 1;
        match &mut self.output {
            Output::Lines { lines, .. } => event.write_json_line(lines),
            Output::Table { columns, .. } => columns.append(event),
        }
    }

    /// How many events there is room for before they have to be written.
    pub fn room(&self) -> usize {
        match &self.output {
            Output::Lines { lines, .. } if lines.len() >= LINES => 0,
            Output::Lines { .. } => usize::MAX,
            Output::Table { columns, .. } => MOST_ROWS - columns.len(),
        }
    }

    /// How long until what waits in memory has to be written.
    pub fn due(&self) -> Duration {
        FLUSH.saturating_sub(self.flushed.elapsed())
    }

    /// Writes what waits in memory.
    ///
    /// # Errors
    /// [`Error::Os`] where it cannot be written, and how many events of each kind that were.
    pub fn flush(&mut self) -> Result<(), (Error, [u64; KINDS])> {
        self.flushed = Instant::now();
        let waiting = mem::take(&mut self.waiting);
        let rows: u64 = waiting.iter().sum();
        if rows == 0 {
            return Ok(());
        }
        let written = match &mut self.output {
            Output::Lines { file, lines } => {
                let written = file.write(lines);
                lines.clear();
                written
            }
            Output::Table { file, columns } => file.write(&columns.finish()),
        };
        written.map_err(|error| (error, waiting))?;
        self.rows += rows;
        Ok(())
    }

    /// Ends the file, of which all is written.
    ///
    /// # Errors
    /// [`Error::Os`] where it cannot be written.
    pub fn finish(self, recorded: &Recorded) -> Result<()> {
        match self.output {
            Output::Lines { file, .. } => file.finish(recorded),
            Output::Table { file, .. } => file.finish(recorded),
        }?;
        folder::finish(&self.path)
    }

    /// How many bytes the file has, with those that wait in it.
    fn bytes(&self) -> u64 {
        match &self.output {
            Output::Lines { file, .. } => file.bytes(),
            Output::Table { file, .. } => file.bytes(),
        }
    }
}

/// Where events come from: a session, or a recording that is replayed.
pub trait Feed: Sync {
    /// The kinds of events that it may have.
    fn kinds(&self) -> Vec<Kind>;

    /// What a recording of it says of its start, as a line of JSON; `command` is what the user typed.
    fn recording(&self, command: Vec<String>) -> String;

    /// Hands on the events that wait, at most `most` and not too many at once; returns how many.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a damaged recording.
    fn take(&self, most: u64, take: &mut dyn FnMut(&Event<'_>)) -> Result<usize>;

    /// Takes back that so many events of each kind were shown.
    fn unshow(&self, count: [u64; KINDS]);

    /// Waits until events wait or it has been stopped, at most that long; whether that is so.
    fn wait(&self, timeout: Duration) -> bool;

    /// Whether it was stopped.
    fn is_stopped(&self) -> bool;

    /// Ends it, and gives the whole run.
    ///
    /// # Errors
    /// What [`Session::stop`] gives.
    fn stop(&self) -> Result<Summary>;
}

impl Feed for Session {
    fn kinds(&self) -> Vec<Kind> {
        self.kinds()
    }

    fn recording(&self, command: Vec<String>) -> String {
        let (start, attached) = (self.start_time(), self.attached().clone());
        json(&Recording { version: VERSION, host: host(), command, start, attached })
    }

    fn take(&self, most: u64, take: &mut dyn FnMut(&Event<'_>)) -> Result<usize> {
        Ok(self.take(most, |raw| take(&raw.event())))
    }

    fn unshow(&self, count: [u64; KINDS]) {
        self.unshow(count);
    }

    fn wait(&self, timeout: Duration) -> bool {
        self.wait(timeout)
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped()
    }

    fn stop(&self) -> Result<Summary> {
        self.stop()
    }
}

/// What a recording may do with what there is at its path.
#[derive(Clone, Copy, Debug)]
pub enum Over {
    /// Nothing: there must be no file.
    Nothing,
    /// Replace the file.
    Old,
    /// Go on from file to file in a folder.
    Rotation(Rotation),
}

/// A recording that is made of what a [`Feed`] gives.
pub struct Recorder {
    writer: Writer,
    kinds: Vec<Kind>,
    recording: String,
    /// Where it goes on when the file is full.
    folder: Option<Folder>,
    /// Events in the files that are full.
    before: u64,
}

impl Recorder {
    /// Makes the file, or with a rotation the first file in the folder of that path.
    ///
    /// # Errors
    /// What [`Writer::create`] gives, and [`Error::InvalidArgument`] for a tool that counts.
    pub fn create(path: &Path, feed: &dyn Feed, command: Vec<String>, over: Over) -> Result<Self> {
        let kinds = feed.kinds();
        if kinds.is_empty() {
            return Err(Error::InvalidArgument("there are no events to record".to_owned()));
        }
        let recording = feed.recording(command);
        let mut folder = match over {
            Over::Rotation(rotation) => Some(Folder::new(path, rotation, &recording)),
            Over::Nothing | Over::Old => None,
        };
        let path = folder.as_mut().map_or_else(|| Ok(path.to_owned()), Folder::next_path)?;
        let writer = Writer::create(&path, &kinds, &recording, matches!(over, Over::Old))?;
        Ok(Self { writer, kinds, recording, folder, before: 0 })
    }

    /// Takes the events that wait, at most `most` and not too many at once, and returns how many.
    ///
    /// # Errors
    /// [`Error::Os`] when the file cannot be written.
    pub fn take(&mut self, feed: &dyn Feed, most: u64) -> Result<u64> {
        let most = most.min(self.writer.room() as u64);
        let taken = feed.take(most, &mut |event| self.writer.append(event))?;
        if self.writer.due().is_zero() || self.writer.room() == 0 {
            self.flush(feed)?;
            if self.folder.as_ref().is_some_and(|folder| folder.is_full(self.writer.bytes())) {
                self.go_on()?;
            }
        }
        Ok(taken as u64)
    }

    /// How long until what waits in memory has to be written.
    pub fn due(&self) -> Duration {
        self.writer.due()
    }

    /// What cannot be written was not shown.
    fn flush(&mut self, feed: &dyn Feed) -> Result<()> {
        self.writer.flush().map_err(|(error, lost)| {
            feed.unshow(lost);
            error
        })
    }

    /// Ends the file, of which all is written, and begins the next.
    fn go_on(&mut self) -> Result<()> {
        let Some(folder) = &mut self.folder else { return Ok(()) };
        let next = Writer::create(&folder.next_path()?, &self.kinds, &self.recording, false)?;
        let full = mem::replace(&mut self.writer, next);
        self.before += full.rows;
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let rows = full.rows;
        full.finish(&Recorded { end, rows, continued: true, recovered: false, ledger: None, ledgers: Optional(None) })
    }

    /// Ends feed and file, and returns how many events there are.
    ///
    /// # Errors
    /// [`Error::Os`] when the file cannot be written, and what [`Feed::stop`] gives.
    pub fn finish(mut self, feed: &dyn Feed) -> Result<u64> {
        feed.stop()?;
        self.flush(feed)?;
        let Summary { ledger, ledgers, duration_s, .. } = feed.stop()?;
        let told: Value = serde_json::from_str(&self.recording).unwrap_or_default();
        let end = told["start"].as_u64().unwrap_or_default() + (duration_s * 1e9) as u64;
        let (rows, ledger) = (self.writer.rows, Some(ledger));
        self.writer.finish(&Recorded { end, rows, continued: false, recovered: false, ledger, ledgers })?;
        Ok(self.before + rows)
    }
}

/// What [`recover`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The file has its end, and is as it was.
    Whole,
    /// It has an end now, and so many rows.
    Recovered(u64),
}

/// Ends a recording that was not ended. A file that is whole stays as it is.
///
/// # Errors
/// [`Error::InvalidArgument`] for what is no recording, or not to be read, which stays as it is; [`Error::Os`].
pub fn recover(path: &Path) -> Result<Found> {
    let format = Format::of(path)?;
    let file = open(path)?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Err(Error::InvalidArgument(format!("{} is being written", path.display())));
    }
    let found = match format {
        Format::Parquet => parquet::recover(path),
        Format::Arrow => ipc::recover(path),
        Format::Lines => jsonl::recover(path),
    }?;
    folder::finish(path)?;
    Ok(found)
}

/// The end of a recording that has lost its own: nobody knows its ledger.
fn recovered(end: u64, rows: u64) -> Recorded {
    Recorded { end, rows, continued: false, recovered: true, ledger: None, ledgers: Optional(None) }
}

/// When the last event of a batch happened.
fn last_time(batch: &RecordBatch) -> Option<u64> {
    let times = batch.column_by_name("time")?.as_primitive_opt::<TimestampNanosecondType>()?;
    u64::try_from(*times.values().last()?).ok()
}

fn json(record: &impl Record) -> String {
    String::from_utf8_lossy(&record.to_json_line()).trim_end().to_owned()
}

fn host() -> String {
    uname().map_or_else(|_| "unknown".to_owned(), |name| name.nodename().to_string_lossy().into_owned())
}

/// Makes a file that was not there, for its owner alone, and locks it, so that nobody recovers it as long as it is
/// written. Where files cannot be locked it is not.
fn create(path: &Path) -> Result<File> {
    let made = File::options().read(true).write(true).create_new(true).mode(0o600).open(path);
    let file = made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let said = format!("{} is there already; remove it, or say that it may be overwritten", path.display());
            Error::Os { operation: said, source: error }
        }
        _ => Error::os(format!("make {}", path.display()))(error),
    })?;
    let _ = file.try_lock();
    Ok(file)
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(Error::os(format!("open {}", path.display())))
}

/// An error of a library about a file, for `map_err`.
fn failed<E: std::error::Error + Send + Sync + 'static>(verb: &str, path: &Path) -> impl FnOnce(E) -> Error + use<E> {
    let operation = format!("{verb} {}", path.display());
    move |error| Error::Os { operation, source: io::Error::other(error) }
}

/// A file that is not what its name says.
fn damaged<E: fmt::Display>(path: &Path) -> impl FnOnce(E) -> Error + use<E> {
    let path = path.display().to_string();
    move |error| Error::InvalidArgument(format!("{path} cannot be read as a recording: {error}"))
}
