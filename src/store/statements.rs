//! The statements, written once for both engines.
//!
//! Owns SQL. Must not know threads or transactions.

use super::engine::{Connection, Row, Value};
use super::entry::{
    Ended, Entry, Event, EventFilter, EventKind, Filter, Known, Listed, Revocation, Sought, Target,
};
use super::fault::StoreFault;
use crate::ground::time::UnixTime;

/// The columns of a token, as they are written and read, and whether they are text.
const COLUMNS: [(&str, bool); 14] = [
    ("id", true),
    ("profile", true),
    ("subject", true),
    ("audience", true),
    ("granted", true),
    ("issued_at", false),
    ("expires_at", false),
    ("key_id", true),
    ("peer", true),
    ("address", true),
    ("client", true),
    ("login", true),
    ("policy", true),
    ("rules", true),
];

/// The most tokens that one reading of [`list`] takes from the database.
const PAGE: u32 = 1000;

/// Writes tokens; one that is there already stays as it is, since a transaction whose end was not seen is
/// written again.
pub(super) fn insert(connection: &mut Connection, entries: &[&Entry]) -> Result<u64, StoreFault> {
    let rows: Vec<Vec<Value<'_>>> = entries.iter().map(|entry| fields(entry)).collect();
    connection.insert("token", &COLUMNS, &rows)
}

fn fields(entry: &Entry) -> Vec<Value<'_>> {
    vec![
        (&entry.id).into(),
        (&entry.profile).into(),
        (&entry.subject).into(),
        (&entry.audience).into(),
        (&entry.granted).into(),
        entry.issued_at.0.into(),
        entry.expires_at.0.into(),
        entry.key_id.as_ref().into(),
        (&entry.peer).into(),
        (&entry.address).into(),
        entry.client.as_ref().into(),
        entry.login.as_ref().into(),
        entry.policy.as_ref().into(),
        (&entry.rules).into(),
    ]
}

/// Writes an event.
pub(super) fn note(connection: &mut Connection, event: &Event) -> Result<(), StoreFault> {
    let values = [
        event.at.0.into(),
        event.kind.name().into(),
        event.subject.as_ref().into(),
        event.token.as_ref().into(),
        event.actor.as_ref().into(),
        (&event.detail).into(),
    ];
    let sql = "INSERT INTO event (happened_at, kind, subject, token, actor, detail) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    connection.execute(sql, &values).map(|_| ())
}

/// What reaches further than what is there takes its place.
const ON_CONFLICT: &str = "ON CONFLICT (kind, value) DO UPDATE SET cutoff = excluded.cutoff, \
    revoked_at = excluded.revoked_at, actor = excluded.actor WHERE excluded.cutoff > revocation.cutoff";

/// Writes a revocation, and that it was made. A refresh token is revoked with its login.
pub(super) fn revoke(connection: &mut Connection, revocation: &Revocation) -> Result<(), StoreFault> {
    let Revocation { target, before, at, actor } = revocation;
    let (kind, value, cutoff) = match target {
        Target::Token { id, expires_at } => ("token", id, expires_at.0),
        Target::User(name) => ("user", name, before.0),
        Target::Client(name) => ("client", name, before.0),
        Target::Key(id) => ("key", id, before.0),
    };
    let into = "INSERT INTO revocation (kind, value, cutoff, revoked_at, actor)";
    let values = [kind.into(), value.into(), cutoff.into(), at.0.into(), actor.into()];
    connection.execute(&format!("{into} VALUES ($1, $2, $3, $4, $5) {ON_CONFLICT}"), &values)?;
    if let Target::Token { id, .. } = target {
        // A refresh token ends its login: the one of its row, and the one that began with it, also where that row is
        // gone. The last of it to expire counts, which may outlive the refresh token by a little.
        let sql = format!(
            "{into} SELECT 'login', login, max(expires_at), CAST($1 AS BIGINT), CAST($2 AS TEXT) FROM token \
            WHERE login IN (SELECT CAST($3 AS TEXT) UNION ALL SELECT refresh.login FROM token refresh \
                WHERE refresh.id = $3 AND refresh.profile = 'refresh') GROUP BY login {ON_CONFLICT}"
        );
        connection.execute(&sql, &[at.0.into(), actor.into(), id.into()])?;
    }
    let (subject, token) = match target {
        Target::Token { id, .. } => (None, Some(id.clone())),
        Target::User(name) => (Some(name.clone()), None),
        Target::Client(_) | Target::Key(_) => (None, None),
    };
    let detail = match target {
        Target::Token { .. } => String::new(),
        _ => format!("{kind} {value}, issued until {before}"),
    };
    let (at, actor) = (*at, Some(actor.clone()));
    note(connection, &Event { number: 0, at, kind: EventKind::Revoked, subject, token, actor, detail })
}

/// When a token was revoked first, as an expression over those of its properties.
fn revoked_at([id, login, subject, issued_at, client, key_id]: [&str; 6]) -> String {
    format!(
        "(SELECT min(revoked_at) FROM revocation WHERE (kind = 'token' AND value = {id}) \
        OR (kind = 'login' AND value = {login}) \
        OR (kind = 'user' AND value = {subject} AND cutoff >= {issued_at}) \
        OR (kind = 'client' AND value = {client} AND cutoff >= {issued_at}) \
        OR (kind = 'key' AND value = {key_id} AND cutoff >= {issued_at}))"
    )
}

fn select() -> String {
    let revoked = revoked_at([
        "token.id",
        "token.login",
        "token.subject",
        "token.issued_at",
        "token.client",
        "token.key_id",
    ]);
    let columns = COLUMNS.map(|(name, _)| name).join(", ");
    format!("SELECT number, {columns}, {revoked} FROM token")
}

fn listed(row: &mut Row) -> Option<Listed> {
    Some(Listed {
        number: row.number()?,
        entry: Entry {
            id: row.text()?,
            profile: row.text()?,
            subject: row.text()?,
            audience: row.text()?,
            granted: row.text()?,
            issued_at: UnixTime(row.number()?),
            expires_at: UnixTime(row.number()?),
            key_id: row.text(),
            peer: row.text()?,
            address: row.text()?,
            client: row.text(),
            login: row.text(),
            policy: row.text(),
            rules: row.text()?,
        },
        revoked_at: row.number().map(UnixTime),
    })
}

/// Reads the rows of a statement as what they are.
fn read<T>(
    connection: &mut Connection,
    sql: &str,
    values: &[Value<'_>],
    what: impl Fn(&mut Row) -> Option<T>,
) -> Result<Vec<T>, StoreFault> {
    let rows = connection.rows(sql, values)?;
    let read: Option<Vec<T>> = rows.into_iter().map(|mut row| what(&mut row)).collect();
    read.ok_or_else(|| connection.strange())
}

/// What is known of a token.
pub(super) fn look(
    connection: &mut Connection,
    sought: &Sought<'_>,
    now: UnixTime,
) -> Result<Known, StoreFault> {
    let sql = format!("{} WHERE id = $1", select());
    if let Some(found) = read(connection, &sql, &[sought.id.into()], listed)?.pop() {
        let found = Box::new(found);
        return Ok(match found.revoked_at {
            Some(at) => Known::Revoked(Some(found), at),
            None if found.entry.expires_at <= now => Known::Expired(found),
            None => Known::Active(found),
        });
    }
    let sql = format!("SELECT {}", revoked_at(["$1", "$2", "$3", "$4", "$5", "$6"]));
    let values = [
        sought.id.into(),
        sought.id.into(),
        sought.subject.into(),
        sought.issued_at.0.into(),
        Value::Null,
        sought.key_id.into(),
    ];
    let revoked = read(connection, &sql, &values, |row| Some(row.number()))?.pop().flatten();
    Ok(revoked.map_or(Known::Unknown, |at| Known::Revoked(None, UnixTime(at))))
}

/// Conditions, joined by AND, with their parameters.
#[derive(Default)]
struct Conditions<'v> {
    text: String,
    values: Vec<Value<'v>>,
}

impl<'v> Conditions<'v> {
    /// `condition` ends where its parameter follows, as in `subject =`.
    fn add(&mut self, condition: &str, value: impl Into<Value<'v>>) {
        let value = value.into();
        if value == Value::Null {
            return;
        }
        self.values.push(value);
        self.text += if self.text.is_empty() { " WHERE " } else { " AND " };
        self.text += &condition.replace('?', &format!("${}", self.values.len()));
    }

    /// The statement with these conditions, the highest number first.
    fn newest(mut self, select: &str, limit: u32) -> (String, Vec<Value<'v>>) {
        self.values.push(i64::from(limit).into());
        let sql = format!("{select}{} ORDER BY number DESC LIMIT ${}", self.text, self.values.len());
        (sql, self.values)
    }
}

/// The tokens that a filter lets through.
pub(super) fn list(connection: &mut Connection, filter: &Filter) -> Result<Vec<Listed>, StoreFault> {
    let position = connection.spell("{position}(granted, ?) > 0");
    let repository = filter.repository.as_ref().map(|name| format!("repository:{name}:"));
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let (mut found, mut before) = (Vec::new(), filter.before);
    loop {
        let mut conditions = Conditions::default();
        for (condition, text) in [
            ("id = ?", &filter.id),
            ("subject = ?", &filter.subject),
            ("client = ?", &filter.client),
            ("key_id = ?", &filter.key_id),
            ("profile = ?", &filter.profile),
            ("login = ?", &filter.login),
            (&position, &repository),
        ] {
            conditions.add(condition, text.as_ref());
        }
        for (condition, time) in [
            ("issued_at >= ?", filter.issued_from),
            ("issued_at <= ?", filter.issued_until),
            ("expires_at > ?", filter.expires_after),
        ] {
            conditions.add(condition, time.map(|time| time.0));
        }
        conditions.add("number < ?", before);
        let (sql, values) = conditions.newest(&select(), filter.limit.min(PAGE));
        let page = read(connection, &sql, &values, listed)?;
        let last = page.len() < usize::try_from(filter.limit.min(PAGE)).unwrap_or(usize::MAX);
        before = page.last().map(|token| token.number).or(before);
        found.extend(page.into_iter().filter(|token| filter.fits(&token.entry.granted)));
        if last || found.len() >= limit {
            found.truncate(limit);
            return Ok(found);
        }
    }
}

/// What happened.
pub(super) fn events(connection: &mut Connection, filter: &EventFilter) -> Result<Vec<Event>, StoreFault> {
    let mut conditions = Conditions::default();
    conditions.add("kind = ?", filter.kind.map(EventKind::name));
    conditions.add("subject = ?", filter.subject.as_ref());
    conditions.add("happened_at >= ?", filter.from.map(|time| time.0));
    conditions.add("happened_at <= ?", filter.until.map(|time| time.0));
    conditions.add("number < ?", filter.before);
    let select = "SELECT number, happened_at, kind, subject, token, actor, detail FROM event";
    let (sql, values) = conditions.newest(select, filter.limit);
    read(connection, &sql, &values, |row| {
        let (number, at) = (row.number()?, UnixTime(row.number()?));
        let name = row.text()?;
        let kind = EventKind::ALL.into_iter().find(|kind| kind.name() == name)?;
        let (subject, token, actor) = (row.text(), row.text(), row.text());
        Some(Event { number, at, kind, subject, token, actor, detail: row.text()? })
    })
}

/// What a revocation ends: recorded tokens that had not expired.
pub(super) fn ended(
    connection: &mut Connection,
    target: &Target,
    before: UnixTime,
    now: UnixTime,
) -> Result<Ended, StoreFault> {
    let mut conditions = Conditions::default();
    match target {
        Target::Token { id, .. } => {
            conditions.add("(id = ? OR login = ?)", id);
        }
        Target::User(name) => conditions.add("subject = ?", name),
        Target::Client(name) => conditions.add("client = ?", name),
        Target::Key(id) => conditions.add("key_id = ?", id),
    }
    if !matches!(target, Target::Token { .. }) {
        conditions.add("issued_at <= ?", before.0);
    }
    conditions.add("expires_at > ?", now.0);
    let sql = format!("SELECT count(*), max(expires_at) FROM token{}", conditions.text);
    let count = |row: &mut Row| {
        let tokens = u64::try_from(row.number()?).ok()?;
        Some(Ended { tokens, latest: row.number().map(UnixTime) })
    };
    let found = read(connection, &sql, &conditions.values, count)?.pop();
    found.ok_or_else(|| connection.strange())
}

/// How many tokens there are.
pub(super) fn count(connection: &mut Connection) -> Result<u64, StoreFault> {
    let rows = read(connection, "SELECT count(*) FROM token", &[], |row| {
        row.number().and_then(|rows| u64::try_from(rows).ok())
    })?;
    Ok(rows.into_iter().sum())
}

/// The most rows that one transaction of [`prune`] takes away.
const PRUNED: i64 = 2000;

/// Takes away a part of what expired, or happened, before that time; gives how many tokens and how many rows
/// in all. There may be more where it is not 0.
pub(super) fn prune(connection: &mut Connection, until: UnixTime) -> Result<(u64, u64), StoreFault> {
    let values = [until.0.into(), PRUNED.into()];
    let rows = |table: &str, time: &str| {
        format!(
            "DELETE FROM {table} WHERE number IN \
            (SELECT number FROM {table} WHERE {time} < $1 ORDER BY {time} LIMIT $2)"
        )
    };
    let tokens = connection.execute(&rows("token", "expires_at"), &values)?;
    let events = connection.execute(&rows("event", "happened_at"), &values)?;
    let sql = "DELETE FROM revocation WHERE kind IN ('token', 'login') AND cutoff < $1";
    let revocations = connection.execute(sql, &[until.0.into()])?;
    Ok((tokens, tokens + events + revocations))
}
