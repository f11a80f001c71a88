//! What filters mean, how they are written and read, and what they refuse.

use proptest::prelude::*;

use super::filter::Siblings;
use super::*;
use crate::error::ErrorKind;
use crate::value::{Value, parse_fields};

fn fields(json: &str) -> Fields {
    parse_fields(json.as_bytes()).unwrap()
}

fn holds(filter: &str, json: &str) -> bool {
    Filter::parse(filter).unwrap().matches("n1", &fields(json))
}

const NOTE: &str = r#"{
    "title": "Spring tides", "done": false, "priority": 3, "weight": 2.5, "none": null,
    "views": {"$counter": 7}, "tags": {"$set": ["urgent", "sea", 1]}, "list": [1, "x", {"y": 2}],
    "due": {"$time": "2026-11-22T16:00:00Z"}, "raw": {"$bytes": "AAEC"},
    "address": {"city": "Husum", "zip code": "25813"}, "and": 1
}"#;

#[test]
fn conditions_hold_or_do_not() {
    for filter in [
        "",
        "true",
        "title = \"Spring tides\"",
        "title == \"Spring tides\"",
        "title starts with \"Spring\"",
        "title > \"A\" and title < \"Z\"",
        "done = false",
        "not done = true",
        "done != true",
        "priority >= 3 and priority <= 3",
        "priority = 3.0",
        "priority in [1, 2, 3]",
        "priority not in [1, 2]",
        "weight > 2 and weight < 3",
        "views = 7",
        "views > 6.5",
        "none = null and exists none",
        "not exists nothing",
        "nothing != 1",
        "not nothing = 1",
        "tags contains \"urgent\" and not tags contains \"dull\"",
        "tags not contains \"dull\"",
        "tags contains 1.0",
        "list contains \"x\" and list.0 = 1 and list.2.y = 2",
        "due > time(\"2026-11-01T00:00:00Z\")",
        "raw = bytes(\"AAEC\") and raw starts with bytes(\"AAE=\")",
        "address.city = \"Husum\" and /address/city = \"Husum\"",
        "address.`zip code` = \"25813\"",
        "`and` = 1",
        "$id = \"n1\" and $id starts with \"n\"",
        "(priority = 1 or priority = 3) and (done = false)",
        "priority = 1 or priority = 3 and done = false",
        "exists address and exists tags",
        "priority=3 and(done=false)",
        "\n priority\t=\n3 ",
        "not not true",
        "list.0 = 1",
    ] {
        assert!(holds(filter, NOTE), "{filter}");
    }
    for filter in [
        "false",
        "title = \"spring tides\"",
        "priority = \"3\"",
        "priority > \"2\"",
        "title > 1",
        "done < 1",
        "none < 1",
        "nothing < 1",
        "nothing = null",
        "not true",
        "tags = \"urgent\"",
        "tags starts with \"u\"",
        "address = \"Husum\"",
        "address.street = 1",
        "views contains 7",
        "list.7 = 1",
        "list.x = 1",
        "priority in []",
        "title contains \"tide\"",
        "done = false and priority = 4",
        "exists tags.urgent",
    ] {
        assert!(!holds(filter, NOTE), "{filter}");
    }
}

#[test]
fn an_error_names_the_column() {
    for (filter, column, expected) in [
        ("priority >=", 12, "a value"),
        ("priority >= flase", 13, "a value"),
        ("priority", 9, "=, !="),
        ("priority is 3", 10, "=, !="),
        ("done = false and", 17, "a field"),
        ("done = false priority = 3", 14, "the end"),
        ("(done = false", 14, "')'"),
        ("title starts \"x\"", 14, "'with'"),
        ("x in [1, 2", 11, "']' or ','"),
        ("x in 1", 6, "'['"),
        ("x = \"open", 5, "a value"),
        ("x = 1e999", 5, "a value"),
        ("x = 99999999999999999999", 5, "a value"),
        ("x = time(\"noon\")", 5, "a value"),
        ("`x = 1", 7, "a '`'"),
        ("größe = x", 9, "a value"),
        ("and = 1", 1, "a field"),
        ("a.and = 1", 3, "a"),
    ] {
        let err = Filter::parse(filter).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::InvalidInput, "{filter}");
        let message = err.message().to_owned();
        assert!(message.contains(&format!("column {column}:")), "{filter}: {message}");
        assert!(message.contains(&format!("expected {expected}")), "{filter}: {message}");
    }
    let orders = Order::parse("priority desc, address.city,$id asc").unwrap();
    let said: Vec<String> = orders.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["priority desc", "address.city", "$id"]);
    assert!(Order::parse("priority down").unwrap_err().message().contains("column 10"));
    assert!(Order::parse("").is_err());
}

#[test]
fn what_would_cost_too_much_is_refused() {
    let deep = format!("{}true{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(Filter::parse(&deep).unwrap_err().kind(), ErrorKind::InvalidInput);
    let nots = format!("{} true", "not ".repeat(10_000));
    assert_eq!(Filter::parse(&nots).unwrap(), Filter::all());
    let long = "x = 1 or ".repeat(20_000) + "x = 1";
    assert_eq!(Filter::parse(&long).unwrap_err().kind(), ErrorKind::LimitExceeded);
    let many = format!("x in [{}1]", "1,".repeat(5000));
    assert_eq!(Filter::parse(&many).unwrap_err().kind(), ErrorKind::LimitExceeded);
    let mut nested = Filter::all();
    for _ in 0..100 {
        nested = Filter::And(vec![nested, Filter::all()]);
    }
    assert_eq!(nested.check().unwrap_err().kind(), ErrorKind::LimitExceeded);
    for filter in [
        field("x").eq(Value::Float(f64::NAN)),
        field("x").eq(Value::Array(vec![])),
        field("x").starts_with(1),
        field(Path::root()).exists(),
    ] {
        assert_eq!(filter.check().unwrap_err().kind(), ErrorKind::InvalidInput, "{filter:?}");
    }
}

#[test]
fn siblings_are_seen_where_that_is_asked() {
    let shown = fields(r#"{"x": 1, "m": {"y": 5}}"#);
    let siblings: &Siblings = &[
        (Path::from("x"), vec![Field::from(2)]),
        (Path::from("m"), vec![Field::map([("y", Field::from(6))])]),
    ];
    let seen = Seen { id: "n", fields: &shown, siblings };
    let holds = |text: &str| Filter::parse(text).unwrap().holds(seen);
    assert!(holds("x = 1") && holds("x = 2") && !holds("x = 3"));
    assert!(holds("m.y = 5") && holds("m.y = 6") && !holds("not m.y = 6"));
}

#[test]
fn parts_of_documents_are_where_they_were() {
    let whole = fields(r#"{"a": {"b": 1, "c": 2}, "d": 3, "e": [1]}"#);
    let of = |paths: &[&str]| {
        let paths: Vec<Path> = paths.iter().map(|path| path.parse().unwrap()).collect();
        project(&whole, &paths)
    };
    assert_eq!(of(&["/a/b", "/d", "/none"]), fields(r#"{"a": {"b": 1}, "d": 3}"#));
    assert_eq!(of(&["/a", "/a/b"]), fields(r#"{"a": {"b": 1, "c": 2}}"#));
    assert_eq!(of(&["/a/b", "/a"]), fields(r#"{"a": {"b": 1, "c": 2}}"#));
    assert_eq!(of(&[]), Fields::new());
}

#[test]
fn a_cursor_is_of_its_order() {
    let query = Query::default().descending("x");
    let shown = fields(r#"{"x": 1}"#);
    let place = cursor::Place::of(&query.order, Seen { id: "n1", fields: &shown, siblings: &[] });
    let cursor = Cursor::behind(&query, place);
    let again: Cursor = cursor.to_string().parse().unwrap();
    assert_eq!(again, cursor);
    query.clone().after(again.clone()).check().unwrap();
    for other in [Query::default(), Query::default().ascending("x"), query.clone().ascending("y")] {
        let err = other.after(again.clone()).check().unwrap_err();
        assert_eq!(err.kind(), ErrorKind::InvalidInput);
    }
    let text = cursor.to_string();
    assert!((0..text.len()).all(|len| {
        text[..len].parse::<Cursor>().and_then(|cut| query.clone().after(cut).check()).is_err()
            || len > text.len() - 4
    }));
    assert!("".parse::<Cursor>().is_err() && "!".parse::<Cursor>().is_err());
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(|n| if n <= i64::MAX as u64 {
            Value::Int(n as i64)
        } else {
            Value::UInt(n)
        }),
        proptest::num::f64::NORMAL.prop_map(Value::Float),
        ".{0,8}".prop_map(|text| Value::Text(text.into())),
        any::<Vec<u8>>().prop_map(Value::Bytes),
        (-62_000_000_000_000_000i64..200_000_000_000_000_000).prop_map(Value::Time),
    ]
}

fn operand() -> impl Strategy<Value = Operand> {
    let path = proptest::collection::vec(".{0,5}|[a-z]{1,4}", 1..3);
    prop_oneof![
        Just(Operand::Id),
        path.prop_map(|names| Operand::At(
            names.iter().map(String::as_str).collect::<Vec<_>>()[..].into()
        )),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let comparison = prop_oneof![
        Just(Comparison::Equal),
        Just(Comparison::Less),
        Just(Comparison::AtMost),
        Just(Comparison::Greater),
        Just(Comparison::AtLeast)
    ];
    let leaf = prop_oneof![
        (operand(), comparison, value())
            .prop_map(|(at, how, value)| Filter::Compare(at, how, value)),
        (operand(), proptest::collection::vec(value(), 0..3))
            .prop_map(|(at, all)| Filter::In(at, all)),
        operand().prop_map(Filter::Exists),
        (operand(), ".{0,4}")
            .prop_map(|(at, text)| Filter::StartsWith(at, Value::Text(text.into()))),
        (operand(), value()).prop_map(|(at, value)| Filter::Contains(at, value)),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let many = proptest::collection::vec(inner.clone(), 0..3);
        prop_oneof![
            many.clone().prop_map(|all| all.into_iter().fold(Filter::all(), |a, b| a & b)),
            many.prop_map(|any| any.into_iter().fold(Filter::Or(vec![]), |a, b| a | b)),
            inner.prop_map(|one| !one),
        ]
    })
}

proptest! {
    /// What is written is read as what it means; two *not*s and an *and* of one are left out.
    #[test]
    fn text_says_what_is_meant(filter in filter()) {
        let text = filter.to_string();
        let again = Filter::parse(&text).unwrap_or_else(|err| panic!("{text}: {err}"));
        prop_assert_eq!(&Filter::parse(&again.to_string()).unwrap(), &again);
        let note = fields(NOTE);
        prop_assert_eq!(again.matches("n1", &note), filter.matches("n1", &note));
    }

    #[test]
    fn no_text_is_too_odd(text in "[a-z$`/.()<>=!\\[\\],\" 0-9\\\\\u{e4}-\u{e8}]{0,40}|.{0,30}") {
        drop(Filter::parse(&text));
        drop(Order::parse(&text));
        drop(text.parse::<Cursor>());
    }
}
