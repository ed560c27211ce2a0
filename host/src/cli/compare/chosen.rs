//! Which machines, images and cases a command line compares.

use crate::cli::CliError;
use crate::cli::args::CompareArgs;
use crate::compare::pair::Pair;
use crate::engine::plan::with_delivery;
use crate::image::Image;
use crate::images;
use crate::machines::{MachineKind, MachineOptions};
use crate::scenario::{self, Scenario};
use std::path::{Path, PathBuf};

/// The two machines that were named.
pub(super) fn pair(args: &CompareArgs, kvm: &Path) -> Result<Pair, CliError> {
    let [first, second] = args.machines.as_slice() else {
        let what =
            format!("--machines names {} machines; it needs two, as in kvm,model", args.machines.len());
        return Err(CliError::Usage(what));
    };
    let behaviour = args.behaviour.as_deref();
    let asked = MachineOptions { kvm, behaviour, bochs: args.bochs.options(), qemu: args.qemu.options() };
    asked.check(&args.machines).map_err(CliError::Usage)?;
    let implied = MachineKind::implied(&asked);
    let describe = |kind: MachineKind, behaviour| {
        if args.migrate && !kind.quirks().stops {
            let names: Vec<_> = MachineKind::names(|quirks| quirks.stops).collect();
            let (name, names) = (kind.quirks().name, names.join(" and "));
            let what = format!(
                "--machines: guests do not migrate to or from {name}, which cannot be stopped; there are {names}"
            );
            return Err(CliError::Usage(what));
        }
        kind.described(&MachineOptions { behaviour, ..asked }).map_err(CliError::Usage)
    };
    // The behaviour is for the one machine that has some, and for the second one where both have.
    let of = |kind: MachineKind, is_second: bool| {
        let takes = implied == Some(kind) && (is_second || Some(*second) != implied);
        describe(kind, behaviour.filter(|_| takes))
    };
    if implied.is_some_and(|kind| kind != *first && kind != *second) {
        describe(*first, behaviour)?;
    }
    Ok(Pair([of(*first, false)?, of(*second, true)?]))
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
    let mut scenarios = scenario::indexed(images, of_image);
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
