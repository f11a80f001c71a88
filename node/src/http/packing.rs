//! Answers packed with gzip, for those who say that they take it (`Accept-Encoding`).
//!
//! Not packed: what is small; answers that are given piece by piece, whose pieces would wait in the
//! packer; and bytes, which bundles have packed already. The ETag stays as it is: it names a version
//! of a document, in whatever encoding that travels.

use littoral::limits::HTTP_PACK_ABOVE_BYTES;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use super::lines::LINES_TYPE;
use crate::target::BUNDLE_TYPE;

/// Packs answers.
pub(super) fn layer() -> CompressionLayer<impl Predicate> {
    let wanted = SizeAbove::new(HTTP_PACK_ABOVE_BYTES)
        .and(NotForContentType::SSE)
        .and(NotForContentType::const_new(LINES_TYPE))
        .and(NotForContentType::const_new(BUNDLE_TYPE));
    CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest).compress_when(wanted)
}
