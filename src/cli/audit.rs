//! `keypebble audit`: who got what, when, and by which rule.
//!
//! Owns the question and how the answer is put together. Must not know how records are kept. Decision: an answer says
//! what it may lack. Records that were dropped are counted in it, and a policy is only asked what it would have
//! granted if its hash is one that was in force.

mod answer;

use super::args::{Arguments, Spec, usage};
use super::print;
use super::store;
use super::tokens::{MOST, opened, some};
use crate::cli::error::{Error, Exit};
use crate::ground::file::Files;
use crate::ground::text::quoted;
use crate::ground::time::{Ttl, UnixTime};
use crate::ground::when::{FORMS, Readable, Span};
use crate::load::setup;
use crate::policy::scope::{Action, Resource, Scope};
use crate::policy::{self, Asker, Decision, Policy, Who};
use crate::store::Store;
use crate::store::entry::{Event, EventFilter, EventKind, Filter, Listed};
use answer::{Able, Answer};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The subcommand.
pub(super) const SPEC: Spec = Spec { name: "audit", operands: 0, help: include_str!("help/audit.txt"), run };

/// How many tokens, and how many events, are shown where nothing is said.
const LIMIT: u32 = 1000;

/// How many events are read at once.
const PAGE: u32 = 1000;

/// What is asked.
struct Audit {
    config: PathBuf,
    user: Option<String>,
    repository: Option<String>,
    action: Option<Action>,
    span: Option<(Reach, String)>,
    policy: Option<PathBuf>,
    limit: u32,
    json: bool,
}

/// How a time is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Tokens that counted then.
    At,
    /// Tokens issued since.
    Since,
}

fn read(mut arguments: Arguments) -> Result<Audit, Error> {
    let (at, since) = (arguments.name("at")?, arguments.name("since")?);
    let span = match (at, since) {
        (Some(_), Some(_)) => return Err(usage("--at and --since exclude each other")),
        (at, since) => at.map(|text| (Reach::At, text)).or(since.map(|text| (Reach::Since, text))),
    };
    let (user, repository) = (arguments.name("user")?, arguments.name("repository")?);
    if let Some(name) = &repository
        && !matches!(Resource::repository(name), Resource::Repository(_))
    {
        let error = usage(format!("--repository: {} is not a repository's name", quoted("", name)));
        return Err(
            error.with_hint("such as alice/app: without `repository:`, an action, a tag or a pattern")
        );
    }
    let action = arguments.one_of("action", &Action::REPOSITORY.map(Action::name), action)?;
    let policy = arguments.path("policy")?;
    if repository.is_none() && (action.is_some() || policy.is_some()) {
        return Err(arguments.missing("--repository NAME for --action and --policy"));
    }
    let (limit, json) = (arguments.number("limit", 1..=MOST)?.unwrap_or(LIMIT), arguments.switch("json"));
    let config = arguments.config()?;
    Ok(Audit { config, user, repository, action, span, policy, limit, json })
}

fn action(name: &str) -> Option<Action> {
    Action::from_name(name).filter(|action| Action::REPOSITORY.contains(action))
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let command = &read(arguments)?;
    let now = UnixTime::now();
    let span = command.span.as_ref().map(|(reach, text)| reach.span(text, now)).transpose()?;
    let mut config = setup::config(&command.config, &mut Files::default())?;
    let store = opened(&store::of(config.store.take())?)?;
    let at = matches!(command.span, Some((Reach::At, _)));
    let filter = Filter {
        subject: command.user.clone(),
        action: command.action.map(|action| action.name().to_owned()),
        issued_from: span.filter(|_| !at).map(|span| span.from),
        issued_until: span.map(|span| span.until),
        expires_after: span.filter(|_| at).map(|span| span.from),
        limit: command.limit,
        ..Filter::default()
    };
    let hosts: Vec<&str> = config.services().collect();
    let (tokens, more) = granted_on(&store, command.repository.as_deref(), &hosts, &filter)?;
    let within = |kind| EventFilter {
        kind: Some(kind),
        subject: None,
        from: span.map(|span| span.from),
        until: span.map(|span| span.until),
        before: None,
        limit: PAGE,
    };
    let policies = policies(&store, within(EventKind::Policy))?;
    let (events, more_events) = happened(&store, command, &tokens, within)?;
    // A token of that time was issued earlier, and a loss is recorded later than it happens.
    let from = span.map(|span| span.from.minus_seconds(if at { Ttl::MAX.seconds() } else { 0 }));
    let lost = EventFilter { from, until: None, ..within(EventKind::Dropped) };
    let dropped = gather(&store, lost, usize::MAX, |_| true)?.iter().map(lost_records).sum();
    let able = match (&command.policy, &command.repository) {
        (Some(path), Some(repository)) => {
            let default_ttl = config.lifetimes.default;
            let asker = Asker { who: Who::Anonymous, hosts: &hosts, default_ttl };
            Some(able(command, path, repository, &policies, asker)?)
        }
        _ => None,
    };
    let more = more || more_events;
    let answer = Answer { tokens, more, limit: command.limit, policies, events, dropped, able, now };
    print(&if command.json { answer.json() } else { answer.text() })
}

impl Reach {
    fn span(self, text: &str, now: UnixTime) -> Result<Span, Error> {
        let flag = match self {
            Reach::At => "--at",
            Reach::Since => "--since",
        };
        let span = Span::parse(text, now);
        let span = span.ok_or_else(|| usage(format!("{flag}: {FORMS}, found {}", quoted("", text))))?;
        if span.from > now {
            return Err(usage(format!("{flag}: {} UTC is yet to come", Readable(span.from))));
        }
        Ok(match self {
            Reach::At => span,
            Reach::Since => Span { until: now, ..span },
        })
    }
}

/// The latest tokens that a filter lets through, and whether there are more. A token may name a repository with one
/// of the registry's own names before it, as the policy allows.
fn granted_on(
    store: &Store,
    repository: Option<&str>,
    hosts: &[&str],
    filter: &Filter,
) -> Result<(Vec<Listed>, bool), Error> {
    let Some(name) = repository else { return some(store, filter.clone()) };
    let (mut tokens, mut more) = (Vec::new(), false);
    for resource in policy::names(&Resource::repository(name), hosts) {
        let repository = Some(resource.name().to_owned());
        let (found, cut) = some(store, Filter { repository, ..filter.clone() })?;
        tokens.extend(found);
        more |= cut;
    }
    tokens.sort_by_key(|token| std::cmp::Reverse(token.number));
    tokens.dedup_by_key(|token| token.number);
    let most = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    more |= tokens.len() > most;
    tokens.truncate(most);
    Ok((tokens, more))
}

/// What was revoked, and what was used after that, as far as it may be about what is asked; and whether there is more.
fn happened(
    store: &Store,
    command: &Audit,
    tokens: &[Listed],
    within: impl Fn(EventKind) -> EventFilter,
) -> Result<(Vec<Event>, bool), Error> {
    let all = command.user.is_none() && command.repository.is_none();
    // What ends a login ends its tokens, too.
    let ids =
        tokens.iter().map(|token| &token.entry).flat_map(|entry| [Some(&entry.id), entry.login.as_ref()]);
    let ids: HashSet<&str> = ids.flatten().map(String::as_str).collect();
    let users: HashSet<&str> =
        tokens.iter().map(|token| token.entry.subject.as_str()).chain(command.user.as_deref()).collect();
    let listed = |text: &Option<String>, known: &HashSet<&str>| {
        text.as_deref().is_some_and(|text| known.contains(text))
    };
    let concerns = |event: &Event| match (&event.token, &event.subject) {
        _ if all => true,
        (None, None) => true, // all of a client, or of a key
        (token, user) => listed(token, &ids) || listed(user, &users),
    };
    let most = usize::try_from(command.limit).unwrap_or(usize::MAX);
    let mut events = Vec::new();
    for kind in [EventKind::Revoked, EventKind::RevokedTokenUsed] {
        events.extend(gather(store, within(kind), most, concerns)?);
    }
    events.sort_by_key(|event| std::cmp::Reverse((event.at, event.number)));
    let more = events.len() > most;
    events.truncate(most);
    Ok((events, more))
}

/// The latest events that are to be kept, page by page: more than so many only to tell that there are more.
fn gather(
    store: &Store,
    mut filter: EventFilter,
    most: usize,
    keep: impl Fn(&Event) -> bool,
) -> Result<Vec<Event>, Error> {
    let mut found = Vec::new();
    loop {
        let page = store.events(&filter).map_err(Error::Store)?;
        let is_last = u32::try_from(page.len()).is_ok_and(|rows| rows < filter.limit);
        filter.before = page.last().map(|event| event.number);
        found.extend(page.into_iter().filter(&keep));
        if is_last || found.len() > most {
            return Ok(found);
        }
    }
}

/// How many records such an event speaks of: its detail begins with the number.
fn lost_records(event: &Event) -> u64 {
    event.detail.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// The policies that were in force, the latest first: each change, and the one before it all.
fn policies(store: &Store, within: EventFilter) -> Result<Vec<Event>, Error> {
    let from = within.from;
    let mut found = gather(store, within.clone(), usize::MAX, |_| true)?;
    if let Some(from) = from {
        let before = EventFilter { from: None, until: Some(from.minus_seconds(1)), limit: 1, ..within };
        found.extend(store.events(&before).map_err(Error::Store)?);
    }
    // A start with the same policy is no change; the earliest of equals is when it came.
    found.reverse();
    found.dedup_by(|later, earlier| later.detail == earlier.detail);
    found.reverse();
    Ok(found)
}

/// Who could have got something on that repository, by a policy that was in force.
fn able(
    command: &Audit,
    path: &Path,
    repository: &str,
    policies: &[Event],
    asker: Asker<'_>,
) -> Result<Able, Error> {
    let policy = setup::policy(path, &mut Files::default())?;
    if !policies.iter().any(|event| event.detail == policy.digest()) {
        let known: Vec<&str> = policies.iter().map(|event| event.detail.as_str()).collect();
        let message = format!("{} was not in force then: its SHA-256 is {}", path.display(), policy.digest());
        return Err(Error::said(Exit::Failed, message).with_hint(match known.as_slice() {
            [] => "no policy is recorded for that time".to_owned(),
            known => format!("find the file with this hash among its versions: {}", known.join(" or ")),
        }));
    }
    let actions = command.action.map_or(Action::REPOSITORY.to_vec(), |action| vec![action]);
    let names = actions.iter().map(|action| action.name());
    let scope = Scope::new("repository", repository, names)
        .map_err(|error| usage(format!("--repository: {error}")))?;
    let rows = who(&policy, command.user.as_deref())
        .into_iter()
        .flat_map(|who| granted(&policy, &Asker { who, ..asker }, &scope))
        .collect();
    Ok(Able { policy: policy.digest().to_owned(), rows })
}

fn who<'p>(policy: &'p Policy, user: Option<&'p str>) -> Vec<Who<'p>> {
    let users = user.map_or_else(|| policy.users(), |user| vec![user]);
    let anonymous = (user.is_none() && policy.has_anonymous()).then_some(Who::Anonymous);
    users.into_iter().map(Who::User).chain(anonymous).collect()
}

/// Whom it grants which action, and by which rule.
fn granted(policy: &Policy, asker: &Asker<'_>, scope: &Scope) -> Vec<[String; 3]> {
    let explanation = policy.explain(asker, std::slice::from_ref(scope));
    let decisions = explanation.scopes.iter().flat_map(|scope| &scope.actions);
    let rows = decisions.filter_map(|(action, decision, _)| match decision {
        Decision::Granted { by, .. } => {
            Some([asker.who.name().to_owned(), action.name().to_owned(), by.to_string()])
        }
        Decision::Denied { .. } | Decision::Unmatched => None,
    });
    rows.collect()
}
