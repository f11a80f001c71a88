//! How the demo talks: numbered steps, tables, progress.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use console::style;
use indicatif::{ProgressBar, ProgressStyle};
use littoral::Result;

use super::COLLECTION;
use super::cluster::Member;
use crate::output::{Output, number, table};

/// Who sees the demo, and how far it is.
pub(super) struct Show {
    output: Output,
    step: u32,
}

impl Show {
    /// The beginning.
    pub(super) fn new(output: Output) -> Show {
        Show { output, step: 0 }
    }

    /// A line; programs get none.
    pub(super) fn say(&self, text: impl AsRef<str>) -> Result<()> {
        if self.output.json { Ok(()) } else { self.output.line(text) }
    }

    /// The head of the next step.
    pub(super) fn step(&mut self, title: &str) -> Result<()> {
        self.step += 1;
        self.say(format!(
            "\n{} {}",
            style(format!("{}.", self.step)).cyan().bold(),
            style(title).bold()
        ))
    }

    /// Text under a step.
    pub(super) fn text(&self, text: impl AsRef<str>) -> Result<()> {
        let lines: Vec<String> = text.as_ref().lines().map(|line| format!("   {line}")).collect();
        self.say(lines.join("\n"))
    }

    /// A table under a step; its first row is the head.
    pub(super) fn rows<const N: usize>(
        &self,
        head: [&str; N],
        rows: Vec<[String; N]>,
    ) -> Result<()> {
        let head = head.map(|name| style(name).dim().to_string()).to_vec();
        let rows = rows.into_iter().map(|row| row.to_vec());
        self.text(table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))
    }

    /// What each node holds.
    pub(super) fn digests(&self, members: &[&Member]) -> Result<()> {
        let row = |member: &&Member| -> Result<[String; 3]> {
            let count = number(member.documents(COLLECTION));
            Ok([member.name.to_owned(), count, member.digest(COLLECTION)?])
        };
        let rows = members.iter().map(row).collect::<Result<Vec<_>>>()?;
        self.rows(["node", "documents", "digest of what it shows"], rows)
    }

    /// That all hold the same, and how long after what.
    pub(super) fn converged(&self, after: Duration, what: &str) -> Result<()> {
        let time = format!("{:.0} ms", after.as_secs_f64() * 1000.0);
        self.text(format!("{} all three show the same, {time} after {what}", style("✔").green()))
    }

    /// A bar up to `length` documents, on standard error.
    pub(super) fn bar(&self, length: u64, doing: &str) -> ProgressBar {
        if self.output.json || !stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template(
            "   {prefix} {bar:30.cyan/dim} {human_pos} of {human_len}",
        );
        ProgressBar::new(length)
            .with_style(style.expect("the template is legal"))
            .with_prefix(doing.to_owned())
    }
}
