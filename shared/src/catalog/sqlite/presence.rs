//! What fronts tell of themselves, beside the catalog.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Row;
use tokio::time::timeout;

use super::{CALL_TIMEOUT, SqliteCatalog};
use crate::{
    domain::Timestamp,
    presence::{CredentialUse, FrontMark, Presence, PresenceError},
    sqlite::DbError,
};

async fn in_time<T>(call: impl Future<Output = Result<T, DbError>>) -> Result<T, PresenceError> {
    let late = timeout(CALL_TIMEOUT, call).await.map_err(|late| PresenceError(Box::new(late)))?;
    late.map_err(|error| PresenceError(Box::new(error)))
}

fn moment(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_millis(row.get(index)?))
}

#[async_trait]
impl Presence for SqliteCatalog {
    async fn live(&self, front: &FrontMark, forget: Duration) -> Result<(), PresenceError> {
        let front = front.clone();
        let gone =
            front.seen_at.as_millis().saturating_sub(i64::try_from(forget.as_millis()).unwrap_or(i64::MAX));
        let tell = self.db.write(move |c| {
            c.prepare_cached("DELETE FROM front WHERE seen_at < ?1")?.execute([gone])?;
            c.prepare_cached(
                "INSERT INTO front (name, version, seen_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET version = excluded.version, seen_at = excluded.seen_at",
            )?
            .execute((front.name, front.version, front.seen_at.as_millis()))?;
            Ok(())
        });
        in_time(tell).await
    }

    async fn leave(&self, name: &str) -> Result<(), PresenceError> {
        let name = name.to_owned();
        let leave = self.db.write(move |c| {
            c.prepare_cached("DELETE FROM front WHERE name = ?1")?.execute([name])?;
            Ok(())
        });
        in_time(leave).await
    }

    async fn fronts(&self) -> Result<Vec<FrontMark>, PresenceError> {
        let read = self.db.read(|c| {
            c.prepare_cached("SELECT name, version, seen_at FROM front ORDER BY name")?
                .query_map([], |row| {
                    Ok(FrontMark { name: row.get(0)?, version: row.get(1)?, seen_at: moment(row, 2)? })
                })?
                .collect()
        });
        in_time(read).await
    }

    async fn used(&self, uses: &[CredentialUse]) -> Result<(), PresenceError> {
        let uses = uses.to_vec();
        let note = self.db.write(move |c| {
            let mut note = c.prepare_cached(
                "INSERT INTO credential_use (credential, used_at) VALUES (?1, ?2)
                 ON CONFLICT (credential) DO UPDATE SET used_at = max(used_at, excluded.used_at)",
            )?;
            for one in &uses {
                note.execute((one.credential.as_str(), one.used_at.as_millis()))?;
            }
            Ok(())
        });
        in_time(note).await
    }

    async fn last_uses(&self) -> Result<Vec<CredentialUse>, PresenceError> {
        let read = self.db.read(|c| {
            c.prepare_cached("SELECT credential, used_at FROM credential_use ORDER BY credential")?
                .query_map([], |row| {
                    let name: String = row.get(0)?;
                    Ok(name.parse().ok().zip(Some(moment(row, 1)?)))
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        });
        let known = in_time(read).await?.into_iter().flatten();
        Ok(known.map(|(credential, used_at)| CredentialUse { credential, used_at }).collect())
    }
}
