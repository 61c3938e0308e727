//! One file: a line that says what it holds, and the content.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    super::{Blob, BlobError, BlobHead, MOST},
    away, refused,
};
use crate::domain::Timestamp;

/// The longest first line, in bytes.
const LINE: u64 = 512;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Line {
    naru_blob: u32,
    media_type: String,
    bytes: u64,
    sha256: String,
    put_at: i64,
}

/// A head as it is written.
pub(super) struct Head {
    line: Vec<u8>,
    content: u64,
}

impl Head {
    pub(super) fn of(blob: &Blob, put_at: Timestamp) -> Self {
        let content = blob.content().len() as u64;
        let line = Line {
            naru_blob: 1,
            media_type: blob.media_type().to_string(),
            bytes: content,
            sha256: blob.digest().to_string(),
            put_at: put_at.as_millis(),
        };
        // Numbers and plain words: it cannot fail.
        let mut line = serde_json::to_vec(&line).unwrap_or_default();
        line.push(b'\n');
        Self { line, content }
    }

    /// Of the whole file.
    pub(super) fn length(&self) -> u64 {
        self.line.len() as u64 + self.content
    }
}

/// A file that was opened, and what its first line says.
pub(super) struct Found {
    pub(super) head: BlobHead,
    rest: BufReader<File>,
}

impl Found {
    pub(super) fn open(path: &Path) -> Result<Self, BlobError> {
        let file = File::open(path).map_err(refused)?;
        let length = file.metadata().map_err(away)?.len();
        let mut rest = BufReader::new(file);
        let mut line = Vec::new();
        (&mut rest).take(LINE).read_until(b'\n', &mut line).map_err(away)?;
        let head = read(&line).ok_or(BlobError::Damaged("its first line cannot be read"))?;
        if head.bytes > MOST || line.len() as u64 + head.bytes != length {
            return Err(BlobError::Damaged("it has another length"));
        }
        Ok(Self { head, rest })
    }

    pub(super) fn content(mut self) -> Result<Bytes, BlobError> {
        let mut content = Vec::with_capacity(usize::try_from(self.head.bytes).unwrap_or(0));
        (&mut self.rest).take(self.head.bytes).read_to_end(&mut content).map_err(away)?;
        Ok(content.into())
    }
}

fn read(line: &[u8]) -> Option<BlobHead> {
    let line: Line = serde_json::from_slice(line.strip_suffix(b"\n")?).ok()?;
    Some(BlobHead {
        media_type: (line.naru_blob == 1).then_some(line.media_type)?.parse().ok()?,
        bytes: line.bytes,
        digest: line.sha256.parse().ok()?,
        put_at: Timestamp::from_millis(line.put_at),
    })
}

/// Writes a file into a folder, under a name of its own, so that it survives; it is not in its place yet.
pub(super) fn write(folder: &Path, head: &Head, content: &[u8]) -> io::Result<PathBuf> {
    let path = folder.join(data_encoding::HEXLOWER.encode(&crate::keys::random_bytes::<16>()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let written =
        file.write_all(&head.line).and_then(|()| file.write_all(content)).and_then(|()| file.sync_all());
    if written.is_err() {
        drop(fs::remove_file(&path));
    }
    written.map(|()| path)
}

/// Makes a folder below another, and those on the way, so that they survive.
pub(super) fn make_folders(root: &Path, below: &Path) -> io::Result<()> {
    let mut folder = root.to_owned();
    make_folder(&folder)?;
    for part in below.components() {
        folder.push(part);
        make_folder(&folder)?;
    }
    Ok(())
}

fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            sync(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes what was renamed or made in a folder survive.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
