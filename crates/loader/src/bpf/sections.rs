//! The names that libbpf gives to sections of programs, in aya's words: aya-obj 0.3 knows fewer.

use std::borrow::Cow;

use object::{
    LittleEndian, Object as _, ObjectSection as _, SectionKind,
    elf::{FileHeader64, SectionHeader64},
    read::elf::{FileHeader as _, SectionHeader as _},
};

use crate::btf;

/// An object with names of sections that aya understands; as it is where it does.
///
/// The new names are put behind the strings, of the file and of its type information, and those behind the file: nothing
/// else moves. A damaged file stays as it is, for aya to say so.
pub(crate) fn in_ayas_words(elf: &[u8]) -> Cow<'_, [u8]> {
    rename(elf).map_or(Cow::Borrowed(elf), Cow::Owned)
}

/// The name that aya understands for the name of a section, where it is another. What follows the first `/` is not its
/// business, so that two sections have two names still.
fn in_ayas_word(section: &str) -> Option<String> {
    let (optional, name) = section.strip_prefix('?').map_or((false, section), |name| (true, name));
    match name.split('/').next()? {
        "tc" | "tcx" | "action" | "netkit" => Some(format!("classifier/{name}")),
        "ksyscall" => Some(format!("kprobe/{name}")),
        "kretsyscall" => Some(format!("kretprobe/{name}")),
        _ => optional.then(|| name.to_owned()),
    }
}

fn rename(elf: &[u8]) -> Option<Vec<u8>> {
    let file = object::File::parse(elf).ok()?;
    let programs = file.sections().filter(|section| section.kind() == SectionKind::Text);
    let names: Vec<_> = programs
        .filter_map(|section| Some((section.index().0, section.name().ok()?, in_ayas_word(section.name().ok()?)?)))
        .collect();
    if names.is_empty() {
        return None;
    }
    let mut changed = elf.to_vec();
    let strings = FileHeader64::<LittleEndian>::parse(elf).ok()?.shstrndx(LittleEndian, elf).ok()?;
    let (mut table, mut types) = (contents(elf, strings as usize)?.to_vec(), None);
    let find = |name: &str| Some(file.section_by_name(name)?.index().0);
    if let (Some(btf), Some(ext)) = (find(".BTF"), find(".BTF.ext")) {
        types = Some((btf, contents(elf, btf)?.to_vec(), ext, contents(elf, ext)?.to_vec()));
    }
    for (index, old, new) in names {
        let at = header(elf, index)?;
        changed.get_mut(at..at + 4)?.copy_from_slice(&u32::try_from(table.len()).ok()?.to_le_bytes());
        table.extend_from_slice(new.as_bytes());
        table.push(0);
        if let Some((_, btf, _, ext)) = &mut types {
            btf::rename_section(btf, ext, old, &new)?;
        }
    }
    replace(&mut changed, elf, strings as usize, &table)?;
    if let Some((btf, its, ext, infos)) = types {
        replace(&mut changed, elf, btf, &its)?;
        replace(&mut changed, elf, ext, &infos)?;
    }
    Some(changed)
}

/// Where the header of a section is.
fn header(elf: &[u8], index: usize) -> Option<usize> {
    let start = FileHeader64::<LittleEndian>::parse(elf).ok()?.e_shoff.get(LittleEndian);
    let at =
        usize::try_from(start).ok()?.checked_add(index.checked_mul(size_of::<SectionHeader64<LittleEndian>>())?)?;
    (at.checked_add(size_of::<SectionHeader64<LittleEndian>>())? <= elf.len()).then_some(at)
}

fn contents(elf: &[u8], index: usize) -> Option<&[u8]> {
    let file = FileHeader64::<LittleEndian>::parse(elf).ok()?;
    let sections = file.sections(LittleEndian, elf).ok()?;
    sections.section(object::SectionIndex(index)).ok()?.data(LittleEndian, elf).ok()
}

/// Puts what a section holds behind the file.
fn replace(changed: &mut Vec<u8>, elf: &[u8], index: usize, contents: &[u8]) -> Option<()> {
    /// `sh_offset` and `sh_size`, the one behind the other.
    const PLACE: usize = 24;
    let at = header(elf, index)? + PLACE;
    changed.resize(changed.len().next_multiple_of(8), 0);
    let place = [changed.len() as u64, contents.len() as u64].map(u64::to_le_bytes).concat();
    changed.get_mut(at..at + place.len())?.copy_from_slice(&place);
    changed.extend_from_slice(contents);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_libbpf() {
        let told = |name| in_ayas_word(name);
        assert_eq!(told("tc").as_deref(), Some("classifier/tc"));
        assert_eq!(told("tcx/ingress").as_deref(), Some("classifier/tcx/ingress"));
        assert_eq!(told("?kprobe/vfs_read").as_deref(), Some("kprobe/vfs_read"));
        assert_eq!(told("?tc").as_deref(), Some("classifier/tc"));
        assert_eq!(told("ksyscall/openat").as_deref(), Some("kprobe/ksyscall/openat"));
        assert_eq!(told("kprobe/vfs_read"), None);
    }
}
