//! An operator's act and its record, in one transaction.

use sqlx::PgConnection;

use super::PostgresLedger;
use crate::{
    audit::{self, Act, Chain},
    postgres::{BoxFuture, PgError},
};

impl PostgresLedger {
    /// Work inside one transaction, which ends with the record of what was done: the lock on the chain is the last that is taken.
    pub(super) async fn act<D, T, F, A>(
        &self,
        what: &'static str,
        data: &D,
        work: F,
        act: A,
    ) -> Result<T, PgError>
    where
        D: Sync,
        T: Send + Sync,
        F: for<'c> Fn(&'c mut PgConnection, &'c D) -> BoxFuture<'c, T> + Sync,
        A: Fn(&D, &T) -> Option<Act> + Sync,
    {
        let call = (data, work, act, self.scribe.as_ref());
        let done = self.database.transact(what, &call, |c, (data, work, act, scribe)| {
            Box::pin(async move {
                let done = work(&mut *c, data).await?;
                if let Some(scribe) = scribe
                    && let Some(act) = act(data, &done)
                {
                    audit::postgres::append(c, Chain::Ledger, scribe, &scribe.actor, vec![act]).await?;
                }
                Ok(done)
            })
        });
        done.await
    }
}
