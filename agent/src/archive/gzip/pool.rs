//! The threads that pack blocks, each with a queue in and a queue out.
//!
//! Blocks go round from thread to thread, and packed ones are taken round in the same way: they come back in
//! order without sorting. Both queues are bounded and never over-filled, so neither side can wait for the other
//! in a circle; a dropped pool closes both, and each thread ends after the block it is at.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::block::{Block, Packer};

/// Blocks a thread may have in its hands and its queues.
const BLOCKS_PER_THREAD: usize = 3;
/// More would be waiting for whoever reads and digests, each with two megabytes in its hands.
const THREADS_MAX: usize = 8;

pub(super) struct Pool {
    workers: Vec<Worker>,
    /// Packs in the caller's thread; used where there are no workers.
    own: Packer,
    own_packed: Option<Block>,
    submitted: usize,
    collected: usize,
}

struct Worker {
    jobs: SyncSender<Block>,
    packed: Receiver<io::Result<Block>>,
    thread: JoinHandle<()>,
}

impl Pool {
    /// With one thread, or where the system gives none, everything happens in the caller's.
    pub(super) fn new(level: u32, threads: usize) -> Self {
        let wanted = if threads > 1 { threads.min(THREADS_MAX) } else { 0 };
        let workers = (0..wanted).map_while(|_| Worker::start(level).ok()).collect();
        Self { workers, own: Packer::new(level), own_packed: None, submitted: 0, collected: 0 }
    }

    /// Must a packed block be taken before the next can be submitted?
    pub(super) fn is_full(&self) -> bool {
        self.submitted - self.collected >= (self.workers.len() * BLOCKS_PER_THREAD).max(1)
    }

    /// Takes a block; only when not full.
    pub(super) fn submit(&mut self, mut block: Block) -> io::Result<()> {
        match round(&self.workers, self.submitted) {
            Some(worker) => worker.jobs.send(block).map_err(|_| ended())?,
            None => {
                self.own.pack(&mut block)?;
                self.own_packed = Some(block);
            }
        }
        self.submitted += 1;
        Ok(())
    }

    /// The oldest block still out, waiting for it; `None` if none is.
    pub(super) fn next_packed(&mut self) -> io::Result<Option<Block>> {
        if self.collected == self.submitted {
            return Ok(None);
        }
        let packed = match round(&self.workers, self.collected) {
            Some(worker) => worker.packed.recv().map_err(|_| ended())??,
            None => self.own_packed.take().ok_or_else(ended)?,
        };
        self.collected += 1;
        Ok(Some(packed))
    }

    /// Waits until the threads are gone; nothing may be out any more.
    pub(super) fn join(self) {
        for Worker { jobs, packed, thread } in self.workers {
            drop((jobs, packed));
            // A panic of an idle thread concerns nobody: every block is written.
            let _ = thread.join();
        }
    }
}

fn round(workers: &[Worker], number: usize) -> Option<&Worker> {
    workers.get(number.checked_rem(workers.len())?)
}

fn ended() -> io::Error {
    io::Error::other("a packing thread ended before its work was done")
}

impl Worker {
    fn start(level: u32) -> io::Result<Self> {
        let (jobs, todo) = sync_channel::<Block>(BLOCKS_PER_THREAD);
        let (done, packed) = sync_channel(BLOCKS_PER_THREAD);
        let thread = Builder::new().name("gzip".to_owned()).spawn(move || {
            let mut packer = Packer::new(level);
            while let Ok(mut block) = todo.recv() {
                let packed = packer.pack(&mut block);
                if done.send(packed.map(|()| block)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { jobs, packed, thread })
    }
}
