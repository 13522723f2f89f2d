//! Arrow's IPC stream format: recordings of their own, and the journals of Parquet files.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow_array::RecordBatch;
use arrow_ipc::{reader::StreamReader, writer::StreamWriter};
use arrow_schema::{Schema, SchemaRef};

use super::{Found, RECORDED, Sink, create, damaged, failed, last_time, open};
use crate::{
    error::{Error, Result},
    records::Recorded,
    schema::Record as _,
};

/// Room in the schema, which comes first, for [`Recorded`], which is known last.
const ROOM: usize = 4_096;
/// What ends a stream.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// A stream that is written.
pub(super) struct Stream {
    path: PathBuf,
    writer: StreamWriter<BufWriter<File>>,
}

impl Stream {
    /// Starts a stream of batches of a schema, with room for what is known last.
    pub(super) fn create(path: &Path, schema: &Schema) -> Result<Self> {
        let mut schema = schema.clone();
        schema.metadata.insert(RECORDED.to_owned(), " ".repeat(ROOM));
        Self::start(create(path)?, path, &schema)
    }

    pub(super) fn start(file: File, path: &Path, schema: &Schema) -> Result<Self> {
        let writer = StreamWriter::try_new(BufWriter::new(file), schema).map_err(failed("write", path))?;
        let mut stream = Self { path: path.to_owned(), writer };
        stream.flush()?;
        Ok(stream)
    }

    fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(failed("write", &self.path))
    }
}

impl Sink for Stream {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(failed("write", &self.path))?;
        self.flush()
    }

    fn bytes(&self) -> u64 {
        self.writer.get_ref().get_ref().metadata().map_or(0, |file| file.len())
    }

    fn finish(mut self: Box<Self>, recorded: &Recorded) -> Result<()> {
        self.writer.finish().map_err(failed("write", &self.path))?;
        self.flush()?;
        note(self.writer.get_ref().get_ref(), recorded).map_err(Error::os(format!("write {}", self.path.display())))
    }
}

/// Puts what is known last into its room.
fn note(file: &File, recorded: &Recorded) -> io::Result<()> {
    let mut start = vec![0; ROOM * 16];
    let mut read = 0;
    while let count @ 1.. = file.read_at(&mut start[read..], read as u64)? {
        read += count;
    }
    let mut json = recorded.to_json_line();
    json.pop();
    let room = start[..read].windows(ROOM).position(|bytes| bytes.iter().all(|byte| *byte == b' '));
    match room {
        Some(room) if json.len() <= ROOM => file.write_all_at(&json, room as u64),
        _ => Err(io::Error::other("there is no room for the end of the recording")),
    }
}

/// Counts the bytes that are read.
struct Counting {
    file: BufReader<File>,
    count: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// A stream that is read, as far as its batches are whole.
pub(super) struct Batches {
    reader: StreamReader<Counting>,
    count: Arc<AtomicU64>,
    /// Bytes up to the end of the last whole batch.
    whole: u64,
    /// Whether something that is no batch came before the end of the file.
    is_damaged: bool,
    len: u64,
}

impl Batches {
    /// Starts to read.
    ///
    /// # Errors
    /// If it is no such stream, or not even its schema is whole.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Self::start(open(path)?, path)
    }

    pub(super) fn start(file: File, path: &Path) -> Result<Self> {
        let len = file.metadata().map_err(Error::os(format!("read {}", path.display())))?.len();
        let count = Arc::new(AtomicU64::new(0));
        let counting = Counting { file: BufReader::new(file), count: count.clone() };
        let reader = StreamReader::try_new(counting, None).map_err(damaged(path))?;
        let whole = count.load(Ordering::Relaxed);
        Ok(Self { reader, count, whole, is_damaged: false, len })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }
}

impl Iterator for Batches {
    type Item = RecordBatch;

    fn next(&mut self) -> Option<RecordBatch> {
        let batch = self.reader.next()?.ok();
        let read = self.count.load(Ordering::Relaxed);
        match batch {
            Some(_) => self.whole = read,
            // Whoever was killed while it wrote leaves something that is cut off by the end of the file.
            None => self.is_damaged = read < self.len,
        }
        batch
    }
}

/// What is known of the end, if there is one.
pub(super) fn recorded(schema: &Schema) -> Option<&str> {
    schema.metadata.get(RECORDED).map(|recorded| recorded.trim()).filter(|recorded| !recorded.is_empty())
}

/// Takes off what is not whole, and ends the stream.
pub(super) fn recover(path: &Path) -> Result<Found> {
    let mut batches = Batches::open(path)?;
    if recorded(&batches.schema()).is_some() {
        return Ok(Found::Whole);
    }
    let (mut rows, mut end) = (0, 0);
    for batch in batches.by_ref() {
        rows += batch.num_rows() as u64;
        end = last_time(&batch).unwrap_or(end);
    }
    if batches.is_damaged {
        return Err(damaged(path)(format!("there is no batch at byte {}, and it is left as it is", batches.whole)));
    }
    let write = || {
        let file = File::options().read(true).write(true).open(path)?;
        file.set_len(batches.whole)?;
        file.write_all_at(&END, batches.whole)?;
        note(&file, &super::recovered(end, rows))
    };
    write().map_err(Error::os(format!("write {}", path.display())))?;
    Ok(Found::Recovered(rows))
}
