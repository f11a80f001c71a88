//! Snapshots: how a replica that is behind another's log gets what that one holds.
//!
//! ```text
//!   source                          receiver
//!   view   one moment of one        staging  what the source's documents are, where they
//!          collection, signed                differ from ours; durable, survives restarts
//!                                   joining  one commit: documents, vector, floor
//! ```
//!
//! While a collection is staged, the receiver has for every id a *candidate*: what it
//! believes the source to hold there. That is the staged row if there is one, else its own.
//! Before the waist changes a document that is not staged, it stages the row as it was: so
//! local writes and other peers' transactions go on, and no candidate moves by itself. The
//! two sides compare digests of spans of candidates with those of the view; what differs is
//! sent and staged. Nothing else needs to be remembered: after a lost view, or against
//! another source, the comparison starts over, and what was staged and still fits is skipped.
//!
//! # Invariants
//! 1. The join is one redb commit, durable, with barrier records before it in the log: what
//!    is visible is always a causally closed set of whole transactions.
//! 2. A join happens only if the candidates' cells have the digest that the view's head was
//!    signed with (rule 8): a span that was skipped or staged wrongly fails it.
//! 3. Each entry of the view's vector is proven by its origin's signature (rule 10).
//! 4. The join uses the receiver's rows and vector of the moment of the commit.
//!
//! Costs: at its peak, the disk holds the documents that differ twice, and local writes wait
//! for the one commit at the end. It does not know who talks to whom, or in what order.

mod joining;
mod staging;
mod view;

pub(super) use joining::read_barrier;
pub use staging::StagingLease;
pub(super) use staging::{drop_staging, save_before};
pub use view::View;
pub(super) use view::documents_in;
