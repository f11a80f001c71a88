//! The fields of a document or of a map in it: a map by name, in the order of names.
//!
//! Most maps have a few fields, which are read in order and all at once: those lie side by side,
//! in one piece of memory. A map of more is a tree, so that a large one built in any order costs
//! what a tree costs. Nobody outside can tell which it is.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;
use std::ops::Index;

use super::{Field, Text, Value};

/// With more fields than this, a map is a tree.
const FEW: usize = 32;

/// The fields of a document or of a map in it, by name; in the order of their names.
///
/// ```
/// use littoral::{Field, Fields};
///
/// let mut fields = Fields::from([("title", "Tide table"), ("author", "A. Doodson")]);
/// fields.insert("pages", Field::from(12));
/// assert_eq!(fields["title"].as_str(), Some("Tide table"));
/// assert_eq!(fields.keys().next().unwrap(), "author");
/// ```
#[derive(Clone)]
pub struct Fields(Kept);

#[derive(Clone)]
enum Kept {
    /// Sorted by name, each once.
    Few(Vec<(Text, Field)>),
    Many(BTreeMap<Text, Field>),
}

use Kept::{Few, Many};

impl Fields {
    /// No fields.
    pub const fn new() -> Fields {
        Fields(Few(Vec::new()))
    }

    /// No fields yet, with room for some.
    pub(crate) fn with_room(fields: usize) -> Fields {
        Fields(Few(Vec::with_capacity(fields.min(FEW))))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Few(few) => few.len(),
            Many(many) => many.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The field with this name.
    pub fn get(&self, name: &str) -> Option<&Field> {
        match &self.0 {
            Few(few) => find(few, name).ok().map(|at| &few[at].1),
            Many(many) => many.get(name),
        }
    }

    /// The field with this name, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Field> {
        match &mut self.0 {
            Few(few) => find(few, name).ok().map(|at| &mut few[at].1),
            Many(many) => many.get_mut(name),
        }
    }

    /// The field with this name; if there is none, first the one that `make` gives is put there.
    pub fn get_or_insert_with(
        &mut self,
        name: impl Into<Text>,
        make: impl FnOnce() -> Field,
    ) -> &mut Field {
        let name = name.into();
        if self.get(&name).is_none() {
            self.insert(name.clone(), make());
        }
        self.get_mut(&name).expect("it is there, or was put there")
    }

    /// Whether there is a field with this name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Puts a field. Gives the one that it replaces.
    pub fn insert(&mut self, name: impl Into<Text>, field: impl Into<Field>) -> Option<Field> {
        let (name, field) = (name.into(), field.into());
        let few = match &mut self.0 {
            Few(few) => few,
            Many(many) => return many.insert(name, field),
        };
        match place(few, &name) {
            Ok(at) => return Some(std::mem::replace(&mut few[at].1, field)),
            Err(at) if few.len() < FEW => few.insert(at, (name, field)),
            Err(_) => {
                let mut many: BTreeMap<Text, Field> = std::mem::take(few).into_iter().collect();
                many.insert(name, field);
                self.0 = Many(many);
            }
        }
        None
    }

    /// Takes a field out.
    pub fn remove(&mut self, name: &str) -> Option<Field> {
        match &mut self.0 {
            Few(few) => find(few, name).ok().map(|at| few.remove(at).1),
            Many(many) => many.remove(name),
        }
    }

    /// Keeps the fields of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&Text, &mut Field) -> bool) {
        match &mut self.0 {
            Few(few) => few.retain_mut(|(name, field)| keep(name, field)),
            Many(many) => many.retain(keep),
        }
    }

    /// Takes all fields out.
    pub fn clear(&mut self) {
        *self = Fields::new();
    }

    /// About how many bytes they take in a transaction, rather more than fewer: for whoever puts
    /// documents together into batches.
    pub fn about_bytes(&self) -> usize {
        let of = |field: &Field| match field {
            Field::Value(value) => value_bytes(value),
            Field::Map(fields) => fields.about_bytes(),
            Field::Set(elements) => elements.iter().map(|element| value_bytes(element) + 32).sum(),
            Field::Counter(_) => 16,
        };
        self.iter().map(|(name, field)| name.len() + 32 + of(field)).sum()
    }

    /// Names and fields, in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.0 {
            Few(few) => Side::Few(few.iter()),
            Many(many) => Side::Many(many.iter()),
        })
    }

    /// Names and fields, in order, to be changed.
    pub fn iter_mut(&mut self) -> IterMut<'_> {
        IterMut(match &mut self.0 {
            Few(few) => Side::Few(few.iter_mut()),
            Many(many) => Side::Many(many.iter_mut()),
        })
    }

    /// The names, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Text> + ExactSizeIterator {
        self.iter().map(|(name, _)| name)
    }

    /// The fields, in the order of their names.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Field> + ExactSizeIterator {
        self.iter().map(|(_, field)| field)
    }

    /// The fields, in the order of their names, to be changed.
    pub fn values_mut(
        &mut self,
    ) -> impl DoubleEndedIterator<Item = &mut Field> + ExactSizeIterator {
        self.iter_mut().map(|(_, field)| field)
    }

    /// The names, in order, without the fields.
    pub fn into_keys(self) -> impl DoubleEndedIterator<Item = Text> + ExactSizeIterator {
        self.into_iter().map(|(name, _)| name)
    }

    /// The fields, in the order of their names, without these.
    pub fn into_values(self) -> impl DoubleEndedIterator<Item = Field> + ExactSizeIterator {
        self.into_iter().map(|(_, field)| field)
    }
}

#[inline]
fn value_bytes(value: &Value) -> usize {
    16 + match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) | Value::Opaque { bytes, .. } => bytes.len(),
        Value::Array(items) => items.iter().map(value_bytes).sum(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| name.len() + 5 + value_bytes(value)).sum()
        }
        _ => 0,
    }
}

fn find(few: &[(Text, Field)], name: &str) -> Result<usize, usize> {
    few.binary_search_by(|(other, _)| other.as_str().cmp(name))
}

/// As [`find`]; quick for names that come in order.
#[inline]
fn place(few: &[(Text, Field)], name: &str) -> Result<usize, usize> {
    match few.last() {
        Some((last, _)) if last.as_str() >= name => find(few, name),
        _ => Err(few.len()),
    }
}

impl Default for Fields {
    fn default() -> Fields {
        Fields::new()
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Fields) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl Index<&str> for Fields {
    type Output = Field;

    /// The field with this name. Panics if there is none; see [`Fields::get`].
    fn index(&self, name: &str) -> &Field {
        self.get(name).expect("no field with this name")
    }
}

impl<N: Into<Text>, F: Into<Field>> Extend<(N, F)> for Fields {
    fn extend<I: IntoIterator<Item = (N, F)>>(&mut self, fields: I) {
        for (name, field) in fields {
            self.insert(name, field);
        }
    }
}

impl<N: Into<Text>, F: Into<Field>> FromIterator<(N, F)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, F)>>(fields: I) -> Fields {
        let fields = fields.into_iter();
        let mut all = Fields::with_room(fields.size_hint().0);
        all.extend(fields);
        all
    }
}

impl<N: Into<Text>, F: Into<Field>, const LEN: usize> From<[(N, F); LEN]> for Fields {
    fn from(fields: [(N, F); LEN]) -> Fields {
        fields.into_iter().collect()
    }
}

impl IntoIterator for Fields {
    type Item = (Text, Field);
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter(match self.0 {
            Few(few) => Side::Few(few.into_iter()),
            Many(many) => Side::Many(many.into_iter()),
        })
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = (&'a Text, &'a Field);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Fields {
    type Item = (&'a Text, &'a mut Field);
    type IntoIter = IterMut<'a>;

    fn into_iter(self) -> IterMut<'a> {
        self.iter_mut()
    }
}

/// One of two iterators.
#[derive(Clone)]
enum Side<F, M> {
    Few(F),
    Many(M),
}

/// Names and fields, in order: see [`Fields::iter`].
#[derive(Clone)]
pub struct Iter<'a>(Side<std::slice::Iter<'a, (Text, Field)>, btree_map::Iter<'a, Text, Field>>);

/// Names and fields, in order, to be changed: see [`Fields::iter_mut`].
pub struct IterMut<'a>(
    Side<std::slice::IterMut<'a, (Text, Field)>, btree_map::IterMut<'a, Text, Field>>,
);

/// Names and fields, in order, taken out.
pub struct IntoIter(Side<std::vec::IntoIter<(Text, Field)>, btree_map::IntoIter<Text, Field>>);

macro_rules! iterator {
    ($iter:ty, $item:ty, $of_few:expr) => {
        impl<'a> Iterator for $iter {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                match &mut self.0 {
                    Side::Few(few) => few.next().map($of_few),
                    Side::Many(many) => many.next(),
                }
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                match &self.0 {
                    Side::Few(few) => few.size_hint(),
                    Side::Many(many) => many.size_hint(),
                }
            }
        }

        impl<'a> DoubleEndedIterator for $iter {
            fn next_back(&mut self) -> Option<$item> {
                match &mut self.0 {
                    Side::Few(few) => few.next_back().map($of_few),
                    Side::Many(many) => many.next_back(),
                }
            }
        }

        impl<'a> ExactSizeIterator for $iter {}
    };
}

iterator!(Iter<'a>, (&'a Text, &'a Field), |(name, field)| (name, field));
iterator!(IterMut<'a>, (&'a Text, &'a mut Field), |(name, field)| (&*name, field));

impl Iterator for IntoIter {
    type Item = (Text, Field);

    fn next(&mut self) -> Option<(Text, Field)> {
        match &mut self.0 {
            Side::Few(few) => few.next(),
            Side::Many(many) => many.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Side::Few(few) => few.size_hint(),
            Side::Many(many) => many.size_hint(),
        }
    }
}

impl DoubleEndedIterator for IntoIter {
    fn next_back(&mut self) -> Option<(Text, Field)> {
        match &mut self.0 {
            Side::Few(few) => few.next_back(),
            Side::Many(many) => many.next_back(),
        }
    }
}

impl ExactSizeIterator for IntoIter {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is done to it, and however many fields it comes to.
        #[test]
        fn is_a_map_in_the_order_of_names(
            steps in prop::collection::vec((0..5u8, "[a-c]{0,4}", any::<i64>()), 0..200)
        ) {
            let (mut fields, mut map) = (Fields::new(), BTreeMap::<String, Field>::new());
            for (kind, name, number) in steps {
                let field = Field::from(number);
                match kind {
                    0 => prop_assert_eq!(fields.remove(&name), map.remove(&name)),
                    1 => {
                        let made = fields.get_or_insert_with(&name, || field.clone());
                        prop_assert_eq!(made, map.entry(name).or_insert(field));
                    }
                    _ => prop_assert_eq!(fields.insert(&name, field.clone()), map.insert(name, field)),
                }
                prop_assert_eq!(fields.len(), map.len());
            }
            let pairs = |fields: &Fields| -> Vec<(String, Field)> {
                fields.iter().map(|(name, field)| (name.into(), field.clone())).collect()
            };
            let all: Vec<_> = map.clone().into_iter().collect();
            prop_assert_eq!(pairs(&fields), all.clone());
            let back: Vec<_> = fields.iter().rev().map(|(name, _)| name.as_str()).collect();
            prop_assert_eq!(back, all.iter().rev().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
            for (name, field) in &all {
                prop_assert_eq!(fields.get(name), Some(field));
                prop_assert_eq!(fields.get_mut(name), map.get_mut(name));
            }
            // As it came to be does not matter.
            let made: Fields = all.iter().cloned().rev().collect();
            prop_assert_eq!(&made, &fields);
            prop_assert_eq!(format!("{made:?}"), format!("{map:?}"));
            let odd = |field: &Field| matches!(field, Field::Value(v) if v.as_i64().unwrap() % 2 == 1);
            fields.retain(|_, field| odd(field));
            map.retain(|_, field| odd(field));
            prop_assert_eq!(pairs(&fields), map.clone().into_iter().collect::<Vec<_>>());
            let taken: Vec<_> = fields.into_iter().map(|(name, field)| (name.into_string(), field)).collect();
            prop_assert_eq!(taken, map.into_iter().collect::<Vec<_>>());
        }
    }
}
