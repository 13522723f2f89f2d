//! Type information (BTF): of the running kernel, of objects, of maps.
//!
//! This file reads it, and cuts the kernel's down to what is asked of it. `types` says what a type is, `data` reads and
//! writes values of it, `layout` prints it.
//!
//! A kernel describes more than 100,000 types. Having aya read all of them, and look through them once for each struct
//! of an object, takes longer than all else about attaching a tool.
//!
//! The format is Documentation/bpf/btf.rst.

mod data;
mod layout;
mod types;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    ops::Range,
};

pub use data::Data;
pub(crate) use data::{decode, encode, sum};
pub use layout::Layout;
pub(crate) use layout::{c_layout, declaration, python_layout};
pub(crate) use types::{Member, Shape};

const HEADER_LEN: usize = 24;
const MAGIC: u16 = 0xeb9f;
/// Bytes of a type without what follows it.
const TYPE_LEN: usize = 12;
/// Bytes of a member of a struct.
const MEMBER_LEN: usize = 12;

/// Kinds of types, as far as they matter here.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FWD: u32 = 7;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const FLOAT: u32 = 16;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// A kernel's types that are named like one of an object's own, and what those hold; with numbers of their own.
/// `None`: one of the two is malformed, or has a kind of types that is not known here.
pub(crate) fn like_those_of(object: &[u8], kernel: &[u8]) -> Option<Vec<u8>> {
    let (object, kernel) = (Btf::parse(object)?, Btf::parse(kernel)?);
    let kept = kernel.kept(&object.names())?;
    kernel.only(&kept)
}

/// A kernel's functions, and all else by its name alone. Each type keeps its number: it is by the number of a function
/// that a program is attached to it.
pub(crate) fn functions(kernel: &[u8]) -> Option<Vec<u8>> {
    Btf::parse(kernel).map(|kernel| kernel.without_members())
}

/// One of a kernel's functions by its number, and of all else no more than that there is something with the numbers below.
/// `None`: there is no such function, too.
pub(crate) fn function(kernel: &[u8], name: &str) -> Option<Vec<u8>> {
    Btf::parse(kernel)?.with_function(name)
}

/// The name of a type, by its number.
pub(crate) fn name_of(kernel: &[u8], number: u32) -> Option<String> {
    let kernel = Btf::parse(kernel)?;
    let of = kernel.types.get((number as usize).checked_sub(1)?)?;
    Some(String::from_utf8_lossy(kernel.name(of)?).into_owned())
}

/// The names of a kernel's functions.
pub(crate) fn function_names(kernel: &[u8]) -> Option<Vec<String>> {
    names_of(kernel, kind::FUNC)
}

/// The names of types that are others by another name.
pub(crate) fn typedef_names(kernel: &[u8]) -> Option<Vec<String>> {
    names_of(kernel, kind::TYPEDEF)
}

fn names_of(kernel: &[u8], kind: u32) -> Option<Vec<String>> {
    let kernel = Btf::parse(kernel)?;
    let named = kernel.types.iter().filter(|of| of.kind() == kind).filter_map(|of| kernel.name(of));
    Some(named.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

/// A string of type information, by its offset.
pub(crate) fn string(bytes: &[u8], offset: u32) -> Option<String> {
    let start = word(bytes, 4)?.checked_add(word(bytes, 16)?)?.checked_add(offset)? as usize;
    let text = bytes.get(start..)?;
    let text = &text[..text.iter().position(|byte| *byte == 0)?];
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Something that an object asks about the kernel's types (`struct bpf_core_relo`).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The type, in the object's own type information.
    number: u32,
    /// Where the string is that says which member of it: their indices, with colons between.
    access: u32,
    /// What it wants to know (`enum bpf_core_relo_kind`).
    pub(crate) kind: u32,
}

/// What an object asks about the kernel's types, from its section `.BTF.ext`.
pub(crate) fn questions(btf_ext: &[u8]) -> Option<Vec<Question>> {
    const CORE_RELO_OFF: usize = 24;
    const RECORD_LEN: usize = 16;
    if (word(btf_ext, 4)? as usize) < CORE_RELO_OFF + 8 {
        return Some(Vec::new());
    }
    let start = (word(btf_ext, 4)? as usize).checked_add(word(btf_ext, CORE_RELO_OFF)? as usize)?;
    let len = word(btf_ext, CORE_RELO_OFF + 4)? as usize;
    let mut rest = btf_ext.get(start..start.checked_add(len)?)?;
    let mut questions = Vec::new();
    if rest.is_empty() {
        return Some(questions);
    }
    let size = word(rest, 0)? as usize;
    if size < RECORD_LEN {
        return None;
    }
    rest = &rest[4..];
    while !rest.is_empty() {
        // A section of the object: its name, and how many records it has.
        let (records, others) = rest.get(8..)?.split_at_checked(size.checked_mul(word(rest, 4)? as usize)?)?;
        questions.extend(records.chunks_exact(size).filter_map(|record| {
            Some(Question { number: word(record, 4)?, access: word(record, 8)?, kind: word(record, 12)? })
        }));
        rest = others;
    }
    Some(questions)
}

/// Gives a section of an object another name, in its type information and in what that tells of code (`.BTF.ext`).
pub(crate) fn rename_section(btf: &mut Vec<u8>, ext: &mut [u8], old: &str, new: &str) -> Option<()> {
    const STR_LEN: usize = 20;
    let (start, len) = (word(btf, 4)?.checked_add(word(btf, 16)?)?, word(btf, STR_LEN)?);
    let places = section_names(ext)?;
    let are_old =
        places.into_iter().filter(|at| word(ext, *at).and_then(|name| string(btf, name)).as_deref() == Some(old));
    let are_old: Vec<_> = are_old.collect();
    btf.truncate(start.checked_add(len)? as usize);
    btf.extend_from_slice(new.as_bytes());
    btf.push(0);
    let longer = u32::try_from(btf.len()).ok()?.checked_sub(start)?;
    btf.get_mut(STR_LEN..STR_LEN + 4)?.copy_from_slice(&longer.to_ne_bytes());
    for at in are_old {
        ext.get_mut(at..at + 4)?.copy_from_slice(&len.to_ne_bytes());
    }
    Some(())
}

/// Where in `.BTF.ext` names of sections are: for what it tells of functions, of lines, and of the kernel's types.
fn section_names(ext: &[u8]) -> Option<Vec<usize>> {
    const TABLES: [usize; 3] = [8, 16, 24];
    let header = word(ext, 4)? as usize;
    let mut places = Vec::new();
    for table in TABLES.into_iter().filter(|table| table + 8 <= header) {
        let start = header.checked_add(word(ext, table)? as usize)?;
        let end = start.checked_add(word(ext, table + 4)? as usize)?;
        let Some(size) = word(ext, start).filter(|_| start < end) else { continue };
        let mut at = start + 4;
        while at < end {
            places.push(at);
            at = at.checked_add((size as usize).checked_mul(word(ext, at + 4)? as usize)?.checked_add(8)?)?;
        }
    }
    Some(places)
}

/// A type: where it is, and its first words.
#[derive(Debug)]
struct Type {
    at: Range<usize>,
    name: u32,
    info: u32,
}

impl Type {
    fn kind(&self) -> u32 {
        self.info >> 24 & 0x1f
    }

    /// A struct's: its members may be bit fields. An enum's: it is signed. A declaration's: it is of a union.
    fn has_flag(&self) -> bool {
        self.info >> 31 == 1
    }

    /// Whether it has a list of any length.
    fn is_list(&self) -> bool {
        matches!(self.kind(), kind::STRUCT | kind::UNION | kind::ENUM | kind::ENUM64 | kind::FUNC_PROTO | kind::DATASEC)
    }

    /// Whether an object may ask about its members.
    fn has_members(&self) -> bool {
        matches!(self.kind(), kind::STRUCT | kind::UNION | kind::ENUM | kind::ENUM64)
    }
}

/// Bytes that follow a type.
fn tail_len(kind: u32, vlen: usize) -> Option<usize> {
    Some(match kind {
        kind::INT | kind::VAR | kind::DECL_TAG => 4,
        kind::ARRAY => 12,
        kind::STRUCT | kind::UNION => vlen * MEMBER_LEN,
        kind::DATASEC | kind::ENUM64 => vlen * 12,
        kind::ENUM | kind::FUNC_PROTO => vlen * 8,
        kind::PTR
        | kind::FWD
        | kind::TYPEDEF
        | kind::VOLATILE
        | kind::CONST
        | kind::RESTRICT
        | kind::FUNC
        | kind::FLOAT
        | kind::TYPE_TAG => 0,
        _ => return None,
    })
}

/// Type information that was looked through once.
#[derive(Debug)]
pub struct Btf<'a> {
    bytes: Cow<'a, [u8]>,
    header_len: usize,
    strings: Range<usize>,
    /// The one with id 1 first.
    types: Vec<Type>,
}

impl<'a> Btf<'a> {
    /// `None`: it is malformed, or has a kind of types that is not known here.
    pub(crate) fn parse(bytes: impl Into<Cow<'a, [u8]>>) -> Option<Self> {
        let bytes = bytes.into();
        let field = |index: usize| word(&bytes, 4 + 4 * index).map(|value| value as usize);
        if u16::from_ne_bytes(*bytes.first_chunk()?) != MAGIC {
            return None;
        }
        let (header_len, type_off, type_len) = (field(0)?, field(1)?, field(2)?);
        let (str_off, str_len) = (field(3)?, field(4)?);
        if header_len < HEADER_LEN {
            return None;
        }
        let section = |off: usize, len: usize| {
            let start = header_len.checked_add(off)?;
            let range = start..start.checked_add(len)?;
            bytes.get(range.clone()).map(|_| range)
        };
        let strings = section(str_off, str_len)?;
        let mut rest = section(type_off, type_len)?;
        // A type is 20 bytes in the mean.
        let mut types = Vec::with_capacity(type_len / 16);
        while !rest.is_empty() {
            let next = read_type(&bytes, rest.start)?;
            rest.start = next.at.end;
            types.push(next);
        }
        (rest.start == rest.end).then_some(Self { bytes, header_len, strings, types })
    }

    /// The name of a type, without what comes after three underscores: CO-RE's flavour, which the kernel does not have.
    fn name(&self, of: &Type) -> Option<&[u8]> {
        let name = self.text(of.name)?;
        Some(name.windows(3).position(|window| window == b"___").map_or(name, |end| &name[..end]))
    }

    /// A string, by its offset.
    fn text(&self, offset: u32) -> Option<&[u8]> {
        let text = self.bytes.get(self.strings.clone())?.get(offset as usize..)?;
        Some(&text[..text.iter().position(|byte| *byte == 0)?])
    }

    /// The names of types that have members.
    fn names(&self) -> HashSet<&[u8]> {
        let with_members = self.types.iter().filter(|of| of.name != 0 && of.has_members());
        with_members.filter_map(|of| self.name(of)).collect()
    }

    /// For each type whether it is asked for by its name, or held by one that is.
    fn kept(&self, asked: &HashSet<&[u8]>) -> Option<Vec<bool>> {
        let mut kept = vec![false; self.types.len()];
        let is_asked =
            |of: &Type| of.name != 0 && of.has_members() && self.name(of).is_some_and(|it| asked.contains(it));
        let mut open: Vec<usize> = (0..self.types.len()).filter(|index| is_asked(&self.types[*index])).collect();
        while let Some(index) = open.pop() {
            if std::mem::replace(kept.get_mut(index)?, true) {
                continue;
            }
            let of = &self.types[index];
            if of.kind() != kind::PTR {
                for at in references(of) {
                    // Id 0 is void, which holds nothing.
                    open.extend((word(&self.bytes, at)? as usize).checked_sub(1));
                }
            }
        }
        Some(kept)
    }

    /// The types that are kept. What they point to, but is not kept, becomes void.
    fn only(&self, kept: &[bool]) -> Option<Vec<u8>> {
        let mut count = 0;
        let numbers: Vec<u32> = kept
            .iter()
            .map(|kept| {
                count += u32::from(*kept);
                if *kept { count } else { 0 }
            })
            .collect();
        let (mut types, mut strings) = (Vec::new(), Strings::default());
        for of in self.types.iter().zip(kept).filter_map(|(of, kept)| kept.then_some(of)) {
            let start = types.len();
            types.extend_from_slice(&self.bytes[of.at.clone()]);
            let mut set = |at: usize, value: u32| {
                types[start + at - of.at.start..][..4].copy_from_slice(&value.to_ne_bytes());
            };
            for at in references(of) {
                let id = word(&self.bytes, at)? as usize;
                set(at, *id.checked_sub(1).map_or(Some(&0), |index| numbers.get(index))?);
            }
            for at in names(of) {
                let offset = word(&self.bytes, at)?;
                set(at, strings.add(offset, self.text(offset)?)?);
            }
        }
        Some(self.with(&types, &strings.bytes))
    }

    /// The same types, but that those with a list become declarations.
    fn without_members(&self) -> Vec<u8> {
        let mut types = Vec::with_capacity(self.types.len() * (TYPE_LEN + 4));
        for of in &self.types {
            if of.is_list() {
                types.extend_from_slice(&words([of.name, kind::FWD << 24, 0]));
            } else {
                types.extend_from_slice(&self.bytes[of.at.clone()]);
            }
        }
        self.with(&types, &self.bytes[self.strings.clone()])
    }

    /// A function; types before it become declarations of nothing, and those after it are left out.
    fn with_function(&self, name: &str) -> Option<Vec<u8>> {
        const NAME: u32 = 1;
        let is_it = |of: &Type| of.kind() == kind::FUNC && self.text(of.name) == Some(name.as_bytes());
        let before = self.types.iter().position(is_it)?;
        let mut types = words([0, kind::FWD << 24, 0]).repeat(before);
        types.extend_from_slice(&words([NAME, self.types[before].info, 0]));
        Some(self.with(&types, &[b"\0", name.as_bytes(), b"\0"].concat()))
    }

    /// Header, types, and strings.
    fn with(&self, types: &[u8], strings: &[u8]) -> Vec<u8> {
        let mut out = [&self.bytes[..self.header_len], types, strings].concat();
        for (index, value) in [0, types.len(), types.len(), strings.len()].into_iter().enumerate() {
            out[8 + 4 * index..][..4].copy_from_slice(&(value as u32).to_ne_bytes());
        }
        out
    }
}

/// Where a type has the ids of others, as far as types that are part of a struct have them.
fn references(of: &Type) -> Vec<usize> {
    let tail = of.at.start + TYPE_LEN;
    match of.kind() {
        kind::STRUCT | kind::UNION => (tail..of.at.end).step_by(MEMBER_LEN).map(|member| member + 4).collect(),
        // Of the elements, and of the index.
        kind::ARRAY => vec![tail, tail + 4],
        kind::PTR | kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
            vec![of.at.start + 8]
        }
        _ => Vec::new(),
    }
}

/// Where a type has offsets of strings, for one that may be part of a struct.
fn names(of: &Type) -> Vec<usize> {
    let size = match of.kind() {
        kind::STRUCT | kind::UNION => MEMBER_LEN,
        kind::ENUM64 => 12,
        kind::ENUM | kind::FUNC_PROTO => 8,
        _ => return vec![of.at.start],
    };
    let tail = of.at.start + TYPE_LEN;
    std::iter::once(of.at.start).chain((tail..of.at.end).step_by(size)).collect()
}

/// Strings, each of them once: the empty one first, as the kernel wants it.
struct Strings {
    bytes: Vec<u8>,
    /// Where those are that are at an offset of the other type information.
    offsets: HashMap<u32, u32>,
}

impl Default for Strings {
    fn default() -> Self {
        Self { bytes: vec![0], offsets: HashMap::from([(0, 0)]) }
    }
}

impl Strings {
    /// Returns the new offset of what had that one.
    fn add(&mut self, offset: u32, text: &[u8]) -> Option<u32> {
        let next = u32::try_from(self.bytes.len()).ok()?;
        Some(*self.offsets.entry(offset).or_insert_with(|| {
            self.bytes.extend_from_slice(text);
            self.bytes.push(0);
            next
        }))
    }
}

fn words(values: [u32; 3]) -> Vec<u8> {
    values.into_iter().flat_map(u32::to_ne_bytes).collect()
}

fn read_type(bytes: &[u8], start: usize) -> Option<Type> {
    let (name, info) = (word(bytes, start)?, word(bytes, start + 4)?);
    let end = start + TYPE_LEN + tail_len(info >> 24 & 0x1f, (info & 0xffff) as usize)?;
    (end <= bytes.len()).then_some(Type { at: start..end, name, info })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aya_obj::{
        Object,
        btf::{Btf, BtfKind},
    };
    use object::{Object as _, ObjectSection as _};

    use super::*;
    use crate::objects;

    const KERNELS: [&[u8]; 5] = [
        include_bytes!("../../tests/btf/x86_64/5.10.btf"),
        include_bytes!("../../tests/btf/x86_64/6.1.btf"),
        include_bytes!("../../tests/btf/x86_64/6.12.btf"),
        include_bytes!("../../tests/btf/x86_64/6.18.btf"),
        include_bytes!("../../tests/btf/x86_64/7.3.btf"),
    ];

    fn types_of(elf: &[u8]) -> &[u8] {
        let file = object::File::parse(elf).expect("an object");
        file.section_by_name(".BTF").expect("types").data().expect("bytes")
    }

    fn questions_of(elf: &[u8]) -> Vec<Question> {
        let file = object::File::parse(elf).expect("an object");
        questions(file.section_by_name(".BTF.ext").expect("records").data().expect("bytes")).expect("well formed")
    }

    fn parsed(bytes: &[u8]) -> Btf {
        Btf::parse(bytes, aya::Endianness::default()).expect("BTF")
    }

    /// All instructions of an object after its relocation for a kernel.
    fn relocated(elf: &[u8], kernel: &[u8]) -> Vec<String> {
        let mut object = Object::parse(elf).expect("an object");
        object.relocate_btf(&parsed(kernel)).expect("every record has an answer");
        object.functions.values().map(|function| format!("{:?}", function.instructions)).collect()
    }

    #[test]
    fn objects_are_relocated_as_by_the_whole() {
        // The running kernel's is whole; those of the others are cut down already.
        let running = std::fs::read("/sys/kernel/btf/vmlinux").unwrap_or_default();
        let kernels = KERNELS.into_iter().chain((!running.is_empty()).then_some(&running[..]));
        for kernel in kernels {
            for elf in objects::ALL {
                let cut = like_those_of(types_of(elf), kernel).expect("well formed");
                assert!(cut.len() <= kernel.len());
                assert_eq!(relocated(elf, &cut), relocated(elf, kernel));
            }
        }
    }

    #[test]
    fn types_keep_their_ids_and_lose_members_that_nobody_asks_for() {
        let kernel = KERNELS[3];
        let cut = functions(kernel).expect("well formed");
        let (whole, cut) = (super::Btf::parse(kernel).expect("whole"), super::Btf::parse(&cut).expect("cut"));
        assert_eq!(whole.types.len(), cut.types.len());
        assert!(whole.types.iter().any(Type::is_list) && !cut.types.iter().any(Type::is_list));
        for (before, after) in whole.types.iter().zip(&cut.types) {
            assert_eq!(whole.name(before), cut.name(after));
        }
    }

    #[test]
    fn functions_of_the_running_kernel_are_found_by_the_same_ids() {
        let Ok(kernel) = std::fs::read("/sys/kernel/btf/vmlinux") else { return };
        let cut = parsed(&functions(&kernel).expect("well formed"));
        let whole = parsed(&kernel);
        for name in ["do_sys_openat2", "schedule"] {
            let id = |btf: &Btf| btf.id_by_type_name_kind(name, BtfKind::Func).ok();
            let alone = parsed(&function(&kernel, name).expect("it is there"));
            assert!(id(&whole).is_some());
            assert_eq!((id(&cut), id(&alone)), (id(&whole), id(&whole)));
        }
        assert_eq!(function(&kernel, "do_sys_openat3"), None);
    }

    #[test]
    fn our_objects_ask_where_fields_are_and_whether_they_are_there() {
        const FIELD_BYTE_OFFSET: u32 = 0;
        const FIELD_EXISTS: u32 = 2;
        assert!(questions_of(objects::XDP).is_empty());
        let asked = questions_of(objects::OPEN);
        let kinds: BTreeSet<_> = asked.iter().map(|question| question.kind).collect();
        assert_eq!(kinds, [FIELD_BYTE_OFFSET, FIELD_EXISTS].into());
        let types = super::Btf::parse(types_of(objects::OPEN)).expect("well formed");
        let fields: BTreeSet<_> =
            asked.iter().map(|question| types.asked_for(question).expect("the path of a member")).collect();
        for field in ["task_struct.group_leader", "dentry.d_name.len", "pid.numbers[0].nr"] {
            assert!(fields.contains(field), "{fields:?}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let kernel = KERNELS[0];
        assert!(functions(&kernel[..kernel.len() - 1]).is_none());
        for len in 0..64 {
            assert!(functions(&kernel[..len]).is_none());
        }
        let mut unknown = kernel.to_vec();
        unknown[HEADER_LEN + 7] = 0x1f;
        assert!(functions(&unknown).is_none());
    }
}
