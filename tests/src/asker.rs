//! A client that never stops asking: what it sees is what users see.
//!
//! Flows in: an address. Flows out: the longest time in which nobody answered. Must never wait for one attempt
//! longer than a user's next one would take: a connection that hangs is given up and another one tried.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(1);

/// For one attempt.
const PATIENCE: Duration = Duration::from_millis(200);

/// A client at work.
#[derive(Debug)]
pub struct Asker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Gap>,
}

/// What was seen.
#[derive(Debug, Clone, Copy, Default)]
struct Gap {
    longest: Duration,
    answers: u64,
}

impl Asker {
    /// Begins to ask for `/healthz`, again and again.
    #[must_use]
    pub fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ordered = Arc::clone(&stop);
        let thread = std::thread::spawn(move || ask_until(address, &ordered));
        Self { stop, thread }
    }

    /// Ends, and gives the longest time between two answers.
    ///
    /// # Errors
    /// Nobody ever answered.
    pub fn downtime(self) -> Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let gap = self.thread.join().map_err(|_| anyhow!("the client panicked"))?;
        ensure!(gap.answers > 1, "nobody answered");
        Ok(gap.longest)
    }
}

fn ask_until(address: SocketAddr, stop: &AtomicBool) -> Gap {
    let mut gap = Gap::default();
    let mut last: Option<Instant> = None;
    loop {
        let stopping = stop.load(Ordering::Relaxed);
        if is_answered(address) {
            let now = Instant::now();
            gap.answers += 1;
            gap.longest = gap.longest.max(last.map_or(Duration::ZERO, |last| now.duration_since(last)));
            last = Some(now);
            // The last question comes after the order to stop, so that a gap at the end is seen as well.
            if stopping {
                return gap;
            }
        } else if stopping && last.is_none_or(|last| last.elapsed() > crate::wait::PATIENCE) {
            return gap;
        }
        std::thread::sleep(PAUSE);
    }
}

fn is_answered(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}
