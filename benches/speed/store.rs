//! What a memory costs: `/v2/token` with ES256 with and without a store, and a store that grows.

use crate::cluster::Cluster;
use crate::common::encode::base64url;
use crate::common::{Folder, free_address};
use crate::http::rounds;
use crate::process::{POLICY, Place, Server};
use crate::{BINARY, median};
use keypebble::ground::time::UnixTime;
use keypebble::store::config::{Place as Where, StoreConfig};
use keypebble::store::entry::{Entry, Filter, Revocation, Sought, Target};
use keypebble::store::server::Server as Postgres;
use keypebble::store::{self, Store};
use std::io::Write;
use std::process::Command;
use std::time::Instant;

const CONNECTIONS: usize = 16;

/// The server without a store, and with each kind.
pub(crate) fn run() {
    let place = Place::new();
    let files = Folder::new();
    let mut cluster = Cluster::start("scram-sha-256");
    // As a server is that keeps what it acknowledges.
    cluster.set("fsync=on");
    cluster.crash();
    cluster.resume();
    let mut kinds = vec![("none".to_owned(), String::new())];
    for required in [false, true] {
        let name = if required { "required" } else { "not required" };
        let database = format!("bench{required}");
        cluster.database(&database);
        let file = files.join(&format!("{database}.db"));
        for (engine, url) in
            [("SQLite", format!("sqlite:{}", file.display())), ("PostgreSQL", cluster.socket_url(&database))]
        {
            kinds.push((format!("{engine}, {name}"), format!("store: {url}\nstore_required: {required}\n")));
        }
    }
    let servers: Vec<Server> = kinds.iter().map(|(_, store)| serve(&place, store)).collect();
    let measured = rounds(&servers.iter().collect::<Vec<_>>(), CONNECTIONS);
    println!("\n## `GET /v2/token`, ES256, {CONNECTIONS} connections, by the store\n");
    println!("| store | a second | of none | server us |\n|---|---|---|---|");
    for ((name, _), round) in kinds.iter().zip(&measured) {
        let of_none = round.rate / measured[0].rate;
        println!("| {name} | {:.0} | {of_none:.2} | {:.1} |", round.rate, round.server * 1e6);
    }
    println!("\nAn fsync of 4 KiB in the same folder: {:.0} us.", fsync(&files) * 1e6);
    let server = Postgres::parse(&cluster.socket_url("benchtrue"), std::path::Path::new("/")).unwrap();
    let config = StoreConfig { place: Where::Postgres(server), required: true, keep_days: 1 };
    let store = Store::open(&config, Box::new(|_| ())).unwrap();
    let sought = Sought { id: "none", subject: "x", key_id: None, issued_at: UnixTime(0) };
    let looks = (0..200).map(|_| time(|| drop(store.look(&sought, UnixTime(0)).unwrap())));
    println!("A look at PostgreSQL, there and back: {:.0} us.", median(looks.collect()) * 1e6);
    let one = (0..200).map(|number| time(|| store.commit(vec![entry(number)]).unwrap()));
    println!("One record written there, alone: {:.0} us.", median(one.collect()) * 1e6);
}

fn serve(place: &Place, store: &str) -> Server {
    let address = free_address();
    let limits = "limits: { requests_per_connection: 1000000000 }";
    let plain = std::fs::read_to_string(place.config("ES256", address, limits)).unwrap();
    let config = place.write("config.yaml", &(plain + store));
    if !store.is_empty() {
        let made = Command::new(BINARY).args(["store", "init", "--config"]).arg(&config).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let policy = place.write("policy.yaml", POLICY);
    let mut command = Command::new(BINARY);
    command.arg("serve").arg("--config").arg(config).arg("--policy").arg(policy);
    Server::start(command, address)
}

/// Seconds for a write and its sync: the median.
fn fsync(folder: &Folder) -> f64 {
    let mut file = std::fs::File::create(folder.join("fsync")).unwrap();
    let times = (0..200).map(|_| {
        let began = Instant::now();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        began.elapsed().as_secs_f64()
    });
    median(times.collect())
}

/// What a store costs at each power of ten of its tokens, up to so many.
pub(crate) fn growth(most: u64) {
    let folder = Folder::new();
    let config = StoreConfig { place: Where::Sqlite(folder.join("s.db")), required: false, keep_days: 1 };
    grow("SQLite", &config, most, || std::fs::metadata(folder.join("s.db")).unwrap().len());
    let cluster = Cluster::start("scram-sha-256");
    cluster.database("growth");
    let server = Postgres::parse(&cluster.socket_url("growth"), std::path::Path::new("/")).unwrap();
    let config = StoreConfig { place: Where::Postgres(server), ..config };
    let size = || {
        cluster.sql("growth", "CHECKPOINT");
        cluster.sql("growth", "SELECT pg_database_size('growth')").parse().unwrap()
    };
    grow("PostgreSQL", &config, most, size);
}

fn grow(engine: &str, config: &StoreConfig, most: u64, size: impl Fn() -> u64) {
    store::init(config).unwrap();
    let store = Store::open(config, Box::new(|notice| panic!("{notice:?}"))).unwrap();
    println!("\n## A store that grows, {engine}\n");
    println!(
        "| tokens | issue us | look us | list 50 of a user us | search all for a repository ms | revoke ms | prune us | size MB | bytes a token |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let (mut number, mut goal, mut pruned) = (0, 1000, 0);
    while goal <= most {
        // Most of it in large transactions, which are quicker: what is measured are the last, of a thousand each.
        let mut commits = Vec::new();
        while number < goal {
            let left = goal - number;
            let count = if left > 10_000 { (left - 10_000).min(10_000) } else { 1000 };
            let batch: Vec<Entry> = (number..number + count).map(entry).collect();
            let took = time(|| {
                store.commit(batch).unwrap();
            });
            number += count;
            if count == 1000 {
                commits.push(took);
            }
        }
        let issue = commits.iter().sum::<f64>() / commits.len() as f64;
        let ids: Vec<String> = (0..200).map(|at| id(at * 7919 % number)).collect();
        let looks = ids.iter().map(|id| {
            let sought = Sought { id, subject: "x", key_id: None, issued_at: UnixTime(0) };
            time(|| drop(store.look(&sought, UnixTime(0)).unwrap()))
        });
        let looks = median(looks.collect());
        let lists = (0..20).map(|user| {
            let filter = Filter { subject: Some(format!("user{user}")), limit: 50, ..Filter::default() };
            time(|| drop(store.list(&filter).unwrap()))
        });
        let lists = median(lists.collect());
        let filter = Filter { repository: Some("nobody/has".to_owned()), limit: 50, ..Filter::default() };
        let search = time(|| drop(store.list(&filter).unwrap()));
        let revokes = (0..20).map(|user| {
            let target = Target::User(format!("user{user}"));
            let before = UnixTime(i64::try_from(number).unwrap());
            let revocation = Revocation { target, before, at: before, actor: String::new() };
            time(|| {
                store.revoke(&revocation).unwrap();
            })
        });
        let revokes = median(revokes.collect());
        let bytes = size();
        // The oldest thousand, of which each costs so much.
        pruned += 1000;
        let now = UnixTime(LIFE + 86_400 + pruned);
        let prune = time(|| assert_eq!(store::prune(config, now).unwrap(), 1000));
        println!(
            "| {number} | {:.1} | {:.0} | {:.0} | {:.1} | {:.2} | {:.1} | {} | {} |",
            issue * 1e3,
            looks * 1e6,
            lists * 1e6,
            search * 1e3,
            revokes * 1e3,
            prune * 1e3,
            bytes / 1_000_000,
            bytes / number
        );
        goal *= 10;
    }
}

fn time(act: impl FnOnce()) -> f64 {
    let began = Instant::now();
    act();
    began.elapsed().as_secs_f64()
}

/// Ids as they are made: of a second, here with a hundred tokens in each, and then in no order.
fn id(number: u64) -> String {
    let second = u32::try_from(number / 100).unwrap().to_be_bytes();
    let random = [number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes(), number.to_be_bytes()].concat();
    base64url(&[&second[..], &random[..12]].concat())
}

/// Of the tokens of a store that grows, in seconds: longer than any that it really holds.
const LIFE: i64 = 5_000_000_000;

fn entry(number: u64) -> Entry {
    let at = i64::try_from(number).unwrap();
    Entry {
        id: id(number),
        profile: "registry".to_owned(),
        subject: format!("user{}", number % 1000),
        audience: "registry.example.com".to_owned(),
        granted: "repository:alice-space/app-api:pull,push".to_owned(),
        issued_at: UnixTime(at),
        expires_at: UnixTime(at + LIFE),
        key_id: Some("PYYO:TEWU:V7JH:26JV:AQTZ:LJC3:SXVJ:XGHA:34F2:2LAQ:ZRMK:Z7Q6".to_owned()),
        peer: "127.0.0.1".to_owned(),
        address: "10.0.0.1".to_owned(),
        client: Some("docker".to_owned()),
        policy: Some("0123456789abcdef".to_owned()),
        rules: "users.alice (pattern alice-space/app-api)".to_owned(),
        ..Entry::default()
    }
}
