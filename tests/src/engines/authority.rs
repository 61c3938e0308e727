//! An authority of a test's own.

use std::{fs, path::Path, process::Command};

use anyhow::ensure;

use super::server::program;

/// Makes an authority (`ca.pem`), and a certificate of it for `localhost` (`cert.pem`, `key.pem`).
///
/// # Errors
/// If it cannot be made.
pub fn certify(home: &Path) -> anyhow::Result<()> {
    let run = |arguments: &str| openssl(home, arguments);
    fs::write(home.join("ext"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")?;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    run(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=tests -days 2"))?;
    run(&format!("req {key} -keyout key.pem -out request.pem -subj /CN=localhost"))?;
    let sign = "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2";
    run(&format!("{sign} -extfile ext"))
}

/// Makes a certificate of that authority for a client (`client.pem`, `client.key`).
///
/// # Errors
/// If it cannot be made.
pub fn certify_client(home: &Path) -> anyhow::Result<()> {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(home, &format!("req {key} -keyout client.key -out client.request.pem -subj /CN=naru"))?;
    let sign =
        "x509 -req -in client.request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out client.pem -days 2";
    fs::write(home.join("client.ext"), "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n")?;
    openssl(home, &format!("{sign} -extfile client.ext"))
}

fn openssl(home: &Path, arguments: &str) -> anyhow::Result<()> {
    let openssl = program("openssl", "openssl")?;
    let output = Command::new(&openssl).args(arguments.split(' ')).current_dir(home).output()?;
    ensure!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
