//! Where the reader is in a document: a chain on the stack, made a [`Path`] only for a message.

use std::fmt;

use crate::value::Path;

/// One step of the way from the top; costs nothing until somebody asks for its text.
#[derive(Clone, Copy)]
pub(in crate::value) struct At<'a> {
    step: Step<'a>,
    depth: usize,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Base(&'a Path),
    Name(&'a At<'a>, &'a str),
    Index(&'a At<'a>, usize),
}

impl<'a> At<'a> {
    /// The place of what is read.
    pub(in crate::value) fn base(path: &'a Path) -> At<'a> {
        At { step: Step::Base(path), depth: path.depth() }
    }

    /// The member `name` of what is here.
    pub(in crate::value) fn name(&'a self, name: &'a str) -> At<'a> {
        At { step: Step::Name(self, name), depth: self.depth + 1 }
    }

    /// The item `index` of what is here.
    pub(in crate::value) fn index(&'a self, index: usize) -> At<'a> {
        At { step: Step::Index(self, index), depth: self.depth + 1 }
    }

    /// How many names and indexes lead here.
    pub(in crate::value) fn depth(&self) -> usize {
        self.depth
    }

    fn path(&self) -> Path {
        match self.step {
            Step::Base(path) => path.clone(),
            Step::Name(parent, name) => parent.path().child(name),
            Step::Index(parent, index) => parent.path().child(index.to_string()),
        }
    }
}

/// `at '/a/b'`, or `at the top`.
impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.depth {
            0 => f.write_str("at the top"),
            _ => write!(f, "at '{}'", self.path()),
        }
    }
}
