//! Reading again what the operator changed, while serving.
//!
//! Owns when to load and what becomes of the outcome: a good one replaces the service's state whole, a bad
//! one leaves the old in force, is logged and shows in the metrics until mended. Must not know what is in
//! the files. Decision: files are looked at once a second and not through the kernel's notifications,
//! because a look sees every way to change a file (an editor's rename, a mounted folder's swapped link, a
//! network's disk) alike; and what changed is loaded only when the next look finds it unchanged, because
//! half of a YAML file is mostly valid YAML that grants less, or denies less.

mod watch;

use super::LoadError;
use super::setup::{self, Loaded, Paths};
use crate::config::ServiceConfig;
use crate::ground::diagnostic::Diagnostic;
use crate::ground::file::Files;
use crate::ground::text::sentence;
use crate::ground::time::UnixTime;
use crate::http::Service;
use crate::store::config::StoreConfig;
use crate::telemetry::log::{Level, Log};
use crate::tls::Live;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::Builder;
use std::time::{Duration, SystemTime};
use watch::Seen;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A failed load is tried again after so many looks, though no file changed: what it lacked may be a
/// descriptor, or memory.
const RETRY_LOOKS: u32 = 5;

/// A look that takes longer is said in the log: a disk or a network does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// SIGHUP, as something to wait for.
#[derive(Debug)]
pub(crate) struct Hangup(UnixStream);

impl Hangup {
    /// Takes the signal from now on, for the life of the process.
    pub(crate) fn on_signal() -> io::Result<Self> {
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
pub(crate) struct Reloader {
    service: Arc<Service>,
    log: Log,
    paths: Paths,
    running: ServiceConfig,
    store: Option<StoreConfig>,
    /// The certificate of new connections, where the server speaks TLS.
    tls: Option<Arc<Live>>,
    warnings: Vec<Diagnostic>,
    /// What the last load, good or bad, read or looked for.
    watched: Vec<PathBuf>,
    /// What that load was made from.
    tried: Seen,
    /// What the last look found, where that is not what was tried.
    pending: Option<Seen>,
    /// A load is due though no content differs from what was tried.
    due: bool,
    /// What was wrong with the last load, and the looks since.
    failed: Option<(String, u32)>,
}

impl Reloader {
    /// A reloader of a service whose state was loaded from these files, beginning at that time.
    pub(crate) fn new(
        (service, tls): (Arc<Service>, Option<Arc<Live>>),
        log: Log,
        paths: Paths,
        (running, store): (ServiceConfig, Option<StoreConfig>),
        files: &Files,
        began: SystemTime,
    ) -> Self {
        let (watched, warnings) = (files.paths().to_vec(), files.warnings().to_vec());
        let tried = Seen::look(&watched, &Seen::default());
        let due = tried.any_newer(began, &Seen::default());
        let (pending, failed) = (None, None);
        Self { service, log, paths, running, store, tls, warnings, watched, tried, pending, due, failed }
    }

    /// Watches for as long as the process lives, on threads of its own.
    pub(crate) fn start(mut self, hangup: Hangup) -> io::Result<()> {
        let (ended, looks) = channel();
        let log = self.log.clone();
        let look = move || {
            loop {
                if hangup.came() {
                    self.load(Cause::Signal);
                } else {
                    self.look();
                }
                self.service.looked();
                let _ = ended.send(()); // the other thread lives as long as this one
            }
        };
        Builder::new().name("reload".to_owned()).spawn(look)?;
        let say = move || {
            let error = format!("a look at the files has not ended for {} s", PATIENCE.as_secs());
            let line = log.line(UnixTime::now(), "reload").text("result", "waiting").text("error", &error);
            line.text("kept", KEPT).end();
        };
        Builder::new().name("reload-watch".to_owned()).spawn(move || await_looks(&looks, PATIENCE, say))?;
        Ok(())
    }

    /// One look at the files.
    fn look(&mut self) {
        let last = self.pending.take().unwrap_or_else(|| self.tried.clone());
        let now = Seen::look(&self.watched, &last);
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
        let before = Seen::look(&self.watched, &self.tried);
        let mut files = Files::default();
        // A panic in a parser must not end the watch.
        let result = catch_unwind(AssertUnwindSafe(|| setup::load(&self.paths, &mut files)))
            .unwrap_or(Err(LoadError::Defect));
        self.watched = files.paths().to_vec();
        let after = Seen::look(&self.watched, &before);
        self.pending = None;
        if !after.agrees(&before) || after.any_newer(began, &before) {
            // Something was written meanwhile, so nobody knows what was read: again, when it is quiet.
            self.due = true;
            return;
        }
        self.due = false;
        self.tried = after;
        match result {
            Ok(loaded) => self.take(loaded, &files, cause),
            Err(error) => self.refuse(&error, cause),
        }
    }

    fn take(&mut self, loaded: Loaded, files: &Files, cause: Cause) {
        let now = self.service.replace(loaded.state);
        if let (Some(live), Some(identity)) = (&self.tls, loaded.tls) {
            live.replace(identity);
        }
        self.failed = None;
        let mut restart = self.running.fixed_changes(&loaded.service);
        restart.extend((loaded.store != self.store).then_some("store"));
        let restart = restart.join(", ");
        let line = self.log.line(now, "reload").text("result", "ok").text("cause", cause.name());
        line.maybe("restart_needed_for", Some(restart.as_str()).filter(|keys| !keys.is_empty())).end();
        for warning in files.warnings().iter().filter(|warning| !self.warnings.contains(warning)) {
            self.log.warning(now, warning);
        }
        self.warnings = files.warnings().to_vec();
    }

    fn refuse(&mut self, error: &LoadError, cause: Cause) {
        let sentence = sentence(error);
        let news = self.failed.as_ref().is_none_or(|(known, _)| *known != sentence);
        if news || cause != Cause::Retry {
            let now = self.service.reload_failed();
            let line = self.log.at(Level::Error, now, "reload").text("result", "failed");
            let line = line.text("cause", cause.name()).text("error", &sentence);
            line.maybe("hint", error.hint().as_deref()).text("kept", KEPT).end();
        }
        self.failed = Some((sentence, 0));
    }
}

/// What becomes of a state that could not be replaced.
const KEPT: &str = "what was loaded before stays in force";

/// Says it once when no look ended for so long, and again after the next one that did.
fn await_looks(looks: &Receiver<()>, patience: Duration, mut say: impl FnMut()) {
    let mut said = false;
    loop {
        match looks.recv_timeout(patience) {
            Ok(()) => said = false,
            Err(RecvTimeoutError::Timeout) if said => {}
            Err(RecvTimeoutError::Timeout) => {
                said = true;
                say();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_does_not_end_is_said_once_for_each_time() {
        let (ended, looks) = channel();
        let mut ended = Some(ended);
        let mut said = 0;
        ended.as_ref().unwrap().send(()).unwrap();
        await_looks(&looks, Duration::from_millis(20), || {
            said += 1;
            // It ends after all, and then the next one does not.
            let _ = ended.as_ref().map(|ended| ended.send(()));
            if said == 3 {
                ended = None;
            }
        });
        assert_eq!(said, 3);
    }
}
