//! What a search asks, held against a row.

use super::row::Row;
use crate::{
    domain::{Account, MessageView},
    ledger::Search,
};

/// Whether a row is what is looked for, its id and its place aside.
pub(in crate::ledger) fn matches(row: &Row, search: &Search) -> bool {
    search.customer.as_ref().is_none_or(|customer| *customer == row.account.customer)
        && search.recipient.as_ref().is_none_or(|recipient| *recipient == row.recipient)
        && search.reference.as_ref().is_none_or(|reference| Some(reference) == row.reference.as_ref())
        && search.key.as_deref().is_none_or(|key| row.key.as_ref().is_some_and(|own| own.as_str() == key))
        && search.route.as_ref().is_none_or(|route| *route == row.route)
        && search.state.is_none_or(|state| state == row.state)
}

/// A row as the operator is told of it.
pub(in crate::ledger) fn told(row: Row) -> (Account, MessageView) {
    (row.account.clone(), row.view())
}
