//! The table of what differs between programs, each line read from its source.
//!
//! Owns names and rules. distribution 2.8.2 and 3.1.1: registry/auth/token/{token,accesscontroller,util}.go,
//! libtrust and go-jose 4.1.4; zot 2.1: pkg/api/bearer.go with golang-jwt 5.3.

use crate::key::algorithm::Algorithm;
use std::str::FromStr;

/// A program that checks tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// distribution 2.x (`registry:2`, Debian's docker-registry).
    Registry28,
    /// distribution 3.x (`registry:3`).
    Registry3,
    /// zot.
    Zot,
}

/// How a program finds the key of a token without certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyIds {
    /// The libtrust id of a certificate in `rootcertbundle`.
    Libtrust,
    /// The RFC 7638 thumbprint of such a certificate, or the `kid` of an entry of `jwks`.
    Thumbprint,
    /// There is one key, and `kid` is not looked at.
    OneKey,
}

/// How a program compares the name of a member with those that it looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// As they stand.
    Exact,
    /// Without regard to case, as Go's encoding/json does.
    Folded,
}

/// What a member must be; `null` may stand in place of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Texts,
    /// A whole number that a Go int64 holds.
    Integer,
    /// golang-jwt's `NumericDate`: any number, in quotes or not.
    Date,
    /// A string, or with `list` a list of strings without `null`.
    Audience {
        list: bool,
    },
    /// A list of objects with these members. Where one is `null`, a registry's handler panics, and zot skips
    /// it.
    Access {
        entry: &'static [Field],
        null: bool,
    },
    /// Anything: judged elsewhere.
    Any,
}

/// A member that a program looks at.
pub(super) type Field = (&'static str, Shape);

/// What a program asks of a token.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column of the table")]
pub(super) struct Rules {
    pub(super) algorithms: &'static [&'static str],
    pub(super) key_ids: KeyIds,
    pub(super) header: (Names, &'static [Field]),
    pub(super) claims: (Names, &'static [Field]),
    /// The other members of the header are read, too: one that cannot be read is refused.
    pub(super) reads_whole_header: bool,
    /// `x5c` is looked at, and wins over `kid`.
    pub(super) x5c: bool,
    /// `aud` and `iss` are compared with its configuration.
    pub(super) names_checked: bool,
    /// Seconds of tolerance on `exp` and `nbf`.
    pub(super) leeway: i64,
    /// A token without `exp` counts as expired in 1970.
    pub(super) needs_exp: bool,
    /// `iat` may not be in the future.
    pub(super) checks_iat: bool,
    /// Parts padded with `=` are read.
    pub(super) padding: bool,
    /// go-jose: `crit` is obeyed, `b64` is understood, what is signed is written anew from what was read,
    /// and an object with a name twice is refused; elsewhere the last one counts.
    pub(super) jose: bool,
}

const PKCS1_AND_ECDSA: [&str; 6] = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];
/// With `HS*` in its list too, distribution 3 has no key that could check it.
const ALL: [&str; 10] =
    ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"];

/// What distribution 3 takes in `signingalgorithms`; it does not start with another.
pub(crate) const KNOWN_TO_3: [&str; 13] = [
    "EdDSA", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256",
    "PS384", "PS512",
];

const ENTRY: &[Field] =
    &[("type", Shape::Text), ("class", Shape::Text), ("name", Shape::Text), ("actions", Shape::Texts)];

const ZOT_ENTRY: &[Field] =
    &[("type", Shape::Text), ("name", Shape::Text), ("actions", Shape::Texts), ("exp", Shape::Date)];

const fn claims(time: Shape, list: bool, entry: &'static [Field], null: bool) -> [Field; 8] {
    [
        ("iss", Shape::Text),
        ("sub", Shape::Text),
        ("aud", Shape::Audience { list }),
        ("exp", time),
        ("nbf", time),
        ("iat", time),
        ("jti", Shape::Text),
        ("access", Shape::Access { entry, null }),
    ]
}

const REGISTRY_28: Rules = Rules {
    algorithms: &PKCS1_AND_ECDSA,
    key_ids: KeyIds::Libtrust,
    header: (
        Names::Folded,
        &[
            ("typ", Shape::Text),
            ("alg", Shape::Text),
            ("kid", Shape::Text),
            ("x5c", Shape::Texts),
            ("jwk", Shape::Any),
        ],
    ),
    claims: (Names::Folded, &claims(Shape::Integer, false, ENTRY, false)),
    reads_whole_header: false,
    x5c: true,
    names_checked: true,
    leeway: 60,
    needs_exp: true,
    checks_iat: false,
    padding: true,
    jose: false,
};

const REGISTRY_3: Rules = Rules {
    algorithms: &ALL,
    key_ids: KeyIds::Thumbprint,
    header: (
        Names::Exact,
        &[("alg", Shape::Text), ("kid", Shape::Text), ("nonce", Shape::Text), ("x5c", Shape::Texts)],
    ),
    claims: (Names::Exact, &claims(Shape::Integer, true, ENTRY, false)),
    reads_whole_header: true,
    padding: false,
    jose: true,
    ..REGISTRY_28
};

const ZOT: Rules = Rules {
    algorithms: &ALL,
    key_ids: KeyIds::OneKey,
    header: (Names::Exact, &[]),
    claims: (Names::Folded, &claims(Shape::Date, true, ZOT_ENTRY, true)),
    reads_whole_header: true,
    x5c: false,
    names_checked: false,
    leeway: 0,
    needs_exp: false,
    checks_iat: true,
    padding: false,
    jose: false,
};

impl FromStr for Program {
    type Err = String;

    /// The program of that name; an error lists the names.
    fn from_str(name: &str) -> Result<Program, String> {
        let found = Program::ALL.into_iter().find(|known| known.name() == name);
        found.ok_or_else(|| format!("expected one of {}", Program::ALL.map(Program::name).join(", ")))
    }
}

impl Program {
    /// Every program.
    pub const ALL: [Program; 3] = [Program::Registry28, Program::Registry3, Program::Zot];

    /// Whether it takes tokens that are signed so.
    pub fn takes(self, algorithm: Algorithm) -> bool {
        self.rules().algorithms.contains(&algorithm.name())
    }

    /// As `--for` names it.
    pub fn name(self) -> &'static str {
        match self {
            Program::Registry28 => "registry-2.8",
            Program::Registry3 => "registry-3",
            Program::Zot => "zot",
        }
    }

    /// As messages name it.
    pub fn title(self) -> &'static str {
        match self {
            Program::Registry28 => "distribution 2.8",
            Program::Registry3 => "distribution 3",
            Program::Zot => "zot",
        }
    }

    pub(super) fn rules(self) -> &'static Rules {
        match self {
            Program::Registry28 => &REGISTRY_28,
            Program::Registry3 => &REGISTRY_3,
            Program::Zot => &ZOT,
        }
    }
}
