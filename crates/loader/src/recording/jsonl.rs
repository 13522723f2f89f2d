//! JSON lines: the events as `--json` gives them, between a line for the start and one for the end.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use arrow_array::RecordBatch;
use ebpflab_common::event::Kind;
use serde_json::{Map, Value};

use super::{Found, create, damaged, open, recovered};
use crate::{
    columns::Columns,
    error::{Error, Result},
    records::Recorded,
    schema::Record as _,
};

/// A file of lines that is written.
pub(super) struct Lines {
    file: File,
    path: String,
}

impl Lines {
    pub(super) fn create(path: &Path, recording: &str) -> Result<Self> {
        let mut lines = Self { file: create(path)?, path: path.display().to_string() };
        lines.write(format!("{recording}\n").as_bytes())?;
        Ok(lines)
    }

    pub(super) fn write(&mut self, lines: &[u8]) -> Result<()> {
        self.file.write_all(lines).map_err(Error::os(format!("write {}", self.path)))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |file| file.len())
    }

    pub(super) fn finish(mut self, recorded: &Recorded) -> Result<()> {
        self.write(&recorded.to_json_line())
    }
}

/// The value of `type` in a line.
fn tag(line: &[u8]) -> Option<String> {
    let line: Map<String, Value> = serde_json::from_slice(line).ok()?;
    Some(line.get("type")?.as_str()?.to_owned())
}

/// A file of lines that is read; what is after the last newline was cut off.
pub(super) struct Reading {
    file: BufReader<File>,
    path: PathBuf,
    columns: Columns,
    /// The first line.
    pub(super) recording: String,
    line: Vec<u8>,
}

impl Reading {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let columns = Columns::new(&Kind::ALL.map(|(kind, _)| kind), Default::default());
        let (file, path) = (BufReader::new(open(path)?), path.to_owned());
        let mut reading = Self { file, path, columns, recording: String::new(), line: Vec::new() };
        let first = reading.next_line()?.filter(|line| tag(line).is_some_and(|tag| tag == "recording"));
        let first = first.map(|line| String::from_utf8_lossy(line).trim_end().to_owned());
        reading.recording = first.ok_or_else(|| damaged(&reading.path)("its first line is not that of a recording"))?;
        Ok(reading)
    }

    /// The next whole line.
    fn next_line(&mut self) -> Result<Option<&[u8]>> {
        self.line.clear();
        let read = self.file.read_until(b'\n', &mut self.line);
        read.map_err(Error::os(format!("read {}", self.path.display())))?;
        Ok(self.line.ends_with(b"\n").then_some(self.line.as_slice()))
    }

    /// As many events as fit; `None` after the last.
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        /// Lines at once.
        const MOST: usize = 4_096;
        while self.columns.len() < MOST
            && let Some(line) = self.next_line()?
        {
            let line: Map<String, Value> = serde_json::from_slice(line).map_err(damaged(&self.path))?;
            if line.get("type").is_some_and(|tag| tag == "recorded") {
                break;
            }
            self.columns.append_json(&line).map_err(damaged(&self.path))?;
        }
        Ok((!self.columns.is_empty()).then(|| self.columns.finish()))
    }
}

impl Iterator for Reading {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

/// The last line of a file, if it is that of the end.
pub(super) fn end(path: &Path) -> Result<Option<String>> {
    /// Bytes that the line fits into.
    const MOST: u64 = 1 << 16;
    let read = || -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut end = vec![0; len.min(MOST) as usize];
        file.read_exact_at(&mut end, len - len.min(MOST))?;
        Ok(end)
    };
    let end = read().map_err(Error::os(format!("read {}", path.display())))?;
    let Some(end) = end.strip_suffix(b"\n") else { return Ok(None) };
    let last = end.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_end = tag(last).is_some_and(|tag| tag == "recorded");
    Ok(is_end.then(|| String::from_utf8_lossy(last).into_owned()))
}

/// Takes off the line that was cut, and adds the end.
pub(super) fn recover(path: &Path) -> Result<Found> {
    // It is a recording, or refused.
    let mut reading = Reading::open(path)?;
    if end(path)?.is_some() {
        return Ok(Found::Whole);
    }
    let mut whole = reading.line.len() as u64;
    let (mut rows, mut time) = (0, 0);
    while let Some(line) = reading.next_line()? {
        let event: Map<String, Value> = serde_json::from_slice(line).map_err(damaged(path))?;
        whole += line.len() as u64;
        rows += 1;
        time = event.get("time").and_then(Value::as_u64).unwrap_or(time);
    }
    let write = || {
        let file = File::options().write(true).open(path)?;
        file.set_len(whole)?;
        file.write_all_at(&recovered(time, rows).to_json_line(), whole)
    };
    write().map_err(Error::os(format!("write {}", path.display())))?;
    Ok(Found::Recovered(rows))
}
