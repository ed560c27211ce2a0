//! `midflight mutants`.

use super::CliError;
use super::args::MutantsArgs;
use crate::ending::{self, Signal};
use crate::engine::mutants::{Extent, Matrix};
use crate::images;
use crate::report::matrix;
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;

pub(super) fn mutants(args: &MutantsArgs, files: &[PathBuf]) -> Result<u8, CliError> {
    let images = images::load(files)?;
    let mut output = stdout().lock();
    let mut broken = Ok(());
    let extent = if args.all { Extent::All } else { Extent::Selection };
    let matrix = Matrix::run(&images, extent, args.timeout, |row| {
        if !args.markdown && broken.is_ok() {
            broken = matrix::row(&mut output, row);
        }
    });
    broken?;
    let Some(matrix) = matrix else {
        let signal = ending::signal().map_or("a signal", Signal::name);
        writeln!(stderr(), "midflight: {signal} ended the run: not every behaviour was tried")?;
        return Ok(0);
    };
    if args.markdown {
        matrix::markdown(&mut output, &matrix)?;
    } else {
        matrix::conclusion(&mut output, &matrix)?;
    }
    Ok(u8::from(!matrix.defects().is_empty()))
}
