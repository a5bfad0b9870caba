//! PostgreSQL: a server that several nodes share.
//!
//! Owns the connection, its deadlines, and what the server's errors mean. Decision: the asynchronous client is
//! used directly, on a runtime of its own within the calling thread, because its blocking form waits for ever
//! for a server that has gone silent, and answers whatever kind of password a server asks for.

mod guard;
mod passfile;
mod tls;

use super::{INIT, Row, Value};
use crate::store::config::StoreConfig;
use crate::store::fault::StoreFault;
use crate::store::server::{Host, Server, TlsMode};
use guard::{GuardedTls, Watched};
use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, Error, NoTls, Statement};

/// From the first packet to a server that takes statements, for each host.
const CONNECT: Duration = Duration::from_secs(4);
/// For one statement, here; the server gives up a little earlier.
const STATEMENT: Duration = Duration::from_secs(10);
/// For what may read the whole store.
const LONG: Duration = Duration::from_secs(600);

/// What every session begins with. The schema has a name of its own, and nothing else is searched, so that
/// nobody's table can stand in for ours.
const SESSION: &str = "SET search_path TO keypebble; SET statement_timeout TO '8s'; SET lock_timeout TO '4s'; \
    SET idle_in_transaction_session_timeout TO '15s'";

/// The words in which the schema and the statements differ.
pub(super) const WORDS: [(&str, &str); 4] = [
    ("{number}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
    ("{integer}", "BIGINT"),
    ("{table}", ""),
    ("{position}", "strpos"),
];

/// An open session.
pub(in crate::store) struct Postgres {
    runtime: Runtime,
    client: Client,
    statements: HashMap<String, Statement>,
    config: StoreConfig,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Postgres {
    /// The first host that can be written.
    pub(super) fn open(config: &StoreConfig, server: &Server) -> Result<Self, StoreFault> {
        let passing = |error: std::io::Error| StoreFault::passing(config, error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(passing)?;
        let mut last = None;
        for host in &server.hosts {
            let reached = runtime.block_on(async {
                match tokio::time::timeout(CONNECT, connect(config, server, host)).await {
                    Ok(reached) => reached,
                    Err(_) => Err(late(config, &format!("{host} gave no connection"), CONNECT)),
                }
            });
            match reached {
                Ok(client) => {
                    let (statements, config) = (HashMap::new(), config.clone());
                    return Ok(Self { runtime, client, statements, config });
                }
                // A fault that somebody must mend is worth more than a host that is away.
                Err(fault) if last.as_ref().is_none_or(|last: &StoreFault| !last.lasting) => {
                    last = Some(fault);
                }
                Err(_) => {}
            }
        }
        Err(last.unwrap_or_else(|| StoreFault::lasting(config, "the URL names no host")))
    }

    /// Runs to its end, or to the deadline. After that nothing is known of the session, and it is given up.
    fn wait<T>(
        &mut self,
        deadline: Duration,
        act: impl AsyncFnOnce(&Client, &mut HashMap<String, Statement>) -> Result<T, Error>,
    ) -> Result<T, StoreFault> {
        let Self { runtime, client, statements, config } = self;
        runtime.block_on(async {
            match tokio::time::timeout(deadline, act(client, statements)).await {
                Ok(done) => done.map_err(|error| fault(config, &error)),
                Err(_) => Err(late(config, "no answer", deadline)),
            }
        })
    }

    fn batch(&mut self, sql: &str) -> Result<(), StoreFault> {
        self.wait(STATEMENT, async |client, _| client.batch_execute(sql).await)
    }

    fn number(&mut self, sql: &str) -> Result<i64, StoreFault> {
        let rows = self.rows(sql, &[])?;
        rows.into_iter().next().and_then(|mut row| row.number()).ok_or_else(|| self.strange())
    }

    pub(super) fn version(&mut self) -> Result<Option<usize>, StoreFault> {
        // Of ours are: nothing, an empty schema that somebody made for us, and one with its version.
        let tables = "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
            ON n.oid = c.relnamespace WHERE n.nspname = 'keypebble'";
        if self.number(tables)? == 0 {
            return Ok(Some(0));
        }
        let ours = format!("{tables} AND c.relname = 'version' AND c.relkind = 'r'");
        if self.number(&ours)? == 0 {
            return Ok(None);
        }
        Ok(usize::try_from(self.number("SELECT COALESCE(max(number), 0) FROM keypebble.version")?).ok())
    }

    pub(super) fn set_version(&mut self, version: usize) -> Result<(), StoreFault> {
        self.batch(&format!("DELETE FROM version; INSERT INTO version VALUES ({version})"))
    }

    pub(super) fn begin(&mut self, durable: bool) -> Result<(), StoreFault> {
        if durable || self.config.required {
            self.batch("BEGIN")
        } else {
            self.batch("BEGIN; SET LOCAL synchronous_commit TO OFF")
        }
    }

    /// The lock is the server's own, by a number that is ours ("Kpeb"), and ends with the transaction.
    pub(super) fn begin_migration(&mut self) -> Result<(), StoreFault> {
        self.batch("BEGIN; SELECT pg_advisory_xact_lock(1265657186)")?;
        let schema = "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'keypebble'";
        if self.number(schema)? == 0 {
            self.batch("CREATE SCHEMA keypebble")?;
        }
        let table = "SELECT count(*) FROM pg_catalog.pg_tables \
            WHERE schemaname = 'keypebble' AND tablename = 'version'";
        if self.number(table)? == 0 {
            self.batch("CREATE TABLE version (number BIGINT NOT NULL)")?;
        }
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<(), StoreFault> {
        self.batch("COMMIT")
    }

    pub(super) fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreFault> {
        self.wait(STATEMENT, async |client, statements| {
            let statement = prepared(client, statements, sql).await?;
            client.execute(&statement, &parameters(values)).await
        })
    }

    /// All rows in one statement: each column is an array.
    pub(super) fn insert(
        &mut self,
        table: &str,
        columns: &[(&str, bool)],
        rows: &[Vec<Value<'_>>],
    ) -> Result<u64, StoreFault> {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let arrays: Vec<String> = (1..)
            .zip(columns)
            .map(|(place, (_, text))| format!("${place}::{}[]", if *text { "text" } else { "bigint" }))
            .collect();
        let sql = format!(
            "INSERT INTO {table} ({}) SELECT * FROM unnest({}) ON CONFLICT DO NOTHING",
            names.join(", "),
            arrays.join(", ")
        );
        let column = |at: usize| rows.iter().map(|row| &row[at]).collect::<Vec<_>>();
        let columns: Vec<Vec<&Value<'_>>> = (0..columns.len()).map(column).collect();
        self.wait(STATEMENT, async |client, statements| {
            let statement = prepared(client, statements, &sql).await?;
            let values: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| column as _).collect();
            client.execute(&statement, &values).await
        })
    }

    pub(super) fn rows(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreFault> {
        let rows = self.wait(STATEMENT, async |client, statements| {
            let statement = prepared(client, statements, sql).await?;
            client.query(&statement, &parameters(values)).await
        })?;
        let field = |row: &tokio_postgres::Row, at: usize| match *row.columns()[at].type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(at).map(Value::from),
            _ => row
                .try_get::<_, Option<String>>(at)
                .map(|text| text.map_or(Value::Null, |text| Value::Text(text.into()))),
        };
        let read = |row: &tokio_postgres::Row| {
            (0..row.len()).map(|at| field(row, at)).collect::<Result<Vec<_>, Error>>().map(Row::new)
        };
        let rows: Result<Vec<Row>, Error> = rows.iter().map(read).collect();
        rows.map_err(|error| fault(&self.config, &error))
    }

    /// PostgreSQL looks after its own pages; what is seen here is whether every row can be read.
    pub(super) fn examine(&mut self) -> Result<(), StoreFault> {
        self.batch("SET statement_timeout TO '600s'")?;
        for table in ["token", "revocation", "event"] {
            let sql = format!("SELECT count(t::text) FROM {table} t");
            self.wait(LONG, async |client, _| client.query(&sql, &[]).await)?;
        }
        self.batch(SESSION)
    }

    pub(super) fn backup(&mut self, _: &Path) -> Result<(), StoreFault> {
        Err(StoreFault::lasting(&self.config, "only a store in a file is copied here")
            .hint("pg_dump --schema=keypebble copies one in PostgreSQL"))
    }

    pub(super) fn strange(&self) -> StoreFault {
        StoreFault::lasting(&self.config, "it holds what Keypebble did not write")
            .hint("restore a backup of the schema keypebble")
    }
}

/// A statement, prepared once for each session. Their number is that of the statements in the source.
async fn prepared(
    client: &Client,
    statements: &mut HashMap<String, Statement>,
    sql: &str,
) -> Result<Statement, Error> {
    if let Some(statement) = statements.get(sql) {
        return Ok(statement.clone());
    }
    let statement = client.prepare(sql).await?;
    statements.insert(sql.to_owned(), statement.clone());
    Ok(statement)
}

fn parameters<'p>(values: &'p [Value<'p>]) -> Vec<&'p (dyn ToSql + Sync)> {
    values.iter().map(|value| value as _).collect()
}

async fn connect(config: &StoreConfig, server: &Server, host: &Host) -> Result<Client, StoreFault> {
    let unreachable = |error: std::io::Error| {
        StoreFault::passing(config, format!("{host} cannot be reached: {error}"))
            .hint("is PostgreSQL running there?")
    };
    let mut login = Config::new();
    login.user(&server.user).dbname(&server.database).application_name("keypebble");
    let password = passfile::password(server, host)
        .map_err(|[what, hint]| StoreFault::lasting(config, what).hint(hint))?;
    if let Some(password) = &password {
        login.password(password.as_slice());
    }
    let client = match host {
        Host::Unix(folder, port) => {
            let path = folder.join(format!(".s.PGSQL.{port}"));
            let stream = UnixStream::connect(path).await.map_err(unreachable)?;
            login.ssl_mode(SslMode::Disable);
            start(config, &login, Watched::new(stream), NoTls).await?
        }
        Host::Tcp(name, port) => {
            let stream = TcpStream::connect((name.as_str(), *port)).await.map_err(unreachable)?;
            stream.set_nodelay(true).map_err(unreachable)?;
            if server.mode == TlsMode::Disable {
                login.ssl_mode(SslMode::Disable);
                start(config, &login, Watched::new(stream), NoTls).await?
            } else {
                login.ssl_mode(SslMode::Require);
                let tls = tls::connector(server, name)
                    .map_err(|[what, hint]| StoreFault::lasting(config, what).hint(hint))?;
                start(config, &login, stream, GuardedTls(tls)).await?
            }
        }
    };
    let begin = async {
        client.batch_execute(SESSION).await?;
        let sql = "SELECT current_setting('transaction_read_only'), current_setting('server_encoding')";
        let row = client.query_one(sql, &[]).await?;
        Ok((row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?))
    };
    let (read_only, encoding) = begin.await.map_err(|error| fault(config, &error))?;
    // In SQL_ASCII every byte stands for itself.
    if !["UTF8", "SQL_ASCII"].contains(&encoding.as_str()) {
        let what = format!("the database is in {encoding}, which cannot hold every name");
        return Err(StoreFault::lasting(config, what).hint(
            "make it with: createdb --encoding=UTF8 --template=template0 --owner=keypebble keypebble",
        ));
    }
    if read_only == "on" {
        return Err(StoreFault::passing(config, format!("{host} is a standby, which can only be read")));
    }
    Ok(client)
}

/// Logs in. What the connection does, it does on the runtime while somebody waits for a statement.
async fn start<S, T>(config: &StoreConfig, login: &Config, stream: S, tls: T) -> Result<Client, StoreFault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: tokio_postgres::tls::TlsConnect<S>,
    T::Stream: Send + 'static,
{
    let (client, connection) = login.connect_raw(stream, tls).await.map_err(|error| fault(config, &error))?;
    // How it ends is told by the statement that fails then.
    tokio::spawn(async { drop(connection.await) });
    Ok(client)
}

fn late(config: &StoreConfig, what: &str, deadline: Duration) -> StoreFault {
    StoreFault::passing(config, format!("{what} within {} s", deadline.as_secs()))
}

/// What the server or the client said.
fn fault(config: &StoreConfig, error: &Error) -> StoreFault {
    let Some(said) = error.as_db_error() else {
        let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        let fault = StoreFault::passing(config, format!("{error}{source}"));
        // What will be the same the next time: a certificate, a kind of password.
        let lasting = ["error performing TLS handshake", "invalid configuration"]
            .iter()
            .any(|start| fault.what.starts_with(start))
            || source.contains(guard::REFUSED);
        return StoreFault { lasting, ..fault };
    };
    let text = format!("{} ({})", said.message(), said.code().code());
    let hint = match *said.code() {
        SqlState::INSUFFICIENT_PRIVILEGE => {
            "let the schema's owner run `keypebble store init`, and grant the rights of docs/store.md"
        }
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "the password comes from the passfile; pg_hba.conf of the server says who may log in"
        }
        SqlState::INVALID_CATALOG_NAME => "make it with: createdb --owner=keypebble keypebble",
        SqlState::UNDEFINED_TABLE => INIT,
        // Data that cannot be had (a text that the database cannot hold), rules, and limits (of an index).
        ref code => {
            let refused = ["22", "23", "54"].iter().any(|class| code.code().starts_with(class));
            return StoreFault { refused, ..StoreFault::passing(config, text) };
        }
    };
    StoreFault::lasting(config, text).hint(hint)
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Integer(number) => number.to_sql(kind, out),
            // The one character that PostgreSQL's text cannot hold.
            Value::Text(text) if text.contains('\0') => text.replace('\0', "\u{fffd}").to_sql(kind, out),
            Value::Text(text) => text.as_ref().to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::TEXT)
    }

    to_sql_checked!();
}
