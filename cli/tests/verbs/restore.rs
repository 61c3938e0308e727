//! A restore is whole or nothing: a copy is verified before anything is written, and what was cut short is seen.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::{
    damage::{lived, refused, snapshot},
    program::{Up, code, complained, json, naru, run},
};

const FILES: [&str; 4] = ["queue.db", "topic.db", "ledger.db", "catalog.db"];

/// A deployment, a copy of it, and another deployment that the copy would replace.
fn stage(root: &Path) -> (PathBuf, PathBuf) {
    let data = lived(root);
    let copy = root.join("copy");
    json(&data, &["backup", copy.to_str().unwrap()]);
    json(&data, &["customer", "add", "after"]);
    // As single files, so that a snapshot holds everything.
    let again = root.join("again");
    json(&data, &["backup", again.to_str().unwrap()]);
    json(&data, &["restore", again.to_str().unwrap(), "--replace"]);
    (data, copy)
}

fn restore(data: &Path, copy: &Path) -> Output {
    run(data, &["restore", copy.to_str().unwrap(), "--replace"])
}

fn partials(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|e| e == "partial")).collect()
}

/// `naru restore` in a shell that forbids files of more than so many blocks of 512 bytes.
fn restore_cut_short(data: &Path, copy: &Path, before: &str, blocks: u32) -> Output {
    let program = naru(data).get_program().to_owned();
    let script = format!("{before} ulimit -f {blocks}; exec \"$@\"");
    let mut shell = Command::new("bash");
    shell.args(["-c", &script, "bash"]).arg(program).arg("--data").arg(data);
    shell.args(["restore", "--replace"]).arg(copy).output().unwrap()
}

#[test]
fn a_copy_that_is_not_whole_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (data, copy) = stage(root.path());
    let before = snapshot(&data);
    let fresh = root.path().join("fresh");
    let parts = [&FILES[..], &["keys.toml", "backup.json"]].concat();
    for part in parts {
        let path = copy.join(part);
        let whole = fs::read(&path).unwrap();
        let mut harmed = whole.clone();
        let middle = harmed.len() / 3;
        harmed[middle..].fill(0xa5);
        for harm in [None, Some(harmed), Some(Vec::new())] {
            match &harm {
                None => fs::remove_file(&path).unwrap(),
                Some(bytes) => fs::write(&path, bytes).unwrap(),
            }
            let output = restore(&data, &copy);
            let said = complained(&output);
            assert_ne!(output.status.code(), Some(0), "{part}: {said}");
            assert!(said.contains(part), "{part}: {said}");
            assert!(before == snapshot(&data), "{part}: something was changed");
            assert_ne!(code(&fresh, &["restore", copy.to_str().unwrap()]), 0);
            assert!(!fresh.exists(), "{part}: a directory was begun");
            fs::write(&path, &whole).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    assert_eq!(restore(&data, &copy).status.code(), Some(0));
    assert_eq!(Up::start(&data, &["--no-demo"]).stop(), 0);
}

#[test]
fn a_restore_that_fails_half_way_takes_back_what_it_wrote() {
    let root = tempfile::tempdir().unwrap();
    let (data, copy) = stage(root.path());
    let before = snapshot(&data);
    // The ledger is the largest file, and not the first: some are written when it fails. Told, not killed.
    let blocks = u32::try_from(fs::metadata(copy.join("ledger.db")).unwrap().len() / 1_024 - 8).unwrap();
    let output = restore_cut_short(&data, &copy, "trap '' XFSZ;", blocks);
    assert_eq!(output.status.code(), Some(1), "{}", complained(&output));
    assert!(complained(&output).contains("ledger.db"), "{}", complained(&output));
    assert!(before == snapshot(&data), "something was left: {:?}", partials(&data));
    assert_eq!(Up::start(&data, &["--no-demo"]).stop(), 0);
}

#[test]
fn what_a_killed_restore_left_stops_the_start_until_it_is_repeated() {
    let root = tempfile::tempdir().unwrap();
    let (data, copy) = stage(root.path());
    let blocks = u32::try_from(fs::metadata(copy.join("ledger.db")).unwrap().len() / 1_024 - 8).unwrap();
    let killed = restore_cut_short(&data, &copy, "", blocks);
    assert_eq!(killed.status.code(), None, "{}", complained(&killed));
    assert!(!partials(&data).is_empty());
    let output = refused(&data);
    assert_eq!(output.status.code(), Some(1), "{}", complained(&output));
    let said = complained(&output);
    assert!(said.contains(".partial") && said.contains("naru restore"), "{said}");
    assert_eq!(code(&data, &["check"]), 1);
    assert_eq!(restore(&data, &copy).status.code(), Some(0));
    assert_eq!(partials(&data), Vec::<PathBuf>::new());
    assert_eq!(Up::start(&data, &["--no-demo"]).stop(), 0);
}

#[test]
fn a_copy_of_a_damaged_file_is_no_copy() {
    let root = tempfile::tempdir().unwrap();
    let data = lived(root.path());
    let path = data.join("ledger.db");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let copy = root.path().join("copy");
    let output = run(&data, &["backup", copy.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", complained(&output));
    assert!(complained(&output).contains("ledger.db"), "{}", complained(&output));
    assert!(!copy.exists(), "what is no copy is not left to be taken for one");
}
