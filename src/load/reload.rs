//! Reading again what the operator changed, while serving.
//!
//! Owns when to load and what becomes of the outcome: a good one replaces the service's state whole, a bad
//! one leaves the old in force, is logged and shows in the metrics until mended. Must not know what is in
//! the files. Decision: files are looked at once a second and not through the kernel's notifications,
//! because a look sees every way to change a file (an editor's rename, a mounted folder's swapped link, a
//! network's disk) alike; and what changed is loaded only when the next look finds it unchanged, because
//! half of a YAML file is mostly valid YAML that grants less, or denies less.

mod watch;

use crate::cli::error::Error;
use crate::config::{ServiceConfig, Warning};
use crate::ground::time::UnixTime;
use crate::http::{Service, State};
use crate::telemetry::log::{Level, Log};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use watch::Seen;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A failed load is tried again after so many looks, though no known file changed: what it lacked may be a
/// file that only the broken configuration names.
const RETRY_LOOKS: u32 = 5;

/// What a load gives.
#[derive(Debug)]
pub struct Loaded {
    /// What the service answers from.
    pub state: State,
    /// Every file that it came from, or would.
    pub files: Vec<PathBuf>,
    /// What works but should not stay as it is.
    pub warnings: Vec<Warning>,
    /// The configuration's `service`, of which some cannot change while running.
    pub service: ServiceConfig,
}

/// SIGHUP, as something to wait for.
#[derive(Debug)]
pub struct Hangup(UnixStream);

impl Hangup {
    /// Takes the signal from now on, for the life of the process.
    pub fn on_signal() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_read_timeout(Some(LOOK))?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGHUP, write)?;
        Ok(Self(read))
    }

    /// Waits for the signal as long as it takes until the next look.
    fn came(&self) -> bool {
        match (&self.0).read(&mut [0; 64]) {
            Ok(count) => count > 0,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                false
            }
            Err(_) => {
                std::thread::sleep(LOOK); // not to spin on what is no timeout
                false
            }
        }
    }
}

/// Why a load is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Signal,
    Change,
    /// Nothing changed, but the last load failed.
    Retry,
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Cause::Signal => "SIGHUP",
            Cause::Change => "change",
            Cause::Retry => "retry",
        }
    }
}

/// Keeps a service's state as the files say.
pub struct Reloader<L> {
    service: Arc<Service>,
    log: Log,
    load: L,
    running: ServiceConfig,
    warnings: Vec<Warning>,
    files: Vec<PathBuf>,
    /// What the last load, good or bad, was made from.
    tried: Seen,
    /// What the last look found, where that is not what was tried.
    pending: Option<Seen>,
    /// A load is due though no content differs from what was tried.
    due: bool,
    /// What was wrong with the last load, and the looks since.
    failed: Option<(String, u32)>,
}

impl<L: FnMut() -> Result<Loaded, Error>> Reloader<L> {
    /// A reloader of a service whose state was loaded from these files, beginning at that time.
    pub fn new(
        service: Arc<Service>,
        log: Log,
        first: (Vec<PathBuf>, Vec<Warning>, ServiceConfig),
        began: SystemTime,
        load: L,
    ) -> Self {
        let (files, warnings, running) = first;
        let tried = Seen::look(&files, &Seen::default());
        let due = tried.any_newer(began, &Seen::default());
        Self { service, log, load, running, warnings, files, tried, pending: None, due, failed: None }
    }

    /// Watches for as long as the process lives.
    pub fn run(mut self, hangup: &Hangup) {
        loop {
            if hangup.came() { self.load(Cause::Signal) } else { self.look() }
        }
    }

    /// One look at the files.
    fn look(&mut self) {
        let last = self.pending.take().unwrap_or_else(|| self.tried.clone());
        let now = Seen::look(&self.files, &last);
        if self.due || !now.same_content(&self.tried) {
            if now == last {
                self.load(Cause::Change);
            } else {
                self.pending = Some(now); // perhaps half written: loaded once the next look finds the same
            }
            return;
        }
        self.tried = now; // the same content, perhaps in another file
        if let Some((_, looks)) = &mut self.failed {
            *looks += 1;
            if *looks >= RETRY_LOOKS {
                self.load(Cause::Retry);
            }
        }
    }

    fn load(&mut self, cause: Cause) {
        let began = SystemTime::now();
        let before = Seen::look(&self.files, &self.tried);
        // A panic in a parser must not end the watch.
        let result = match watch::refusal(&self.files) {
            Some(error) => Err(error),
            None => catch_unwind(AssertUnwindSafe(&mut self.load)).unwrap_or_else(|_| {
                let what = "cannot load".to_owned();
                Err(Error::System { what, source: io::Error::other("the program has a defect") })
            }),
        };
        let files = result.as_ref().map_or_else(|_| self.files.clone(), |loaded| loaded.files.clone());
        let after = Seen::look(&files, &before);
        self.pending = None;
        if !after.agrees(&before) || after.any_newer(began, &before) {
            // Something was written meanwhile, so nobody knows what was read: again, when it is quiet.
            self.due = true;
            return;
        }
        self.due = false;
        self.tried = after;
        match result {
            Ok(loaded) => self.take(loaded, cause),
            Err(error) => self.refuse(&error, cause),
        }
    }

    fn take(&mut self, loaded: Loaded, cause: Cause) {
        let Loaded { state, files, warnings, service } = loaded;
        let now = self.service.replace(state);
        self.failed = None;
        self.files = files;
        let restart = self.running.fixed_changes(&service).join(", ");
        let line = self.log.line(now, "reload").text("result", "ok").text("cause", cause.name());
        line.maybe("restart_needed_for", Some(restart.as_str()).filter(|keys| !keys.is_empty())).end();
        for warning in warnings.iter().filter(|warning| !self.warnings.contains(warning)) {
            self.log.warning(now, warning);
        }
        self.warnings = warnings;
    }

    fn refuse(&mut self, error: &Error, cause: Cause) {
        let sentence = error.sentence();
        let news = self.failed.as_ref().is_none_or(|(known, _)| *known != sentence);
        if news || cause != Cause::Retry {
            let now: UnixTime = self.service.reload_failed();
            let line =
                self.log.at(Level::Error, now, "reload").text("result", "failed").text("cause", cause.name());
            line.text("error", &sentence)
                .maybe("hint", error.hint().as_deref())
                .text("kept", "what was loaded before stays in force")
                .end();
        }
        self.failed = Some((sentence, 0));
    }
}
