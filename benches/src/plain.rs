//! The same work without any CRDT: rows of MessagePack in redb, sent over quinn as they are.
//!
//! Nothing is merged, signed or logged, nobody is told what the other has: who sends knows what
//! is to be sent. It is the least that any store on redb and QUIC has to do.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, ServerConfig};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::Result;
use crate::work::{BATCH, Note, id, note};

const ROWS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("notes");
const NAME: &str = "localhost";

/// A row as it travels: its id and its bytes.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// redb with a row for each note.
pub(crate) struct Redb(Database);

impl Redb {
    pub(crate) fn open(path: &Path, cache_bytes: usize) -> Result<Redb> {
        Ok(Redb(Database::builder().set_cache_size(cache_bytes).create(path)?))
    }

    /// Makes `docs` notes, in durable batches.
    pub(crate) fn fill(&self, seed: u64, docs: u64) -> Result<()> {
        for first in (0..docs).step_by(BATCH as usize) {
            let rows = (first..docs.min(first + BATCH)).map(|n| row(n, &note(seed, n)));
            self.put(rows.collect::<Result<Vec<_>>>()?)?;
        }
        Ok(())
    }

    /// Writes rows in one durable commit, each checked to be a note.
    pub(crate) fn put(&self, rows: Vec<Row>) -> Result<()> {
        let txn = self.0.begin_write()?;
        {
            let mut table = txn.open_table(ROWS)?;
            for (id, row) in rows {
                rmp_serde::from_slice::<Note>(&row)?;
                table.insert(&id[..], &row[..])?;
            }
        }
        Ok(txn.commit()?)
    }

    pub(crate) fn get(&self, n: u64) -> Result<Note> {
        let table = self.0.begin_read()?.open_table(ROWS)?;
        let row = table.get(id(n).as_bytes())?.ok_or("every note is there")?;
        Ok(rmp_serde::from_slice(row.value())?)
    }

    pub(crate) fn compact(&mut self) -> Result<()> {
        while self.0.compact()? {}
        Ok(())
    }

    /// All rows, `BATCH` at a time.
    fn each_batch(&self, mut with: impl FnMut(Vec<Row>) -> Result<()>) -> Result<()> {
        let table = self.0.begin_read()?.open_table(ROWS)?;
        let mut batch = Vec::new();
        for entry in table.iter()? {
            let (id, row) = entry?;
            batch.push((id.value().to_vec(), row.value().to_vec()));
            if batch.len() as u64 == BATCH {
                with(std::mem::take(&mut batch))?;
            }
        }
        if batch.is_empty() { Ok(()) } else { with(batch) }
    }
}

/// A note as a row.
pub(crate) fn row(n: u64, note: &Note) -> Result<Row> {
    Ok((id(n).into_bytes(), rmp_serde::to_vec_named(note)?))
}

/// A listener, and the certificate by which it is known.
pub(crate) fn listen() -> Result<(Endpoint, CertificateDer<'static>)> {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let certificate = made.cert.der().clone();
    let config = ServerConfig::with_single_cert(vec![certificate.clone()], key.into())?;
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Ok((Endpoint::server(config, anywhere)?, certificate))
}

/// Dials whoever has the certificate.
pub(crate) async fn dial(
    to: SocketAddr,
    certificate: CertificateDer<'static>,
) -> Result<Connection> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let mut endpoint = Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    endpoint.set_default_client_config(ClientConfig::with_root_certificates(Arc::new(roots))?);
    Ok(endpoint.connect(to, NAME)?.await?)
}

/// Sends rows as one frame: its length, then of each row two lengths and its bytes.
pub(crate) async fn send(stream: &mut SendStream, rows: &[Row]) -> Result<()> {
    let mut frame = vec![0; 4];
    for (id, row) in rows {
        frame.extend_from_slice(&(id.len() as u16).to_be_bytes());
        frame.extend_from_slice(&(row.len() as u16).to_be_bytes());
        frame.extend_from_slice(id);
        frame.extend_from_slice(row);
    }
    let length = frame.len() as u32 - 4;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(stream.write_all(&frame).await?)
}

/// The next frame; none at the end of the stream.
pub(crate) async fn receive(stream: &mut RecvStream) -> Result<Option<Vec<Row>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Ok(()) => {}
        Err(quinn::ReadExactError::FinishedEarly(0)) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).await?;
    let (mut rows, mut rest) = (Vec::new(), &frame[..]);
    while let Some((head, after)) = rest.split_first_chunk::<4>() {
        let id_len = usize::from(u16::from_be_bytes([head[0], head[1]]));
        let row_len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (row, more) = after.split_at_checked(id_len + row_len).ok_or("a row is cut")?;
        let (id, row) = row.split_at(id_len);
        rows.push((id.to_vec(), row.to_vec()));
        rest = more;
    }
    Ok(Some(rows))
}

/// Sends all rows on a stream of their own, and waits until the other side has them.
pub(crate) async fn serve(redb: Arc<Redb>, connection: Connection) -> Result<()> {
    let (mut stream, mut answer) = connection.accept_bi().await?;
    // Whoever opens a stream has to say something.
    answer.read_exact(&mut [0; 1]).await?;
    let (batches, mut read) = tokio::sync::mpsc::channel(4);
    let reading = std::thread::spawn(move || {
        let each = |batch| batches.blocking_send(batch).map_err(|_| "nobody reads on".into());
        redb.each_batch(each)
    });
    while let Some(batch) = read.recv().await {
        send(&mut stream, &batch).await?;
    }
    reading.join().map_err(|_| "the reader failed")??;
    stream.finish()?;
    answer.read_exact(&mut [0; 1]).await?;
    Ok(())
}

/// Takes in all rows, each frame in a durable commit of its own, while the next one is read.
pub(crate) async fn fetch(redb: Arc<Redb>, connection: Connection) -> Result<()> {
    let (mut say, mut stream) = connection.open_bi().await?;
    say.write_all(b"?").await?;
    let (frames, read) = std::sync::mpsc::sync_channel::<Vec<Row>>(4);
    let writing = std::thread::spawn(move || read.into_iter().try_for_each(|rows| redb.put(rows)));
    while let Some(rows) = receive(&mut stream).await? {
        tokio::task::block_in_place(|| frames.send(rows)).map_err(|_| "the writer failed")?;
    }
    drop(frames);
    writing.join().map_err(|_| "the writer failed")??;
    say.write_all(b"!").await?;
    say.finish()?;
    say.stopped().await?;
    Ok(())
}
