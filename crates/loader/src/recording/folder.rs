//! Recordings that go on in another file when one is full: `host=HOST/date=DATE/TOOL-START-PID-NUMBER.parquet` in a
//! folder. Until a file is ended, [`UNFINISHED`] is behind its name, so that all that is called `.parquet` can be read.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder},
    os::unix::{ffi::OsStrExt as _, fs::DirBuilderExt as _},
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::host;
use crate::error::{Error, Result};

/// What is behind the name of a file as long as it is written.
const UNFINISHED: &str = ".unfinished";

/// When a recording goes on in another file; at midnight (UTC) it always does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotation {
    /// When it has so many bytes, or what it has in memory will make it so.
    pub bytes: Option<u64>,
    /// When it is that old.
    pub age: Option<Duration>,
}

/// The folder, and the file in it that is written.
pub(super) struct Folder {
    root: PathBuf,
    rotation: Rotation,
    /// Name of the run's files up to their number.
    stem: String,
    next: u32,
    begun: Instant,
    date: String,
}

impl Folder {
    /// A folder for the files of a run, whose recording says what it is of.
    pub(super) fn new(root: &Path, rotation: Rotation, recording: &str) -> Self {
        let told: Value = serde_json::from_str(recording).unwrap_or_default();
        let tool = told["attached"]["command"].as_str().unwrap_or_default();
        let start = DateTime::from_timestamp_nanos(told["start"].as_i64().unwrap_or_default()).format("%Y%m%dT%H%M%SZ");
        let stem = format!("{tool}-{start}-{}", process::id());
        Self { root: root.to_owned(), rotation, stem, next: 0, begun: Instant::now(), date: String::new() }
    }

    /// Where the next file is written. Folders that are not there are made, for their owner alone.
    pub(super) fn next_path(&mut self) -> Result<PathBuf> {
        (self.begun, self.date) = (Instant::now(), today());
        let folder = self.root.join(format!("host={}", escaped(&host()))).join(format!("date={}", self.date));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(Error::os(format!("make {}", folder.display())))?;
        let path = folder.join(format!("{}-{:05}.parquet{UNFINISHED}", self.stem, self.next));
        self.next += 1;
        Ok(path)
    }

    /// Whether the file that is written, of so many bytes, is full.
    pub(super) fn is_full(&self, bytes: u64) -> bool {
        let Rotation { bytes: most, age } = self.rotation;
        most.is_some_and(|most| bytes >= most)
            || age.is_some_and(|age| self.begun.elapsed() >= age)
            || self.date != today()
    }
}

/// The name that a file has once it is ended, if it has another until then.
pub(super) fn finished(path: &Path) -> Option<PathBuf> {
    let name = path.as_os_str().as_bytes().strip_suffix(UNFINISHED.as_bytes())?;
    Some(OsStr::from_bytes(name).into())
}

/// Gives a file that is ended its name.
pub(super) fn finish(path: &Path) -> Result<()> {
    finished(path).map_or(Ok(()), |name| {
        fs::rename(path, &name).map_err(Error::os(format!("rename {} to {}", path.display(), name.display())))
    })
}

fn today() -> String {
    Utc::now().format("%Y-%m-%d").to_string()
}

/// A value in the name of a folder, as Hive writes it: other characters by their code.
fn escaped(value: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => (byte as char).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(escape).collect()
}
