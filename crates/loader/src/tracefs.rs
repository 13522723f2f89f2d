//! What tracefs says about tracepoints. It is never mounted behind the user's back.

use std::{fs, io, path::PathBuf};

use crate::{
    error::{Error, Result},
    records::TracepointField,
};

/// Both usual mount points.
const MOUNTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Whether tracefs can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is mounted at a usual place, and this process may read it.
    Readable,
    /// It is mounted, but closed to this process.
    Closed,
    /// It is mounted at no usual place.
    Absent,
}

impl State {
    /// What is the matter.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Readable => "tracefs is mounted",
            Self::Closed => "tracefs is mounted, but this user may not read it",
            Self::Absent => "tracefs is not mounted",
        }
    }

    /// What would mend it.
    pub fn fix(self) -> &'static str {
        match self {
            Self::Readable => "nothing",
            // mode=755 would open the top folder only (5.16 and later).
            Self::Closed => {
                "tracefs for a group of this user (as root: mount -o remount,gid=GROUP,mode=750 /sys/kernel/tracing)"
            }
            Self::Absent => "tracefs (mount -t tracefs tracefs /sys/kernel/tracing)",
        }
    }
}

/// Looks for tracefs.
pub fn state() -> State {
    let [usual, in_debugfs] = MOUNTS.map(|mount| fs::read_dir(PathBuf::from(mount).join("events")));
    match (usual, in_debugfs) {
        (Ok(_), _) | (_, Ok(_)) => State::Readable,
        // Without a mount the folder is sysfs's own, which is open to all and empty.
        (Err(error), _) if error.kind() == io::ErrorKind::PermissionDenied => State::Closed,
        _ => State::Absent,
    }
}

/// The folder of an event, where tracefs is mounted and readable and has it.
pub fn event_dir(category: &str, name: &str) -> Option<PathBuf> {
    MOUNTS.iter().map(|mount| PathBuf::from(mount).join("events").join(category).join(name)).find(|dir| dir.is_dir())
}

/// Category and name of every event.
///
/// # Errors
/// [`Error::NotSupported`] where tracefs is not to be read.
pub fn tracepoints() -> Result<Vec<(String, String)>> {
    let lacking = || Error::NotSupported {
        feature: "tracepoints".to_owned(),
        needs: state().fix().to_owned(),
        reason: state().reason().to_owned(),
    };
    let events = MOUNTS.iter().map(|mount| PathBuf::from(mount).join("events")).find(|dir| dir.is_dir());
    let folders = |dir: PathBuf| -> Vec<(PathBuf, String)> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
        entries.map(|entry| (entry.path(), entry.file_name().to_string_lossy().into_owned())).collect()
    };
    let categories = folders(events.ok_or_else(lacking)?);
    if categories.is_empty() {
        return Err(lacking());
    }
    let in_category =
        |(dir, category): (PathBuf, String)| folders(dir).into_iter().map(move |(_, name)| (category.clone(), name));
    Ok(categories.into_iter().flat_map(in_category).collect())
}

/// The number by which the kernel knows an event.
pub fn event_id(category: &str, name: &str) -> Option<u64> {
    fs::read_to_string(event_dir(category, name)?.join("id")).ok()?.trim().parse().ok()
}

/// The functions that ftrace can hook, a line each, with their modules.
pub fn traceable_functions() -> Option<String> {
    MOUNTS.iter().find_map(|mount| fs::read_to_string(PathBuf::from(mount).join("available_filter_functions")).ok())
}

/// Offset in bytes of a field in a tracepoint's record, from its `format` file.
///
/// # Errors
/// [`Error::NotSupported`] where there is no such event or field.
pub fn field_offset(category: &str, name: &str, field: &str) -> Result<u32> {
    let lacking = |reason: String| Error::NotSupported {
        feature: format!("tracepoint {category}:{name}"),
        needs: state().fix().to_owned(),
        reason,
    };
    let dir = event_dir(category, name).ok_or_else(|| lacking(state().reason().to_owned()))?;
    let format = fs::read_to_string(dir.join("format")).map_err(|error| lacking(error.to_string()))?;
    parse_offset(&format, field).ok_or_else(|| lacking(format!("its record has no field {field}")))
}

fn parse_offset(format: &str, field: &str) -> Option<u32> {
    parse_fields(format).find(|found| found.name == field).map(|found| found.offset)
}

/// The fields of a tracepoint's record, where its `format` file can be read.
pub fn fields(category: &str, name: &str) -> Option<Vec<TracepointField>> {
    let format = fs::read_to_string(event_dir(category, name)?.join("format")).ok()?;
    Some(parse_fields(&format).collect())
}

/// From lines such as `field:long ret; offset:16; size:8; signed:1;`, with tabs between the parts.
fn parse_fields(format: &str) -> impl Iterator<Item = TracepointField> {
    format.lines().filter_map(|line| {
        let mut parts = line.trim().strip_prefix("field:")?.split(';').map(str::trim);
        let (name, c_type) = declared(parts.next()?)?;
        let mut number = |key: &str| parts.next()?.strip_prefix(key)?.parse::<u32>().ok();
        let (offset, bytes, signed) = (number("offset:")?, number("size:")?, number("signed:")? != 0);
        Some(TracepointField { name, c_type, offset, bytes, signed })
    })
}

/// The name and the type of `const char *name`, `char comm[16]`, `__data_loc char[] filename`, `void (*function)(int)`.
fn declared(declaration: &str) -> Option<(String, String)> {
    let declarator = match declaration.find("(*") {
        Some(start) => start + 2,
        None => declaration.rfind(|char: char| char.is_whitespace() || char == '*')? + 1,
    };
    let is_of_name = |char: char| char.is_alphanumeric() || char == '_';
    let rest = &declaration[declarator..];
    let (name, behind) = rest.split_at(rest.find(|char| !is_of_name(char)).unwrap_or(rest.len()));
    let before = declaration[..declarator].trim_end();
    let space = if behind.starts_with('[') && !before.ends_with('*') { " " } else { "" };
    Some((name.to_owned(), format!("{before}{space}{behind}")))
}

#[cfg(test)]
mod tests {
    use super::{declared, parse_offset};

    /// 6.18, sched/sched_process_exec; the common fields shortened.
    const FORMAT: &str = "name: sched_process_exec\nID: 289\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\
        \tfield:__data_loc char[] filename;\toffset:8;\tsize:4;\tsigned:0;\n\
        \tfield:pid_t pid;\toffset:12;\tsize:4;\tsigned:1;\n\
        \tfield:pid_t old_pid;\toffset:16;\tsize:4;\tsigned:1;\n\
        \tfield:char comm[16];\toffset:20;\tsize:16;\tsigned:0;\n\
        \tfield:const char *name;\toffset:40;\tsize:8;\tsigned:0;\n";

    #[test]
    fn finds_a_field_by_its_whole_name() {
        assert_eq!(parse_offset(FORMAT, "pid"), Some(12));
        assert_eq!(parse_offset(FORMAT, "old_pid"), Some(16));
        assert_eq!(parse_offset(FORMAT, "comm"), Some(20));
        assert_eq!(parse_offset(FORMAT, "name"), Some(40));
        assert_eq!(parse_offset(FORMAT, "filename"), Some(8));
        assert_eq!(parse_offset(FORMAT, "ppid"), None);
    }

    #[test]
    fn a_declaration_is_a_name_and_a_type() {
        for (text, name, c_type) in [
            ("const char * name", "name", "const char *"),
            ("const char *const *argv", "argv", "const char *const *"),
            ("char comm[16]", "comm", "char [16]"),
            ("__data_loc char[] filename", "filename", "__data_loc char[]"),
            ("unsigned long args[6]", "args", "unsigned long [6]"),
            ("void (*function)(struct timer_list *)", "function", "void (*)(struct timer_list *)"),
        ] {
            assert_eq!(declared(text), Some((name.to_owned(), c_type.to_owned())), "{text}");
        }
    }
}
