//! Bundles and backups in memory, and parts of them put together anew.

use std::io::Read;

use littoral::store::{Applied, ApplyOptions, BackupReport, BundleContents, BundleOptions, Have};
use littoral::txn::bundle::{
    FRAME_HEAD_BYTES, HEADER_BYTES, Header, Part, frame_head, read_frame_head,
};
use littoral::{Result, Store};

/// What a store tells to who makes a bundle for it, having gone through a file.
pub(crate) fn have(of: &Store) -> Have {
    let mut file = Vec::new();
    of.have().unwrap().write(&mut file).unwrap();
    Have::read(&file[..]).unwrap()
}

/// A bundle of all that `since` lacks.
pub(crate) fn bundle(of: &Store, since: Option<Have>) -> Vec<u8> {
    try_bundle(of, &BundleOptions { since, ..BundleOptions::default() }).unwrap()
}

pub(crate) fn try_bundle(of: &Store, options: &BundleOptions) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    let written = of.write_bundle(&mut file, options)?;
    assert_eq!(written.bytes, file.len() as u64);
    assert_eq!(BundleContents::read(&file[..]).unwrap(), written, "it reads as it was written");
    Ok(file)
}

pub(crate) fn apply(to: &Store, mut file: &[u8]) -> Result<Applied> {
    to.read_bundle(&mut file, &ApplyOptions::default())
}

/// A backup of all that a store holds now.
pub(crate) fn backup(of: &Store) -> Vec<u8> {
    let mut file = Vec::new();
    let written = of.write_backup(&mut file, &Default::default()).unwrap();
    assert_eq!(written.bytes, file.len() as u64);
    of.check_written(&mut &file[..], &written).unwrap();
    file
}

/// What is in a backup, by who has no store.
pub(crate) fn read_backup(file: &[u8]) -> Result<BackupReport> {
    BackupReport::read(file)
}

/// The header and the parts of a file.
pub(crate) fn parts(mut file: &[u8]) -> (Header, Vec<Part>) {
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).unwrap();
    let (header, mut check) = Header::decode(&header).unwrap().unwrap();
    let mut parts = Vec::new();
    while !file.is_empty() {
        let mut head = [0; FRAME_HEAD_BYTES];
        file.read_exact(&mut head).unwrap();
        let (kind, length) = read_frame_head(&head).unwrap();
        let (content, rest) = file.split_at(length);
        check = check.next(&head, content);
        file = rest.strip_prefix(&check.to_bytes()[..]).unwrap();
        parts.push(Part::decode(kind, content).unwrap());
    }
    (header, parts)
}

/// A file of these, with checks that fit.
pub(crate) fn assemble(header: &Header, parts: &[Part]) -> Vec<u8> {
    let (mut out, mut check) = header.encode();
    for part in parts {
        let (kind, content) = part.encode();
        let head = frame_head(kind, &content).unwrap();
        check = check.next(&head, &content);
        out.extend([&head[..], &content, &check.to_bytes()].concat());
    }
    out
}
