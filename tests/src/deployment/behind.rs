//! An engine, and the proxy before it if there is one.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::{Deref, DerefMut},
};

use anyhow::Context;

use crate::{
    engines::{AwsEmulator, Postgres, RabbitMq, Redis, Stop},
    proxy::Proxy,
};

/// A server that listens on one port, and can be ended and begun again.
pub trait Engine {
    /// Its port, which it keeps.
    fn port(&self) -> u16;

    /// Ends it.
    ///
    /// # Errors
    /// If it does not end.
    fn stop(&mut self, how: Stop) -> anyhow::Result<()>;

    /// Starts it again after [`Engine::stop`], and waits until it answers.
    ///
    /// # Errors
    /// If it does not start.
    fn begin(&mut self) -> anyhow::Result<()>;
}

macro_rules! engine {
    ($engine:ty) => {
        impl Engine for $engine {
            fn port(&self) -> u16 {
                <$engine>::port(self)
            }
            fn stop(&mut self, how: Stop) -> anyhow::Result<()> {
                <$engine>::stop(self, how)
            }
            fn begin(&mut self) -> anyhow::Result<()> {
                <$engine>::begin(self)
            }
        }
    };
}

engine!(AwsEmulator);
engine!(Postgres);
engine!(RabbitMq);
engine!(Redis);

/// An engine as the deployment sees it.
#[derive(Debug)]
pub struct Behind<E> {
    engine: E,
    proxy: Option<Proxy>,
}

impl<E: Engine> Behind<E> {
    pub(super) fn new(engine: E, proxied: bool) -> anyhow::Result<Self> {
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, engine.port()));
        let proxy = if proxied { Some(Proxy::start(target)?) } else { None };
        Ok(Self { engine, proxy })
    }

    /// The proxy before it.
    ///
    /// # Errors
    /// If the deployment was made without.
    pub fn proxy(&self) -> anyhow::Result<&Proxy> {
        self.proxy.as_ref().context("the deployment has no proxies")
    }

    /// The same address, led through the proxy if there is one.
    pub(super) fn led(&self, url: &str) -> anyhow::Result<String> {
        match &self.proxy {
            Some(proxy) => proxy.before(url, self.engine.port()),
            None => Ok(url.to_owned()),
        }
    }

    /// Ends it; then whoever connects is refused, with a proxy as without.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(&mut self, how: Stop) -> anyhow::Result<()> {
        self.engine.stop(how)?;
        self.proxy.as_ref().map_or(Ok(()), Proxy::refuse)
    }

    /// Starts it again after [`Behind::stop`], and waits until it answers; the proxy passes again.
    ///
    /// # Errors
    /// If it does not start.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        self.engine.begin()?;
        self.proxy.as_ref().map_or(Ok(()), Proxy::pass)
    }
}

impl<E> Deref for Behind<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.engine
    }
}

impl<E> DerefMut for Behind<E> {
    fn deref_mut(&mut self) -> &mut E {
        &mut self.engine
    }
}
