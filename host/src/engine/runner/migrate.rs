//! Migrations.

use super::attempt::Attempt;
use super::trouble::Trouble;
use crate::migration::{Migrated, MigrationRequest, Task};
use crate::report::Report;
use crate::stops::Proof;
use crate::stream::Guest;
use std::time::Instant;
use vm::VcpuError;
use vm::state::{self, VmState};

impl Attempt<'_, '_, '_> {
    /// The guest continues in another process and is judged there; a guest whose case has further steps than
    /// its end is sent back.
    pub(super) fn migrate_to_process(&mut self, last: bool) -> Result<(), Trouble> {
        let Some(to_process) = &self.runner.to_process else {
            let what = "this run has no other process to migrate the guest to";
            return Err(Trouble::migration(what));
        };
        let machine = self.runner.machine;
        let state = state::save(self.session.vcpu.as_mut(), machine, &self.runner.config(self.scenario))?;
        note_losses(self.report, &state);
        let (image, devices) = (self.session.image().file.clone(), self.session.devices_state());
        let guest = Guest { report: self.report.clone(), image, devices, state };
        let request = MigrationRequest {
            task: if last { Task::Finish } else { Task::Return },
            time_left: self.deadline.saturating_duration_since(Instant::now()),
            frames: self.runner.frames,
        };
        let migrated = to_process(&guest, self.session.image(), request).map_err(Trouble::migration)?;
        let (answer, returned) = match migrated {
            Migrated::Judged(answer) => (answer, None),
            Migrated::Returned(guest) => (guest.report, Some(guest.state)),
            Migrated::Saved => return Err(Trouble::Judged),
        };
        if answer.scenario != self.report.scenario {
            return Err(Trouble::migration(format!("the destination answers about {}", answer.scenario)));
        }
        *self.report = answer;
        let Some(state) = returned else { return Err(Trouble::Judged) };
        let mut restored = state::restore_and_check(machine, &state)?;
        self.report.note_restore(&mut restored);
        restored.vcpu.set_deadline(self.deadline);
        self.session.vcpu = restored.vcpu;
        Ok(())
    }

    /// The guest migrates to a fresh VM and vCPU in this process, or along the path of machines.
    /// What is read back is compared where the machine is the same: another has registers of its own.
    pub(super) fn migrate(&mut self) -> Result<(), VcpuError> {
        let config = self.runner.config(self.scenario);
        let mut source = self.runner.machine;
        let path = match self.runner.path.as_slice() {
            [] => std::slice::from_ref(&self.runner.machine),
            path => path,
        };
        for &machine in path {
            let state = state::save(self.session.vcpu.as_mut(), source, &config)?;
            note_losses(self.report, &state);
            let mut vcpu = if self.runner.path.is_empty() {
                let mut restored = state::restore_and_check(machine, &state)?;
                self.report.note_restore(&mut restored);
                restored.vcpu
            } else {
                state::restore(machine, &state)?
            };
            vcpu.set_deadline(self.deadline);
            self.session.vcpu = vcpu;
            source = machine;
        }
        Ok(())
    }
}

/// Notes what `state` cannot carry.
fn note_losses(report: &mut Report, state: &VmState) {
    report.lose(state::losses(state, report.cut == Some(Proof::Page)));
    report.event_data_open |= state::no_field_for_event_data(state);
}
