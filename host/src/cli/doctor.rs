//! `midflight doctor`: what this host can and cannot test, and what to do about it.

use super::{CliError, Given, mounted};
use crate::engine::asker::Asker;
use crate::engine::questions::{Question, StopSupport};
use crate::images;
use crate::machines::{BochsOptions, Described, Description, MachineKind, MachineOptions, QemuOptions};
use kvm::{self, Facts, KvmFacts};
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

pub(super) fn doctor(files: &[PathBuf], device: &Path, given: &Given) -> Result<u8, CliError> {
    let facts = kvm::facts(device);
    let mut output = stdout().lock();
    writeln!(output, "midflight  {}", crate::version::VERSION)?;
    match images::load(files) {
        Ok(images) => {
            let names: Vec<_> = images.iter().map(|image| image.name.as_str()).collect();
            writeln!(output, "images     {}", names.join(" "))?;
        }
        Err(error) => writeln!(output, "images     none: {error}")?,
    }
    if let Err(error) = mounted::check(true) {
        writeln!(output, "mounts     {error}")?;
    }
    writeln!(output, "cpu        {} ({})", facts.cpu, facts.vendor)?;
    writeln!(output, "kernel     {}", facts.kernel)?;
    let modules = if facts.modules.is_empty() { "none loaded".to_owned() } else { facts.modules.join(" ") };
    writeln!(output, "kvm        {modules}")?;
    for kind in MachineKind::ALL {
        let (bochs, qemu) = (BochsOptions::default(), QemuOptions::default());
        let options = MachineOptions { kvm: device, behaviour: None, bochs, qemu };
        let machine = kind.described(&options).map_err(CliError::Usage)?;
        match machine.doctor() {
            Some(says) => writeln!(output, "{:10} {says}", machine.to_string())?,
            None => {
                kvm_section(&mut output, &facts, &machine)?;
                writeln!(output, "fred       {}", fred(&facts, given))?;
            }
        }
    }
    Ok(0)
}

fn kvm_section(output: &mut impl Write, facts: &Facts, machine: &Description) -> Result<(), CliError> {
    let kvm = match &facts.kvm {
        Ok(kvm) => kvm,
        Err(error) => {
            writeln!(output, "/dev/kvm   {error}")?;
            return Ok(());
        }
    };
    for payload in [true, false] {
        let title = if payload { "stops" } else { "  nopayload" };
        // A worker of its own for each: one that hangs is killed.
        match Asker::of(machine).ask(payload, &Question::all(payload)) {
            Ok(support) => stops(output, title, &support)?,
            Err(error) => writeln!(output, "{title:10} {error}")?,
        }
    }
    for capability in &kvm.capabilities {
        writeln!(output, "           {} = {}", capability.name, capability.value)?;
    }
    writeln!(output, "           guests get XFD: {}, AMX: {}", yes(kvm.xfd), yes(kvm.amx))?;
    if kvm.fred {
        writeln!(output, "           the nested bit in kvm_vcpu_events: {}", kvm.nested_flag)?;
    }
    Ok(())
}

fn stops(output: &mut impl Write, title: &str, support: &StopSupport) -> std::io::Result<()> {
    writeln!(output, "{title}")?;
    for (question, support) in &support.0 {
        writeln!(output, "           {:16} {support}", question.to_string())?;
    }
    Ok(())
}

fn yes(it_is: bool) -> &'static str {
    if it_is { "yes" } else { "no" }
}

/// Why guests of KVM on this host do not get FRED.
fn fred(facts: &Facts, given: &Given) -> String {
    let in_guests = matches!(&facts.kvm, Ok(KvmFacts { fred: true, .. }));
    let why_not = match (facts.fred_in_cpu, facts.fred_in_kernel, in_guests) {
        (_, _, true) => {
            let command = given.command("run", &["--require", "kvm,fred"], &[]);
            return format!("KVM offers it to guests: `{command}`");
        }
        (false, ..) => "this CPU has none; FRED scenarios run on the model, and on a Bochs that has FRED",
        (true, false, _) => {
            "the CPU has it, the kernel does not use it: boot a kernel with CONFIG_X86_FRED=y and fred=on"
        }
        (true, true, false) => {
            "CPU and kernel use it, KVM does not offer it to guests: this needs a KVM with the FRED series"
        }
    };
    why_not.to_owned()
}
