use std::time::{Duration, Instant};

use naru_ingress::IngressConfig;

use crate::{
    faulty::Fault,
    gateway::{Gateway, JSON, LIVE, Setup, request, sms},
    wire::Wire,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_is_answered_and_nothing_new_is_taken() {
    let mut gateway = Gateway::spawn().await;
    gateway.queue.set(Fault::Slow);
    let mut idle = Wire::open(gateway.addr).await;
    idle.send(&request("GET", "/v1.0/quota", &[LIVE], "")).await;
    assert_eq!(idle.reply().await.unwrap().status, 200);
    let mut begun = Wire::open(gateway.addr).await;
    begun.send(&request("POST", "/v1.0/messages", &[LIVE, JSON], &sms("a").to_string())).await;
    let mut polling = Wire::open(gateway.addr).await;
    polling.send(&request("GET", "/v1.0/reports?wait=20", &[LIVE], "")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    gateway.stop.cancel();
    assert_eq!(polling.reply().await.unwrap().status, 200, "a long poll ends at once");
    assert!(began.elapsed() < Duration::from_millis(600));
    assert_eq!(begun.reply().await.unwrap().status, 202);
    (&mut gateway.serving).await.unwrap().unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "idle connections are not waited for: {:?}",
        began.elapsed()
    );
    assert!(idle.ends().await);
    assert!(tokio::net::TcpStream::connect(gateway.addr).await.is_err());
    assert_eq!(gateway.messages().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_to_notice_first_is_not_refused_meanwhile() {
    let config = IngressConfig { drain_notice_ms: 600, ..Setup::default().config };
    let mut gateway = Gateway::with(Setup { config, ..Setup::default() }).await;
    let began = Instant::now();
    gateway.stop.cancel();
    let mut accepted = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_secs(1), Wire::open(gateway.addr)).await {
        let mut wire = stream;
        wire.send(&request("POST", "/v1.0/messages", &[LIVE, JSON], &sms("a").to_string())).await;
        match wire.reply().await.map(|reply| reply.status) {
            Some(202) => accepted.push(began.elapsed()),
            Some(503) => break,
            other => panic!("{other:?}"),
        }
    }
    let last = accepted.last().copied().unwrap_or_default();
    assert!(accepted.len() > 3 && last > Duration::from_millis(300), "{} until {last:?}", accepted.len());
    assert!(began.elapsed() >= Duration::from_millis(600), "refused after {:?}", began.elapsed());
    (&mut gateway.serving).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_beyond_loopback_needs_leave() {
    let open = IngressConfig { listen: "0.0.0.0:0".parse().unwrap(), ..Setup::default().config };
    let gateway = tokio::spawn(Gateway::with(Setup { config: open, ..Setup::default() })).await;
    let Err(refused) = gateway else { panic!("it must not bind") };
    let panic = refused.into_panic();
    let why = panic.downcast_ref::<String>().unwrap();
    assert!(why.contains("plain HTTP beyond loopback"), "{why}");
}
