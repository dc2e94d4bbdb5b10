//! Compiles our extension messages (`mesh/api/proto`), the same files that the control plane's types come from.

use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../mesh/api/proto");
    let folder = root.join("hauberk/proxy/v1");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "proto"));
    files.sort();
    let descriptors = protox::compile(&files, [&root]).map_err(io::Error::other)?;
    prost_build::Config::new().compile_fds(descriptors)
}
