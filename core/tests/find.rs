//! Queries: what they find is what a reader of all documents would have found, page by page, and
//! whatever else is written meanwhile.

mod common;

use std::cmp::Ordering;

use common::{Replica, Rng, each_seed, fields, meet};
use littoral::query::{Direction, Filter, Operand, Order, Query, field, id};
use littoral::{ErrorKind, Field, Fields, Value};

/// Documents of all kinds, the same for a seed.
fn random_field(rng: &mut Rng) -> Field {
    let n = rng.below(5) as i64 - 2;
    match rng.below(9) {
        0 => Field::from(Value::Null),
        1 => (rng.below(2) == 0).into(),
        2 | 3 => n.into(),
        4 => (n as f64 + 0.5 * rng.below(2) as f64).into(),
        5 => rng.pick(&["", "a", "ab", "b"]).to_string().into(),
        6 => Field::set((0..rng.below(3)).map(|_| rng.below(4) as i64)),
        7 => Field::Counter(n),
        _ => Field::map([("y", Field::from(n))]),
    }
}

fn random_filter(rng: &mut Rng, depth: usize) -> Filter {
    let paths: [&[&str]; 4] = [&["x"], &["z"], &["x", "y"], &["w"]];
    let path = *rng.pick(&paths);
    let subject = || field(path);
    let n = rng.below(5) as i64 - 2;
    match rng.below(if depth > 2 { 9 } else { 12 }) {
        0 => subject().eq(n),
        1 => subject().less(n),
        2 => subject().at_least(n),
        3 => subject().greater(n as f64 + 0.5),
        4 => subject().starts_with("a"),
        5 => subject().contains(n),
        6 => subject().is_in([n, n + 1]),
        7 => subject().exists(),
        8 => id().greater(format!("d{}", rng.below(40))),
        9 => random_filter(rng, depth + 1) & random_filter(rng, depth + 1),
        10 => random_filter(rng, depth + 1) | random_filter(rng, depth + 1),
        _ => !random_filter(rng, depth + 1),
    }
}

/// The kind of a field, and what it is worth there, as the page says; `None` is missing.
fn compare(a: Option<&Field>, b: Option<&Field>) -> Ordering {
    let rank = |field: Option<&Field>| match field {
        None => 0,
        Some(Field::Value(Value::Null)) => 1,
        Some(Field::Value(Value::Bool(_))) => 2,
        Some(Field::Value(Value::Int(_) | Value::Float(_)) | Field::Counter(_)) => 3,
        Some(Field::Value(Value::Text(_))) => 4,
        Some(Field::Map(_)) => 5,
        Some(Field::Set(_)) => 6,
        other => panic!("{other:?} is not in these documents"),
    };
    let number = |field: &Field| match field {
        Field::Value(Value::Int(n)) => *n as f64,
        Field::Value(Value::Float(x)) => *x,
        Field::Counter(sum) => *sum as f64,
        _ => 0.0,
    };
    let (Some(a), Some(b)) = (a, b) else { return rank(a).cmp(&rank(b)) };
    rank(Some(a)).cmp(&rank(Some(b))).then_with(|| match (a, b) {
        (Field::Value(Value::Bool(a)), Field::Value(Value::Bool(b))) => a.cmp(b),
        (Field::Value(Value::Text(a)), Field::Value(Value::Text(b))) => a.cmp(b),
        (Field::Map(_), Field::Map(_)) | (Field::Set(_), Field::Set(_)) => Ordering::Equal,
        _ => number(a).total_cmp(&number(b)),
    })
}

/// What somebody would find who reads all of them.
fn naive(replica: &Replica, query: &Query) -> Vec<String> {
    let all = common::snapshot(&replica.notes());
    let mut found: Vec<(String, Fields)> =
        all.into_iter().filter(|(id, fields)| query.filter.matches(id, fields)).collect();
    found.sort_by(|(id, fields), (other_id, other)| {
        let by = |order: &Order| {
            let ordering = match &order.by {
                Operand::Id => id.cmp(other_id),
                Operand::At(path) => {
                    let name = &path.names()[0];
                    compare(fields.get(name), other.get(name))
                }
            };
            if order.direction == Direction::Descending { ordering.reverse() } else { ordering }
        };
        let first = query.order.iter().map(by).find(|ordering| ordering.is_ne());
        let descends =
            query.order.last().is_some_and(|order| order.direction == Direction::Descending);
        first.unwrap_or_else(|| if descends { other_id.cmp(id) } else { id.cmp(other_id) })
    });
    found.into_iter().map(|(id, _)| id).collect()
}

/// All pages of a query.
fn paged(replica: &Replica, query: &Query, size: usize) -> Vec<String> {
    let (mut ids, mut query) = (Vec::new(), query.clone().limit(size));
    loop {
        let page = replica.notes().find(&query).unwrap();
        assert!(page.documents.len() <= size);
        ids.extend(page.documents.iter().map(|document| document.id().to_owned()));
        match page.next {
            // A cursor is the same after it has been text.
            Some(next) => query = query.after(next.to_string().parse().unwrap()),
            None => return ids,
        }
    }
}

#[test]
fn what_is_found_is_what_is_there() {
    each_seed("what_is_found_is_what_is_there", 40, |seed| {
        let mut rng = Rng::new(seed);
        let a = Replica::new(1);
        for n in 0..60 {
            let mut content = Fields::new();
            for name in ["x", "z"] {
                if rng.chance(80) {
                    content.insert(name, random_field(&mut rng));
                }
            }
            if content.is_empty() {
                continue;
            }
            a.notes().put(&format!("d{n}"), &content).unwrap();
        }
        for _ in 0..20 {
            let mut query = Query::new(random_filter(&mut rng, 0));
            for _ in 0..rng.below(3) {
                let by = match rng.below(3) {
                    0 => Operand::Id,
                    1 => Operand::At("x".into()),
                    _ => Operand::At("z".into()),
                };
                let direction = *rng.pick(&[Direction::Ascending, Direction::Descending]);
                query = query.ordered(Order { by, direction });
            }
            let expected = naive(&a, &query);
            let whole = a.notes().find(&query).unwrap();
            let ids: Vec<&str> = whole.documents.iter().map(|found| found.id()).collect();
            assert_eq!(ids, expected, "{} by {:?}", query.filter, query.order);
            assert_eq!(whole.next, None);
            assert_eq!(paged(&a, &query, 1 + rng.below(20)), expected, "{}", query.filter);
            assert_eq!(a.notes().count(&query.filter).unwrap(), expected.len() as u64);
            let text = query.filter.to_string();
            assert_eq!(naive(&a, &Query::new(Filter::parse(&text).unwrap())).len(), expected.len());
        }
    });
}

/// While pages are taken others write. Who stays where it is comes exactly once.
#[test]
fn pages_go_on_where_they_ended() {
    let a = Replica::new(1);
    for n in 0..100 {
        let content = fields([("x", (n % 7).into()), ("kind", "stays".into())]);
        a.notes().put(&format!("d{n:03}"), &content).unwrap();
    }
    let stays = field("kind").eq("stays");
    for query in [Query::new(stays.clone()), Query::new(stays).descending("x")] {
        let mut rng = Rng::new(7);
        let expected = naive(&a, &query);
        let (mut ids, mut asked) = (Vec::new(), query.clone().limit(9));
        loop {
            let page = a.notes().find(&asked).unwrap();
            ids.extend(page.documents.iter().map(|found| found.id().to_owned()));
            for _ in 0..10 {
                let other = format!("d{:03}x", rng.below(100));
                let content =
                    fields([("x", (rng.below(9) as i64).into()), ("kind", "other".into())]);
                match rng.chance(30) {
                    true => drop(a.notes().delete(&other).unwrap()),
                    false => a.notes().put(&other, &content).unwrap(),
                }
            }
            let Some(next) = page.next else { break };
            // The document at which a page ended may go.
            asked = asked.after(next);
        }
        assert_eq!(ids, expected);
    }
}

#[test]
fn the_last_document_of_a_page_may_go() {
    let a = Replica::new(1);
    (0..5).for_each(|n| a.notes().set(&format!("d{n}"), "x", n).unwrap());
    for query in [Query::default(), Query::default().descending("x")] {
        let page = a.notes().find(&query.clone().limit(2)).unwrap();
        let last = page.documents[1].clone();
        a.notes().delete(last.id()).unwrap();
        let rest = a.notes().find(&query.after(page.next.unwrap())).unwrap();
        assert_eq!(rest.documents.len(), 3);
        a.notes().put(last.id(), last.fields()).unwrap();
    }
}

#[test]
fn all_sides_of_a_conflict_are_found_where_that_is_asked() {
    let (a, b) = (Replica::new(1), Replica::new(2));
    a.notes().set("n", "x", 1).unwrap();
    b.notes().set("n", "x", 2).unwrap();
    a.notes().set("m", "x", 3).unwrap();
    meet(&[&a, &b]);
    let found = |filter: Filter, siblings: bool| {
        let query = Query { siblings, ..Query::new(filter) };
        a.notes().find(&query).unwrap().documents.len()
    };
    let shown = a.notes().get("n").unwrap().unwrap()["x"].as_value().unwrap().as_i64().unwrap();
    let hidden = 3 - shown;
    assert_eq!((found(field("x").eq(shown), false), found(field("x").eq(hidden), false)), (1, 0));
    assert_eq!((found(field("x").eq(shown), true), found(field("x").eq(hidden), true)), (1, 1));
    assert_eq!(found(field("x").at_least(1), true), 2);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let a = Replica::new(1);
    let err = a.notes().find(&Query::new(field("x").eq(f64::NAN))).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::InvalidInput);
    a.notes().set("n1", "x", 1).unwrap();
    a.notes().set("n2", "x", 1).unwrap();
    let page = a.notes().find(&Query::default().limit(1)).unwrap();
    let other = Query::default().ascending("x").after(page.next.unwrap());
    assert_eq!(a.notes().find(&other).unwrap_err().kind(), ErrorKind::InvalidInput);
    a.store.close().unwrap();
    assert_eq!(a.notes().find(&Query::default()).unwrap_err().kind(), ErrorKind::Closed);
}

/// A page without an order looks at no more documents than it needs, and a prefix of ids is a range.
#[test]
fn no_more_is_looked_at_than_needed() {
    let a = Replica::new(1);
    for n in 0..500 {
        a.notes().set(&format!("d{n:03}"), "x", n).unwrap();
    }
    let examined = |query: &Query| a.notes().find(query).unwrap().examined;
    assert_eq!(examined(&Query::default().limit(10)), 11);
    assert_eq!(examined(&Query::new(id().starts_with("d01"))), 10);
    assert_eq!(examined(&Query::new(id().eq("d017") & field("x").eq(17))), 1);
    let page = a.notes().find(&Query::default().limit(10)).unwrap();
    assert_eq!(examined(&Query::default().limit(10).after(page.next.unwrap())), 11);
}
