//! Every limit of the store, in one place.
//!
//! Whatever comes from a user, a file or a peer is checked against these before
//! memory is taken for it. A limit is inclusive: N is allowed, N + 1 is refused. Those of the
//! doors around the core, HTTP and files to import, are here too.

/// Longest document id, in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 512;
/// Longest collection name, in bytes.
pub const MAX_COLLECTION_BYTES: usize = 128;
/// Largest encoded register value or set element, in bytes.
pub const MAX_VALUE_BYTES: usize = 1 << 20;
/// Largest encoded transaction, in bytes.
pub const MAX_TXN_BYTES: usize = 16 << 20;
/// Highest number of a transaction: those of all origins of a vector can be added up.
pub const MAX_SEQ: u64 = (1 << 46) - 1;
/// Most operations of one transaction, each dot that a clear names counted as one more: they
/// take more memory than bytes.
pub const MAX_TXN_OPS: usize = 1 << 20;
/// Deepest nesting of fields and values together.
pub const MAX_DEPTH: usize = 64;
/// Longest encoded path of a cell, in bytes (all field names of the path together).
pub const MAX_KEY_BYTES: usize = 64 << 10;

/// Deepest nesting of JSON text: a document of the deepest nesting whose every level is wrapped
/// in `$literal`, with a `$opaque` at the end, has fewer levels.
pub const MAX_JSON_DEPTH: usize = 2 * MAX_DEPTH + 8;
/// A document version that shows more fields than this can be compared, but not merged from.
pub const MAX_VERSION_LEAVES: usize = 4096;
/// How far ahead of our own wall clock a timestamp seen from a peer may pull ours.
pub const MAX_CLOCK_LEAD_MS: u64 = 60_000;

/// Largest frame on a stream: one whole transaction and its envelope.
pub const MAX_FRAME_BYTES: usize = MAX_TXN_BYTES + (64 << 10);
/// Largest frame on the control stream.
pub const MAX_CONTROL_BYTES: usize = 8 << 20;
/// Bytes of one collection that a sender leaves unacknowledged before it waits.
pub const SYNC_WINDOW_BYTES: usize = 4 << 20;
/// Bytes of transactions that a sender puts in one frame (one transaction may be larger).
pub const SYNC_BATCH_BYTES: usize = 256 << 10;
/// Threads that check the signatures of one batch of a peer's transactions.
pub const MAX_CHECKING_THREADS: usize = 4;
/// Collections that one link may carry.
pub const MAX_LINK_COLLECTIONS: usize = 4096;
/// Origins in one vector received from a peer.
pub const MAX_VECTOR_ENTRIES: usize = 100_000;
/// Origins in all vectors that a link remembers of its peer.
pub const MAX_LINK_VECTOR_ENTRIES: usize = 1_000_000;
/// Branches of forked origins that one collection keeps apart. A history that forks once more
/// halts the collection between those who hold one side and those who hold the other.
pub const MAX_BRANCHES: usize = 4096;
/// Branches of one origin among them: whoever signs more than so many histories is no clone.
pub const MAX_BRANCHES_OF_ORIGIN: usize = 64;
/// Hashes of an origin's newest transactions that a peer is told to find where two histories part.
pub const MAX_FORK_HASHES: usize = 16 << 10;
/// Hashes kept of an origin's newest transactions when the log no longer holds them: 64 KiB.
pub const HASHES_DENSE: u64 = 4096;
/// Of older ones the hash of every so-manieth is kept for good.
pub const HASHES_EVERY: u64 = 1024;
/// Hashes of newest transactions that a collection keeps of all its origins, about.
pub const MAX_HASHES: u64 = 1 << 20;
/// Hashes that come with a view of a collection, for all its origins together: few enough that a
/// link which is often cut still brings more than the view's head.
pub const MAX_VIEW_HASHES: usize = 1_024;
/// Grants that a roster holds: each time that the rights of a member are changed is one.
pub const MAX_GRANTS: usize = 16_384;
/// Vouches that a roster holds: about one for each origin of a member that may not write any more.
pub const MAX_VOUCHES: usize = 65_536;
/// Vouches that a roster holds of one member: those with the lowest hashes of what they are for,
/// so that all replicas keep the same.
pub const MAX_VOUCHES_OF_MEMBER: usize = 4096;
/// Times that the key of a member can be changed without a grant that names one of its keys.
pub const MAX_SUCCESSIONS: usize = 64;
/// Collections that one grant names.
pub const MAX_GRANT_COLLECTIONS: usize = 1024;
/// Longest name of a member, in bytes.
pub const MAX_MEMBER_NAME_BYTES: usize = 128;
/// Longest statement of a roster, in bytes.
pub const MAX_STATEMENT_BYTES: usize = 256 << 10;
/// Invitations that are remembered, open or not.
pub const MAX_INVITES: usize = 256;
/// Nodes that may join with one ticket.
pub const MAX_INVITE_USES: u32 = 1000;
/// For how long a ticket may be good: a year.
pub const MAX_INVITE_MS: u64 = 366 * 86_400_000;
/// Longest message of a node that wants to join.
pub const MAX_JOIN_BYTES: usize = 512;
/// Statements of a roster that come with the answer to it, in bytes.
pub const WELCOME_STATEMENTS_BYTES: usize = 1 << 20;
/// Longest such answer: statements and their lengths, and as many rights as a grant names.
pub const MAX_WELCOME_BYTES: usize = 2 * WELCOME_STATEMENTS_BYTES;
/// How long joining may take, from the end of the handshake on.
pub const JOIN_TIMEOUT_MS: u64 = 5_000;
/// Nodes that may be joining at once.
pub const MAX_JOINING: usize = 8;
/// Attempts to join that are heard in quick succession,
pub const MAX_JOIN_ATTEMPTS: u32 = 32;
/// and then one each time that so much has passed. A secret has 128 bits.
pub const JOIN_ATTEMPT_MS: u64 = 250;
/// Bytes that QUIC holds of a node that is no member, or not known to be one yet.
pub const STRANGER_WINDOW_BYTES: usize = 64 << 10;
/// Addresses that a ticket names.
pub const MAX_TICKET_ADDRESSES: usize = 8;
/// Longest text of a ticket, in characters.
pub const MAX_TICKET_CHARS: usize = 4096;
/// Entries of a vector above which a peer is told digests of its parts first.
pub const OUTLINE_ABOVE: usize = 512;
/// Most such parts.
pub const MAX_OUTLINE_BUCKETS: usize = 4096;
/// Bytes of all collections of a link together that a sender leaves unacknowledged.
pub const SYNC_LINK_WINDOW_BYTES: usize = 32 << 20;
/// Bytes that a collection with nothing unacknowledged may send although the link's window
/// is used up: so that many stalled collections don't stall a live one.
pub const SYNC_SMALL_BYTES: usize = 16 << 10;
/// Bytes of transactions of one collection that a receiver holds before they are applied.
pub const SYNC_UNAPPLIED_BYTES: usize = 2 * (SYNC_WINDOW_BYTES + MAX_TXN_BYTES);
/// Bytes that a receiver holds for a whole link, unfinished frames included.
pub const SYNC_RECEIVE_BYTES: usize = 2 * (SYNC_LINK_WINDOW_BYTES + MAX_TXN_BYTES)
    + MAX_LINK_COLLECTIONS * SYNC_SMALL_BYTES
    + MAX_SNAPSHOT_DOCUMENT_BYTES;
/// Streams that a peer may open before its key is known.
pub const HANDSHAKE_STREAMS: u32 = 4;
/// Tail streams that a peer may have open at once: some are replaced but not yet ended.
pub const MAX_LINK_STREAMS: usize = 2 * MAX_LINK_COLLECTIONS;
/// Ids or pieces that one answer of a snapshot lists.
pub const MAX_SNAPSHOT_LIST: usize = 4096;
/// Questions of a snapshot that may be open at once.
pub const MAX_SNAPSHOT_QUESTIONS: usize = 16;
/// Bytes of documents in one answer of a snapshot; a larger document comes in parts of this size.
pub const SNAPSHOT_ANSWER_BYTES: usize = 32 << 10;
/// Bytes of a snapshot that wait to be staged, above which nothing more is asked for.
pub const SNAPSHOT_BACKLOG_BYTES: usize = 32 * SNAPSHOT_ANSWER_BYTES;
/// Documents that are read for one answer of digests.
pub const SNAPSHOT_SCAN_ROWS: u64 = 16 << 10;
/// Largest document that a snapshot carries, in bytes of its row.
pub const MAX_SNAPSHOT_DOCUMENT_BYTES: usize = 64 << 20;
/// Largest document that a snapshot carries, by what its cells count in the layout: with all of
/// their keys, of which only what is new travels.
pub const MAX_SNAPSHOT_CELLS_BYTES: u64 = 4 * MAX_SNAPSHOT_DOCUMENT_BYTES as u64;
/// Collections in one bundle.
pub const MAX_BUNDLE_COLLECTIONS: usize = 4096;
/// Origins in all vectors of one bundle, and authors of all transactions in it.
pub const MAX_BUNDLE_VECTOR_ENTRIES: usize = 2_000_000;
/// Bytes of transactions or documents that go into one frame of a bundle (one may be larger).
pub const BUNDLE_FRAME_BYTES: usize = 1 << 20;
/// Largest frame of documents in a bundle: one largest document, and what is in a frame before it.
pub const MAX_BUNDLE_DOCUMENTS_BYTES: usize = MAX_SNAPSHOT_DOCUMENT_BYTES + 4 * BUNDLE_FRAME_BYTES;
/// Collections in one backup.
pub const MAX_BACKUP_COLLECTIONS: usize = 65_536;
/// How long a view is kept for a peer that does not ask about it.
pub const SNAPSHOT_IDLE_MS: u64 = 120_000;
/// Bytes that may be written to the state while a view is kept, since none of what they replace
/// can be used again before it goes; or a quarter of the state, if that is more.
pub const VIEW_HOLDS_BYTES: u64 = 32 << 20;
/// Longest reason that goes with a goodbye, in bytes.
pub const MAX_REASON_BYTES: usize = 512;
/// How long a link may take until both sides have said hello.
pub const HELLO_TIMEOUT_MS: u64 = 10_000;
/// So often a peer that may not vouch for it sends what is not valid, until nothing more of that
/// collection is exchanged on the link.
pub const MAX_INVALID_ANSWERS: u32 = 3;
/// Wait before a stalled collection is asked for again; doubled each time.
pub const RETRY_MIN_MS: u64 = 250;
/// Longest such wait.
pub const RETRY_MAX_MS: u64 = 60_000;

/// Largest packet of discovery on a LAN that is read, in bytes; ours have about 200.
pub const MAX_DISCOVERY_PACKET_BYTES: usize = 1500;
/// Most records of each kind in one of those.
pub const MAX_DISCOVERY_RECORDS: u16 = 64;
/// Packets of discovery that are read in a second; further ones wait, or are lost.
pub const MAX_DISCOVERY_PACKETS: u32 = 1000;
/// Interfaces on which a node announces itself and listens.
pub const MAX_DISCOVERY_INTERFACES: usize = 16;
/// How often a node announces itself where nothing changes.
pub const DISCOVERY_ANNOUNCE_MS: u64 = 20_000;
/// For how long others may keep an announcement, in seconds.
pub const DISCOVERY_TTL_S: u32 = 120;
/// For how long a node has the same name on a LAN.
pub const DISCOVERY_TAG_MS: u64 = 3_600_000;
/// Peers whose places on the LAN are remembered, those heard of last,
pub const MAX_DISCOVERED_PEERS: usize = 1024;
/// how many places of each, the newest,
pub const MAX_DISCOVERY_ADDRESSES: usize = 4;
/// and for how long after it was heard of last.
pub const DISCOVERY_FORGET_MS: u64 = 600_000;
/// Links that are made since a peer was found on the LAN.
pub const MAX_DISCOVERED_LINKS: usize = 64;

/// Links of one store at most, in both directions together.
pub const MAX_LINKS: usize = 1024;
/// Incoming links with one peer, those included that are about to end: the newest replaces the
/// others, and further ones are turned away until these are gone.
pub const MAX_LINKS_OF_PEER: usize = 8;
/// Handshakes under way at once with callers who have shown that their addresses are their own;
/// a further one takes the place of the oldest.
pub const MAX_HANDSHAKES: usize = 64;
/// Those of one address among them (of IPv6, the first 64 bits of it).
pub const MAX_HANDSHAKES_OF_ADDRESS: usize = 16;
/// Handshakes under way, above which a caller must first show that its address is its own.
pub const MAX_UNVALIDATED_HANDSHAKES: usize = 16;
/// Calls of one link that work on the store at once; others of it wait.
pub const MAX_LINK_CALLS: usize = 4;
/// Calls of all links that work on the store at once; those who wait take turns.
pub const MAX_NETWORK_CALLS: usize = 24;
/// Handshakes with unknown keys of which the log tells in a minute; further ones are counted.
pub const MAX_LOGGED_REFUSALS: u64 = 10;
/// Bytes that QUIC holds for one link, in each direction: all that a session leaves
/// unacknowledged and a control frame, so that control never waits for room behind tails.
pub const LINK_WINDOW_BYTES: usize = SYNC_LINK_WINDOW_BYTES + MAX_TXN_BYTES + MAX_CONTROL_BYTES;
/// Bytes that QUIC holds for all links together, in each direction: each link has an equal share of
/// them, up to `LINK_WINDOW_BYTES`,
pub const MAX_NETWORK_WINDOW_BYTES: usize = 256 << 20;
/// but never less than this.
pub const MIN_LINK_WINDOW_BYTES: usize = 512 << 10;
/// Bytes that wait to be handed to QUIC on one link, above which no more of tails and snapshots is
/// made ready for it.
pub const SEND_AHEAD_BYTES: usize = 1 << 20;
/// Bytes that wait to be handed to QUIC on one link: the vectors of all its collections, and one
/// largest frame beyond what is made ready ahead.
pub const MAX_LINK_QUEUE_BYTES: usize =
    60 * MAX_LINK_VECTOR_ENTRIES + SEND_AHEAD_BYTES + MAX_FRAME_BYTES + MAX_CONTROL_BYTES;
/// Bytes that all links hold together besides what QUIC does: what was received and is not applied,
/// what is remembered of peers, what waits to be handed to QUIC. Above it the link that holds the
/// most is ended.
pub const MAX_NETWORK_HELD_BYTES: usize = 256 << 20;
/// Bytes that all links hold together, above which those that have more than their share to apply
/// read no more of tails until less is left.
pub const NETWORK_TIGHT_BYTES: usize = MAX_NETWORK_HELD_BYTES / 2;
/// What each entry of a peer's vector that a link remembers counts in that: the memory that it takes,
/// about, and not the bytes of the message.
pub const VECTOR_ENTRY_BYTES: usize = 200;
/// Longest piece of a stream that is read at once.
pub const READ_CHUNK_BYTES: usize = 64 << 10;
/// Pieces of all tails of a link that wait for its session.
pub const READ_QUEUE_CHUNKS: usize = 64;
/// Bytes of a connection attempt that are held until it is looked at.
pub const MAX_INCOMING_BYTES: u64 = 64 << 10;
/// Longest host name of a peer's address, in bytes, as DNS has it.
pub const MAX_HOST_BYTES: usize = 253;
/// Places at which one peer may be.
pub const MAX_PEER_PLACES: usize = 8;
/// Addresses of one host that are tried.
pub const MAX_HOST_ADDRESSES: usize = 8;
/// Nodes refused at the handshake that are remembered by name, the newest.
pub const MAX_REFUSALS: usize = 64;
/// How often a link that is silent says that it is there.
pub const KEEP_ALIVE_MS: u64 = 5_000;
/// How long a link may hear nothing before it counts as cut.
pub const IDLE_TIMEOUT_MS: u64 = 15_000;
/// How long looking up a host and a handshake may take together.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 10_000;
/// How long a goodbye may take to reach the peer before the link is closed all the same.
pub const GOODBYE_TIMEOUT_MS: u64 = 1_000;
/// How long the links of a store may take to close, all together.
pub const CLOSE_TIMEOUT_MS: u64 = 3_000;
/// Longest wait before the first attempt to connect again; doubled each time.
pub const RECONNECT_MIN_MS: u64 = 250;
/// Longest such wait.
pub const RECONNECT_MAX_MS: u64 = 30_000;
/// A link that was up for this long has lived: the next wait starts over.
pub const LINK_LIVED_MS: u64 = 5_000;

/// Of how many peers and collections is kept how far the peer is behind, while no link tells it.
pub const MAX_STANDINGS: usize = 4096;
/// Largest body of an HTTP request: one that holds a largest transaction.
pub const MAX_HTTP_BODY_BYTES: usize = MAX_TXN_BYTES;
/// Largest JSON form of a body in MessagePack, in bytes: base64 takes a third more than bytes do.
pub const MAX_HTTP_UNPACKED_BYTES: usize = 2 * MAX_HTTP_BODY_BYTES;
/// How deep a body in MessagePack may be nested: as deep as JSON, and what is around documents.
pub const MAX_HTTP_PACKED_DEPTH: usize = MAX_JSON_DEPTH + 16;
/// Calls over HTTP that work on the store at once; others wait.
pub const MAX_HTTP_CALLS: usize = 32;
/// Answers over HTTP, given line by line, that read or write the tape at once; others wait.
pub const MAX_HTTP_STREAMS: usize = 8;
/// How long somebody may take nothing of such an answer, in seconds; then it is cut off.
pub const MAX_HTTP_STALL_S: u64 = 30;
/// Requests over HTTP that wait for a sync at once; others are refused.
pub const MAX_HTTP_SYNCS: usize = 8;
/// Those who follow changes over HTTP at once, in any way; others are refused.
pub const MAX_HTTP_FOLLOWERS: usize = 1024;
/// Of them, those for whom changes are read at once; others wait.
pub const MAX_HTTP_FEED_READS: usize = 8;
/// Subscriptions of one WebSocket, to changes, events and how the node is.
pub const MAX_WS_SUBSCRIPTIONS: usize = 64;
/// Pieces of the log that those who follow changes share, and how large what is told of one may be
/// that is kept though nobody reads it.
pub const FEED_SHARED_PIECES: usize = 16;
/// The same, in bytes.
pub const FEED_SHARED_BYTES: usize = 64 << 10;
/// How often, at most, somebody is told how a node is, in milliseconds.
pub const MIN_WS_STATUS_MS: u64 = 250;
/// How often it is looked at whether that has changed, for who wants to be told more seldom.
pub const WS_STATUS_LOOK_MS: u64 = 1000;
/// Changes in one piece of a stream of them.
pub const FEED_PIECE_CHANGES: usize = 256;
/// Bytes of documents in such a piece, after which it ends.
pub const FEED_PIECE_BYTES: usize = 256 << 10;
/// Changes that are looked at for a page, wanted or not, after which it ends.
pub const FEED_LOOKED_AT: usize = 16 << 10;
/// How often a stream of changes without any says that it is there, in seconds.
pub const HTTP_HEARTBEAT_S: u64 = 15;
/// Longest name of an HTTP request that its sender may give it, in bytes.
pub const MAX_REQUEST_ID_BYTES: usize = 128;
/// Answers over HTTP larger than this are packed for those who take it so, in bytes.
pub const HTTP_PACK_ABOVE_BYTES: u64 = 1024;
/// Documents on a page of an answer over HTTP.
pub const MAX_HTTP_PAGE: usize = 1000;
/// Bytes of documents on such a page, after which it ends.
pub const HTTP_PAGE_BYTES: usize = 4 << 20;
/// Longest wait for a change over HTTP, in seconds.
pub const MAX_HTTP_WAIT_S: u64 = 60;
/// Headers of an answer of another node; a version travels in one, and that of a large document
/// is long.
pub const MAX_HTTP_ANSWER_HEADER_BYTES: usize = 256 << 10;
/// Largest answer of another node over HTTP that is read.
pub const MAX_HTTP_ANSWER_BYTES: u64 = 64 << 20;
/// Series of one name in the metrics; what is beyond is left out, and counted.
pub const MAX_METRIC_SERIES: usize = 1000;
/// Largest record of a file to import, in bytes: JSON needs at most a few times the bytes of
/// what it says.
pub const MAX_IMPORT_RECORD_BYTES: u64 = 4 * MAX_TXN_BYTES as u64;

/// History that the log keeps of each collection, unless another budget is set: 64 MiB, some
/// 150,000 small transactions. A peer that lags more is usually served better by a snapshot.
pub const LOG_BUDGET_BYTES: u64 = 64 << 20;
/// And not what was written longer ago than this: 30 days.
pub const LOG_BUDGET_AGE_MS: u64 = 30 * 24 * 3_600_000;
/// Pins may hold this many times the log's budget before they expire.
pub const LOG_PIN_FACTOR: u64 = 2;
/// How often commits look for something to prune, besides whenever a segment is complete.
pub const PRUNE_CHECK_MS: u64 = 1_000;
/// Smallest size at which log segments may be closed, in bytes.
pub const MIN_LOG_SEGMENT_BYTES: u64 = 1 << 10;
/// The state is made durable after this many transactions since the last time,
pub const STATE_DURABLE_TXNS: u64 = 1000;
/// or this many bytes of them, as they are before the log packs them,
pub const STATE_DURABLE_BYTES: u64 = 16 << 20;
/// or with the first commit after this time: what recovery has to apply again is bounded.
pub const STATE_DURABLE_MS: u64 = 5_000;
/// A log segment is closed when it has reached this size, in bytes.
pub const LOG_SEGMENT_BYTES: u64 = 16 << 20;
/// Records of one log batch, in bytes, unpacked: one largest transaction and its frame, or many small
/// ones.
pub const MAX_LOG_BATCH_BYTES: usize = MAX_TXN_BYTES + (64 << 10);
/// Bytes of transactions committed together at most (one transaction may be larger).
pub const COMMIT_BATCH_BYTES: usize = 4 << 20;
/// Checkpoints of a store.
pub const MAX_CHECKPOINTS: usize = 256;
/// Longest label of a checkpoint, in bytes.
pub const MAX_CHECKPOINT_LABEL_BYTES: usize = 128;
/// Snapshots that are joined within so many milliseconds have one automatic checkpoint before them.
pub const JOIN_CHECKPOINT_GAP_MS: u64 = 60_000;
/// Documents that one transaction of a revert writes, at most,
pub const REVERT_DOCUMENTS: usize = 256;
/// and what they hold, in bytes, about (one document may hold more).
pub const REVERT_BYTES: usize = 1 << 20;
/// Bytes of operations, about, that are held at a time by who works out what documents would be
/// without some transactions; what is more takes another pass over the log.
pub const TRACE_BYTES: usize = 64 << 20;
/// What replaying the log from a checkpoint holds in memory of the documents that changed, in bytes;
/// more of them go to a scratch directory.
pub const REPLAY_MEMORY_BYTES: u64 = 64 << 20;
/// Former rows that are looked at in one step when a checkpoint was deleted, about.
pub const SWEEP_ROWS: usize = 4096;
/// Findings of one kind that are listed of a store; further ones are counted.
pub const MAX_FINDINGS_OF_A_KIND: u64 = 50;
/// Free bytes of the state that the doctor tells of, if they are also the larger part.
pub const DEAD_SPACE_BYTES: u64 = 16 << 20;
/// Attempts to read on behind damage in one table, when a store is rescued.
pub const RESCUE_PROBES: u64 = 2_000;

/// Conditions of a filter, values of its lists included.
pub const MAX_FILTER_CONDITIONS: usize = 4096;
/// How deep conditions may be within each other.
pub const MAX_FILTER_DEPTH: usize = 64;
/// Longest textual form of a filter.
pub const MAX_FILTER_BYTES: usize = 64 << 10;
/// Fields that documents are sorted by.
pub const MAX_ORDERS: usize = 16;
/// Of a text or of bytes, how many bytes count when documents are sorted.
pub const MAX_SORT_BYTES: usize = 512;
/// Paths of an index.
pub const MAX_INDEX_PATHS: usize = 8;
/// Indexes of a store.
pub const MAX_INDEXES: usize = 64;
/// Documents that are gone through in one commit while an index is built.
pub const INDEX_BATCH: usize = 256;
/// Longest textual form of the place where a page of results goes on.
pub const MAX_CURSOR_BYTES: usize = 32 << 10;

/// Longest row of a document that is kept as it was before and after a change, where that is asked
/// for; of a larger one nothing is told.
pub const MAX_CHANGE_VALUE_BYTES: usize = 256 << 10;

/// Events that a store keeps of what happened to it; the oldest go first.
pub const MAX_EVENTS: u64 = 10_000;
/// Bytes of them.
pub const MAX_EVENTS_BYTES: u64 = 2 << 20;
/// Longest text of an event, in bytes; what is more is cut off.
pub const MAX_EVENT_TEXT_BYTES: usize = 512;
/// Events that one call gives.
pub const MAX_EVENT_PAGE: usize = 1000;
/// Longest key that a caller gives a write, in bytes.
pub const MAX_REQUEST_KEY_BYTES: usize = 128;
/// Writes with a key that are remembered,
pub const MAX_REQUESTS: u64 = 10_000;
/// and for how long: a week.
pub const REQUEST_AGE_MS: u64 = 7 * 86_400_000;
/// Conflicts that a store keeps in its log of them; the oldest go first.
pub const MAX_LOGGED_CONFLICTS: u64 = 10_000;
/// Bytes of them.
pub const MAX_CONFLICT_LOG_BYTES: u64 = 16 << 20;
/// Candidates of one of them that are kept; further ones are counted.
pub const MAX_LOGGED_CANDIDATES: usize = 16;
/// Bytes of a candidate's JSON that are kept.
pub const MAX_LOGGED_VALUE_BYTES: usize = 1024;
/// Logged conflicts that one call gives.
pub const MAX_CONFLICT_LOG_PAGE: usize = 1000;
/// Notes that people may make about one.
pub const MAX_CONFLICT_NOTES: usize = 32;
/// Longest of these, in bytes.
pub const MAX_CONFLICT_NOTE_BYTES: usize = 2048;
/// Longest name of who makes one.
pub const MAX_CONFLICT_NOTE_AUTHOR_BYTES: usize = 128;
/// Members that changed in one commit and have an event of their own; of more, one tells how many.
pub const MAX_MEMBER_EVENTS: usize = 16;

const _: () = assert!(MAX_FRAME_BYTES > MAX_TXN_BYTES);
const _: () =
    assert!(MAX_LOG_BATCH_BYTES > MAX_TXN_BYTES && COMMIT_BATCH_BYTES < MAX_LOG_BATCH_BYTES);
const _: () = assert!(SYNC_BATCH_BYTES <= SYNC_WINDOW_BYTES);
const _: () = assert!(SYNC_WINDOW_BYTES <= SYNC_LINK_WINDOW_BYTES);
// One link alone meets its own limits before that of all.
const _: () = assert!(SYNC_RECEIVE_BYTES <= MAX_NETWORK_HELD_BYTES);
const _: () = assert!(VECTOR_ENTRY_BYTES * MAX_LINK_VECTOR_ENTRIES <= MAX_NETWORK_HELD_BYTES);
const _: () = assert!(MAX_LINK_QUEUE_BYTES <= MAX_NETWORK_HELD_BYTES);
const _: () = assert!(SYNC_BATCH_BYTES <= MIN_LINK_WINDOW_BYTES / 2);
const _: () = assert!(LINK_WINDOW_BYTES <= MAX_NETWORK_WINDOW_BYTES);
const _: () = assert!(MAX_TXN_BYTES <= SYNC_LINK_WINDOW_BYTES);
// A vector at its limit fits into one control frame: 60 bytes an entry, and a name.
const _: () = assert!(60 * MAX_VECTOR_ENTRIES + 1024 <= MAX_CONTROL_BYTES);
const _: () = assert!(MAX_SEQ.checked_mul(MAX_VECTOR_ENTRIES as u64).is_some());
const _: () = assert!(MAX_VALUE_BYTES < MAX_TXN_BYTES);
// The head of a snapshot with a vector at its limit fits into one frame of a bundle.
const _: () = assert!(140 * MAX_VECTOR_ENTRIES + 1024 <= MAX_FRAME_BYTES);
const _: () = assert!(MAX_BUNDLE_DOCUMENTS_BYTES <= u32::MAX as usize);
// What a link remembers of its peer fits into a bundle twice: where it begins and where it ends.
const _: () = assert!(2 * MAX_LINK_VECTOR_ENTRIES <= MAX_BUNDLE_VECTOR_ENTRIES);
const _: () = assert!(MAX_TICKET_ADDRESSES <= MAX_PEER_PLACES);
const _: () = assert!(KEEP_ALIVE_MS * 2 < IDLE_TIMEOUT_MS);
const _: () = assert!(RECONNECT_MIN_MS <= RECONNECT_MAX_MS);
