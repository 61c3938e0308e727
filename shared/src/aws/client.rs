//! One configuration of the SDK for whoever calls AWS with the same settings.

use aws_config::{BehaviorVersion, Region, SdkConfig, timeout::TimeoutConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use tokio::sync::OnceCell;

use super::AwsSettings;

/// AWS, as its settings say; nothing is asked before the first call.
#[derive(Debug)]
pub struct Aws {
    settings: AwsSettings,
    credentials: Option<Credentials>,
    loaded: OnceCell<SdkConfig>,
}

impl Aws {
    /// Whoever is reached by these settings.
    #[must_use]
    pub const fn new(settings: AwsSettings) -> Self {
        Self { settings, credentials: None, loaded: OnceCell::const_new() }
    }

    /// The same, called as whom this key belongs to, whatever the environment says.
    #[must_use]
    pub fn with_key(settings: AwsSettings, id: &str, secret: &str) -> Self {
        let credentials = Credentials::new(id, secret, None, None, "given");
        Self { credentials: Some(credentials), ..Self::new(settings) }
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &AwsSettings {
        &self.settings
    }

    /// The SDK's configuration: region, credentials, HTTP client and time-outs. Each attempt is bounded; a call as a whole is
    /// bounded by whoever makes it, since a long poll may take longer than any other.
    pub async fn config(&self) -> &SdkConfig {
        self.loaded.get_or_init(|| load(&self.settings, self.credentials.clone())).await
    }
}

async fn load(settings: &AwsSettings, credentials: Option<Credentials>) -> SdkConfig {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(settings.connect_timeout())
        .operation_attempt_timeout(AwsSettings::attempt_timeout())
        .build();
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).http_client(http).timeout_config(timeouts);
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(credentials) = credentials {
        loader = loader.credentials_provider(credentials);
    }
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader.load().await
}
