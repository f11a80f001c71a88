//! Filters: which documents are meant.
//!
//! A filter is a tree of conditions on fields. Whether it holds depends on nothing but the id and the
//! fields of the document, so that it can be asked of a document in memory, of a row of the state,
//! and of what has just changed. Every condition holds or does not, there is no third way: what is
//! asked of a field that is not there does not hold, and *not* turns it round.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::{BitAnd, BitOr, Not};

use super::order;
use crate::error::{Error, Result};
use crate::limits::{MAX_FILTER_CONDITIONS, MAX_FILTER_DEPTH};
use crate::value::{Field, Fields, Path, Value, codec};

/// What a condition is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operand {
    /// The document's id, as a text.
    Id,
    /// The field at a path. The path goes through maps, and through objects and arrays that a
    /// register holds as a whole, of which it takes elements by number.
    At(Path),
}

/// How something is compared with a value, by the order of values (see [`query`](super)), and only
/// within one kind: numbers with numbers, texts with texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

/// Which documents are meant.
///
/// Made by [`field`], by [`id`], or from text ([`Filter::parse`](Filter::parse)), and put together
/// by `&`, `|` and `!`:
///
/// ```
/// use littoral::query::{Filter, field};
/// let urgent = field("priority").at_least(3) & field("tags").contains("urgent");
/// assert_eq!(urgent, Filter::parse("priority >= 3 and tags contains \"urgent\"")?);
/// # Ok::<(), littoral::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Every document, or none: an *and* of nothing holds, an *or* of nothing does not.
    And(Vec<Filter>),
    /// One of them holds.
    Or(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// It compares so with a value.
    Compare(Operand, Comparison, Value),
    /// It equals one of these.
    In(Operand, Vec<Value>),
    /// It is there, also if it is null.
    Exists(Operand),
    /// It is a text, or bytes, and begins with these.
    StartsWith(Operand, Value),
    /// It is a set or an array with this element.
    Contains(Operand, Value),
}

/// What a filter is begun with: see [`field`].
#[derive(Debug, Clone)]
pub struct Subject(Operand);

/// Something about the field at a path: a bare string is a top-level field.
pub fn field(path: impl Into<Path>) -> Subject {
    Subject(Operand::At(path.into()))
}

/// Something about the id of a document.
pub fn id() -> Subject {
    Subject(Operand::Id)
}

impl Subject {
    /// It equals this. Numbers are equal if they are worth the same: 1 and 1.0.
    pub fn eq(self, value: impl Into<Value>) -> Filter {
        Filter::Compare(self.0, Comparison::Equal, value.into())
    }

    /// It does not equal this, or is not there.
    pub fn ne(self, value: impl Into<Value>) -> Filter {
        !self.eq(value)
    }

    /// It is of the same kind, and less.
    pub fn less(self, value: impl Into<Value>) -> Filter {
        Filter::Compare(self.0, Comparison::Less, value.into())
    }

    /// It is of the same kind, and not more.
    pub fn at_most(self, value: impl Into<Value>) -> Filter {
        Filter::Compare(self.0, Comparison::AtMost, value.into())
    }

    /// It is of the same kind, and more.
    pub fn greater(self, value: impl Into<Value>) -> Filter {
        Filter::Compare(self.0, Comparison::Greater, value.into())
    }

    /// It is of the same kind, and not less.
    pub fn at_least(self, value: impl Into<Value>) -> Filter {
        Filter::Compare(self.0, Comparison::AtLeast, value.into())
    }

    /// It equals one of these.
    pub fn is_in<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Filter {
        Filter::In(self.0, values.into_iter().map(Into::into).collect())
    }

    /// It is there, also if it is null.
    pub fn exists(self) -> Filter {
        Filter::Exists(self.0)
    }

    /// It is a text that begins with this, or bytes that do.
    pub fn starts_with(self, prefix: impl Into<Value>) -> Filter {
        Filter::StartsWith(self.0, prefix.into())
    }

    /// It is a set or an array with this element.
    pub fn contains(self, element: impl Into<Value>) -> Filter {
        Filter::Contains(self.0, element.into())
    }
}

impl BitAnd for Filter {
    type Output = Filter;

    fn bitand(self, other: Filter) -> Filter {
        let mut all = match self {
            Filter::And(all) => all,
            one => vec![one],
        };
        match other {
            Filter::And(more) => all.extend(more),
            one => all.push(one),
        }
        Filter::And(all)
    }
}

impl BitOr for Filter {
    type Output = Filter;

    fn bitor(self, other: Filter) -> Filter {
        let mut any = match self {
            Filter::Or(any) => any,
            one => vec![one],
        };
        match other {
            Filter::Or(more) => any.extend(more),
            one => any.push(one),
        }
        Filter::Or(any)
    }
}

impl Not for Filter {
    type Output = Filter;

    fn not(self) -> Filter {
        match self {
            Filter::Not(inner) => *inner,
            one => Filter::Not(Box::new(one)),
        }
    }
}

/// Fields of a document that are in conflict, with what other replicas wrote there.
pub(crate) type Siblings = [(Path, Vec<Field>)];

/// A document as a filter sees it.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) id: &'a str,
    pub(crate) fields: &'a Fields,
    /// What is not shown; a condition holds if it does for one of them, too.
    pub(crate) siblings: &'a Siblings,
}

/// What is at a path.
#[derive(Clone, Copy)]
enum Found<'a> {
    Id(&'a str),
    Field(&'a Field),
    Value(&'a Value),
}

impl Filter {
    /// The filter that holds for every document.
    pub fn all() -> Filter {
        Filter::And(Vec::new())
    }

    /// Whether it holds for the document with this id and these fields.
    pub fn matches(&self, id: &str, fields: &Fields) -> bool {
        self.holds(Seen { id, fields, siblings: &[] })
    }

    pub(crate) fn holds(&self, seen: Seen<'_>) -> bool {
        match self {
            Filter::And(all) => all.iter().all(|one| one.holds(seen)),
            Filter::Or(any) => any.iter().any(|one| one.holds(seen)),
            Filter::Not(one) => !one.holds(seen),
            Filter::Compare(operand, comparison, value) => {
                seen.any(operand, |found| found.compares(*comparison, value))
            }
            Filter::In(operand, values) => seen.any(operand, |found| {
                values.iter().any(|value| found.compares(Comparison::Equal, value))
            }),
            Filter::Exists(operand) => seen.any(operand, |_| true),
            Filter::StartsWith(operand, prefix) => seen.any(operand, |found| match prefix {
                Value::Text(prefix) => found.text().is_some_and(|text| text.starts_with(&**prefix)),
                Value::Bytes(prefix) => {
                    found.bytes().is_some_and(|bytes| bytes.starts_with(prefix))
                }
                _ => false,
            }),
            Filter::Contains(operand, element) => {
                seen.any(operand, |found| found.contains(element))
            }
        }
    }

    /// Refuses what would cost more than anybody means to ask for, and what can't be compared.
    pub(crate) fn check(&self) -> Result<()> {
        let mut conditions = 0;
        self.check_at(0, &mut conditions)
    }

    fn check_at(&self, depth: usize, conditions: &mut usize) -> Result<()> {
        if depth > MAX_FILTER_DEPTH {
            return Err(Error::limit(format!(
                "a filter is nested at most {MAX_FILTER_DEPTH} deep"
            )));
        }
        *conditions += match self {
            Filter::In(_, values) => values.len().max(1),
            _ => 1,
        };
        if *conditions > MAX_FILTER_CONDITIONS {
            return Err(Error::limit(format!(
                "a filter has at most {MAX_FILTER_CONDITIONS} conditions and values"
            )));
        }
        match self {
            Filter::And(all) | Filter::Or(all) => {
                all.iter().try_for_each(|one| one.check_at(depth + 1, conditions))
            }
            Filter::Not(one) => one.check_at(depth + 1, conditions),
            Filter::Compare(operand, _, value) | Filter::Contains(operand, value) => {
                operand.check().and_then(|()| check_value(value))
            }
            Filter::In(operand, values) => {
                operand.check()?;
                values.iter().try_for_each(check_value)
            }
            Filter::Exists(operand) => operand.check(),
            Filter::StartsWith(operand, Value::Text(_) | Value::Bytes(_)) => operand.check(),
            Filter::StartsWith(_, other) => Err(Error::invalid(format!(
                "'starts with' takes a text or bytes, not {}",
                other.kind()
            ))),
        }
    }
}

impl Operand {
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Operand::At(path) if path.depth() == 0 => {
                Err(Error::invalid("a condition is about a field, not about a whole document"))
            }
            _ => Ok(()),
        }
    }
}

fn check_value(value: &Value) -> Result<()> {
    if !value.is_scalar() {
        return Err(Error::invalid(format!(
            "a filter compares with null, booleans, numbers, texts, times and bytes, not with {}: \
             ask for what is in it, by path",
            value.kind()
        )));
    }
    codec::encode_checked(value, &Path::root()).map(drop)
}

/// What is in a set or an array.
pub(super) enum Elements<'a> {
    None,
    Set(&'a BTreeSet<Value>),
    Array(&'a [Value]),
}

impl<'a> Seen<'a> {
    /// What is in the set or array at a path.
    pub(super) fn elements(&self, path: &Path) -> Elements<'a> {
        match look_up(self.fields, path.names()) {
            Some(Found::Field(Field::Set(elements))) => Elements::Set(elements),
            Some(
                Found::Field(Field::Value(Value::Array(items))) | Found::Value(Value::Array(items)),
            ) => Elements::Array(items),
            _ => Elements::None,
        }
    }

    /// Whether something holds for what is at an operand, or for one of its siblings.
    fn any(&self, operand: &Operand, holds: impl Fn(Found<'_>) -> bool) -> bool {
        let path = match operand {
            Operand::Id => return holds(Found::Id(self.id)),
            Operand::At(path) => path.names(),
        };
        if look_up(self.fields, path).is_some_and(&holds) {
            return true;
        }
        self.siblings.iter().any(|(at, fields)| {
            let Some(rest) = path.strip_prefix(at.names()) else { return false };
            fields.iter().any(|field| below(field, rest).is_some_and(&holds))
        })
    }

    /// Appends the key of what is at an operand, as it is shown.
    pub(crate) fn put_key(&self, operand: &Operand, out: &mut Vec<u8>) {
        match operand {
            Operand::Id => order::put_text(self.id, out),
            Operand::At(path) => self.put_key_at(path, out),
        }
    }

    /// The same of what is at a path.
    pub(super) fn put_key_at(&self, path: &Path, out: &mut Vec<u8>) {
        match look_up(self.fields, path.names()) {
            None => order::put_missing(out),
            Some(Found::Value(value)) => order::put_value(value, out),
            Some(Found::Field(field)) => order::put_field(field, out),
            Some(Found::Id(id)) => order::put_text(id, out),
        }
    }
}

fn look_up<'a>(fields: &'a Fields, path: &[String]) -> Option<Found<'a>> {
    let (first, rest) = path.split_first()?;
    below(fields.get(first)?, rest)
}

/// What is at a path below a field.
fn below<'a>(field: &'a Field, path: &[String]) -> Option<Found<'a>> {
    let Some((first, rest)) = path.split_first() else { return Some(Found::Field(field)) };
    match field {
        Field::Map(fields) => below(fields.get(first)?, rest),
        Field::Value(value) => {
            let mut value = value;
            for name in path {
                value = match value {
                    Value::Object(members) => members.get(name)?,
                    Value::Array(items) => items.get(name.parse::<usize>().ok()?)?,
                    _ => return None,
                };
            }
            Some(Found::Value(value))
        }
        Field::Set(_) | Field::Counter(_) => None,
    }
}

impl<'a> Found<'a> {
    fn value(&self) -> Option<&'a Value> {
        match *self {
            Found::Value(value) | Found::Field(Field::Value(value)) => Some(value),
            _ => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Found::Id(id) => Some(id),
            _ => self.value()?.as_str(),
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self.value()? {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn compares(&self, comparison: Comparison, with: &Value) -> bool {
        let is_so = |order: Ordering| match comparison {
            Comparison::Equal => order.is_eq(),
            Comparison::Less => order.is_lt(),
            Comparison::AtMost => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::AtLeast => order.is_ge(),
        };
        let order = match (self, self.value(), with) {
            (Found::Id(id), _, Value::Text(with)) => (*id).cmp(with),
            (Found::Field(Field::Counter(sum)), ..) => match numbers(&Value::Int(*sum), with) {
                Some(order) => order,
                None => return false,
            },
            (_, Some(Value::Text(text)), Value::Text(with)) => text.cmp(with),
            (_, Some(Value::Bool(held)), Value::Bool(with)) => held.cmp(with),
            (_, Some(Value::Time(held)), Value::Time(with)) => held.cmp(with),
            (_, Some(Value::Bytes(held)), Value::Bytes(with)) => held.cmp(with),
            (_, Some(Value::Null), Value::Null) => Ordering::Equal,
            (_, Some(held), with) => match numbers(held, with) {
                Some(order) => order,
                None => return false,
            },
            _ => return false,
        };
        is_so(order)
    }

    fn contains(&self, element: &Value) -> bool {
        let equals = |held: &Value| Found::Value(held).compares(Comparison::Equal, element);
        match (self, self.value()) {
            (Found::Field(Field::Set(elements)), _) => {
                // 1 is in a set with 1.0.
                let is_number = matches!(element, Value::Int(_) | Value::UInt(_) | Value::Float(_));
                elements.contains(element) || is_number && elements.iter().any(equals)
            }
            (_, Some(Value::Array(items))) => items.iter().any(equals),
            _ => false,
        }
    }
}

/// How two numbers compare by what they are worth, if they are numbers.
fn numbers(a: &Value, b: &Value) -> Option<Ordering> {
    if let (Value::Int(a), Value::Int(b)) = (a, b) {
        return Some(a.cmp(b));
    }
    let key = |value: &Value| match value {
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => Some(order::key_of(value)),
        _ => None,
    };
    Some(key(a)?.cmp(&key(b)?))
}
