//! What commands print: for people, or JSON for programs.
//!
//! A reader that goes away, as `head` does, ends the command quietly.

use std::io::{self, IsTerminal, Write};

use console::measure_text_width;
use littoral::{Error, ErrorKind, Result};
use serde::Serialize;

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Whether programs read it.
    pub(crate) json: bool,
}

impl Output {
    /// Prints a line.
    pub(crate) fn line(self, text: impl AsRef<str>) -> Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_ref().as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush())
            .map_err(|err| write_failed(&err))
    }

    /// Prints one JSON text on a line.
    pub(crate) fn json(self, shape: &impl Serialize) -> Result<()> {
        self.line(serde_json::to_string(shape).expect("a shape is JSON"))
    }

    /// Prints what happened: a sentence for people, or a shape for programs.
    pub(crate) fn done(self, sentence: impl AsRef<str>, shape: &impl Serialize) -> Result<()> {
        if self.json { self.json(shape) } else { self.line(sentence) }
    }
}

/// The error for output that could not be written.
pub(crate) fn write_failed(err: &io::Error) -> Error {
    if err.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    Error::new(ErrorKind::Io, format!("could not write the output: {err}"))
}

/// Rows in aligned columns, two spaces apart; no space at the end of a line. The first row is
/// the header; a column of numbers stands to the right.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let shapes: Vec<(usize, bool)> = (0..columns).map(|at| column(rows, at)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row
            .iter()
            .zip(&shapes)
            .map(|(cell, &(width, right))| pad(cell, width, right))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// How wide a column is, and whether it holds numbers.
fn column(rows: &[Vec<String>], at: usize) -> (usize, bool) {
    let cells = || rows.iter().filter_map(|row| row.get(at));
    let is_number =
        |cell: &String| !cell.is_empty() && cell.bytes().all(|b| b.is_ascii_digit() || b == b',');
    let width = cells().map(|cell| measure_text_width(cell)).max().unwrap_or(0);
    (width, rows.len() > 1 && cells().skip(1).all(is_number))
}

fn pad(cell: &str, width: usize, right: bool) -> String {
    let space = " ".repeat(width.saturating_sub(measure_text_width(cell)));
    if right { space + cell } else { cell.to_owned() + &space }
}

/// A text without characters that would steer the terminal: they are shown as escapes.
pub(crate) fn plain(text: &str) -> String {
    let shown = |c: char| match c.is_control() && c != '\n' {
        true => c.escape_default().collect::<String>(),
        false => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// A text cut to `width` characters, with an ellipsis if it was longer.
pub(crate) fn cut(text: &str, width: usize) -> String {
    console::truncate_str(text, width, "…").into_owned()
}

/// Columns of the terminal, if standard output is one.
pub(crate) fn columns() -> Option<usize> {
    let wide = || usize::from(console::Term::stdout().size().1);
    io::stdout().is_terminal().then(wide)
}

/// A number with a unit: `3.1 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}

/// A number with separators: `3,161`.
pub(crate) fn number(count: u64) -> String {
    indicatif::HumanCount(count).to_string()
}

/// The moment of an RFC 3339 text, to the second: `2026-11-22 16:00:00`.
pub(crate) fn moment(time: &str) -> String {
    time.get(..19).map_or_else(|| time.to_owned(), |head| head.replace('T', " "))
}

/// The first ten characters of a key.
pub(crate) fn short(key: &str) -> &str {
    key.get(..10).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_whatever_the_colours() {
        let rows = [["a", "b"], ["\u{1b}[1mlong\u{1b}[0m", "c"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "a     b\n\u{1b}[1mlong\u{1b}[0m  c");
    }

    #[test]
    fn numbers_stand_to_the_right() {
        let rows = [["name", "documents"], ["notes", "3,161"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "name   documents\nnotes      3,161");
    }

    #[test]
    fn ids_do_not_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\u{9b}c"), "a\\u{1b}[2Jb\\u{9b}c");
    }

    #[test]
    fn texts_are_cut_with_an_ellipsis() {
        assert_eq!(cut("harbour", 7), "harbour");
        assert_eq!(cut("harbours", 7), "harbou…");
    }
}
