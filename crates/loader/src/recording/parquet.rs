//! Parquet files, whose footer comes last: without it nobody finds the row groups. So until there is one
//!
//! * each row group has a trailer behind it, with what the footer will say of it and where the row group before it
//!   ends, and
//! * the rows that are not enough for a row group yet are in a journal beside the file, an IPC stream.
//!
//! Trailers stay where they are; to readers they are bytes that no footer speaks of.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Seek as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
        encode_arrow_schema,
    },
    basic::Compression,
    errors::ParquetError,
    file::{
        metadata::{FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter},
        properties::{EnabledStatistics, WriterProperties},
    },
};

use super::{Found, RECORDED, Sink, create, damaged, failed, ipc, json, last_time, open, recovered};
use crate::{
    columns::MOST_ROWS,
    error::{Error, Result},
    records::Recorded,
};

/// Rows of a row group, or more, and bytes of one that has fewer.
const ROWS: usize = if cfg!(test) { 16 } else { 131_072 };
const BYTES: usize = 16 << 20;
/// What a Parquet file begins with.
const START: u64 = 4;
/// What ends a trailer: the length of its metadata (4 bytes), where what it tells of begins (8 bytes), and this.
const MARK: &[u8; 8] = b"EBPFLAB1";
const TAIL: usize = 4 + 8 + MARK.len();
/// In the schema of a journal: after how many bytes of the file its rows come.
const AFTER: &str = "ebpflab.after";
/// Where Parquet keeps the Arrow schema.
const ARROW_SCHEMA: &str = "ARROW:schema";

/// The journal of a file.
pub(super) fn journal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".journal");
    name.into()
}

/// A file that is written.
pub(super) struct Parquet {
    path: PathBuf,
    writer: ArrowWriter<File>,
    schema: SchemaRef,
    /// Bytes up to the end of the last trailer.
    whole: u64,
    journal: ipc::Stream,
}

impl Parquet {
    pub(super) fn create(path: &Path, schema: SchemaRef) -> Result<Self> {
        let file = create(path)?;
        let start = || {
            let journal = start_journal(create(&journal(path))?, path, &schema, START)?;
            let mut writer = writer(file, &schema).map_err(failed("write", path))?;
            writer.sync().map_err(Error::os(format!("write {}", path.display())))?;
            Ok(Self { path: path.to_owned(), writer, schema, whole: START, journal })
        };
        start().inspect_err(|_| drop(fs::remove_file(path)))
    }

    /// Ends the row group.
    fn end_group(&mut self) -> std::result::Result<(), ParquetError> {
        self.writer.flush()?;
        if let Some(group) = self.writer.flushed_row_groups().last() {
            let pairs = vec![KeyValue::new(ARROW_SCHEMA.to_owned(), encode_arrow_schema(&self.schema))];
            let file = FileMetaData::new(2, group.num_rows(), None, Some(pairs), group.schema_descr_ptr(), None);
            let metadata = ParquetMetaData::new(file, vec![group.clone()]);
            let mut trailer = Vec::new();
            ParquetMetaDataWriter::new(&mut trailer, &metadata).finish()?;
            // What it ends with are the length and the mark of a footer.
            trailer.truncate(trailer.len() - 8);
            trailer.extend_from_slice(&(trailer.len() as u32).to_le_bytes());
            trailer.extend_from_slice(&self.whole.to_le_bytes());
            trailer.extend_from_slice(MARK);
            self.writer.write_all(&trailer)?;
        }
        self.writer.sync()?;
        self.whole = self.writer.bytes_written() as u64;
        Ok(())
    }
}

impl Sink for Parquet {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(failed("write", &self.path))?;
        if self.writer.in_progress_rows() < ROWS && self.writer.in_progress_size() < BYTES {
            return self.journal.write(batch);
        }
        self.end_group().map_err(failed("write", &self.path))?;
        // What is in the journal is in the file now, and the journal says by its start that it is.
        let path = journal(&self.path);
        let again = File::options().read(true).write(true).truncate(true).open(&path);
        let file = again.map_err(Error::os(format!("write {}", path.display())))?;
        self.journal = start_journal(file, &self.path, &self.schema, self.whole)?;
        Ok(())
    }

    fn bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    fn finish(mut self: Box<Self>, recorded: &Recorded) -> Result<()> {
        self.writer.append_key_value_metadata(KeyValue::new(RECORDED.to_owned(), json(recorded)));
        self.writer.finish().map_err(failed("write", &self.path))?;
        let path = journal(&self.path);
        fs::remove_file(&path).map_err(Error::os(format!("remove {}", path.display())))
    }
}

fn writer(file: File, schema: &SchemaRef) -> std::result::Result<ArrowWriter<File>, ParquetError> {
    let pairs = schema.metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(None)
        .set_key_value_metadata(Some(pairs))
        .set_created_by(concat!("ebpflab ", env!("CARGO_PKG_VERSION")).to_owned());
    ArrowWriter::try_new(file, schema.clone(), Some(properties.build()))
}

/// A journal of the rows that come after so many bytes of a file.
fn start_journal(mut file: File, path: &Path, schema: &Schema, after: u64) -> Result<ipc::Stream> {
    let mut schema = schema.clone();
    schema.metadata.insert(AFTER.to_owned(), after.to_string());
    let path = journal(path);
    file.rewind().map_err(Error::os(format!("write {}", path.display())))?;
    ipc::Stream::start(file, &path, &schema)
}

/// The batches of a file that has its end, and its metadata.
pub(super) fn batches(path: &Path) -> Result<(SchemaRef, impl Iterator<Item = Result<RecordBatch>> + Send + use<>)> {
    let file = open(path)?;
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|error| {
        if is_unfinished(path) {
            let path = path.display();
            return Error::InvalidArgument(format!("{path} has no end; give it one with `ebpflab recover {path}`"));
        }
        damaged(path)(error)
    })?;
    let schema = metadata.schema().clone();
    let shown = path.to_owned();
    let rows = read(file, metadata).map_err(damaged(path))?;
    Ok((schema, rows.map(move |batch| batch.map_err(damaged(&shown)))))
}

fn read(
    file: File,
    metadata: ArrowReaderMetadata,
) -> std::result::Result<parquet::arrow::arrow_reader::ParquetRecordBatchReader, ParquetError> {
    ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).with_batch_size(MOST_ROWS).build()
}

/// Whether a file was begun by [`Parquet`].
fn is_unfinished(path: &Path) -> bool {
    journal(path).exists() || open(path).is_ok_and(|file| matches!(find_groups(&file), Ok(Some(_))))
}

/// What the trailers of a file tell: the metadata of all row groups, and where the last trailer ends. `None` if there
/// is no trailer.
fn find_groups(file: &File) -> io::Result<Option<(ParquetMetaData, u64)>> {
    /// Bytes that are looked through at once.
    const BLOCK: u64 = 1 << 20;
    let mut end = file.metadata()?.len();
    while end > START {
        let start = end.saturating_sub(BLOCK);
        // A mark may lie across two blocks.
        let mut block = vec![0; (end - start) as usize + MARK.len() - 1];
        let read = read_at(file, &mut block, start)?;
        for at in (0..read.saturating_sub(MARK.len() - 1)).rev() {
            if block[at..].starts_with(MARK) {
                let end = start + at as u64 + MARK.len() as u64;
                if let Some(metadata) = follow(file, end)? {
                    return Ok(Some((metadata, end)));
                }
            }
        }
        end = start;
    }
    Ok(None)
}

/// As many bytes as there are.
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while let count @ 1.. = file.read_at(&mut buffer[read..], at + read as u64)? {
        read += count;
    }
    Ok(read)
}

/// Goes from the trailer that ends there back to the first; `None` if it is none.
fn follow(file: &File, mut end: u64) -> io::Result<Option<ParquetMetaData>> {
    let mut groups = VecDeque::new();
    let mut last = None;
    while end > START {
        let Some((start, metadata)) = trailer(file, end)? else { return Ok(None) };
        groups.extend(metadata.row_groups().first().cloned());
        last.get_or_insert(metadata);
        end = start;
    }
    let Some(last) = last else { return Ok(None) };
    let rows = groups.iter().map(|group| group.num_rows()).sum();
    let told = last.file_metadata();
    let pairs = told.key_value_metadata().cloned();
    let file = FileMetaData::new(told.version(), rows, None, pairs, told.schema_descr_ptr(), None);
    Ok(Some(ParquetMetaData::new(file, groups.into_iter().rev().collect())))
}

/// The trailer that ends there, and where what it tells of begins; `None` if there is none.
fn trailer(file: &File, end: u64) -> io::Result<Option<(u64, ParquetMetaData)>> {
    let Some(tail_at) = end.checked_sub(TAIL as u64) else { return Ok(None) };
    let mut tail = [0; TAIL];
    file.read_exact_at(&mut tail, tail_at)?;
    let (len, rest) = tail.split_at(4);
    let (start, mark) = rest.split_at(8);
    let len = len.try_into().map_or(0, u32::from_le_bytes);
    let start = start.try_into().map_or(0, u64::from_le_bytes);
    let Some(metadata_at) = tail_at.checked_sub(len.into()).filter(|at| start >= START && start < *at) else {
        return Ok(None);
    };
    if mark != MARK {
        return Ok(None);
    }
    let mut metadata = vec![0; len as usize];
    file.read_exact_at(&mut metadata, metadata_at)?;
    Ok(ParquetMetaDataReader::decode_metadata(&metadata).ok().map(|metadata| (start, metadata)))
}

/// Writes what can be read into a file with an end, which takes the place of the other.
pub(super) fn recover(path: &Path) -> Result<Found> {
    let file = open(path)?;
    let beside = journal(path);
    if ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).is_ok() {
        // Killed between the two last things that it does.
        let _ = fs::remove_file(&beside);
        return Ok(Found::Whole);
    }
    let groups = find_groups(&file).map_err(Error::os(format!("read {}", path.display())))?;
    let whole = groups.as_ref().map_or(START, |(_, end)| *end);
    let rest = ipc::Batches::open(&beside).ok().filter(|rest| after(&rest.schema()).is_some_and(|at| at >= whole));
    let grouped =
        groups.map(|(metadata, _)| ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new()));
    let grouped = grouped.transpose().map_err(damaged(path))?;
    let schema = match (&rest, &grouped) {
        (Some(rest), _) => clean(&rest.schema()),
        (None, Some(grouped)) => grouped.schema().clone(),
        (None, None) => return Err(damaged(path)("there is no whole row group in it, and no journal beside it")),
    };
    let grouped = grouped.map(|grouped| read(file, grouped)).transpose().map_err(damaged(path))?;
    let shown = path.to_owned();
    let grouped = grouped.into_iter().flatten().map(|batch| batch.map_err(damaged(&shown)));
    let rows = write(path, &schema, grouped.chain(rest.into_iter().flatten().map(Ok)))?;
    let _ = fs::remove_file(&beside);
    Ok(Found::Recovered(rows))
}

/// After how many bytes the rows of a journal come.
fn after(schema: &Schema) -> Option<u64> {
    schema.metadata.get(AFTER)?.parse().ok()
}

/// The schema of a file, from that of its journal.
fn clean(schema: &Schema) -> SchemaRef {
    let mut schema = schema.clone();
    schema.metadata.retain(|key, _| key != AFTER && key != RECORDED);
    Arc::new(schema)
}

/// Writes batches to a file beside, and then puts it in the place of this one.
fn write(path: &Path, schema: &SchemaRef, batches: impl Iterator<Item = Result<RecordBatch>>) -> Result<u64> {
    let mut name = path.as_os_str().to_owned();
    name.push(".recovering");
    let beside = PathBuf::from(name);
    let _ = fs::remove_file(&beside);
    let file = create(&beside)?;
    let os = |error| Error::os(format!("write {}", beside.display()))(error);
    let old = fs::metadata(path).map_err(Error::os(format!("read {}", path.display())))?;
    // Whoever recovers it may be root; the file stays whose it was.
    file.set_permissions(fs::Permissions::from_mode(old.permissions().mode() & 0o777)).map_err(os)?;
    let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
    let mut writer = writer(file.try_clone().map_err(os)?, schema).map_err(failed("write", &beside))?;
    let (mut rows, mut end) = (0, 0);
    for batch in batches {
        let batch = batch.inspect_err(|_| drop(fs::remove_file(&beside)))?;
        let batch = RecordBatch::try_new(schema.clone(), batch.columns().to_vec()).map_err(damaged(path))?;
        writer.write(&batch).map_err(failed("write", &beside))?;
        if writer.in_progress_rows() >= ROWS {
            writer.flush().map_err(failed("write", &beside))?;
        }
        rows += batch.num_rows() as u64;
        end = last_time(&batch).unwrap_or(end);
    }
    writer.append_key_value_metadata(KeyValue::new(RECORDED.to_owned(), json(&recovered(end, rows))));
    writer.finish().map_err(failed("write", &beside))?;
    file.sync_all().map_err(os)?;
    fs::rename(&beside, path).map_err(os)?;
    Ok(rows)
}
