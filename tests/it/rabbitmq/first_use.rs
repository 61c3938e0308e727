//! Many processes that use a new lane at the same moment.

use futures_util::future::join_all;

use super::{VISIBILITY, name, publish_one, shared};

use crate::stage::beside_others;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_make_the_same_queue_do_not_cost_each_other_their_connections() -> anyhow::Result<()> {
    let _beside = beside_others();
    let first = shared().await?;
    let all =
        [first.clone(), first.another(VISIBILITY)?, first.another(VISIBILITY)?, first.another(VISIBILITY)?];
    for round in 0..5 {
        let at = name(&format!("r{round}"))?;
        let using = all.iter().enumerate().map(|(who, on)| {
            let (queue, at) = (&on.queue, &at);
            let text = who.to_string();
            async move {
                // As an ingress and a worker at once.
                let receiving = queue.receive(at, 1, std::time::Duration::from_secs(1));
                let (got, published) = tokio::join!(receiving, publish_one(&**queue, at, &text));
                published?;
                // Somebody has it in hand, or nobody yet; that there was an answer is what counts.
                drop(got?);
                anyhow::Ok(())
            }
        });
        join_all(using).await.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
    }
    Ok(())
}
