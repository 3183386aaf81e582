//! Bundles as rauc(1) makes them, by certificates of openssl(1).

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// What the box of these tests takes.
pub const COMPATIBLE: &str = "fieldcast-bench";

/// Who signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// Whom the box believes.
    Ours,
    /// Somebody else.
    Stranger,
    /// Ours, until 2021.
    Expired,
    /// Ours, from 2040 on.
    Future,
}

fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Keys and certificates, made once for all tests of this program.
pub fn keys() -> &'static Path {
    static KEYS: OnceLock<tempfile::TempDir> = OnceLock::new();
    KEYS.get_or_init(|| {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path();
        for authority in ["ca", "other"] {
            let (key, certificate) = (format!("{authority}.key"), format!("{authority}.pem"));
            let subject = format!("/CN={authority}");
            let made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-keyout", &key, "-out"];
            run(path, "openssl", &[&made[..], &[&certificate, "-subj", &subject]].concat());
        }
        let settings = "[ca]\ndefault_ca=d\n[d]\ndir=.\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n\
            policy=p\nunique_subject=no\n[p]\ncommonName=supplied\n";
        for (name, text) in [("index", ""), ("serial", "01\n"), ("ca.cnf", settings)] {
            fs::write(path.join(name), text).expect("written");
        }
        for (name, authority, from, to) in [
            ("ours", "ca", "20200101000000Z", "20480101000000Z"),
            ("stranger", "other", "20200101000000Z", "20480101000000Z"),
            ("expired", "ca", "20200101000000Z", "20210101000000Z"),
            ("future", "ca", "20400101000000Z", "20480101000000Z"),
        ] {
            let [key, request, certificate] = ["key", "csr", "pem"].map(|kind| format!("{name}.{kind}"));
            let subject = format!("/CN={name}");
            let made = ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", &key, "-out", &request, "-subj", &subject];
            run(path, "openssl", &made);
            let (signer, signer_key) = (format!("{authority}.pem"), format!("{authority}.key"));
            let by = ["ca", "-batch", "-config", "ca.cnf", "-cert", &signer, "-keyfile", &signer_key];
            let what = ["-in", &request, "-out", &certificate, "-startdate", from, "-enddate", to, "-notext"];
            run(path, "openssl", &[&by[..], &what[..]].concat());
        }
        folder
    })
    .path()
}

/// A bundle for `compatible` of `version`, with an image of these bytes. In RAUC's plain format, which needs no dm-verity: not
/// every machine that tests has that.
pub fn bundle(folder: &Path, name: &str, compatible: &str, version: &str, signer: Signer, image: &[u8]) -> PathBuf {
    let content = tempfile::tempdir().expect("folder");
    fs::write(content.path().join("rootfs.img"), image).expect("written");
    let manifest = format!(
        "[update]\ncompatible={compatible}\nversion={version}\n[bundle]\nformat=plain\n[image.rootfs]\nfilename=rootfs.img\n"
    );
    fs::write(content.path().join("manifest.raucm"), manifest).expect("written");
    let signer = format!("{signer:?}").to_lowercase();
    let [certificate, key] = ["pem", "key"].map(|kind| keys().join(format!("{signer}.{kind}")).display().to_string());
    let path = folder.join(name);
    let _ = fs::remove_file(&path);
    let content = content.path().display().to_string();
    let target = path.display().to_string();
    run(folder, "rauc", &[&format!("--cert={certificate}"), &format!("--key={key}"), "bundle", &content, &target]);
    path
}
