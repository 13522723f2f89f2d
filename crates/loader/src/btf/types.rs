//! What a type is.

use super::{Btf, MEMBER_LEN, Question, TYPE_LEN, Type, kind, word};

/// How deep types may be in each other; the kernel takes 32.
pub(super) const DEEPEST: usize = 64;

/// A type, with what belongs to it; other types by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape<'a> {
    /// No value at all: number 0, and what is only declared.
    Void,
    /// An integer of so many bytes, of which it takes some bits (all, but for old compilers' bit fields).
    Int { bytes: usize, offset: u32, bits: u32, is_signed: bool, is_char: bool, is_bool: bool },
    /// A number with a fraction.
    Float { bytes: usize },
    /// The address of something.
    Pointer(u32),
    /// So many of a type.
    Array { element: u32, len: usize },
    /// A struct, or a union: its members may have the same place. A section is a struct of its variables.
    Struct { bytes: usize, members: Vec<Member<'a>>, is_union: bool },
    /// One of several numbers that have names.
    Enum { bytes: usize, is_signed: bool, names: Vec<(&'a str, i128)> },
    /// A struct or a union that is declared and nothing more.
    Declared { is_union: bool },
    /// Another type by a name.
    Alias(u32),
    /// The same type, but `const`, `volatile`, `restrict`; or tagged, which C does not show.
    Qualified(&'static str, u32),
    /// A function: what it returns, and its parameters.
    Function(u32, Vec<(&'a str, u32)>),
    /// A named function, or a variable.
    Named(u32),
}

/// A member of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    /// Empty for a struct or union without a name, whose members are those of the outer one.
    pub(crate) name: &'a str,
    /// Its type.
    pub(crate) number: u32,
    /// Where it starts.
    pub(crate) bit: usize,
    /// Of a bit field: how many bits it has.
    pub(crate) bits: Option<usize>,
}

impl Btf<'_> {
    /// The number of types; they are numbered from 1.
    pub(crate) fn len(&self) -> u32 {
        self.types.len() as u32
    }

    fn of(&self, number: u32) -> Option<&Type> {
        self.types.get((number as usize).checked_sub(1)?)
    }

    fn str(&self, offset: u32) -> Option<&str> {
        str::from_utf8(self.text(offset)?).ok()
    }

    /// A type's name; empty if it has none.
    pub(crate) fn name_of(&self, number: u32) -> &str {
        self.of(number).and_then(|of| self.str(of.name)).unwrap_or_default()
    }

    /// The numbers of the types of a name.
    pub(crate) fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = u32> + 's {
        (1..=self.len()).filter(move |number| self.name_of(*number) == name)
    }

    /// What a type is; `None` where it is malformed.
    pub(crate) fn shape(&self, number: u32) -> Option<Shape<'_>> {
        if number == 0 {
            return Some(Shape::Void);
        }
        let of = self.of(number)?;
        let size = word(&self.bytes, of.at.start + 8)?;
        let tail = of.at.start + TYPE_LEN;
        let bytes = size as usize;
        Some(match of.kind() {
            kind::INT => int(bytes, word(&self.bytes, tail)?),
            kind::FLOAT => Shape::Float { bytes },
            kind::PTR => Shape::Pointer(size),
            kind::ARRAY => {
                Shape::Array { element: word(&self.bytes, tail)?, len: word(&self.bytes, tail + 8)? as usize }
            }
            kind::STRUCT | kind::UNION => {
                Shape::Struct { bytes, members: self.members(of)?, is_union: of.kind() == kind::UNION }
            }
            kind::DATASEC => Shape::Struct { bytes, members: self.variables(of)?, is_union: false },
            kind::ENUM | kind::ENUM64 => self.enumerators(of, bytes)?,
            kind::FWD => Shape::Declared { is_union: of.has_flag() },
            kind::TYPEDEF => Shape::Alias(size),
            kind::CONST => Shape::Qualified("const", size),
            kind::VOLATILE => Shape::Qualified("volatile", size),
            kind::RESTRICT => Shape::Qualified("restrict", size),
            kind::TYPE_TAG => Shape::Qualified("", size),
            kind::FUNC_PROTO => {
                let each = (tail..of.at.end).step_by(8);
                let parameter = |at| Some((self.str(word(&self.bytes, at)?)?, word(&self.bytes, at + 4)?));
                Shape::Function(size, each.map(parameter).collect::<Option<_>>()?)
            }
            kind::FUNC | kind::VAR => Shape::Named(size),
            _ => Shape::Void,
        })
    }

    /// A type without the names, qualifiers and tags that it has besides.
    pub(crate) fn bare(&self, mut number: u32) -> Option<(u32, Shape<'_>)> {
        for _ in 0..DEEPEST {
            match self.shape(number)? {
                Shape::Alias(other) | Shape::Qualified(_, other) | Shape::Named(other) => number = other,
                shape => return Some((number, shape)),
            }
        }
        None
    }

    /// What a question is about, as people write it: `task_struct.real_parent`. Of the flavours of a struct
    /// (`task_struct___old`) it is the kernel's name.
    pub(crate) fn asked_for(&self, question: &Question) -> Option<String> {
        let mut indices = self.str(question.access)?.split(':').map(|index| index.parse::<usize>().ok());
        let name = self.name_of(question.number);
        let mut path = name.split("___").next()?.to_owned();
        let first = indices.next()??;
        if let (_, Shape::Enum { names, .. }) = self.bare(question.number)? {
            return Some(format!("{path}.{}", names.get(first)?.0));
        }
        let mut number = question.number;
        for index in indices {
            match self.bare(number)?.1 {
                Shape::Struct { members, .. } => {
                    let member = members.get(index?)?;
                    if !member.name.is_empty() {
                        path += &format!(".{}", member.name);
                    }
                    number = member.number;
                }
                Shape::Array { element, .. } => {
                    path += &format!("[{}]", index?);
                    number = element;
                }
                _ => return None,
            }
        }
        Some(path)
    }

    /// How many bytes a value has.
    pub(crate) fn size(&self, number: u32) -> Option<usize> {
        self.size_within(number, DEEPEST)
    }

    fn size_within(&self, number: u32, deepest: usize) -> Option<usize> {
        Some(match self.bare(number)?.1 {
            Shape::Int { bytes, .. }
            | Shape::Float { bytes }
            | Shape::Struct { bytes, .. }
            | Shape::Enum { bytes, .. } => bytes,
            Shape::Pointer(_) => size_of::<u64>(),
            Shape::Array { element, len } => self.size_within(element, deepest.checked_sub(1)?)?.checked_mul(len)?,
            _ => return None,
        })
    }

    fn members(&self, of: &Type) -> Option<Vec<Member<'_>>> {
        let each = (of.at.start + TYPE_LEN..of.at.end).step_by(MEMBER_LEN);
        let member = |at| {
            let (name, number) = (self.str(word(&self.bytes, at)?)?, word(&self.bytes, at + 4)?);
            let place = word(&self.bytes, at + 8)?;
            if !of.has_flag() {
                return Some(self.old_bit_field(Member { name, number, bit: place as usize, bits: None }));
            }
            let bits = (place >> 24) as usize;
            Some(Member { name, number, bit: (place & 0xff_ffff) as usize, bits: (bits != 0).then_some(bits) })
        };
        each.map(member).collect()
    }

    /// A bit field of an object without the flag is of an integer type that takes some bits only.
    fn old_bit_field<'a>(&self, member: Member<'a>) -> Member<'a> {
        match self.bare(member.number) {
            Some((_, Shape::Int { bytes, offset, bits, .. })) if bits as usize != bytes * 8 => {
                Member { bit: member.bit + offset as usize, bits: Some(bits as usize), ..member }
            }
            _ => member,
        }
    }

    fn variables(&self, of: &Type) -> Option<Vec<Member<'_>>> {
        let each = (of.at.start + TYPE_LEN..of.at.end).step_by(12);
        let variable = |at| {
            let (number, offset) = (word(&self.bytes, at)?, word(&self.bytes, at + 4)?);
            Some(Member { name: self.name_of(number), number, bit: offset as usize * 8, bits: None })
        };
        each.map(variable).collect()
    }

    fn enumerators(&self, of: &Type, bytes: usize) -> Option<Shape<'_>> {
        let is_wide = of.kind() == kind::ENUM64;
        // Compilers before LLVM 15 do not tell those that are signed.
        let is_signed = of.has_flag();
        let each = (of.at.start + TYPE_LEN..of.at.end).step_by(if is_wide { 12 } else { 8 });
        let value = |at| {
            let low = word(&self.bytes, at + 4)?;
            let value = match (is_wide, is_signed) {
                (false, true) => i128::from(low.cast_signed()),
                (false, false) => i128::from(low),
                (true, _) => {
                    let wide = u64::from(word(&self.bytes, at + 8)?) << 32 | u64::from(low);
                    if is_signed { i128::from(wide.cast_signed()) } else { i128::from(wide) }
                }
            };
            Some((self.str(word(&self.bytes, at)?)?, value))
        };
        Some(Shape::Enum { bytes, is_signed, names: each.map(value).collect::<Option<_>>()? })
    }
}

fn int(bytes: usize, encoding: u32) -> Shape<'static> {
    const SIGNED: u32 = 1 << 24;
    const CHAR: u32 = 1 << 25;
    const BOOL: u32 = 1 << 26;
    Shape::Int {
        bytes,
        offset: encoding >> 16 & 0xff,
        bits: encoding & 0xff,
        is_signed: encoding & SIGNED != 0,
        is_char: encoding & CHAR != 0,
        is_bool: encoding & BOOL != 0,
    }
}
