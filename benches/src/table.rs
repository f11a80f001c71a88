//! The table: what was measured, what it was measured against, and the goal.

use serde::Serialize;

/// What a row is to reach.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) enum Goal {
    /// The ratio is at most this.
    Ratio(f64),
    /// The figure itself is at most this.
    Figure(f64),
    /// None is set: it explains another row.
    None,
}

/// One figure, of Littoral and of what it is measured against, one of each a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    ours: Vec<f64>,
    theirs: Vec<f64>,
    /// Of iroh-docs, where it takes part; none of a run that it did not finish.
    iroh: Vec<Option<f64>>,
}

impl Series {
    pub(crate) fn ours(&mut self, figure: f64) {
        self.ours.push(figure);
    }

    pub(crate) fn theirs(&mut self, figure: f64) {
        self.theirs.push(figure);
    }

    pub(crate) fn iroh(&mut self, figure: Option<f64>) {
        self.iroh.push(figure);
    }

    /// One figure, measured once.
    pub(crate) fn of(figure: f64) -> Series {
        Series { ours: vec![figure], ..Series::default() }
    }

    /// One figure of each, measured once.
    pub(crate) fn pair(ours: f64, theirs: f64) -> Series {
        Series { ours: vec![ours], theirs: vec![theirs], iroh: Vec::new() }
    }

    /// The same figures in another unit.
    pub(crate) fn divided_by(&self, by: f64) -> Series {
        let divided = |all: &[f64]| all.iter().map(|figure| figure / by).collect();
        let iroh = self.iroh.iter().map(|figure| Some((*figure)? / by)).collect();
        Series { ours: divided(&self.ours), theirs: divided(&self.theirs), iroh }
    }

    /// The median of the ratios of each run.
    fn ratio(&self) -> Option<f64> {
        let ratios: Vec<f64> = self.ours.iter().zip(&self.theirs).map(|(a, b)| a / b).collect();
        (!ratios.is_empty()).then(|| median(&ratios))
    }

    /// What iroh-docs took in the runs that it finished, and its ratio as above.
    fn iroh_figures(&self) -> Option<Iroh> {
        let runs = self.iroh.iter().zip(&self.theirs);
        let done: Vec<_> =
            runs.filter_map(|(figure, theirs)| Some(((*figure)?, *theirs))).collect();
        let figures: Vec<f64> = done.iter().map(|(figure, _)| *figure).collect();
        let ratios: Vec<f64> = done.iter().map(|(figure, theirs)| figure / theirs).collect();
        let finished = done.len();
        (!self.iroh.is_empty()).then(|| Iroh {
            figure: (finished > 0).then(|| median(&figures)),
            ratio: (finished > 0).then(|| median(&ratios)),
            finished,
        })
    }
}

/// What iroh-docs did of a row.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Iroh {
    figure: Option<f64>,
    ratio: Option<f64>,
    /// Runs that it finished in time.
    finished: usize,
}

/// A row of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) work: &'static str,
    pub(crate) what: String,
    pub(crate) littoral: f64,
    pub(crate) plain: Option<f64>,
    pub(crate) ratio: Option<f64>,
    pub(crate) goal: Goal,
    /// Whether the goal is reached, where there is one.
    pub(crate) reached: Option<bool>,
    pub(crate) runs: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iroh: Option<Iroh>,
}

/// All rows, in the order in which they were measured.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    /// Adds a row, and shows it at once on standard error.
    pub(crate) fn row(
        &mut self,
        work: &'static str,
        what: impl Into<String>,
        figures: &Series,
        goal: Goal,
    ) {
        let (littoral, ratio) = (median(&figures.ours), figures.ratio());
        let plain = (!figures.theirs.is_empty()).then(|| median(&figures.theirs));
        let reached = match goal {
            Goal::Ratio(most) => ratio.map(|ratio| ratio <= most),
            Goal::Figure(most) => Some(littoral <= most),
            Goal::None => None,
        };
        let runs = figures.ours.len();
        let (what, iroh) = (what.into(), figures.iroh_figures());
        let row = Row { work, what, littoral, plain, ratio, goal, reached, runs, iroh };
        eprintln!("{}", line(&row));
        self.0.push(row);
    }

    /// All rows as JSON.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(&self.0).expect("rows are JSON")
    }

    /// All rows, for people.
    pub(crate) fn print(&self) {
        println!(
            "{:<4} {:<62}{:>11}{:>11}{:>8}  {:<9}",
            "", "", "littoral", "without", "ratio", "goal"
        );
        self.0.iter().for_each(|row| println!("{}", line(row)));
    }
}

fn line(row: &Row) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let plain = or_dash(row.plain.map(number));
    let ratio = or_dash(row.ratio.map(|ratio| format!("{ratio:.2}")));
    let goal = match row.goal {
        Goal::Ratio(most) => format!("<= {most}x"),
        Goal::Figure(most) => format!("<= {most}"),
        Goal::None => String::new(),
    };
    let reached = row.reached.map_or("", |reached| if reached { "reached" } else { "MISSED" });
    let ours = number(row.littoral);
    let iroh = row.iroh.as_ref().map_or(String::new(), |iroh| {
        let (figure, ratio) = (or_dash(iroh.figure.map(number)), or_dash(iroh.ratio.map(number)));
        let unfinished = match row.runs - iroh.finished {
            0 => String::new(),
            some => format!(", {some} of {} runs not finished", row.runs),
        };
        format!(" iroh-docs {figure}, ratio {ratio}{unfinished}")
    });
    let line = format!(
        "{:<4} {:<62}{ours:>11}{plain:>11}{ratio:>8}  {goal:<9} {reached:<7}{iroh}",
        row.work, row.what
    );
    line.trim_end().to_owned()
}

/// Three digits that count.
fn number(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{figure:.2}"),
        _ => format!("{figure:.4}"),
    }
}

/// The middle of these; not a number if there are none.
pub(crate) fn median(all: &[f64]) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
