//! Python values as fields and back, exactly: what is written is what is read.
//!
//! int is an integer of 64 bits, float a float, bool, None, str and bytes are themselves, a
//! datetime with zone is a time, a list an array, a dict a map, a set a set, a
//! `littoral.Counter` a counter. Anything else is refused with the path of the field.

use std::collections::{BTreeMap, BTreeSet};

use littoral::limits::MAX_DEPTH;
use littoral::{Document, Field, Fields, Path, Value};
use pyo3::PyTypeInfo;
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PyMemoryView, PySet,
    PyString, PyTuple,
};

use crate::classes::Classes;
use crate::error::exception;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Why a value is refused: the class of the exception, what is wrong, and the way to it, from
/// its end.
pub(crate) struct Refusal {
    class: &'static str,
    what: String,
    way: Vec<String>,
}

type Converted<T> = Result<T, Refusal>;

impl Refusal {
    fn new(class: &'static str, what: impl Into<String>) -> Refusal {
        Refusal { class, what: what.into(), way: Vec::new() }
    }

    fn of_type(what: impl Into<String>) -> Refusal {
        Refusal::new("FieldTypeError", what)
    }

    /// An error of Python's own, met while a value was looked at.
    fn python(err: PyErr) -> Refusal {
        Refusal::of_type(format!("can't be read: {err}"))
    }

    fn under(mut self, name: impl Into<String>) -> Refusal {
        self.way.push(name.into());
        self
    }

    /// The exception, for a value that belongs at `path`.
    pub(crate) fn raise_at(self, py: Python<'_>, path: &Path) -> PyErr {
        let path = self.way.iter().rev().fold(path.clone(), |path, name| path.child(name));
        let subject = match path.depth() {
            0 => "the document".to_owned(),
            _ => format!("the field '{path}'"),
        };
        exception(py, self.class, &format!("{subject} {}", self.what))
    }

    /// The exception, for a document of several.
    pub(crate) fn raise_in(self, py: Python<'_>, id: &str) -> PyErr {
        let way = self.way.iter().rev().fold(Path::root(), |path, name| path.child(name));
        let subject = match way.depth() {
            0 => format!("the document '{id}'"),
            _ => format!("the field '{way}' of the document '{id}'"),
        };
        exception(py, self.class, &format!("{subject} {}", self.what))
    }
}

fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map(|name| name.to_string()).unwrap_or_else(|_| "object".to_owned())
}

/// The fields of a dict.
pub(crate) fn fields_of(object: &Bound<'_, PyAny>) -> Converted<Fields> {
    let classes = Classes::get(object.py()).map_err(Refusal::python)?;
    match object.cast::<PyDict>() {
        Ok(dict) => fields_at(classes, dict, 0),
        Err(_) => Err(Refusal::of_type(format!("must be a dict, not {}", type_name(object)))),
    }
}

/// One field.
pub(crate) fn field_of(object: &Bound<'_, PyAny>) -> Converted<Field> {
    field_at(Classes::get(object.py()).map_err(Refusal::python)?, object, 1)
}

/// One element of a set.
pub(crate) fn element_of(object: &Bound<'_, PyAny>) -> Converted<Value> {
    let classes = Classes::get(object.py()).map_err(Refusal::python)?;
    match scalar(classes, object)? {
        Some(value) => Ok(value),
        None => Err(not_an_element(object)),
    }
}

fn fields_at(classes: &Classes, dict: &Bound<'_, PyDict>, depth: usize) -> Converted<Fields> {
    check_depth(depth)?;
    let mut fields = Fields::new();
    for (key, value) in dict.iter() {
        let name = name_of(&key)?;
        match field_at(classes, &value, depth + 1) {
            Ok(field) => fields.insert(name, field),
            Err(refusal) => return Err(refusal.under(name)),
        };
    }
    Ok(fields)
}

fn field_at(classes: &Classes, object: &Bound<'_, PyAny>, depth: usize) -> Converted<Field> {
    let py = object.py();
    if let Some(value) = scalar(classes, object)? {
        return Ok(Field::Value(value));
    }
    if let Ok(dict) = object.cast::<PyDict>() {
        return fields_at(classes, dict, depth).map(Field::Map);
    }
    if object.is_instance_of::<PySet>() || object.is_instance_of::<PyFrozenSet>() {
        return elements(classes, object).map(Field::Set);
    }
    if object.is_instance(classes.counter.bind(py)).map_err(Refusal::python)? {
        let sum = object.getattr("value").map_err(Refusal::python)?;
        return match integer(&sum)? {
            Value::Int(sum) => Ok(Field::Counter(sum)),
            _ => Err(Refusal::new("OverflowError", "is a counter beyond 64 bits")),
        };
    }
    value_at(classes, object, depth).map(Field::Value)
}

fn elements(classes: &Classes, set: &Bound<'_, PyAny>) -> Converted<BTreeSet<Value>> {
    let mut elements = BTreeSet::new();
    for element in set.try_iter().map_err(Refusal::python)? {
        let element = element.map_err(Refusal::python)?;
        match scalar(classes, &element)? {
            Some(value) => elements.insert(value),
            None => return Err(not_an_element(&element)),
        };
    }
    Ok(elements)
}

fn not_an_element(object: &Bound<'_, PyAny>) -> Refusal {
    Refusal::of_type(format!(
        "can't hold an element of type {}; the elements of a set are None, bool, int, float, str, bytes and datetime",
        type_name(object)
    ))
}

/// A value inside an array: no fields, so neither sets nor counters.
fn value_at(classes: &Classes, object: &Bound<'_, PyAny>, depth: usize) -> Converted<Value> {
    if let Some(value) = scalar(classes, object)? {
        return Ok(value);
    }
    if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        check_depth(depth)?;
        let mut items = Vec::new();
        for (at, item) in object.try_iter().map_err(Refusal::python)?.enumerate() {
            let item = item.map_err(Refusal::python)?;
            let value = value_at(classes, &item, depth + 1);
            items.push(value.map_err(|refusal| refusal.under(at.to_string()))?);
        }
        return Ok(Value::Array(items));
    }
    if let Ok(dict) = object.cast::<PyDict>() {
        check_depth(depth)?;
        let mut members = BTreeMap::new();
        for (key, value) in dict.iter() {
            let name = name_of(&key)?;
            match value_at(classes, &value, depth + 1) {
                Ok(value) => members.insert(name, value),
                Err(refusal) => return Err(refusal.under(name)),
            };
        }
        return Ok(Value::Object(members));
    }
    Err(unsupported(classes, object))
}

fn unsupported(classes: &Classes, object: &Bound<'_, PyAny>) -> Refusal {
    let name = type_name(object);
    let is_counter = object.is_instance(classes.counter.bind(object.py())).unwrap_or(false);
    let is_set = object.is_instance_of::<PySet>() || object.is_instance_of::<PyFrozenSet>();
    let remedy = match (is_set || is_counter, name.as_str()) {
        (true, _) => "a list is replaced as a whole, so it can't hold sets or counters",
        (_, "date") => "write a datetime with a zone, or its isoformat()",
        (_, "Decimal" | "UUID" | "Fraction") => "write its str()",
        (_, "ndarray" | "Series") => "write its tolist()",
        (_, "NAType") => "write None",
        _ => {
            "a field is None, bool, int, float, str, bytes, datetime, list, dict, set or littoral.Counter"
        }
    };
    Refusal::of_type(format!("is of type {name}; {remedy}"))
}

/// The value of an object that is one by itself; `None` for containers and unknown types.
fn scalar(classes: &Classes, object: &Bound<'_, PyAny>) -> Converted<Option<Value>> {
    if let Ok(text) = object.cast::<PyString>() {
        return text_of(text).map(|text| Some(Value::from(text)));
    }
    if let Ok(truth) = object.cast::<PyBool>() {
        return Ok(Some(Value::Bool(truth.is_true())));
    }
    if object.is_instance_of::<PyInt>() {
        return integer(object).map(Some);
    }
    if let Ok(number) = object.cast::<PyFloat>() {
        let number = number.value();
        return match number.is_finite() {
            true => Ok(Some(Value::Float(number))),
            false => Err(Refusal::new(
                "InvalidInputError",
                format!("is {}, which can't be stored; write None", float_name(number)),
            )),
        };
    }
    if object.is_none() {
        return Ok(Some(Value::Null));
    }
    if object.is_instance_of::<PyDict>() || object.is_instance_of::<PyList>() {
        return Ok(None);
    }
    if object.is_instance_of::<PyBytes>()
        || object.is_instance_of::<PyByteArray>()
        || object.is_instance_of::<PyMemoryView>()
    {
        let bytes = PyBytes::type_object(object.py()).call1((object,)).map_err(Refusal::python)?;
        let bytes = bytes.cast::<PyBytes>().map_err(|err| Refusal::python(err.into()))?;
        return Ok(Some(Value::Bytes(bytes.as_bytes().to_vec())));
    }
    rare(classes, object)
}

fn rare(classes: &Classes, object: &Bound<'_, PyAny>) -> Converted<Option<Value>> {
    let py = object.py();
    let is = |class: &Py<pyo3::types::PyType>| object.is_instance(class.bind(py));
    if is(&classes.datetime).map_err(Refusal::python)? {
        return time(classes, object).map(Some);
    }
    if is(&classes.moment).map_err(Refusal::python)? {
        let micros = object.getattr("micros").map_err(Refusal::python)?;
        return match integer(&micros)? {
            Value::Int(micros) => Ok(Some(Value::Time(micros))),
            _ => Err(Refusal::new("OverflowError", "is a time beyond 64 bits")),
        };
    }
    if is(&classes.opaque).map_err(Refusal::python)? {
        let parts = || -> PyResult<Value> {
            Ok(Value::Opaque {
                kind: object.getattr("kind")?.extract()?,
                bytes: object.getattr("data")?.extract()?,
            })
        };
        return parts().map(Some).map_err(Refusal::python);
    }
    if is(&classes.counter).map_err(Refusal::python)? {
        return Ok(None);
    }
    // The scalars of numpy are Python's by another name.
    if is_of_numpy(object)
        && let Ok(plain) = object.call_method0("item")
        && !plain.get_type().is(object.get_type())
    {
        return scalar(classes, &plain);
    }
    // Integers of other libraries.
    match object.hasattr("__index__").unwrap_or(false) {
        true => match classes.index.bind(py).call1((object,)) {
            Ok(number) => integer(&number).map(Some),
            Err(_) => Ok(None),
        },
        false => Ok(None),
    }
}

fn is_of_numpy(object: &Bound<'_, PyAny>) -> bool {
    let module = object.get_type().module();
    module.is_ok_and(|module| module.to_cow().is_ok_and(|name| name == "numpy"))
}

fn float_name(number: f64) -> &'static str {
    match (number.is_nan(), number > 0.0) {
        (true, _) => "NaN",
        (_, true) => "infinity",
        (_, false) => "minus infinity",
    }
}

fn integer(object: &Bound<'_, PyAny>) -> Converted<Value> {
    let beyond = |err: PyErr| match err.is_instance_of::<PyOverflowError>(object.py()) {
        true => Refusal::new(
            "OverflowError",
            "is an integer beyond 64 bits; write it as str, or as float if it need not be exact",
        ),
        false => Refusal::python(err),
    };
    match object.extract::<i64>() {
        Ok(number) => Ok(Value::Int(number)),
        Err(_) => object.extract::<u64>().map(Value::UInt).map_err(beyond),
    }
}

fn time(classes: &Classes, moment: &Bound<'_, PyAny>) -> Converted<Value> {
    let py = moment.py();
    // That of pandas which is no time is a datetime, too.
    let zone = moment
        .call_method0("utcoffset")
        .map_err(|err| Refusal::of_type(format!("is no moment ({err}); write None")))?;
    if zone.is_none() {
        return Err(Refusal::of_type(
            "is a datetime without a zone, which is no certain moment; \
             write datetime.now(timezone.utc), or give it a zone with .replace(tzinfo=...)",
        ));
    }
    let micros = || -> PyResult<i64> {
        let delta = moment.sub(classes.epoch.bind(py))?;
        let part = |name: &str| delta.getattr(name)?.extract::<i64>();
        Ok(part("days")? * MICROS_PER_DAY + part("seconds")? * 1_000_000 + part("microseconds")?)
    };
    micros().map(Value::Time).map_err(Refusal::python)
}

fn name_of(key: &Bound<'_, PyAny>) -> Converted<String> {
    match key.cast::<PyString>() {
        Ok(name) => text_of(name),
        Err(_) => Err(Refusal::of_type(format!(
            "has a key of type {}; the names of fields are str",
            type_name(key)
        ))),
    }
}

fn text_of(text: &Bound<'_, PyString>) -> Converted<String> {
    match text.to_cow() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(Refusal::new(
            "InvalidInputError",
            "holds a lone surrogate, which is no text; write bytes for what is not Unicode",
        )),
    }
}

/// Keeps recursion bounded; the exact limit is the store's to check.
fn check_depth(depth: usize) -> Converted<()> {
    match depth > MAX_DEPTH {
        true => {
            Err(Refusal::new("LimitError", format!("is nested deeper than {MAX_DEPTH} levels")))
        }
        false => Ok(()),
    }
}

/// A path: a str is one top-level field, a tuple or list of str goes deeper.
pub(crate) fn path_of(object: &Bound<'_, PyAny>) -> PyResult<Path> {
    let py = object.py();
    if let Ok(name) = object.cast::<PyString>() {
        return Ok(Path::from(text_of(name).map_err(|bad| bad.raise_at(py, &Path::root()))?));
    }
    if object.is_instance_of::<PyTuple>() || object.is_instance_of::<PyList>() {
        let names = object
            .try_iter()?
            .map(|name| name_of(&name?).map_err(|bad| bad.raise_at(py, &Path::root())));
        return Ok(Path::from(names.collect::<PyResult<Vec<String>>>()?));
    }
    Err(exception(
        py,
        "FieldTypeError",
        &format!(
            "a path is a str for a top-level field, or a tuple of str for one below; this is of type {}",
            type_name(object)
        ),
    ))
}

/// The id of a document, or what else must be text.
pub(crate) fn id_of(object: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = object.py();
    match object.cast::<PyString>() {
        Ok(id) => id.to_cow().map(|id| id.into_owned()).map_err(|_| {
            exception(
                py,
                "InvalidInputError",
                "the id of a document is text; this one holds a lone surrogate",
            )
        }),
        Err(_) => Err(exception(
            py,
            "FieldTypeError",
            &format!("the id of a document is a str, not {}", type_name(object)),
        )),
    }
}

/// A new dict subclass `littoral.Document` with `fields`.
pub(crate) fn document_to_py<'py>(
    py: Python<'py>,
    document: &Document,
) -> PyResult<Bound<'py, PyDict>> {
    let classes = Classes::get(py)?;
    let made = classes.document.bind(py).call0()?.cast_into::<PyDict>()?;
    fill(classes, &made, document.fields())?;
    Ok(made)
}

/// Puts `fields` into a dict.
pub(crate) fn fill(classes: &Classes, dict: &Bound<'_, PyDict>, fields: &Fields) -> PyResult<()> {
    for (name, field) in fields {
        dict.set_item(name.as_str(), to_py(classes, dict.py(), field)?)?;
    }
    Ok(())
}

/// A field as Python has it.
pub(crate) fn field_to_py<'py>(py: Python<'py>, field: &Field) -> PyResult<Bound<'py, PyAny>> {
    to_py(Classes::get(py)?, py, field)
}

fn to_py<'py>(classes: &Classes, py: Python<'py>, field: &Field) -> PyResult<Bound<'py, PyAny>> {
    match field {
        Field::Value(value) => value_to_py(classes, py, value),
        Field::Map(fields) => {
            let dict = PyDict::new(py);
            fill(classes, &dict, fields)?;
            Ok(dict.into_any())
        }
        Field::Set(elements) => {
            let set = PySet::empty(py)?;
            for element in elements {
                set.add(value_to_py(classes, py, element)?)?;
            }
            Ok(set.into_any())
        }
        Field::Counter(sum) => classes.counter.bind(py).call1((*sum,)),
    }
}

fn value_to_py<'py>(
    classes: &Classes,
    py: Python<'py>,
    value: &Value,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(truth) => PyBool::new(py, *truth).to_owned().into_any(),
        Value::Int(number) => number.into_pyobject(py)?.into_any(),
        Value::UInt(number) => number.into_pyobject(py)?.into_any(),
        Value::Float(number) => PyFloat::new(py, *number).into_any(),
        Value::Text(text) => PyString::new(py, text).into_any(),
        Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        Value::Time(micros) => match time_to_py(classes, py, *micros) {
            Ok(moment) => moment,
            // Outside of the years that a datetime has.
            Err(_) => classes.moment.bind(py).call1((*micros,))?,
        },
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(value_to_py(classes, py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(members) => {
            let dict = PyDict::new(py);
            for (name, member) in members {
                dict.set_item(name, value_to_py(classes, py, member)?)?;
            }
            dict.into_any()
        }
        Value::Opaque { kind, bytes } => {
            classes.opaque.bind(py).call1((*kind, PyBytes::new(py, bytes)))?
        }
    })
}

/// A datetime in UTC; an error if it is outside of the years 1 to 9999.
pub(crate) fn time_to_py<'py>(
    classes: &Classes,
    py: Python<'py>,
    micros: i64,
) -> PyResult<Bound<'py, PyAny>> {
    let (days, rest) = (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY));
    let delta = classes.timedelta.bind(py).call1((days, rest / 1_000_000, rest % 1_000_000))?;
    classes.epoch.bind(py).add(delta)
}
