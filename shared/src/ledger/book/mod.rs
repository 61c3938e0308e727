//! What every engine of the ledger decides in the same way: what a row becomes, what is charged, whose turn it is, who is told.
//!
//! Pure: an engine loads rows, has them changed here, and writes what a [`Page`] gathered. How it does that is its own.

mod begin;
mod bells;
mod dead;
mod due;
mod flows;
mod lives;
mod news;
mod page;
mod quotas;
mod row;
mod search;
mod share;
mod spoken;
mod stops;
mod turns;
mod usage;

pub(super) use begin::{Judged, Known, Start, conflict};
pub(super) use bells::{Bells, rung};
pub(super) use dead::{
    as_entry, erased, in_doubt, in_json, is_charged_again, is_dead, is_doubtful, told_dead, whose_in_json,
};
pub(super) use due::{DueBell, wait_for_due};
pub(super) use flows::{FlowByPlace, Flows};
pub(super) use lives::Woke;
pub(super) use news::{News, Place};
pub(super) use page::{Earlier, End, Page};
pub(super) use quotas::Tallies;
pub(super) use row::{BACKEND_ID, Charge, Row, cut, lane_number, lane_of, own_words, sandbox};
pub(super) use search::{matches, told};
pub(super) use share::Tally;
pub(super) use spoken::{By, spoken_of};
pub(super) use stops::{Fate, Halt, How, Rules};
pub(super) use turns::{LaneTurns, RouteTurns};
pub(super) use usage::UsageChanges;
