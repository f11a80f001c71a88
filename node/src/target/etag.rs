//! Versions as text: base64url without padding; an ETag is that in double quotes.

use data_encoding::BASE64URL_NOPAD;
use littoral::{Error, ErrorKind, Result, Version};

/// A version as text for programs to hand back.
pub(crate) fn version_text(version: &Version) -> String {
    BASE64URL_NOPAD.encode(version.as_bytes())
}

/// The version of a text that [`version_text`] gave, with or without the quotes of an ETag.
pub(crate) fn parse_version(text: &str) -> Result<Version> {
    let text = text.trim();
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    BASE64URL_NOPAD.decode(bare.as_bytes()).map(|bytes| Version::from_bytes(&bytes)).map_err(|_| {
        Error::new(
            ErrorKind::InvalidInput,
            "a version is the text that a read gave with the document, unchanged (over HTTP: its ETag)",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_round_trip_bare_and_quoted() {
        let version = Version::from_bytes(&[0, 255, 17, 62]);
        let text = version_text(&version);
        assert_eq!(parse_version(&text).unwrap(), version);
        assert_eq!(parse_version(&format!("\"{text}\"")).unwrap(), version);
        assert!(parse_version("W/\"x\"").is_err());
    }
}
