//! Owns the smallest image that a registry takes: an OCI layout of one layer, written by hand.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::common::encode::hex;
use crate::common::{Folder, output};
use crate::tools::sha256;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Writes an image whose content no other image has, so that a client's memory of earlier layers (skopeo
/// keeps one for the whole machine) says nothing about it.
pub(crate) fn write(folder: &Folder) -> PathBuf {
    let unique = output("openssl", &["rand", "-hex", "4096"], b"");
    folder.write("content/file", &String::from_utf8_lossy(&unique));
    let content = folder.path().join("content");
    let tar = output("tar", &["-C", content.to_str().unwrap(), "-cf", "-", "file"], b"");
    let layer = output("gzip", &["-n"], &tar);
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [digest(&tar)] },
    })
    .to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config.as_bytes()),
        "layers": [descriptor(LAYER, &layer)],
    })
    .to_string();
    for blob in [layer.as_slice(), config.as_bytes(), manifest.as_bytes()] {
        let name = format!("image/blobs/sha256/{}", hex(&sha256(blob)));
        fs::write(folder.write(&name, ""), blob).unwrap();
    }
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor(MANIFEST, manifest.as_bytes())] });
    folder.write("image/index.json", &index.to_string());
    folder.write("image/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    folder.path().join("image")
}

fn digest(blob: &[u8]) -> String {
    format!("sha256:{}", hex(&sha256(blob)))
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(blob), "size": blob.len() })
}

/// Both layouts name the same manifest, and hold the same bytes under every name.
pub(crate) fn assert_same(sent: &Path, received: &Path) {
    assert_eq!(manifest_digest(sent), manifest_digest(received), "the manifest's digest");
    let (sent, received) = (sent.join("blobs/sha256"), received.join("blobs/sha256"));
    let mut names: Vec<_> = fs::read_dir(&sent).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 3, "layer, config and manifest");
    for name in names {
        let back = fs::read(received.join(&name)).unwrap();
        assert_eq!(hex(&sha256(&back)), name.to_string_lossy(), "the blob has its own digest");
        assert_eq!(back, fs::read(sent.join(&name)).unwrap(), "{}", name.display());
    }
}

pub(crate) fn manifest_digest(layout: &Path) -> String {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}
