//! A wire between a client and a broker that counts AMQP frames (AMQP 0-9-1, 4.2.3: type, channel, size, content, end).

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

const HEARTBEAT: u8 = 8;

/// Frames that went through, both ways.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) heartbeats: AtomicU64,
    pub(super) others: AtomicU64,
}

impl Counts {
    /// Heartbeats, and others.
    pub(super) fn now(&self) -> (u64, u64) {
        (self.heartbeats.load(Ordering::Relaxed), self.others.load(Ordering::Relaxed))
    }
}

/// Listens, and passes on what it hears to `broker`, until the test's runtime ends.
pub(super) async fn counting_wire(broker: u16) -> anyhow::Result<(SocketAddr, Arc<Counts>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let counts = Arc::new(Counts::default());
    let counting = Arc::clone(&counts);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(("127.0.0.1", broker)).await else { return };
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            // The client begins with a protocol header of eight bytes, which is no frame.
            tokio::spawn(pass(from_client, to_server, 8, Arc::clone(&counting)));
            tokio::spawn(pass(from_server, to_client, 0, Arc::clone(&counting)));
        }
    });
    Ok((address, counts))
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, header: usize, counts: Arc<Counts>) {
    let mut first = vec![0; header];
    if from.read_exact(&mut first).await.is_err() || to.write_all(&first).await.is_err() {
        return;
    }
    loop {
        let mut frame = vec![0; 7];
        if from.read_exact(&mut frame).await.is_err() {
            return;
        }
        let size = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]) as usize;
        frame.resize(7 + size + 1, 0);
        if from.read_exact(&mut frame[7..]).await.is_err() || to.write_all(&frame).await.is_err() {
            return;
        }
        let count = if frame[0] == HEARTBEAT { &counts.heartbeats } else { &counts.others };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
