//! JSON and fields: round trips, special forms, and what is refused.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::error::{Error, ErrorKind};
use crate::limits::MAX_DEPTH;
use crate::value::codec::encode_checked;

const SPECIAL: [&str; 6] = ["$bytes", "$time", "$set", "$counter", "$opaque", "$literal"];

fn read(text: &str) -> Fields {
    parse_fields(text.as_bytes()).unwrap()
}

fn refused(text: impl AsRef<[u8]>) -> Error {
    parse_fields(text.as_ref()).unwrap_err()
}

/// What is refused, with a message that contains all of `parts`.
#[track_caller]
fn assert_refused(text: impl AsRef<[u8]>, parts: &[&str]) {
    let message = refused(text).to_string();
    for part in parts {
        assert!(message.contains(part), "'{part}' is not in: {message}");
    }
}

/// A document with one field `a`, through text and back.
#[track_caller]
fn assert_round_trip(field: Field, text: &str) {
    let fields = Fields::from([("a".to_owned(), field)]);
    let written = fields_to_json(&fields);
    assert_eq!(written.to_string(), format!("{{\"a\":{text}}}"));
    assert_eq!(read(&written.to_string()), fields);
    assert_eq!(fields_from_json(&written).unwrap(), fields);
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => ".{0,6}", 2 => prop::sample::select(&SPECIAL[..]).prop_map(str::to_owned)]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::UInt),
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(Value::Float),
        (-1000i32..1000).prop_map(|n| Value::Float(f64::from(n))),
        ".{0,20}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
        any::<i64>().prop_map(Value::Time),
    ]
}

fn value_in_array() -> impl Strategy<Value = Value> {
    let unknown = (any::<i8>(), prop::collection::vec(any::<u8>(), 0..9))
        .prop_filter("1 is the kind of times", |(kind, _)| *kind != 1)
        .prop_map(|(kind, bytes)| Value::Opaque { kind, bytes });
    prop_oneof![5 => scalar(), 1 => unknown].prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(name(), inner, 0..3).prop_map(Value::Object),
        ]
    })
}

fn any_fields() -> impl Strategy<Value = Fields> {
    let leaf = prop_oneof![
        value_in_array().prop_filter_map("an object is a map", |value| match value {
            Value::Object(_) => None,
            value => Some(Field::Value(value)),
        }),
        prop::collection::btree_set(scalar(), 0..5).prop_map(Field::Set),
        any::<i64>().prop_map(Field::Counter),
    ];
    let field = leaf.prop_recursive(4, 24, 4, |inner| {
        prop::collection::btree_map(name(), inner, 0..4).prop_map(Field::map)
    });
    prop::collection::btree_map(name(), field, 0..5).prop_map(Fields::from_iter)
}

proptest! {
    #[test]
    fn documents_come_back_unchanged(fields in any_fields()) {
        let written = fields_to_json(&fields);
        prop_assert_eq!(&fields_from_json(&written).unwrap(), &fields);
        prop_assert_eq!(&parse_fields(written.to_string().as_bytes()).unwrap(), &fields);
        let pretty = serde_json::to_vec_pretty(&written).unwrap();
        prop_assert_eq!(&parse_fields(&pretty).unwrap(), &fields);
    }

    #[test]
    fn values_come_back_unchanged(value in value_in_array()) {
        let written = value_to_json(&value);
        let at = Path::from("x");
        prop_assert_eq!(&value_from_json(&written, &at).unwrap(), &value);
        prop_assert_eq!(&parse_value(written.to_string().as_bytes(), &at).unwrap(), &value);
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]{}:,\"\\\\ ]{0,6}|[-0-9eE.]{0,30}|\\{\"\\$[a-z]{3,7}\":.{0,8}\\}") {
        let _ = parse_fields(text.as_bytes());
        let _ = parse_field(text.as_bytes(), &Path::root());
    }

    #[test]
    fn no_bytes_panic(text in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = parse_fields(&text);
    }

    #[test]
    fn integers_are_exact_or_refused(n in any::<i128>(), float in any::<f64>()) {
        prop_assume!(float.is_finite());
        let text = format!("{{\"f\": [{float:e}, \"1 \\\" 2\"], \"n\": {n}}}");
        match parse_fields(text.as_bytes()) {
            Ok(fields) => {
                let exact = match fields["n"].as_value() {
                    Some(Value::Int(m)) => i128::from(*m),
                    Some(Value::UInt(m)) => i128::from(*m),
                    other => panic!("{other:?}"),
                };
                prop_assert_eq!(exact, n);
            }
            Err(error) => {
                prop_assert!(i64::try_from(n).is_err() && u64::try_from(n).is_err());
                prop_assert!(error.to_string().contains("'/n'"));
            }
        }
    }
}

#[test]
fn each_form_has_its_text() {
    assert_round_trip(Field::Value(Value::Null), "null");
    assert_round_trip(true.into(), "true");
    assert_round_trip(1i64.into(), "1");
    assert_round_trip(1.0.into(), "1.0");
    assert_round_trip((-0.0).into(), "0.0");
    assert_round_trip(1e300.into(), "1e+300");
    assert_round_trip(u64::MAX.into(), "18446744073709551615");
    assert_round_trip(i64::MIN.into(), "-9223372036854775808");
    assert_round_trip("tide".into(), "\"tide\"");
    assert_round_trip(b"hi".to_vec().into(), r#"{"$bytes":"aGk="}"#);
    assert_round_trip(Field::Value(Value::Time(0)), r#"{"$time":"1970-01-01T00:00:00Z"}"#);
    assert_round_trip(Field::set(["b", "a"]), r#"{"$set":["a","b"]}"#);
    assert_round_trip(Field::Set(Default::default()), r#"{"$set":[]}"#);
    assert_round_trip(Field::Counter(-3), r#"{"$counter":-3}"#);
    assert_round_trip(Field::Map(Fields::new()), "{}");
    assert_round_trip(Field::map([("x", 1i64), ("b", 2)]), r#"{"b":2,"x":1}"#);
    assert_round_trip(
        Field::Value(Value::Opaque { kind: -5, bytes: b"hi".to_vec() }),
        r#"{"$opaque":{"bytes":"aGk=","kind":-5}}"#,
    );
    let inside = Value::Object([("$time".to_owned(), Value::Time(0))].into());
    assert_round_trip(
        Field::Value(Value::Array(vec![inside, Value::Array(vec![])])),
        r#"[{"$literal":{"$time":{"$time":"1970-01-01T00:00:00Z"}}},[]]"#,
    );
}

#[test]
fn one_and_one_point_zero_stay_apart() {
    let fields = read(r#"{"i": 1, "f": 1.0, "e": 1e0, "z": -0, "big": 1e19, "fz": -0.0}"#);
    assert!(matches!(fields["i"], Field::Value(Value::Int(1))));
    assert!(matches!(fields["f"], Field::Value(Value::Float(_))));
    assert!(matches!(fields["e"], Field::Value(Value::Float(_))));
    assert!(matches!(fields["z"], Field::Value(Value::Int(0))));
    assert!(matches!(fields["big"], Field::Value(Value::Float(_))));
    assert!(matches!(fields["fz"], Field::Value(Value::Float(_))));
}

#[test]
fn lenient_input_is_understood() {
    assert_eq!(read(r#"{"a": {"$bytes": "aGk"}}"#), read(r#"{"a": {"$bytes": "aGk="}}"#));
    assert_eq!(
        read(r#"{"a": {"$time": "2026-11-22T18:00:00+02:00"}}"#),
        read(r#"{"a": {"$time": "2026-11-22T16:00:00Z"}}"#)
    );
    assert_eq!(read(r#"{"a": {"$set": [1, "x", 1]}}"#), read(r#"{"a": {"$set": ["x", 1]}}"#));
    assert_eq!(read(r#"{"a": {"$set": [1, 1.0]}}"#)["a"].as_set().unwrap().len(), 2);
    assert_eq!(
        read(r#"{"a": {"$literal": {"b": 1, "c": 2}}}"#),
        read(r#"{"a": {"b": 1, "c": 2}}"#)
    );
}

#[test]
fn names_with_company_are_ordinary() {
    let fields = read(r#"{"$set": [1], "a": {"$counter": 1, "b": 2}, "c": {"$other": 3}}"#);
    assert!(matches!(&fields["$set"], Field::Value(Value::Array(_))));
    assert_eq!(fields["a"], Field::map([("$counter", 1i64), ("b", 2)]));
    assert_eq!(fields["c"], Field::map([("$other", 3i64)]));
    assert_eq!(
        fields_to_json(&fields).to_string(),
        r#"{"$set":[1],"a":{"$counter":1,"b":2},"c":{"$other":3}}"#
    );
}

#[test]
fn data_that_looks_special_is_wrapped() {
    for special in SPECIAL {
        let of_user = Field::map([(special, Field::set(["x"]))]);
        assert_round_trip(
            of_user.clone(),
            &format!(r#"{{"$literal":{{"{special}":{{"$set":["x"]}}}}}}"#),
        );
        let Field::Map(document) = of_user else { unreachable!() };
        let written = fields_to_json(&document);
        assert_eq!(written, json!({ "$literal": { special: { "$set": ["x"] } } }));
        assert_eq!(fields_from_json(&written).unwrap(), document);
    }
}

#[test]
fn only_the_top_of_a_literal_is_literal() {
    let fields = read(r#"{"a": {"$literal": {"$literal": {"$counter": 1}}}}"#);
    assert_eq!(fields["a"], Field::map([("$literal", Field::Counter(1))]));
    let fields = read(r#"{"$literal": {"$literal": {"$literal": {"$set": 1}}}}"#);
    assert_eq!(fields["$literal"], Field::map([("$set", 1i64)]));
}

#[test]
fn a_name_given_twice_is_refused_with_its_place() {
    assert_refused(r#"{"a": 1, "a": 1}"#, &["twice", "'/a'"]);
    assert_refused(r#"{"a": {"x/y": [{"b": 1, "b": 2}]}}"#, &["twice", "'/a/x~1y/0/b'"]);
    assert_refused(r#"{"a": {"\u0061": 1, "a": 2}}"#, &["twice", "'/a/a'"]);
    assert_refused(r#"{"a": {"$set": [1], "$set": [2]}}"#, &["twice", "'/a/$set'"]);
}

#[test]
fn text_that_is_not_json_is_refused_with_its_place() {
    assert_refused("", &["malformed", "at the top"]);
    assert_refused(r#"{"a": {"b": NaN}}"#, &["NaN", "'/a/b'", "null"]);
    assert_refused(r#"{"a": [1, -Infinity]}"#, &["infinity", "'/a/1'"]);
    assert_refused(r#"{"a": 1e999}"#, &["'/a'", "out of range"]);
    assert_refused(r#"{"a": [1, ]}"#, &["malformed", "'/a"]);
    assert_refused(r#"{"a": "\ud800"}"#, &["malformed", "'/a'"]);
    assert_refused(r#"{"a": 1} x"#, &["malformed", "at the top"]);
    assert_refused(r#"{"a": {"b": "#, &["malformed", "'/a/b'"]);
    assert_refused(b"{\"a\": {\"b\": \"\xff\"}}", &["not UTF-8", "byte 13", "'/a/b'", "$bytes"]);
    assert_refused(b"{\"a\": {\"\xff\": 1}}", &["not UTF-8", "byte 8", "'/a'"]);
}

#[test]
fn integers_beyond_64_bits_are_refused_with_their_place() {
    assert_refused(r#"{"a": {"b": 18446744073709551616}}"#, &["64 bits", "'/a/b'", "text"]);
    assert_refused(r#"{"a": [1e20, "7", -9223372036854775809]}"#, &["64 bits", "'/a/2'"]);
    assert_refused(format!("{{\"a\": 1{}}}", "0".repeat(60)), &["64 bits", "'/a'"]);
}

#[test]
fn documents_are_objects() {
    for (text, found) in [
        ("[1]", "found an array"),
        ("null", "found null"),
        ("\"x\"", "found text"),
        ("7", "found an integer"),
        ("true", "found a bool"),
    ] {
        assert_refused(text, &["a document is a JSON object", found]);
    }
    for special in SPECIAL.iter().take(5) {
        assert_refused(
            format!("{{\"{special}\": [1]}}"),
            &["a map of fields", special, "$literal"],
        );
    }
    assert_refused(r#"{"$literal": [1]}"#, &["'$literal' at the top", "an object", "array"]);
}

#[test]
fn misshapen_forms_are_refused_with_place_and_remedy() {
    for (form, wanted) in [
        (r#"{"$bytes": 1}"#, "base64 text"),
        (r#"{"$bytes": "a_-b"}"#, "standard base64"),
        (r#"{"$bytes": "aGk=="}"#, "standard base64"),
        (r#"{"$time": 1}"#, "RFC 3339"),
        (r#"{"$time": "yesterday"}"#, "RFC 3339"),
        (r#"{"$set": {"a": 1}}"#, "an array of scalars"),
        (r#"{"$counter": "3"}"#, "an integer"),
        (r#"{"$counter": 3.0}"#, "an integer"),
        (r#"{"$counter": 18446744073709551615}"#, "64 bits"),
        (r#"{"$opaque": 1}"#, "kind"),
        (r#"{"$opaque": {"kind": 1, "bytes": "aGk="}}"#, "not the kind of times"),
        (r#"{"$opaque": {"kind": 128, "bytes": "aGk="}}"#, "from -128 to 127"),
        (r#"{"$opaque": {"kind": 2}}"#, "bytes"),
        (r#"{"$opaque": {"kind": 2, "bytes": "aGk=", "x": 1}}"#, "exactly"),
        (r#"{"$literal": 1}"#, "an object"),
    ] {
        assert_refused(format!(r#"{{"a": {{"b": {form}}}}}"#), &["'/a/b'", wanted]);
    }
    assert_refused(r#"{"a": {"$opaque": {"kind": 2, "bytes": "*"}}}"#, &["'/a'", "base64"]);
    assert_refused(r#"{"a": {"$counter": "3"}}"#, &[r#"{"$literal": {"$counter": ..}}"#]);
}

#[test]
fn sets_hold_scalars() {
    let at = &["'/a/1'", "an element of a set"];
    assert_refused(r#"{"a": {"$set": [1, [2]]}}"#, at);
    assert_refused(r#"{"a": {"$set": [1, {"b": 2}]}}"#, at);
    assert_refused(r#"{"a": {"$set": [1, {"$opaque": {"kind": 2, "bytes": ""}}]}}"#, at);
    let scalars = r#"{"a": {"$set": [null, true, 1, 1.5, "x", {"$bytes": ""}, {"$time": "0us"}]}}"#;
    assert_eq!(read(scalars)["a"].as_set().unwrap().len(), 7);
}

#[test]
fn sets_and_counters_are_not_values() {
    assert_refused(r#"{"a": [1, {"$set": [1]}]}"#, &["'$set' at '/a/1'", "outside the array"]);
    assert_refused(r#"{"a": [{"b": {"$counter": 1}}]}"#, &["'$counter' at '/a/0/b'", "$literal"]);
    assert_refused(r#"{"a": {"$set": [{"$set": []}]}}"#, &["'$set' at '/a/0'"]);
    assert!(parse_value(br#"{"$set": []}"#, &Path::from("a")).is_err());
    assert_eq!(parse_field(br#"{"$set": []}"#, &Path::from("a")).unwrap().kind(), "set");
}

#[test]
fn depth_is_limited_like_that_of_values() {
    let maps = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let arrays = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    read(&maps(MAX_DEPTH));
    assert_eq!(refused(maps(MAX_DEPTH + 1)).kind(), ErrorKind::LimitExceeded);
    for (depth, fits) in [(MAX_DEPTH, true), (MAX_DEPTH + 1, false)] {
        let text = arrays(depth);
        assert_eq!(parse_fields(text.as_bytes()).is_ok(), fits);
        let deep = (1..depth).fold(Value::Array(vec![]), |inner, _| Value::Array(vec![inner]));
        assert_eq!(encode_checked(&deep, &Path::from("a")).is_ok(), fits, "as encode_checked");
    }
    for hostile in [maps(100_000), arrays(100_000), r#"{"$literal":"#.repeat(100_000)] {
        assert_eq!(refused(hostile).kind(), ErrorKind::LimitExceeded);
    }
    let below = parse_field(maps(10).as_bytes(), &Path::from(vec!["p".to_owned(); 55]));
    assert_eq!(below.unwrap_err().kind(), ErrorKind::LimitExceeded);
}

#[test]
fn the_deepest_document_comes_back_even_if_every_level_is_wrapped() {
    let unknown = Field::Value(Value::Opaque { kind: 2, bytes: vec![1] });
    let deepest = (1..MAX_DEPTH).fold(unknown, |inner, _| Field::map([("$set", inner)]));
    let fields = Fields::from([("$set".to_owned(), deepest)]);
    assert_eq!(read(&fields_to_json(&fields).to_string()), fields);
}

#[test]
fn numbers_of_a_foreign_build_are_refused() {
    assert_refused(
        r#"{"a": {"$serde_json::private::Number": "1"}}"#,
        &["'/a'", "arbitrary_precision"],
    );
}

#[test]
fn messages_start_at_the_given_place() {
    let at = Path::from(["a", "b"]);
    let error = parse_field(br#"{"c": {"$counter": null}}"#, &at).unwrap_err();
    assert!(error.to_string().contains("'/a/b/c'"), "{error}");
    let error = field_from_json(&json!([{ "$set": 1 }]), &at).unwrap_err();
    assert!(error.to_string().contains("'/a/b/0'"), "{error}");
}
