//! One declaration of each record, from which its JSON comes and its documentation: `record!` makes the struct, its
//! serialisation and its [`Schema`].

use std::{borrow::Cow, fmt, io};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ebpflab_common::exec::arguments;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::Formatter;

use crate::btf::Data;

/// A record's description.
#[derive(Debug)]
pub struct Schema {
    /// Name of the Rust struct and of the Python class.
    pub name: &'static str,
    /// Value of the JSON field `type`, for records that are lines of their own.
    pub tag: Option<&'static str>,
    /// What it is.
    pub doc: &'static str,
    /// Its fields, in the order of the JSON.
    pub fields: &'static [Field],
}

/// A field's description.
#[derive(Debug)]
pub struct Field {
    /// Name in JSON and in Python.
    pub name: &'static str,
    /// Its type in JSON.
    pub r#type: Type,
    /// What it is, with its unit.
    pub doc: &'static str,
}

/// A type of JSON values.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// An integer; those of 64 bits may exceed 2^53.
    Integer,
    /// True or false.
    Boolean,
    /// A number with a fraction.
    Number,
    /// Text.
    String,
    /// Bytes from the kernel: a string, and where they are not UTF-8 a field `NAME_bytes` in base64 beside it.
    Text,
    /// One of our records.
    Object(&'static Schema),
    /// The same by its name, in a record that may hold others of its kind.
    Named(&'static str),
    /// What a type of the kernel, or of an object, says.
    Any,
    /// A list.
    Array(&'static Type),
    /// The type or null.
    Nullable(&'static Type),
    /// The field is there only for some tools.
    Optional(&'static Type),
    /// One of several types.
    Either(&'static [Type]),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer => f.write_str("integer"),
            Self::Boolean => f.write_str("boolean"),
            Self::Number => f.write_str("number"),
            Self::String => f.write_str("string"),
            Self::Text => f.write_str("text"),
            Self::Object(schema) => f.write_str(schema.name),
            Self::Named(name) => f.write_str(name),
            Self::Any => f.write_str("any"),
            Self::Array(inner) => write!(f, "array of {inner}"),
            Self::Nullable(inner) => write!(f, "{inner} or null"),
            Self::Optional(inner) => write!(f, "{inner}, optional"),
            Self::Either(types) => {
                let names: Vec<_> = types.iter().map(ToString::to_string).collect();
                f.write_str(&names.join(" or "))
            }
        }
    }
}

/// A struct made by `record!`.
pub trait Record: Serialize {
    /// Its description.
    const SCHEMA: Schema;

    /// Appends the record as one line of JSON.
    fn write_json_line(&self, out: &mut Vec<u8>) {
        let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Harmless);
        self.serialize(&mut serializer).expect("records have string keys, and a Vec takes all");
        out.push(b'\n');
    }

    /// The record as one line of JSON.
    fn to_json_line(&self) -> Vec<u8> {
        let mut line = Vec::new();
        self.write_json_line(&mut line);
        line
    }
}

/// Compact JSON that a terminal may be given: the control characters that JSON lets stand (DEL and C1) are escaped too.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // C1 starts with this byte in UTF-8. Most fragments have neither, and this is where events become JSON.
        if !fragment.bytes().any(|byte| matches!(byte, 0x7f | 0xc2)) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, control)) = rest.char_indices().find(|(_, char)| matches!(char, '\x7f'..='\u{9f}')) {
            write!(writer, "{}\\u{:04x}", &rest[..at], u32::from(control))?;
            rest = &rest[at + control.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// A type that may stand in a record.
pub trait Value {
    /// Its description.
    const TYPE: Type;

    /// Writes the field.
    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error>;
}

macro_rules! plain_values {
    ($($type:ty => $json:expr),+ $(,)?) => {
        $(
            impl Value for $type {
                const TYPE: Type = $json;

                fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
                    map.serialize_entry(name, self)
                }
            }
        )+
    };
}
plain_values!(
    bool => Type::Boolean,
    i32 => Type::Integer,
    i64 => Type::Integer,
    u32 => Type::Integer,
    u64 => Type::Integer,
    f64 => Type::Number,
    i128 => Type::Integer,
    Data => Type::Any,
    String => Type::String,
    &'static str => Type::String,
);

impl<T: Value + Serialize> Value for Vec<T> {
    const TYPE: Type = Type::Array(&T::TYPE);

    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(name, self)
    }
}

impl<T: Value> Value for Option<T> {
    const TYPE: Type = Type::Nullable(&T::TYPE);

    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        match self {
            Some(value) => value.write(name, map),
            None => map.serialize_entry(name, &()),
        }
    }
}

/// What many records have in common.
impl<T: Value> Value for &T {
    const TYPE: Type = T::TYPE;

    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        (**self).write(name, map)
    }
}

/// A field that only some tools have: left out where it is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Optional<T>(pub Option<T>);

impl<T> Default for Optional<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Value> Value for Optional<T> {
    const TYPE: Type = Type::Optional(&T::TYPE);

    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        self.0.as_ref().map_or(Ok(()), |value| value.write(name, map))
    }
}

/// Bytes that the kernel treats as a name: mostly UTF-8, never surely. Those of an event are in its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, [u8]>);

impl<'a> From<&'a [u8]> for Text<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Text<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Cow::Owned(bytes))
    }
}

impl Value for Text<'_> {
    const TYPE: Type = Type::Text;

    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        let lossy = String::from_utf8_lossy(&self.0);
        map.serialize_entry(name, &lossy)?;
        if let Cow::Owned(_) = lossy {
            map.serialize_entry(&format!("{name}_bytes"), &BASE64_STANDARD.encode(&self.0))?;
        }
        Ok(())
    }
}

/// A list of [`Text`], each closed by NUL but for a last one that is cut: where one of them is not UTF-8 the field
/// beside it has all of them in base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts<'a>(pub Cow<'a, [u8]>);

impl Texts<'_> {
    /// Each without its NUL.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        arguments(&self.0)
    }
}

impl Value for Texts<'_> {
    const TYPE: Type = Type::Array(&Type::Text);

    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(name, &List(|| self.iter().map(String::from_utf8_lossy)))?;
        // A NUL is in no other character.
        if str::from_utf8(&self.0).is_err() {
            let bytes = List(|| self.iter().map(|text| BASE64_STANDARD.encode(text)));
            map.serialize_entry(&format!("{name}_bytes"), &bytes)?;
        }
        Ok(())
    }
}

/// What an iterator gives, as a list that is never made.
pub(crate) struct List<F>(pub(crate) F);

impl<I: Iterator<Item: Serialize>, F: Fn() -> I> Serialize for List<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0())
    }
}

/// Declares records. `struct Name` is a part of others; `struct Name = "tag"` is a line of its own,
/// and with `as row` it may be a row of a table too ([`crate::columns`]). `Name<'a>` borrows
/// from where it was read.
macro_rules! record {
    ($(
        $(#[doc = $doc:literal])+
        pub struct $name:ident $(<$life:lifetime>)? $(= $tag:literal $(as $row:ident)?)? {
            $( $(#[doc = $field_doc:literal])+ pub $field:ident: $type:ty, )+
        }
    )+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name $(<$life>)? {
            $( $(#[doc = $field_doc])+ pub $field: $type, )+
        }

        impl $(<$life>)? $crate::schema::Record for $name $(<$life>)? {
            const SCHEMA: $crate::schema::Schema = $crate::schema::Schema {
                name: stringify!($name),
                tag: $crate::schema::record!(@tag $($tag)?),
                doc: concat!($($doc),+),
                fields: &[$( $crate::schema::Field {
                    name: stringify!($field),
                    r#type: <$type as $crate::schema::Value>::TYPE,
                    doc: concat!($($field_doc),+),
                } ),+],
            };
        }

        impl $(<$life>)? serde::Serialize for $name $(<$life>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let mut map = serializer.serialize_map(None)?;
                $( map.serialize_entry("type", $tag)?; )?
                $( $crate::schema::Value::write(&self.$field, stringify!($field), &mut map)?; )+
                map.end()
            }
        }

        impl $(<$life>)? $crate::schema::Value for $name $(<$life>)? {
            const TYPE: $crate::schema::Type =
                $crate::schema::Type::Object(&<Self as $crate::schema::Record>::SCHEMA);

            fn write<M: serde::ser::SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
                map.serialize_entry(name, self)
            }
        }

        $crate::schema::record!(@row [$($($row)?)?] $name [$($life)?] $($field: $type),+);
    )+ };
    (@tag) => { None };
    (@tag $tag:literal) => { Some($tag) };
    (@row [] $($rest:tt)*) => {};
    (@row [row] $name:ident [$life:lifetime] $($field:ident: $type:ty),+) => {
        impl<$life> $crate::columns::Row<$life> for $name<$life> {
            const CELLS: &'static [$crate::columns::Cells] = &[$( <$type as $crate::columns::Cell>::CELLS ),+];

            fn append(&self, row: &mut $crate::columns::Appender<'_>) {
                $( row.append(&self.$field); )+
            }

            fn read(row: &mut $crate::columns::Cursor<$life>) -> Option<Self> {
                Some(Self { $( $field: row.read()?, )+ })
            }
        }
    };
}
pub(crate) use record;

#[cfg(test)]
#[expect(unreachable_pub, reason = "record! makes public structs")]
mod tests {
    use super::*;

    record! {
        /// A line.
        pub struct Line<'a> = "line" {
            /// Its name.
            pub name: Option<Text<'a>>,
            /// Only sometimes.
            pub extra: Optional<u64>,
            /// Parts.
            pub parts: Vec<Part>,
        }
        /// A part.
        pub struct Part {
            /// How much.
            pub share: f64,
        }
    }

    fn json(line: &Line<'_>) -> String {
        String::from_utf8(line.to_json_line()).expect("JSON is UTF-8")
    }

    #[test]
    fn no_control_character_is_written() {
        for code in (0..0x100).chain([0x2028, 0x1f980]) {
            let name = format!("a{}b", char::from_u32(code).expect("a character"));
            let line = json(&Line { name: Some(name.as_bytes().into()), extra: Optional(None), parts: Vec::new() });
            assert!(!line.trim_end_matches('\n').contains(char::is_control), "{code:#x}");
            let read: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(read["name"], name);
        }
    }

    #[test]
    fn writes_fields_in_order_after_the_type() {
        let mut line = Line { name: None, extra: Optional(None), parts: vec![Part { share: 0.5 }] };
        assert_eq!(json(&line), "{\"type\":\"line\",\"name\":null,\"parts\":[{\"share\":0.5}]}\n");
        line.extra = Optional(Some(u64::MAX));
        assert!(json(&line).contains("\"extra\":18446744073709551615"));
    }

    #[test]
    fn bytes_that_are_not_utf8_stand_beside_their_text() {
        let mut line = Line { name: Some(Text::from(&b"caf\xc3\xa9\n"[..])), extra: Optional(None), parts: vec![] };
        assert!(json(&line).contains(r#""name":"café\n","parts""#));
        line.name = Some(Text::from(b"caf\xe9".to_vec()));
        assert!(json(&line).contains("\"name\":\"caf\u{fffd}\",\"name_bytes\":\"Y2Fm6Q==\""));
    }

    #[test]
    fn a_list_of_bytes_has_all_of_them_beside_it() {
        record! {
            /// A line.
            pub struct Words<'a> = "words" {
                /// Some words.
                pub words: Texts<'a>,
            }
        }
        let json = |words: &[u8]| {
            let words = Words { words: Texts(words.into()) };
            String::from_utf8(words.to_json_line()).expect("JSON is UTF-8")
        };
        assert_eq!(json(b"a b\0\0"), "{\"type\":\"words\",\"words\":[\"a b\",\"\"]}\n");
        let mixed = json(b"a\0\xff");
        assert!(mixed.contains("\"words\":[\"a\",\"\u{fffd}\"],\"words_bytes\":[\"YQ==\",\"/w==\"]"), "{mixed}");
    }

    #[test]
    fn describes_itself() {
        let fields: Vec<_> = Line::SCHEMA.fields.iter().map(|field| (field.name, field.r#type.to_string())).collect();
        let expected = [("name", "text or null"), ("extra", "integer, optional"), ("parts", "array of Part")];
        assert_eq!(fields, expected.map(|(name, json)| (name, json.to_owned())));
        assert_eq!(Line::SCHEMA.tag, Some("line"));
    }
}
