//! Whatever is asked: what is granted is what a plain reading of the policy gives, no more and no less, and
//! explaining agrees with granting. Random policies and requests from a fixed seed, judged by an evaluator
//! that shares no code with the program's.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use keypebble::ground::document::Document;
use keypebble::ground::time::Ttl;
use keypebble::policy::glob::Glob;
use keypebble::policy::scope::{self, Action, Resource, Scope};
use keypebble::policy::{Asker, Decision, Near, Policy, Who};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// Xorshift (Marsaglia 2003): the same cases in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    fn some<'a>(&mut self, list: &[&'a str], most: usize) -> Vec<&'a str> {
        (0..=self.below(most)).map(|_| self.pick(list)).collect()
    }
}

/// A rule, as the file says it.
#[derive(Clone)]
struct Rule {
    deny: bool,
    catalog: bool,
    namespace: Option<&'static str>,
    repos: Vec<String>,
    actions: Vec<&'static str>,
    ttl: Option<u32>,
}

#[derive(Clone, Default)]
struct Subject {
    rules: Vec<Rule>,
    groups: Vec<usize>,
}

struct Model {
    groups: Vec<Subject>,
    users: Vec<(&'static str, Subject)>,
    anonymous: Option<Subject>,
}

const USERS: [&str; 6] = ["alice", "bob", "*", "a/b", "Alice", "nobody"];
const SEGMENTS: [&str; 6] = ["a", "b", "app", "app-x", "alice", "reg.example.com"];
const PIECES: [&str; 10] = ["a", "b", "app", "alice", "*", "**", "app-*", "*p", "${user}", "reg.example.com"];
const ACTIONS: [&str; 4] = ["pull", "push", "delete", "*"];
const HOSTS: [&str; 2] = ["reg.example.com", "reg"];

fn rule(random: &mut Random, deny: bool) -> Rule {
    let namespace = random.one_in(3).then(|| random.pick(&["a", "alice", "${user}", "app"]));
    let mut repos: Vec<String> = Vec::new();
    while repos.is_empty() || random.one_in(2) {
        let repo = random.some(&PIECES, 3).join("/");
        // A pattern that fits one name for two users is refused.
        if Glob::new(&full(namespace, &repo)).is_ok() {
            repos.push(repo);
        }
    }
    Rule {
        deny,
        catalog: random.one_in(6),
        namespace,
        repos,
        actions: random.some(&ACTIONS, 2),
        ttl: (!deny && random.one_in(2)).then(|| 60 + u32::try_from(random.below(9000)).unwrap()),
    }
}

/// The pattern as it is matched.
fn full(namespace: Option<&str>, repo: &str) -> String {
    namespace.map_or(repo.to_owned(), |namespace| format!("{namespace}/{repo}"))
}

fn subject(random: &mut Random, groups: usize) -> Subject {
    let rules = (0..random.below(4)).map(|_| rule(random, false));
    let mut rules: Vec<Rule> = rules.collect();
    for _ in 0..random.below(3) {
        rules.push(rule(random, true));
    }
    let groups =
        if groups == 0 { Vec::new() } else { (0..random.below(3)).map(|_| random.below(groups)).collect() };
    Subject { rules, groups }
}

impl Model {
    fn new(random: &mut Random) -> Self {
        let groups: Vec<Subject> = (0..random.below(3)).map(|_| subject(random, 0)).collect();
        let count = groups.len();
        let users = USERS[..5].iter().map(|name| (*name, subject(random, count))).collect();
        Self { groups, users, anonymous: random.one_in(2).then(|| subject(random, 0)) }
    }

    fn yaml(&self) -> String {
        let mut text = String::from("groups:\n  unused: {}\n");
        for (index, group) in self.groups.iter().enumerate() {
            writeln!(text, "  g{index}: {}", subject_yaml(group)).unwrap();
        }
        if let Some(anonymous) = &self.anonymous {
            writeln!(text, "anonymous: {}", subject_yaml(anonymous)).unwrap();
        }
        text.push_str("users:\n");
        for (name, user) in &self.users {
            writeln!(text, "  {name:?}: {}", subject_yaml(user)).unwrap();
        }
        text
    }

    /// Every rule that is about this user; those of an unknown one are none.
    fn rules(&self, user: Option<&str>) -> Vec<&Rule> {
        let subject = match user {
            None => self.anonymous.as_ref(),
            Some(name) => self.users.iter().find(|(known, _)| *known == name).map(|(_, subject)| subject),
        };
        let Some(subject) = subject else { return Vec::new() };
        let groups = subject.groups.iter().flat_map(|index| &self.groups[*index].rules);
        subject.rules.iter().chain(groups).collect()
    }
}

fn subject_yaml(subject: &Subject) -> String {
    let list = |deny: bool| {
        let rules = subject.rules.iter().filter(|rule| rule.deny == deny).map(rule_yaml);
        rules.collect::<Vec<_>>().join(", ")
    };
    let groups: Vec<String> = subject.groups.iter().map(|index| format!("g{index}")).collect();
    let mut text = format!("{{rules: [{}], deny: [{}]", list(false), list(true));
    if !groups.is_empty() {
        write!(text, ", groups: [{}]", groups.join(", ")).unwrap();
    }
    text + "}"
}

fn rule_yaml(rule: &Rule) -> String {
    let mut text =
        format!("{{repos: {:?}, actions: {:?}, catalog: {}", rule.repos, rule.actions, rule.catalog);
    if let Some(namespace) = rule.namespace {
        write!(text, ", namespace: {namespace:?}").unwrap();
    }
    if let Some(ttl) = rule.ttl {
        write!(text, ", ttl_seconds: {ttl}").unwrap();
    }
    text + "}"
}

/// The obvious matcher: tries everything.
fn fits(pattern: &str, name: &str, user: &str) -> bool {
    if pattern.is_empty() {
        return name.is_empty();
    }
    if let Some(rest) = pattern.strip_prefix("**") {
        return (0..=name.len()).any(|n| fits(rest, &name[n..], user));
    }
    if let Some(rest) = pattern.strip_prefix('*') {
        let run = name.find('/').unwrap_or(name.len());
        return (0..=run).any(|n| fits(rest, &name[n..], user));
    }
    if let Some(rest) = pattern.strip_prefix("${user}") {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let whole = !user.is_empty() && user.chars().all(plain);
        return whole && name.strip_prefix(user).is_some_and(|after| fits(rest, after, user));
    }
    name.starts_with(&pattern[..1]) && fits(&pattern[1..], &name[1..], user)
}

fn about(rule: &Rule, resource: &Resource, user: &str) -> bool {
    match resource {
        Resource::Catalog | Resource::ZotCatalog => rule.catalog,
        Resource::Other { .. } => false,
        Resource::Repository(name) => {
            rule.repos.iter().any(|repo| fits(&full(rule.namespace, repo), name, user))
        }
    }
}

fn covers(rule: &Rule, resource: &Resource, action: Action, user: &str) -> bool {
    let names_it = match resource {
        Resource::Catalog => action == Action::All,
        Resource::ZotCatalog => action == Action::Pull,
        _ => rule.actions.iter().any(|name| *name == "*" || *name == action.name()),
    };
    names_it && about(rule, resource, user)
}

/// What the rules about somebody say of an action.
#[derive(PartialEq)]
enum Says {
    Denied,
    /// For so many seconds.
    Granted(u32),
    Nothing,
}

/// A deny of whatever name, else an allow of this one.
fn says(model: &Model, user: Option<&str>, resource: &Resource, action: Action) -> Says {
    let name = user.unwrap_or_default();
    let rules = model.rules(user);
    let denies =
        |rule: &&&Rule| rule.deny && names(resource).iter().any(|other| covers(rule, other, action, name));
    if rules.iter().any(|rule| denies(&rule)) {
        return Says::Denied;
    }
    let allowing = rules.iter().filter(|rule| !rule.deny && covers(rule, resource, action, name));
    allowing.map(|rule| rule.ttl.unwrap_or(3600)).max().map_or(Says::Nothing, Says::Granted)
}

/// Every name of a repository: as it stands, without the registry's own, and behind each of them.
fn names(resource: &Resource) -> Vec<Resource> {
    let Resource::Repository(name) = resource else { return vec![resource.clone()] };
    let mut bare = name.to_string();
    while let Some(rest) = HOSTS.iter().find_map(|host| bare.strip_prefix(&format!("{host}/"))) {
        bare = rest.to_owned();
    }
    let hosted = HOSTS.iter().map(|host| format!("{host}/{bare}"));
    hosted.chain([bare.clone(), name.to_string()]).map(|name| Resource::Repository(name.into())).collect()
}

/// Whoever logs in keeps what the anonymous may read.
fn falls_back(user: Option<&str>, resource: &Resource, action: Action) -> bool {
    user.is_some() && (action == Action::Pull || *resource == Resource::Catalog)
}

/// What the policy gives of these actions, and for how long at most.
fn given(
    model: &Model,
    user: Option<&str>,
    resource: &Resource,
    asked: &[Action],
) -> (BTreeSet<Action>, u32) {
    let wanted: Vec<Action> = match resource {
        Resource::Repository(_) if asked.contains(&Action::All) => Action::REPOSITORY.to_vec(),
        _ => asked.to_vec(),
    };
    let (mut actions, mut longest) = (BTreeSet::new(), 0);
    for action in wanted {
        let mut said = says(model, user, resource, action);
        if said == Says::Nothing && falls_back(user, resource, action) {
            said = says(model, None, resource, action);
        }
        if let Says::Granted(life) = said {
            actions.insert(action);
            longest = longest.max(life);
        }
    }
    (actions, longest)
}

/// One scope, mostly within the grammar, sometimes with a character changed.
fn scope_text(random: &mut Random) -> String {
    let kind = match random.below(12) {
        0 => "registry",
        1 => "cluster",
        2 => "repository(plugin)",
        _ => "repository",
    };
    let mut name = random.some(&SEGMENTS, 3).join("/");
    match random.below(13) {
        0 => "catalog".clone_into(&mut name),
        12 => name.clear(),
        1 => name.insert_str(0, "reg/"),
        2 => name.insert_str(0, "reg.example.com/"),
        3 => name.insert_str(0, "localhost:5000/"),
        4 => name = format!("{name}/../{name}"),
        5 => name = name.to_uppercase(),
        _ => {}
    }
    let actions = random.some(&["pull", "push", "delete", "*", "pull", "frob", ""], 4).join(",");
    let mut text = format!("{kind}:{name}:{actions}");
    if random.one_in(5) {
        let at = random.below(text.len());
        let byte = b":,/*.${}()-_aZ0%\0"[random.below(17)];
        text.replace_range(at..=at, &char::from(byte).to_string());
    }
    text
}

/// What a token grants, as a set.
fn entries(access: &[scope::Access]) -> BTreeSet<(String, String, Action)> {
    let each = |entry: &scope::Access| {
        let (kind, name) = (entry.resource().kind().to_owned(), entry.resource().name().to_owned());
        entry.actions().iter().map(move |action| (kind.clone(), name.clone(), *action)).collect::<Vec<_>>()
    };
    access.iter().flat_map(each).collect()
}

/// Whether a granted name was asked, as it stands or behind one of the registry's hosts.
fn was_asked(texts: &[String], kind: &str, name: &str, action: Action) -> bool {
    texts.iter().any(|text| {
        let (asked_kind, rest) = text.split_once(':').unwrap();
        let (asked_name, actions) = rest.rsplit_once(':').unwrap();
        let same_kind = asked_kind == kind || asked_kind.starts_with(&format!("{kind}("));
        let same_name = asked_name == name || HOSTS.iter().any(|host| asked_name == format!("{host}/{name}"));
        let same_action = actions.split(',').any(|word| word == "*" || word == action.name());
        same_kind && same_name && same_action
    })
}

#[derive(Default)]
struct Counts {
    requests: usize,
    granted: usize,
    denied: usize,
    stripped: usize,
    anonymous: usize,
    near: usize,
    /// Granted to a user by the anonymous entry.
    public: usize,
    /// Denied under another name.
    hidden: usize,
    /// zot's catalog.
    nameless: usize,
}

fn judge(model: &Model, policy: &Policy, random: &mut Random, counts: &mut Counts) {
    let user = if random.one_in(7) { None } else { Some(random.pick(&USERS)) };
    let texts: Vec<String> = (0..=random.below(3)).map(|_| scope_text(random)).collect();
    let Ok(asked) = scope::parse_all(texts.iter().map(String::as_str)) else { return };
    let texts: Vec<String> =
        texts.iter().flat_map(|text| text.split_ascii_whitespace()).map(str::to_owned).collect();
    let who = user.map_or(Who::Anonymous, Who::User);
    let asker = Asker { who, hosts: &HOSTS, default_ttl: Ttl::DEFAULT };
    let grant = policy.grant(&asker, &asked);
    let granted = entries(&grant.access);
    counts.requests += 1;
    counts.anonymous += usize::from(user.is_none());

    // What is granted was asked.
    for (kind, name, action) in &granted {
        counts.granted += 1;
        counts.nameless += usize::from(name.is_empty());
        assert!(was_asked(&texts, kind, name, *action), "{texts:?} {kind}:{name} {action:?}");
    }
    // And it is exactly what the policy gives.
    let (mut expected, mut longest) = (BTreeSet::new(), 0);
    for scope in &asked {
        let (mut resource, mut actions) = (scope.resource.clone(), scope.actions.clone());
        let mut found = given(model, user, &resource, &actions);
        let host = HOSTS.iter().find_map(|host| resource.name().strip_prefix(&format!("{host}/")));
        if found.0.is_empty()
            && let (Resource::Repository(_), Some(bare)) = (&resource, host)
        {
            resource = Resource::repository(bare);
            found = given(model, user, &resource, &actions);
            counts.stripped += usize::from(!found.0.is_empty());
        }
        actions.clear();
        longest = longest.max(found.1);
        for action in found.0 {
            expected.insert((resource.kind().to_owned(), resource.name().to_owned(), action));
        }
    }
    assert_eq!(granted, expected, "{user:?} asks {texts:?} of\n{}", model.yaml());
    let life = if expected.is_empty() { 3600 } else { longest };
    assert_eq!(grant.ttl.seconds(), life, "{user:?} asks {texts:?} of\n{}", model.yaml());

    explained(model, policy, &asker, &asked, &granted, counts);
}

/// Explaining says what granting does, and names rules that are there.
fn explained(
    model: &Model,
    policy: &Policy,
    asker: &Asker<'_>,
    asked: &[Scope],
    granted: &BTreeSet<(String, String, Action)>,
    counts: &mut Counts,
) {
    let user = match asker.who {
        Who::User(name) => Some(name),
        Who::Anonymous => None,
    };
    let explanation = policy.explain(asker, asked);
    assert_eq!(entries(&explanation.grant.access), *granted);
    let mut told = BTreeSet::new();
    for scope in &explanation.scopes {
        for (action, decision, near) in &scope.actions {
            let own = says(model, user, &scope.resource, *action);
            match decision {
                Decision::Granted { by, .. } => {
                    let public = own == Says::Nothing;
                    assert!(own != Says::Denied && (!public || by.key().starts_with("anonymous")));
                    assert!(!by.key().contains(".deny["), "{}", by.key());
                    counts.public += usize::from(public);
                    told.insert((
                        scope.resource.kind().to_owned(),
                        scope.resource.name().to_owned(),
                        *action,
                    ));
                }
                Decision::Denied { by } => {
                    counts.denied += 1;
                    assert!(own == Says::Denied && by.key().contains(".deny["), "{}", by.key());
                    let as_asked =
                        |rule: &&Rule| covers(rule, &scope.resource, *action, user.unwrap_or_default());
                    counts.hidden += usize::from(
                        !model.rules(user).into_iter().filter(|rule| rule.deny).any(|rule| as_asked(&rule)),
                    );
                }
                Decision::Unmatched => {
                    assert!(own == Says::Nothing);
                    let fits = |user: Option<&str>| {
                        let rules = model.rules(user).into_iter();
                        rules
                            .filter(|rule| !rule.deny)
                            .any(|rule| about(rule, &scope.resource, user.unwrap_or_default()))
                    };
                    let fitting = fits(user) || falls_back(user, &scope.resource, *action) && fits(None);
                    assert_eq!(matches!(near, Some(Near { edits: 0, .. })), fitting, "{near:?}");
                    counts.near += usize::from(near.is_some());
                }
            }
        }
    }
    assert_eq!(told, *granted);
}

#[test]
fn whatever_is_asked_what_is_granted_is_what_was_asked_and_what_the_policy_gives() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut counts = Counts::default();
    for _ in 0..400 {
        let model = Model::new(&mut random);
        let document = Document::parse(Path::new("policy.yaml"), model.yaml()).unwrap();
        let policy = Policy::compile(&document).unwrap_or_else(|error| panic!("{error}\n{}", model.yaml()));
        for _ in 0..50 {
            judge(&model, &policy, &mut random, &mut counts);
        }
    }
    // A test that never grants, denies or strips would prove nothing.
    let Counts { requests, granted, denied, stripped, anonymous, near, public, hidden, nameless } = counts;
    assert!(requests > 15_000 && granted > 2_000 && denied > 1_000, "{requests} {granted} {denied}");
    assert!(stripped > 50 && anonymous > 1_000 && near > 3_000, "{stripped} {anonymous} {near}");
    assert!(public > 100 && hidden > 20 && nameless > 20, "{public} {hidden} {nameless}");
}
