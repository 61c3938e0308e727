//! Whether a server may be used: what readiness asks, beside whether it answers.

use std::sync::Arc;

use async_trait::async_trait;

use super::{PgError, Pool};
use crate::ports::{Probe, ProbeError};

/// Asks a pool for a connection, which it gives only to a server that is set up as it must be, with tables that are new enough.
pub(crate) struct Fitness {
    name: &'static str,
    pool: Arc<Pool>,
}

impl Fitness {
    /// Of this pool's server.
    pub(crate) fn new(name: &'static str, pool: &Arc<Pool>) -> Self {
        Self { name, pool: Arc::clone(pool) }
    }
}

#[async_trait]
impl Probe for Fitness {
    fn name(&self) -> &str {
        self.name
    }

    async fn ask(&self) -> Result<(), ProbeError> {
        match self.pool.acquire().await {
            Ok(lease) => {
                lease.give_back();
                Ok(())
            }
            Err(PgError::Refused(why)) => Err(ProbeError::Unfit(why)),
            Err(error) => Err(ProbeError::Away(Box::new(error))),
        }
    }
}
