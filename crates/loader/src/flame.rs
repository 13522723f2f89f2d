//! Flame graphs.

use std::io;

use inferno::flamegraph::{self, Options, Palette, color::MultiPalette};

use crate::error::{Error, Result};

/// An SVG of stacks, which a browser shows, searches and zooms into. Each line is a stack: its functions from the outermost
/// on, with `;` between, then a blank and a number. Those that end in `_[k]` have another colour, as functions of the kernel.
///
/// # Errors
/// [`Error::InvalidArgument`] where no line is one.
pub fn svg(lines: &str, title: &str, unit: &str) -> Result<Vec<u8>> {
    let mut options = Options::default();
    title.clone_into(&mut options.title);
    unit.clone_into(&mut options.count_name);
    options.colors = Palette::Multi(MultiPalette::Java);
    // The same stacks make the same picture.
    options.deterministic = true;
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, sorted(lines), &mut svg).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Error::InvalidArgument("a flame graph needs a stack".to_owned()),
        _ => Error::os("draw a flame graph")(error),
    })?;
    Ok(svg)
}

fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<_> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_as_wide_as_they_are_frequent() {
        let svg = svg("sh;main;work 75\nsh;main;read_[k] 25\n", "of a test", "samples").expect("two stacks");
        let svg = String::from_utf8(svg).expect("text");
        for told in ["of a test", "work (75 samples, 75.00%)", "read (25 samples, 25.00%)", "main (100 samples"] {
            assert!(svg.contains(told), "{told}");
        }
        assert_eq!(
            svg,
            String::from_utf8(
                super::svg("sh;main;read_[k] 25\nsh;main;work 75", "of a test", "samples").expect("the same")
            )
            .expect("text")
        );
    }

    #[test]
    fn nothing_is_no_flame_graph() {
        let error = svg("", "", "samples").expect_err("no stack");
        assert_eq!(error.to_string(), "a flame graph needs a stack");
    }
}
