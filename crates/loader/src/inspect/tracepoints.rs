//! The tracepoints of this kernel, and what they tell.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::types;
use crate::{
    btf::{Btf, Shape, declaration},
    error::{Error, Result},
    records::{Tracepoint, TracepointArgument},
    targets::{Pattern, nearest},
    tracefs,
};

/// What stands before the name of a raw tracepoint in the kernel's types.
const PREFIX: &str = "btf_trace_";

/// The tracepoints whose name, or category and name with a colon between them, match a pattern; all without one.
///
/// # Errors
/// [`Error::InvalidArgument`] where none matches, [`Error::NotSupported`] where nothing tells of any.
pub fn tracepoints(pattern: Option<&str>) -> Result<Vec<Tracepoint>> {
    let kernel = types::kernel();
    let raw = kernel.as_ref().map(arguments).unwrap_or_default();
    let listed = match tracefs::tracepoints() {
        Ok(listed) => listed,
        Err(error) if raw.is_empty() => return Err(error),
        Err(_) => Vec::new(),
    };
    let mut names: Vec<_> = listed.into_iter().map(|(category, name)| (Some(category), name)).collect();
    let in_tracefs: HashSet<_> = names.iter().map(|(_, name)| name.clone()).collect();
    names.extend(raw.keys().filter(|name| !in_tracefs.contains(**name)).map(|name| (None, (*name).to_owned())));
    names.sort();
    let found: Vec<_> = match pattern {
        Some(pattern) => chosen(pattern, &names)?,
        None => names.iter().collect(),
    };
    let tracepoint = |(category, name): &(Option<String>, String)| Tracepoint {
        fields: category.as_ref().and_then(|category| tracefs::fields(category, name)),
        arguments: raw.get(name.as_str()).cloned(),
        category: category.clone(),
        name: name.clone(),
    };
    Ok(found.into_iter().map(tracepoint).collect())
}

fn chosen<'a>(pattern: &str, names: &'a [(Option<String>, String)]) -> Result<Vec<&'a (Option<String>, String)>> {
    let (category, name) = match pattern.split_once(':') {
        Some((category, name)) => (Some(Pattern::new(category)), Pattern::new(name)),
        None => (None, Pattern::new(pattern)),
    };
    let in_category = |its: &Option<String>| match (&category, its) {
        (None, _) => true,
        (Some(wanted), Some(its)) => wanted.matches(its),
        (Some(_), None) => false,
    };
    let found: Vec<_> = names.iter().filter(|(its, of)| in_category(its) && name.matches(of)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let near = nearest(&name.to_string(), names.iter().map(|(_, name)| name.as_str()));
    let hint = if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) };
    let blind = match (category, tracefs::state()) {
        (Some(_), tracefs::State::Absent | tracefs::State::Closed) => {
            format!("; {}, and only it tells categories", tracefs::state().reason())
        }
        _ => String::new(),
    };
    Err(Error::InvalidArgument(format!("there is no tracepoint {pattern}{hint}{blind}")))
}

/// What stands before it in the name of the function that calls those who are attached. The type of these has no names of
/// parameters, the function has.
const CALLER: &str = "__traceiter_";

/// The arguments of every raw tracepoint: the parameters of what the kernel calls, but for its own first one.
fn arguments<'a>(kernel: &'a Btf<'_>) -> BTreeMap<&'a str, Vec<TracepointArgument>> {
    let with = |prefix: &'static str| {
        (1..=kernel.len()).filter_map(move |number| Some((kernel.name_of(number).strip_prefix(prefix)?, number)))
    };
    let callers: HashMap<_, _> = with(CALLER).collect();
    let told = |(name, number): (&'a str, u32)| {
        let of_caller = callers.get(name).and_then(|number| Some(kernel.bare(*number)?.0));
        Some((name, parameters(kernel, of_caller.or_else(|| pointed_at(kernel, number))?)?))
    };
    with(PREFIX).filter_map(told).collect()
}

fn pointed_at(kernel: &Btf<'_>, number: u32) -> Option<u32> {
    let (_, Shape::Pointer(to)) = kernel.bare(number)? else { return None };
    Some(to)
}

fn parameters(kernel: &Btf<'_>, number: u32) -> Option<Vec<TracepointArgument>> {
    let (_, Shape::Function(_, parameters)) = kernel.bare(number)? else { return None };
    let argument = |(index, (name, number)): (usize, &(&str, u32))| {
        Some(TracepointArgument {
            name: (*name).to_owned(),
            c_type: declaration(kernel, *number, "")?,
            index: index as u32,
            bytes: kernel.size(*number)? as u32,
        })
    };
    parameters.iter().skip(1).enumerate().map(argument).collect()
}
