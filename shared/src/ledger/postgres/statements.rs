//! The statements on the way of a message, so that their plans can be looked at.

use super::{
    archive, detour, dossier, forget, intake, memory, notices, opt_outs, quick, reads, recovery, rows,
    settle, stops, take, tally, usage, write,
};
use crate::{callbacks, outbox, watch};

/// Each statement that a message may meet, with its name. None of them may read a table from end to end, however large it is:
/// `PREPARE` one and look at `EXPLAIN EXECUTE`.
#[must_use]
pub fn postgres_statements() -> Vec<(&'static str, &'static str)> {
    vec![
        ("record", intake::INSERT),
        ("whom a provider speaks of", notices::BY_BACKEND_ID),
        ("whom a provider speaks of, in the archive", notices::BY_BACKEND_ID_ARCHIVED),
        ("whom a provider speaks of by an earlier id", notices::BY_EARLIER_BACKEND_ID),
        ("whom a provider of an earlier route speaks of", notices::BY_EARLIER_ROUTE),
        ("keep an early report", notices::PARK),
        ("what is kept already", notices::PARKED_ALREADY),
        ("early reports that are due", notices::PARKED),
        ("an early report that is kept no more", notices::UNPARK),
        ("look up ids", intake::KNOWN),
        ("units used", usage::USED),
        ("what a customer has ready", take::ROWS),
        ("customers with something ready", take::CUSTOMERS),
        ("is anything ready", take::READY),
        ("rows for another route", detour::REROUTED),
        ("to another route", detour::MOVE),
        ("count what is ready", detour::COUNTED),
        ("whose turn it is", quick::RINGS),
        ("begin by turns", quick::BEGIN),
        ("who opted out", opt_outs::MATCHES),
        ("opt-outs of a list", opt_outs::LIST),
        ("opt-outs of a recipient", opt_outs::OF_RECIPIENT),
        ("delivered", settle::DELIVERED),
        ("sent", settle::SENT),
        ("lock rows", settle::LOCK),
        ("lock archived rows", archive::LOCK),
        ("save rows", write::SAVE),
        ("rows by id", rows::HOT),
        ("archived rows by id", rows::ARCHIVED),
        ("due", recovery::DUE),
        ("earliest", recovery::EARLIEST),
        ("due reports", recovery::DUE_REPORTS),
        ("lost", recovery::LOST),
        ("what a rule stops", stops::SWEEP),
        ("incarnations", recovery::INCARNATIONS),
        ("hand out reports", reads::LEND),
        ("acknowledge", reads::ACKNOWLEDGE),
        ("listen", memory::LISTENING),
        ("move to the archive", archive::MOVE),
        ("oldest end", archive::OLDEST),
        ("bring back", archive::BRING_BACK),
        ("texts to remove", forget::TEXTS),
        ("remove texts", forget::MASK),
        ("forget tombstones", forget::FORGET_TOMBSTONES),
        ("forget notes", forget::FORGET_NOTES),
        ("forget how it was sent before", forget::FORGET_EARLIER),
        ("forget history", forget::FORGET_HISTORY),
        ("forget reports", forget::FORGET_UNREAD),
        ("a message's moments", dossier::MOMENTS),
        ("count a step", tally::TALLY),
        ("note what came and ended", watch::NOTE),
        ("note what came last", watch::NOTE_LAST),
        ("what came and ended", watch::FLOW),
        ("forget what came and ended", watch::FORGET_FLOW),
        ("oldest of what is ready", watch::OLDEST_READY),
        ("oldest of what is tried again", watch::OLDEST_RETRYING),
        ("claim events", outbox::CLAIM),
        ("put events", outbox::PUT),
        ("events to claim", outbox::HAS_FREE_IN_POSTGRES),
    ]
}

/// Each statement on the way of an event to a webhook, with its name. Of `callback` none may read more than it is asked for; webhooks that
/// something waits for may be gone through, of which there are few.
#[must_use]
pub fn postgres_callback_statements() -> Vec<(&'static str, &'static str)> {
    vec![
        ("claim of these", callbacks::CLAIM_OF_THESE),
        ("claim of others", callbacks::CLAIM_OF_OTHERS),
        ("earliest of these", callbacks::EARLIEST_OF_THESE),
        ("earliest of others", callbacks::EARLIEST_OF_OTHERS),
        ("what waits already", callbacks::KNOWN),
        ("forget", callbacks::FORGET),
        ("again", callbacks::AGAIN),
        ("give up", callbacks::GIVE_UP),
    ]
}
