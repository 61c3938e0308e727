//! Files that are damaged, empty or gone: seen at the start and by `check`, named, and nothing begins anew beside them.

use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::program::{Up, begun, code, complained, json, naru, post, printed_curl, run, said, until};

const FILES: [&str; 4] = ["queue.db", "topic.db", "ledger.db", "catalog.db"];

/// A stopped deployment that has delivered a message, as single files without logs beside them.
pub fn lived(root: &Path) -> PathBuf {
    let (first, copy, data) = (root.join("first"), root.join("lived-copy"), root.join("data"));
    let up = Up::start(&first, &[]);
    assert!(post(&printed_curl(&up)).starts_with("HTTP/1.1 202"));
    let found = || json(&first, &["status"])["waiting"].as_array().unwrap().is_empty();
    until("the message is delivered", found);
    assert_eq!(up.stop(), 0);
    json(&first, &["backup", copy.to_str().unwrap()]);
    json(&data, &["restore", copy.to_str().unwrap()]);
    data
}

/// Starts where it must be refused; one that is not ends after a while, with what it said.
pub fn refused(data: &Path) -> Output {
    let program = naru(data).get_program().to_owned();
    let mut bounded = Command::new("timeout");
    bounded.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).arg("20").arg(program);
    bounded.arg("--data").arg(data);
    bounded.args(["up", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"]).output().unwrap()
}

/// The directory's files and what is in them, logs and locks aside.
pub fn snapshot(data: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(data) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let kept = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        !(name == "lock" || name.ends_with("-wal") || name.ends_with("-shm"))
    };
    let mut found = Vec::new();
    for path in paths.filter(kept) {
        match path.is_dir() {
            true => found.extend(snapshot(&path)),
            false => found.push((path.clone(), fs::read(path).unwrap())),
        }
    }
    found.sort();
    found
}

/// Both ways to start say what is wrong with which file, and what to do; neither changes anything.
fn assert_seen(data: &Path, file: &str, harm: &str) {
    let before = snapshot(data);
    let started = refused(data);
    let said_so = complained(&started);
    assert_eq!(started.status.code(), Some(1), "{harm} {file}: {said_so}");
    assert!(said_so.contains(file) && said_so.contains("naru restore"), "{harm} {file}: {said_so}");
    assert!(started.stdout.is_empty(), "{}", said(&started));
    let checked = run(data, &["check"]);
    let found = said(&checked) + &complained(&checked);
    assert_eq!(checked.status.code(), Some(1), "{harm} {file}: {found}");
    assert!(found.contains(file) && found.contains("naru restore"), "{harm} {file}: {found}");
    assert!(before == snapshot(data), "{harm} {file}: something was changed");
}

fn overwrite_the_middle(path: &Path) {
    let length = fs::metadata(path).unwrap().len();
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(4_096)).unwrap();
    file.write_all(&vec![0xa5; usize::try_from(length - 4_096).unwrap()]).unwrap();
}

fn cut(path: &Path) {
    let length = fs::metadata(path).unwrap().len();
    OpenOptions::new().write(true).open(path).unwrap().set_len(length / 2 / 4_096 * 4_096).unwrap();
}

/// What happens to a file, and a word for it.
type Harm<'a> = (&'a str, &'a dyn Fn(&Path));

#[test]
fn a_damaged_file_is_named_and_nothing_starts() {
    let root = tempfile::tempdir().unwrap();
    let data = lived(root.path());
    assert_eq!(code(&data, &["check"]), 0);
    for file in FILES {
        let path = data.join(file);
        let whole = fs::read(&path).unwrap();
        let harms: [Harm<'_>; 6] = [
            ("overwritten", &overwrite_the_middle),
            ("cut", &cut),
            ("no database", &|path| fs::write(path, "this is a letter to a friend ".repeat(300)).unwrap()),
            ("another file's content", &|path| {
                let other = if file == "topic.db" { "catalog.db" } else { "topic.db" };
                fs::copy(path.with_file_name(other), path).unwrap();
            }),
            ("empty", &|path| fs::write(path, "").unwrap()),
            ("gone", &|path| fs::remove_file(path).unwrap()),
        ];
        for (name, harm) in harms {
            harm(&path);
            assert_seen(&data, file, name);
            fs::write(&path, &whole).unwrap();
        }
    }
    assert_eq!(code(&data, &["check"]), 0);
    assert_eq!(Up::start(&data, &["--no-demo"]).stop(), 0);
}

#[test]
fn a_verb_never_makes_a_file_that_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    for (file, verb) in [("ledger.db", &["message", "find"][..]), ("catalog.db", &["customer", "list"])] {
        let (path, aside) = (data.join(file), data.join("aside"));
        // Beside a log that names it, it would be worse than gone.
        json(&data, &["backup", root.path().join(format!("copy-{file}")).to_str().unwrap()]);
        fs::rename(&path, &aside).unwrap();
        let output = run(&data, verb);
        assert_eq!(output.status.code(), Some(1), "{}", complained(&output));
        assert!(complained(&output).contains(file) && !path.exists(), "{}", complained(&output));
        fs::rename(&aside, &path).unwrap();
    }
}

#[test]
fn a_first_start_that_was_cut_short_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let whole = begun(root.path());
    let data = root.path().join("cut-short");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("queue.db"), "").unwrap();
    let up = Up::start(&data, &[]);
    assert!(up.greeting.iter().any(|line| line.contains("curl")), "{:?}", up.greeting);
    assert_eq!(up.stop(), 0);
    drop(whole);
}
