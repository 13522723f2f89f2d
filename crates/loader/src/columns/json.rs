//! Columns from JSON lines, the other way round than [`crate::schema::Value`].

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::Column;

/// Appends a value to its column; `bytes` stands beside it where the text is not the same. `None` if it is not such a
/// value.
pub(super) fn append(column: &mut Column, value: &Value, bytes: Option<&Value>) -> Option<()> {
    if value.is_null() {
        column.append_nulls(1);
        return Some(());
    }
    match column {
        Column::Boolean(column) => column.append_value(value.as_bool()?),
        Column::Int32(column) => column.append_value(i32::try_from(value.as_i64()?).ok()?),
        Column::Int64(column) => column.append_value(value.as_i64()?),
        Column::UInt32(column) => column.append_value(u32::try_from(value.as_u64()?).ok()?),
        Column::UInt64(column) => column.append_value(value.as_u64()?),
        Column::Time(column) => column.append_value(value.as_i64()?),
        Column::Word(column) => column.append(value.as_str()?),
        Column::Words(column) => {
            let words: Vec<_> = value.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
            column.append(words.into_iter());
        }
        Column::Text(column) => column.append(&text(value, bytes)?),
        Column::Name(column) => column.append(&text(value, bytes)?),
        Column::Texts(column) => {
            let texts = value.as_array()?;
            let bytes = bytes.map(Value::as_array).map_or(Some(None), |bytes| bytes.map(Some))?;
            let one = |(place, value)| text(value, bytes.and_then(|bytes| bytes.get(place)));
            let texts: Vec<_> = texts.iter().enumerate().map(one).collect::<Option<_>>()?;
            column.append(|| texts.iter().map(Vec::as_slice));
        }
        Column::Container(column) => {
            let part = |name| value.get(name).and_then(Value::as_str);
            column.append(part("id")?, part("runtime")?, part("name"));
        }
    }
    Some(())
}

fn text(value: &Value, bytes: Option<&Value>) -> Option<Vec<u8>> {
    match bytes {
        Some(bytes) => BASE64_STANDARD.decode(bytes.as_str()?).ok(),
        None => Some(value.as_str()?.as_bytes().to_vec()),
    }
}
