//! Events as columns: an Arrow schema and builders for it, both from the one declaration of each record.
//!
//! All kinds of events of a tool share one wide table: `type` says what a row is, columns of the same name are one, and
//! a row is null in the columns that its kind does not have. Short texts that come again and again are dictionaries.

mod json;
mod read;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arrow_array::{
    Array as _, ArrayRef, DictionaryArray, Int32Array, ListArray, RecordBatch, StringArray, StructArray,
    builder::{
        ArrayBuilder as _, BinaryBuilder, BooleanBuilder, Int32Builder, Int64Builder, StringBuilder,
        TimestampNanosecondBuilder, UInt32Builder, UInt64Builder,
    },
    new_null_array,
};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use ebpflab_common::event::Kind;
use rustc_hash::FxBuildHasher;
use serde_json::{Map, Value};

use crate::{
    names::{ErrorName, FlagNames, Words},
    records::{Container, Event, ExecEvent, ExitEvent, OpenEvent, TraceEvent},
    schema::{Record as _, Text, Texts},
};

pub use read::{Cursor, Events};

/// The version of columns and lines: another one means that fields have changed their meaning or their type.
pub const VERSION: u32 = 1;

/// How many kinds of events there are.
pub const KINDS: usize = Kind::ALL.len();

/// Most rows of a batch: with the longest of texts the offsets of Arrow, which have 32 bits, reach as far.
pub const MOST_ROWS: usize = 65_536;

/// What a column is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cells {
    /// True or false.
    Boolean,
    /// 32 bits with a sign.
    Int32,
    /// 64 bits with a sign.
    Int64,
    /// 32 bits.
    UInt32,
    /// 64 bits.
    UInt64,
    /// Nanoseconds since the epoch.
    Time,
    /// One of few words.
    Word,
    /// Some of few words.
    Words,
    /// Bytes from the kernel.
    Text,
    /// Bytes from the kernel that come again and again.
    Name,
    /// A list of bytes from the kernel.
    Texts,
    /// A [`Container`].
    Container,
}

/// A type that may stand in an event.
pub trait Cell {
    /// What its column is made of, unless its name says more.
    const CELLS: Cells;

    /// Appends the value to its column.
    fn append(&self, column: &mut Column);

    /// Appends that there is none.
    fn append_null(column: &mut Column);
}

/// An event, as `record!` makes it of `as row`.
pub trait Row<'a>: Sized {
    /// What the columns of its fields are made of, in their order.
    const CELLS: &'static [Cells];

    /// Appends each field to its column.
    fn append(&self, row: &mut Appender<'_>);

    /// Reads each field from its column; `None` where one has no such value.
    fn read(row: &mut Cursor<'a>) -> Option<Self>;
}

/// What a field's column is made of: where many fields have one type, the name tells them apart.
fn cells(name: &str, cells: Cells) -> Cells {
    match (name, cells) {
        ("time" | "exec_time", Cells::UInt64) => Cells::Time,
        ("comm" | "parent_comm", Cells::Text) => Cells::Name,
        _ => cells,
    }
}

fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

fn list(of: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", of, false)))
}

fn container_fields() -> Fields {
    ["id", "runtime", "name"].map(|name| Field::new(name, dictionary(), true)).into_iter().collect()
}

impl Cells {
    /// The types of the column, and of the one beside it that has the bytes where the text is not the same.
    fn types(self) -> (DataType, Option<DataType>) {
        match self {
            Self::Boolean => (DataType::Boolean, None),
            Self::Int32 => (DataType::Int32, None),
            Self::Int64 => (DataType::Int64, None),
            Self::UInt32 => (DataType::UInt32, None),
            Self::UInt64 => (DataType::UInt64, None),
            Self::Time => (DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), None),
            Self::Word => (dictionary(), None),
            Self::Words => (list(dictionary()), None),
            Self::Text => (DataType::Utf8, Some(DataType::Binary)),
            Self::Name => (dictionary(), Some(DataType::Binary)),
            Self::Texts => (list(DataType::Utf8), Some(list(DataType::Binary))),
            Self::Container => (DataType::Struct(container_fields()), None),
        }
    }

    /// A builder with room for so many rows.
    fn column(self, rows: usize) -> Column {
        match self {
            Self::Boolean => Column::Boolean(BooleanBuilder::with_capacity(rows)),
            Self::Int32 => Column::Int32(Int32Builder::with_capacity(rows)),
            Self::Int64 => Column::Int64(Int64Builder::with_capacity(rows)),
            Self::UInt32 => Column::UInt32(UInt32Builder::with_capacity(rows)),
            Self::UInt64 => Column::UInt64(UInt64Builder::with_capacity(rows)),
            Self::Time => Column::Time(TimestampNanosecondBuilder::with_capacity(rows).with_timezone("UTC")),
            Self::Word => Column::Word(Dictionary::with_capacity(rows)),
            Self::Words => Column::Words(WordsColumn::default()),
            Self::Text => Column::Text(TextColumn::with_capacity(rows)),
            Self::Name => Column::Name(NameColumn::with_capacity(rows)),
            Self::Texts => Column::Texts(TextsColumn::default()),
            Self::Container => Column::Container(ContainerColumn::default()),
        }
    }
}

/// Builder of one column.
#[expect(clippy::large_enum_variant, reason = "there are few of them, and a box would be followed for each value")]
pub enum Column {
    /// Of [`Cells::Boolean`].
    Boolean(BooleanBuilder),
    /// Of [`Cells::Int32`].
    Int32(Int32Builder),
    /// Of [`Cells::Int64`].
    Int64(Int64Builder),
    /// Of [`Cells::UInt32`].
    UInt32(UInt32Builder),
    /// Of [`Cells::UInt64`].
    UInt64(UInt64Builder),
    /// Of [`Cells::Time`].
    Time(TimestampNanosecondBuilder),
    /// Of [`Cells::Word`].
    Word(Dictionary),
    /// Of [`Cells::Words`].
    Words(WordsColumn),
    /// Of [`Cells::Text`].
    Text(TextColumn),
    /// Of [`Cells::Name`].
    Name(NameColumn),
    /// Of [`Cells::Texts`].
    Texts(TextsColumn),
    /// Of [`Cells::Container`].
    Container(ContainerColumn),
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Boolean(column) => column.len(),
            Self::Int32(column) => column.len(),
            Self::Int64(column) => column.len(),
            Self::UInt32(column) => column.len(),
            Self::UInt64(column) => column.len(),
            Self::Time(column) => column.len(),
            Self::Word(column) => column.keys.len(),
            Self::Words(column) => column.rows.len(),
            Self::Text(column) => column.texts.len(),
            Self::Name(column) => column.words.keys.len(),
            Self::Texts(column) => column.rows.len(),
            Self::Container(column) => column.id.keys.len(),
        }
    }

    fn append_nulls(&mut self, count: usize) {
        match self {
            Self::Boolean(column) => column.append_nulls(count),
            Self::Int32(column) => column.append_nulls(count),
            Self::Int64(column) => column.append_nulls(count),
            Self::UInt32(column) => column.append_nulls(count),
            Self::UInt64(column) => column.append_nulls(count),
            Self::Time(column) => column.append_nulls(count),
            Self::Word(column) => column.keys.append_nulls(count),
            Self::Words(column) => column.rows.append_nulls(count),
            Self::Text(column) => column.texts.append_nulls(count),
            Self::Name(column) => column.words.keys.append_nulls(count),
            Self::Texts(column) => column.rows.append_nulls(count),
            Self::Container(column) => column.parts().into_iter().for_each(|part| part.keys.append_nulls(count)),
        }
    }

    /// Makes up for the rows of kinds that do not have this column.
    fn pad(&mut self, rows: usize) {
        let lacking = rows - self.len();
        if lacking > 0 {
            self.append_nulls(lacking);
        }
    }

    /// The column, and that of its bytes.
    fn finish(mut self) -> (ArrayRef, Option<ArrayRef>) {
        match &mut self {
            Self::Boolean(column) => (Arc::new(column.finish()), None),
            Self::Int32(column) => (Arc::new(column.finish()), None),
            Self::Int64(column) => (Arc::new(column.finish()), None),
            Self::UInt32(column) => (Arc::new(column.finish()), None),
            Self::UInt64(column) => (Arc::new(column.finish()), None),
            Self::Time(column) => (Arc::new(column.finish()), None),
            Self::Word(column) => (column.finish(), None),
            Self::Words(column) => (column.finish(), None),
            Self::Text(column) => column.finish(),
            Self::Name(column) => column.finish(),
            Self::Texts(column) => column.finish(),
            Self::Container(column) => (column.finish(), None),
        }
    }
}

/// The words of a dictionary.
#[derive(Default)]
struct Vocabulary {
    words: StringBuilder,
    known: HashMap<Box<str>, i32, FxBuildHasher>,
}

impl Vocabulary {
    fn key(&mut self, word: &str) -> i32 {
        if let Some(key) = self.known.get(word) {
            return *key;
        }
        // There are not more of them than rows, or flags.
        let key = self.known.len() as i32;
        self.known.insert(word.into(), key);
        self.words.append_value(word);
        key
    }

    fn finish(&mut self, keys: Int32Array) -> ArrayRef {
        self.known.clear();
        Arc::new(DictionaryArray::new(keys, Arc::new(self.words.finish())))
    }
}

/// Builder of a dictionary column.
#[derive(Default)]
pub struct Dictionary {
    keys: Int32Builder,
    vocabulary: Vocabulary,
    /// Keys of words that numbers stand for.
    numbers: HashMap<i32, i32, FxBuildHasher>,
}

impl Dictionary {
    fn with_capacity(rows: usize) -> Self {
        Self { keys: Int32Builder::with_capacity(rows), ..Self::default() }
    }

    fn append(&mut self, word: &str) {
        let key = self.vocabulary.key(word);
        self.keys.append_value(key);
    }

    /// Appends the word that a number stands for, which may cost more to make than to look up.
    fn append_number(&mut self, number: i32, word: impl FnOnce() -> Option<String>) {
        let key = self.numbers.get(&number).copied().or_else(|| {
            let key = self.vocabulary.key(&word()?);
            self.numbers.insert(number, key);
            Some(key)
        });
        self.keys.append_option(key);
    }

    fn append_null(&mut self) {
        self.keys.append_null();
    }

    fn finish(&mut self) -> ArrayRef {
        self.numbers.clear();
        self.vocabulary.finish(self.keys.finish())
    }
}

/// The rows of a list column: where each ends, and which are null.
struct Rows {
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Default for Rows {
    fn default() -> Self {
        Self { ends: vec![0], nulls: NullBufferBuilder::new(MOST_ROWS) }
    }
}

impl Rows {
    fn len(&self) -> usize {
        self.ends.len() - 1
    }

    /// Ends a row after so many items of all rows.
    fn append(&mut self, items: usize) {
        // MOST_ROWS sees to it that they are not more.
        self.ends.push(items as i32);
        self.nulls.append_non_null();
    }

    fn append_nulls(&mut self, count: usize) {
        let end = self.ends[self.len()];
        self.ends.extend(std::iter::repeat_n(end, count));
        self.nulls.append_n_nulls(count);
    }

    fn finish(&mut self, items: ArrayRef) -> ArrayRef {
        let Self { ends, mut nulls } = std::mem::take(self);
        let field = Arc::new(Field::new("item", items.data_type().clone(), false));
        Arc::new(ListArray::new(field, OffsetBuffer::new(ends.into()), items, nulls.finish()))
    }
}

/// Builder of a column with some of few words in each row.
#[derive(Default)]
pub struct WordsColumn {
    keys: Vec<i32>,
    rows: Rows,
    vocabulary: Vocabulary,
    /// Keys of the words that a number stands for.
    numbers: HashMap<u64, Box<[i32]>, FxBuildHasher>,
}

impl WordsColumn {
    fn append<'w>(&mut self, words: impl Iterator<Item = &'w str>) {
        self.keys.extend(words.map(|word| self.vocabulary.key(word)));
        self.rows.append(self.keys.len());
    }

    /// Appends the words that a number stands for, which may cost more to make than to look up.
    fn append_number<'w>(&mut self, number: u64, words: impl Iterator<Item = &'w str>) {
        let Self { keys, numbers, vocabulary, .. } = self;
        let known = numbers.entry(number).or_insert_with(|| words.map(|word| vocabulary.key(word)).collect());
        keys.extend_from_slice(known);
        self.rows.append(self.keys.len());
    }

    fn append_null(&mut self) {
        self.rows.append_nulls(1);
    }

    fn finish(&mut self) -> ArrayRef {
        self.numbers.clear();
        let keys = Int32Array::from(std::mem::take(&mut self.keys));
        let items = self.vocabulary.finish(keys);
        self.rows.finish(items)
    }
}

/// The bytes of the few texts that are not UTF-8, and their rows.
#[derive(Default)]
struct Odd(Vec<(usize, Vec<u8>)>);

impl Odd {
    /// The text of bytes that are not UTF-8, which are kept for that row.
    #[cold]
    fn text(&mut self, row: usize, bytes: &[u8]) -> String {
        self.0.push((row, bytes.to_vec()));
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn finish(&mut self, rows: usize) -> ArrayRef {
        if self.0.is_empty() {
            return new_null_array(&DataType::Binary, rows);
        }
        let mut column = BinaryBuilder::new();
        for (row, bytes) in self.0.drain(..) {
            column.append_nulls(row - column.len());
            column.append_value(bytes);
        }
        column.append_nulls(rows - column.len());
        Arc::new(column.finish())
    }
}

/// Builder of a text column.
#[derive(Default)]
pub struct TextColumn {
    texts: StringBuilder,
    odd: Odd,
}

impl TextColumn {
    fn with_capacity(rows: usize) -> Self {
        /// Bytes of most paths, or more.
        const BYTES: usize = 32;
        Self { texts: StringBuilder::with_capacity(rows, rows * BYTES), ..Self::default() }
    }

    fn append(&mut self, bytes: &[u8]) {
        match str::from_utf8(bytes) {
            Ok(text) => self.texts.append_value(text),
            Err(_) => {
                let text = self.odd.text(self.texts.len(), bytes);
                self.texts.append_value(text);
            }
        }
    }

    fn append_null(&mut self) {
        self.texts.append_null();
    }

    fn finish(&mut self) -> (ArrayRef, Option<ArrayRef>) {
        let texts = self.texts.finish();
        let odd = self.odd.finish(texts.len());
        (Arc::new(texts), Some(odd))
    }
}

/// Builder of a dictionary column of texts.
#[derive(Default)]
pub struct NameColumn {
    words: Dictionary,
    odd: Odd,
    /// The last one and its key: it often comes again.
    last: Vec<u8>,
    last_key: Option<i32>,
}

impl NameColumn {
    fn with_capacity(rows: usize) -> Self {
        Self { words: Dictionary::with_capacity(rows), ..Self::default() }
    }

    fn append(&mut self, bytes: &[u8]) {
        if let Some(key) = self.last_key.filter(|_| self.last == bytes) {
            self.words.keys.append_value(key);
            return;
        }
        match str::from_utf8(bytes) {
            Ok(word) => {
                let key = self.words.vocabulary.key(word);
                self.words.keys.append_value(key);
                self.last.clear();
                self.last.extend_from_slice(bytes);
                self.last_key = Some(key);
            }
            Err(_) => {
                let word = self.odd.text(self.words.keys.len(), bytes);
                self.words.append(&word);
            }
        }
    }

    fn append_null(&mut self) {
        self.words.append_null();
    }

    fn finish(&mut self) -> (ArrayRef, Option<ArrayRef>) {
        let words = self.words.finish();
        let odd = self.odd.finish(words.len());
        (words, Some(odd))
    }
}

/// Builder of a column with a list of texts in each row.
#[derive(Default)]
pub struct TextsColumn {
    texts: StringBuilder,
    rows: Rows,
    /// All texts of a row where one of them is not UTF-8, each with its row.
    odd: Vec<(usize, Vec<Vec<u8>>)>,
}

impl TextsColumn {
    fn append<'t, I: Iterator<Item = &'t [u8]>>(&mut self, texts: impl Fn() -> I) {
        let mut is_odd = false;
        for text in texts() {
            let text = String::from_utf8_lossy(text);
            is_odd |= matches!(text, Cow::Owned(_));
            self.texts.append_value(text);
        }
        if is_odd {
            self.odd.push((self.rows.len(), texts().map(<[u8]>::to_vec).collect()));
        }
        self.rows.append(self.texts.len());
    }

    fn append_null(&mut self) {
        self.rows.append_nulls(1);
    }

    fn finish(&mut self) -> (ArrayRef, Option<ArrayRef>) {
        let mut odd = BinaryBuilder::new();
        let mut odd_rows = Rows::default();
        for (row, texts) in self.odd.drain(..) {
            odd_rows.append_nulls(row - odd_rows.len());
            texts.iter().for_each(|text| odd.append_value(text));
            odd_rows.append(odd.len());
        }
        odd_rows.append_nulls(self.rows.len() - odd_rows.len());
        let odd = odd_rows.finish(Arc::new(odd.finish()));
        let texts = self.texts.finish();
        (self.rows.finish(Arc::new(texts)), Some(odd))
    }
}

/// Builder of a column of containers: a dictionary for each part.
#[derive(Default)]
pub struct ContainerColumn {
    id: Dictionary,
    runtime: Dictionary,
    name: Dictionary,
}

impl ContainerColumn {
    fn parts(&mut self) -> [&mut Dictionary; 3] {
        [&mut self.id, &mut self.runtime, &mut self.name]
    }

    fn append(&mut self, id: &str, runtime: &str, name: Option<&str>) {
        self.id.append(id);
        self.runtime.append(runtime);
        match name {
            Some(name) => self.name.append(name),
            None => self.name.append_null(),
        }
    }

    fn append_null(&mut self) {
        self.parts().into_iter().for_each(Dictionary::append_null);
    }

    fn finish(&mut self) -> ArrayRef {
        let parts: Vec<_> = self.parts().into_iter().map(Dictionary::finish).collect();
        // A container has an id: where there is none there is no container.
        let nulls = parts[0].nulls().cloned();
        Arc::new(StructArray::new(container_fields(), parts, nulls))
    }
}

/// Hands out the columns of a row, in the order of its fields.
pub struct Appender<'a> {
    columns: &'a mut [Column],
    places: std::slice::Iter<'a, usize>,
    /// Rows before this one, where other kinds may have left columns short.
    rows: Option<usize>,
}

impl Appender<'_> {
    /// Appends the next field.
    #[inline(always)]
    pub fn append(&mut self, value: &impl Cell) {
        if let Some(place) = self.places.next() {
            let column = &mut self.columns[*place];
            if let Some(rows) = self.rows {
                column.pad(rows);
            }
            value.append(column);
        }
    }
}

macro_rules! cells {
    ($($type:ty => $cells:ident: $($column:ident)|+, $value:ident, $builder:ident => $append:expr;)+) => {
        $(
            impl Cell for $type {
                const CELLS: Cells = Cells::$cells;

                #[inline(always)]
                fn append(&self, column: &mut Column) {
                    let $value = self;
                    match column {
                        $( Column::$column($builder) => $append, )+
                        _ => unreachable!("a column is made for the cells of its fields"),
                    }
                }

                #[inline(always)]
                fn append_null(column: &mut Column) {
                    match column {
                        $( Column::$column(column) => column.append_null(), )+
                        _ => unreachable!("a column is made for the cells of its fields"),
                    }
                }
            }
        )+
    };
}
cells! {
    bool => Boolean: Boolean, value, column => column.append_value(*value);
    i32 => Int32: Int32, value, column => column.append_value(*value);
    i64 => Int64: Int64, value, column => column.append_value(*value);
    u32 => UInt32: UInt32, value, column => column.append_value(*value);
    &'static str => Word: Word, value, column => column.append(value);
    ErrorName => Word: Word, value, column => column.append_number(value.0, || Some(value.name()?.to_string()));
    Words => Words: Words, value, column => column.append(value.iter());
    FlagNames => Words: Words, value, column => column.append_number(value.0, value.names());
    Text<'_> => Text: Text | Name, value, column => column.append(&value.0);
    Texts<'_> => Texts: Texts, value, column => column.append(|| value.iter());
    &Text<'_> => Name: Name, value, column => column.append(&value.0);
    &Container => Container: Container, value, column => column.append(&value.id, value.runtime, value.name.as_deref());
}

impl Cell for u64 {
    const CELLS: Cells = Cells::UInt64;

    #[inline(always)]
    fn append_null(column: &mut Column) {
        match column {
            Column::UInt64(column) => column.append_null(),
            Column::Time(column) => column.append_null(),
            _ => unreachable!("a column is made for the cells of its fields"),
        }
    }

    #[inline(always)]
    fn append(&self, column: &mut Column) {
        match column {
            Column::UInt64(column) => column.append_value(*self),
            // Until the year 2262.
            Column::Time(column) => column.append_value(*self as i64),
            _ => unreachable!("a column is made for the cells of its fields"),
        }
    }
}

impl<T: Cell> Cell for Option<T> {
    const CELLS: Cells = T::CELLS;

    #[inline(always)]
    fn append(&self, column: &mut Column) {
        match self {
            Some(value) => value.append(column),
            None => T::append_null(column),
        }
    }

    #[inline(always)]
    fn append_null(column: &mut Column) {
        T::append_null(column);
    }
}

/// The fields of a kind of event and what their columns are made of.
fn fields(kind: Kind) -> (&'static crate::schema::Schema, &'static [Cells]) {
    match kind {
        Kind::Open => (&OpenEvent::SCHEMA, OpenEvent::CELLS),
        Kind::Exec => (&ExecEvent::SCHEMA, ExecEvent::CELLS),
        Kind::Exit => (&ExitEvent::SCHEMA, ExitEvent::CELLS),
        Kind::Trace => (&TraceEvent::SCHEMA, TraceEvent::CELLS),
    }
}

/// Builder of a table of events.
pub struct Columns {
    schema: SchemaRef,
    /// The kind of each row, as a number.
    types: Vec<i32>,
    made_of: Vec<Cells>,
    columns: Vec<Column>,
    /// For each kind, which column each of its fields is in.
    places: [Vec<usize>; KINDS],
    /// Whether there are several kinds.
    is_shared: bool,
    rows: [u64; KINDS],
}

impl Columns {
    /// An empty table for events of these kinds; `metadata` is that of the schema.
    pub fn new(kinds: &[Kind], metadata: HashMap<String, String>) -> Self {
        /// Tag of a kind, and what the column is there.
        type Docs = Vec<(&'static str, &'static str)>;
        let mut found: Vec<(&'static str, Cells, Docs)> = Vec::new();
        let mut places = [const { Vec::new() }; KINDS];
        for (kind, tag) in Kind::ALL.into_iter().filter(|(kind, _)| kinds.contains(kind)) {
            let (schema, made_of) = fields(kind);
            for (field, made_of) in schema.fields.iter().zip(made_of) {
                let place = found.iter().position(|(name, ..)| *name == field.name).unwrap_or_else(|| {
                    found.push((field.name, cells(field.name, *made_of), Vec::new()));
                    found.len() - 1
                });
                found[place].2.push((tag, field.doc.trim()));
                places[kind as usize].push(place);
            }
        }
        let mut fields = vec![described("type", dictionary(), false, "Which kind of event the row is.")];
        for (name, made_of, docs) in &found {
            let (column, bytes) = made_of.types();
            fields.push(described(name, column, true, &doc(docs)));
            if let Some(bytes) = bytes {
                let doc = format!("All bytes of `{name}`, where they are not UTF-8; null where they are.");
                fields.push(described(&format!("{name}_bytes"), bytes, true, &doc));
            }
        }
        Self {
            schema: Arc::new(Schema::new_with_metadata(fields, metadata)),
            types: Vec::new(),
            made_of: found.iter().map(|(_, made_of, _)| *made_of).collect(),
            columns: found.iter().map(|(_, made_of, _)| made_of.column(0)).collect(),
            places,
            is_shared: kinds.len() > 1,
            rows: [0; KINDS],
        }
    }

    /// What its batches are made of.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Rows of each kind so far.
    pub fn rows(&self) -> [u64; KINDS] {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends an event, of one of the kinds that it is for.
    pub fn append(&mut self, event: &Event<'_>) {
        let kind = event.kind() as usize;
        let rows = self.is_shared.then_some(self.types.len());
        let mut row = Appender { columns: &mut self.columns, places: self.places[kind].iter(), rows };
        self.types.push(kind as i32);
        self.rows[kind] += 1;
        match event {
            Event::Exec(event) => event.append(&mut row),
            Event::Exit(event) => event.append(&mut row),
            Event::Open(event) => event.append(&mut row),
            Event::Trace(event) => event.append(&mut row),
        }
    }

    /// Appends an event from its line of JSON.
    ///
    /// # Errors
    /// What is wrong with the line, in words; then the table is of no use any more.
    pub(crate) fn append_json(&mut self, line: &Map<String, Value>) -> Result<(), String> {
        let row = self.len();
        let tag = line.get("type").and_then(Value::as_str).unwrap_or_default();
        let kind = Kind::ALL.into_iter().find(|(_, name)| *name == tag).map(|(kind, _)| kind);
        let kind = kind.ok_or_else(|| format!("a line has the type {tag:?}, which is no event"))?;
        self.types.push(kind as i32);
        for (field, place) in fields(kind).0.fields.iter().zip(&self.places[kind as usize]) {
            let column = &mut self.columns[*place];
            column.pad(row);
            let bytes = line.get(&format!("{}_bytes", field.name));
            let value = line.get(field.name);
            let appended = value.and_then(|value| json::append(column, value, bytes));
            appended.ok_or_else(|| format!("in an event of the type {tag} {} is not what it should be", field.name))?;
        }
        Ok(())
    }

    /// The table; the builder is empty again.
    pub fn finish(&mut self) -> RecordBatch {
        let rows = self.len();
        self.rows = [0; KINDS];
        let tags = StringArray::from_iter_values(Kind::ALL.map(|(_, tag)| tag));
        let types = std::mem::replace(&mut self.types, Vec::with_capacity(rows));
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(DictionaryArray::new(Int32Array::from(types), Arc::new(tags)))];
        for (column, made_of) in self.columns.iter_mut().zip(&self.made_of) {
            column.pad(rows);
            // The next batch is likely to be as large.
            let (column, bytes) = std::mem::replace(column, made_of.column(rows)).finish();
            arrays.push(column);
            arrays.extend(bytes);
        }
        RecordBatch::try_new(self.schema.clone(), arrays).expect("columns are made as the schema says")
    }
}

/// The metadata of a table that is no recording.
pub fn metadata() -> HashMap<String, String> {
    HashMap::from([("ebpflab.version".to_owned(), VERSION.to_string())])
}

/// What a column is: as the kinds that it is of say it.
fn doc(docs: &[(&str, &str)]) -> String {
    match docs {
        [(_, first), rest @ ..] if rest.iter().all(|(_, doc)| doc == first) => (*first).to_owned(),
        _ => docs.iter().map(|(tag, doc)| format!("{tag}: {doc}")).collect::<Vec<_>>().join(" "),
    }
}

fn described(name: &str, of: DataType, nullable: bool, doc: &str) -> Field {
    let mut metadata = HashMap::from([("doc".to_owned(), doc.to_owned())]);
    if name.ends_with("_ns") {
        metadata.insert("unit".to_owned(), "ns".to_owned());
    }
    Field::new(name, of, nullable).with_metadata(metadata)
}
