//! Care: the tools for bad days. They look at the files of a store that may be damaged, say what is
//! wrong, and save what can be saved.
//!
//! [`verify`] looks at everything and touches nothing; [`rescue`] brings what is readable into a new
//! store; [`doctor`] explains what is legal and puzzling; [`anonymize`] makes a store of
//! the same shape without its content, for bug reports. What they have in common is [`look`], which opens files
//! without changing them, and [`finding`], the form in which something is said about a store.
//! Nothing here repairs a store in place: what is damaged stays as it is, for whoever wants to try
//! again, and what is saved goes into a new one.

mod anonymize;
mod doctor;
mod finding;
mod gathered;
mod history;
mod keys;
mod lives;
mod look;
mod mask;
mod rebuild;
mod remains;
mod rescue;
mod rescued;
mod rows;
mod salvage;
mod vectors;
mod verify;

pub use anonymize::Anonymized;
pub use finding::{Finding, Level};
pub(super) use rebuild::Scratch;
pub use rescue::{How, RescueOptions, Rescued, RescuedCollection};
pub use salvage::LeftOut;
pub use verify::{Progress, Verified, VerifyOptions, VerifyStep};
