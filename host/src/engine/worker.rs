//! Worker processes: `midflight worker` ([`super::serve`]) on one side, [`Worker`] on the other.
//!
//! KVM runs in them because an ill KVM can spin in the kernel where no signal reaches it, and
//! because signal masks and timers belong to threads. One JSON object per line travels each way;
//! the parent bounds every wait and kills a worker that exceeds it. A worker dies with its parent:
//! its input ends, which ends it, and the kernel sends it SIGKILL (PR_SET_PDEATHSIG).

use crate::compare::observe::Observations;
use crate::ending::{self, LOOK};
use crate::engine::questions::{LONGEST, Question, StopSupport, Support};
use crate::engine::{Job, RunOptions};
use crate::process::{THIS_PROGRAM, put_line, start_piped};
use crate::report::Report;
use crate::scenario::Scenario;
use kvm::process::{end, let_end, status};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// The setup of a worker: the first message that it receives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// What runs its guests.
    pub job: Job,
    /// How.
    pub options: RunOptions,
}

/// A request to a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Request {
    /// Whether a stop works, with KVM_CAP_EXCEPTION_PAYLOAD on or off.
    Probe(Question, bool),
    /// Run a scenario.
    Run(Scenario),
    /// Look at a guest at each doorbell, on the machine that it starts on.
    Observe(Scenario),
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    /// To [`Request::Probe`].
    Support(Support),
    /// To [`Request::Run`].
    Report(Box<Report>),
    /// To [`Request::Observe`].
    Observations(Box<Observations>),
    /// The request could not be carried out.
    Failed(String),
    /// Not an answer yet: where the guest was seen last.
    Seen(String),
    /// Not an answer: the process can be asked. The first thing that it says.
    Ready,
}

/// A worker process, started when first needed and again after it had to be killed.
pub(crate) struct Worker {
    setup: Setup,
    process: Option<Process>,
    /// Told where the guest is seen.
    seen: Box<dyn Fn(&str) + Send>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// Closing it ends the process.
    input: Option<ChildStdin>,
    answers: Receiver<Answer>,
    /// Whether it has said [`Answer::Ready`].
    ready: bool,
}

impl Process {
    /// It does not answer: it is killed without another wait.
    fn hung(mut self) {
        let _ = self.child.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.input.take().is_some() {
            let_end(&self.child);
        }
        end(&mut self.child);
    }
}

/// A worker gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    /// It could not be started or spoken to.
    #[error("a worker process cannot be run: {0}")]
    Io(#[from] std::io::Error),
    /// It did not answer in time and was killed.
    #[error(
        "timeout: the worker process did not answer within {limit:.1} s and was killed; the guest was last seen {seen}"
    )]
    Hung {
        /// The bound, in seconds.
        limit: f64,
        /// Where the guest was seen last.
        seen: String,
    },
    /// It ended by itself.
    #[error("the worker process ended by itself ({status}); the guest was last seen {seen}")]
    Died {
        /// How.
        status: String,
        /// Where the guest was seen last.
        seen: String,
        /// Whether it had come so far that it could be asked.
        ready: bool,
    },
    /// It says why not.
    #[error("{0}")]
    Failed(String),
    /// This process received a signal to end.
    #[error("this run was ended by a signal")]
    EndRequested,
    /// Its answer is to another question.
    #[error("the worker process answered another request than the one it was sent")]
    Confused,
}

/// How much longer than the worker's own deadline the parent waits for an answer. Only a worker that hangs
/// takes it: one that comes to its deadline answers at once.
const GRACE: Duration = Duration::from_secs(2);

impl Worker {
    /// A worker that has not been started yet.
    pub(crate) fn new(setup: Setup) -> Self {
        Self { setup, process: None, seen: Box::new(|_| {}) }
    }

    /// The same, which tells where its guests are seen.
    pub(crate) fn told(self, seen: Box<dyn Fn(&str) + Send>) -> Self {
        Self { seen, ..self }
    }

    /// Asks each of `questions`, with KVM_CAP_EXCEPTION_PAYLOAD on or off. A stop at which the process
    /// had to be killed, or died, is one that does not work. Fails when a process cannot be started or spoken
    /// to, or ends before it can be asked.
    pub(crate) fn probe(
        &mut self,
        payload: bool,
        questions: &[Question],
    ) -> Result<StopSupport, WorkerError> {
        let mut answers = Vec::new();
        for question in questions {
            let support = match self.ask(&Request::Probe(*question, payload)) {
                Ok(Answer::Support(support)) => support,
                Err(WorkerError::Hung { limit, .. }) => Support::Wrong(format!(
                    "KVM_RUN did not return within {limit:.0} s in spite of signals; its process was killed"
                )),
                Err(WorkerError::Died { status, ready: true, .. }) => {
                    Support::Wrong(format!("its process ended by itself ({status})"))
                }
                other => return Err(self.failed(other)),
            };
            answers.push((*question, support));
        }
        Ok(StopSupport(answers))
    }

    /// Runs a scenario; a worker that fails is the scenario's error.
    pub(crate) fn run(&mut self, scenario: &Scenario) -> Report {
        let error = match self.ask(&Request::Run(scenario.clone())) {
            Ok(Answer::Report(report)) if report.scenario == *scenario => return *report,
            other => self.failed(other),
        };
        self.setup.job.not_run(scenario, error.to_string())
    }

    /// Looks at a guest at each doorbell, on the machine that it starts on. Fails when there is no answer.
    pub(crate) fn observe(&mut self, scenario: &Scenario) -> Result<Observations, WorkerError> {
        match self.ask(&Request::Observe(scenario.clone())) {
            Ok(Answer::Observations(observation)) if observation.report.scenario == *scenario => {
                Ok(*observation)
            }
            other => Err(self.failed(other)),
        }
    }

    /// Why there is no answer. Whatever the process says next belongs to no question: the next one
    /// goes to a fresh one.
    fn failed(&mut self, answer: Result<Answer, WorkerError>) -> WorkerError {
        self.process = None;
        match answer {
            Ok(Answer::Failed(why)) => WorkerError::Failed(why),
            Ok(_) => WorkerError::Confused,
            Err(error) => error,
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Answer, WorkerError> {
        let limit = GRACE
            + match request {
                Request::Probe(..) => LONGEST,
                Request::Run(_) | Request::Observe(_) => self.setup.options.timeout,
            };
        let mut process = match self.process.take() {
            Some(process) => process,
            None => start(&self.setup)?,
        };
        let mut seen = "before its first instruction".to_owned();
        if process.input.as_mut().is_none_or(|input| put_line(input, request).is_err()) {
            return Err(died(process, seen));
        }
        let deadline = std::time::Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if ending::signal().is_some() {
                process.hung();
                return Err(WorkerError::EndRequested);
            }
            match process.answers.recv_timeout(left.min(LOOK)) {
                Ok(Answer::Ready) => process.ready = true,
                Ok(Answer::Seen(place)) => {
                    (self.seen)(&place);
                    seen = place;
                }
                Ok(answer) => {
                    self.process = Some(process);
                    return Ok(answer);
                }
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
                Err(RecvTimeoutError::Timeout) => {
                    process.hung();
                    return Err(WorkerError::Hung { limit: limit.as_secs_f64(), seen });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(died(process, seen)),
            }
        }
    }
}

fn died(mut process: Process, seen: String) -> WorkerError {
    let status = status(&mut process.child);
    WorkerError::Died { status, seen, ready: process.ready }
}

fn start(setup: &Setup) -> std::io::Result<Process> {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg("worker");
    let (child, mut input, output) = start_piped(command)?;
    // One that does not read it has ended, as will be noticed when it is asked.
    let _ = put_line(&mut input, setup);
    let (sender, answers) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { break };
            let answer = serde_json::from_str(&line)
                .unwrap_or_else(|error| Answer::Failed(format!("the answer is malformed: {error}")));
            if sender.send(answer).is_err() {
                break;
            }
        }
    });
    Ok(Process { child, input: Some(input), answers, ready: false })
}
