//! Bundles and backups, as they come on a stick.

use std::sync::Arc;

use littoral::Options;
use littoral::store::disk::{Disk, SubDisk};
use littoral::store::{BackupReport, BundleContents, BundleOptions, Have};
use littoral::txn::NetworkId;
use littoral::txn::bundle::{
    CHECK_BYTES, FRAME_HEAD_BYTES, FileKind, HEADER_BYTES, Header, frame_head, read_frame_head,
};

use super::input::{Input, put_chunk};
use super::ram::RamDisk;
use super::recorded::{self, FULL};
use super::stores;

const KINDS: [FileKind; 3] = [FileKind::Bundle, FileKind::Vector, FileKind::Backup];

/// The kind of a file and its frames, of kind and content, with the checks that belong to them.
/// As it is, it is tried as well.
///
/// What is said to be a sound backup can be restored, and then holds what was said.
pub fn carried(data: &[u8]) {
    read(data);
    let mut input = Input(data);
    let kind = KINDS[usize::from(input.byte()) % KINDS.len()];
    let (mut file, mut check) = header(kind).encode();
    while !input.is_empty() {
        let (kind, content) = (input.byte(), input.chunk());
        let Ok(head) = frame_head(kind, content) else { return };
        check = check.next(&head, content);
        file.extend([&head[..], content, &check.to_bytes()].concat());
    }
    read(&file);
}

fn read(file: &[u8]) {
    let (contents, have) = (BundleContents::read(file), Have::read(file));
    assert!(contents.is_err() || have.is_ok());
    let Ok(report) = BackupReport::read(file) else { return };
    assert!(have.is_err());
    let disk: Arc<dyn Disk> = Arc::new(RamDisk::default());
    let options = Options::new().key(stores::key(9));
    let restored = options.restore_on(&mut &file[..], &disk, "store", &Default::default());
    assert_eq!(restored.expect("it is sound").backup, report);
    let disk = Arc::new(SubDisk::new(disk, "store"));
    let store = options.create(false).open_on(disk).expect("a whole store");
    let held: u64 =
        store.stats().expect("figures").collections.iter().map(|one| one.documents).sum();
    assert_eq!(report.documents(), held);
}

fn header(kind: FileKind) -> Header {
    let maker = stores::key(1).id();
    Header { kind, network: NetworkId::named("default"), maker, made_ms: 1_795_348_800_000 }
}

/// A bundle, a vector file and a backup of a small store.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let store = recorded::store(FULL);
    store.trust_at(stores::key(2).id(), "host:4433").expect("a peer");
    store.set_automatic_checkpoints(Default::default()).expect("a rule");
    let (mut bundle, mut vector, mut backup) = (Vec::new(), Vec::new(), Vec::new());
    store.write_bundle(&mut bundle, &BundleOptions::default()).expect("a bundle");
    store.have().and_then(|have| have.write(&mut vector)).expect("a vector file");
    store.write_backup(&mut backup, &Default::default()).expect("a backup");
    let files = [(0, bundle), (1, vector), (2, backup)];
    files.into_iter().map(|(kind, file)| script(kind, &file)).collect()
}

fn script(kind: u8, file: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (vec![kind], &file[HEADER_BYTES..]);
    while let Some(head) = rest.first_chunk() {
        let (kind, length) = read_frame_head(head).expect("its own frame");
        out.push(kind);
        put_chunk(&mut out, &rest[FRAME_HEAD_BYTES..][..length]);
        rest = &rest[FRAME_HEAD_BYTES + length + CHECK_BYTES..];
    }
    out
}
