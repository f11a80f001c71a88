//! What can be typed about watching a node.

use std::str::FromStr;

use clap::Args;

/// Of `top`.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// How many seconds from one look to the next.
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    pub(crate) every: Every,
}

/// A number of seconds that a person can wait for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Every(pub(crate) f64);

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Every, String> {
        match text.parse::<f64>() {
            Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(Every(seconds)),
            _ => Err("a number of seconds between 0.1 and 3600".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_what_a_person_can_wait_for() {
        for good in ["0.1", "1", "3600"] {
            assert!(good.parse::<Every>().is_ok(), "{good}");
        }
        for bad in ["0", "0.09", "3601", "-1", "NaN", "inf", "soon", ""] {
            assert!(bad.parse::<Every>().is_err(), "{bad}");
        }
    }
}
