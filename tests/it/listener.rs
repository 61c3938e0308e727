//! The listener itself: TLS with a certificate that is changed while it runs, and balancers that hand connections on as they are.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use naru_tests::{
    deployment::Balancer,
    engines::certify,
    gateway::{Gateway, Setup},
};
use tempfile::TempDir;

use crate::stage::{beside_others, within};

/// The longest that files go unread, and a little.
const PATIENCE: Duration = Duration::from_secs(25);

fn gateway(settings: &str) -> Gateway {
    Gateway::spawn(&Setup { config: format!("[ingress]\n{settings}"), ..Setup::default() }).unwrap()
}

/// Settings of TLS with the files of a directory.
fn tls(files: &Path) -> String {
    let at = |name: &str| files.join(name).display().to_string();
    format!("tls_certificate = {:?}\ntls_key = {:?}\n", at("cert.pem"), at("key.pem"))
}

fn certified() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path()).unwrap();
    folder
}

/// curl's answer to a call for a problem's page, which asks for no credential: what it printed last is the status.
fn curl(address: SocketAddr, more: &[&str]) -> Output {
    let scheme = if more.contains(&"--cacert") { "https" } else { "http" };
    let url = format!("{scheme}://localhost:{}/problems/not-found", address.port());
    let mut command = Command::new("curl");
    command.args([
        "-sS",
        "-m",
        "15",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{ssl_verify_result}",
        "--http1.1",
    ]);
    command.args(more).arg(url).output().unwrap()
}

fn is_answered(output: &Output) -> bool {
    output.status.success() && String::from_utf8_lossy(&output.stdout).starts_with("200 0")
}

fn metric(gateway: &Gateway, line: &str) -> Option<f64> {
    let reply = naru_tests::wire::Wire::new(gateway.operator(), Duration::from_secs(5)).call(
        "GET",
        "/metrics",
        &[],
        b"",
    );
    let text = String::from_utf8(reply.unwrap().body).unwrap();
    text.lines().find_map(|told| told.strip_prefix(line)?.trim().parse().ok())
}

/// It is counted once the socket is closed, which its caller may see a moment before.
fn counted(gateway: &Gateway, reason: &str) {
    let line = format!("naru_http_connections_refused_total{{reason=\"{reason}\"}}");
    within(Duration::from_secs(5), reason, || metric(gateway, &line).filter(|count| *count >= 1.0));
}

#[test]
fn calls_over_tls_are_answered_and_a_changed_certificate_is_taken_while_it_runs() {
    let _beside = beside_others();
    let (files, other) = (certified(), certified());
    let gateway = gateway(&tls(files.path()));
    let ca = files.path().join("ca.pem").display().to_string();
    let others_ca = other.path().join("ca.pem").display().to_string();
    let answered = curl(gateway.listen(), &["--cacert", &ca]);
    assert!(is_answered(&answered), "{answered:?}");
    assert!(is_answered(&curl(gateway.listen(), &["--cacert", &ca, "--tls-max", "1.2"])));
    assert!(
        !is_answered(&curl(gateway.listen(), &["--cacert", &others_ca])),
        "another authority knows nothing of it"
    );
    // A key that does not belong to the certificate: what was there before goes on.
    fs::copy(other.path().join("key.pem"), files.path().join("key.pem")).unwrap();
    within(PATIENCE, "the wrong key is told", || {
        metric(&gateway, "naru_tls_reloads_total{outcome=\"refused\"}").filter(|count| *count >= 1.0)
    });
    assert!(is_answered(&curl(gateway.listen(), &["--cacert", &ca])));
    fs::copy(other.path().join("cert.pem"), files.path().join("cert.pem")).unwrap();
    within(PATIENCE, "the other certificate is spoken", || {
        is_answered(&curl(gateway.listen(), &["--cacert", &others_ca])).then_some(())
    });
    assert!(!is_answered(&curl(gateway.listen(), &["--cacert", &ca])));
}

#[test]
fn a_message_is_accepted_over_tls_and_its_connection_is_kept() {
    let _beside = beside_others();
    let files = certified();
    let gateway = gateway(&tls(files.path()));
    let user = &gateway.users.live[0];
    let ca = files.path().join("ca.pem").display().to_string();
    let url = format!("https://localhost:{}/v1.0/messages", gateway.listen().port());
    let body = r#"{"channel":"sms","recipient":"+821012345600","body":"hello"}"#;
    let call = ["-u", user.as_str(), "-H", "Content-Type: application/json", "-d", body, url.as_str()];
    let told = ["-w", "%{http_code} %{num_connects}\n", "-o", "/dev/null"];
    let mut command = Command::new("curl");
    command.args(["-sS", "-m", "15", "--cacert", &ca]).args(told).args(call);
    let output = command.arg("--next").args(["-sS", "--cacert", &ca]).args(told).args(call).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "202 1\n202 0\n", "{output:?}");
}

#[test]
fn what_is_no_handshake_or_takes_too_long_is_closed_and_counted() {
    let _beside = beside_others();
    let files = certified();
    let gateway = gateway(&tls(files.path()));
    assert!(!is_answered(&curl(gateway.listen(), &[])), "plain HTTP is not spoken there");
    counted(&gateway, "tls");
    let began = Instant::now();
    let mut silent = TcpStream::connect(gateway.listen()).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(silent.read(&mut [0; 16]).unwrap_or(0), 0);
    assert!(
        (Duration::from_secs(4)..Duration::from_secs(12)).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    counted(&gateway, "late");
}

#[test]
fn an_old_version_of_tls_is_refused() {
    let _beside = beside_others();
    let files = certified();
    let gateway = gateway(&tls(files.path()));
    let at = format!("localhost:{}", gateway.listen().port());
    let spoken = |version: &str| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &at, version, "-cipher", "DEFAULT@SECLEVEL=0"]);
        command.stdin(Stdio::null()).output().unwrap().status.success()
    };
    assert!(spoken("-tls1_2"), "the same call by what is spoken here");
    assert!(!spoken("-tls1_1"));
    assert!(!spoken("-tls1"));
}

#[test]
fn files_that_cannot_be_used_are_told_before_anything_starts() {
    let files = certified();
    let gateway =
        Gateway::prepare(&Setup { config: format!("[ingress]\n{}", tls(files.path())), ..Setup::default() });
    let gateway = gateway.unwrap();
    gateway.verb(&["check"]).unwrap();
    let found = || {
        let mut check = Command::new(gateway.program());
        let output = check.arg("check").arg("--config").arg(gateway.config()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    fs::write(files.path().join("key.pem"), "no key").unwrap();
    let told = found();
    assert!(told.contains("key.pem holds no private key"), "{told}");
    fs::remove_file(files.path().join("cert.pem")).unwrap();
    let told = found();
    assert!(told.contains("cert.pem cannot be read"), "{told}");
}

#[test]
fn a_balancer_hands_connections_on_and_says_where_they_come_from() {
    let _beside = beside_others();
    for word in ["send-proxy", "send-proxy-v2"] {
        let gateway = gateway("proxy_protocol = true\ntrusted_proxies = [\"127.0.0.0/8\"]\n");
        let balancer = Balancer::passing(gateway.listen(), word).unwrap();
        let answered = curl(balancer.address(), &[]);
        assert!(is_answered(&answered), "{word}: {answered:?}");
        // Whoever comes past the balancer and says nothing is not heard.
        assert!(!is_answered(&curl(gateway.listen(), &[])), "{word}");
        counted(&gateway, "proxy");
    }
}

#[test]
fn a_balancer_hands_on_tls_that_ends_here() {
    let _beside = beside_others();
    let files = certified();
    let settings =
        format!("proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1/32\"]\n{}", tls(files.path()));
    let gateway = gateway(&settings);
    let balancer = Balancer::passing(gateway.listen(), "send-proxy-v2").unwrap();
    let ca = files.path().join("ca.pem").display().to_string();
    let answered = curl(balancer.address(), &["--cacert", &ca]);
    assert!(is_answered(&answered), "{answered:?}");
}

#[test]
fn a_stranger_s_word_on_where_it_comes_from_is_not_believed() {
    let _beside = beside_others();
    let gateway = gateway("proxy_protocol = true\ntrusted_proxies = [\"192.0.2.0/24\"]\n");
    let mut stranger = TcpStream::connect(gateway.listen()).unwrap();
    stranger.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let call =
        b"PROXY TCP4 192.0.2.7 192.0.2.8 1000 443\r\nGET /problems/not-found HTTP/1.1\r\nHost: a\r\n\r\n";
    stranger.write_all(call).unwrap();
    assert_eq!(stranger.read(&mut [0; 16]).unwrap_or(0), 0, "closed without a word");
    counted(&gateway, "stranger");
}
