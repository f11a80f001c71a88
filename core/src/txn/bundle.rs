//! The bytes of a bundle: transactions and snapshots in a file, for whoever carries it.
//!
//! A file is a header and then frames. Three kinds of file have this form: a *bundle* carries
//! changes, a *vector file* says what a store holds, so that a bundle can leave that out, and a
//! *backup* is all that a store held at one moment. Pure: what goes into one and what becomes of it
//! is the store's business.
//!
//! | header | bytes |
//! | --- | --- |
//! | magic | 16: `littoral bundle`, `littoral vector` or `littoral backup`, and a line feed |
//! | format | 1: `01` |
//! | network | 16 |
//! | maker | 32: the key of the node that made it; zeros in a vector file made from a bundle |
//! | made | 8, big-endian: when, in milliseconds since 1970, by its clock |
//! | check | 16 of `BLAKE3-derive-key("littoral v1 bundle", all before)` |
//!
//! | frame | bytes |
//! | --- | --- |
//! | kind | 1 |
//! | length | 4, big-endian: bytes of the content |
//! | content | by kind, below |
//! | check | 16 of `BLAKE3-derive-key("littoral v1 bundle frame", the check before ‖ kind ‖ length ‖ content)` |
//!
//! Each check covers the one before it: a frame that is damaged, missing, moved or there twice is
//! noticed where it is, and a file that was cut by its end frame.
//!
//! | kind | of | content |
//! | --- | --- | --- |
//! | `01` transactions | bundle | length and name of a collection; vector: what its receiver is taken to hold |
//! | `02` some of them | bundle | count; each: length and bytes, signature at the end; in log order |
//! | `03` snapshot | bundle, backup | length and name of a collection; length and head of a view, signed by the maker |
//! | `04` some documents | bundle, backup | count; each: length and id, length and row as in a snapshot; by id |
//! | `05` end of a collection | bundle | vector: what who has applied it holds at least |
//! | `06` wanted | vector | `00`: all; `01` and count; each: length and name |
//! | `07` held | vector | length and name of a collection; vector |
//! | `08` settings | backup | count; each: what it is, 1; length and key; length and value: see [`Setting`] |
//! | `09` some statements | backup | founder 32; count; each: length and statement of the roster; each after those it follows |
//! | `0a` counted | backup | three counts: documents, documents in conflict, transactions of the collection that ends |
//! | `7f` end | all | count: collections in the file |
//!
//! A bundle is `(01 02* 05 | 03 04* 05)* 7f`, a vector file `06 07* 7f`, a backup
//! `08* 09* (03 04* 0a)* 7f`; collections are in the order of their names, each once. A vector is a count; each: origin 36, number 8 big-endian, 16
//! of the hash; sorted. Vectors are not signed: they decide what is left out, never what is held
//! (rule 10).

use std::collections::BTreeSet;

use super::NetworkId;
use super::sign::SIGNATURE_BYTES;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Head, NodeId, Origin, ShortHash, Vector, check_collection, check_id};
use crate::limits::{
    MAX_BUNDLE_COLLECTIONS, MAX_BUNDLE_DOCUMENTS_BYTES, MAX_FRAME_BYTES,
    MAX_SNAPSHOT_DOCUMENT_BYTES, MAX_SNAPSHOT_LIST, MAX_STATEMENT_BYTES, MAX_VECTOR_ENTRIES,
};
use crate::wire::{Reader, put_bytes, put_uint};

const FORMAT: u8 = 1;

/// Bytes of a header.
pub const HEADER_BYTES: usize = MAGIC_BYTES + 1 + 16 + 32 + 8 + CHECK_BYTES;
/// Bytes of a header that say what the file is and in which format.
pub const MARK_BYTES: usize = MAGIC_BYTES + 1;
/// Bytes before a frame's content.
pub const FRAME_HEAD_BYTES: usize = 5;
/// Bytes of a check.
pub const CHECK_BYTES: usize = 16;

const MAGIC_BYTES: usize = 16;
const BUNDLE_MAGIC: &[u8; MAGIC_BYTES] = b"littoral bundle\n";
const VECTOR_MAGIC: &[u8; MAGIC_BYTES] = b"littoral vector\n";
const BACKUP_MAGIC: &[u8; MAGIC_BYTES] = b"littoral backup\n";

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Changes.
    Bundle,
    /// What a store holds.
    Vector,
    /// All that a store held at one moment.
    Backup,
}

impl FileKind {
    /// What such a file is called.
    pub fn noun(self) -> &'static str {
        match self {
            FileKind::Bundle | FileKind::Vector => "bundle",
            FileKind::Backup => "backup",
        }
    }
}

/// Who made a file, when and for which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the file is.
    pub kind: FileKind,
    /// The network that its maker belongs to.
    pub network: NetworkId,
    /// Who made it. Nothing but the snapshots in it shows that this is true.
    pub maker: NodeId,
    /// When, by its maker's clock.
    pub made_ms: u64,
}

/// What proves that a frame is whole, and follows what it followed when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check([u8; CHECK_BYTES]);

/// The content of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Transactions of a collection follow.
    Transactions {
        /// Which.
        collection: String,
        /// How forked origins are named: see [`branches`](super::branches). Nothing if none has.
        branches: Vec<u8>,
        /// What its receiver is taken to hold: that is left out.
        base: Vector,
    },
    /// Some of them, as they are in the log.
    Txns(Vec<Vec<u8>>),
    /// A snapshot of a collection follows.
    Snapshot {
        /// Which.
        collection: String,
        /// The head of the view, signed by the maker.
        head: Vec<u8>,
    },
    /// Some of its documents: id, and row as it travels.
    Documents(Vec<(String, Vec<u8>)>),
    /// The collection ends.
    EndOfCollection {
        /// What who has applied it holds at least.
        to: Vector,
    },
    /// Which collections the maker of a vector file wants; `None` is all.
    Wanted(Option<BTreeSet<String>>),
    /// What it holds of one.
    Held {
        /// Which.
        collection: String,
        /// What.
        vector: Vector,
    },
    /// Some of what the store was told.
    Settings(Vec<Setting>),
    /// Some of the statements of its roster.
    Statements {
        /// Who founded it.
        founder: NodeId,
        /// Signed, each after those it follows.
        statements: Vec<Vec<u8>>,
    },
    /// The collection of a backup ends.
    Counted(Counted),
    /// The file ends.
    End {
        /// How many collections were in it.
        collections: u64,
    },
}

/// A row of what a store was told, as it lies in its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// What it is.
    pub kind: SettingKind,
    /// Its key there.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// What a [`Setting`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// Which collections the store wants: `01`. No key.
    Wanted,
    /// How much history the log keeps of a collection: `02`. Key: its name, or nothing.
    Budget,
    /// A peer that is trusted: `03`. Key: its key.
    Peer,
    /// Which checkpoints the store makes by itself: `04`. No key.
    Automatic,
}

impl SettingKind {
    const ALL: [SettingKind; 4] =
        [SettingKind::Wanted, SettingKind::Budget, SettingKind::Peer, SettingKind::Automatic];

    fn byte(self) -> u8 {
        self as u8 + 1
    }
}

/// How much there is of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Documents that it shows.
    pub documents: u64,
    /// Those of them that are in conflict.
    pub conflicts: u64,
    /// Transactions that went into it.
    pub transactions: u64,
}

const TRANSACTIONS: u8 = 0x01;
const TXNS: u8 = 0x02;
const SNAPSHOT: u8 = 0x03;
const DOCUMENTS: u8 = 0x04;
const END_OF_COLLECTION: u8 = 0x05;
const WANTED: u8 = 0x06;
const HELD: u8 = 0x07;
const SETTINGS: u8 = 0x08;
const STATEMENTS: u8 = 0x09;
const COUNTED: u8 = 0x0a;
const END: u8 = 0x7f;

impl Header {
    /// The header's bytes, and the check in them, which the first frame's goes on from.
    pub fn encode(&self) -> (Vec<u8>, Check) {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(match self.kind {
            FileKind::Bundle => BUNDLE_MAGIC,
            FileKind::Vector => VECTOR_MAGIC,
            FileKind::Backup => BACKUP_MAGIC,
        });
        out.push(FORMAT);
        out.extend_from_slice(&self.network.0);
        out.extend_from_slice(self.maker.as_bytes());
        out.extend_from_slice(&self.made_ms.to_be_bytes());
        let check = Check::of_header(&out);
        out.extend_from_slice(&check.0);
        (out, check)
    }

    /// What kind of file begins so, if this version can read it. All else is for
    /// [`Header::decode`].
    pub fn kind_of(mark: &[u8; MARK_BYTES]) -> Result<FileKind> {
        let (magic, format) = mark.split_at(MAGIC_BYTES);
        let kind = match magic {
            magic if magic == BUNDLE_MAGIC => FileKind::Bundle,
            magic if magic == VECTOR_MAGIC => FileKind::Vector,
            magic if magic == BACKUP_MAGIC => FileKind::Backup,
            _ => return Err(no_bundle()),
        };
        match format[0] {
            FORMAT => Ok(kind),
            format => Err(Error::new(
                ErrorKind::FormatTooNew,
                format!(
                    "the {} has format {format}, this version knows format {FORMAT}; upgrade Littoral here",
                    kind.noun()
                ),
            )),
        }
    }

    /// Reads what [`Header::encode`] wrote; `None` if it is damaged.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Option<(Header, Check)>> {
        let mut reader = Reader::new(bytes, "bundle");
        let kind = Header::kind_of(&reader.array()?)?;
        let header = Header {
            kind,
            network: NetworkId(reader.array()?),
            maker: NodeId::from_bytes(reader.array()?),
            made_ms: u64::from_be_bytes(reader.array()?),
        };
        let check = Check(reader.array()?);
        let checked = Check::of_header(&bytes[..HEADER_BYTES - CHECK_BYTES]);
        Ok((check == checked).then_some((header, check)))
    }
}

/// The error for a file that is something else.
pub fn no_bundle() -> Error {
    Error::invalid(
        "this file is not a bundle: `littoral bundle create` makes bundles, `littoral bundle have` what they are made for",
    )
}

/// The error for a file that should be a backup and is something else.
pub fn no_backup() -> Error {
    Error::invalid(
        "this file is not a backup: `littoral backup` makes backups; what `littoral bundle create` made is for `littoral bundle apply`",
    )
}

impl Check {
    fn of_header(bytes: &[u8]) -> Check {
        Check::cut(blake3::derive_key("littoral v1 bundle", bytes))
    }

    /// Of a frame that follows what this is of.
    pub fn next(&self, head: &[u8; FRAME_HEAD_BYTES], content: &[u8]) -> Check {
        let mut hasher = blake3::Hasher::new_derive_key("littoral v1 bundle frame");
        hasher.update(&self.0).update(head).update(content);
        Check::cut(*hasher.finalize().as_bytes())
    }

    fn cut(hash: [u8; 32]) -> Check {
        Check(hash[..CHECK_BYTES].try_into().expect("16 of 32 bytes"))
    }

    /// As it is written.
    pub fn to_bytes(self) -> [u8; CHECK_BYTES] {
        self.0
    }
}

/// What comes before a frame's content. What is too large for a frame is an error.
pub fn frame_head(kind: u8, content: &[u8]) -> Result<[u8; FRAME_HEAD_BYTES]> {
    check_length(kind, content.len())?;
    let mut head = [kind; FRAME_HEAD_BYTES];
    head[1..].copy_from_slice(&(content.len() as u32).to_be_bytes());
    Ok(head)
}

/// The kind and the length of the content that follows, if that is allowed to be so long.
pub fn read_frame_head(head: &[u8; FRAME_HEAD_BYTES]) -> Result<(u8, usize)> {
    let length = u32::from_be_bytes(head[1..].try_into().expect("4 of 5 bytes")) as usize;
    check_length(head[0], length).map(|()| (head[0], length))
}

fn check_length(kind: u8, length: usize) -> Result<()> {
    let limit = match kind {
        DOCUMENTS => MAX_BUNDLE_DOCUMENTS_BYTES,
        _ => MAX_FRAME_BYTES,
    };
    match length <= limit {
        true => Ok(()),
        false => Err(Error::limit(format!(
            "a frame of a bundle or backup has at most {limit} bytes; this one has {length}"
        ))),
    }
}

impl Part {
    /// The kind of its frame, and the content.
    pub fn encode(&self) -> (u8, Vec<u8>) {
        let mut out = Vec::new();
        let kind = match self {
            Part::Transactions { collection, branches, base } => {
                put_bytes(&mut out, collection.as_bytes());
                put_bytes(&mut out, branches);
                put_vector(&mut out, base);
                TRANSACTIONS
            }
            Part::Txns(txns) => {
                put_uint(&mut out, txns.len() as u64);
                txns.iter().for_each(|txn| put_bytes(&mut out, txn));
                TXNS
            }
            Part::Snapshot { collection, head } => {
                put_bytes(&mut out, collection.as_bytes());
                put_bytes(&mut out, head);
                SNAPSHOT
            }
            Part::Documents(documents) => {
                put_uint(&mut out, documents.len() as u64);
                for (id, packed) in documents {
                    put_bytes(&mut out, id.as_bytes());
                    put_bytes(&mut out, packed);
                }
                DOCUMENTS
            }
            Part::EndOfCollection { to } => {
                put_vector(&mut out, to);
                END_OF_COLLECTION
            }
            Part::Wanted(names) => {
                out.push(u8::from(names.is_some()));
                if let Some(names) = names {
                    put_uint(&mut out, names.len() as u64);
                    names.iter().for_each(|name| put_bytes(&mut out, name.as_bytes()));
                }
                WANTED
            }
            Part::Held { collection, vector } => {
                put_bytes(&mut out, collection.as_bytes());
                put_vector(&mut out, vector);
                HELD
            }
            Part::Settings(settings) => {
                put_uint(&mut out, settings.len() as u64);
                for setting in settings {
                    out.push(setting.kind.byte());
                    put_bytes(&mut out, &setting.key);
                    put_bytes(&mut out, &setting.value);
                }
                SETTINGS
            }
            Part::Statements { founder, statements } => {
                out.extend_from_slice(founder.as_bytes());
                put_uint(&mut out, statements.len() as u64);
                statements.iter().for_each(|statement| put_bytes(&mut out, statement));
                STATEMENTS
            }
            Part::Counted(counted) => {
                put_uint(&mut out, counted.documents);
                put_uint(&mut out, counted.conflicts);
                put_uint(&mut out, counted.transactions);
                COUNTED
            }
            Part::End { collections } => {
                put_uint(&mut out, *collections);
                END
            }
        };
        (kind, out)
    }

    /// Reads what [`Part::encode`] wrote, and checks its form.
    ///
    /// Errors: [`FormatTooNew`](ErrorKind::FormatTooNew) for a kind that this version does not
    /// know, [`InvalidTransaction`](ErrorKind::InvalidTransaction) for what is malformed.
    pub fn decode(kind: u8, content: &[u8]) -> Result<Part> {
        let mut reader = Reader::new(content, "bundle");
        let part = match kind {
            TRANSACTIONS => Part::Transactions {
                collection: name(&mut reader)?,
                branches: reader.bytes()?.to_vec(),
                base: vector(&mut reader)?,
            },
            TXNS => Part::Txns(txns(&mut reader)?),
            SNAPSHOT => {
                let collection = name(&mut reader)?;
                Part::Snapshot { collection, head: reader.bytes()?.to_vec() }
            }
            DOCUMENTS => Part::Documents(documents(&mut reader)?),
            END_OF_COLLECTION => Part::EndOfCollection { to: vector(&mut reader)? },
            WANTED => Part::Wanted(wanted(&mut reader)?),
            HELD => Part::Held { collection: name(&mut reader)?, vector: vector(&mut reader)? },
            SETTINGS => Part::Settings(settings(&mut reader)?),
            STATEMENTS => Part::Statements {
                founder: NodeId::from_bytes(reader.array()?),
                statements: statements(&mut reader)?,
            },
            COUNTED => Part::Counted(Counted {
                documents: reader.uint()?,
                conflicts: reader.uint()?,
                transactions: reader.uint()?,
            }),
            END => Part::End { collections: reader.uint()? },
            unknown => {
                return Err(Error::new(
                    ErrorKind::FormatTooNew,
                    format!(
                        "the file has a part {unknown} that this version does not know; upgrade Littoral here"
                    ),
                ));
            }
        };
        reader.end().map(|()| part)
    }
}

fn name(reader: &mut Reader<'_>) -> Result<String> {
    let name = reader.str()?;
    check_collection(name).map_err(|err| reader.bad(err.message()))?;
    Ok(name.to_owned())
}

fn txns(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>> {
    let count = reader.count()?;
    let txn = |_| match reader.bytes()? {
        bytes if bytes.len() > SIGNATURE_BYTES => Ok(bytes.to_vec()),
        // So many would fit into a frame that holding them took far more memory than the frame.
        _ => Err(reader.bad("a transaction that is too short")),
    };
    (0..count).map(txn).collect()
}

fn documents(reader: &mut Reader<'_>) -> Result<Vec<(String, Vec<u8>)>> {
    let count = reader.count()?;
    if count > MAX_SNAPSHOT_LIST {
        return Err(reader.bad("more documents than a frame may have"));
    }
    let mut documents: Vec<(String, Vec<u8>)> = Vec::new();
    for _ in 0..count {
        let (id, packed) = (reader.str()?, reader.bytes()?);
        check_id(id).map_err(|err| reader.bad(err.message()))?;
        if packed.len() > MAX_SNAPSHOT_DOCUMENT_BYTES {
            return Err(reader.bad("a document over the limit"));
        }
        if documents.last().is_some_and(|(last, _)| last.as_str() >= id) {
            return Err(reader.bad("documents out of order"));
        }
        documents.push((id.to_owned(), packed.to_vec()));
    }
    Ok(documents)
}

fn wanted(reader: &mut Reader<'_>) -> Result<Option<BTreeSet<String>>> {
    match reader.u8()? {
        0 => Ok(None),
        1 => {
            let count = reader.count()?;
            if count > MAX_BUNDLE_COLLECTIONS {
                return Err(reader.bad("more collections than a bundle may have"));
            }
            (0..count).map(|_| name(reader)).collect::<Result<_>>().map(Some)
        }
        _ => Err(reader.bad("unknown collections")),
    }
}

fn settings(reader: &mut Reader<'_>) -> Result<Vec<Setting>> {
    let count = reader.count()?;
    if count > MAX_SNAPSHOT_LIST {
        return Err(reader.bad("more settings than a frame may have"));
    }
    let mut settings = Vec::with_capacity(count);
    for _ in 0..count {
        let byte = reader.u8()?;
        let kind = SettingKind::ALL.into_iter().find(|kind| kind.byte() == byte);
        let kind = kind.ok_or_else(|| {
            Error::new(
                ErrorKind::FormatTooNew,
                format!(
                    "the backup has a setting {byte} that this version does not know; upgrade Littoral here"
                ),
            )
        })?;
        let (key, value) = (reader.bytes()?.to_vec(), reader.bytes()?.to_vec());
        settings.push(Setting { kind, key, value });
    }
    Ok(settings)
}

fn statements(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>> {
    let count = reader.count()?;
    let statement = |_| match reader.bytes()? {
        bytes if (SIGNATURE_BYTES + 1..=MAX_STATEMENT_BYTES).contains(&bytes.len()) => {
            Ok(bytes.to_vec())
        }
        _ => Err(reader.bad("a statement that is too short or too long")),
    };
    (0..count).map(statement).collect()
}

fn put_vector(out: &mut Vec<u8>, vector: &Vector) {
    put_uint(out, vector.len() as u64);
    for (origin, head) in vector.iter() {
        out.extend_from_slice(&origin.to_bytes());
        out.extend_from_slice(&head.seq.to_be_bytes());
        out.extend_from_slice(&head.hash.0);
    }
}

fn vector(reader: &mut Reader<'_>) -> Result<Vector> {
    let count = reader.count()?;
    if count > MAX_VECTOR_ENTRIES {
        return Err(reader.bad("more origins than a vector may have"));
    }
    let (mut vector, mut last) = (Vector::new(), None);
    for _ in 0..count {
        let origin = Origin::from_bytes(&reader.array()?);
        let seq = u64::from_be_bytes(reader.array()?);
        if seq == 0 || last.replace(origin).is_some_and(|last| last >= origin) {
            return Err(reader.bad("a vector that is not sorted and unique"));
        }
        vector.advance(origin, Head { seq, hash: ShortHash(reader.array()?) });
    }
    Ok(vector)
}

#[cfg(test)]
mod tests;
