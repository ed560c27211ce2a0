//! The `midflight` binary: see [`midflight::cli`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    midflight::on_kernel::init_if_asked();
    midflight::cli::main()
}
