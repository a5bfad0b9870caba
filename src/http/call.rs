//! One request on its way to an answer, and what is noted of it.
//!
//! Owns what every endpoint that makes tokens needs: the time, a new id, the one act of issuing with its line
//! of the log and its count. Must not know what an endpoint asks.

use super::refusal::Refusal;
use super::request::{Body, Peer, Request};
use super::route::{Parameters, Route};
use super::{Service, State};
use crate::ground::time::UnixTime;
use crate::issuer::{Issuance, IssueError, Issued, REFRESH, Record, SealedBy};
use crate::policy::Asker;
use crate::policy::scope::Access;
use crate::store::entry::{self, Entry, Known, Sought};
use crate::store::fault::StoreFault;
use crate::telemetry::log::Finished;

/// What the log says of a request beside its answer.
#[derive(Debug, Default)]
pub(super) struct Note {
    pub(super) user: Option<String>,
    /// What the operator should know and the client should not.
    pub(super) detail: Option<String>,
    /// What sealed the token that was made; it is counted when it is given.
    pub(super) sealed_by: Option<SealedBy>,
    /// Whether a refresh token was made.
    pub(super) began: bool,
    /// The lines of the tokens that were made; they are written with the request's, when they are given.
    pub(super) tokens: Option<Finished>,
    /// The same tokens for the store, where there is one; they are kept before the answer is given.
    pub(super) entries: Vec<Entry>,
}

/// What an endpoint works with.
pub(super) struct Call<'c> {
    pub(super) service: &'c Service,
    pub(super) state: &'c State,
    pub(super) request: &'c Request<'c>,
    /// For whom the peer passes it on; the peer itself where it does not.
    pub(super) client: Peer,
    pub(super) route: Route<'c>,
    pub(super) note: &'c mut Note,
    pub(super) origin: Origin,
}

/// The most characters of a client's own name that are kept.
const MAX_CLIENT: usize = 200;

/// Where a token comes from, for the store. An endpoint fills it in before it issues.
#[derive(Debug, Default)]
pub(super) struct Origin {
    /// The client's own name.
    pub(super) client: Option<String>,
    /// The refresh token that was used.
    pub(super) login: Option<String>,
    /// The rules that granted what is in the token.
    pub(super) rules: String,
}

impl<'c> Call<'c> {
    pub(super) fn now(&self) -> UnixTime {
        (self.service.sources.clock)()
    }

    /// The request's whole body.
    pub(super) fn body(&self) -> Result<&'c [u8], Refusal> {
        match self.request.body {
            Body::Bytes(body) => Ok(body),
            Body::Absent => Err(Refusal::LengthRequired),
            Body::TooLarge => Err(Refusal::TooLarge),
            Body::Incomplete => Err(Refusal::Timeout),
            Body::Malformed(problem) => Err(Refusal::Malformed(problem)),
        }
    }

    /// The same, of a request that says that it sends JSON.
    pub(super) fn json(&self) -> Result<&'c [u8], Refusal> {
        let body = self.body()?;
        let is_json = self.request.media_type()?.eq_ignore_ascii_case(b"application/json");
        if is_json { Ok(body) } else { Err(Refusal::MediaType) }
    }

    /// Makes a token, and notes it for the counters, and for the log with `more` fields of the endpoint's.
    pub(super) fn issue<'i>(
        &mut self,
        issuance: &Issuance<'i>,
        now: UnixTime,
        more: &[(&'static str, &str)],
    ) -> Result<Issued<'i>, Refusal>
    where
        'c: 'i,
    {
        let state: &'c State = self.state;
        let Some(id) = (self.service.sources.id)() else {
            return Err(self.fault("the system gives no random numbers".to_owned()));
        };
        let issued = state.issuer.issue(issuance, now, id).map_err(|error| match error {
            IssueError::Claims(error) => error.into(),
            IssueError::Seal(error) => self.fault(error.to_string()),
        })?;
        match issued.record.profile {
            REFRESH => self.note.began = true,
            _ => self.note.sealed_by = Some(issued.record.algorithm),
        }
        let line = self.service.log.line(now, "token").text("route", self.route.label());
        let line = line.record(&issued.record).plain("peer", self.request.peer).plain("client", self.client);
        let line = more.iter().fold(line, |line, (key, value)| line.text(key, value));
        self.note.tokens = Some(line.finish_after(self.note.tokens.take()));
        if self.service.store.is_some() {
            self.note.entries.push(self.entry(&issued.record));
        }
        Ok(issued)
    }

    /// Notes for the store, where there is one, which rules grant what is to be issued.
    pub(super) fn note_rules(&mut self, asker: &Asker<'_>, access: &[Access]) {
        if self.service.store.is_some() {
            self.origin.rules = self.state.enforcement.reasons(asker, access);
        }
    }

    /// Notes for the store what the client calls itself.
    pub(super) fn note_client(&mut self, parameters: &Parameters<'_>) {
        let name = parameters.all("client_id").next().filter(|name| !name.is_empty());
        if self.service.store.is_some() {
            self.origin.client = name.map(|name| name.chars().take(MAX_CLIENT).collect());
        }
    }

    /// A token as the store keeps it.
    fn entry(&self, record: &Record<'_>) -> Entry {
        let begins = record.profile == REFRESH;
        Entry {
            peer: self.request.peer.to_string(),
            address: self.client.to_string(),
            client: self.origin.client.clone(),
            login: if begins { Some(record.id.clone()) } else { self.origin.login.clone() },
            policy: self.state.enforcement.digest().map(|digest| entry::short(digest).to_owned()),
            rules: if begins { String::new() } else { self.origin.rules.clone() },
            ..Entry::of(record)
        }
    }

    /// What the store knows of a token. `None` where that is nothing, and the token counts all the same: there is no
    /// store, or it is not required. The token may be older than the store, or its record was dropped.
    pub(super) fn known(&mut self, sought: &Sought<'_>, now: UnixTime) -> Result<Option<Known>, Refusal> {
        let Some(store) = &self.service.store else { return Ok(None) };
        let known = store.look(sought, now).map_err(|fault| self.forgetful(&fault))?;
        Ok(Some(known).filter(|known| *known != Known::Unknown || store.config().required))
    }

    /// The store cannot be asked: the log says why.
    pub(super) fn forgetful(&mut self, fault: &StoreFault) -> Refusal {
        self.note.detail = Some(fault.to_string());
        Refusal::Forgetful
    }

    /// The server's own fault: the log says which.
    fn fault(&mut self, detail: String) -> Refusal {
        self.note.detail = Some(detail);
        Refusal::Internal
    }
}
