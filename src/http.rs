//! The HTTP edge: from a request to an answer.
//!
//! Owns the service, which is total: every request gets an answer, and is counted and logged once. Must
//! not know sockets (`server` does). Decision: what an answer depends on and what may be replaced while
//! running is one value, [`State`], taken once at the start of a request, so that a request never sees
//! half of a change.

pub mod credentials;
pub mod handler;
pub mod identity;
pub mod openapi;
pub mod refusal;
pub mod request;
pub mod response;
pub mod route;
pub mod trust;

mod auth;
mod call;
mod caller;
mod command;
mod forwarded;
mod introspect;
mod oauth;
mod revoke;
mod shown;
mod state;
mod token;
mod token_request;
mod wellknown;

pub use state::State;

use crate::claims::ClaimsError;
use crate::ground::diagnostic::Diagnostic;
use crate::ground::time::UnixTime;
use crate::login::attempts::Passwords;
use crate::store::Store;
use crate::store::entry::Event;
use crate::telemetry::event::EventKind;
use crate::telemetry::log::{Allowance, Level, Log};
use crate::telemetry::metrics::{Format, Labels, Metrics, RefreshEvent};
use call::{Call, Note, Origin};
use handler::{ConnectionEvent, Handler};
use refusal::Refusal;
use request::{Body, Method, Peer, Request};
use response::Response;
use route::{Route, split_target};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

/// The label values of what is counted here: closed sets, so that no client can add one.
const LABELS: Labels =
    Labels { routes: &Route::LABELS, refusals: &Refusal::CODES, events: &EventKind::LABELS };

/// Where the service gets what is not in a request.
#[derive(Debug, Clone, Copy)]
pub struct Sources {
    /// The time.
    pub clock: fn() -> UnixTime,
    /// A new token id; `None` where the system gives no random numbers.
    pub id: fn() -> Option<String>,
}

/// Answers requests.
#[derive(Debug)]
pub struct Service {
    state: RwLock<Arc<State>>,
    /// Not in the state: failures are not forgiven when a file changes.
    passwords: Passwords,
    metrics: Metrics,
    log: Log,
    sources: Sources,
    /// What remembers tokens, if anything does.
    store: Option<Store>,
    /// Whether the log said that clients share one address.
    told: AtomicBool,
    /// Anybody can fail at a handshake, as often as they like.
    handshake_lines: Allowance,
    /// So can who has a refresh token that was revoked use it.
    revoked_uses: Allowance,
}

impl Service {
    /// A service in that state.
    pub fn new(state: State, log: Log, sources: Sources, store: Option<Store>) -> Self {
        let metrics = Metrics::new((sources.clock)(), &LABELS);
        let service = Self {
            state: RwLock::new(Arc::new(state)),
            passwords: Passwords::default(),
            metrics,
            log,
            sources,
            store,
            told: AtomicBool::new(false),
            handshake_lines: Allowance::default(),
            revoked_uses: Allowance::default(),
        };
        service.note_policy(&service.state());
        service
    }

    /// Notes in the store which policy is in force from now on, also that none is.
    fn note_policy(&self, state: &State) {
        let Some(store) = &self.store else { return };
        store.note(Event::policy((self.sources.clock)(), state.enforcement.in_force()));
    }

    /// Answers from another state from now on; requests in flight finish with the one that they began with.
    /// Gives the time.
    pub fn replace(&self, state: State) -> UnixTime {
        if state.enforcement.in_force() != self.state().enforcement.in_force() {
            self.note_policy(&state);
        }
        let new = Arc::new(state);
        let old = {
            let mut current = self.state.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, new)
        };
        drop(old); // after the lock: a large policy takes its time
        let now = (self.sources.clock)();
        self.metrics.reloaded(now);
        now
    }

    /// Counts a load that failed, so that the state stays as it is. Gives the time.
    pub fn reload_failed(&self) -> UnixTime {
        self.metrics.reload_failed();
        (self.sources.clock)()
    }

    /// Logs a warning, the first time that it comes to that.
    fn tell_once(&self, warning: &Diagnostic) {
        if !self.told.swap(true, Ordering::Relaxed) {
            self.log.warning((self.sources.clock)(), warning);
        }
    }

    /// Notes that a look at the files has ended.
    pub fn looked(&self) {
        self.metrics.looked((self.sources.clock)());
    }

    fn state(&self) -> Arc<State> {
        // A poisoned lock still holds a whole state: it is only ever replaced by one assignment.
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn answer(
        &self,
        state: &State,
        (request, client): (&Request<'_>, Peer),
        (route, query): (Route<'_>, &str),
        note: &mut Note,
    ) -> Result<Response, Refusal> {
        if let Body::Malformed(problem) = request.body {
            return Err(Refusal::Malformed(problem));
        }
        if !state.has(route) {
            return Err(Refusal::NotFound);
        }
        let passwords = state.logins.is_some();
        if !route.allows(request.method, passwords) {
            return Err(Refusal::Method(route.allow(passwords)));
        }
        let call = Call { service: self, state, request, client, route, note, origin: Origin::default() };
        match route {
            Route::Healthz => Ok(Response::json(200, &b"{\"status\": \"ok\"}"[..])),
            Route::Metrics => Ok(self.metrics_text(request)),
            Route::OpenApi => Ok(openapi::get()),
            Route::Jwks => Ok(wellknown::jwks(state.issuer.keyring())),
            Route::Discovery => Ok(wellknown::discovery(state, self.store.is_some())),
            Route::Auth => auth::auth(call, query),
            Route::Command => command::post(call, query),
            Route::TokenRequest { namespace, name } => token_request::post(call, (namespace, name), query),
            Route::Introspect => introspect::post(call, query),
            Route::Revoke => revoke::post(call, query),
            Route::Token if request.method == Method::Post => oauth::post(call),
            Route::Token => token::get(call, query),
            Route::Other => Err(Refusal::NotFound),
        }
    }

    /// Has the store keep the tokens of an answer, and counts them, before it is given.
    fn remember(&self, route: Route<'_>, answer: Response, note: &mut Note) -> Result<Response, Refusal> {
        if let (Some(store), false) = (&self.store, note.entries.is_empty()) {
            store.remember(std::mem::take(&mut note.entries)).map_err(|fault| {
                note.detail = Some(fault.to_string());
                Refusal::Forgetful
            })?;
        }
        if let Some(sealed_by) = note.sealed_by {
            self.metrics.token(route.label(), sealed_by);
        }
        if note.began {
            self.metrics.refresh_token(RefreshEvent::Issued);
        }
        Ok(answer)
    }

    fn metrics_text(&self, request: &Request<'_>) -> Response {
        let format =
            Format::of(request.header_values("Accept").filter_map(|field| str::from_utf8(field).ok()));
        let mut response = Response::json(
            200,
            self.metrics.render(self.log.lost_lines(), self.store.as_ref(), format).into_bytes(),
        );
        response.headers = vec![("Content-Type", format.content_type().into()), ("Vary", "Accept".into())];
        response
    }
}

impl Handler for Service {
    fn handle(&self, request: &Request<'_>) -> Response {
        let started = Instant::now();
        let mut note = Note::default();
        let (path, query) = split_target(request.target).unwrap_or((request.target, ""));
        let route = Route::of(path);
        let state = self.state();
        let (client, problem) = forwarded::client(request, &state.trust);
        let answer = self.answer(&state, (request, client), (route, query), &mut note);
        let (response, refusal) = match answer.and_then(|answer| self.remember(route, answer, &mut note)) {
            Ok(response) => (response, None),
            Err(refusal) => {
                // What was made is not given.
                note.tokens = None;
                self.metrics.refusal(refusal.code());
                let response = match route {
                    Route::Token if request.method == Method::Post => refusal.oauth_response(),
                    Route::TokenRequest { .. } => token_request::refused(&refusal),
                    Route::Introspect | Route::Revoke => refusal.client_response(),
                    _ => refusal.response(),
                };
                (response, Some(refusal))
            }
        };
        let took = started.elapsed();
        self.metrics.request(route.label(), response.status, took);
        let mut line = self
            .log
            .at(Level::of_status(response.status), (self.sources.clock)(), "request")
            .plain("peer", request.peer)
            .plain("client", client)
            .text("method", request.method.name());
        // A query may hold what is nobody's business, also in a target that is no path; an unknown path may be long.
        let path = path.split('?').next().unwrap_or_default();
        line = line.text("path", path.get(..200).unwrap_or(path));
        line = line.number("status", response.status).maybe("user", note.user.as_deref());
        if let Some(refusal) = refusal {
            line = line.text("code", refusal.code()).text("reason", &refusal.message());
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        line = line.maybe("forwarded", problem).maybe("detail", note.detail.as_deref());
        line.number("duration_us", micros).end_after(note.tokens);
        response
    }

    fn event(&self, event: ConnectionEvent) {
        self.metrics.event(event.kind.label());
        let now = (self.sources.clock)();
        let (mut reason, mut unlogged) = (None, 0);
        if let EventKind::HandshakeFailed(failure) = event.kind {
            self.metrics.handshake_failure(failure);
            match self.handshake_lines.take(now) {
                Some(left_out) => (reason, unlogged) = (Some(failure.label()), left_out),
                None => return,
            }
        }
        let peer = event.peer.map(|peer| peer.to_string());
        let level = match event.kind {
            EventKind::HandlerPanicked | EventKind::ConnectionPanicked | EventKind::AcceptFailed => {
                Level::Error
            }
            EventKind::Refused | EventKind::Evicted => Level::Warning,
            _ => Level::Info,
        };
        let line = self.log.at(level, now, "connection").text("what", event.kind.label());
        let detail = Some(&*event.detail).filter(|detail| !detail.is_empty());
        let line = line.maybe("peer", peer.as_deref()).maybe("reason", reason).maybe("detail", detail);
        if unlogged > 0 { line.number("unlogged", unlogged).end() } else { line.end() }
    }
}

impl From<ClaimsError> for Refusal {
    fn from(error: ClaimsError) -> Self {
        match error {
            ClaimsError::Write(_) => Refusal::Internal,
            other => Refusal::Claims(other),
        }
    }
}
