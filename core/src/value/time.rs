//! Moments as text: RFC 3339 in UTC, to the microsecond.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

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
        .map(|moment| {
            (moment.to_offset(UtcOffset::UTC).unix_timestamp_nanos().div_euclid(1000)) as i64
        })
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
}
