//! Groups of options that several commands have.

use super::number_of_seconds;
use crate::cli::error::CliError;
use crate::cli::sink::ReportFile;
use crate::image::Image;
use crate::machines::{BochsOptions, Description, MachineKind, MachineOptions};
use crate::report::{Format, Verbosity};
use crate::scenario::filter::Filter;
use crate::scenario::{self, Partition, Scenario};
use crate::stops::storm::StormBounds;
use clap::Args;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which machine a guest is on.
#[derive(Args)]
pub(crate) struct OnArgs {
    /// The machine, kvm or model; without it, the guest's own, or kvm where there is one
    #[arg(long)]
    pub(crate) machine: Option<MachineKind>,
    /// Behaviour of the model; implies `--machine model`
    #[arg(long, value_name = "NAME")]
    pub(crate) behaviour: Option<String>,
}

impl OnArgs {
    /// The machine that was named; `otherwise` where none was.
    pub(crate) fn machine(
        &self,
        kvm: &Path,
        otherwise: impl FnOnce() -> MachineKind,
    ) -> Result<Description, CliError> {
        let bochs = BochsOptions::default();
        let asked = MachineOptions { kvm, behaviour: self.behaviour.as_deref(), bochs };
        let kind = self.machine.or(MachineKind::implied(&asked)).unwrap_or_else(otherwise);
        if !kind.quirks().stops {
            let names: Vec<_> = MachineKind::names(|quirks| quirks.stops).collect();
            return Err(CliError::Usage(format!(
                "guests are saved and resumed on {}; {} takes none",
                names.join(" and "),
                kind.quirks().name
            )));
        }
        kind.described(&asked).map_err(CliError::Usage)
    }
}

/// Which Bochs.
#[derive(Args)]
pub(crate) struct BochsArgs {
    /// The Bochs to use, which must be there then; default: the one in PATH, if there is one
    #[arg(long, value_name = "FILE")]
    pub(crate) bochs: Option<PathBuf>,
    /// Its CPU model; default: the newest one with FRED, else the newest one
    #[arg(long, value_name = "NAME")]
    pub(crate) bochs_cpu: Option<String>,
}

impl BochsArgs {
    /// As machines take them.
    pub(crate) fn options(&self) -> BochsOptions<'_> {
        BochsOptions { program: self.bochs.as_deref(), cpu: self.bochs_cpu.as_deref() }
    }
}

/// Which of the scenarios that the filters mean.
#[derive(Args)]
pub(crate) struct PartArgs {
    /// None of these: an image, whole components of ids, or a pattern with `*`, as a FILTER (repeatable)
    #[arg(long, value_name = "FILTER")]
    pub(crate) exclude: Vec<String>,
    /// Only a selection in which each event meets each stop but storms, and each case meets block@frame:migrate
    #[arg(long)]
    pub(crate) cover: bool,
    /// Only part K of N: a scenario's id decides which part it is in
    #[arg(long, value_name = "K/N")]
    pub(crate) partition: Option<Partition>,
}

impl PartArgs {
    /// Keeps these. Fails when what is to be excluded names nothing, or, without `allow_empty`, when there is none of
    /// it.
    pub(crate) fn keep(
        &self,
        images: &[Image],
        scenarios: &mut Vec<(usize, Scenario)>,
        allow_empty: bool,
    ) -> Result<(), CliError> {
        for text in &self.exclude {
            let (excluded, before) = (Filter::new(text, images)?, scenarios.len());
            scenarios.retain(|(_, scenario)| !excluded.matches(&scenario.to_string()));
            if scenarios.len() == before && !allow_empty {
                return Err(CliError::NothingExcluded(text.clone()));
            }
        }
        if self.cover {
            let mut chosen = scenario::cover(images, scenarios).into_iter();
            scenarios.retain(|_| chosen.next() == Some(true));
        }
        if let Some(partition) = self.partition {
            scenarios.retain(|(_, scenario)| partition.has(scenario));
        }
        Ok(())
    }
}

/// How a report for people looks, and where else a report goes.
#[derive(Args)]
pub(crate) struct ReportingArgs {
    /// How to report
    // The last one counts: `on-kernel` adds its own.
    #[arg(long, value_enum, default_value = "human", overrides_with = "format")]
    pub(crate) format: Format,
    /// Write a report to FILE as well, as results come: human, ktap, tap, json or junit (repeatable)
    #[arg(long = "report", value_name = "FORMAT=FILE")]
    pub(crate) files: Vec<ReportFile>,
    /// For people: each result as it comes, and every id and image in the summary
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// For people: the summary only
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

impl ReportingArgs {
    /// How much a report for people says.
    pub(crate) fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        }
    }
}

/// When a run ends before everything has run.
#[derive(Clone, Copy, Args)]
pub(crate) struct EndArgs {
    /// End the run after N failures; what runs at that moment is not reported
    #[arg(long, value_name = "N")]
    pub(crate) max_fail: Option<NonZeroUsize>,
    /// End the run after the first failure
    #[arg(long, conflicts_with = "max_fail")]
    pub(crate) fail_fast: bool,
}

impl EndArgs {
    /// After how many failures the run ends.
    pub(crate) fn max_fail(self) -> Option<usize> {
        if self.fail_fast { Some(1) } else { self.max_fail.map(NonZeroUsize::get) }
    }
}

/// How long storms last.
#[derive(Clone, Copy, Args)]
pub(crate) struct StormArgs {
    /// A storm ends after this many proved cuts
    #[arg(long, value_name = "K", default_value_t = StormBounds::DEFAULT.cuts, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) storm_cuts: u32,
    /// Maximum duration of a storm, in seconds; must be less than `--timeout`
    #[arg(long, value_name = "T", default_value_t = StormBounds::DEFAULT.time.as_secs_f64(), value_parser = number_of_seconds)]
    pub(crate) storm_seconds: f64,
}

impl StormArgs {
    /// The bounds.
    pub(crate) fn bounds(self) -> StormBounds {
        StormBounds { cuts: self.storm_cuts, time: Duration::from_secs_f64(self.storm_seconds) }
    }
}

/// Known issues and host facts.
#[derive(Args)]
pub(crate) struct KnownArgs {
    /// A list of known issues to use instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub(crate) known_issues: Option<PathBuf>,
    /// A fact about this host that no kernel reports: fred_series=NAME, the FRED series its KVM was built with
    #[arg(long = "host-fact", value_name = "NAME=VALUE")]
    pub(crate) host_facts: Vec<String>,
}

/// Known issues, host facts and the kernel's log.
#[derive(Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) known: KnownArgs,
    /// The kernel's log, watched for warnings during the run; without it, /dev/kmsg where it can be read
    #[arg(long, value_name = "FILE")]
    pub(crate) kernel_log: Option<PathBuf>,
}
