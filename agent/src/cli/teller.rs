//! Between a saga and those who watch: what is told goes through a bounded queue to a thread that shows it.
//!
//! Flows in: the calls of [`Audience`]. Flows out: the same, one by one, to a [`Presenter`]. Must never make a step
//! wait: a terminal that is stopped or a pipe that nobody reads costs news, not downtime.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use redeploy_agent::plan::Plan;
use redeploy_agent::progress::Audience;
use redeploy_agent::report::Report;
use redeploy_agent::saga::Record;
use redeploy_agent::steps::Step;

/// News that wait at most. A saga has some dozens of records.
const QUEUE_MAX: usize = 1024;

/// Progress is dropped long before anything that matters more.
const QUEUE_FOR_PROGRESS: usize = 64;

/// One piece of news.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// See [`Audience::pulling`].
    Pulling { reference: String, bytes_done: u64, bytes_total: u64 },
    /// See [`Audience::plan`].
    Plan(Box<Plan>),
    /// See [`Audience::record`].
    Record(Box<Record>),
    /// See [`Audience::progress`].
    Progress { step: Step, what: String, bytes: u64, files: u64 },
}

/// Shows news, on a thread of its own. Nothing it does can fail the redeploy.
pub(crate) trait Presenter: Send {
    /// Shows one.
    fn show(&mut self, news: News);
    /// There is no more.
    fn end(&mut self);
}

/// The audience of the command line.
pub(crate) struct Teller {
    queue: SyncSender<Option<News>>,
    waiting: Arc<AtomicUsize>,
    is_planned: AtomicBool,
    has_begun: AtomicBool,
    reports: Mutex<Vec<Report>>,
}

/// The thread that shows what a [`Teller`] is told.
pub(crate) struct Showing {
    queue: SyncSender<Option<News>>,
    thread: JoinHandle<()>,
}

/// A teller, and the thread that shows its news.
pub(crate) fn teller(presenter: Box<dyn Presenter>) -> (Arc<Teller>, Showing) {
    let (queue, news) = sync_channel(QUEUE_MAX);
    let waiting = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&waiting);
    let thread = std::thread::spawn(move || show_all(presenter, &news, &counted));
    let teller = Teller {
        queue: queue.clone(),
        waiting,
        is_planned: AtomicBool::new(false),
        has_begun: AtomicBool::new(false),
        reports: Mutex::default(),
    };
    (Arc::new(teller), Showing { queue, thread })
}

fn show_all(mut presenter: Box<dyn Presenter>, news: &Receiver<Option<News>>, waiting: &AtomicUsize) {
    while let Ok(Some(one)) = news.recv() {
        waiting.fetch_sub(1, Ordering::Relaxed);
        presenter.show(one);
    }
    presenter.end();
}

impl Teller {
    /// Is there a plan that is being carried out? From then on it must not be dropped half way.
    pub(crate) fn is_planned(&self) -> bool {
        self.is_planned.load(Ordering::Acquire)
    }

    /// Has a step begun?
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// The reports so far.
    pub(crate) fn take_reports(&self) -> Vec<Report> {
        std::mem::take(&mut *self.reports.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// If the queue is full the news is lost: the journal has everything that matters.
    fn tell(&self, news: News) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(Some(news)).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= QUEUE_FOR_PROGRESS
    }
}

impl Audience for Teller {
    fn pulling(&self, reference: &str, bytes_done: u64, bytes_total: u64) {
        if !self.is_busy() {
            self.tell(News::Pulling { reference: reference.to_owned(), bytes_done, bytes_total });
        }
    }

    fn plan(&self, plan: &Plan) {
        self.is_planned.store(true, Ordering::Release);
        self.tell(News::Plan(Box::new(plan.clone())));
    }

    fn record(&self, record: &Record) {
        self.has_begun.store(true, Ordering::Release);
        self.tell(News::Record(Box::new(record.clone())));
    }

    fn progress(&self, step: Step, what: &str, bytes: u64, files: u64) {
        if !self.is_busy() {
            self.tell(News::Progress { step, what: what.to_owned(), bytes, files });
        }
    }

    fn report(&self, report: &Report) {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).push(report.clone());
    }
}

impl Showing {
    /// Waits until everything told so far has been shown. Blocks.
    pub(crate) fn finish(self) {
        // A presenter that ended abnormally has shown what it could.
        let _ = self.queue.send(None);
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::cli::samples;

    struct Stalled {
        go: Receiver<()>,
        seen: std::sync::mpsc::Sender<News>,
    }

    impl Presenter for Stalled {
        fn show(&mut self, news: News) {
            let _ = self.go.recv();
            let _ = self.seen.send(news);
        }
        fn end(&mut self) {}
    }

    #[test]
    fn a_stalled_reader_costs_progress_but_no_records_and_no_time() {
        let (go_on, go) = channel();
        let (seen, shown) = channel();
        let (teller, showing) = teller(Box::new(Stalled { go, seen }));
        teller.plan(&samples::plan());
        for bytes in 0..10_000 {
            teller.progress(Step::Capture, "paths", bytes, 0);
        }
        for record in samples::records() {
            teller.record(&record);
        }
        assert!(teller.is_planned() && teller.has_begun());
        drop(teller);
        drop(go_on);
        showing.finish();
        let shown: Vec<News> = shown.iter().collect();
        let records = shown.iter().filter(|news| matches!(news, News::Record(_))).count();
        assert_eq!(records, samples::records().len());
        assert!(shown.len() <= QUEUE_FOR_PROGRESS + records + 1, "{}", shown.len());
    }
}
