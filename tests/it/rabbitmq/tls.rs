//! Encrypted, and only with whom it should be.

use naru_shared::{queue::PublishError, rabbitmq::RabbitMqSettings};
use naru_tests::engines::OnRabbitMq;

use super::{VISIBILITY, eventually, name, one, own, publish_one, text};

use crate::stage::beside_others;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_spoken_only_with_the_right_name_and_a_known_authority() -> anyhow::Result<()> {
    let _beside = beside_others();
    let own = own().await?;
    let broker = own.as_ref().unwrap();
    // Another test may have set it already; it is the same.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let on = |host: &str, trusted: bool| {
        let (url, authority) = broker.encrypted(host)?;
        let ca_file = trusted.then_some(authority);
        let namespace = format!("t{:016x}", fastrand::u64(..)).parse()?;
        OnRabbitMq::open(
            RabbitMqSettings { url, ca_file, namespace, ..RabbitMqSettings::default() },
            VISIBILITY,
        )
    };
    let at = name("r")?;
    let right = on("localhost", true)?;
    eventually(|| publish_one(&*right.queue, &at, "secret")).await?;
    let (got, _) = eventually(|| one(&*right.queue, &at)).await?;
    assert_eq!(text(&got), "secret");
    for (host, trusted) in [("127.0.0.1", true), ("localhost", false)] {
        let wrong = on(host, trusted)?;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let refused = publish_one(&*wrong.queue, &at, "secret").await;
        assert!(matches!(refused, Err(PublishError::Refused(_))), "{host} {trusted}: {refused:?}");
        let said = format!("{:#}", anyhow::Error::from(refused.unwrap_err()));
        assert!(said.to_lowercase().contains("certificate"), "{said}");
        assert!(!said.contains("guest"), "{said}");
    }
    Ok(())
}
