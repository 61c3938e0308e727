//! A wire between clients and a broker that counts AMQP frames (AMQP 0-9-1, 4.2.3: type, channel, size, content, end).

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::ensure;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::{Builder, Runtime},
};

const HEARTBEAT: u8 = 8;

/// The largest frame that is passed on; brokers and clients agree on 128 KiB.
const LARGEST: usize = 1024 * 1024;

#[derive(Debug, Default)]
struct Counts {
    heartbeats: AtomicU64,
    others: AtomicU64,
}

/// Listens before a broker, passes on what it hears, and counts. Dropped, it ends, and its connections with it.
#[derive(Debug)]
pub struct CountingWire {
    address: SocketAddr,
    counts: Arc<Counts>,
    runtime: Option<Runtime>,
}

impl CountingWire {
    /// Before the broker on this port.
    ///
    /// # Errors
    /// If no port is free.
    pub fn start(broker: u16) -> anyhow::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("wire").enable_all().build()?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let counts = Arc::<Counts>::default();
        let counting = Arc::clone(&counts);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (client, _) = listener.accept().await?;
                // Where the broker is away the client sees its connection end.
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, broker)).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                // The client begins with a protocol header of eight bytes, which is no frame.
                tokio::spawn(pass(from_client, to_server, 8, Arc::clone(&counting)));
                tokio::spawn(pass(from_server, to_client, 0, Arc::clone(&counting)));
            }
            #[expect(unreachable_code, reason = "says what the task answers")]
            std::io::Result::Ok(())
        });
        Ok(Self { address, counts, runtime: Some(runtime) })
    }

    /// The same URL with this wire's port in place of the broker's.
    ///
    /// # Errors
    /// If the URL does not name that port.
    pub fn before(&self, url: &str, port: u16) -> anyhow::Result<String> {
        let (broker, own) = (format!(":{port}"), format!(":{}", self.address.port()));
        ensure!(url.contains(&broker), "not at {port}: {url}");
        Ok(url.replacen(&broker, &own, 1))
    }

    /// Frames that went through so far, both ways: heartbeats, and others.
    #[must_use]
    pub fn frames(&self) -> (u64, u64) {
        (self.counts.heartbeats.load(Ordering::Relaxed), self.counts.others.load(Ordering::Relaxed))
    }
}

impl Drop for CountingWire {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Ends when either side does; the other side's task then ends at its next frame, or with the wire.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    header: usize,
    counts: Arc<Counts>,
) -> std::io::Result<()> {
    let mut first = vec![0; header];
    from.read_exact(&mut first).await?;
    to.write_all(&first).await?;
    loop {
        let mut frame = vec![0; 7];
        from.read_exact(&mut frame).await?;
        let size = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]) as usize;
        if size > LARGEST {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        frame.resize(7 + size + 1, 0);
        from.read_exact(&mut frame[7..]).await?;
        to.write_all(&frame).await?;
        let count = if frame[0] == HEARTBEAT { &counts.heartbeats } else { &counts.others };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
