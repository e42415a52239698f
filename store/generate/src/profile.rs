use std::str::FromStr;

use spanlite_model::Trace;

use crate::random::Random;
use crate::{agents, hostile, plain, services};

/// What sort of program the traces come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// Chats, tool agents, coding agents and services in the shares of a busy installation:
    /// 57, 26, 12 and 5 %. About 370 KB a trace, most of it messages sent again.
    Mixed,
    /// Questions to a chat model, most with documents looked up.
    Chat,
    /// Agents that call tools, some ten model calls a run, each with all messages so far.
    ToolAgent,
    /// Coding agents: larger prompts and results, agents below agents, contexts put together.
    CodingAgent,
    /// Sessions of 120 to 400 model calls with contexts of up to 500 KB: tens of MB a trace.
    LongSession,
    /// Requests through services, without models.
    Services,
    /// What must not break anything: 45,000 spans, 20 MB values, cycles, times that run backwards.
    Hostile,
    /// Ten small spans a trace, 6 attributes each, for comparing stores.
    Small,
    /// As [`Profile::Small`], with 1 KiB of inputs and 1 KiB of outputs a span.
    Payload,
    /// Ten spans a trace with known shares of matches, for comparing query engines; the usual
    /// count is 100,000 traces.
    Search,
}

/// A profile has no such name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownProfile;

impl std::fmt::Display for UnknownProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no such profile; there are")?;
        for (n, profile) in Profile::ALL.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma} `{}`", profile.as_str())?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownProfile {}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 10] = [
        Self::Mixed,
        Self::Chat,
        Self::ToolAgent,
        Self::CodingAgent,
        Self::LongSession,
        Self::Services,
        Self::Hostile,
        Self::Small,
        Self::Payload,
        Self::Search,
    ];

    /// The name as commands take it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Chat => "chat",
            Self::ToolAgent => "tool-agent",
            Self::CodingAgent => "coding-agent",
            Self::LongSession => "long-session",
            Self::Services => "services",
            Self::Hostile => "hostile",
            Self::Small => "small",
            Self::Payload => "payload",
            Self::Search => "search",
        }
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        let mut all = Self::ALL.into_iter();
        all.find(|profile| profile.as_str() == name)
            .ok_or(UnknownProfile)
    }
}

/// How many traces a workload of [`Profile::Mixed`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Size {
    /// 1,000 traces, about 0.4 GB before anything is stored once.
    S,
    /// 20,000 traces, about 7 GB.
    M,
    /// 200,000 traces, about 75 GB.
    L,
}

impl Size {
    /// The number of traces.
    pub fn traces(self) -> u64 {
        match self {
            Self::S => 1_000,
            Self::M => 20_000,
            Self::L => 200_000,
        }
    }
}

/// So many traces of one profile and seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    profile: Profile,
    seed: u64,
    traces: u64,
}

impl Workload {
    /// A workload of `traces` traces.
    pub fn new(profile: Profile, seed: u64, traces: u64) -> Self {
        Self {
            profile,
            seed,
            traces,
        }
    }

    /// Makes one trace alone. Its number must be below the workload's count for shares that
    /// depend on the count to be right.
    pub fn trace(&self, index: u64) -> Trace {
        let seed = self.seed;
        match self.profile {
            Profile::Mixed => mixed(seed, index),
            Profile::Chat => agents::chat(seed, index),
            Profile::ToolAgent => agents::agent(seed, index, &agents::TOOL_AGENT),
            Profile::CodingAgent => agents::agent(seed, index, &agents::CODING_AGENT),
            Profile::LongSession => agents::agent(seed, index, &agents::LONG_SESSION),
            Profile::Services => services::request(seed, index),
            Profile::Hostile => hostile::trouble(seed, index),
            Profile::Small => plain::regular(seed, index, self.traces, false),
            Profile::Payload => plain::regular(seed, index, self.traces, true),
            Profile::Search => plain::searched(seed, index),
        }
    }
}

/// Long sessions and hostile traces are left out: a few of them would outweigh all others.
fn mixed(seed: u64, index: u64) -> Trace {
    match Random::new(seed ^ 0x6d69_7865, index).unit() {
        share if share < 0.57 => agents::chat(seed, index),
        share if share < 0.83 => agents::agent(seed, index, &agents::TOOL_AGENT),
        share if share < 0.95 => agents::agent(seed, index, &agents::CODING_AGENT),
        _ => services::request(seed, index),
    }
}

impl IntoIterator for Workload {
    type Item = Trace;
    type IntoIter = Traces;

    fn into_iter(self) -> Traces {
        Traces {
            workload: self,
            next: 0,
        }
    }
}

/// The traces of a workload, each made when it is asked for.
#[derive(Debug, Clone)]
pub struct Traces {
    workload: Workload,
    next: u64,
}

impl Iterator for Traces {
    type Item = Trace;

    fn next(&mut self) -> Option<Trace> {
        (self.next < self.workload.traces).then(|| {
            self.next += 1;
            self.workload.trace(self.next - 1)
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.workload.traces - self.next).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}
