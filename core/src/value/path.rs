//! Where a field is in a document.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The names of the fields from the top of a document down to one field.
///
/// A bare string is one top-level field; a tuple or slice of strings goes deeper. As text
/// it is a JSON Pointer: `/address/city`, with `~0` for `~` and `~1` for `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(Vec<String>);

impl Path {
    /// The document itself.
    pub fn root() -> Path {
        Path::default()
    }

    /// The names, from the top.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// How deep it goes; 0 for the document itself.
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    /// The same path with one more name.
    pub fn child(&self, name: impl Into<String>) -> Path {
        let mut names = self.0.clone();
        names.push(name.into());
        Path(names)
    }

    pub(crate) fn push(&mut self, name: String) {
        self.0.push(name);
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    /// From a JSON Pointer; the empty text is the document itself.
    pub fn parse_pointer(text: &str) -> Result<Path> {
        if text.is_empty() {
            return Ok(Path::root());
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(Error::invalid(format!(
                "a path is a JSON Pointer and starts with '/': '/{text}' for the top-level field '{text}'"
            )));
        };
        rest.split('/').map(unescape).collect::<Result<_>>().map(Path)
    }
}

fn unescape(name: &str) -> Result<String> {
    let mut out = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match c {
            '~' => out.push(match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => {
                    return Err(Error::invalid(
                        "in a path '~' is written '~0' and '/' is written '~1'",
                    ));
                }
            }),
            c => out.push(c),
        }
    }
    Ok(out)
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|name| write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")))
    }
}

impl FromStr for Path {
    type Err = Error;

    fn from_str(text: &str) -> Result<Path> {
        Path::parse_pointer(text)
    }
}

impl From<&str> for Path {
    fn from(name: &str) -> Path {
        Path(vec![name.to_owned()])
    }
}

impl From<String> for Path {
    fn from(name: String) -> Path {
        Path(vec![name])
    }
}

impl From<&Path> for Path {
    fn from(path: &Path) -> Path {
        path.clone()
    }
}

impl From<&[&str]> for Path {
    fn from(names: &[&str]) -> Path {
        Path(names.iter().map(|&name| name.to_owned()).collect())
    }
}

impl<const N: usize> From<[&str; N]> for Path {
    fn from(names: [&str; N]) -> Path {
        Path::from(&names[..])
    }
}

impl From<Vec<String>> for Path {
    fn from(names: Vec<String>) -> Path {
        Path(names)
    }
}

impl From<(&str, &str)> for Path {
    fn from((a, b): (&str, &str)) -> Path {
        Path::from([a, b])
    }
}

impl From<(&str, &str, &str)> for Path {
    fn from((a, b, c): (&str, &str, &str)) -> Path {
        Path::from([a, b, c])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_round_trip() {
        for text in ["", "/a", "/a/b~1c", "/~0", "/", "/a//b"] {
            assert_eq!(Path::parse_pointer(text).unwrap().to_string(), text);
        }
        assert!(Path::parse_pointer("a").is_err());
        assert!(Path::parse_pointer("/~2").is_err());
    }
}
