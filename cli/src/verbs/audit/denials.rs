//! `naru audit denials`.

use clap::Args;
use naru_shared::{denials::DenialSearch, domain::Timestamp};

use crate::desk::Desk;

/// Which denials.
#[derive(Debug, Args)]
pub struct DenialArgs {
    /// Of whose credentials; `(unknown)`: no known one was named
    #[arg(long, value_name = "CUSTOMER")]
    customer: Option<String>,
    /// With this code
    #[arg(long)]
    code: Option<String>,
    /// Counted then or later
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// At the most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
}

/// Shows them.
///
/// # Errors
/// If the ledger does not answer.
pub(super) async fn run(args: DenialArgs, desk: &Desk) -> anyhow::Result<()> {
    let DenialArgs { customer, code, since, limit } = args;
    let search = DenialSearch { customer, code, since };
    let found = desk.ledger()?.denials.denied(search, usize::from(limit)).await?;
    desk.out.rows(&found, &["minute", "customer", "code", "times"], |row| {
        let denied = &row.denied;
        vec![row.minute.to_string(), denied.customer.clone(), denied.code.clone(), denied.times.to_string()]
    })
}
