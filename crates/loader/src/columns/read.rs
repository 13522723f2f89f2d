//! Tables that are read: each row is an event again.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use arrow_array::{
    Array as _, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, StructArray, TimestampNanosecondArray, UInt32Array, UInt64Array,
    cast::AsArray as _,
    types::{Int32Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type},
};
use ebpflab_common::event::Kind;

use super::{Cells, KINDS, Row as _, cells, fields};
use crate::{
    names::{ErrorName, FlagNames, Words},
    records::{Container, Event, ExecEvent, ExitEvent, OpenEvent, TraceEvent},
    schema::{Text, Texts},
};

/// A type that may stand in an event, from its column.
pub trait Read<'a>: Sized {
    /// The value of a row; `None` where it has none, or what is there is no such value.
    fn read(column: &'a ReadColumn, row: usize) -> Option<Self>;
}

/// A column that is read.
pub enum ReadColumn {
    /// [`Cells::Boolean`]
    Boolean(BooleanArray),
    /// [`Cells::Int32`]
    Int32(Int32Array),
    /// [`Cells::Int64`]
    Int64(Int64Array),
    /// [`Cells::UInt32`]
    UInt32(UInt32Array),
    /// [`Cells::UInt64`]
    UInt64(UInt64Array),
    /// [`Cells::Time`]
    Time(TimestampNanosecondArray),
    /// [`Cells::Word`]
    Word(DictionaryArray<Int32Type>),
    /// [`Cells::Words`]
    Words(ListArray),
    /// [`Cells::Text`], and the bytes beside it.
    Text(StringArray, BinaryArray),
    /// [`Cells::Name`]
    Name(Names),
    /// [`Cells::Texts`], and the bytes beside it.
    Texts(ListArray, ListArray),
    /// [`Cells::Container`]
    Container(Containers),
}

impl ReadColumn {
    /// A column of a batch, with the one beside it; `None` if it is not made of such cells.
    fn new(of: Cells, column: &ArrayRef, bytes: Option<&ArrayRef>) -> Option<Self> {
        let (expected, expected_bytes) = of.types();
        if *column.data_type() != expected || bytes.map(|bytes| bytes.data_type()) != expected_bytes.as_ref() {
            return None;
        }
        Some(match of {
            Cells::Boolean => Self::Boolean(column.as_boolean().clone()),
            Cells::Int32 => Self::Int32(column.as_primitive().clone()),
            Cells::Int64 => Self::Int64(column.as_primitive::<Int64Type>().clone()),
            Cells::UInt32 => Self::UInt32(column.as_primitive::<UInt32Type>().clone()),
            Cells::UInt64 => Self::UInt64(column.as_primitive::<UInt64Type>().clone()),
            Cells::Time => Self::Time(column.as_primitive::<TimestampNanosecondType>().clone()),
            Cells::Word => Self::Word(column.as_dictionary().clone()),
            Cells::Words => Self::Words(column.as_list().clone()),
            Cells::Text => Self::Text(column.as_string().clone(), bytes?.as_binary().clone()),
            Cells::Name => Self::Name(Names::new(column.as_dictionary(), bytes?.as_binary())),
            Cells::Texts => Self::Texts(column.as_list().clone(), bytes?.as_list().clone()),
            Cells::Container => Self::Container(Containers::new(column.as_struct())?),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Boolean(column) => column.is_null(row),
            Self::Int32(column) => column.is_null(row),
            Self::Int64(column) => column.is_null(row),
            Self::UInt32(column) => column.is_null(row),
            Self::UInt64(column) => column.is_null(row),
            Self::Time(column) => column.is_null(row),
            Self::Word(column) => column.is_null(row),
            Self::Words(column) | Self::Texts(column, _) => column.is_null(row),
            Self::Text(column, _) => column.is_null(row),
            Self::Name(column) => column.keys.is_null(row),
            Self::Container(column) => column.keys[row].is_none(),
        }
    }
}

/// A column of names, of which each is there once.
pub struct Names {
    keys: Int32Array,
    names: Vec<Text<'static>>,
    /// Those that are not UTF-8, by their rows.
    odd: HashMap<usize, Text<'static>>,
}

impl Names {
    fn new(column: &DictionaryArray<Int32Type>, bytes: &BinaryArray) -> Self {
        let names = column.values().as_string::<i32>().iter();
        let names = names.map(|name| Text::from(name.unwrap_or_default().as_bytes().to_vec())).collect();
        let odd =
            bytes.iter().enumerate().filter_map(|(row, bytes)| Some((row, Text::from(bytes?.to_vec())))).collect();
        Self { keys: column.keys().clone(), names, odd }
    }

    fn get(&self, row: usize) -> Option<&Text<'static>> {
        if self.keys.is_null(row) {
            return None;
        }
        self.odd.get(&row).or_else(|| self.names.get(usize::try_from(self.keys.value(row)).ok()?))
    }
}

/// A column of containers, of which each is there once.
pub struct Containers {
    keys: Vec<Option<usize>>,
    containers: Vec<Container>,
}

impl Containers {
    fn new(column: &StructArray) -> Option<Self> {
        let parts: Vec<_> = column.columns().iter().map(|part| part.as_dictionary::<Int32Type>()).collect();
        let [id, runtime, name] = parts[..] else { return None };
        let mut known = HashMap::new();
        let mut containers = Vec::new();
        let mut keys = Vec::new();
        for row in 0..column.len() {
            if column.is_null(row) {
                keys.push(None);
                continue;
            }
            let key = [id, runtime, name].map(|part| part.key(row));
            let place = match known.get(&key) {
                Some(place) => *place,
                None => {
                    containers.push(Container {
                        id: word(id, row)?.to_owned(),
                        runtime: intern(word(runtime, row)?)?,
                        name: word(name, row).map(str::to_owned),
                    });
                    known.insert(key, containers.len() - 1);
                    containers.len() - 1
                }
            };
            keys.push(Some(place));
        }
        Some(Self { keys, containers })
    }
}

/// A word of a dictionary; `None` where there is none.
fn word(column: &DictionaryArray<Int32Type>, row: usize) -> Option<&str> {
    let key = column.key(row)?;
    Some(column.values().as_string::<i32>().value(key))
}

/// The words of a list.
fn words(column: &ListArray, row: usize) -> Option<Vec<String>> {
    let items = column.value(row);
    let items = items.as_dictionary::<Int32Type>();
    (0..items.len()).map(|item| word(items, item).map(str::to_owned)).collect()
}

/// A word that stays: events have few of them. `None` once a file has more than there can be.
fn intern(word: &str) -> Option<&'static str> {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    const MOST: usize = 256;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(word) = known.get(word) {
        return Some(word);
    }
    if known.len() >= MOST {
        return None;
    }
    let word: &'static str = Box::leak(word.into());
    known.insert(word);
    Some(word)
}

macro_rules! reads {
    ($($type:ty: $column:ident, $row:ident => $($pattern:pat $(if $guard:expr)? => $value:expr),+;)+) => {
        $(
            impl<'a> Read<'a> for $type {
                fn read($column: &'a ReadColumn, $row: usize) -> Option<Self> {
                    if $column.is_null($row) {
                        return None;
                    }
                    match $column {
                        $( $pattern $(if $guard)? => $value, )+
                        _ => None,
                    }
                }
            }
        )+
    };
}
reads! {
    bool: column, row => ReadColumn::Boolean(column) => Some(column.value(row));
    i32: column, row => ReadColumn::Int32(column) => Some(column.value(row));
    i64: column, row => ReadColumn::Int64(column) => Some(column.value(row));
    u32: column, row => ReadColumn::UInt32(column) => Some(column.value(row));
    u64: column, row =>
        ReadColumn::UInt64(column) => Some(column.value(row)),
        ReadColumn::Time(column) => u64::try_from(column.value(row)).ok();
    &'static str: column, row => ReadColumn::Word(column) => intern(word(column, row)?);
    Words: column, row => ReadColumn::Words(column) => {
        Words::from_iter(words(column, row)?.iter().map(|word| intern(word)))
    };
    FlagNames: column, row => ReadColumn::Words(column) => FlagNames::from_names(&words(column, row)?);
    Text<'a>: column, row =>
        ReadColumn::Text(_, bytes) if bytes.is_valid(row) => Some(bytes.value(row).into()),
        ReadColumn::Text(texts, _) => Some(texts.value(row).as_bytes().into()),
        ReadColumn::Name(names) => Some(Text(Cow::Borrowed(&names.get(row)?.0)));
    &'a Text<'static>: column, row => ReadColumn::Name(names) => names.get(row);
    &'a Container: column, row => ReadColumn::Container(column) => column.containers.get(column.keys[row]?);
    Texts<'a>: column, row =>
        ReadColumn::Texts(_, bytes) if bytes.is_valid(row) => {
            Some(closed(bytes.value(row).as_binary::<i32>().iter()))
        },
        ReadColumn::Texts(texts, _) => {
            Some(closed(texts.value(row).as_string::<i32>().iter().map(|text| text.map(str::as_bytes))))
        };
}

/// Texts one after the other, each closed by NUL.
fn closed<'t>(texts: impl Iterator<Item = Option<&'t [u8]>>) -> Texts<'static> {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend_from_slice(text.unwrap_or_default());
        bytes.push(0);
    }
    Texts(bytes.into())
}

impl<'a> Read<'a> for ErrorName {
    /// A success has no name.
    fn read(column: &'a ReadColumn, row: usize) -> Option<Self> {
        match column {
            ReadColumn::Word(column) => word(column, row).map_or(Some(Self(0)), Self::from_name),
            _ => None,
        }
    }
}

impl<'a, T: Read<'a>> Read<'a> for Option<T> {
    fn read(column: &'a ReadColumn, row: usize) -> Option<Self> {
        if column.is_null(row) { Some(None) } else { T::read(column, row).map(Some) }
    }
}

/// Hands out the columns of a row, in the order of its fields.
pub struct Cursor<'a> {
    columns: &'a [ReadColumn],
    places: std::slice::Iter<'a, usize>,
    row: usize,
}

impl<'a> Cursor<'a> {
    /// The next field; `None` where there is no such value.
    pub fn read<T: Read<'a>>(&mut self) -> Option<T> {
        T::read(self.columns.get(*self.places.next()?)?, self.row)
    }
}

/// The events of a batch.
pub struct Events {
    types: DictionaryArray<Int32Type>,
    columns: Vec<ReadColumn>,
    /// For each kind that the batch has the columns of, which of them each of its fields is in.
    places: [Option<Vec<usize>>; KINDS],
}

impl Events {
    /// Looks for the columns in a batch; `None` if it is not of events.
    pub fn new(batch: &RecordBatch) -> Option<Self> {
        let types = batch.column_by_name("type")?.as_dictionary_opt::<Int32Type>()?.clone();
        let mut columns = Vec::new();
        let mut known = HashMap::new();
        let places = Kind::ALL.map(|(kind, _)| {
            let (schema, made_of) = fields(kind);
            let place = |(field, made_of): (&crate::schema::Field, &Cells)| {
                if let Some(place) = known.get(field.name) {
                    return Some(*place);
                }
                let bytes = batch.column_by_name(&format!("{}_bytes", field.name));
                let column = batch.column_by_name(field.name)?;
                columns.push(ReadColumn::new(cells(field.name, *made_of), column, bytes)?);
                known.insert(field.name, columns.len() - 1);
                Some(columns.len() - 1)
            };
            schema.fields.iter().zip(made_of).map(place).collect()
        });
        Some(Self { types, columns, places })
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The event of a row; `None` if it is none.
    pub fn event(&self, row: usize) -> Option<Event<'_>> {
        let tag = word(&self.types, row)?;
        let (kind, _) = Kind::ALL.into_iter().find(|(_, name)| *name == tag)?;
        let places = self.places[kind as usize].as_ref()?.iter();
        let mut row = Cursor { columns: &self.columns, places, row };
        match kind {
            Kind::Open => OpenEvent::read(&mut row).map(Event::Open),
            Kind::Exec => ExecEvent::read(&mut row).map(Event::Exec),
            Kind::Exit => ExitEvent::read(&mut row).map(Event::Exit),
            Kind::Trace => TraceEvent::read(&mut row).map(Event::Trace),
        }
    }
}
