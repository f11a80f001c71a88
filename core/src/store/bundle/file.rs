//! The frames of a bundle, or of a backup, written to and read from any stream of bytes.
//!
//! Invariants: a part is given out only after its check was found to fit; parts come in the order
//! that the format allows, collections in the order of their names; memory is taken for what was
//! read, never for what a length announces. The bytes are in [`txn::bundle`](crate::txn::bundle).

use std::io::{Read, Write};

use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_BACKUP_COLLECTIONS, MAX_BUNDLE_COLLECTIONS, MAX_BUNDLE_VECTOR_ENTRIES};
use crate::txn::bundle::{
    CHECK_BYTES, Check, FRAME_HEAD_BYTES, FileKind, HEADER_BYTES, Header, MARK_BYTES, Part,
    frame_head, no_backup, no_bundle, read_frame_head,
};

/// Writes a file, part by part.
pub(in crate::store) struct FileWriter<'a> {
    out: &'a mut dyn Write,
    what: &'static str,
    /// Bytes written.
    at: u64,
    check: Check,
    entries: Entries,
}

/// Counts the entries of all vectors of a file: whoever reads it holds them.
#[derive(Default)]
struct Entries(usize);

impl Entries {
    /// Whether those of another part fit.
    fn take(&mut self, part: &Part) -> bool {
        self.0 += match part {
            Part::Transactions { base: vector, .. }
            | Part::Held { vector, .. }
            | Part::EndOfCollection { to: vector } => vector.len(),
            _ => 0,
        };
        self.0 <= MAX_BUNDLE_VECTOR_ENTRIES
    }
}

impl<'a> FileWriter<'a> {
    /// Begins with the header.
    pub(in crate::store) fn new(out: &'a mut dyn Write, header: &Header) -> Result<FileWriter<'a>> {
        let (bytes, check) = header.encode();
        let (what, entries) = (header.kind.noun(), Entries::default());
        let mut writer = FileWriter { out, what, at: 0, check, entries };
        writer.write(&bytes)?;
        Ok(writer)
    }

    /// Writes a part.
    pub(in crate::store) fn part(&mut self, part: &Part) -> Result<()> {
        if !self.entries.take(part) {
            return Err(Error::limit(format!(
                "the vectors of a bundle have at most {MAX_BUNDLE_VECTOR_ENTRIES} entries together: let fewer collections go into it"
            )));
        }
        let (kind, content) = part.encode();
        let head = frame_head(kind, &content)?;
        self.check = self.check.next(&head, &content);
        self.write(&head)?;
        self.write(&content)?;
        self.write(&self.check.to_bytes())
    }

    /// Ends the file: what all of it comes to, and its bytes.
    pub(in crate::store) fn finish(self) -> Result<(Check, u64)> {
        self.out.flush().map_err(|err| Error::io(format_args!("write the {}", self.what), err))?;
        Ok((self.check, self.at))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.at += bytes.len() as u64;
        let written = self.out.write_all(bytes);
        written.map_err(|err| Error::io(format_args!("write the {}", self.what), err))
    }
}

/// Reads a file, part by part.
pub(in crate::store) struct FileReader<'a> {
    input: &'a mut dyn Read,
    header: Header,
    check: Check,
    /// Bytes read.
    at: u64,
    place: Place,
    last: Option<String>,
    collections: u64,
    entries: Entries,
}

/// Where in a file we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the first part of a vector file, or among the settings of a backup.
    Start,
    /// Among the statements of a backup.
    InRoster,
    /// Before a collection, or the end.
    Between,
    InTransactions,
    InSnapshot,
    /// Behind the end.
    Behind,
}

impl<'a> FileReader<'a> {
    /// Reads the header of a bundle or a vector file.
    pub(super) fn new(input: &'a mut dyn Read) -> Result<FileReader<'a>> {
        FileReader::open(input, |kind| kind != FileKind::Backup, no_bundle)
    }

    /// Reads the header of a backup.
    pub(in crate::store) fn backup(input: &'a mut dyn Read) -> Result<FileReader<'a>> {
        FileReader::open(input, |kind| kind == FileKind::Backup, no_backup)
    }

    fn open(
        input: &'a mut dyn Read,
        is_wanted: fn(FileKind) -> bool,
        other: fn() -> Error,
    ) -> Result<FileReader<'a>> {
        let mut bytes = [0; HEADER_BYTES];
        let (mark, rest) = bytes.split_first_chunk_mut::<MARK_BYTES>().expect("a mark is shorter");
        if fill(input, mark)? < MARK_BYTES {
            return Err(other());
        }
        let kind = Header::kind_of(mark).map_err(|err| match err.kind() {
            ErrorKind::InvalidInput => other(),
            _ => err,
        })?;
        if !is_wanted(kind) {
            return Err(other());
        }
        let read = fill(input, rest)? + MARK_BYTES;
        let header = if read < HEADER_BYTES { None } else { Header::decode(&bytes)? };
        let (header, check) = header.ok_or_else(|| damaged(0))?;
        let place = if kind == FileKind::Bundle { Place::Between } else { Place::Start };
        let at = HEADER_BYTES as u64;
        let (last, collections, entries) = (None, 0, Entries::default());
        Ok(FileReader { input, header, check, at, place, last, collections, entries })
    }

    /// The header.
    pub(in crate::store) fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes read so far.
    pub(in crate::store) fn bytes(&self) -> u64 {
        self.at
    }

    /// What all that was read so far comes to.
    pub(in crate::store) fn check(&self) -> Check {
        self.check
    }

    /// The next part; `None` after the last one.
    pub(in crate::store) fn next(&mut self) -> Result<Option<Part>> {
        if self.place == Place::Behind {
            return match fill(self.input, &mut [0])? {
                0 => Ok(None),
                _ => Err(damaged(self.at)),
            };
        }
        let start = self.at;
        let mut head = [0; FRAME_HEAD_BYTES];
        self.exactly(&mut head, start)?;
        // A length that no frame has is damage as well.
        let (kind, length) = read_frame_head(&head).map_err(|_| damaged(start))?;
        let mut content = Vec::new();
        let read = Read::take(&mut *self.input, length as u64).read_to_end(&mut content);
        self.at += read.map_err(unreadable)? as u64;
        let mut check = [0; CHECK_BYTES];
        self.exactly(&mut check, start)?;
        let checked = self.check.next(&head, &content);
        if content.len() < length || check != checked.to_bytes() {
            return Err(damaged(start));
        }
        self.check = checked;
        let part = Part::decode(kind, &content)?;
        if !self.entries.take(&part) {
            return Err(malformed("more entries of vectors than a bundle may have"));
        }
        self.step(&part)?;
        Ok(Some(part))
    }

    /// Checks that a part may come here.
    fn step(&mut self, part: &Part) -> Result<()> {
        use FileKind::{Backup, Bundle, Vector};
        let kind = self.header.kind;
        let place = match (kind, self.place, part) {
            (Vector, Place::Start, Part::Wanted(_)) => Place::Between,
            (Vector, Place::Between, Part::Held { .. }) => Place::Between,
            (Bundle, Place::Between, Part::Transactions { .. }) => Place::InTransactions,
            (Bundle, Place::InTransactions, Part::Txns(_)) => Place::InTransactions,
            (Bundle, Place::InTransactions | Place::InSnapshot, Part::EndOfCollection { .. }) => {
                Place::Between
            }
            (Backup, Place::Start, Part::Settings(_)) => Place::Start,
            (Backup, Place::Start | Place::InRoster, Part::Statements { .. }) => Place::InRoster,
            (Backup, Place::Start | Place::InRoster, Part::Snapshot { .. }) => Place::InSnapshot,
            (Backup, Place::InSnapshot, Part::Counted(_)) => Place::Between,
            (Bundle | Backup, Place::Between, Part::Snapshot { .. }) => Place::InSnapshot,
            (Bundle | Backup, Place::InSnapshot, Part::Documents(_)) => Place::InSnapshot,
            (_, Place::Between, Part::End { collections }) if *collections == self.collections => {
                Place::Behind
            }
            (Backup, Place::Start | Place::InRoster, Part::End { collections: 0 }) => Place::Behind,
            _ => return Err(malformed("its parts are not in order")),
        };
        if let Part::Held { collection, .. }
        | Part::Transactions { collection, .. }
        | Part::Snapshot { collection, .. } = part
        {
            self.begin(collection)?;
        }
        self.place = place;
        Ok(())
    }

    fn begin(&mut self, collection: &str) -> Result<()> {
        self.collections += 1;
        let most = match self.header.kind {
            FileKind::Backup => MAX_BACKUP_COLLECTIONS,
            FileKind::Bundle | FileKind::Vector => MAX_BUNDLE_COLLECTIONS,
        };
        if self.collections > most as u64 {
            return Err(malformed("more collections than it may have"));
        }
        if self.last.as_deref().is_some_and(|last| last >= collection) {
            return Err(malformed("its collections are not in order"));
        }
        self.last = Some(collection.to_owned());
        Ok(())
    }

    fn exactly(&mut self, out: &mut [u8], start: u64) -> Result<()> {
        let read = fill(self.input, out)?;
        self.at += read as u64;
        if read < out.len() { Err(damaged(start)) } else { Ok(()) }
    }
}

/// Reads until `out` is full or the input ends; gives how many bytes that were.
fn fill(input: &mut dyn Read, out: &mut [u8]) -> Result<usize> {
    let mut read = 0;
    while read < out.len() {
        match input.read(&mut out[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
            Err(err) => return Err(unreadable(err)),
        }
    }
    Ok(read)
}

fn unreadable(err: std::io::Error) -> Error {
    Error::io("read the file", err)
}

fn damaged(at: u64) -> Error {
    Error::corrupt(format!(
        "the file is damaged or cut short at byte {at}; copy it again from where it was made"
    ))
}

pub(super) fn malformed(why: &str) -> Error {
    Error::bad_txn(format!("malformed bundle: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Head, NodeId, Origin, ShortHash, Vector};
    use crate::txn::NetworkId;

    fn held(at: usize, entries: u8) -> Part {
        let entry = |byte| {
            let origin = Origin { node: NodeId::from_bytes([byte; 32]), incarnation: 0 };
            (origin, Head { seq: 1, hash: ShortHash::default() })
        };
        let vector: Vector = (1..=entries).map(entry).collect();
        Part::Held { collection: format!("c{at:05}"), vector }
    }

    /// Writes a vector file of so many collections, and one more with so many entries, and reads
    /// it, both as if there had been entries before.
    fn there_and_back(collections: usize, entries: u8, before: usize) -> [Result<()>; 2] {
        let header = Header {
            kind: FileKind::Vector,
            network: NetworkId([1; 16]),
            maker: NodeId::from_bytes([2; 32]),
            made_ms: 3,
        };
        let count = collections as u64 + 1;
        let mut parts = vec![Part::Wanted(None)];
        parts.extend((0..collections).map(|at| held(at, 0)));
        parts.extend([held(collections, entries), Part::End { collections: count }]);
        let write = |before| {
            let mut file = Vec::new();
            let mut writer = FileWriter::new(&mut file, &header).unwrap();
            writer.entries.0 = before;
            let written = parts.iter().try_for_each(|part| writer.part(part));
            (file, written)
        };
        let mut bytes = &write(0).0[..];
        let mut reader = FileReader::new(&mut bytes).unwrap();
        reader.entries.0 = before;
        let mut read = || {
            while reader.next()?.is_some() {}
            Ok(())
        };
        [write(before).1, read()]
    }

    #[test]
    fn limits_of_a_whole_file_are_inclusive() {
        let most = MAX_BUNDLE_VECTOR_ENTRIES;
        assert!(there_and_back(0, 3, most - 3).iter().all(Result::is_ok));
        let [written, read] = there_and_back(0, 3, most - 2).map(Result::unwrap_err);
        assert_eq!(written.kind(), ErrorKind::LimitExceeded);
        assert_eq!(read.kind(), ErrorKind::InvalidTransaction);
        assert!(there_and_back(MAX_BUNDLE_COLLECTIONS - 1, 0, 0).iter().all(Result::is_ok));
        let [_, read] = there_and_back(MAX_BUNDLE_COLLECTIONS, 0, 0);
        assert_eq!(read.unwrap_err().kind(), ErrorKind::InvalidTransaction);
        super::super::have::check_collections(MAX_BUNDLE_COLLECTIONS).unwrap();
        super::super::have::check_collections(MAX_BUNDLE_COLLECTIONS + 1).unwrap_err();
    }
}
