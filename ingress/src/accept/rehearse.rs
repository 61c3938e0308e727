//! What would become of a message: checked, priced and routed as when it is sent, with nothing claimed, charged or published.

use naru_shared::domain::{RouteName, Units};

use super::{
    admit::{named, route, sender},
    draft::Draft,
    units::units,
};
use crate::{auth::Caller, front::Front, problem::Problem};

/// What a message would cost, and where it would go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsal {
    /// Its units.
    pub units: Units,
    /// Its route.
    pub route: RouteName,
}

/// Everything about a message that lies in the message and the customer's settings. What is so for a moment only (a key in flight,
/// what is left of a quota, what waits on the route) is not asked: it may be otherwise when the message is sent.
pub async fn rehearse(front: &Front, caller: &Caller, draft: &Draft) -> Result<Rehearsal, Problem> {
    let route = route(front, caller, &draft.content.channel).await?;
    sender(caller, draft)?;
    let units = units(&draft.content, &route.trade)?;
    named(front, caller, draft, front.clock.now()).await?;
    Ok(Rehearsal { units, route: route.name.clone() })
}
