//! One connection of a customer, seen from below the HTTP library: whether a call is under way on it, how long a head may
//! take to come, and how it ends when the server does.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use actix_web::HttpRequest;
use metrics::Gauge;
use naru_shared::metrics as names;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    runtime::Handle,
    sync::Notify,
    time::Sleep,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{limits, lines::Lines, meters::Meters, wire::Wire};

/// How long a head may take from its first byte to its last.
pub const HEAD_TIME: Duration = Duration::from_secs(5);

/// How long, and how much, is read on of a caller who was refused in the middle of what it wrote.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// How long a caller may take no byte of what it is sent.
const WRITE_TIME: Duration = Duration::from_secs(15);

/// All connections that are open.
pub struct Connections {
    open: AtomicUsize,
    gauge: Gauge,
    none_left: Notify,
    /// Set before `told` is cancelled.
    closing: AtomicBool,
    told: CancellationToken,
}

impl Connections {
    /// None yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            gauge: names::HTTP_CONNECTIONS.of(&[]),
            none_left: Notify::new(),
            closing: AtomicBool::new(false),
            told: CancellationToken::new(),
        })
    }

    /// Ends every connection on which no call is under way or coming in, and each other one as soon as that is so.
    pub fn close_idle(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.told.cancel();
    }

    /// Returns when none is open.
    pub async fn closed(&self) {
        loop {
            let changed = self.none_left.notified();
            if self.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// What is known of the calls on one connection.
#[derive(Default)]
pub struct Calls {
    under_way: Cell<usize>,
    /// One has been under way before.
    begun: Cell<bool>,
    /// Bytes have come of which no call is made yet.
    heard: Cell<bool>,
    /// The ends of lines of the heads that come in.
    lines: Cell<Lines>,
    /// One had a head that ends the connection: what came behind it is no call.
    over: Cell<bool>,
}

/// A call that is under way, until it is dropped.
pub struct UnderWay {
    calls: Option<Rc<Calls>>,
    /// Bytes of its body, if they are told.
    body: Option<usize>,
}

impl UnderWay {
    /// The call that this is the head of.
    pub fn begin(request: &HttpRequest) -> Self {
        let calls = request.conn_data::<Rc<Calls>>().map(Rc::clone);
        if let Some(calls) = &calls {
            calls.under_way.set(calls.under_way.get() + 1);
            calls.begun.set(true);
            calls.heard.set(false);
        }
        Self { calls, body: limits::told_length(request.headers()) }
    }

    /// No call that follows on the connection is made. The HTTP library would make those that have come already, though it
    /// was told that the connection ends (RFC 9112 section 9.6).
    pub fn end(&self) {
        if let Some(calls) = &self.calls {
            calls.over.set(true);
        }
    }

    /// Whether an earlier call ended the connection.
    pub fn is_over(&self) -> bool {
        self.calls.as_ref().is_some_and(|calls| calls.over.get())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(calls) = &self.calls {
            calls.under_way.set(calls.under_way.get().saturating_sub(1));
            calls.heard.set(false);
            calls.lines.set(calls.lines.get().next(self.body));
        }
    }
}

/// A place among the connections that are open.
pub struct Open(Arc<Connections>);

impl Open {
    /// Taken until it is dropped.
    pub fn new(all: Arc<Connections>) -> Self {
        all.open.fetch_add(1, Ordering::SeqCst);
        all.gauge.increment(1);
        Self(all)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.gauge.decrement(1);
        if self.0.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

/// A connection as the HTTP library reads and writes it.
pub struct Connection {
    /// Its bytes and its place, until it is dropped.
    io: Option<(Wire, Open)>,
    calls: Rc<Calls>,
    all: Arc<Connections>,
    meters: Arc<Meters>,
    told: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Who is woken when it is told to close.
    waker: Option<Waker>,
    /// Runs while a head is coming in.
    head: Option<Pin<Box<Sleep>>>,
    /// Runs while nothing can be written.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// One that may begin.
    pub fn new(wire: Wire, open: Open, meters: Arc<Meters>) -> Self {
        let all = Arc::clone(&open.0);
        let told = Box::pin(all.told.clone().cancelled_owned());
        let io = Some((wire, open));
        Self { io, calls: Rc::default(), all, meters, told, waker: None, head: None, stuck: None }
    }

    /// What is known of its calls; calls find it by their connection's data.
    pub fn calls(&self) -> Rc<Calls> {
        Rc::clone(&self.calls)
    }

    /// Whether the server wants it closed. Asked once it has nothing to read; wakes the asker when that changes.
    fn is_told(&mut self, cx: &mut Context<'_>) -> bool {
        if self.all.closing.load(Ordering::SeqCst) {
            return true;
        }
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return false;
        }
        self.waker = Some(cx.waker().clone());
        self.told.as_mut().poll(cx).is_ready()
    }

    /// Whether nothing more is read of it: nothing has come, and it is closed or its head takes too long.
    fn ends(&mut self, cx: &mut Context<'_>) -> bool {
        let told = self.is_told(cx);
        if self.calls.under_way.get() > 0 {
            self.head = None;
            return false;
        }
        if !self.calls.heard.get() {
            self.head = None;
            return told;
        }
        if !self.calls.begun.get() {
            // The HTTP library itself has an eye on the first head, and answers 408.
            return false;
        }
        let head = self.head.get_or_insert_with(|| Box::pin(tokio::time::sleep(HEAD_TIME)));
        let late = head.as_mut().poll(cx).is_ready();
        if late {
            self.meters.malformed(408);
            self.calls.heard.set(false);
        }
        late
    }
}

impl Drop for Connection {
    /// Bytes that nobody reads would reset the connection, and with it the answer that says why they were not read.
    fn drop(&mut self) {
        let Some((io, open)) = self.io.take() else { return };
        let unread = matches!(io.socket().try_read(&mut [0; 1_024]), Ok(count) if count > 0);
        if unread && let Ok(runtime) = Handle::try_current() {
            runtime.spawn(linger(io, open));
        }
    }
}

/// Ends a connection in order, and reads what its caller has written until it has seen that.
async fn linger(mut io: Wire, _open: Open) {
    let reading = async {
        io.shutdown().await?;
        let mut io = io.into_socket();
        let (mut rest, mut bytes) = (vec![0; 16 * 1024], 0);
        while bytes < LINGER_BYTES {
            match io.read(&mut rest).await? {
                0 => break,
                count => bytes += count,
            }
        }
        io::Result::Ok(())
    };
    // Whether it ends well or badly or too late, there is nothing to be done about it any more.
    drop(tokio::time::timeout(LINGER, reading).await);
}

impl Connection {
    /// What became of a write; an error once nothing could be written for too long.
    fn within_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_TIME)));
        stuck.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn io(&mut self) -> io::Result<Pin<&mut Wire>> {
        match &mut self.io {
            Some((io, _)) => Ok(Pin::new(io)),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Connection {
    /// As from the socket; ends where there is nothing to read and the connection is to end. So what has come before is
    /// always read.
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match self.io()?.poll_read(cx, buf) {
            Poll::Pending if self.ends(cx) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
            ready => {
                let new = buf.filled_mut().get_mut(before..).unwrap_or_default();
                if !new.is_empty() {
                    // A head that begins has its own time: nothing may have been asked between it and the call before.
                    if !self.calls.heard.replace(true) {
                        self.head = None;
                    }
                    let mut lines = self.calls.lines.get();
                    let read_on = lines.hold(new);
                    self.calls.lines.set(lines);
                    // Where nothing is left of what came, it is as if the caller had ended.
                    buf.set_filled(before + read_on);
                }
                ready
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // Before the first call nobody else writes: the first head was too slow.
        let is_slow = !self.calls.begun.get() && bytes.starts_with(b"HTTP/1.1 408 ");
        // Where not a byte of it came, the connection was opened ahead and ends without a word: a balancer that takes it up in
        // this moment would give the word to a caller whose call was never read.
        if is_slow && !self.calls.heard.get() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = self.io()?.poll_write(cx, bytes);
        if is_slow && written.is_ready() {
            self.meters.malformed(408);
        }
        self.within_time(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.io()?.poll_write_vectored(cx, pieces);
        self.within_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(|(io, _)| io.is_write_vectored())
    }
}
