//! `trace`: every call of a function, when it returns, with a string or bytes that it is given or returns.

use std::str::FromStr;

use ebpflab_common::{
    event::{self, Header},
    returns::Value,
    trace::{self, DATA_LEN, Trace},
};

use super::{
    Needs, Only, Returned, buffer_size, comm,
    events::{self, Opened},
    pairs::Programs,
    prototype::Prototype,
    ring::RingSource,
};
use crate::{
    error::{Error, Result},
    events::Raw,
    hooks, objects, privilege,
    records::TraceEvent,
    session::Session,
    targets::Spec,
};

/// Bytes of the ring buffer unless the user asks for another number.
const BUFFER: u64 = 4 << 20;

/// Bytes of the largest record.
const LARGEST: usize = size_of::<Trace>() + DATA_LEN;

const PROGRAMS: Programs = Programs {
    trampoline: ["trace_fentry", "trace_fexit"],
    kprobe: ["trace_kprobe", "trace_kret"],
    uprobe: ["trace_uprobe", "trace_uret"],
};

/// Where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An argument, from 0 on.
    Argument(u32),
    /// What the call returns.
    Returned,
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let last = trace::Read::ARGUMENTS - 1;
        let number = |digits: &str| digits.parse().ok().filter(|number| *number <= last && digits.len() == 1);
        match name {
            "return" => Ok(Self::Returned),
            _ => name.strip_prefix("arg").and_then(number).map(Self::Argument).ok_or_else(|| {
                Error::InvalidArgument(format!("an address is arg0 to arg{last}, or return, not {name:?}"))
            }),
        }
    }
}

/// What to read in the memory of whoever calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Read {
    /// A string, which ends with NUL.
    pub string: Option<Place>,
    /// As many bytes as the call returns.
    pub payload: Option<Place>,
}

impl Read {
    /// What the programs are told.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for what a function of this prototype does not have.
    fn of(self, target: &Spec, prototype: &Prototype) -> Result<trace::Read> {
        let wrong = |why: String| Err(Error::InvalidArgument(why));
        let (what, place) = match (self.string, self.payload) {
            (None, None) => return Ok(trace::Read::default()),
            (Some(_), Some(_)) => return wrong("either a string is read, or a payload".to_owned()),
            (Some(place), None) => (trace::Read::STRING, place),
            (None, Some(Place::Returned)) => {
                return wrong(
                    "the address of a payload is an argument: what the call returns is its length".to_owned(),
                );
            }
            (None, Some(place)) => (trace::Read::BYTES, place),
        };
        if prototype.value.is_none() && (place == Place::Returned || what == trace::Read::BYTES) {
            return wrong(format!("{target} returns nothing: it is a void function"));
        }
        let place = match (place, prototype.arguments) {
            (Place::Returned, _) => trace::Read::RETURNED,
            (Place::Argument(number), Some(arguments)) if number >= arguments => {
                return wrong(format!("{target} has no arg{number}: its arguments take {arguments} words"));
            }
            (Place::Argument(number), _) => number,
        };
        Ok(trace::Read { what, place })
    }
}

/// What to trace.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whose calls.
    pub only: Only,
    /// What to read.
    pub read: Read,
    /// How many bits what the function returns has.
    pub returned: Returned,
    /// Size of the ring buffer in bytes; 4 MiB unless told.
    pub buffer: Option<u64>,
}

pub(super) fn needs() -> Needs {
    Needs {
        tool: "trace",
        operation: "tracing calls",
        capabilities: privilege::TRACING,
        object: objects::TRACE,
        prepare: || open(&Options::default(), trace::Read::default(), &Prototype::UNKNOWN).map(drop),
        ways: vec![("calls", PROGRAMS.any_ways())],
    }
}

/// Attaches and starts.
///
/// # Errors
/// [`Error::InvalidArgument`] for what there is not, [`Error::NotSupported`] where no hook works, [`Error::Privilege`].
pub fn attach(target: &Spec, options: &Options) -> Result<Session> {
    options.returned.check()?;
    needs().check_privileges()?;
    let mut function = PROGRAMS.function(target, options.only.pid)?;
    let prototype = Prototype::of(&mut function, options.returned)?;
    let read = options.read.of(target, &prototype)?;
    let (mut opened, buffer) = open(options, read, &prototype)?;
    let hooked = hooks::attach(&mut opened.object, "trace", &function.ways, function.asked)?;
    let calls = RingSource::new(&mut opened.object, &[event::Kind::Trace])?;
    opened.start("trace", hooked, Box::new(calls), buffer.into())
}

/// What is opened, and the size of its buffer.
fn open(options: &Options, read: trace::Read, prototype: &Prototype) -> Result<(Opened, u32)> {
    const NO_VALUE: Value = Value { bits: 0, signed: 0 };
    let buffer = buffer_size(options.buffer.unwrap_or(BUFFER), LARGEST)?;
    let opened = events::open(&needs(), &options.only, |opener| {
        opener
            .max_entries("EVENTS", buffer)
            .global("READ", read)
            .global("VALUE", prototype.value.unwrap_or(NO_VALUE))
            .global("ARGUMENTS", prototype.arguments.unwrap_or(0))
    })?;
    Ok((opened, buffer))
}

/// The fixed part of a record, and what was read; `None` if it is not whole.
fn parts(record: &[u8]) -> Option<(Trace, &[u8])> {
    let (call, rest) = event::split::<Trace>(record)?;
    Some((call, rest.get(..call.data_len as usize)?))
}

pub(crate) fn is_whole(record: &[u8]) -> bool {
    parts(record).is_some()
}

pub(crate) fn event<'a>(raw: &Raw<'a>) -> Option<TraceEvent<'a>> {
    let (call, data) = parts(raw.record())?;
    let header = &call.header;
    Some(TraceEvent {
        time: header.time + raw.clock_offset(),
        cpu: header.cpu,
        pid: header.pid,
        tid: header.tid,
        ns_pid: header.ns_pid,
        uid: header.uid,
        gid: header.gid,
        comm: comm(raw.record()),
        cgroup: header.cgroup,
        cgroup_path: raw.place().map(|place| &place.path),
        container: raw.place().and_then(|place| place.container.as_ref()),
        value: (!header.has(Trace::NO_VALUE)).then_some(call.value),
        latency_ns: call.latency,
        data: (!header.has(Trace::NO_DATA | Header::FAULT)).then(|| data.into()),
        data_truncated: header.has(Header::TRUNCATED),
        data_fault: header.has(Header::FAULT),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{records::Event, schema::Text};

    #[test]
    fn an_address_is_an_argument_or_what_is_returned() {
        assert_eq!("arg0".parse::<Place>().expect("an argument"), Place::Argument(0));
        assert_eq!("arg5".parse::<Place>().expect("an argument"), Place::Argument(5));
        assert_eq!("return".parse::<Place>().expect("a place"), Place::Returned);
        for name in ["arg6", "arg", "arg00", "arg-1", "0", "ret", ""] {
            let told = name.parse::<Place>().expect_err("no place").to_string();
            assert_eq!(told, format!("an address is arg0 to arg5, or return, not {name:?}"));
        }
    }

    #[test]
    fn what_a_function_does_not_have_is_not_read() {
        let target: Spec = "libc:getenv".parse().expect("a target");
        let read = |string, payload, prototype| Read { string, payload }.of(&target, &prototype);
        let told = |string, payload, prototype| read(string, payload, prototype).expect_err("not there").to_string();
        let two = Prototype { arguments: Some(2), ..Prototype::UNKNOWN };
        let void = Prototype { value: None, arguments: Some(1) };
        let (first, third, returned) = (Some(Place::Argument(0)), Some(Place::Argument(2)), Some(Place::Returned));
        assert_eq!(told(third, None, two), "libc:getenv has no arg2: its arguments take 2 words");
        assert_eq!(told(first, first, two), "either a string is read, or a payload");
        assert!(told(None, returned, two).starts_with("the address of a payload is an argument"));
        assert!(told(returned, None, void).ends_with("it is a void function"));
        assert!(told(None, first, void).ends_with("it is a void function"));
        let string = trace::Read { what: trace::Read::STRING, place: 0 };
        assert_eq!(read(first, None, void).expect("a string"), string);
        let third = read(None, third, Prototype::UNKNOWN).expect("nobody knows how many there are");
        assert_eq!(third, trace::Read { what: trace::Read::BYTES, place: 2 });
    }

    /// What was returned, what was read, and whether it could not be.
    type Told<'a> = (Option<i64>, Option<&'a [u8]>, bool);

    #[test]
    fn nothing_read_is_not_an_empty_string() {
        let record = |marks: u16, data_len: u32, rest: &[u8]| {
            let kind = event::Kind::Trace as u16;
            let header = Header { kind, marks, ..Header::default() };
            let call = Trace { header, value: -1, data_len, ..Trace::default() };
            // SAFETY: plain integers.
            let fixed = unsafe { std::slice::from_raw_parts((&raw const call).cast::<u8>(), size_of::<Trace>()) };
            [fixed, rest].concat()
        };
        let check = |record: Vec<u8>, expected: Option<Told<'_>>| {
            let raw = Raw::new(&record, None, 0);
            let told = raw.map(|raw| match raw.event() {
                Event::Trace(event) => (event.value, event.data, event.data_fault),
                other => panic!("{other:?} is no traced call"),
            });
            assert_eq!(told, expected.map(|(value, data, fault)| (value, data.map(Text::from), fault)));
        };
        check(record(0, 3, b"abcold bytes"), Some((Some(-1), Some(b"abc"), false)));
        check(record(0, 0, b""), Some((Some(-1), Some(b""), false)));
        check(record(Trace::NO_DATA | Trace::NO_VALUE, 0, b""), Some((None, None, false)));
        check(record(Header::FAULT, 0, b""), Some((Some(-1), None, true)));
        check(record(0, 4, b"abc"), None);
    }
}
