//! A plugin in a shared library: that of nylon-ffi's tests.

use std::{path::PathBuf, process::Command, sync::OnceLock};

use serde_json::{Value, json};

/// The library, compiled once per process.
pub fn file() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let sources = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../nylon-ffi/tests/library");
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("proxied.so");
        // Other processes may load it at the same time.
        let fresh = target.with_extension(std::process::id().to_string());
        let compiled = Command::new("cc")
            .args(["-std=gnu11", "-shared", "-fPIC", "-fno-builtin", "-D_GNU_SOURCE", "-o"])
            .arg(&fresh)
            .args([sources.join("library.c"), sources.join("entries.c")])
            .arg("-lpthread")
            .status();
        assert!(compiled.unwrap().success(), "cc");
        std::fs::rename(fresh, &target).unwrap();
        target
    };
    BUILT.get_or_init(build).clone()
}

/// The plugin in a snapshot, under the name that [`super::scripted::link`] gives.
pub fn plugin(max_in_flight: usize) -> Value {
    json!({"name": "scripted", "type": "ffi", "file": file(), "executor": "pool", "messaging": null, "config": null,
        "max_in_flight": max_in_flight, "max_body_bytes": 1000})
}
