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
async fn plain_http_beyond_loopback_needs_leave() {
    let open = IngressConfig { listen: "0.0.0.0:0".parse().unwrap(), ..Setup::default().config };
    let gateway = tokio::spawn(Gateway::with(Setup { config: open, ..Setup::default() })).await;
    let Err(refused) = gateway else { panic!("it must not bind") };
    let panic = refused.into_panic();
    let why = panic.downcast_ref::<String>().unwrap();
    assert!(why.contains("plain HTTP beyond loopback"), "{why}");
}
