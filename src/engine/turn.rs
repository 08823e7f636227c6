//! A turn of the loop: the order in which a shell calls the engine.
//!
//! There are two shells, the reactor and the world of the tests. Each says in a [`Shell`] how it does the parts that need a
//! machine, or the model of one; the order is here, once, so that what the tests see is what a server does.
//!
//! 1. **time**: the engine is told how late it is;
//! 2. **events**: what is ready is noted, new connections are taken, and the engine hears which jobs are done;
//! 3. **serve**: requests are read and run, for a bounded time; who is not done is served in the next turn;
//! 4. **tick**: timers, keys whose deadline has passed, a piece of whatever is growing or being freed;
//! 5. **write**: the log first, then the replies, then messages, for a bounded time;
//! 6. **files**: a slice of saving or loading;
//! 7. **jobs**: connections are closed and made, other threads are handed what is theirs.
//!
//! Why so and not otherwise:
//!
//! * A job that is done is told before requests run: a client that waited for it has its reply in the same turn.
//! * The tick comes after the requests. Its budget is what a turn can spare, and a key that dies meanwhile is not seen by any
//!   request anyway. It comes before the log is written, so that what it removes reaches the log and the replicas in this turn.
//! * The log is handed what was propagated before any reply leaves: nobody is told of a change that the log does not know of.
//! * Replies leave before messages: a message may be for thousands, and who asked for something waits for its reply.
//! * Files come after the replies, which do not wait for a slice of a dump. What was served in this turn is saved as it is.
//! * Clients that take too much memory are chosen after the writing, when it is known what of their replies has left, and before
//!   the jobs, which close them.
//! * The turn ends for the engine last: a client whose reply was put off until then is written to in the next turn.

use super::recorder::Phase;
use super::{Engine, Host};

/// Who drives an engine.
pub trait Shell {
    /// What it answers the engine's questions with.
    type Host: Host;
    /// The engine, and its host.
    fn parts(&mut self) -> (&mut Engine, &mut Self::Host);
    /// A phase of the turn is over.
    fn stamp(&mut self, phase: Phase);
    /// Tells the engine the time.
    fn update_time(&mut self);
    /// Notes what is ready, takes new connections, and tells the engine what other threads have done.
    fn take_events(&mut self);
    /// Hands over what clients have sent, and lets the engine run what waits.
    fn serve(&mut self);
    /// Hands the log what was propagated.
    fn write_log(&mut self);
    /// Sends all replies.
    fn write_replies(&mut self);
    /// Sends messages of others.
    fn write_messages(&mut self);
    /// Lets the engine save or load for a slice. True when there is more to do at once.
    fn maintain_files(&mut self) -> bool {
        let (engine, host) = self.parts();
        engine.maintain_files(host)
    }
    /// Does what the engine has asked for.
    fn do_jobs(&mut self);
    /// Says how much the turn has done, and ends it.
    fn end_turn(&mut self);
}

/// Turns once. True when there is more to do at once.
#[inline]
pub fn turn<S: Shell>(shell: &mut S) -> bool {
    shell.update_time();
    shell.stamp(Phase::Poll);
    shell.take_events();
    shell.stamp(Phase::Accept);
    shell.serve();
    shell.stamp(Phase::Run);
    let (engine, host) = shell.parts();
    let mut is_busy = engine.tick(host);
    shell.stamp(Phase::Expire);
    shell.write_log();
    shell.write_replies();
    shell.write_messages();
    shell.stamp(Phase::Write);
    is_busy |= shell.maintain_files();
    shell.stamp(Phase::Files);
    shell.parts().0.evict_clients();
    shell.do_jobs();
    shell.end_turn();
    is_busy
}
