//! `midflight repro`: a directory with all that is needed to repeat one scenario on another machine.

mod part;
mod script;

use super::args::ReproArgs;
use super::host::host_facts;
use super::machines::is_kvm_here;
use super::{CliError, select};
use crate::images;
use crate::machines::{Described, MachineKind};
use crate::process::THIS_PROGRAM;
use crate::report::html::read::Results;
use crate::report::html::run as page;
use crate::scenario::{Action, Migration, Plan, Scenario};
use part::{Parts, Wrote};
use script::Script;
use std::fs;
use std::io::{self, Write, stdout};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The files of the directory.
pub(super) mod name {
    pub(crate) const SCRIPT: &str = "repro.sh";
    pub(crate) const READ_ME: &str = "README.txt";
    pub(crate) const PROGRAM: &str = "midflight";
    pub(crate) const RESULT: &str = "result.jsonl";
    pub(crate) const PAGE: &str = "report.html";
    pub(crate) const TRACE: &str = "trace.txt";
    pub(crate) const HOST: &str = "host.json";
    pub(crate) const GUEST: &str = "guest";
}

pub(super) fn repro(args: &ReproArgs, files: &[PathBuf], kvm: &Path) -> Result<u8, CliError> {
    let directory = &args.output;
    if directory.symlink_metadata().is_ok() {
        let what = format!("{} is there already: give a directory that is to be made", directory.display());
        return Err(CliError::Usage(what));
    }
    let images = images::load(files)?;
    let (index, scenario) = select::one(&images, &args.scenario, "repro repeats")?;
    let here = || if is_kvm_here(kvm) { MachineKind::Kvm } else { MachineKind::Model };
    let description = args.on.machine(kvm, here)?;
    let facts = host_facts(kvm, &args.known)?;
    let image = &images[index];
    // Made under another name, so that a directory of this name is complete.
    let unfinished = beside(directory);
    let made = Unfinished(unfinished.clone());
    let failed = |error| CliError::File { file: unfinished.display().to_string(), error };
    fs::create_dir(&unfinished).map_err(failed)?;
    let write = |name: &str, bytes: &[u8]| fs::write(unfinished.join(name), bytes).map_err(failed);
    let image_file = format!("{}.elf", image.name);
    write(&image_file, &image.file)?;
    fs::copy(THIS_PROGRAM, unfinished.join(name::PROGRAM)).map_err(failed)?;
    let facts = serde_json::to_string_pretty(&facts).map_err(|error| failed(io::Error::other(error)))?;
    write(name::HOST, facts.as_bytes())?;
    let parts = Parts {
        directory: &unfinished,
        image: &image_file,
        kvm,
        machine: description.quirks().name,
        behaviour: description.behaviour(),
        timeout: args.timeout,
        known: &args.known,
    };
    let result = parts.result(&scenario)?;
    let results = Results::read(result.as_slice()).map_err(failed)?;
    let mut report = Vec::new();
    page::write(&mut report, vec![(name::RESULT.to_owned(), results)])?;
    write(name::PAGE, &report)?;
    let trace = parts.trace(&scenario)?;
    let guest = match saved(&scenario) {
        Some(scenario) => parts.guest(&scenario)?,
        None => Wrote::Not("nothing stops its delivery so that the guest could be saved".to_owned()),
    };
    let script =
        Script { scenario: &scenario, image: &image_file, parts: &parts, guest: &guest, trace: &trace };
    write(name::SCRIPT, script.text().as_bytes())?;
    write(name::READ_ME, script.read_me().as_bytes())?;
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(unfinished.join(name::SCRIPT), executable).map_err(failed)?;
    fs::rename(&unfinished, directory)
        .map_err(|error| CliError::File { file: directory.display().to_string(), error })?;
    drop(made);
    let mut output = stdout().lock();
    writeln!(output, "{}", script.summary(directory))?;
    Ok(0)
}

/// The scenario whose guest is saved at the cut of `scenario`; `None` where it has none at which the guest stands still.
fn saved(scenario: &Scenario) -> Option<Scenario> {
    let Plan::Cut(stop, action) = scenario.plan else { return None };
    let action = Action { migrate: Some(Migration::Process), again: 0, ..action };
    let leaves = stop.is_last() && stop.stands_still() && !stop.facts().depends_on_time;
    leaves.then(|| Scenario { plan: Plan::Cut(stop, action), ..scenario.clone() })
}

/// Where the directory is made.
fn beside(directory: &Path) -> PathBuf {
    let mut name = directory.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    name.into()
}

/// A directory that goes, unless it was renamed.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
