//! The `midflight` binary: see [`midflight::cli`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    midflight::nested::init_if_asked();
    midflight::cli::main()
}
