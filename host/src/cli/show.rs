//! `midflight show`.

use super::args::ShowArgs;
use super::{CliError, select};
use crate::images;
use crate::report::plain::Plain;
use crate::scenario::words::paragraph;
use std::io::{Write, stdout};
use std::path::PathBuf;

pub(super) fn show(args: &ShowArgs, files: &[PathBuf]) -> Result<u8, CliError> {
    let images = images::load(files)?;
    let (index, scenario) = select::one(&images, &args.scenario, "show describes")?;
    let image = &images[index];
    let Some((_, case)) = image.case(&scenario.case) else {
        return Err(CliError::Usage(format!("image {} has no case {}", image.name, scenario.case)));
    };
    let mut output = Plain(stdout().lock());
    writeln!(output, "{scenario}\n\n{}\n", paragraph(image, case, &scenario).join(" "))?;
    let needs: Vec<_> = case.needs.names().collect();
    let needs = if needs.is_empty() { "nothing in particular".to_owned() } else { needs.join(", ") };
    for (name, value) in
        [("rule", &image.rule), ("manual", &image.spec), ("needs", &needs), ("image", &image.name)]
    {
        writeln!(output, "{name:8} {value}")?;
    }
    writeln!(output, "act      {}", image.describe_address(case.act))?;
    output.flush()?;
    Ok(0)
}
