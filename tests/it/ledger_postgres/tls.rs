//! Encrypted, and only with whom it should be.

use naru_shared::postgres::{PostgresSettings, migrate};
use naru_tests::engines::Postgres;

use crate::stage::beside_others;

#[tokio::test]
async fn tls_to_postgresql_is_spoken_only_with_the_right_name_and_a_known_authority() -> anyhow::Result<()> {
    let _beside = beside_others();
    // Another test may have set it already; it is the same.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let server = Postgres::start_with_tls()?;
    let tables = async |host: &str, query: &str| {
        let (url, authority) = server.encrypted(host, "postgres");
        let url = format!("{url}?{}", query.replace("CA", &authority.display().to_string()));
        migrate(&PostgresSettings::at(&url), None).await
    };
    let right = tables("localhost", "sslmode=verify-full&sslrootcert=CA").await?;
    assert_eq!(right.from, 0, "the tables are made over it");
    for (host, query) in
        [("127.0.0.1", "sslmode=verify-full&sslrootcert=CA"), ("localhost", "sslmode=verify-full")]
    {
        let refused = tables(host, query).await.expect_err(query);
        let said = format!("{:#}", anyhow::Error::from(refused)).to_lowercase();
        assert!(said.contains("certificate"), "{host} {query}: {said}");
    }
    // A server that cannot encrypt is not spoken to at all.
    let plain = crate::postgres::database().await?;
    let verified = plain.with_url(&format!("{}?sslmode=verify-full", plain.url));
    let refused = migrate(&verified, None).await.expect_err("nothing is sent in the clear");
    let said = format!("{:#}", anyhow::Error::from(refused)).to_lowercase();
    assert!(said.contains("tls") || said.contains("ssl"), "{said}");
    Ok(())
}
