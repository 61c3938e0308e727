//! Takes what the page of the API is made of out of the archive that a crate brings: these files alone, so that nothing is in the
//! program that is not served.

use std::{
    env,
    error::Error,
    fs::File,
    io::{Cursor, copy},
    path::PathBuf,
};

/// Where they lie in the archive's first folder, and what they are called here.
const FILES: [(&str, &str); 4] = [
    ("dist/swagger-ui-bundle.js", "swagger-ui-bundle.js"),
    ("dist/swagger-ui.css", "swagger-ui.css"),
    ("LICENSE", "swagger-ui-license.txt"),
    ("NOTICE", "swagger-ui-notice.txt"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut archive = zip::ZipArchive::new(Cursor::new(utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED))?;
    for (path, name) in FILES {
        let at = (0..archive.len()).find(|at| {
            let whole = archive.name_for_index(*at).and_then(Result::ok).unwrap_or_default();
            whole.split_once('/').is_some_and(|(_, rest)| rest == path)
        });
        let mut entry = archive.by_index(at.ok_or_else(|| format!("the archive has no {path}"))?)?;
        copy(&mut entry, &mut File::create(out.join(name))?)?;
    }
    // It depends on nothing but the archive, whose crate makes it run anew.
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
