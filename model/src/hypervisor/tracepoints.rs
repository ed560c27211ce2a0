//! What is traced: entries, exits, the queue, and `kvm_vcpu_events`.

use super::Vm;
use super::queue::{Queue, Stage};
use super::trace::Trace;
use crate::event::Event;
use crate::memory::{Memory, PAGE};
use crate::mmu::{Kind, Privilege};
use crate::processor::{Exit, ExitReason, Processor};
use fred::control::{CR4_SMAP, CR4_SMEP};
use fred::event::vector;
use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
use kvm_bindings::{KVM_X86_SHADOW_INT_MOV_SS, KVM_X86_SHADOW_INT_STI, kvm_vcpu_events};
use std::fmt::Write as _;

impl Vm {
    /// Traces what happens to events in this VM.
    pub fn set_trace(&mut self, trace: Trace) {
        self.trace = Some(trace);
    }

    /// The trace, if there is one and it has begun.
    fn begun_trace(&self) -> Option<&Trace> {
        self.trace.as_ref().filter(|trace| trace.has_begun())
    }

    /// How many instructions an entry may execute: one at a time in a trace, none after an
    /// injection, so that the handler is seen where it was entered.
    pub(super) fn slice(&self, slice: u64, injects: bool) -> u64 {
        match self.begun_trace() {
            Some(_) if injects => 0,
            Some(_) if !self.handler_entered => 1,
            _ => slice,
        }
    }

    pub(super) fn trace_entry(&mut self, injected: Option<&Event>) {
        self.memory.record_accesses(self.begun_trace().is_some());
        let Some(trace) = self.begun_trace() else { return };
        match injected {
            Some(event) => trace.line(format!("inject       {}", describe(event))),
            None if self.handler_entered => {}
            None => trace.line(format!(
                "instruction  {}{}",
                instruction(&self.processor, &self.memory),
                blocking(&self.processor)
            )),
        }
    }

    pub(super) fn trace_exit(&mut self, exit: &Exit) {
        let accesses = self.memory.take_accesses();
        let delivered = !accesses.is_empty() && exit.original.is_none();
        if self.begun_trace().is_none() {
            return;
        }
        let value = |gpa: u64| {
            let mut bytes = [0; 8];
            // A gate or an entry beyond memory was refused, and has no value.
            let _ = self.memory.read(gpa & !7, &mut bytes);
            u64::from_le_bytes(bytes)
        };
        let mut lines = Vec::new();
        for (number, access) in accesses.iter().enumerate() {
            let kind = if access.write { "write" } else { "read" };
            lines.push(if access.refused {
                format!("  access {number:<3} {kind:5} {:#x}: EPT violation", access.gpa)
            } else {
                format!("  access {number:<3} {kind:5} {:#x}: {:#018x}", access.gpa, value(access.gpa))
            });
        }
        if delivered {
            lines.push(format!(
                "handler      entered at {:#x}, RSP {:#x}, CSL {}",
                self.processor.rip,
                self.processor.gpr[4],
                self.processor.msrs.fred.config & 3
            ));
        }
        match &exit.reason {
            ExitReason::Budget => {}
            ExitReason::Exception(event) => lines.push(format!("intercept    {}", describe(event))),
            other => lines.push(format!("exit         {}", words(other))),
        }
        if let Some(event) = &exit.original {
            lines.push(format!("interrupted  {}", describe(event)));
        }
        self.handler_entered |= delivered;
        if let Some(trace) = self.begun_trace() {
            lines.into_iter().for_each(|line| trace.line(line));
        }
    }

    pub(super) fn trace_queue(&self, when: &str) {
        if let Some(trace) = self.begun_trace() {
            trace.line(format!("queue        {when}: {}{}", queue(&self.queue), blocking(&self.processor)));
        }
    }

    pub(super) fn trace_events(&self, call: &str, events: &kvm_vcpu_events) {
        let Some(trace) = self.begun_trace() else { return };
        let exception = &events.exception;
        let mut line = format!(
            "{call}  exception nr={} pending={} injected={} error_code={:#x} has_payload={} payload={:#x}",
            exception.nr,
            exception.pending,
            exception.injected,
            exception.error_code,
            events.exception_has_payload,
            events.exception_payload
        );
        if let Some(data) = vm::overlay::event_data(events) {
            let _ = write!(line, " event_data={data:#x}");
        }
        if vm::overlay::nested(events) {
            line.push_str(" nested");
        }
        let _ = write!(
            line,
            ", interrupt shadow {}, NMI pending={} injected={} masked={}",
            shadow(events.interrupt.shadow),
            events.nmi.pending,
            events.nmi.injected,
            events.nmi.masked
        );
        trace.line(line);
    }
}

/// The interrupt shadow in `kvm_vcpu_events`, in words.
fn shadow(bits: u8) -> String {
    let of = [(KVM_X86_SHADOW_INT_MOV_SS, "MOV SS"), (KVM_X86_SHADOW_INT_STI, "STI")];
    let names: Vec<&str> =
        of.into_iter().filter(|(bit, _)| u32::from(bits) & bit != 0).map(|(_, name)| name).collect();
    if names.is_empty() { format!("{bits:#x}") } else { format!("{bits:#x} ({})", names.join(", ")) }
}

/// Why the processor left the guest, in words.
fn words(reason: &ExitReason) -> String {
    match reason {
        ExitReason::Exception(event) => format!("exception: {}", describe(event)),
        ExitReason::Io { port, size, input, string, rep, .. } => {
            let instruction = match (input, string) {
                (true, false) => "IN",
                (true, true) => "INS",
                (false, false) => "OUT",
                (false, true) => "OUTS",
            };
            let rep = if *rep { "REP " } else { "" };
            format!("I/O: {rep}{instruction}, port {port:#x}, {size} bytes")
        }
        ExitReason::EptViolation { gpa, write, unblocked_nmis } => {
            let access = if *write { "write" } else { "read" };
            let nmis = if *unblocked_nmis { "; the IRET had ended NMI blocking" } else { "" };
            format!("EPT violation: {access} of guest-physical address {gpa:#x}{nmis}")
        }
        ExitReason::Halt => "HLT".to_owned(),
        ExitReason::TripleFault => "triple fault".to_owned(),
        ExitReason::InterruptWindow => "interrupt window".to_owned(),
        ExitReason::NmiWindow => "NMI window".to_owned(),
        ExitReason::UnknownInstruction { text, rip } => {
            format!("an instruction that the model does not know: {text} at {rip:#x}")
        }
        ExitReason::Budget => "the instructions of this entry are used up".to_owned(),
    }
}

/// What keeps interrupts or NMIs out, with a separator before it, or nothing.
fn blocking(cpu: &Processor) -> String {
    let all = [
        (cpu.sti_blocking, "; in the interrupt shadow of STI"),
        (cpu.mov_ss_blocking, "; in the interrupt shadow of MOV SS"),
        (cpu.nmi_blocking, "; NMIs blocked"),
    ];
    all.into_iter().filter(|(blocked, _)| *blocked).map(|(_, words)| words).collect()
}

/// An event with everything that travels with it.
fn describe(event: &Event) -> String {
    let name = vector::name(event.vector).unwrap_or("vector");
    let mut text = format!("{name} ({}) {}", event.vector, event.event_type);
    if let Some(code) = event.error_code {
        let _ = write!(text, ", error code {code:#x}");
    }
    let _ = write!(text, ", event data {:#x}", event.data);
    if event.length != 0 {
        let _ = write!(text, ", length {}", event.length);
    }
    if event.nested {
        text.push_str(", nested");
    }
    text
}

fn queue(queue: &Queue) -> String {
    let mut parts = Vec::new();
    if let Some(e) = &queue.exception {
        let name = vector::name(e.vector).unwrap_or("vector");
        let stage = match e.stage {
            Stage::Pending => "pending",
            Stage::Injected => "injected",
        };
        let mut text = format!("{name} {stage}");
        if let Some(payload) = e.payload {
            let _ = write!(text, ", payload {payload:#x}");
        }
        if let Some(data) = e.data {
            let _ = write!(text, ", event data {data:#x}");
        }
        parts.push(text);
    }
    if let Some(event) = &queue.soft_interrupt {
        parts.push(format!("{} (not shown to user space)", describe(event)));
    }
    if let Some(number) = queue.interrupt {
        parts.push(format!("interrupt {number:#x}"));
    }
    if queue.nmi_injected || queue.nmi_pending > 0 {
        let injected = if queue.nmi_injected { "injected" } else { "not injected" };
        parts.push(format!("NMI {injected}, {} pending", queue.nmi_pending));
    }
    if parts.is_empty() { "empty".to_owned() } else { parts.join("; ") }
}

/// The instruction at RIP, by a walk of the page tables that leaves no trace in them.
fn instruction(processor: &Processor, memory: &Memory) -> String {
    let rip = processor.rip;
    let mut bytes = [0; 15];
    let known = physical(processor, memory, rip).map(|gpa| {
        let length = bytes.len().min(PAGE - gpa as usize % PAGE);
        memory.read(gpa, &mut bytes[..length])
    });
    if !matches!(known, Some(Ok(()))) {
        return format!("{rip:#x}  not mapped");
    }
    let bitness = if processor.segments.cs.l { 64 } else { 32 };
    let mut text = String::new();
    let decoded = Decoder::with_ip(bitness, &bytes, rip, DecoderOptions::NONE).decode();
    IntelFormatter::new().format(&decoded, &mut text);
    format!("{rip:#x}  {text}")
}

/// Where a linear address lies, whoever may access it. The walk is that of a copy, which sets no bit.
fn physical(processor: &Processor, memory: &Memory, linear: u64) -> Option<u64> {
    let (mut core, mut memory) = (processor.core.clone(), memory.clone());
    memory.set_unchecked(true);
    core.cr4 &= !(CR4_SMEP | CR4_SMAP);
    core.translate(&mut memory, linear, Kind::Read, Privilege::Supervisor).ok()
}
