//! `midflight mutants`.

use super::CliError;
use super::args::{MatrixFormat, MutantsArgs};
use crate::ending::{self, Signal};
use crate::engine::mutants::{Extent, Matrix};
use crate::images;
use crate::report::{html, matrix};
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;

pub(super) fn mutants(args: &MutantsArgs, files: &[PathBuf]) -> Result<u8, CliError> {
    let images = images::load(files)?;
    let mut output = stdout().lock();
    let mut broken = Ok(());
    let format = if args.markdown { MatrixFormat::Markdown } else { args.format };
    let extent = if args.all { Extent::All } else { Extent::Selection };
    let matrix = Matrix::run(&images, extent, args.timeout, |row| {
        if format == MatrixFormat::Human && broken.is_ok() {
            broken = matrix::row(&mut output, row);
        }
    });
    broken?;
    let Some(matrix) = matrix else {
        let signal = ending::signal().map_or("a signal", Signal::name);
        writeln!(stderr(), "midflight: {signal} ended the run: not every behaviour was tried")?;
        return Ok(0);
    };
    match format {
        MatrixFormat::Human => matrix::conclusion(&mut output, &matrix)?,
        MatrixFormat::Markdown => matrix::markdown(&mut output, &matrix)?,
        MatrixFormat::Html => html::mutants::write(&mut output, &matrix)?,
    }
    Ok(u8::from(!matrix.defects().is_empty()))
}
