//! The table of what differs between programs, each line read from its source.
//!
//! Owns names and rules. distribution 2.8.2 and 3.1.1: registry/auth/token/{token,accesscontroller,util}.go,
//! libtrust and go-jose 4.1.4; zot: pkg/api/bearer.go with golang-jwt v5.

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

/// What a program asks of a token.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column of the table")]
pub(super) struct Rules {
    pub(super) algorithms: &'static [&'static str],
    pub(super) key_ids: KeyIds,
    /// `x5c` is looked at, and wins over `kid`.
    pub(super) x5c: bool,
    /// `aud` may be a list.
    pub(super) audience_list: bool,
    /// `aud` and `iss` are compared with its configuration.
    pub(super) names_checked: bool,
    /// `exp`, `nbf` and `iat` must be whole numbers.
    pub(super) integers: bool,
    /// Seconds of tolerance on `exp` and `nbf`.
    pub(super) leeway: i64,
    /// A token without `exp` counts as expired in 1970.
    pub(super) needs_exp: bool,
    /// `iat` may not be in the future.
    pub(super) checks_iat: bool,
    /// Parts padded with `=` are read.
    pub(super) padding: bool,
    /// A header with `crit` is refused.
    pub(super) refuses_crit: bool,
    /// An object with a name twice is refused; else the last counts.
    pub(super) refuses_twice: bool,
    /// `typ` must be a string where it is there.
    pub(super) typ_string: bool,
}

const PKCS1_AND_ECDSA: [&str; 6] = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];
/// With `HS*` in its list too, distribution 3 has no key that could check it.
const ALL: [&str; 10] =
    ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"];

const REGISTRY_28: Rules = Rules {
    algorithms: &PKCS1_AND_ECDSA,
    key_ids: KeyIds::Libtrust,
    x5c: true,
    audience_list: false,
    names_checked: true,
    integers: true,
    leeway: 60,
    needs_exp: true,
    checks_iat: false,
    padding: true,
    refuses_crit: false,
    refuses_twice: false,
    typ_string: true,
};

const REGISTRY_3: Rules = Rules {
    algorithms: &ALL,
    key_ids: KeyIds::Thumbprint,
    audience_list: true,
    padding: false,
    refuses_crit: true,
    refuses_twice: true,
    typ_string: false,
    ..REGISTRY_28
};

const ZOT: Rules = Rules {
    algorithms: &ALL,
    key_ids: KeyIds::OneKey,
    x5c: false,
    audience_list: true,
    names_checked: false,
    integers: false,
    leeway: 0,
    needs_exp: false,
    checks_iat: true,
    padding: false,
    refuses_crit: false,
    refuses_twice: false,
    typ_string: false,
};

impl Program {
    /// Every program.
    pub const ALL: [Program; 3] = [Program::Registry28, Program::Registry3, Program::Zot];

    /// As `--for` names it.
    pub fn name(self) -> &'static str {
        match self {
            Program::Registry28 => "registry-2.8",
            Program::Registry3 => "registry-3",
            Program::Zot => "zot",
        }
    }

    /// The program of that name.
    pub fn from_name(name: &str) -> Option<Program> {
        Program::ALL.into_iter().find(|known| known.name() == name)
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
