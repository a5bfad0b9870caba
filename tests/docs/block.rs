//! The fenced blocks of a page.

/// One fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    /// The page's name.
    pub(crate) page: String,
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    /// What stands after the fence.
    pub(crate) fence: String,
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Shell commands; `true` where they need more than Rust.
    Run(bool),
    /// One of several ways to do the same, each with a program of its own, whose name this is.
    Choice(String),
    /// `$ command` and its output; `true` where it needs more than Rust.
    Transcript(bool),
    /// `cargo` commands.
    Cargo,
    /// Commands for a machine that is not here; the word says which.
    Elsewhere(&'static str),
    /// Part of a configuration.
    Config,
    /// Part of a policy.
    Policy,
    /// Some other YAML.
    Yaml,
    /// JSON.
    Json,
    /// A file under this name.
    File(String),
    /// For people.
    Text,
    /// None of these.
    Unknown,
}

/// Programs of which a page names several for the same thing.
const CHOICES: [&str; 4] = ["registry-2.8", "registry-3", "nginx", "caddy"];

/// What cannot be run in a test.
const ELSEWHERE: [&str; 4] = ["docker", "systemd", "kubernetes", "host"];

impl Kind {
    fn of(fence: &str) -> Self {
        let mut words = fence.split(' ');
        let (language, what) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if words.next().is_some() {
            return Kind::Unknown;
        }
        let elsewhere = ELSEWHERE.into_iter().find(|known| *known == what);
        match (language, what, elsewhere) {
            ("sh", "", _) => Kind::Run(false),
            ("sh", "registry", _) => Kind::Run(true),
            ("sh", "cargo", _) => Kind::Cargo,
            ("sh", name, _) if CHOICES.contains(&name) => Kind::Choice(name.to_owned()),
            ("sh", _, Some(where_)) => Kind::Elsewhere(where_),
            ("console", "", _) => Kind::Transcript(false),
            ("console", "registry", _) => Kind::Transcript(true),
            ("yaml", "config", _) => Kind::Config,
            ("yaml", "policy", _) => Kind::Policy,
            ("yaml", "other", _) => Kind::Yaml,
            ("json", "", _) => Kind::Json,
            ("text" | "sql", "", _) => Kind::Text,
            (language, name, _) if !language.is_empty() && (name.contains('.') || name == "Caddyfile") => {
                Kind::File(name.to_owned())
            }
            _ => Kind::Unknown,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Kind::Run(false) => "sh",
            Kind::Run(true) => "sh registry",
            Kind::Choice(_) => "sh choice",
            Kind::Transcript(false) => "console",
            Kind::Transcript(true) => "console registry",
            Kind::Cargo => "sh cargo",
            Kind::Elsewhere(what) => what,
            Kind::Config => "yaml config",
            Kind::Policy => "yaml policy",
            Kind::Yaml => "yaml other",
            Kind::Json => "json",
            Kind::File(_) => "file",
            Kind::Text => "text",
            Kind::Unknown => "unknown",
        }
    }
}

impl Block {
    /// Every block of a page. Indented code is not used: it has no place for a kind.
    pub(crate) fn all(page: &str, text: &str) -> Vec<Self> {
        let mut blocks = Vec::new();
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let start = line.trim_start();
            let place = format!("{page}:{}", number + 1);
            assert!(!line.starts_with("    ") || start.starts_with(['|', '-']), "{place}: indented code");
            let Some(fence) = start.strip_prefix("```") else { continue };
            let indent = line.len() - start.len();
            let mut inside = String::new();
            loop {
                let (_, line) = lines.next().unwrap_or_else(|| panic!("{place}: the fence is not closed"));
                if line.trim_start() == "```" {
                    break;
                }
                inside.push_str(line.get(indent..).unwrap_or_default());
                inside.push('\n');
            }
            blocks.push(Self {
                page: page.to_owned(),
                line: number + 1,
                fence: fence.to_owned(),
                kind: Kind::of(fence),
                text: inside,
            });
        }
        blocks
    }

    /// `docs/policy.md:12`
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }
}

#[test]
fn a_fence_says_what_a_block_is() {
    for (fence, kind) in [
        ("sh", Kind::Run(false)),
        ("sh registry", Kind::Run(true)),
        ("sh docker", Kind::Elsewhere("docker")),
        ("sh registry-3", Kind::Choice("registry-3".to_owned())),
        ("console", Kind::Transcript(false)),
        ("yaml config", Kind::Config),
        ("yaml config.yaml", Kind::File("config.yaml".to_owned())),
        ("nginx nginx.conf", Kind::File("nginx.conf".to_owned())),
        ("text", Kind::Text),
        ("", Kind::Unknown),
        ("bash", Kind::Unknown),
        ("sh skopeo", Kind::Unknown),
        ("yaml", Kind::Unknown),
        ("sh registry more", Kind::Unknown),
    ] {
        assert_eq!(Kind::of(fence), kind, "{fence}");
    }
    let blocks = Block::all("p", "a\n\n1. b\n\n   ```sh\n   x \\\n     y\n   ```\n");
    assert_eq!((blocks[0].text.as_str(), blocks[0].line), ("x \\\n  y\n", 5));
}
