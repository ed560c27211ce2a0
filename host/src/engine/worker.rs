//! Worker processes: `midflight worker` ([`super::serve`]) on one side, [`Worker`] on the other.
//!
//! KVM runs in them because an ill KVM can spin in the kernel where no signal reaches it, and
//! because signal masks and timers belong to threads. One JSON object per line travels each way;
//! the parent bounds every wait and kills a worker that exceeds it. A worker dies with its parent:
//! its input ends, which ends it, and the kernel sends it SIGKILL (PR_SET_PDEATHSIG).

use crate::compare::observe::Observation;
use crate::compare::pair::Pair;
use crate::ending::{self, LOOK};
use crate::engine::questions::{LONGEST, Question, StopSupport, Support};
use crate::process::THIS_PROGRAM;
use crate::report::outcome::{Outcome, Report};
use crate::scenario::Scenario;
use crate::stops::storm::StormBounds;
use kvm::process::{die_with_parent, end, let_end, status};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// What a worker is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Whether a stop works, with KVM_CAP_EXCEPTION_PAYLOAD on or off.
    Probe(Question, bool),
    /// Run a scenario, given by its id.
    Run(String),
    /// Look at a guest at each doorbell.
    Observe {
        /// The scenario's id.
        id: String,
        /// Two machines, narrowed to what both have.
        pair: Pair,
        /// Which of them runs the guest.
        side: usize,
    },
    /// Let a guest migrate between two machines.
    Cross {
        /// The scenario's id.
        id: String,
        /// The machines.
        pair: Pair,
        /// Those that the guest visits.
        route: Vec<usize>,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// To [`Request::Probe`].
    Support(Support),
    /// To [`Request::Run`] and [`Request::Cross`].
    Report(Box<Report>),
    /// To [`Request::Observe`].
    Observation(Box<Observation>),
    /// The request could not be carried out.
    Failed(String),
    /// Not an answer yet: where the guest was seen last.
    Seen(String),
    /// Not an answer: the process can be asked. The first thing that it says.
    Ready,
}

/// How workers are started.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The KVM device.
    pub kvm: PathBuf,
    /// Image files, or none for the embedded images.
    pub images: Vec<PathBuf>,
    /// How long a scenario may take.
    pub timeout: Duration,
    /// Whether reports carry frames.
    pub frames: bool,
    /// How long storms last.
    pub storm: StormBounds,
}

/// A worker process, started when first needed and again after it had to be killed.
#[derive(Debug)]
pub struct Worker {
    options: WorkerOptions,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// Its end tells the process to end.
    input: Option<ChildStdin>,
    answers: Receiver<Answer>,
    /// Whether it has said [`Answer::Ready`].
    ready: bool,
}

impl Process {
    /// It does not answer: whatever it is told, it will not hear, and is killed without another wait.
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
pub enum WorkerError {
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
    /// This process was told to end.
    #[error("this run was told to end")]
    ToldToEnd,
    /// Its answer is to another question.
    #[error("the worker process answered something else than it was asked")]
    Confused,
}

/// How much longer than the worker's own deadline the parent waits for an answer. Only a worker that hangs
/// takes it: one that comes to its deadline answers at once.
const GRACE: Duration = Duration::from_secs(2);

impl Worker {
    /// A worker that has not been started yet.
    pub fn new(options: WorkerOptions) -> Self {
        Self { options, process: None }
    }

    /// Asks each of `questions`, with KVM_CAP_EXCEPTION_PAYLOAD on or off. A stop at which the process
    /// had to be killed, or died, is one that does not work.
    ///
    /// # Errors
    /// When a process cannot be started or spoken to, or ends before it can be asked.
    pub fn probe(&mut self, payload: bool, questions: &[Question]) -> Result<StopSupport, WorkerError> {
        let mut answers = Vec::new();
        for question in questions {
            let support = match self.ask(&Request::Probe(*question, payload)) {
                Ok(Answer::Support(support)) => support,
                Err(WorkerError::Hung { limit, .. }) => Support::Wrong(format!(
                    "KVM_RUN did not come back within {limit:.0} s, whatever was signalled; its process was killed"
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
    pub fn run(&mut self, scenario: &Scenario) -> Report {
        self.report(scenario, "kvm", &Request::Run(scenario.to_string()))
    }

    /// Lets a guest migrate between the machines of `pair`; a worker that fails is the scenario's error.
    pub fn cross(&mut self, scenario: &Scenario, pair: &Pair, route: &[usize]) -> Report {
        let request = Request::Cross { id: scenario.to_string(), pair: pair.clone(), route: route.to_vec() };
        self.report(scenario, &pair.describe(route), &request)
    }

    fn report(&mut self, scenario: &Scenario, machine: &str, request: &Request) -> Report {
        let error = match self.ask(request) {
            Ok(Answer::Report(report)) if report.scenario == *scenario => return *report,
            other => self.failed(other),
        };
        Report::new(scenario, machine, None).concluded(Outcome::Error, error.to_string())
    }

    /// Looks at a guest at each doorbell, on one machine of `pair`.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn observe(
        &mut self,
        scenario: &Scenario,
        pair: &Pair,
        side: usize,
    ) -> Result<Observation, WorkerError> {
        let request = Request::Observe { id: scenario.to_string(), pair: pair.clone(), side };
        match self.ask(&request) {
            Ok(Answer::Observation(observation)) if observation.report.scenario == *scenario => {
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
                Request::Run(_) | Request::Observe { .. } | Request::Cross { .. } => self.options.timeout,
            };
        let mut process = match self.process.take() {
            Some(process) => process,
            None => start(&self.options)?,
        };
        let mut line = serde_json::to_vec(request).map_err(std::io::Error::from)?;
        line.push(b'\n');
        let mut seen = "before its first instruction".to_owned();
        if process.input.as_mut().is_none_or(|input| input.write_all(&line).is_err()) {
            return Err(died(process, seen));
        }
        let deadline = std::time::Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if ending::told().is_some() {
                process.hung();
                return Err(WorkerError::ToldToEnd);
            }
            match process.answers.recv_timeout(left.min(LOOK)) {
                Ok(Answer::Ready) => process.ready = true,
                Ok(Answer::Seen(place)) => seen = place,
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

fn start(options: &WorkerOptions) -> std::io::Result<Process> {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg("worker").arg("--timeout").arg(options.timeout.as_secs_f64().to_string());
    command.arg("--kvm").arg(&options.kvm);
    command.arg("--storm-cuts").arg(options.storm.cuts.to_string());
    command.arg("--storm-seconds").arg(options.storm.time.as_secs_f64().to_string());
    for image in &options.images {
        command.arg("--image").arg(image);
    }
    if options.frames {
        command.arg("--frames");
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    die_with_parent(&mut command);
    let mut child = command.spawn()?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(std::io::Error::other("its pipes are missing"));
    };
    let (sender, answers) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { break };
            let answer = serde_json::from_str(&line)
                .unwrap_or_else(|error| Answer::Failed(format!("the answer is not one: {error}")));
            if sender.send(answer).is_err() {
                break;
            }
        }
    });
    Ok(Process { child, input: Some(input), answers, ready: false })
}
