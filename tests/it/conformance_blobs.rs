//! The stores of blobs: files, and buckets of both emulators.

use std::{path::PathBuf, sync::Arc};

use naru_shared::blobs::{BlobName, Blobs, DiskBlobs};
use naru_tests::conformance::blobs::Fixture;
use tokio::runtime::Handle;

struct Disk {
    dir: tempfile::TempDir,
    blobs: Arc<DiskBlobs>,
}

impl Disk {
    fn root(dir: &tempfile::TempDir) -> PathBuf {
        dir.path().join("blobs")
    }

    fn open(dir: &tempfile::TempDir) -> anyhow::Result<Arc<DiskBlobs>> {
        Ok(Arc::new(DiskBlobs::open(&Self::root(dir), 1 << 30, &Handle::current())?))
    }
}

impl Fixture for Disk {
    async fn fresh() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let blobs = Self::open(&dir)?;
        Ok(Self { dir, blobs })
    }

    fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::<DiskBlobs>::clone(&self.blobs)
    }

    async fn restart(&mut self) -> anyhow::Result<()> {
        self.blobs = Self::open(&self.dir)?;
        Ok(())
    }

    async fn damage(&self, name: &BlobName) -> anyhow::Result<()> {
        let path = Self::root(&self.dir).join(name.as_str());
        let mut bytes = std::fs::read(&path)?;
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        Ok(std::fs::write(path, bytes)?)
    }

    async fn away(&mut self) -> anyhow::Result<()> {
        Ok(std::fs::rename(Self::root(&self.dir), self.dir.path().join("elsewhere"))?)
    }
}

naru_tests::blobs_conformance!(Disk);

/// A bucket of an emulator of its own.
mod buckets {
    use std::{
        path::Path,
        process::Command,
        sync::{Arc, Mutex, PoisonError},
    };

    use anyhow::ensure;
    use naru_shared::{
        aws::Aws,
        blobs::{BlobName, Blobs, Checksums, S3Blobs, S3Settings},
    };
    use naru_tests::{
        engines::{AwsEmulator, Flavour, Stop},
        tools::tool,
    };
    use tokio::runtime::Handle;

    /// Puts other bytes of the same length in an object's place, and leaves what it says of itself.
    const DAMAGE: &str = "
import sys, boto3
from botocore.config import Config
s3 = boto3.client('s3', config=Config(s3={'addressing_style': 'path'}))
bucket, key = sys.argv[1:3]
found = s3.get_object(Bucket=bucket, Key=key)
content = bytearray(found['Body'].read())
content[-1] ^= 1
s3.put_object(Bucket=bucket, Key=key, Body=bytes(content), ContentType=found['ContentType'], Metadata=found['Metadata'])
";

    pub(super) struct Bucket {
        emulator: Emulator,
        settings: S3Settings,
        blobs: S3Blobs,
    }

    /// One that is shared, or, once it was taken away, one that was only borrowed.
    enum Emulator {
        Own(Mutex<AwsEmulator>),
        Shared(&'static AwsEmulator),
    }

    impl Emulator {
        fn environment(&self) -> [(&'static str, String); 4] {
            match self {
                Self::Own(own) => own.lock().unwrap_or_else(PoisonError::into_inner).environment(),
                Self::Shared(shared) => shared.environment(),
            }
        }
    }

    fn open(settings: &S3Settings) -> anyhow::Result<S3Blobs> {
        Ok(S3Blobs::over(Aws::with_key(settings.aws(), "test", "test"), settings, &Handle::current())?)
    }

    impl Bucket {
        pub(super) async fn fresh(flavour: Flavour, checksums: Checksums) -> anyhow::Result<Self> {
            let emulator = tokio::task::spawn_blocking(move || {
                Ok::<_, anyhow::Error>(match flavour {
                    Flavour::Ministack => Emulator::Shared(AwsEmulator::shared()?),
                    _ => Emulator::Own(Mutex::new(AwsEmulator::start(flavour)?)),
                })
            });
            let emulator = emulator.await??;
            let aws = match &emulator {
                Emulator::Own(own) => own.lock().unwrap_or_else(PoisonError::into_inner).settings(),
                Emulator::Shared(shared) => shared.settings(),
            };
            let settings = S3Settings {
                bucket: format!("naru-{:016x}", fastrand::u64(..)),
                create: true,
                checksums,
                region: aws.region,
                endpoint: aws.endpoint,
                connect_timeout_ms: 1_000,
                call_timeout_ms: 5_000,
                ..S3Settings::default()
            };
            let blobs = open(&settings)?;
            Ok(Self { emulator, settings, blobs })
        }

        pub(super) fn blobs(&self) -> Arc<dyn Blobs> {
            Arc::new(self.blobs.clone())
        }

        pub(super) async fn restart(&mut self) -> anyhow::Result<()> {
            if let Emulator::Own(own) = &mut self.emulator {
                let own = own.get_mut().unwrap_or_else(PoisonError::into_inner);
                own.stop(Stop::Kill)?;
                own.begin()?;
            }
            self.blobs = open(&self.settings)?;
            Ok(())
        }

        pub(super) async fn damage(&self, name: &BlobName) -> anyhow::Result<()> {
            let mut python = tool(Path::new("pip/bin/python"))?;
            python.args(["-c", DAMAGE, &self.settings.bucket, &format!("{}{name}", self.settings.keys())]);
            python.envs(self.emulator.environment());
            tokio::task::spawn_blocking(move || run(&mut python)).await?
        }

        pub(super) async fn away(&mut self) -> anyhow::Result<()> {
            match &mut self.emulator {
                // It is there and does not answer: a port that it left could be another's.
                Emulator::Own(own) => own.get_mut().unwrap_or_else(PoisonError::into_inner).freeze(),
                Emulator::Shared(_) => {
                    // The others of this process go on with it: only this bucket's way there ends.
                    self.settings.endpoint = Some("http://127.0.0.1:9".to_owned());
                    Ok(())
                }
            }?;
            self.settings.call_timeout_ms = 1_000;
            self.blobs = open(&self.settings)?;
            Ok(())
        }
    }

    fn run(command: &mut Command) -> anyhow::Result<()> {
        let output = command.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// A fixture over a bucket of this emulator, with these checksums.
macro_rules! bucket {
    ($module:ident, $flavour:ident, $checksums:ident) => {
        mod $module {
            use std::sync::Arc;

            use naru_shared::blobs::{BlobName, Blobs, Checksums};
            use naru_tests::{conformance::blobs::Fixture, engines::Flavour};

            use super::buckets::Bucket;

            struct Of(Bucket);

            impl Fixture for Of {
                async fn fresh() -> anyhow::Result<Self> {
                    Ok(Self(Bucket::fresh(Flavour::$flavour, Checksums::$checksums).await?))
                }

                fn blobs(&self) -> Arc<dyn Blobs> {
                    self.0.blobs()
                }

                async fn restart(&mut self) -> anyhow::Result<()> {
                    self.0.restart().await
                }

                async fn damage(&self, name: &BlobName) -> anyhow::Result<()> {
                    self.0.damage(name).await
                }

                async fn away(&mut self) -> anyhow::Result<()> {
                    self.0.away().await
                }
            }

            naru_tests::blobs_conformance!(Of);
        }
    };
}

bucket!(ministack, Ministack, Supported);
bucket!(ministack_without_checksums, Ministack, Required);
bucket!(fauxqs, FauxqsOnDisk, Supported);
