//! `naru erase`: everything that says to whom, of messages to one recipient.

use clap::Args;
use naru_shared::{
    domain::{CustomerId, Event, kinds},
    ledger::{Erased, Erasure},
};
use serde::Serialize;
use serde_json::json;

use crate::desk::{Desk, actor};

/// Whose trace is removed.
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// To whom the messages went, as it was given
    recipient: String,
    /// Only of this customer's messages
    #[arg(long)]
    customer: Option<CustomerId>,
    /// Cancel first what was certainly not sent
    #[arg(long)]
    cancel: bool,
    /// Only say how many
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Done {
    pseudonym: String,
    dry_run: bool,
    #[serde(flatten)]
    erased: Erased,
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(args: EraseArgs, desk: &Desk) -> anyhow::Result<()> {
    let EraseArgs { recipient, customer, cancel, dry_run } = args;
    let book = desk.book()?;
    if let Some(customer) = &customer {
        book.customer(customer).await?;
    }
    let pseudonym = desk.own_keyring().await?.pseudonym(&recipient);
    let emit = book.has_subscribers().await?;
    let now = desk.now();
    let erasure = Erasure { recipient, customer, pseudonym: pseudonym.clone(), dry_run, cancel, now, emit };
    let mends = desk.hand().await?.mends;
    let (mut erased, mut from) = (Erased::default(), None);
    loop {
        let step = mends.erase(&erasure, from).await?;
        erased.erased += step.erased;
        erased.cancelled += step.cancelled;
        erased.under_way += step.under_way;
        erased.told += step.told;
        from = step.next;
        if from.is_none() {
            break;
        }
    }
    let data = json!({
        "actor": actor().told(),
        "pseudonym": pseudonym,
        "customer": erasure.customer,
        "erased": erased.erased,
        "cancelled": erased.cancelled,
        "under_way": erased.under_way,
    });
    let id = format!("{pseudonym}.{}", now.as_millis());
    let event = Event::uncounted(id, "recipient", kinds::RECIPIENT_ERASED, now, data);
    let told = if dry_run { Ok(()) } else { desk.tell(vec![event]).await };
    let sentence = format!(
        "{}{} messages without recipient and text ({} of them cancelled first), {} events that wait without it; {} messages have not \
         ended and were left as they are",
        if dry_run { "would be: " } else { "" },
        erased.erased,
        erased.cancelled,
        erased.told,
        erased.under_way
    );
    desk.out.said(&Done { pseudonym, dry_run, erased }, &sentence)?;
    told
}
