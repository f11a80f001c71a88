//! The session against a store and a network that are nothing but memory and a seed.
//!
//! `store` applies transactions as the algebra demands and refuses gaps; `world` carries
//! bytes between sessions in any chunks and any order of streams, and cuts links.

mod converge;
mod cuts;
mod hello;
mod hostile;
mod joining;
mod messages;
mod outlines;
mod schedules;
mod store;
mod window;
mod world;
