//! Each manner, over real sockets, in front of a server that says what it hears.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
};

use super::*;

/// Long enough for a busy machine, too short for a test that waits for what never comes.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing must come.
const SILENCE: Duration = Duration::from_millis(150);

/// A server that sends back what it is sent, and counts it.
struct Echo {
    address: SocketAddr,
    heard: Arc<AtomicU64>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Arc::<AtomicU64>::default());
        let counted = Arc::clone(&heard);
        // They end with the test's process, or with their connections.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let counted = Arc::clone(&counted);
                thread::spawn(move || echo(stream.unwrap(), &counted));
            }
        });
        Self { address, heard }
    }
}

fn echo(mut stream: TcpStream, heard: &AtomicU64) {
    let mut buffer = [0; 4_096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        heard.fetch_add(count as u64, Ordering::SeqCst);
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Says a word and hears it.
fn talk(stream: &mut TcpStream) {
    stream.write_all(b"word").unwrap();
    hear(stream);
}

fn hear(stream: &mut TcpStream) {
    let mut heard = [0; 4];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"word");
}

fn assert_silent(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn stage() -> (Echo, Proxy, TcpStream) {
    let echo = Echo::start();
    let proxy = Proxy::start(echo.address).unwrap();
    let mut stream = connect(&proxy);
    talk(&mut stream);
    (echo, proxy, stream)
}

#[test]
fn what_is_sent_is_passed_both_ways_whole_and_in_order() {
    let (_echo, proxy, mut stream) = stage();
    let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut writing = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writer = thread::spawn(move || {
        writing.write_all(&copy).unwrap();
        // The end is passed on too, and what comes back after it.
        writing.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    writer.join().unwrap();
    assert!(heard == sent, "{} of {} bytes", heard.len(), sent.len());
    assert_eq!(proxy.carried(), 2 * (sent.len() as u64 + 4));
    until("both ends are gone", || proxy.open() == 0);
}

#[test]
fn cut_ends_what_there_is_and_takes_what_comes() {
    let (_echo, proxy, mut stream) = stage();
    proxy.cut();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "an end");
    talk(&mut connect(&proxy));
    drop(stream);
    until("it holds nothing", || proxy.open() == 0);
}

#[test]
fn reset_ends_what_there_is_with_a_reset() {
    let (_echo, proxy, mut stream) = stage();
    proxy.reset();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    talk(&mut connect(&proxy));
}

#[test]
fn stalled_connections_stay_and_go_on_where_they_were() {
    let (echo, proxy, mut stream) = stage();
    proxy.stall();
    let mut late = connect(&proxy);
    for stream in [&mut stream, &mut late] {
        stream.write_all(b"word").unwrap();
        assert_silent(stream);
    }
    assert_eq!(echo.heard.load(Ordering::SeqCst), 4, "the engine hears nothing");
    proxy.pass().unwrap();
    [&mut stream, &mut late].into_iter().for_each(hear);
    talk(&mut stream);
}

#[test]
fn a_stall_holds_no_more_than_its_buffers() {
    let (_echo, proxy, mut stream) = stage();
    proxy.stall();
    stream.set_write_timeout(Some(SILENCE)).unwrap();
    let chunk = [7; 65_536];
    let mut written = 0;
    // Whoever sends without end is stopped by the system's buffers, which the proxy does not empty.
    let error = loop {
        match stream.write(&chunk) {
            Ok(count) => written += count,
            Err(error) => break error,
        }
        assert!(written < 64 << 20, "{written} bytes were taken");
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(proxy.carried(), 8);
}

#[test]
fn a_stalled_connection_can_be_cut_and_reset() {
    let (_echo, proxy, mut stream) = stage();
    proxy.stall();
    let mut late = connect(&proxy);
    until("it is taken", || proxy.open() == 2);
    proxy.cut();
    for stream in [&mut stream, &mut late] {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_hole_to_the_engine_swallows_questions_and_passes_what_the_engine_says() {
    let (echo, proxy, mut stream) = stage();
    proxy.swallow(Way::ToEngine);
    stream.write_all(b"lost").unwrap();
    until("it is thrown away", || proxy.swallowed() == 4);
    assert_silent(&mut stream);
    assert_eq!(echo.heard.load(Ordering::SeqCst), 4);
    // What was lost cannot be made good: the connection ends.
    proxy.pass().unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    talk(&mut connect(&proxy));
}

#[test]
fn a_hole_from_the_engine_lets_questions_through_and_swallows_answers() {
    let (echo, proxy, mut stream) = stage();
    proxy.swallow(Way::FromEngine);
    let mut late = connect(&proxy);
    for stream in [&mut stream, &mut late] {
        stream.write_all(b"done").unwrap();
        assert_silent(stream);
    }
    until("the engine heard both", || echo.heard.load(Ordering::SeqCst) == 12);
    until("its answers are thrown away", || proxy.swallowed() == 8);
    proxy.pass().unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_connection_that_lost_nothing_in_a_hole_goes_on() {
    let (_echo, proxy, mut stream) = stage();
    proxy.swallow(Way::ToEngine);
    assert_silent(&mut stream);
    proxy.pass().unwrap();
    talk(&mut stream);
}

#[test]
fn refusing_leaves_connections_and_takes_none_until_it_passes_again_on_the_same_port() {
    let (_echo, proxy, mut stream) = stage();
    proxy.refuse().unwrap();
    let error = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    talk(&mut stream);
    proxy.pass().unwrap();
    talk(&mut connect(&proxy));
}

#[test]
fn an_engine_that_is_not_there_is_told_by_a_reset() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start(nobody).unwrap();
    let error = connect(&proxy).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_url_is_led_through_it() {
    let proxy = Proxy::start("127.0.0.1:4000".parse().unwrap()).unwrap();
    let led = proxy.before("amqp://guest:guest@127.0.0.1:4000/%2f", 4_000).unwrap();
    assert_eq!(led, format!("amqp://guest:guest@{}/%2f", proxy.address()));
    assert!(proxy.before("redis://127.0.0.1:4001", 4_000).is_err());
}
