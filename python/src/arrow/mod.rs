//! Collections as Arrow, and Arrow as documents, by the C data interface (PyCapsules): pandas,
//! polars, duckdb and pyarrow read and write it without any code of ours for each.
//!
//! [`shape`] says which column is for what, [`column`] fills columns from documents, [`rows`] makes
//! documents of batches. What is inferred is inferred from all documents, in a pass over the same
//! moment as the one that fills: no sample, no guess. Streams hold one batch at a time.

mod column;
mod rows;
mod shape;

use std::sync::{Arc, Mutex};

use arrow_array::{ArrayRef, RecordBatch, StructArray};
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Fields as ArrowFields, Schema};
use littoral::{Document, Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::PySchema;
use pyo3_arrow::ffi::{ArrayIterator, ArrayReader, to_schema_pycapsule, to_stream_pycapsule};
use pyo3_arrow::input::AnyRecordBatch;

use crate::error::exception;
use crate::open_store::{OpenStore, Owned, detached, lock};
use column::{Column, Misfit, push_fields};
use rows::Plan;
use shape::Shape;

/// Rows of a batch, and about how many bytes of documents.
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: usize = 16 << 20;
/// Documents looked at, or rows made documents, between two looks for Ctrl-C.
pub(crate) const SLICE: usize = 1_000;
/// The most columns that are inferred.
const MOST_COLUMNS: usize = 10_000;

/// Documents as a stream of Arrow batches: for `pyarrow.table(..)`, `polars.from_arrow(..)` and
/// whatever else takes the Arrow C stream interface. It can be read once.
#[pyclass(frozen, module = "littoral._native")]
pub(crate) struct ArrowStream {
    schema: Arc<Schema>,
    reader: Mutex<Option<Reader>>,
}

#[pymethods]
impl ArrowStream {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let Some(reader) = lock(&self.reader).take() else {
            return Err(exception(py, "ClosedError", "the stream has been read; make another"));
        };
        let item = ArrowField::new("", DataType::Struct(self.schema.fields().clone()), false);
        let item = item.with_metadata(self.schema.metadata().clone());
        let arrays: Box<dyn ArrayReader + Send> =
            Box::new(ArrayIterator::new(reader, Arc::new(item)));
        to_stream_pycapsule(py, arrays, requested_schema).map_err(PyErr::from)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        to_schema_pycapsule(py, self.schema.as_ref()).map_err(PyErr::from)
    }
}

/// The documents of a scan.
type Documents = Box<dyn Iterator<Item = littoral::Result<Document>> + Send>;

/// Fills batches from a scan.
struct Reader {
    open: Arc<OpenStore>,
    scan: Owned<Documents>,
    /// The columns asked for, as they are called.
    schema: Arc<Schema>,
    /// The place of the column of ids, if there is one.
    ids: Option<usize>,
    /// The others, in their plain types, and what is being filled.
    plain: ArrowFields,
    columns: Vec<Column>,
}

impl Reader {
    fn new(
        open: Arc<OpenStore>,
        scan: Documents,
        schema: Arc<Schema>,
        id_column: &str,
    ) -> Result<Reader, String> {
        let ids = schema.index_of(id_column).ok();
        let mut plain = Vec::new();
        for (_, field) in schema.fields().iter().enumerate().filter(|(at, _)| Some(*at) != ids) {
            plain.push(shape::plain_field(field).map_err(|what| {
                format!("the column '{}' of type {} {what}", field.name(), field.data_type())
            })?);
        }
        let columns = plain.iter().map(|field| Column::new(field)).collect();
        Ok(Reader { open, scan: Owned::new(scan), schema, ids, plain: plain.into(), columns })
    }

    fn batch(&mut self) -> Result<Option<ArrayRef>, ArrowError> {
        if self.open.is_closed() {
            return Err(external(Error::new(ErrorKind::Closed, "the store is closed")));
        }
        let Some(scan) = self.scan.get_mut() else { return Ok(None) };
        let (mut ids, mut bytes) = (Vec::new(), 0);
        while ids.len() < BATCH_ROWS && bytes < BATCH_BYTES {
            let Some(document) = scan.next().transpose().map_err(external)? else { break };
            bytes += document.fields().about_bytes();
            push_fields(&self.plain, &mut self.columns, document.fields())
                .map_err(|misfit| misfitting(&document, misfit))?;
            ids.push(document.id().to_owned());
        }
        match ids.is_empty() {
            true => Ok(None),
            false => self.finish(ids).map(Some),
        }
    }

    fn finish(&mut self, ids: Vec<String>) -> Result<ArrayRef, ArrowError> {
        let count = ids.len();
        let mut arrays = Vec::with_capacity(self.columns.len() + 1);
        for column in &mut self.columns {
            arrays.push(column.finish()?);
        }
        if let Some(at) = self.ids {
            arrays.insert(at, Arc::new(arrow_array::StringArray::from(ids)));
        }
        let strict = arrow_cast::CastOptions { safe: false, ..Default::default() };
        for (array, field) in arrays.iter_mut().zip(self.schema.fields()) {
            if array.data_type() != field.data_type() {
                *array = arrow_cast::cast_with_options(array, field.data_type(), &strict)?;
            }
        }
        let fields = self.schema.fields().clone();
        Ok(Arc::new(StructArray::try_new_with_length(fields, arrays, None, count)?))
    }
}

impl Iterator for Reader {
    type Item = Result<ArrayRef, ArrowError>;

    fn next(&mut self) -> Option<Result<ArrayRef, ArrowError>> {
        let found = self.batch().transpose();
        if !matches!(found, Some(Ok(_))) {
            // It has ended, and holds no view of the store any more.
            drop(self.scan.take());
        }
        found
    }
}

fn external(err: Error) -> ArrowError {
    ArrowError::ExternalError(Box::new(err))
}

fn misfitting(document: &Document, misfit: Misfit) -> ArrowError {
    let way: Vec<String> = misfit.way.into_iter().rev().collect();
    let path = littoral::Path::from(way);
    let what = format!("the field '{path}' of the document '{}' {}", document.id(), misfit.what);
    ArrowError::SchemaError(what)
}

/// The documents of two scans of one moment, as a stream: in the columns of `schema`, or in those
/// that the first scan finds.
pub(crate) fn stream(
    py: Python<'_>,
    open: &Arc<OpenStore>,
    [mut first, second]: [impl Iterator<Item = littoral::Result<Document>> + Send + 'static; 2],
    schema: Option<PySchema>,
    id_column: &str,
) -> PyResult<ArrowStream> {
    let invalid = |what: String| exception(py, "InvalidInputError", &what);
    let schema = match schema {
        Some(schema) => schema.into_inner(),
        None => {
            let mut shape = Shape::Map(Default::default());
            while let Some(more) = detached(py, || look_at(&mut first, SLICE))? {
                shape = shape.join(more);
                py.check_signals()?;
            }
            inferred(shape, id_column).map_err(invalid)?
        }
    };
    let reader =
        Reader::new(open.clone(), Box::new(second), schema.clone(), id_column).map_err(invalid)?;
    Ok(ArrowStream { schema, reader: Mutex::new(Some(reader)) })
}

/// What the next documents have in common; none at the end.
fn look_at(
    scan: &mut impl Iterator<Item = littoral::Result<Document>>,
    most: usize,
) -> littoral::Result<Option<Shape>> {
    let mut common: Option<Shape> = None;
    for document in scan.take(most) {
        let shape = Shape::of_fields(document?.fields());
        common = Some(match common {
            None => shape,
            Some(before) => before.join(shape),
        });
    }
    Ok(common)
}

fn inferred(shape: Shape, id_column: &str) -> Result<Arc<Schema>, String> {
    let names = match shape {
        Shape::Map(names) if names.len() <= MOST_COLUMNS => names,
        _ => {
            return Err("the documents have too many different fields for columns; \
                        say with schema which ones you want"
                .to_owned());
        }
    };
    if names.contains_key(id_column) {
        return Err(format!(
            "documents have a field '{id_column}', too; \
             say with id_column what the column of ids is called"
        ));
    }
    let ids = ArrowField::new(id_column, DataType::Utf8, false);
    let columns = names.iter().map(|(name, shape)| shape.column(name));
    Ok(Arc::new(Schema::new([ids].into_iter().chain(columns).collect::<Vec<_>>())))
}

/// Documents of Arrow batches, a batch at a time.
pub(crate) struct Incoming {
    batches: Owned<Box<dyn arrow_array::RecordBatchReader + Send>>,
    plan: Plan,
}

impl Incoming {
    pub(crate) fn new(
        py: Python<'_>,
        source: AnyRecordBatch,
        id_column: &str,
    ) -> PyResult<Incoming> {
        let batches = source.into_reader()?;
        let plan = Plan::new(&batches.schema(), id_column)
            .map_err(|what| exception(py, "InvalidInputError", &what))?;
        Ok(Incoming { batches: Owned::new(batches), plan })
    }

    /// The next rows, of any number; none at the end.
    pub(crate) fn next(&mut self) -> littoral::Result<Option<RecordBatch>> {
        let batch = self.batches.get_mut().and_then(Iterator::next).transpose();
        batch
            .map_err(|err| Error::new(ErrorKind::InvalidInput, format!("the source failed: {err}")))
    }

    /// What rows of a batch say.
    pub(crate) fn documents(
        &mut self,
        rows: &RecordBatch,
    ) -> littoral::Result<Vec<(String, littoral::Fields)>> {
        self.plan.documents(rows).map_err(|what| Error::new(ErrorKind::InvalidInput, what))
    }
}
