//! One connection, from its first byte to its end.

use std::{io, net::SocketAddr, sync::atomic::Ordering, time::Duration};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::timeout,
};

use super::{BUFFER, Counts, End, Manner, Orders, Way};

/// How long the engine may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// Carries one connection until either side ends it or it is told to end.
pub(super) async fn serve(
    mut client: TcpStream,
    target: SocketAddr,
    mut orders: watch::Receiver<Orders>,
    counts: &Counts,
) {
    let (began, _) = orders.borrow().ended;
    let mut told = orders.clone();
    let engine = tokio::select! {
        ended = ordered(&mut told, began) => return end(ended, &client, None),
        engine = connect(target, &mut orders) => engine,
    };
    // As if nobody listened; whoever connected learns it a moment later than from the system.
    let Ok(mut engine) = engine else { return reset(&client) };
    let ended = tokio::select! {
        ended = ordered(&mut told, began) => ended,
        carried = carry_both(&mut client, &mut engine, &orders, counts) => {
            if carried.is_ok() { End::Cut } else { End::Reset }
        }
    };
    end(ended, &client, Some(&engine));
}

/// Waits until whoever began before is told to end.
async fn ordered(orders: &mut watch::Receiver<Orders>, began: u64) -> End {
    // Without a proxy there is nobody to carry for.
    orders.wait_for(|orders| orders.ended.0 > began).await.map_or(End::Cut, |orders| orders.ended.1)
}

/// While all stands still, so does the connecting.
async fn connect(target: SocketAddr, orders: &mut watch::Receiver<Orders>) -> io::Result<TcpStream> {
    orders.wait_for(|orders| orders.manner != Manner::Stall).await.map_err(io::Error::other)?;
    timeout(CONNECT, TcpStream::connect(target)).await?
}

fn end(how: End, client: &TcpStream, engine: Option<&TcpStream>) {
    if how == End::Reset {
        [Some(client), engine].into_iter().flatten().for_each(reset);
    }
}

/// Has the connection end with a reset once it is dropped.
pub(super) fn reset(stream: &TcpStream) {
    // Of a connection that is gone already nobody can be told anything.
    drop(SockRef::from(stream).set_linger(Some(Duration::ZERO)));
}

async fn carry_both(
    client: &mut TcpStream,
    engine: &mut TcpStream,
    orders: &watch::Receiver<Orders>,
    counts: &Counts,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    engine.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_engine, to_engine) = engine.split();
    let there = carry(from_client, to_engine, Way::ToEngine, orders.clone(), counts);
    let back = carry(from_engine, to_client, Way::FromEngine, orders.clone(), counts);
    tokio::try_join!(there, back).map(drop)
}

/// Carries one way until its end.
async fn carry(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    way: Way,
    mut orders: watch::Receiver<Orders>,
    counts: &Counts,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut lossy = false;
    let mut is_over = false;
    loop {
        let manner = moving(&mut orders).await?;
        if lossy && !manner.swallows(way) {
            return Err(io::Error::other("bytes of it were thrown away"));
        }
        let read = tokio::select! {
            _ = orders.changed() => continue,
            read = from.read(&mut buffer), if !is_over => read,
        };
        // It may have been told otherwise while it read.
        if moving(&mut orders).await?.swallows(way) {
            lossy = true;
            let count = read.unwrap_or(0);
            is_over = count == 0;
            counts.swallowed.fetch_add(count as u64, Ordering::SeqCst);
            continue;
        }
        match read? {
            0 => return to.shutdown().await,
            count => {
                to.write_all(&buffer[..count]).await?;
                counts.carried.fetch_add(count as u64, Ordering::SeqCst);
            }
        }
    }
}

/// Waits until nothing stalls.
async fn moving(orders: &mut watch::Receiver<Orders>) -> io::Result<Manner> {
    let orders = orders.wait_for(|orders| orders.manner != Manner::Stall).await;
    Ok(orders.map_err(io::Error::other)?.manner)
}
