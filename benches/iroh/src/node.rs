//! A node of iroh-docs that knows loopback only, and its notes.

use std::path::Path;

use iroh::endpoint::{PortmapperConfig, presets};
use iroh::protocol::Router;
use iroh::{Endpoint, EndpointAddr, RelayMode};
use iroh_blobs::BlobsProtocol;
use iroh_blobs::api::Store as Blobs;
use iroh_blobs::store::fs::FsStore;
use iroh_docs::api::Doc;
use iroh_docs::api::protocol::{AddrInfoOptions, ShareMode};
use iroh_docs::engine::LiveEvent;
use iroh_docs::protocol::Docs;
use iroh_docs::store::Query;
use iroh_docs::{AuthorId, DocTicket, Entry};
use iroh_gossip::net::Gossip;
use n0_future::{BufferedStreamExt, Stream, StreamExt, stream};

use crate::Result;
use crate::made::Note;

/// Calls under way at a time where order is of no matter: one at a time waits for its actors.
const UNDER_WAY: usize = 64;

/// A node with its stores in one directory: no relay, no look-up of addresses, no port mapping.
pub(crate) struct Node {
    router: Router,
    blobs: Blobs,
    docs: Docs,
}

impl Node {
    pub(crate) async fn start(dir: &Path) -> Result<Node> {
        std::fs::create_dir_all(dir)?;
        let endpoint = Endpoint::builder(presets::Minimal)
            .relay_mode(RelayMode::Disabled)
            .portmapper_config(PortmapperConfig::Disabled)
            .clear_ip_transports()
            .bind_addr("127.0.0.1:0")?
            .bind()
            .await?;
        let blobs: Blobs = (*FsStore::load(dir.join("blobs")).await?).clone();
        let gossip = Gossip::builder().spawn(endpoint.clone());
        let docs = Docs::persistent(dir.to_owned())
            .spawn(endpoint.clone(), blobs.clone(), gossip.clone())
            .await?;
        let router = Router::builder(endpoint)
            .accept(iroh_blobs::ALPN, BlobsProtocol::new(&blobs, None))
            .accept(iroh_gossip::ALPN, gossip)
            .accept(iroh_docs::ALPN, docs.clone())
            .spawn();
        Ok(Node { router, blobs, docs })
    }

    /// A document of its own for the notes.
    pub(crate) async fn create(&self) -> Result<Notes> {
        self.notes(self.docs.create().await?).await
    }

    /// What lets somebody else have the only document that is here.
    pub(crate) async fn share(&self) -> Result<DocTicket> {
        let (id, _) = self.docs.list().await?.next().await.ok_or("there is no document")??;
        let doc = self.docs.open(id).await?.ok_or("there is no document")?;
        // Without this it answers nobody.
        doc.start_sync(Vec::new()).await?;
        let mut ticket = doc.share(ShareMode::Write, AddrInfoOptions::Id).await?;
        let endpoint = self.router.endpoint();
        let here = EndpointAddr::new(endpoint.id());
        ticket.nodes =
            vec![endpoint.bound_sockets().into_iter().fold(here, EndpointAddr::with_ip_addr)];
        Ok(ticket)
    }

    /// The document of a ticket, which is synced from now on. The events have to be read all the
    /// time: they are bounded, and the document waits for them.
    pub(crate) async fn import(
        &self,
        from: DocTicket,
    ) -> Result<(Notes, impl Stream<Item = Result<LiveEvent>> + Unpin + use<>)> {
        let (doc, events) = self.docs.import_and_subscribe(from).await?;
        Ok((self.notes(doc).await?, Box::pin(events.map(|event| Ok(event?)))))
    }

    async fn notes(&self, doc: Doc) -> Result<Notes> {
        let author = self.docs.author_default().await?;
        Ok(Notes { blobs: self.blobs.clone(), doc, author })
    }

    /// UDP bytes sent and received so far.
    pub(crate) fn bytes(&self) -> u64 {
        let socket = &self.router.endpoint().metrics().socket;
        socket.send_ipv4.get() + socket.recv_data_ipv4.get()
    }

    /// The router ends what it serves, the stores among it.
    pub(crate) async fn end(self) -> Result<()> {
        Ok(self.router.shutdown().await?)
    }
}

/// Notes, each an entry whose content is its MessagePack.
pub(crate) struct Notes {
    blobs: Blobs,
    doc: Doc,
    author: AuthorId,
}

impl Notes {
    /// Inserts these, and makes them durable at the end.
    pub(crate) async fn load(&self, batch: Vec<(String, Note)>) -> Result<()> {
        let last = batch.last().ok_or("a batch has notes")?.0.clone();
        let mut inserts = stream::iter(batch)
            .map(|(id, note)| async move { self.put(&id, &note).await })
            .buffered_unordered(UNDER_WAY);
        while let Some(inserted) = inserts.next().await {
            inserted?;
        }
        self.make_durable(&last).await
    }

    async fn put(&self, id: &str, note: &Note) -> Result<()> {
        let row = rmp_serde::to_vec_named(note)?;
        self.doc.set_bytes(self.author, id.as_bytes().to_vec(), row).await?;
        Ok(())
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Note> {
        let entry = self.doc.get_exact(self.author, id, false).await?;
        self.content(&entry.ok_or("every note is there")?).await
    }

    async fn content(&self, entry: &Entry) -> Result<Note> {
        let row = self.blobs.blobs().get_bytes(entry.content_hash()).await?;
        Ok(rmp_serde::from_slice(&row)?)
    }

    /// An entry has no fields: all of it is written again.
    pub(crate) async fn set(&self, id: &str, priority: i64) -> Result<()> {
        let note = Note { priority, ..self.get(id).await? };
        self.put(id, &note).await
    }

    /// Reads all of them; how many there are. Of whom they are makes no difference.
    pub(crate) async fn scan(&self) -> Result<u64> {
        let entries = self.doc.get_many(Query::all()).await?;
        let mut notes = std::pin::pin!(
            entries
                .map(|entry| async move {
                    let entry = entry?;
                    let id = String::from_utf8(entry.key().to_vec())?;
                    Result::Ok((id, self.content(&entry).await?))
                })
                .buffered_ordered(UNDER_WAY)
        );
        let mut count = 0;
        while let Some(note) = notes.next().await {
            std::hint::black_box(note?);
            count += 1;
        }
        Ok(count)
    }

    /// How many entries are there, and the contents of how many.
    pub(crate) async fn count(&self) -> Result<(u64, u64)> {
        let mut entries = std::pin::pin!(self.doc.get_many(Query::all()).await?);
        let (mut count, mut contents) = (0, 0);
        while let Some(entry) = entries.next().await {
            count += 1;
            contents += u64::from(self.blobs.blobs().has(entry?.content_hash()).await?);
        }
        Ok((count, contents))
    }

    /// Makes durable what was inserted: a query commits the entries, and one for this author and
    /// key reads no others.
    pub(crate) async fn make_durable(&self, id: &str) -> Result<()> {
        let query = Query::author(self.author).key_exact(id);
        self.doc.get_one(query).await?;
        Ok(self.blobs.sync_db().await?)
    }
}
