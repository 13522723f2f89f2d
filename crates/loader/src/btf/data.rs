//! Values: of memory by its type, and back.

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::{Btf, Member, Shape, types::DEEPEST};

/// A value of any type.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// An integer, or a bit field of one.
    Signed(i128),
    /// An integer that cannot be below zero.
    Unsigned(u128),
    /// True or false.
    Bool(bool),
    /// A number with a fraction.
    Float(f64),
    /// Where something is in memory.
    Address(u64),
    /// An array of `char` that is a text: the bytes before its first NUL, with nothing but NULs behind.
    Text(Vec<u8>),
    /// Bytes: an array of them, or memory of unknown type.
    Bytes(Vec<u8>),
    /// A number that has a name, if it is one of its enum.
    Enum(i128, Option<String>),
    /// An array.
    List(Vec<Data>),
    /// A struct or a union: its name, which may be empty, and its members by their names.
    Struct(String, Vec<(String, Data)>),
    /// Of values of several CPUs: they have none in common.
    Nothing,
}

impl Data {
    /// Whether all of its memory is zeros.
    fn is_zero(&self) -> bool {
        match self {
            Self::Signed(value) | Self::Enum(value, _) => *value == 0,
            Self::Unsigned(value) => *value == 0,
            Self::Bool(value) => !value,
            Self::Float(value) => *value == 0.0,
            Self::Address(value) => *value == 0,
            Self::Text(bytes) | Self::Bytes(bytes) => bytes.iter().all(|byte| *byte == 0),
            Self::List(values) => values.iter().all(Self::is_zero),
            Self::Struct(_, members) => members.iter().all(|(_, value)| value.is_zero()),
            Self::Nothing => true,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Signed(_) | Self::Unsigned(_) | Self::Address(_) => "an integer",
            Self::Enum(..) => "a number with a name",
            Self::Bool(_) => "true or false",
            Self::Float(_) => "a number with a fraction",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "a list",
            Self::Struct(..) => "a struct",
            Self::Nothing => "nothing",
        }
    }

    fn number(&self) -> Option<i128> {
        match self {
            Self::Signed(value) | Self::Enum(value, _) => Some(*value),
            // Nothing that is written takes more than 128 bits; as bits the two are the same.
            Self::Unsigned(value) => Some(value.cast_signed()),
            Self::Address(value) => Some((*value).into()),
            Self::Bool(value) => Some((*value).into()),
            _ => None,
        }
    }
}

/// Enums are their names; bytes, and text that is not UTF-8, are lists of numbers.
impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Signed(value) | Self::Enum(value, None) => serializer.serialize_i128(*value),
            Self::Unsigned(value) => serializer.serialize_u128(*value),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Address(value) => serializer.serialize_u64(*value),
            Self::Text(bytes) => match str::from_utf8(bytes) {
                Ok(text) => serializer.serialize_str(text),
                Err(_) => serializer.collect_seq(bytes),
            },
            Self::Bytes(bytes) => serializer.collect_seq(bytes),
            Self::Enum(_, Some(name)) => serializer.serialize_str(name),
            Self::List(values) => serializer.collect_seq(values),
            Self::Struct(_, members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
            Self::Nothing => serializer.serialize_none(),
        }
    }
}

/// A value of a type; `None` where the type is malformed, has no size, or another one than the memory.
pub(crate) fn decode(btf: &Btf<'_>, number: u32, bytes: &[u8]) -> Option<Data> {
    (btf.size(number)? == bytes.len()).then(|| read(btf, number, bytes, DEEPEST))?
}

fn read(btf: &Btf<'_>, number: u32, bytes: &[u8], deepest: usize) -> Option<Data> {
    let deepest = deepest.checked_sub(1)?;
    let (number, shape) = btf.bare(number)?;
    Some(match shape {
        Shape::Int { is_signed, is_bool, .. } => {
            integer(bits(bytes, 0, bytes.len() * 8)?, bytes.len() * 8, is_signed, is_bool)
        }
        Shape::Float { .. } => float(bytes),
        Shape::Pointer(_) => Data::Address(u64::from_ne_bytes(bytes.try_into().ok()?)),
        Shape::Enum { is_signed, names, .. } => {
            enumerator(bits(bytes, 0, bytes.len() * 8)?, bytes.len() * 8, is_signed, &names)
        }
        Shape::Array { element, len } => array(btf, element, len, bytes, deepest)?,
        Shape::Struct { members, .. } => {
            let mut found = Vec::with_capacity(members.len());
            read_members(btf, &members, bytes, deepest, &mut found)?;
            Data::Struct(btf.name_of(number).to_owned(), found)
        }
        _ => return None,
    })
}

/// The members of a struct, and those of structs in it that have no name.
fn read_members(
    btf: &Btf<'_>,
    members: &[Member<'_>],
    bytes: &[u8],
    deepest: usize,
    found: &mut Vec<(String, Data)>,
) -> Option<()> {
    for member in members {
        if let Some(bits_of_field) = member.bits {
            // Those without a name are padding.
            if !member.name.is_empty() {
                found.push((member.name.to_owned(), read_bit_field(btf, member, bits_of_field, bytes)?));
            }
            continue;
        }
        let start = member.bit / 8;
        // An array at the end that may be of any length has none here.
        let bytes = bytes.get(start..start.checked_add(btf.size(member.number)?)?)?;
        match btf.bare(member.number)?.1 {
            Shape::Struct { members, .. } if member.name.is_empty() => {
                read_members(btf, &members, bytes, deepest.checked_sub(1)?, found)?;
            }
            _ => found.push((member.name.to_owned(), read(btf, member.number, bytes, deepest)?)),
        }
    }
    Some(())
}

fn read_bit_field(btf: &Btf<'_>, member: &Member<'_>, len: usize, bytes: &[u8]) -> Option<Data> {
    let value = bits(bytes, member.bit, len)?;
    match btf.bare(member.number)?.1 {
        Shape::Int { is_signed, is_bool, .. } => Some(integer(value, len, is_signed, is_bool)),
        Shape::Enum { is_signed, names, .. } => Some(enumerator(value, len, is_signed, &names)),
        _ => None,
    }
}

fn array(btf: &Btf<'_>, element: u32, len: usize, bytes: &[u8], deepest: usize) -> Option<Data> {
    match btf.bare(element)?.1 {
        Shape::Int { bytes: 1, is_bool: false, is_char, .. } => {
            // The type of clang's `char` is an integer by this name; rustc's `u8` is not.
            let is_char = is_char || btf.name_of(btf.bare(element)?.0) == "char";
            return Some(if is_char { text(bytes) } else { Data::Bytes(bytes.to_vec()) });
        }
        _ if bytes.is_empty() => return Some(Data::List(Vec::new())),
        _ => {}
    }
    let chunks = bytes.chunks_exact(bytes.len() / len.max(1));
    chunks.map(|chunk| read(btf, element, chunk, deepest)).collect::<Option<_>>().map(Data::List)
}

fn text(bytes: &[u8]) -> Data {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    match bytes[end..].iter().all(|byte| *byte == 0) {
        true => Data::Text(bytes[..end].to_vec()),
        false => Data::Bytes(bytes.to_vec()),
    }
}

fn float(bytes: &[u8]) -> Data {
    match (<[u8; 4]>::try_from(bytes), <[u8; 8]>::try_from(bytes)) {
        (Ok(bytes), _) => Data::Float(f32::from_ne_bytes(bytes).into()),
        (_, Ok(bytes)) => Data::Float(f64::from_ne_bytes(bytes)),
        _ => Data::Bytes(bytes.to_vec()),
    }
}

fn integer(value: u128, len: usize, is_signed: bool, is_bool: bool) -> Data {
    match value {
        0 | 1 if is_bool => Data::Bool(value == 1),
        _ if is_signed => Data::Signed(extend(value, len)),
        _ => Data::Unsigned(value),
    }
}

fn enumerator(value: u128, len: usize, is_signed: bool, names: &[(&str, i128)]) -> Data {
    let value = if is_signed { extend(value, len) } else { value.cast_signed() };
    let name = names.iter().find(|(_, number)| *number == value).map(|(name, _)| (*name).to_owned());
    Data::Enum(value, name)
}

/// The value of an integer whose highest bit of `len` is its sign.
fn extend(value: u128, len: usize) -> i128 {
    let unused = (128 - len.clamp(1, 128)) as u32;
    (value << unused).cast_signed() >> unused
}

/// Some bits of memory. The machines that this runs on have the lowest first.
fn bits(bytes: &[u8], start: usize, len: usize) -> Option<u128> {
    let part = bytes.get(start / 8..start.checked_add(len)?.div_ceil(8))?;
    let mut word = [0; 16];
    word.get_mut(..part.len())?.copy_from_slice(part);
    Some(u128::from_le_bytes(word) >> (start % 8) & mask(len))
}

fn set_bits(bytes: &mut [u8], start: usize, len: usize, value: u128) -> Option<()> {
    let part = bytes.get_mut(start / 8..start.checked_add(len)?.div_ceil(8))?;
    let mut word = [0; 16];
    word.get_mut(..part.len())?.copy_from_slice(part);
    let kept = u128::from_le_bytes(word) & !(mask(len) << (start % 8));
    let word = (kept | (value & mask(len)) << (start % 8)).to_le_bytes();
    part.copy_from_slice(&word[..part.len()]);
    Some(())
}

fn mask(len: usize) -> u128 {
    u128::MAX.checked_shr(128 - len.min(128) as u32).unwrap_or_default()
}

/// What the values of all CPUs make together: numbers are added; of all else it is what those have that have any, if it is
/// the same.
pub(crate) fn sum(values: &[Data]) -> Data {
    let Some(first) = values.first() else { return Data::Nothing };
    let all = |part: fn(&Data) -> Option<i128>| values.iter().map(part).sum::<Option<i128>>();
    match first {
        Data::Signed(_) => all(Data::number).map_or(Data::Nothing, Data::Signed),
        Data::Unsigned(_) => all(Data::number).map_or(Data::Nothing, |sum| Data::Unsigned(sum.cast_unsigned())),
        Data::Float(_) => {
            Data::Float(values.iter().map(|value| if let Data::Float(value) = value { *value } else { 0.0 }).sum())
        }
        Data::List(elements) => {
            let column = |index: usize| {
                values.iter().filter_map(move |value| match value {
                    Data::List(elements) => elements.get(index).cloned(),
                    _ => None,
                })
            };
            Data::List((0..elements.len()).map(|index| sum(&column(index).collect::<Vec<_>>())).collect())
        }
        Data::Struct(name, members) => {
            let column = |index: usize| {
                values.iter().filter_map(move |value| match value {
                    Data::Struct(_, members) => members.get(index).map(|(_, value)| value.clone()),
                    _ => None,
                })
            };
            let member =
                |(index, (name, _)): (usize, &(String, Data))| (name.clone(), sum(&column(index).collect::<Vec<_>>()));
            Data::Struct(name.clone(), members.iter().enumerate().map(member).collect())
        }
        _ => common(values),
    }
}

fn common(values: &[Data]) -> Data {
    let mut set = values.iter().filter(|value| !value.is_zero());
    match set.next() {
        None => values[0].clone(),
        Some(first) if set.all(|other| other == first) => first.clone(),
        Some(_) => Data::Nothing,
    }
}

/// The memory of a value of a type. The error says what is wrong with which part of it.
pub(crate) fn encode(btf: &Btf<'_>, number: u32, value: &Data) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; btf.size(number).ok_or("its type has no size")?];
    write(btf, number, value, &mut bytes, DEEPEST)?;
    Ok(bytes)
}

fn write(btf: &Btf<'_>, number: u32, value: &Data, bytes: &mut [u8], deepest: usize) -> Result<(), String> {
    let malformed = || "its type is malformed".to_owned();
    let deepest = deepest.checked_sub(1).ok_or_else(malformed)?;
    let (number, shape) = btf.bare(number).ok_or_else(malformed)?;
    if let Data::Bytes(given) = value
        && matches!(shape, Shape::Struct { .. } | Shape::Array { .. })
    {
        return copy(given, bytes);
    }
    match shape {
        Shape::Float { .. } => write_float(value, bytes),
        Shape::Array { element, len } => write_array(btf, element, len, value, bytes, deepest),
        Shape::Struct { members, is_union, .. } => {
            let named = named_members(btf, &members, 0, deepest).ok_or_else(malformed)?;
            write_struct(btf, btf.name_of(number), &named, is_union, value, bytes, deepest)
        }
        Shape::Int { .. } | Shape::Enum { .. } | Shape::Pointer(_) => {
            let len = bytes.len() * 8;
            write_bits(btf, number, value, bytes, 0, len)
        }
        _ => Err("values of its type cannot be written".to_owned()),
    }
}

/// The members of a struct by their names, those of structs in it that have none among them.
fn named_members<'a>(
    btf: &'a Btf<'_>,
    members: &[Member<'a>],
    before: usize,
    deepest: usize,
) -> Option<Vec<Member<'a>>> {
    let mut named = Vec::with_capacity(members.len());
    for member in members {
        let member = Member { bit: member.bit.checked_add(before)?, ..member.clone() };
        match btf.bare(member.number)?.1 {
            _ if !member.name.is_empty() => named.push(member),
            Shape::Struct { members, .. } => {
                named.extend(named_members(btf, &members, member.bit, deepest.checked_sub(1)?)?);
            }
            // Padding.
            _ => {}
        }
    }
    Some(named)
}

fn write_struct(
    btf: &Btf<'_>,
    name: &str,
    members: &[Member<'_>],
    is_union: bool,
    value: &Data,
    bytes: &mut [u8],
    deepest: usize,
) -> Result<(), String> {
    let names = || members.iter().map(|member| member.name).collect::<Vec<_>>().join(", ");
    let given: Vec<(&str, &Data)> = match value {
        Data::Struct(_, given) => given.iter().map(|(name, value)| (name.as_str(), value)).collect(),
        Data::List(given) if given.len() == members.len() => {
            members.iter().map(|member| member.name).zip(given).collect()
        }
        other => return Err(format!("{name} takes {}, not {}", names(), other.kind())),
    };
    if let Some((unknown, _)) = given.iter().find(|(name, _)| !members.iter().any(|member| member.name == *name)) {
        return Err(format!("{name} has no member {unknown}; it has {}", names()));
    }
    // A union takes one of its members, and so may a struct with a union in it.
    let overlaps = is_union || members.windows(2).any(|pair| pair[1].bit <= pair[0].bit && pair[1].bits.is_none());
    for member in members {
        let Some((_, value)) = given.iter().find(|(name, _)| *name == member.name) else {
            if overlaps {
                continue;
            }
            return Err(format!("{name} needs {} too", member.name));
        };
        let in_member = |error: String| format!("{}: {error}", member.name);
        if let Some(len) = member.bits {
            write_bits(btf, member.number, value, bytes, member.bit, len).map_err(in_member)?;
            continue;
        }
        let size =
            btf.size(member.number).ok_or("its type has no size").map_err(|error| in_member(error.to_owned()))?;
        let start = member.bit / 8;
        let part = bytes.get_mut(start..start + size).ok_or_else(|| in_member("its type is malformed".to_owned()))?;
        write(btf, member.number, value, part, deepest).map_err(in_member)?;
    }
    Ok(())
}

/// Integers, enums by number or name, bit fields of both.
fn write_bits(
    btf: &Btf<'_>,
    number: u32,
    value: &Data,
    bytes: &mut [u8],
    start: usize,
    len: usize,
) -> Result<(), String> {
    let (is_signed, is_enum, names) = match btf.bare(number) {
        Some((_, Shape::Int { is_signed, .. })) => (is_signed, false, Vec::new()),
        Some((_, Shape::Enum { is_signed, names, .. })) => (is_signed, true, names),
        _ => (false, false, Vec::new()),
    };
    let value = match value {
        Data::Text(name) => {
            let number = names.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, number)| *number);
            let known = || names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            let name = String::from_utf8_lossy(name);
            number.ok_or_else(|| match is_enum {
                true => format!("there is no {name:?}; there is {}", known()),
                false => format!("it is an integer, not {name:?}"),
            })?
        }
        other => other.number().ok_or_else(|| format!("it is an integer, not {}", other.kind()))?,
    };
    let (low, high) = match (is_signed, len) {
        (false, 128) => (i128::MIN, i128::MAX),
        (true, len) => (-1 << (len - 1), i128::MAX >> (128 - len)),
        (false, len) => (0, mask(len).cast_signed()),
    };
    // Objects do not always tell that an enum is signed.
    let low = if is_enum { low.min(-1 << (len - 1)) } else { low };
    if !(low..=high).contains(&value) {
        return Err(format!("{value} does not fit {len} bits; it is from {low} to {high}"));
    }
    set_bits(bytes, start, len, value.cast_unsigned()).ok_or_else(|| "its type is malformed".to_owned())
}

fn write_float(value: &Data, bytes: &mut [u8]) -> Result<(), String> {
    let number = match value {
        Data::Float(value) => *value,
        Data::Signed(value) => *value as f64,
        other => return Err(format!("it is a number, not {}", other.kind())),
    };
    match bytes.len() {
        4 => bytes.copy_from_slice(&(number as f32).to_ne_bytes()),
        8 => bytes.copy_from_slice(&number.to_ne_bytes()),
        len => return Err(format!("numbers of {len} bytes can only be written as bytes")),
    }
    Ok(())
}

fn write_array(
    btf: &Btf<'_>,
    element: u32,
    len: usize,
    value: &Data,
    bytes: &mut [u8],
    deepest: usize,
) -> Result<(), String> {
    match value {
        Data::Text(text) if bytes.len() == len => {
            let Some(part) = bytes.get_mut(..text.len()) else {
                return Err(format!("it has room for {len} bytes, not {}", text.len()));
            };
            part.copy_from_slice(text);
            Ok(())
        }
        // Elements without a size are not read either.
        Data::List(values) if values.len() == len || bytes.is_empty() => {
            let size = bytes.len() / len.max(1);
            if size == 0 {
                return Ok(());
            }
            let mut each = values.iter().zip(bytes.chunks_exact_mut(size)).enumerate();
            each.try_for_each(|(index, (value, chunk))| {
                write(btf, element, value, chunk, deepest).map_err(|error| format!("[{index}]: {error}"))
            })
        }
        Data::List(values) => Err(format!("it has {len} elements, not {}", values.len())),
        other => Err(format!("it is an array of {len}, not {}", other.kind())),
    }
}

fn copy(given: &[u8], bytes: &mut [u8]) -> Result<(), String> {
    if given.len() != bytes.len() {
        return Err(format!("it has {} bytes, not {}", bytes.len(), given.len()));
    }
    bytes.copy_from_slice(given);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &[u8] = include_bytes!("../../tests/btf/x86_64/6.18.btf");

    /// The running kernel's types, or where it tells none a few of another's.
    fn kernel() -> Btf<'static> {
        let bytes = std::fs::read("/sys/kernel/btf/vmlinux").unwrap_or_else(|_| KERNEL.to_vec());
        Btf::parse(bytes).expect("well formed")
    }

    fn noise(len: usize, seed: usize) -> Vec<u8> {
        (0..len).map(|index| (index.wrapping_add(seed).wrapping_mul(0x9e37_79b1) >> 13) as u8).collect()
    }

    #[test]
    fn what_is_read_of_any_type_can_be_written_and_is_the_same() {
        let kernel = kernel();
        let mut structs = 0;
        for number in 1..=kernel.len() {
            let Some(len) = kernel.size(number).filter(|len| *len <= 512) else { continue };
            for memory in [vec![0; len], vec![0xff; len], noise(len, number as usize)] {
                let Some(value) = decode(&kernel, number, &memory) else { continue };
                structs += u32::from(matches!(value, Data::Struct(..)));
                let written = encode(&kernel, number, &value).unwrap_or_else(|error| {
                    panic!("{} {number}: {error}", kernel.name_of(number));
                });
                let read = decode(&kernel, number, &written);
                // As texts: what is no number is not equal to itself.
                assert_eq!(format!("{read:?}"), format!("{:?}", Some(value)), "{} {number}", kernel.name_of(number));
            }
        }
        assert!(structs > 0);
    }

    #[test]
    fn types_that_are_damaged_are_refused_and_nothing_panics() {
        for at in (0..KERNEL.len()).step_by(7) {
            let mut damaged = KERNEL.to_vec();
            damaged[at] ^= 0xa5;
            let Some(btf) = Btf::parse(damaged) else { continue };
            for number in 0..=btf.len() {
                let len = btf.size(number).unwrap_or_default().min(4_096);
                let _ = decode(&btf, number, &noise(len, at));
                let _ = super::super::c_layout(&btf, number);
                let _ = super::super::python_layout(&btf, number);
            }
        }
    }

    #[test]
    fn a_bit_field_is_read_and_written_alone() {
        let mut bytes = [0xff; 3];
        set_bits(&mut bytes, 3, 10, 0b10_0000_0001).expect("inside");
        assert_eq!(bytes, [0b0000_1111, 0b1111_0000, 0xff]);
        assert_eq!(bits(&bytes, 3, 10), Some(0b10_0000_0001));
        assert_eq!(extend(0b10_0000_0001, 10), -511);
        assert_eq!(bits(&bytes, 20, 5), None);
        assert_eq!((mask(0), mask(1), mask(128)), (0, 1, u128::MAX));
    }

    #[test]
    fn an_array_of_char_is_text_only_if_that_tells_all_of_it() {
        assert_eq!(text(b"bash\0\0"), Data::Text(b"bash".to_vec()));
        assert_eq!(text(b"full"), Data::Text(b"full".to_vec()));
        assert_eq!(text(b"a\0b\0"), Data::Bytes(b"a\0b\0".to_vec()));
    }

    #[test]
    fn numbers_of_all_cpus_are_added_and_the_rest_is_what_they_agree_on() {
        let of = |packets, name: &[u8], kind: i128| {
            let members = [
                ("packets", Data::Unsigned(packets)),
                ("name", Data::Text(name.to_vec())),
                ("kind", Data::Enum(kind, None)),
                ("both", Data::List(vec![Data::Signed(-1), Data::Signed(2)])),
            ];
            Data::Struct("sums".to_owned(), members.map(|(name, value)| (name.to_owned(), value)).to_vec())
        };
        let Data::Struct(_, sums) = sum(&[of(1, b"eth0", 1), of(2, b"", 2), of(4, b"eth0", 0)]) else { panic!() };
        let values: Vec<_> = sums.into_iter().map(|(_, value)| value).collect();
        let both = Data::List(vec![Data::Signed(-3), Data::Signed(6)]);
        assert_eq!(values, [Data::Unsigned(7), Data::Text(b"eth0".to_vec()), Data::Nothing, both]);
    }
}
