//! The textual form of filters and orders: one for the command line, HTTP, C and Python.
//!
//! ```text
//! filter    = and { "or" and } ;         and = not { "and" not } ;      not = { "not" } condition ;
//! condition = "(" filter ")" | "true" | "false" | "exists" operand | operand test ;
//! test      = ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
//!           | [ "not" ] ( "in" "[" [ value { "," value } ] "]"
//!                       | "contains" value | "starts with" value ) ;
//! operand   = "$id" | pointer | name { "." name } ;
//! name      = letter or "_", then letters, digits, "_" and "-"; digits alone after the first
//!           | "`" anything, a backquote twice "`" ;
//! pointer   = a JSON Pointer, "/address/city", up to the next space, comma or parenthesis ;
//! value     = "null" | "true" | "false" | number | string, as in JSON
//!           | "time(" string ")" | "bytes(" string ")" , RFC 3339 and base64 ;
//! order     = operand [ "asc" | "desc" ] { "," operand [ "asc" | "desc" ] } ;
//! ```
//!
//! Keywords are lower case; a field that is called like one is written in backquotes. Empty text is
//! the filter that holds for every document. An error names the column, from 1 on.

use std::fmt;

use winnow::ascii::multispace0;
use winnow::combinator::{
    alt, cut_err, delimited, eof, fail, not, opt, preceded, repeat, separated, terminated,
};
use winnow::error::{ContextError, ErrMode, StrContext, StrContextValue};
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Stateful};
use winnow::token::{any, one_of, take_till, take_while};

use super::filter::{Comparison, Filter, Operand};
use super::{Direction, Order};
use crate::error::{Error, Result};
use crate::limits::{MAX_FILTER_BYTES, MAX_FILTER_DEPTH};
use crate::value::{self, Path, Value};

/// The text, where in it one is, and how deep in parentheses.
type Input<'a> = Stateful<LocatingSlice<&'a str>, usize>;
type Parsed<T> = winnow::ModalResult<T>;

/// Words that are no names.
const KEYWORDS: [&str; 12] = [
    "and", "or", "not", "in", "contains", "starts", "exists", "true", "false", "null", "asc",
    "desc",
];

impl Filter {
    /// A filter from its textual form: see [`query`](super).
    ///
    /// Errors: [`InvalidInput`](crate::ErrorKind::InvalidInput), which names the column;
    /// [`LimitExceeded`](crate::ErrorKind::LimitExceeded).
    pub fn parse(text: &str) -> Result<Filter> {
        let filter = read(text, "filter", alt((eof.value(Filter::all()), or)))?;
        filter.check()?;
        Ok(filter)
    }
}

impl Order {
    /// Orders from their textual form: `priority desc, title`.
    ///
    /// Errors: as of [`Filter::parse`].
    pub fn parse(text: &str) -> Result<Vec<Order>> {
        let direction = opt(alt((
            keyword("asc").value(Direction::Ascending),
            keyword("desc").value(Direction::Descending),
        )));
        let order = (operand, direction).map(|(by, direction)| Order {
            by,
            direction: direction.unwrap_or(Direction::Ascending),
        });
        read(text, "order", separated(1.., order, (blank, ',', blank)))
    }
}

/// Reads all of a text.
fn read<'a, T>(
    text: &'a str,
    noun: &str,
    parser: impl Parser<Input<'a>, T, ErrMode<ContextError>>,
) -> Result<T> {
    if text.len() > MAX_FILTER_BYTES {
        return Err(Error::limit(format!("a {noun} has at most {MAX_FILTER_BYTES} bytes")));
    }
    let input = Stateful { input: LocatingSlice::new(text), state: 0 };
    let end = eof.context(expected("the end, 'and' or 'or'"));
    delimited(blank, parser, (blank, end)).parse(input).map_err(|err| {
        let at = err.offset().min(text.len());
        let column = text[..at].chars().count() + 1;
        let found = text[at..].split_whitespace().next().unwrap_or("its end");
        let found: String = found.chars().take(20).collect();
        let wanted = err.inner().context().find_map(|context| match context {
            StrContext::Expected(StrContextValue::Description(what)) => Some(*what),
            _ => None,
        });
        let wanted = wanted.unwrap_or("a condition");
        Error::invalid(format!(
            "the {noun} is wrong at column {column}: expected {wanted}, found {found}"
        ))
    })
}

fn expected(what: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(what))
}

fn blank(input: &mut Input<'_>) -> Parsed<()> {
    multispace0.void().parse_next(input)
}

/// A word by itself, and what blanks are around it.
fn keyword<'a>(word: &'static str) -> impl Parser<Input<'a>, (), ErrMode<ContextError>> {
    (blank, word, not(one_of(is_name_char)), blank).void()
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

fn or(input: &mut Input<'_>) -> Parsed<Filter> {
    several(and, "or", Filter::Or).parse_next(input)
}

fn and(input: &mut Input<'_>) -> Parsed<Filter> {
    several(negation, "and", Filter::And).parse_next(input)
}

/// One, or several with a word between them.
fn several<'a>(
    mut one: impl FnMut(&mut Input<'a>) -> Parsed<Filter>,
    word: &'static str,
    of: impl Fn(Vec<Filter>) -> Filter,
) -> impl FnMut(&mut Input<'a>) -> Parsed<Filter> {
    move |input| {
        let mut all = vec![one(input)?];
        while opt(keyword(word)).parse_next(input)?.is_some() {
            all.push(cut_err(&mut one).parse_next(input)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { of(all) })
    }
}

fn negation(input: &mut Input<'_>) -> Parsed<Filter> {
    let nots: usize = repeat(0.., keyword("not")).parse_next(input)?;
    let filter = condition.context(expected("a condition")).parse_next(input)?;
    Ok(if nots % 2 == 1 { !filter } else { filter })
}

fn condition(input: &mut Input<'_>) -> Parsed<Filter> {
    alt((
        parenthesis,
        preceded(keyword("exists"), cut_err(operand)).map(Filter::Exists),
        keyword("true").value(Filter::all()),
        keyword("false").value(Filter::Or(Vec::new())),
        tested,
    ))
    .parse_next(input)
}

fn parenthesis(input: &mut Input<'_>) -> Parsed<Filter> {
    ('(', blank).parse_next(input)?;
    input.state += 1;
    if input.state > MAX_FILTER_DEPTH {
        return cut_err(fail.context(expected("fewer parentheses within each other")))
            .parse_next(input);
    }
    let filter = cut_err(or).parse_next(input)?;
    input.state -= 1;
    cut_err((blank, ')').context(expected("')'"))).parse_next(input)?;
    Ok(filter)
}

/// What is to be done with the operand before it.
enum Test {
    Compare(Comparison, bool),
    In,
    Contains,
    StartsWith,
}

fn tested(input: &mut Input<'_>) -> Parsed<Filter> {
    let operand = operand.parse_next(input)?;
    let compare = |comparison, is_so| move |_| Test::Compare(comparison, is_so);
    let sign = delimited(
        blank,
        alt((
            "!=".map(compare(Comparison::Equal, false)),
            "<=".map(compare(Comparison::AtMost, true)),
            ">=".map(compare(Comparison::AtLeast, true)),
            "==".map(compare(Comparison::Equal, true)),
            "=".map(compare(Comparison::Equal, true)),
            "<".map(compare(Comparison::Less, true)),
            ">".map(compare(Comparison::Greater, true)),
        )),
        blank,
    );
    let word = alt((
        keyword("in").map(|()| Test::In),
        keyword("contains").map(|()| Test::Contains),
        (keyword("starts"), cut_err(keyword("with").context(expected("'with'"))))
            .map(|_| Test::StartsWith),
    ));
    let words = (opt(keyword("not")), word).map(|(not, test)| (not.is_some(), test));
    let (is_not, test) = cut_err(
        alt((sign.map(|test| (false, test)), words))
            .context(expected("=, !=, <, <=, >, >=, in, contains or starts with")),
    )
    .parse_next(input)?;
    let filter = match test {
        Test::Compare(comparison, is_so) => {
            let filter = Filter::Compare(operand, comparison, cut_err(literal).parse_next(input)?);
            if is_so { filter } else { !filter }
        }
        Test::Contains => Filter::Contains(operand, cut_err(literal).parse_next(input)?),
        Test::StartsWith => Filter::StartsWith(operand, cut_err(literal).parse_next(input)?),
        Test::In => {
            let values = separated(0.., literal, (blank, ',', blank));
            let list = delimited(
                ('[', blank).context(expected("'['")),
                values,
                (blank, ']').context(expected("']' or ','")),
            );
            Filter::In(operand, cut_err(list).parse_next(input)?)
        }
    };
    Ok(if is_not { !filter } else { filter })
}

fn operand(input: &mut Input<'_>) -> Parsed<Operand> {
    alt((
        ("$id", not(one_of(is_name_char))).value(Operand::Id),
        pointer.map(Operand::At),
        dotted.map(Operand::At),
    ))
    .context(expected("a field"))
    .parse_next(input)
}

fn pointer(input: &mut Input<'_>) -> Parsed<Path> {
    let is_over =
        |c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | '=' | '!' | '<' | '>');
    ('/', take_till(0.., is_over)).take().try_map(Path::parse_pointer).parse_next(input)
}

fn dotted(input: &mut Input<'_>) -> Parsed<Path> {
    let first = alt((quoted_name, bare_name)).parse_next(input)?;
    let number = take_while(1.., |c: char| c.is_ascii_digit()).map(str::to_owned);
    let rest: Vec<String> =
        repeat(0.., preceded('.', cut_err(alt((quoted_name, bare_name, number)))))
            .parse_next(input)?;
    let mut path = Path::from(first);
    rest.into_iter().for_each(|name| path.push(name));
    Ok(path)
}

fn bare_name(input: &mut Input<'_>) -> Parsed<String> {
    let start = one_of(|c: char| c.is_alphabetic() || c == '_');
    (start, take_while(0.., is_name_char))
        .take()
        .verify(|name: &str| !KEYWORDS.contains(&name))
        .map(str::to_owned)
        .parse_next(input)
}

fn quoted_name(input: &mut Input<'_>) -> Parsed<String> {
    let part = alt(("``".value('`'), any.verify(|c| *c != '`')));
    delimited(
        '`',
        repeat(0.., part),
        cut_err('`').context(expected("a '`' at the end of the name")),
    )
    .parse_next(input)
}

fn literal(input: &mut Input<'_>) -> Parsed<Value> {
    let call = |name: &'static str| {
        delimited((name, blank, '(', blank), cut_err(string), cut_err((blank, ')')))
    };
    alt((
        keyword("null").value(Value::Null),
        keyword("true").value(Value::Bool(true)),
        keyword("false").value(Value::Bool(false)),
        string.map(|text| Value::Text(text.into())),
        number,
        call("time").verify_map(|text| value::parse_time(&text).ok().map(Value::Time)),
        call("bytes").verify_map(|text| {
            data_encoding::BASE64.decode(text.as_bytes()).ok().map(Value::Bytes)
        }),
    ))
    .context(expected(
        "a value (null, true, false, a number, \"text\", time(\"..\") or bytes(\"..\"))",
    ))
    .parse_next(input)
}

/// A string as in JSON.
fn string(input: &mut Input<'_>) -> Parsed<String> {
    let escaped = ('\\', any).void();
    let plain = any.verify(|c: &char| !matches!(c, '"' | '\\')).void();
    let inner = repeat::<_, _, (), _, _>(0.., alt((plain, escaped)));
    ('"', inner, '"').take().try_map(serde_json::from_str).parse_next(input)
}

/// A number as in JSON; of 64 bits, or a float.
fn number(input: &mut Input<'_>) -> Parsed<Value> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
    let digits = (opt('-'), one_of(|c: char| c.is_ascii_digit()), take_while(0.., is_part)).take();
    let value = |text: &str| value::parse_value(text.as_bytes(), &Path::root());
    terminated(digits.try_map(value), not(one_of(is_name_char))).parse_next(input)
}

impl fmt::Display for Operand {
    /// As it is written in a filter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Operand::At(path) = self else { return f.write_str("$id") };
        for (at, name) in path.names().iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "." })?;
            let mut chars = name.chars();
            let starts = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
            match starts && chars.all(is_name_char) && !KEYWORDS.contains(&&**name) {
                true => f.write_str(name)?,
                false => write!(f, "`{}`", name.replace('`', "``"))?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Order {
    /// As it is written in an order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.by)?;
        f.write_str(if self.direction == Direction::Descending { " desc" } else { "" })
    }
}

impl fmt::Display for Filter {
    /// Its textual form, which [`Filter::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Filter::And(all) => write_many(f, all, "true", " and "),
            Filter::Or(any) => write_many(f, any, "false", " or "),
            Filter::Not(one) => {
                f.write_str("not ")?;
                write_inner(f, one)
            }
            Filter::Compare(operand, comparison, value) => {
                let sign = match comparison {
                    Comparison::Equal => "=",
                    Comparison::Less => "<",
                    Comparison::AtMost => "<=",
                    Comparison::Greater => ">",
                    Comparison::AtLeast => ">=",
                };
                write!(f, "{operand} {sign} ")?;
                write_value(f, value)
            }
            Filter::In(operand, values) => {
                write!(f, "{operand} in [")?;
                for (at, value) in values.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { ", " })?;
                    write_value(f, value)?;
                }
                f.write_str("]")
            }
            Filter::Exists(operand) => write!(f, "exists {operand}"),
            Filter::StartsWith(operand, value) => {
                write!(f, "{operand} starts with ")?;
                write_value(f, value)
            }
            Filter::Contains(operand, value) => {
                write!(f, "{operand} contains ")?;
                write_value(f, value)
            }
        }
    }
}

fn write_many(
    f: &mut fmt::Formatter<'_>,
    filters: &[Filter],
    none: &str,
    between: &str,
) -> fmt::Result {
    match filters {
        [] => f.write_str(none),
        // One by itself would be read as what it is.
        [one] => write!(f, "{one}"),
        _ => filters.iter().enumerate().try_for_each(|(at, filter)| {
            f.write_str(if at == 0 { "" } else { between })?;
            write_inner(f, filter)
        }),
    }
}

/// What is within another, in parentheses where it needs them.
fn write_inner(f: &mut fmt::Formatter<'_>, filter: &Filter) -> fmt::Result {
    match filter {
        Filter::And(many) | Filter::Or(many) if many.len() > 1 => write!(f, "({filter})"),
        _ => write!(f, "{filter}"),
    }
}

fn write_value(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Time(micros) => write!(f, "time(\"{}\")", value::format_time(*micros)),
        Value::Bytes(bytes) => write!(f, "bytes(\"{}\")", data_encoding::BASE64.encode(bytes)),
        other => write!(f, "{}", value::value_to_json(other)),
    }
}
