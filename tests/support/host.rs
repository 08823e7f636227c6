//! A shell without a machine: what the engine asks of it, it answers from a model.

use super::disk::Disk;
use waterwheel::base::id::ClientId;
use waterwheel::base::rng::Rng;
use waterwheel::base::time::Now;
use waterwheel::config::Effect;
use waterwheel::engine::client::Address;
use waterwheel::engine::disk::FileDone;
use waterwheel::engine::host::{ProcessFacts, Request};
use waterwheel::engine::{Engine, Host};

/// Ticks of the modelled counter in a millisecond.
pub const TICKS_PER_MS: u64 = 1_000_000;

/// A shell without a machine.
pub struct FakeHost {
    /// Both clocks.
    pub now: Now,
    rng: Rng,
    /// What the allocator is said to have given away.
    pub allocated_bytes: usize,
    /// Ticks that pass with each look at the counter: work takes time although the clocks stand.
    pub ticks_a_look: u64,
    looked_ticks: u64,
    /// What the engine asked for, by name.
    pub requests: Vec<String>,
    /// The disk.
    pub disk: Disk,
    /// The effect of a changed configuration that it cannot carry out.
    pub refused: Option<Effect>,
    /// What another server answers to bytes, while everything waits for it.
    pub far: Option<Far>,
}

/// A server that answers at once what it is told, or nothing.
pub type Far = Box<dyn FnMut(&[u8]) -> Vec<u8>>;

impl FakeHost {
    /// A shell whose clocks stand, with an empty disk.
    pub fn new(now: Now, seed: u64) -> FakeHost {
        FakeHost {
            now,
            rng: Rng::from_seed(seed),
            allocated_bytes: 0,
            ticks_a_look: 0,
            looked_ticks: 0,
            requests: Vec::new(),
            disk: Disk::new(seed),
            refused: None,
            far: None,
        }
    }
}

impl Host for FakeHost {
    fn now(&mut self) -> Now {
        self.now
    }

    fn ticks(&mut self) -> u64 {
        self.looked_ticks += self.ticks_a_look;
        self.now.mono_us * TICKS_PER_MS / 1000 + self.looked_ticks
    }

    fn ticks_per_ms(&self) -> u64 {
        TICKS_PER_MS
    }

    fn random(&mut self) -> u64 {
        self.rng.next_u64()
    }

    fn allocated_bytes(&self) -> usize {
        self.allocated_bytes
    }

    fn facts(&mut self) -> ProcessFacts {
        ProcessFacts { rss_bytes: self.allocated_bytes, ..ProcessFacts::default() }
    }

    fn apply(&mut self, request: Request<'_>) -> Result<String, String> {
        let name = match request {
            Request::Sleep(us) => {
                self.now = self.now.after_us(us);
                "sleep"
            }
            Request::Configure(effect, _) if self.refused == Some(effect) => return Err("no".to_owned()),
            Request::Configure(..) => "configure",
            Request::Exists(path) => {
                self.disk.get(path).ok_or("No such file or directory")?;
                "exists"
            }
            Request::ReadFile(path, into) => {
                let text = self.disk.get(path).ok_or("No such file or directory")?;
                *into = text.to_vec();
                "read file"
            }
            Request::Disk(jobs, result) => {
                *result = jobs.into_iter().try_fold(FileDone::default(), |sum, job| {
                    let done = self.disk.do_file(job)?;
                    Ok(FileDone { bytes: sum.bytes + done.bytes, ..done })
                });
                "disk"
            }
            // The machine has no other processes.
            Request::IsAlive(_, lives) => {
                *lives = false;
                "is alive"
            }
            Request::ReadConfigFile => "read config",
            Request::TellReady(_) => "tell ready",
            Request::ReleaseMemory => "release memory",
            Request::Crash(_) => "crash",
        };
        self.requests.push(name.to_owned());
        Ok(String::new())
    }

    /// Nobody speaks in the middle of a command; a client that is waited for leaves.
    fn breathe(&mut self, engine: &mut Engine, wait_ms: u64) {
        if let Some(id) = engine.busy_client().filter(|_| wait_ms > 0) {
            engine.half_closed(id);
        }
    }

    /// The other end is [`FakeHost::far`], and there at once; without it the connection is refused.
    fn attend(&mut self, engine: &mut Engine, id: ClientId, wait_ms: u64) {
        if engine.poll_connect(id).is_some() {
            match self.far.is_some() {
                true => {
                    let address: std::net::SocketAddr =
                        "127.0.0.1:50001".parse().expect("the address is right");
                    engine.connected(id, Address::Ip(address), Address::Ip(address), 0);
                }
                false => engine.not_connected(id, "Connection refused", true),
            }
            return;
        }
        let mut said = Vec::new();
        while let Some(outgoing) = engine.output(id) {
            let mut slices = [std::io::IoSlice::new(&[]); 64];
            let filled = outgoing.gather(&mut slices, usize::MAX);
            let before = said.len();
            slices[..filled].iter().for_each(|slice| said.extend_from_slice(slice));
            engine.sent(id, said.len() - before);
        }
        let answer = match &mut self.far {
            Some(far) if !said.is_empty() => far(&said),
            _ => Vec::new(),
        };
        if answer.is_empty() {
            self.now = self.now.after_us(wait_ms.saturating_mul(1000));
        }
        let ticks = self.ticks();
        engine.set_now(self.now, ticks);
        if !answer.is_empty() {
            engine.input(self, id, &answer);
        }
    }
}
