//! Moments as text: RFC 3339 in UTC, to the microsecond.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::{Error, Result};

/// Microseconds since 1970 as RFC 3339; a moment outside the years 0 to 9999 as its number.
pub(crate) fn format_time(micros: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{micros}us"))
}

/// The reverse of [`format_time`]; any offset is read, what is finer than a microsecond is cut.
pub(crate) fn parse_time(text: &str) -> Result<i64> {
    if let Some(micros) = text.strip_suffix("us").and_then(|n| n.parse().ok()) {
        return Ok(micros);
    }
    OffsetDateTime::parse(text, &Rfc3339)
        .map(|moment| moment.unix_timestamp_nanos().div_euclid(1000) as i64)
        .map_err(|_| Error::invalid("a time is RFC 3339 text such as 2026-11-22T16:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip() {
        for micros in [0, 1, -1, 1_795_276_800_123_456, i64::MIN, i64::MAX] {
            assert_eq!(parse_time(&format_time(micros)).unwrap(), micros);
        }
        assert_eq!(
            parse_time("2026-11-22T18:00:00+02:00").unwrap(),
            parse_time("2026-11-22T16:00:00Z").unwrap()
        );
        assert!(parse_time("yesterday").is_err());
    }

    /// An offset may lead out of the years that have text: found by fuzzing, as a panic.
    #[test]
    fn the_first_and_last_moments_with_an_offset_are_read() {
        for text in ["9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59"] {
            let micros = parse_time(text).unwrap();
            assert_eq!(parse_time(&format_time(micros)).unwrap(), micros);
        }
    }
}
