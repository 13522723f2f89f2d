//! Types as people write them: in C, and for Python's ctypes.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

use super::{Btf, Member, Shape, types::DEEPEST};

/// A language that a type is printed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// C, with offsets and sizes in bytes behind it.
    C,
    /// Classes of Python's ctypes.
    Python,
}

/// Where the comments stand.
const COMMENTS: usize = 56;
const INDENT: &str = "    ";

/// A type in C, with where its members are; `None` where it is malformed.
pub(crate) fn c_layout(btf: &Btf<'_>, number: u32) -> Option<String> {
    let name = btf.name_of(number);
    Some(match btf.shape(number)? {
        Shape::Struct { bytes, .. } => {
            let mut out = String::new();
            body(btf, number, 0, 0, DEEPEST, &mut out)?;
            let end = format!("{out}}};");
            commented(&end, &format!("{bytes} bytes"))
        }
        Shape::Enum { bytes, .. } => {
            let mut out = String::new();
            body(btf, number, 0, 0, DEEPEST, &mut out)?;
            commented(&format!("{out}}};"), &format!("{bytes} bytes"))
        }
        Shape::Alias(other) => format!("typedef {};", declaration(btf, other, name)?),
        // A function, or a variable.
        Shape::Named(other) => format!("{};", declaration(btf, other, name)?),
        _ => commented(&format!("{};", declaration(btf, number, "")?), &format!("{} bytes", btf.size(number)?)),
    })
}

/// Text with a comment behind its last line.
fn commented(text: &str, comment: &str) -> String {
    let last = text.rsplit('\n').next().unwrap_or_default().chars().count();
    format!("{text}{:1$} /* {comment} */", "", COMMENTS.saturating_sub(last))
}

/// The opening line of a struct, a union or an enum, and what is in it.
fn body(btf: &Btf<'_>, number: u32, base: usize, depth: usize, deepest: usize, out: &mut String) -> Option<()> {
    let deepest = deepest.checked_sub(1)?;
    let inner = INDENT.repeat(depth + 1);
    let opened = format!("{} {{", base_name(btf, number)?);
    out.push_str(&opened);
    out.push('\n');
    match btf.shape(number)? {
        Shape::Struct { members, .. } => {
            for member in &members {
                out.push_str(&inner);
                let line = out.len() - inner.len();
                let start = base + member.bit / 8;
                member_text(btf, member, start, depth + 1, deepest, out)?;
                let comment = match member.bits {
                    Some(bits) => format!("{start:>5}:{:<2} {bits:>4} bits", (base * 8 + member.bit) % 8),
                    None => format!("{start:>5}    {:>4}", btf.size(member.number).unwrap_or_default()),
                };
                let text = out.split_off(line);
                out.push_str(&commented(&text, &comment));
                out.push('\n');
            }
        }
        Shape::Enum { names, .. } => {
            names.iter().try_for_each(|(name, value)| writeln!(out, "{inner}{name} = {value},")).ok()?;
        }
        _ => return None,
    }
    out.push_str(&INDENT.repeat(depth));
    Some(())
}

/// The declaration of a member. A type without a name is written out.
fn member_text(
    btf: &Btf<'_>,
    member: &Member<'_>,
    start: usize,
    depth: usize,
    deepest: usize,
    out: &mut String,
) -> Option<()> {
    let (qualifiers, base, declarator) = peel(btf, member.number, member.name)?;
    out.push_str(&qualifiers);
    if is_anonymous(btf, base) {
        // What is behind a pointer starts at 0.
        let start = if declarator.starts_with(['*', '(']) { 0 } else { start };
        body(btf, base, start, depth, deepest, out)?;
        out.push('}');
    } else {
        out.push_str(&base_name(btf, base)?);
    }
    if !declarator.is_empty() {
        out.push(' ');
        out.push_str(&declarator);
    }
    if let Some(bits) = member.bits {
        write!(out, " : {bits}").ok()?;
    }
    out.push(';');
    Some(())
}

fn is_anonymous(btf: &Btf<'_>, number: u32) -> bool {
    btf.name_of(number).is_empty() && matches!(btf.shape(number), Some(Shape::Struct { .. } | Shape::Enum { .. }))
}

/// A declaration of something of a type, as in `char name[16]`; without a name only the type.
pub(crate) fn declaration(btf: &Btf<'_>, number: u32, name: &str) -> Option<String> {
    let (qualifiers, base, declarator) = peel(btf, number, name)?;
    let space = if declarator.is_empty() { "" } else { " " };
    Some(format!("{qualifiers}{}{space}{declarator}", base_name(btf, base)?))
}

/// The qualifiers and the number of the type that a declaration begins with, and what follows it.
fn peel(btf: &Btf<'_>, mut number: u32, name: &str) -> Option<(String, u32, String)> {
    let (mut qualifiers, mut declarator) = (String::new(), name.to_owned());
    for _ in 0..DEEPEST {
        match btf.shape(number)? {
            Shape::Pointer(to) => {
                declarator = format!("*{declarator}");
                if matches!(untagged(btf, to)?, Shape::Array { .. } | Shape::Function(..)) {
                    declarator = format!("({declarator})");
                }
                number = to;
            }
            Shape::Array { element, len } => {
                write!(declarator, "[{len}]").ok()?;
                number = element;
            }
            Shape::Function(returned, parameters) => {
                let parameter = |(name, number): &(&str, u32)| match (*number, *name) {
                    (0, "") => Some("...".to_owned()),
                    (number, name) => declaration(btf, number, name),
                };
                let parameters: Vec<_> = parameters.iter().map(parameter).collect::<Option<_>>()?;
                let parameters = if parameters.is_empty() { "void".to_owned() } else { parameters.join(", ") };
                write!(declarator, "({parameters})").ok()?;
                number = returned;
            }
            Shape::Qualified(word, other) => {
                if word.is_empty() {
                } else if matches!(btf.shape(other)?, Shape::Pointer(_)) {
                    declarator = format!("{word} {declarator}").trim_end().to_owned();
                } else {
                    qualifiers = format!("{qualifiers}{word} ");
                }
                number = other;
            }
            Shape::Named(other) => number = other,
            _ => return Some((qualifiers, number, declarator)),
        }
    }
    None
}

fn untagged<'a>(btf: &'a Btf<'_>, mut number: u32) -> Option<Shape<'a>> {
    for _ in 0..DEEPEST {
        match btf.shape(number)? {
            Shape::Qualified(_, other) => number = other,
            shape => return Some(shape),
        }
    }
    None
}

fn base_name(btf: &Btf<'_>, number: u32) -> Option<String> {
    let name = btf.name_of(number);
    let word = match btf.shape(number)? {
        Shape::Void => return Some("void".to_owned()),
        Shape::Struct { is_union: false, .. } | Shape::Declared { is_union: false } => "struct",
        Shape::Struct { .. } | Shape::Declared { .. } => "union",
        Shape::Enum { .. } => "enum",
        _ => return Some(name.to_owned()),
    };
    Some(format!("{word} {name}").trim_end().to_owned())
}

/// A struct or a union as classes of ctypes, those that it holds before it; `None` for other types, and where it is
/// malformed.
pub(crate) fn python_layout(btf: &Btf<'_>, number: u32) -> Option<String> {
    let (number, shape) = btf.bare(number)?;
    matches!(shape, Shape::Struct { .. }).then_some(())?;
    let mut classes = Classes { btf, names: HashMap::new(), taken: HashSet::new(), text: String::new() };
    classes.class(number, "anonymous", DEEPEST)?;
    Some(format!("import ctypes\n{}", classes.text))
}

struct Classes<'a> {
    btf: &'a Btf<'a>,
    /// Of the structs that are written.
    names: HashMap<u32, String>,
    taken: HashSet<String>,
    text: String,
}

impl Classes<'_> {
    /// Writes the class of a struct, unless it is there, and returns its name.
    fn class(&mut self, number: u32, if_anonymous: &str, deepest: usize) -> Option<String> {
        let deepest = deepest.checked_sub(1)?;
        if let Some(name) = self.names.get(&number) {
            return Some(name.clone());
        }
        let Shape::Struct { bytes, members, is_union } = self.btf.shape(number)? else { return None };
        let name = self.free_name(number, if_anonymous);
        let fields = if is_union {
            self.union_fields(&name, &members, deepest)?
        } else {
            self.fields(&name, &members, bytes, deepest)?
        };
        let base = if is_union { "Union" } else { "Structure" };
        let text = &mut self.text;
        write!(text, "\n\nclass {name}(ctypes.{base}):  # {bytes} bytes\n").ok()?;
        write!(text, "    _pack_ = 1\n    _layout_ = \"ms\"\n").ok()?;
        if !fields.anonymous.is_empty() {
            writeln!(
                text,
                "    _anonymous_ = ({})",
                fields.anonymous.iter().map(|name| format!("\"{name}\", ")).collect::<String>().trim_end()
            )
            .ok()?;
        }
        writeln!(text, "    _fields_ = (").ok()?;
        fields.lines.iter().try_for_each(|(name, kind)| writeln!(text, "        (\"{name}\", {kind}),")).ok()?;
        writeln!(text, "    )").ok()?;
        if !fields.properties.is_empty() {
            text.push_str("\n\n");
        }
        for (member, bits, value) in &fields.properties {
            writeln!(text, "{name}.{member} = property(lambda self: {value})  # {bits} bits").ok()?;
        }
        self.names.insert(number, name.clone());
        Some(name)
    }

    fn free_name(&mut self, number: u32, if_anonymous: &str) -> String {
        let name = self.btf.name_of(number);
        // In a class Python gives a name with two of them in front another one.
        let name = if name.is_empty() { if_anonymous } else { name }.trim_start_matches('_');
        let mut free = name.to_owned();
        let mut again = 2;
        while !self.taken.insert(free.clone()) {
            free = format!("{name}_{again}");
            again += 1;
        }
        free
    }

    fn fields(&mut self, class: &str, members: &[Member<'_>], bytes: usize, deepest: usize) -> Option<Fields> {
        let mut fields = Fields::default();
        let mut at = 0;
        let mut members = members.iter().peekable();
        while let Some(member) = members.next() {
            let Some(mut bits) = member.bits else {
                let size = self.btf.size(member.number)?;
                fields.pad(at, member.bit / 8)?;
                self.field(class, member, &mut fields, deepest)?;
                at = (member.bit / 8).checked_add(size)?;
                continue;
            };
            // Bit fields beside each other share bytes.
            let start = member.bit / 8;
            fields.pad(at, start)?;
            let storage = format!("_bits_{start}");
            fields.bit_field(member, &storage, member.bit - start * 8, bits, self.btf);
            let mut end = member.bit.checked_add(bits)?;
            while let Some(next) = members.next_if(|next| next.bits.is_some() && next.bit / 8 < end.div_ceil(8)) {
                bits = next.bits?;
                fields.bit_field(next, &storage, next.bit.checked_sub(start * 8)?, bits, self.btf);
                end = end.max(next.bit.checked_add(bits)?);
            }
            at = end.div_ceil(8);
            fields.lines.push((storage, format!("ctypes.c_uint8 * {}", at - start)));
        }
        fields.pad(at, bytes)?;
        Some(fields)
    }

    fn union_fields(&mut self, class: &str, members: &[Member<'_>], deepest: usize) -> Option<Fields> {
        let mut fields = Fields::default();
        for (index, member) in members.iter().enumerate() {
            let Some(bits) = member.bits else {
                self.field(class, member, &mut fields, deepest)?;
                continue;
            };
            let storage = format!("_bits_{index}");
            fields.bit_field(member, &storage, member.bit, bits, self.btf);
            fields.lines.push((storage, format!("ctypes.c_uint8 * {}", (member.bit + bits).div_ceil(8))));
        }
        Some(fields)
    }

    fn field(&mut self, class: &str, member: &Member<'_>, fields: &mut Fields, deepest: usize) -> Option<()> {
        let is_anonymous = member.name.is_empty();
        let name = match is_anonymous {
            true => format!("_anonymous_{}", fields.lines.len()),
            false => member.name.to_owned(),
        };
        let kind = self.kind(member.number, &format!("{class}_{}", name.trim_start_matches('_')), deepest)?;
        if is_anonymous {
            fields.anonymous.push(name.clone());
        }
        fields.lines.push((name, kind));
        Some(())
    }

    /// The type of a field.
    fn kind(&mut self, number: u32, if_anonymous: &str, deepest: usize) -> Option<String> {
        let deepest = deepest.checked_sub(1)?;
        let (number, shape) = self.btf.bare(number)?;
        Some(match shape {
            Shape::Int { is_bool: true, bytes: 1, .. } => "ctypes.c_bool".to_owned(),
            Shape::Int { bytes: 1, .. } if self.btf.name_of(number) == "char" => "ctypes.c_char".to_owned(),
            Shape::Int { bytes, is_signed, .. } | Shape::Enum { bytes, is_signed, .. } => number_type(bytes, is_signed),
            Shape::Float { bytes: 4 } => "ctypes.c_float".to_owned(),
            Shape::Float { bytes: 8 } => "ctypes.c_double".to_owned(),
            Shape::Float { bytes } => format!("ctypes.c_uint8 * {bytes}"),
            Shape::Pointer(_) => "ctypes.c_void_p".to_owned(),
            Shape::Array { element, len } => {
                let element = self.kind(element, if_anonymous, deepest)?;
                let element = if element.contains('*') { format!("({element})") } else { element };
                format!("{element} * {len}")
            }
            Shape::Struct { .. } => self.class(number, if_anonymous, deepest)?,
            _ => return None,
        })
    }
}

fn number_type(bytes: usize, is_signed: bool) -> String {
    match bytes {
        1 | 2 | 4 | 8 => format!("ctypes.c_{}int{}", if is_signed { "" } else { "u" }, bytes * 8),
        other => format!("ctypes.c_uint8 * {other}"),
    }
}

/// What a class is made of.
#[derive(Default)]
struct Fields {
    lines: Vec<(String, String)>,
    anonymous: Vec<String>,
    /// Of bit fields, which ctypes would place in its own way.
    properties: Vec<(String, usize, String)>,
}

impl Fields {
    fn pad(&mut self, from: usize, to: usize) -> Option<()> {
        if to.checked_sub(from)? > 0 {
            self.lines.push((format!("_padding_{from}"), format!("ctypes.c_uint8 * {}", to - from)));
        }
        Some(())
    }

    fn bit_field(&mut self, member: &Member<'_>, storage: &str, shift: usize, bits: usize, btf: &Btf<'_>) {
        if member.name.is_empty() {
            return;
        }
        let is_signed = matches!(
            btf.bare(member.number),
            Some((_, Shape::Int { is_signed: true, .. } | Shape::Enum { is_signed: true, .. }))
        );
        let mask = u128::MAX.checked_shr(128 - bits.min(128) as u32).unwrap_or_default();
        let value = format!("int.from_bytes(self.{storage}, \"little\") >> {shift} & {mask:#x}");
        let value = match is_signed {
            true => format!("({value} ^ {sign:#x}) - {sign:#x}", sign = mask ^ mask >> 1),
            false => value,
        };
        self.properties.push((member.name.to_owned(), bits, value));
    }
}
