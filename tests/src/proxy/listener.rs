//! Takes connections while it is told to.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{CONNECTIONS, Counts, Orders, connection};

/// Between tries to have the port again, or to take a connection after the system refused one.
const PAUSE: Duration = Duration::from_millis(5);

/// Listens whenever it is told to, until the proxy is gone.
pub(super) async fn listen(
    address: SocketAddr,
    target: SocketAddr,
    mut orders: watch::Receiver<Orders>,
    counts: Arc<Counts>,
) {
    while orders.wait_for(|orders| orders.listens).await.is_ok() {
        let Ok(listener) = TcpListener::bind(address).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        counts.listens.store(true, Ordering::SeqCst);
        let mut told = orders.clone();
        tokio::select! {
            _ = told.wait_for(|orders| !orders.listens) => {}
            () = take(&listener, target, &orders, &counts) => {}
        }
        drop(listener);
        counts.listens.store(false, Ordering::SeqCst);
    }
}

async fn take(
    listener: &TcpListener,
    target: SocketAddr,
    orders: &watch::Receiver<Orders>,
    counts: &Arc<Counts>,
) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => welcome(client, target, orders, counts),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn welcome(client: TcpStream, target: SocketAddr, orders: &watch::Receiver<Orders>, counts: &Arc<Counts>) {
    if counts.open.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS {
        counts.open.fetch_sub(1, Ordering::SeqCst);
        return connection::reset(&client);
    }
    let (orders, counts) = (orders.clone(), Arc::clone(counts));
    tokio::spawn(async move {
        connection::serve(client, target, orders, &counts).await;
        counts.open.fetch_sub(1, Ordering::SeqCst);
    });
}
