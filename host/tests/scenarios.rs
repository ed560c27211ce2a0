//! The scenario suite as tests: one for each case and delivery on the model, where everything must
//! pass. Without embedded images (a bare `cargo test`) there is nothing to run.

use libtest_mimic::{Arguments, Failed, Trial};
use midflight::engine::runner::Runner;
use midflight::image::Image;
use midflight::images;
use midflight::migration::channel::migrate_in_memory;
use midflight::report::outcome::Outcome;
use midflight::scenario::{self, DeliveryMode, Plan, Scenario};
use model::ModelMachine;
use model::hypervisor::behaviour::CORRECT;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = match images::load(&[]) {
        Ok(images) => images.into_iter().map(Arc::new).flat_map(trials).collect(),
        Err(images::ImagesError::None) => Vec::new(),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trials(image: Arc<Image>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let scenarios = scenario::all(&image);
    for case in &image.cases {
        for delivery in [DeliveryMode::Fred, DeliveryMode::Idt] {
            let mine: Vec<Scenario> =
                scenarios.iter().filter(|s| s.case == case.name && s.delivery == delivery).cloned().collect();
            if !mine.is_empty() {
                let image = Arc::clone(&image);
                let name = format!("{}/{}:{delivery}", image.name, case.name);
                trials.push(Trial::test(name, move || run(&image, &mine)).with_kind("model"));
            }
        }
    }
    trials
}

fn run(image: &Image, scenarios: &[Scenario]) -> Result<(), Failed> {
    let machine = ModelMachine::new(&CORRECT);
    let mut runner = Runner::new(&machine, None, Duration::from_secs(10));
    // The tests of `migrate-process` have processes; here its conversation is enough.
    runner.to_process =
        Some(Box::new(|guest, image, request| migrate_in_memory(&machine, None, guest, image, request)));
    for scenario in scenarios {
        let report = runner.run(image, scenario);
        if report.outcome != Outcome::Pass {
            return Err(format!("{report:#?}").into());
        }
        let cut_planned = matches!(scenario.plan, Plan::Cut(..));
        if cut_planned != report.cut.is_some() {
            return Err(format!("{}: a cut was proved exactly when none was planned", report.scenario).into());
        }
    }
    Ok(())
}
