//! Backends: what takes a message in the end.
//!
//! A new kind is a file here and an arm in [`StandardBackends::build`].

pub(crate) mod egress;
pub(crate) mod http;
pub(crate) mod provider;
mod simulator;
mod table;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use naru_shared::{
    domain::{BackendConfig, Next, Notice, Outcome, Route},
    ledger::{RowRef, Work},
    sealing::Sealer,
    table::{Told, UnusableTable},
};

use tokio::runtime::Handle;

use crate::courier::Attachment;

pub use http::may_connect;
pub use provider::{
    Description, ProviderError, TemplateError, check as check_provider,
    check_sealed as check_sealed_provider, described as described_provider,
};
pub use simulator::{BEHAVIOURS, Behaviour};

/// What takes messages in the end. Called from many tasks at once.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Makes one attempt, with what the message carries, and tells what came of it. Bounded by its own time-out; the caller has a harder one, after
    /// which the outcome is uncertain. An attempt that panics is uncertain too.
    async fn deliver(&self, work: &Work, attachments: &[Attachment]) -> Outcome;

    /// Whether [`Backend::inquire`] may ever answer. Else the report comes by itself, or does not come.
    fn can_be_asked(&self) -> bool {
        false
    }

    /// Asks for the report of a message that the backend took; `None`: it does not know yet, or does not tell.
    async fn inquire(&self, _work: &Work) -> Option<Outcome> {
        None
    }

    /// Takes back what nobody has begun of a message that ends without a report, where the other side lets us. What cannot be taken
    /// back stays, and what is reported of it nevertheless counts.
    async fn withdraw(&self, _work: &Work) {}

    /// What comes by itself after it was asked for a report of this message; only a simulator knows that.
    fn afterwards(&self, _work: &Work) -> Option<Afterwards> {
        None
    }

    /// Whether it was made of files that have changed since, so that it is made anew. Asked often: never waits.
    fn is_stale(&self) -> bool {
        false
    }

    /// Where reports come from by themselves, many at once; `None`: each is asked for.
    fn reports(&self) -> Option<&dyn Reports> {
        None
    }
}

/// A report as it came: the attempt that it speaks of, and what it says.
#[derive(Debug, Clone)]
pub struct Report {
    /// The message.
    pub row: RowRef,
    /// The attempt: the fence.
    pub attempt: u32,
    /// What became of the message.
    pub next: Next,
    /// What it was read from.
    told: Told,
}

/// A report that is to come after the first question for one.
#[derive(Debug, Clone)]
pub struct Afterwards {
    /// The question finds that no report came in time.
    pub missed: bool,
    /// What is reported.
    pub notice: Notice,
    /// How long after the question.
    pub after: Duration,
}

/// Reports that come by themselves. Of several processes one takes them.
#[async_trait]
pub trait Reports: Send + Sync {
    /// Those that came since. Empty: none, or another process takes them. What is not said to be kept comes again.
    ///
    /// # Errors
    /// If it cannot be known.
    async fn take(&self) -> Result<Vec<Report>, ReportsError>;

    /// The ledger has them.
    ///
    /// # Errors
    /// If it is not certain that they do not come again.
    async fn kept(&self, reports: Vec<Report>) -> Result<(), ReportsError>;
}

/// Reports cannot be taken now.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReportsError(String);

/// Makes the backend of a route, anew whenever the route changes.
pub trait BackendFactory: Send + Sync {
    /// The backend of this route.
    ///
    /// # Errors
    /// If the route's settings make none; its messages wait until they are mended.
    fn build(&self, route: &Route) -> Result<Arc<dyn Backend>, BackendError>;
}

/// Why a route has no backend.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The URL is not one that can be posted to.
    #[error("the backend's URL must be http or https, with a host, without credentials or fragment: {0}")]
    Url(&'static str),
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
    /// The description of a provider is none, or what it names is not there.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The table's address or mapping cannot be used.
    #[error(transparent)]
    Table(#[from] UnusableTable),
    /// There is nothing that its insertions could run on.
    #[error("a table's insertions need a runtime")]
    NoRuntime,
    /// The program did not choose its cryptography before it started workers.
    #[error("no TLS provider is installed in this process")]
    NoTls,
}

/// The backends that Naru brings: `simulator`, `http` and `table`.
#[derive(Debug, Clone, Default)]
pub struct StandardBackends {
    sealer: Option<Sealer>,
}

impl StandardBackends {
    /// That open what routes keep sealed.
    #[must_use]
    pub const fn new(sealer: Sealer) -> Self {
        Self { sealer: Some(sealer) }
    }
}

impl BackendFactory for StandardBackends {
    fn build(&self, route: &Route) -> Result<Arc<dyn Backend>, BackendError> {
        match &route.backend {
            BackendConfig::Simulator(_) => Ok(Arc::new(simulator::Simulator)),
            BackendConfig::Http(config) => match &config.provider {
                None => Ok(Arc::new(http::Http::new(route, config)?)),
                Some(document) => {
                    let sealer = self.sealer.as_ref();
                    Ok(Arc::new(provider::Provider::new(route, config, document, sealer)?))
                }
            },
            BackendConfig::Table(config) => {
                let runtime = Handle::try_current().map_err(|_none| BackendError::NoRuntime)?;
                Ok(Arc::new(table::Table::new(config, &runtime)?))
            }
        }
    }
}
