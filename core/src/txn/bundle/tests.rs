//! The bytes of bundles: golden ones, round trips, limits, and what is refused.

use super::*;

fn origin(byte: u8) -> Origin {
    Origin { node: NodeId::from_bytes([byte; 32]), incarnation: 0 }
}

fn vector_of(entries: usize) -> Vector {
    let entry = |at: usize| {
        let mut node = [0; 32];
        node[..8].copy_from_slice(&(at as u64).to_be_bytes());
        let origin = Origin { node: NodeId::from_bytes(node), incarnation: 0 };
        (origin, Head { seq: 1, hash: ShortHash([2; 16]) })
    };
    (0..entries).map(entry).collect()
}

fn parts() -> Vec<Part> {
    let to: Vector = [(origin(3), Head { seq: 5, hash: ShortHash([4; 16]) })].into_iter().collect();
    let notes = || "notes".to_owned();
    vec![
        Part::Transactions { collection: notes(), branches: vec![1, 2], base: Vector::new() },
        Part::Txns(vec![vec![7; 65], vec![8; 66]]),
        Part::Snapshot { collection: notes(), head: b"head".to_vec() },
        Part::Documents(vec![("a".to_owned(), b"A".to_vec()), ("b".to_owned(), vec![])]),
        Part::EndOfCollection { to: to.clone() },
        Part::Wanted(None),
        Part::Wanted(Some(BTreeSet::from([notes()]))),
        Part::Held { collection: notes(), vector: to },
        Part::End { collections: 300 },
    ]
}

fn parts_of_a_backup() -> Vec<Part> {
    let settings = SettingKind::ALL.map(|kind| {
        let (key, value) = (b"key".to_vec(), b"value".to_vec());
        Setting { kind, key, value }
    });
    let statements = vec![vec![7; 65], vec![8; 66]];
    vec![
        Part::Settings(settings.into()),
        Part::Statements { founder: NodeId::from_bytes([5; 32]), statements },
        Part::Snapshot { collection: "notes".to_owned(), head: b"head".to_vec() },
        Part::Documents(vec![("a".to_owned(), b"A".to_vec()), ("b".to_owned(), vec![])]),
        Part::Counted(Counted { documents: 300, conflicts: 1, transactions: 70_000 }),
        Part::End { collections: 1 },
    ]
}

#[test]
fn parts_round_trip_and_every_cut_is_malformed() {
    for part in parts().into_iter().chain(parts_of_a_backup()) {
        let (kind, content) = part.encode();
        assert_eq!(Part::decode(kind, &content).unwrap(), part);
        for len in 0..content.len() {
            assert!(Part::decode(kind, &content[..len]).is_err(), "{part:?}, {len}");
        }
        let longer = [&content[..], &[0]].concat();
        assert!(Part::decode(kind, &longer).is_err());
    }
    assert_eq!(Part::decode(0x0b, &[]).unwrap_err().kind(), ErrorKind::FormatTooNew);
    let unknown = Part::decode(SETTINGS, &[1, 5, 0, 0]).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::FormatTooNew, "a setting");
}

#[test]
fn golden_bytes_of_a_header_and_its_frames() {
    let bundle = include_str!("../golden/bundle.hex").trim();
    let backup = include_str!("../golden/backup.hex").trim();
    for (kind, parts, golden) in
        [(FileKind::Bundle, parts(), bundle), (FileKind::Backup, parts_of_a_backup(), backup)]
    {
        let header = Header {
            kind,
            network: NetworkId([1; 16]),
            maker: NodeId::from_bytes([2; 32]),
            made_ms: 0x0102_0304,
        };
        let (mut out, mut check) = header.encode();
        for part in parts {
            let (kind, content) = part.encode();
            let head = frame_head(kind, &content).unwrap();
            check = check.next(&head, &content);
            out.extend([&head[..], &content, &check.to_bytes()].concat());
        }
        assert_eq!(data_encoding::HEXLOWER.encode(&out), golden);
    }
}

#[test]
fn headers_round_trip_and_what_is_changed_is_noticed() {
    for kind in [FileKind::Bundle, FileKind::Vector, FileKind::Backup] {
        let header = Header {
            kind,
            network: NetworkId([1; 16]),
            maker: NodeId::from_bytes([2; 32]),
            made_ms: 3,
        };
        let (bytes, check) = header.encode();
        let bytes: [u8; HEADER_BYTES] = bytes.try_into().unwrap();
        assert_eq!(Header::decode(&bytes).unwrap(), Some((header, check)));
        for at in 0..bytes.len() {
            let mut other = bytes;
            other[at] ^= 1;
            let read = Header::decode(&other);
            match at {
                ..16 => assert_eq!(read.unwrap_err().kind(), ErrorKind::InvalidInput),
                16 => assert_eq!(read.unwrap_err().kind(), ErrorKind::FormatTooNew),
                _ => assert_eq!(read.unwrap(), None),
            }
        }
    }
}

#[test]
fn limits_are_inclusive() {
    for (kind, limit) in [(DOCUMENTS, MAX_BUNDLE_DOCUMENTS_BYTES), (TXNS, MAX_FRAME_BYTES)] {
        let head = |length: usize| {
            let mut head = [kind; FRAME_HEAD_BYTES];
            head[1..].copy_from_slice(&(length as u32).to_be_bytes());
            read_frame_head(&head)
        };
        assert_eq!(head(limit).unwrap(), (kind, limit));
        assert_eq!(head(limit + 1).unwrap_err().kind(), ErrorKind::LimitExceeded);
    }
    let read = |part: Part| {
        let (kind, content) = part.encode();
        Part::decode(kind, &content).map(drop)
    };
    read(Part::EndOfCollection { to: vector_of(MAX_VECTOR_ENTRIES) }).unwrap();
    read(Part::EndOfCollection { to: vector_of(MAX_VECTOR_ENTRIES + 1) }).unwrap_err();
    let names = |count| Part::Wanted(Some((0..count).map(|n| format!("c{n}")).collect()));
    read(names(MAX_BUNDLE_COLLECTIONS)).unwrap();
    read(names(MAX_BUNDLE_COLLECTIONS + 1)).unwrap_err();
    let document = |len| Part::Documents(vec![("d".to_owned(), vec![0; len])]);
    read(document(MAX_SNAPSHOT_DOCUMENT_BYTES)).unwrap();
    read(document(MAX_SNAPSHOT_DOCUMENT_BYTES + 1)).unwrap_err();
    let documents = |count| (0..count).map(|n| (format!("d{n:06}"), vec![])).collect();
    read(Part::Documents(documents(MAX_SNAPSHOT_LIST))).unwrap();
    read(Part::Documents(documents(MAX_SNAPSHOT_LIST + 1))).unwrap_err();
    let settings = |count| {
        let one = Setting { kind: SettingKind::Peer, key: Vec::new(), value: Vec::new() };
        Part::Settings(vec![one; count])
    };
    read(settings(MAX_SNAPSHOT_LIST)).unwrap();
    read(settings(MAX_SNAPSHOT_LIST + 1)).unwrap_err();
    let statement = |len| {
        let founder = NodeId::from_bytes([5; 32]);
        Part::Statements { founder, statements: vec![vec![0; len]] }
    };
    for len in [SIGNATURE_BYTES + 1, MAX_STATEMENT_BYTES] {
        read(statement(len)).unwrap();
    }
    for len in [SIGNATURE_BYTES, MAX_STATEMENT_BYTES + 1] {
        read(statement(len)).unwrap_err();
    }
    read(Part::Txns(vec![vec![0; SIGNATURE_BYTES + 1]])).unwrap();
    read(Part::Txns(vec![vec![0; SIGNATURE_BYTES]])).unwrap_err();
}
