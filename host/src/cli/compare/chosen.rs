//! Which machines, images and cases a command line compares.

use crate::cli::CliError;
use crate::cli::args::{CompareArgs, MachineName};
use crate::cli::run::behaviour_named;
use crate::compare::pair::{Pair, Subject};
use crate::engine::plan::with_delivery;
use crate::image::Image;
use crate::images;
use crate::scenario::Scenario;
use model::hypervisor::behaviour::CORRECT;
use std::path::PathBuf;

/// The two machines that were named.
pub(super) fn pair(args: &CompareArgs) -> Result<Pair, CliError> {
    let named = behaviour_named(args.behaviour.as_deref())?;
    let [first, second] = args.machines.as_slice() else {
        let what =
            format!("--machines names {} machines; it needs two, as in kvm,model", args.machines.len());
        return Err(CliError::Usage(what));
    };
    let both_models = (first, second) == (&MachineName::Model, &MachineName::Model);
    let subject = |name: &MachineName, behaviour: &str| match name {
        MachineName::Kvm => Ok(Subject::Kvm),
        MachineName::Model => Ok(Subject::Model(behaviour.to_owned())),
        MachineName::Qemu => Err(CliError::Usage(
            "--machines: qemu cannot be stopped at its doorbell; there are kvm and model".to_owned(),
        )),
    };
    let of_first = if both_models { CORRECT.name } else { named.name };
    let pair = Pair([subject(first, of_first)?, subject(second, named.name)?]);
    if args.behaviour.is_some() && pair == Pair([Subject::Kvm, Subject::Kvm]) {
        return Err(CliError::Usage("--behaviour is for the model; kvm behaves as it does".to_owned()));
    }
    Ok(pair)
}

/// The images to run, and the files that they come from.
pub(super) fn images(name: Option<&str>, files: &[PathBuf]) -> Result<(Vec<Image>, Vec<PathBuf>), CliError> {
    let Some(name) = name else { return Ok((images::load(files)?, files.to_vec())) };
    let loaded = images::load(files);
    if let Ok(all) = &loaded
        && let Some(image) = all.iter().find(|image| image.name == name)
    {
        return Ok((vec![image.clone()], files.to_vec()));
    }
    let file = PathBuf::from(name);
    if file.is_file() {
        let files = vec![file];
        return Ok((images::load(&files)?, files));
    }
    let names: Vec<String> = loaded?.into_iter().map(|image| image.name).collect();
    let what = format!("`{name}` is neither an image nor a file; there are {}", names.join(", "));
    Err(CliError::Usage(what))
}

/// The scenarios that `--case` and `--delivery` leave.
pub(super) fn scenarios(
    args: &CompareArgs,
    images: &[Image],
    of_image: fn(&Image) -> Vec<Scenario>,
) -> Result<Vec<(usize, Scenario)>, CliError> {
    let of_image = |(index, image)| of_image(image).into_iter().map(move |scenario| (index, scenario));
    let mut scenarios: Vec<(usize, Scenario)> = images.iter().enumerate().flat_map(of_image).collect();
    if let Some(case) = &args.case {
        scenarios.retain(|(_, scenario)| scenario.case == *case);
        if scenarios.is_empty() {
            let what =
                format!("there is no case `{case}` to compare; `midflight list --cases` prints every case");
            return Err(CliError::Usage(what));
        }
    }
    with_delivery(&mut scenarios, args.delivery);
    if scenarios.is_empty() {
        Err(CliError::NothingSelected("two machines".to_owned()))
    } else {
        Ok(scenarios)
    }
}
