//! What fronts tell of themselves, beside the catalog.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row as _;

use super::{PostgresCatalog, limit, number};
use crate::{
    domain::Timestamp,
    postgres::PgError,
    presence::{CredentialUse, FrontMark, Presence, PresenceError},
};

impl From<PgError> for PresenceError {
    fn from(error: PgError) -> Self {
        Self(Box::new(error))
    }
}

#[async_trait]
impl Presence for PostgresCatalog {
    async fn live(&self, front: &FrontMark, forget: Duration) -> Result<(), PresenceError> {
        let seen_at = front.seen_at.as_millis();
        let gone = seen_at.saturating_sub(i64::try_from(forget.as_millis()).unwrap_or(i64::MAX));
        let told = (front.name.as_str(), limit(front.version), seen_at, gone);
        let live = self.database.statement("front-lives", &told, |c, (name, version, seen_at, gone)| {
            Box::pin(async move {
                sqlx::query(
                    "WITH gone AS (DELETE FROM front WHERE seen_at < $4 AND name <> $1) \
                     INSERT INTO front (name, version, seen_at) VALUES ($1, $2, $3) \
                     ON CONFLICT (name) DO UPDATE SET version = excluded.version, seen_at = excluded.seen_at",
                )
                .bind(*name)
                .bind(*version)
                .bind(*seen_at)
                .bind(*gone)
                .execute(c)
                .await?;
                Ok(())
            })
        });
        Ok(live.await?)
    }

    async fn leave(&self, name: &str) -> Result<(), PresenceError> {
        let leave = self.database.statement("front-leaves", &name, |c, name| {
            Box::pin(async move {
                sqlx::query("DELETE FROM front WHERE name = $1").bind(*name).execute(c).await?;
                Ok(())
            })
        });
        Ok(leave.await?)
    }

    async fn fronts(&self) -> Result<Vec<FrontMark>, PresenceError> {
        let fronts = self.database.read("fronts", &(), |c, ()| {
            Box::pin(async move {
                let rows = sqlx::query("SELECT name, version, seen_at FROM front ORDER BY name")
                    .fetch_all(c)
                    .await?;
                let front = |row: &sqlx::postgres::PgRow| {
                    let seen_at = Timestamp::from_millis(row.try_get(2)?);
                    Ok(FrontMark { name: row.try_get(0)?, version: number(row.try_get(1)?), seen_at })
                };
                rows.iter().map(front).collect::<Result<Vec<_>, PgError>>()
            })
        });
        Ok(fronts.await?)
    }

    async fn used(&self, uses: &[CredentialUse]) -> Result<(), PresenceError> {
        // In one order, so that no two fronts wait crosswise.
        let mut uses: Vec<_> =
            uses.iter().map(|one| (one.credential.as_str(), one.used_at.as_millis())).collect();
        uses.sort_unstable();
        let told: (Vec<&str>, Vec<i64>) = uses.into_iter().unzip();
        let note = self.database.statement("credential-use", &told, |c, (credentials, times)| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO credential_use (credential, used_at) \
                     SELECT credential, max(used_at) FROM unnest($1::text[], $2::bigint[]) AS u (credential, used_at) \
                     GROUP BY credential ORDER BY credential \
                     ON CONFLICT (credential) DO UPDATE SET used_at = excluded.used_at \
                     WHERE credential_use.used_at < excluded.used_at",
                )
                .bind(credentials.as_slice())
                .bind(times.as_slice())
                .execute(c)
                .await?;
                Ok(())
            })
        });
        Ok(note.await?)
    }

    async fn last_uses(&self) -> Result<Vec<CredentialUse>, PresenceError> {
        let uses = self.database.read("credential-uses", &(), |c, ()| {
            Box::pin(async move {
                let rows = sqlx::query("SELECT credential, used_at FROM credential_use ORDER BY credential")
                    .fetch_all(c)
                    .await?;
                let mut uses = Vec::with_capacity(rows.len());
                for row in &rows {
                    let (name, used_at): (&str, i64) = (row.try_get(0)?, row.try_get(1)?);
                    let used_at = Timestamp::from_millis(used_at);
                    uses.extend(name.parse().ok().map(|credential| CredentialUse { credential, used_at }));
                }
                Ok(uses)
            })
        });
        Ok(uses.await?)
    }
}
