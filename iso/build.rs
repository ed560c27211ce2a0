//! Hands the linker script to the program.

use std::path::PathBuf;

fn main() {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../linker/all.ld");
    println!("cargo:rerun-if-changed={}", script.display());
    println!("cargo:rerun-if-env-changed=CARGO_CFG_TARGET_OS");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo:rustc-link-arg-bins=-T{}", script.display());
    }
}
