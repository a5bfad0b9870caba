//! Owns the proof that odd tokens are judged as the programs judge them: what JSON, base64 and numbers may look
//! like, names in another letter case, and headers that say more than most. Each is asked of the real program
//! and of Keypebble.

use serde_json::{Value, json};

use crate::common::encode::base64url;
use crate::judges::{ISSUER, Judge, Report, Running, SERVICE};
use crate::world::World;

/// Which text is changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    Claims,
}
use Part::{Claims, Header};

/// The good token's texts; `@` stands for now, with an offset in seconds.
const HEADER: &str = r#"{"typ":"JWT","alg":"ES256","kid":"<kid>"}"#;
const CLAIMS: &str = r#"{"iss":"<iss>","aud":"<aud>","sub":"alice","jti":"x","exp":@300,"nbf":@-10,"iat":@-10,"access":[{"type":"repository","name":"alice/app","actions":["pull"]}]}"#;

const NONE: [&[&str]; 3] = [&[], &[], &[]];
const TYPE: [&[&str]; 3] = [&["type"], &["type"], &["type"]];

/// What is replaced by what, and the reasons to refuse it: of 2.8, of 3, of zot.
type Row = (&'static str, Part, &'static str, &'static str, [&'static [&'static str]; 3]);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("as it is", Claims, "", "", NONE),
    // Names in another letter case.
    ("EXP alone", Claims, r#""exp""#, r#""EXP""#, [&[], &["expired"], &[]]),
    ("an EXP that has passed", Claims, r#""jti":"x""#, r#""jti":"x","Exp":1"#, [&[], &[], &[]]),
    ("an EXP that has passed, at the end", Claims, "}]}", r#"}],"EXP":1}"#, [&["expired"], &[], &["expired"]]),
    ("an EXP of null, at the end", Claims, "}]}", r#"}],"EXP":null}"#, NONE),
    ("exp null after it", Claims, "}]}", r#"}],"exp":null}"#, [&[], &["twice"], &[]]),
    ("AUD of another", Claims, "}]}", r#"}],"Aud":"x"}"#, [&["audience"], &[], &[]]),
    ("AUD a list", Claims, "}]}", r#"}],"AUD":["x"]}"#, [&["audience-type"], &[], &[]]),
    ("i\u{17f}s of another", Claims, "}]}", "}],\"i\u{17f}s\":\"x\"}", [&["issuer"], &[], &[]]),
    ("\\u017f in a name", Claims, "}]}", "}],\"i\\u017fs\":\"x\"}", [&["issuer"], &[], &[]]),
    ("ACCESS a number", Claims, "}]}", r#"}],"ACCESS":7}"#, [&["type"], &[], &["type"]]),
    ("ACTIONS a number", Claims, r#""actions":["pull"]"#, r#""Actions":7"#, [&["type"], &[], &["type"]]),
    ("a dotless i", Claims, "}]}", "}],\"\u{131}ss\":7}", NONE),
    ("ALG", Header, r#""alg""#, r#""ALG""#, [&[], &["algorithm"], &["algorithm"]]),
    ("KID of another at the end", Header, r#""<kid>"}"#, r#""<kid>","Kid":"x"}"#, [&["key-id"], &[], &[]]),
    ("TYP a number", Header, r#""<kid>"}"#, r#""<kid>","TYP":1}"#, [&["type"], &[], &[]]),
    // Names twice.
    ("iss twice, the last good", Claims, r#"{"iss""#, r#"{"iss":"x","iss""#, [&[], &["twice"], &[]]),
    ("iss twice, the first of another type", Claims, r#"{"iss""#, r#"{"iss":1,"iss""#, [&["type"], &["type", "twice"], &["type"]]),
    ("alg twice, the last none", Header, r#""<kid>"}"#, r#""<kid>","alg":"none"}"#, [&["algorithm"], &["twice", "algorithm"], &["algorithm"]]),
    ("a name twice in a claim of its own", Claims, r#"{"iss""#, r#"{"x":{"a":1,"a":2},"iss""#, NONE),
    ("a name twice in the header's own member", Header, r#""<kid>"}"#, r#""<kid>","x":{"a":1,"a":2}}"#, [&[], &["twice"], &[]]),
    ("a name twice in an entry", Claims, r#"{"type""#, r#"{"type":"x","type""#, [&[], &["twice"], &[]]),
    // Types.
    ("kid a number", Header, r#""<kid>""#, "1", [&["type", "key-id"], &["type", "key-id"], &[]]),
    ("kid null", Header, r#""<kid>""#, "null", [&["key-id"], &["key-id"], &[]]),
    ("alg null", Header, r#""ES256""#, "null", [&["algorithm"], &["algorithm"], &["algorithm"]]),
    ("alg a number", Header, r#""ES256""#, "1", [&["type", "algorithm"], &["type", "algorithm"], &["algorithm"]]),
    ("nonce a number", Header, r#""<kid>"}"#, r#""<kid>","nonce":1}"#, [&[], &["type"], &[]]),
    ("jti a list", Claims, r#""jti":"x""#, r#""jti":[]"#, TYPE),
    ("sub null", Claims, r#""alice""#, "null", NONE),
    ("aud null", Claims, r#""<aud>""#, "null", [&["audience"], &["audience"], &[]]),
    ("aud a list with null", Claims, r#""<aud>""#, r#"["<aud>",null]"#, [&["audience-type"], &["audience-type"], &["audience-type"]]),
    ("aud an object", Claims, r#""<aud>""#, "{}", [&["audience-type"], &["audience-type"], &["audience-type"]]),
    ("an entry null", Claims, "[{", "[null,{", [&["type"], &["type"], &[]]),
    ("an entry's class a number", Claims, r#"{"type""#, r#"{"class":1,"type""#, [&["type"], &["type"], &[]]),
    ("an entry's exp a word", Claims, r#"{"type""#, r#"{"exp":"x","type""#, [&[], &[], &["type"]]),
    ("an entry's exp in quotes", Claims, r#"{"type""#, r#"{"exp":"1","type""#, NONE),
    ("an action null", Claims, r#"["pull"]"#, "[null]", NONE),
    ("actions null", Claims, r#"["pull"]"#, "null", NONE),
    // Numbers.
    ("exp in quotes", Claims, "@300", r#""@300""#, [&["type"], &["type"], &[]]),
    ("exp in quotes, with a fraction", Claims, "@300", r#""@300.5""#, [&["type"], &["type"], &[]]),
    ("exp in quotes, with a blank", Claims, "@300", r#"" @300""#, TYPE),
    ("exp in quotes, empty", Claims, "@300", r#""""#, TYPE),
    ("exp in quotes, with a plus", Claims, "@300", r#""+9000000000""#, TYPE),
    ("exp in quotes, in hexadecimal", Claims, "@300", r#""0xFFFFFFFF""#, TYPE),
    ("exp true", Claims, "@300", "true", TYPE),
    ("exp with an exponent", Claims, "@300", "9e9", [&["type"], &["type"], &[]]),
    ("exp too large for anything", Claims, "@300", "1e999", TYPE),
    ("exp too large, in quotes", Claims, "@300", r#""1e999""#, TYPE),
    ("exp the largest", Claims, "@300", "9223372036854775807", [&["expired"], &["expired"], &["expired"]]),
    ("exp one more", Claims, "@300", "9223372036854775808", [&["type"], &["type"], &["expired"]]),
    ("exp at the end of Go's clock", Claims, "@300", "9223371974719179007", [&[], &[], &[]]),
    ("exp beyond it", Claims, "@300", "9223371974719179008", [&["expired"], &["expired"], &[]]),
    ("exp well within it", Claims, "@300", "4611686018427387904", NONE),
    ("exp of 1e30", Claims, "@300", "1e30", [&["type"], &["type"], &["expired"]]),
    ("exp below zero", Claims, "@300", "-1", [&["expired"], &["expired"], &["expired"]]),
    ("exp zero", Claims, "@300", "0", [&["expired"], &["expired"], &["expired"]]),
    ("exp minus zero", Claims, "@300", "-0", [&["expired"], &["expired"], &["expired"]]),
    ("nbf minus zero", Claims, r#""nbf":@-10"#, r#""nbf":-0"#, NONE),
    ("nbf the largest", Claims, r#""nbf":@-10"#, r#""nbf":9223372036854775807"#, NONE),
    ("nbf the smallest", Claims, r#""nbf":@-10"#, r#""nbf":-9223372036854775808"#, NONE),
    ("nbf far ahead", Claims, r#""nbf":@-10"#, r#""nbf":4611686018427387904"#, [&["not-yet"], &["not-yet"], &["not-yet"]]),
    ("iat the largest", Claims, r#""iat":@-10"#, r#""iat":9223372036854775807"#, NONE),
    ("iat far ahead", Claims, r#""iat":@-10"#, r#""iat":4611686018427387904"#, [&[], &[], &["not-yet"]]),
    ("iat in quotes", Claims, r#""iat":@-10"#, r#""iat":"@-10""#, [&["type"], &["type"], &[]]),
    ("a claim of its own too large", Claims, r#""jti""#, r#""x":1e999,"jti""#, NONE),
    ("a member of the header too large", Header, r#""<kid>"}"#, r#""<kid>","x":1e999}"#, [&[], &["?malformed"], &["?malformed"]]),
    // Text that is none.
    ("half a surrogate pair in sub", Claims, "alice", "\\ud800", NONE),
    ("half a surrogate pair in a claim of its own", Claims, r#""jti""#, "\"x\":\"\\udc00\",\"jti\"", NONE),
    ("half a surrogate pair as a name", Claims, r#""jti""#, "\"\\ud800\":1,\"jti\"", NONE),
    ("half a surrogate pair in aud", Claims, "<aud>", "<aud>\\ud800", [&["audience"], &["audience"], &[]]),
    ("half a surrogate pair in aud, a list", Claims, r#""<aud>""#, "[\"<aud>\",\"\\ud800\"]", [&["audience-type"], &[], &[]]),
    ("half a surrogate pair in iss", Claims, "<iss>", "<iss>\\ud800", [&["issuer"], &["issuer"], &[]]),
    ("half a surrogate pair in kid", Header, "<kid>", "<kid>\\ud800", [&["key-id"], &["key-id"], &[]]),
    ("half a surrogate pair in the header's own", Header, r#""<kid>"}"#, "\"<kid>\",\"x\":\"\\ud800\"}", NONE),
    ("escapes in names", Claims, r#""exp""#, "\"\\u0065xp\"", NONE),
    ("an escape that is none", Claims, "alice", "\\x", [&["malformed"], &["malformed"], &["malformed"]]),
    ("a control character", Claims, "alice", "a\u{1}", [&["malformed"], &["malformed"], &["malformed"]]),
    // Shapes.
    ("a byte order mark", Claims, r#"{"iss""#, "\u{feff}{\"iss\"", [&["malformed"], &["malformed"], &["malformed"]]),
    ("blanks around", Claims, r#"{"iss""#, "\r\n\t {\"iss\"", NONE),
    ("text behind", Claims, "}]}", "}]} x", [&["malformed"], &["malformed"], &["malformed"]]),
    ("a comma too many", Claims, "}]}", "}],}", [&["malformed"], &["malformed"], &["malformed"]]),
    ("a leading zero", Claims, "@300", "0@300", [&["malformed"], &["malformed"], &["malformed"]]),
    ("text behind the header", Header, r#""<kid>"}"#, r#""<kid>"}{}"#, [&["malformed"], &["malformed"], &["malformed"]]),
    // Critical members.
    ("crit empty", Header, r#""<kid>"}"#, r#""<kid>","crit":[]}"#, NONE),
    ("crit null", Header, r#""<kid>"}"#, r#""<kid>","crit":null}"#, NONE),
    ("crit a string", Header, r#""<kid>"}"#, r#""<kid>","crit":"b64"}"#, [&[], &["crit"], &[]]),
    ("crit of exp", Header, r#""<kid>"}"#, r#""<kid>","crit":["exp"],"exp":1}"#, [&[], &["crit"], &[]]),
    ("crit of b64, true", Header, r#""<kid>"}"#, r#""<kid>","crit":["b64"],"b64":true}"#, NONE),
    ("crit of b64, false", Header, r#""<kid>"}"#, r#""<kid>","crit":["b64"],"b64":false}"#, [&[], &["signature"], &[]]),
    ("b64 false alone", Header, r#""<kid>"}"#, r#""<kid>","b64":false}"#, [&[], &["signature"], &[]]),
    ("b64 a word", Header, r#""<kid>"}"#, r#""<kid>","b64":"no"}"#, NONE),
    ("a certificate's URL", Header, r#""<kid>"}"#, r#""<kid>","x5u":1,"jku":"x"}"#, NONE),
];

fn filled(text: &str, world: &World) -> String {
    let mut texts = text.split('@');
    let mut filled = texts.next().unwrap().to_owned();
    for text in texts {
        let digits = text.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap();
        let offset: i64 = text[..digits].parse().unwrap();
        filled = format!("{filled}{}{}", world.now + offset, &text[digits..]);
    }
    filled.replace("<kid>", &world.key("ec").libtrust_id()).replace("<iss>", ISSUER).replace("<aud>", SERVICE)
}

fn signed(world: &World, header: &[u8], claims: &[u8]) -> String {
    let input = format!("{}.{}", base64url(header), base64url(claims));
    format!("{input}.{}", base64url(&world.sign("ec", Some("ES256"), input.as_bytes())))
}

/// The last character of a part with a bit set that decodes to nothing.
fn spared(part: &str) -> String {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert!(!part.len().is_multiple_of(4), "no bits to spare: {part}");
    let (start, last) = part.split_at(part.len() - 1);
    let place = DIGITS.find(last).unwrap();
    format!("{start}{}", &DIGITS[place + 1..place + 2])
}

/// Tokens that are odd as bytes, not as text.
fn shapes(world: &World) -> Vec<(&'static str, String, [&'static [&'static str]; 3])> {
    let (header, mut claims) = (filled(HEADER, world), filled(CLAIMS, world));
    // So long that both parts have bits to spare.
    let header = format!("{header}{}", " ".repeat(3 - (header.len() + 2) % 3));
    claims = format!("{claims}{}", " ".repeat(3 - (claims.len() + 2) % 3));
    let good = signed(world, header.as_bytes(), claims.as_bytes());
    let parts: Vec<&str> = good.split('.').collect();
    let resigned = |input: String| {
        let signature = base64url(&world.sign("ec", Some("ES256"), input.as_bytes()));
        format!("{input}.{signature}")
    };
    let nested = |depth: usize| {
        claims.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(depth), "]".repeat(depth)), 1)
    };
    let not_utf8 = |claims: &str| claims.replace("alice", "\u{1}").into_bytes().into_iter();
    let not_utf8: Vec<u8> = not_utf8(&claims).map(|byte| if byte == 1 { 0xff } else { byte }).collect();
    let malformed: [&[&str]; 3] = [&["malformed"], &["malformed"], &["malformed"]];
    vec![
        ("bits to spare in the signature", format!("{}.{}.{}", parts[0], parts[1], spared(parts[2])), NONE),
        (
            "bits to spare in the header, unsigned",
            format!("{}.{}.{}", spared(parts[0]), parts[1], parts[2]),
            [&["signature"], &[], &["signature"]],
        ),
        (
            "bits to spare in the header, signed",
            resigned(format!("{}.{}", spared(parts[0]), parts[1])),
            [&[], &["signature"], &[]],
        ),
        (
            "bits to spare in the payload, unsigned",
            format!("{}.{}.{}", parts[0], spared(parts[1]), parts[2]),
            [&["signature"], &[], &["signature"]],
        ),
        (
            "bits to spare in the payload, signed",
            resigned(format!("{}.{}", parts[0], spared(parts[1]))),
            [&[], &["signature"], &[]],
        ),
        (
            "a signature of standard base64",
            format!("{}.{}.+{}", parts[0], parts[1], &parts[2][1..]),
            malformed,
        ),
        ("a signature cut short", good[..good.len() - 1].to_owned(), malformed),
        ("a signature padded", format!("{good}=="), [&[], &["malformed"], &["malformed"]]),
        ("a signature half padded", format!("{good}="), [&[], &["malformed"], &["malformed"]]),
        ("a signature padded too much", format!("{good}==="), malformed),
        ("two parts", format!("{}.{}", parts[0], parts[1]), malformed),
        ("four parts", format!("{good}."), malformed),
        ("an empty payload", resigned(format!("{}.", parts[0])), malformed),
        (
            "a payload of null",
            signed(world, header.as_bytes(), b"null"),
            [&["issuer", "audience", "expired"], &["issuer", "audience", "expired"], &[]],
        ),
        ("a payload of a list", signed(world, header.as_bytes(), b"[]"), malformed),
        (
            "a header of null",
            signed(world, b"null", claims.as_bytes()),
            [&["algorithm", "key-id"], &["algorithm", "key-id"], &["algorithm"]],
        ),
        ("bytes that are no text", signed(world, header.as_bytes(), &not_utf8), NONE),
        ("nested 200 deep", signed(world, header.as_bytes(), nested(200).as_bytes()), NONE),
        ("nested 9,990 deep", signed(world, header.as_bytes(), nested(9_990).as_bytes()), NONE),
        (
            "nested 10,010 deep",
            signed(world, header.as_bytes(), nested(10_010).as_bytes()),
            [&["?malformed"], &["?malformed"], &["?malformed"]],
        ),
        (
            "a signature over the unencoded payload",
            {
                let header = header.replacen('{', "{\"b64\":false,", 1);
                let input = format!("{}.{claims}", base64url(header.as_bytes()));
                let signature = base64url(&world.sign("ec", Some("ES256"), input.as_bytes()));
                format!("{}.{}.{signature}", base64url(header.as_bytes()), base64url(claims.as_bytes()))
            },
            [&["signature"], &[], &["signature"]],
        ),
    ]
}

#[test]
#[ignore = "needs docker-registry, distribution 3, zot-verdict and openssl: see .ci/run"]
fn an_odd_token_is_judged_as_the_program_does() {
    let world = World::new();
    let trust = world.trust("both");
    let mut report = Report::default();
    for (index, judge) in Judge::ALL.into_iter().enumerate() {
        let mut running = Running::start(judge, &trust, &world.folder, "odd");
        for (name, part, from, to, expected) in ROWS {
            let [header, claims] = [Header, Claims].map(|this| {
                let text = if this == Header { HEADER } else { CLAIMS };
                assert!(this != *part || text.contains(from), "{name}");
                filled(&if this == *part { text.replacen(from, to, 1) } else { text.to_owned() }, &world)
            });
            let token = signed(&world, header.as_bytes(), claims.as_bytes());
            report.compare(name, (judge, &mut running), &trust, &token, expected[index]);
        }
        for (name, token, expected) in shapes(&world) {
            report.compare(name, (judge, &mut running), &trust, &token, expected[index]);
        }
    }
    report.end();
}

/// Every spelling of a name that Go takes for it.
pub(crate) fn spellings(name: &str) -> Vec<String> {
    let mut spellings = vec![String::new()];
    for c in name.chars() {
        let mut letters = vec![c, c.to_ascii_uppercase()];
        letters.extend(match c {
            's' => Some('\u{17f}'),
            'k' => Some('\u{212a}'),
            _ => None,
        });
        spellings =
            spellings.iter().flat_map(|start| letters.iter().map(move |c| format!("{start}{c}"))).collect();
    }
    spellings.retain(|spelling| spelling != name);
    spellings
}

#[test]
#[ignore = "needs docker-registry, distribution 3, zot-verdict and openssl: see .ci/run"]
fn every_letter_case_of_every_name_is_judged_as_the_program_does() {
    let world = World::new();
    let trust = world.trust("both");
    let mut report = Report::default();
    for judge in Judge::ALL {
        let mut running = Running::start(judge, &trust, &world.folder, "case");
        for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "access", "type", "name", "actions"] {
            for spelling in spellings(name) {
                // A value that no program takes for any of them, in the object where the name belongs.
                let place =
                    if ["type", "name", "actions"].contains(&name) { r#"{"type""# } else { r#"{"iss""# };
                let claims =
                    CLAIMS.replacen(place, &place.replacen('{', &format!("{{\"{spelling}\":{{}},"), 1), 1);
                let token =
                    signed(&world, filled(HEADER, &world).as_bytes(), filled(&claims, &world).as_bytes());
                let code = if name == "aud" { "audience-type" } else { "type" };
                // To distribution 3 it is another name.
                let expected: &[&str] = if judge == Judge::Registry3 { &[] } else { &[code] };
                report.compare(&spelling, (judge, &mut running), &trust, &token, expected);
            }
        }
    }
    report.end();
}

#[test]
#[ignore = "needs docker-registry, distribution 3 and openssl: see .ci/run"]
fn an_odd_header_is_judged_as_the_program_does() {
    let world = World::new();
    let mut report = Report::default();
    let claims = filled(CLAIMS, &world);
    let x5c = |name: &str| world.x5c(&[name])[0].as_str().unwrap().to_owned();
    let own = x5c("ec");
    let broken: Vec<String> =
        own.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into()).collect();
    let jwk = |key: &str, more: Value| {
        let mut jwk = world.key(key).jwk();
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "alg": "ES256", "jwk": jwk })
    };
    let id = world.key("ec").libtrust_id();
    let cases: Vec<(&str, &str, Value, [&[&str]; 2])> = vec![
        ("x5c with line ends", "both", json!({ "alg": "ES256", "x5c": [broken.join("\r\n")] }), [&[], &[]]),
        (
            "x5c with a blank",
            "both",
            json!({ "alg": "ES256", "x5c": [broken.join(" ")] }),
            [&["x5c"], &["x5c"]],
        ),
        (
            "x5c without its padding",
            "both",
            json!({ "alg": "ES256", "x5c": [format!("{own}=")] }),
            [&["x5c"], &["x5c"]],
        ),
        (
            "x5c of base64url",
            "both",
            json!({ "alg": "ES256", "x5c": [own.replace(['+', '/'], "_")] }),
            [&["x5c"], &["x5c"]],
        ),
        ("x5c with null", "both", json!({ "alg": "ES256", "x5c": [null] }), [&["x5c"], &["x5c"]]),
        (
            "x5c with a critical extension",
            "critical",
            json!({ "alg": "ES256", "x5c": [x5c("critical")] }),
            [&["?x5c"], &["?x5c"]],
        ),
        (
            "x5c under name constraints",
            "named",
            json!({ "alg": "ES256", "x5c": [x5c("namedleaf")] }),
            [&["?x5c"], &["?x5c"]],
        ),
        (
            "x5c with a critical usage that is judged",
            "usage",
            json!({ "alg": "ES256", "x5c": [x5c("usage")] }),
            [&[], &[]],
        ),
        ("a trusted jwk", "both", jwk("ec", json!({ "kid": id })), [&[], &[]]),
        ("a trusted jwk without a kid", "both", jwk("ec", json!({})), [&[], &["key-id"]]),
        ("a jwk of another", "both", jwk("other", json!({})), [&["key-id"], &["key-id"]]),
        ("another's jwk under the trusted kid", "both", jwk("other", json!({ "kid": id })), [&["jwk"], &[]]),
        ("a jwk with x5c", "both", jwk("ec", json!({ "x5c": [own] })), [&["?jwk"], &["?jwk"]]),
        (
            "a jwk that is none",
            "both",
            json!({ "alg": "ES256", "kid": id, "jwk": { "kty": "EC" } }),
            [&["?jwk"], &["jwk"]],
        ),
        ("jwk null", "both", json!({ "alg": "ES256", "kid": id, "jwk": null }), [&[], &[]]),
    ];
    for (index, judge) in Judge::ALL.into_iter().enumerate().filter(|(_, judge)| *judge != Judge::Zot) {
        for (name, trust, header, expected) in &cases {
            let trusted = world.trust(trust);
            let mut running = Running::start(judge, &trusted, &world.folder, trust);
            let token = signed(&world, header.to_string().as_bytes(), claims.as_bytes());
            report.compare(name, (judge, &mut running), &trusted, &token, expected[index]);
        }
    }
    report.end();
}
