//! A figure of the benchmark: what was measured, of whom, and what it means.

use std::time::Duration;

use serde::Serialize;

/// A row of the table.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) work: &'static str,
    pub(super) what: &'static str,
    pub(super) unit: &'static str,
    pub(super) littoral: f64,
    /// Plain redb, where there is such a thing.
    pub(super) redb: Option<f64>,
    /// The one divided by the other.
    pub(super) ratio: Option<f64>,
    pub(super) meaning: &'static str,
}

impl Row {
    /// A row with its counterpart in plain redb.
    pub(super) fn beside(
        (work, what, unit): (&'static str, &'static str, &'static str),
        littoral: f64,
        redb: f64,
        meaning: &'static str,
    ) -> Row {
        let ratio = (redb > 0.0).then(|| littoral / redb);
        Row { work, what, unit, littoral, redb: Some(redb), ratio, meaning }
    }

    /// A row of Littoral alone.
    pub(super) fn alone(
        (work, what, unit): (&'static str, &'static str, &'static str),
        littoral: f64,
        meaning: &'static str,
    ) -> Row {
        Row { work, what, unit, littoral, redb: None, ratio: None, meaning }
    }

    /// As a line of the table.
    pub(super) fn cells(&self) -> Vec<String> {
        let figure = |figure: f64| format!("{} {}", digits(figure), self.unit);
        let redb = self.redb.map_or_else(|| "-".to_owned(), figure);
        let ratio = self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        vec![self.work.to_owned(), self.what.to_owned(), figure(self.littoral), redb, ratio]
    }
}

/// About three digits that count.
fn digits(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => crate::output::number(figure.round() as u64),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

/// The middle of these.
pub(super) fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// In millionths of a second.
pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_about_three_digits() {
        let shown = [0.1234, 12.34, 1234.5].map(digits);
        assert_eq!(shown, ["0.12", "12.3", "1,235"].map(str::to_owned));
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }
}
