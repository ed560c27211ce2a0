//! `midflight report`.

use super::CliError;
use super::args::ReportArgs;
use super::save::write_file;
use crate::report::html::read::Results;
use crate::report::html::run;
use std::fs::File;
use std::io::{BufReader, Write, stdin, stdout};
use std::path::Path;

pub(super) fn report(args: &ReportArgs) -> Result<u8, CliError> {
    let runs = args.files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    let mut page = Vec::new();
    run::write(&mut page, runs)?;
    match &args.output {
        Some(file) => {
            let failed = |error| CliError::File { file: file.display().to_string(), error };
            write_file(file, &page).map_err(failed)?;
        }
        None => stdout().lock().write_all(&page)?,
    }
    Ok(0)
}

/// The results in a file, which must have some.
fn read(path: &Path) -> Result<(String, Results), CliError> {
    let (name, results) = if path == Path::new("-") {
        ("standard input".to_owned(), Results::read(stdin().lock()))
    } else {
        let opened = File::open(path).map(BufReader::new);
        (path.display().to_string(), opened.and_then(Results::read))
    };
    let results = results.map_err(|error| CliError::File { file: name.clone(), error })?;
    if results.scenarios.is_empty() {
        let why = results.unread.map_or(String::new(), |(_, first)| format!(" ({first})"));
        return Err(CliError::Usage(format!(
            "{name} holds no result{why}: give what `midflight run --format json` has written"
        )));
    }
    Ok((name, results))
}
