//! TLS on the listener (RFC 8446, and RFC 5246 for whoever needs 1.2): a certificate and its key out of two files, which are read
//! again when they change.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use naru_shared::metrics as names;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The most bytes that either file may have.
const LARGEST: u64 = 1024 * 1024;

/// Why TLS cannot be spoken with these files. What a key's file holds is never repeated.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, io::Error),
    /// A file holds something else.
    #[error("{0} {1}")]
    Wrong(String, &'static str),
    /// They do not belong together, or are of a kind that is not known.
    #[error("certificate and key: {0}")]
    Refused(rustls::Error),
}

/// A file as it was when it was read: when it was last written, and how long it is.
type Stamp = Option<(SystemTime, u64)>;

/// The two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and behind it those that lead to an authority (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM: PKCS#8, SEC1 or PKCS#1).
    pub key: PathBuf,
}

impl TlsFiles {
    fn stamps(&self) -> [Stamp; 2] {
        [&self.certificate, &self.key].map(|path| {
            let about = fs::metadata(path).ok()?;
            Some((about.modified().ok()?, about.len()))
        })
    }

    /// Reads them, and holds one against the other.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn read(&self) -> Result<ServerConfig, TlsError> {
        let wrong = |path: &Path, what| TlsError::Wrong(path.display().to_string(), what);
        let pem = bytes(&self.certificate)?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|_| wrong(&self.certificate, "is no PEM"))?;
        if chain.is_empty() {
            return Err(wrong(&self.certificate, "holds no certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(&bytes(&self.key)?)
            .map_err(|_| wrong(&self.key, "holds no private key in PEM that can be used"))?;
        let provider = CryptoProvider::get_default().cloned();
        let provider = provider.unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Refused)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsError::Refused)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn bytes(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, TlsError> {
    let unreadable = |error| TlsError::Unreadable(path.display().to_string(), error);
    if fs::metadata(path).map_err(unreadable)?.len() > LARGEST {
        return Err(TlsError::Wrong(path.display().to_string(), "is larger than 1 MiB"));
    }
    Ok(fs::read(path).map_err(unreadable)?.into())
}

/// What handshakes are made with: the newest files that could be used.
pub struct Tls {
    files: TlsFiles,
    now: ArcSwap<ServerConfig>,
}

impl Tls {
    /// With the files as they are.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn open(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let now = ArcSwap::from_pointee(files.read()?);
        Ok(Arc::new(Self { files, now }))
    }

    /// Makes the next handshake.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.now.load_full())
    }

    /// Reads the files again whenever they change, until `ends` is cancelled. While they cannot be used, what they were before goes on;
    /// connections that are open keep what they began with.
    pub async fn follow(self: Arc<Self>, ends: CancellationToken) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What changed between the start and the first look is read once more.
        let mut seen = [None, None];
        while ends.run_until_cancelled(ticks.tick()).await.is_some() {
            let stamps = self.files.stamps();
            if stamps == seen {
                continue;
            }
            seen = stamps;
            match self.files.read() {
                Ok(config) => {
                    self.now.store(Arc::new(config));
                    names::TLS_RELOADS.of(&[("outcome", "taken")]).increment(1);
                    tracing::info!(certificate = %self.files.certificate.display(), "new handshakes use the certificate as it is now");
                }
                Err(error) => {
                    names::TLS_RELOADS.of(&[("outcome", "refused")]).increment(1);
                    tracing::error!(%error, "the certificate was changed to what cannot be used; the one before goes on");
                }
            }
        }
    }
}
