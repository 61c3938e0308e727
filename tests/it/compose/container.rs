//! What the container file says, held against what it builds from, and the program in a root of what its image has.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use naru_shared::key_file;
use naru_tests::gateway::free_address;

use super::{composed, file, text, words};
use crate::{stage::beside_others, stage::within};

/// What the run image has of libraries (glibc 2.36, libgcc).
const LIBRARIES: [&str; 7] = [
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "ld-linux-x86-64.so.2",
];

/// The newest version of glibc's interfaces that Debian 12 has.
const GLIBC: u32 = 36;

const PROGRAM: &str = "/usr/local/bin/naru";

fn instructions() -> Vec<String> {
    let text = text("compose/Containerfile").replace("\\\n", " ");
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
}

/// The words after an instruction, wherever it stands.
fn said(instruction: &str) -> Vec<String> {
    let begin = format!("{instruction} ");
    instructions().iter().filter_map(|line| line.strip_prefix(&begin)).map(str::to_owned).collect()
}

#[test]
fn the_builder_is_given_all_that_the_workspace_is_built_of_and_by_its_own_toolchain() {
    let _beside = beside_others();
    let manifest: toml::Table = toml::from_str(&text("Cargo.toml")).unwrap();
    let package = &manifest["workspace"]["package"];
    let version = package["rust-version"].as_str().unwrap();
    assert!(said("FROM")[0].starts_with(&format!("rust:{version}-slim-bookworm ")), "{:?}", said("FROM"));
    let ignored = text("compose/Containerfile.dockerignore");
    let copied: Vec<String> = said("COPY");
    let sources = copied.iter().filter(|words| !words.starts_with("--from"));
    let sources: Vec<&str> = sources.flat_map(|words| words.rsplit_once(' ').unwrap().0.split(' ')).collect();
    for source in &sources {
        assert!(file(source).exists(), "there is no {source} to copy");
        assert!(
            ignored.lines().any(|line| line == format!("!{source}")),
            "{source} is kept from the builder"
        );
    }
    for member in manifest["workspace"]["members"].as_array().unwrap() {
        assert!(
            sources.contains(&member.as_str().unwrap()),
            "{member} is not copied: cargo would refuse to build"
        );
    }
    // What is copied is a whole workspace to cargo, with the dependencies that are locked.
    let home = tempfile::tempdir().unwrap();
    let copy = Command::new("cp")
        .arg("-r")
        .args(sources.iter().map(|source| file(source)))
        .arg(home.path())
        .status();
    assert!(copy.unwrap().success());
    let mut metadata = Command::new("cargo");
    metadata.args(["metadata", "--locked", "--offline", "--format-version", "1"]).current_dir(home.path());
    let output = metadata.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let image = composed()["services"]["ingress"]["image"].as_str().unwrap().to_owned();
    let version = package["version"].as_str().unwrap();
    assert_eq!(image, format!("naru:{version}"));
    assert!(said("LABEL")[0].contains(&format!("image.version=\"{version}\"")), "{:?}", said("LABEL"));
    assert_eq!(composed()["services"]["ingress"]["build"]["dockerfile"], "compose/Containerfile");
}

#[test]
fn the_program_that_is_copied_is_the_one_that_is_run_and_asked() {
    let _beside = beside_others();
    let copied = said("COPY").pop().unwrap();
    assert_eq!(copied, format!("--from=build /out/naru {PROGRAM}"));
    assert!(said("RUN").concat().contains("cargo build --release --locked --bin naru"));
    assert_eq!(said("ENTRYPOINT"), [format!("[\"{PROGRAM}\"]")]);
    assert!(said("HEALTHCHECK")[0].ends_with(&format!("CMD [\"{PROGRAM}\", \"health\"]")));
    assert_eq!(
        (said("STOPSIGNAL"), said("USER")),
        (vec!["SIGTERM".to_owned()], vec!["65532:65532".to_owned()])
    );
    for service in ["ingress", "workers"] {
        let test = &composed()["services"][service]["healthcheck"]["test"];
        assert_eq!(*test, serde_json::json!(["CMD", PROGRAM, "health"]), "{service}");
    }
}

/// The program as `cargo build` made it.
fn built() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let beside = own.ancestors().skip(1).take(2).map(|dir| dir.join("naru")).find(|path| path.is_file());
    beside.expect("`naru` is not built: `cargo build --bin naru`")
}

/// The libraries that a program is linked with, and where they are.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    let paths = printed.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    paths.map(PathBuf::from).collect()
}

#[test]
fn the_program_needs_no_library_that_its_image_lacks() {
    let _beside = beside_others();
    let program = built();
    let needed = libraries(&program);
    assert!(needed.len() >= 3, "{needed:?}");
    for library in needed {
        let name = library.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(LIBRARIES.contains(&name.as_str()), "the image has no {name}");
    }
    let bytes = fs::read(&program).unwrap();
    let marks = bytes.windows(12).filter(|window| window.starts_with(b"GLIBC_2."));
    let minor = |window: &[u8]| {
        let digits: Vec<u8> = window[8..].iter().copied().take_while(u8::is_ascii_digit).collect();
        String::from_utf8(digits).unwrap().parse::<u32>().ok()
    };
    let newest = marks.filter_map(minor).max().unwrap();
    assert!(newest <= GLIBC, "it needs glibc 2.{newest}, and Debian 12 has 2.{GLIBC}");
}

/// A root of less than the run image has: the program, its libraries, and nothing else, least of all a shell.
struct Root {
    home: tempfile::TempDir,
}

impl Root {
    fn make() -> Self {
        let home = tempfile::tempdir().unwrap();
        let program = built();
        let put = |from: &Path, to: &str| {
            let to = home.path().join("root").join(to.trim_start_matches('/'));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        };
        put(&program, PROGRAM);
        for library in libraries(&program) {
            put(&library, library.to_str().unwrap());
        }
        fs::create_dir_all(home.path().join("root/run/secrets")).unwrap();
        Command::new("chmod").args(["755"]).arg(home.path()).status().unwrap();
        Self { home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("root").join(name)
    }

    /// The program in that root as compose.yaml runs it: read-only, another user than root, no way to more rights.
    fn run(&self, arguments: &[&str]) -> Command {
        const ENTER: &str = "root=$1; shift; mount --bind \"$root\" \"$root\" && mount -o remount,bind,ro,nosuid \"$root\" && \
             exec setpriv --no-new-privs --inh-caps=-all chroot --userspec=65532:65532 --groups= \"$root\" \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", ENTER, "enter"]).arg(self.path("")).arg(PROGRAM).args(arguments);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("NARU_CONFIG", "/naru.toml");
        command
    }
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn ingress_runs_and_is_asked_and_ends_in_a_read_only_root_without_a_shell_as_nobody_in_particular() {
    let _beside = beside_others();
    let root = Root::make();
    let (listen, operator) = (free_address().unwrap(), free_address().unwrap());
    let config = text("compose/naru.toml").replace("0.0.0.0:8080", &listen.to_string());
    fs::write(root.path("naru.toml"), config.replace("0.0.0.0:8081", &operator.to_string())).unwrap();
    // Nobody answers there: it starts all the same, and says that it is alive but not ready.
    for (secret, url) in [
        ("ledger_url", "postgres://naru:p@127.0.0.1:1/naru?sslmode=disable"),
        ("rabbitmq_url", "amqp://naru:p@127.0.0.1:1/%2f"),
        ("redis_url", "redis://:p@127.0.0.1:1/0"),
    ] {
        fs::write(root.path("run/secrets").join(secret), url).unwrap();
    }
    key_file::create(&root.path("run/secrets/keys.toml")).unwrap();
    let owned = Command::new("chown").arg("65532:65532").arg(root.path("run/secrets/keys.toml")).status();
    assert!(owned.unwrap().success(), "this test needs root, as a container engine does");
    let log = fs::File::create(root.home.path().join("log")).unwrap();
    let mut ingress = root.run(&["ingress"]);
    ingress.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let mut ingress = Ended(ingress.spawn().unwrap());
    let told = || fs::read_to_string(root.home.path().join("log")).unwrap();
    within(Duration::from_secs(30), "it is alive", || {
        assert!(ingress.0.try_wait().unwrap().is_none(), "it ended: {}", told());
        root.run(&["health"]).output().unwrap().status.success().then_some(())
    });
    let ready = root.run(&["health", "--ready"]).output().unwrap();
    assert_eq!(ready.status.code(), Some(5), "{}", words(&ready));
    let status = fs::read_to_string(format!("/proc/{}/status", ingress.0.id())).unwrap();
    let line =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!((line("Uid:").split('\t').next(), line("NoNewPrivs:").as_str()), (Some("65532"), "1"));
    assert_eq!(line("CapEff:"), "0000000000000000");
    // SIGTERM, as a container engine stops it.
    let (asked, pid) = (Instant::now(), ingress.0.id().to_string());
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let status = ingress.0.wait().unwrap();
    assert!(status.success(), "{status}: {}", told());
    assert!(asked.elapsed() < Duration::from_secs(30), "longer than its container would be given");
}
