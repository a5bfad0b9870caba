//! JWE in compact form (RFC 7516, 3.1): sealing and opening.
//!
//! Owns the form and its header. Decision: A256GCM alone, under a key that is new for each token, so that no nonce
//! ever comes twice under one key; no compression, which tells of what it hides. Whatever of a token does not
//! open gives the one error, [`OpenError::Closed`]; only what its header says in the open is refused by name.

use super::{OpenError, SealError, Typ};
use crate::ground::base64;
use crate::ground::json;
use crate::key::KeyError;
use crate::key::encryption::{DecryptionKey, EncryptionKey, Management, Stated, Wrapped};
use jwt_simple::algorithms::ContentEncryption;
use jwt_simple::jwe_header::JWEHeader;
use jwt_simple::jwe_token::JWEToken;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

const CONTENT: ContentEncryption = ContentEncryption::A256GCM;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
/// The longest header that is read, in characters: with `epk` it has under 400.
const MAX_HEADER: usize = 4096;

/// The JWE format with its key.
#[derive(Debug)]
pub struct Jwe {
    key: EncryptionKey,
}

impl Jwe {
    pub(super) fn new(key: EncryptionKey) -> Self {
        Self { key }
    }

    pub(super) fn management(&self) -> Management {
        self.key.management()
    }

    pub(super) fn key_id(&self) -> Option<&str> {
        self.key.id()
    }

    /// The token of this content: claims, or a token, which `cty` says.
    pub(super) fn seal(&self, content: &[u8], typ: Typ, cty: Option<&str>) -> Result<String, SealError> {
        let failed = || SealError::Encrypt(KeyError::Crypto { task: "encrypt" });
        let mut content_key = Zeroizing::new([0; KEY_BYTES]);
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(content_key.as_mut_slice()).map_err(|_| failed())?;
        getrandom::fill(&mut nonce).map_err(|_| failed())?;
        let Wrapped { key, ephemeral } = self.key.wrap(content_key.as_slice()).map_err(SealError::Encrypt)?;
        let mut header = JWEHeader::new(self.key.management().name(), CONTENT.alg_name());
        header.key_id = self.key.id().map(str::to_owned);
        header.token_type = Some(typ.name().to_owned());
        header.content_type = cty.map(str::to_owned);
        header.ephemeral_public_key = ephemeral;
        // As `build` writes it: the text is the additional data (RFC 7516, 5.1).
        let text = serde_json::to_vec(&header).map(|json| base64::text(&json)).map_err(|_| failed())?;
        let encrypted = CONTENT.encrypt(content_key.as_slice(), &nonce, text.as_bytes(), content);
        let (ciphertext, tag) = encrypted.map_err(|_| failed())?;
        JWEToken::build(&header, &key, &nonce, &ciphertext, &tag).map_err(|_| failed())
    }
}

/// A header that says nothing which is not done here.
#[derive(Debug, Clone)]
pub struct Header {
    management: Management,
    members: Map<String, Value>,
}

impl Header {
    /// Reads the first part of a token. What cannot be opened by anyone here is refused by its name.
    pub fn read(part: &str) -> Result<Header, OpenError> {
        if part.len() > MAX_HEADER {
            return Err(OpenError::Header);
        }
        let json = base64::read(part).ok_or(OpenError::Header)?;
        let members = json::object(&json).map_err(|_| OpenError::Header)?;
        let text = |name: &'static str| members.get(name).and_then(Value::as_str).ok_or(OpenError::Header);
        let refused = |name: &'static str, value: &str, why| {
            Err(OpenError::Refused { name, value: value.chars().take(40).collect(), why })
        };
        let (alg, enc) = (text("alg")?, text("enc")?);
        let management = match Management::named(alg) {
            Ok(management) => management,
            Err(why) => return refused("alg", alg, why),
        };
        if enc != CONTENT.alg_name() {
            return refused("enc", enc, "only A256GCM is opened here");
        }
        if let Some(zip) = members.get("zip") {
            let why = "what is compressed before it is encrypted tells of itself by its length";
            return refused("zip", zip.as_str().unwrap_or_default(), why);
        }
        if members.contains_key("crit") {
            return refused("crit", "", "no extension is known here");
        }
        Ok(Header { management, members })
    }

    /// A member that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    /// Every member.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// How the key of the content travels.
    pub fn management(&self) -> Management {
        self.management
    }

    /// Whether what is inside is a token itself: `cty` is `JWT` (RFC 7519, 5.2).
    pub fn is_nested(&self) -> bool {
        self.text("cty").is_some_and(|cty| super::media_type(cty).eq_ignore_ascii_case("JWT"))
    }
}

/// The header of a token and what it holds.
pub(super) fn open(token: &str, key: &DecryptionKey) -> Result<(Header, Zeroizing<Vec<u8>>), OpenError> {
    let parts: Vec<&str> = token.split('.').collect();
    let [first, encrypted_key, nonce, ciphertext, tag] = parts[..] else { return Err(OpenError::Form) };
    let header = Header::read(first)?;
    let content = content(&header, first, key, [encrypted_key, nonce, ciphertext, tag]);
    content.map(|content| (header, content)).ok_or(OpenError::Closed)
}

fn content(header: &Header, aad: &str, key: &DecryptionKey, parts: [&str; 4]) -> Option<Zeroizing<Vec<u8>>> {
    let [encrypted_key, nonce, ciphertext, tag] = parts;
    let party = |name| match header.members.get(name) {
        None => Some(None),
        Some(party) => party.as_str().and_then(base64::read).map(Some),
    };
    let (producer, consumer) = (party("apu")?, party("apv")?);
    let stated = Stated {
        management: header.management,
        ephemeral: header.members.get("epk"),
        producer: producer.as_deref(),
        consumer: consumer.as_deref(),
    };
    let unwrapped = key.unwrap(&stated, &base64::read(encrypted_key)?);
    // A key that does not unwrap costs as much as a content that does not open (RFC 7516, 11.5).
    let fits = unwrapped.as_ref().is_some_and(|key| key.len() == KEY_BYTES);
    let content_key = unwrapped.filter(|_| fits).unwrap_or_else(|| Zeroizing::new(vec![0; KEY_BYTES]));
    let [nonce, ciphertext, tag] = [nonce, ciphertext, tag].map(base64::read);
    let opened = CONTENT.decrypt(&content_key, &nonce?, aad.as_bytes(), &ciphertext?, &tag?);
    opened.ok().map(Zeroizing::new).filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::secret::Secret;
    use crate::key::encryption::Management::{A128Kw, A256Kw, EcdhEsA128Kw, EcdhEsA256Kw};

    const CLAIMS: &[u8] = br#"{"iss":"i","exp":1e0 , "a":"\u00fc"}"#;

    macro_rules! file {
        ($name:literal) => {
            include_bytes!(concat!("../../tests/data/keys/", $name)).as_slice()
        };
    }

    fn secret(bytes: usize) -> Secret {
        Secret::new(base64::text(&vec![7; bytes]).into_bytes())
    }

    /// Every algorithm with a key that seals and one that opens.
    fn pairs() -> Vec<(Jwe, DecryptionKey)> {
        let shared = |bytes, management| {
            let key =
                EncryptionKey::shared(&secret(bytes), Some(management), Some("the id".to_owned())).unwrap();
            let opener = key.opener().unwrap();
            (Jwe::new(key), opener)
        };
        let agreed = |public: &[u8], private: &[u8], management| {
            let key = EncryptionKey::public(public, Some(management), None).unwrap();
            (Jwe::new(key), DecryptionKey::read(&Secret::new(private.to_vec())).unwrap())
        };
        let mut pairs = vec![shared(32, A256Kw), shared(16, A128Kw)];
        for management in [EcdhEsA256Kw, EcdhEsA128Kw] {
            pairs.push(agreed(file!("p256-pub.pem"), file!("p256.pem"), management));
            pairs.push(agreed(file!("x25519-pub.pem"), file!("x25519.pem"), management));
        }
        pairs
    }

    #[test]
    fn what_is_sealed_opens_byte_for_byte_and_to_no_other_key() {
        let pairs = pairs();
        for (own, (jwe, key)) in pairs.iter().enumerate() {
            let token = jwe.seal(CLAIMS, Typ::Jwt, None).unwrap();
            let (header, content) = open(&token, key).unwrap();
            assert_eq!(content.as_slice(), CLAIMS);
            assert_eq!(
                (header.text("typ"), header.text("enc"), header.text("zip")),
                (Some("JWT"), Some("A256GCM"), None)
            );
            assert!(!header.is_nested());
            assert_ne!(token, jwe.seal(CLAIMS, Typ::Jwt, None).unwrap());
            for (other, (_, key)) in pairs.iter().enumerate() {
                // A key pair takes both algorithms of its curve.
                let same = other == own || own >= 2 && other >= 2 && (own + other) % 2 == 0;
                assert_eq!(open(&token, key).is_ok(), same, "{own} {other}");
            }
        }
    }

    #[test]
    fn whatever_is_changed_gives_one_error() {
        for (jwe, key) in pairs() {
            let token = jwe.seal(CLAIMS, Typ::Jwt, None).unwrap();
            let dots: Vec<usize> = token.match_indices('.').map(|(at, _)| at).collect();
            for at in (dots[0] + 1..token.len()).filter(|at| !dots.contains(at)) {
                let mut bytes = token.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(bytes).unwrap();
                assert_eq!(open(&changed, &key).err(), Some(OpenError::Closed), "{at}");
            }
            let parts: Vec<&str> = token.split('.').collect();
            for part in 1..5 {
                for new in ["", "AAAA", "!", "pqampqampqY", "AAAAAAAAAAAAAAAAAAAAAA", &"A".repeat(1 << 13)] {
                    let mut parts = parts.clone();
                    parts[part] = new;
                    assert_eq!(open(&parts.join("."), &key).err(), Some(OpenError::Closed), "{part} {new}");
                }
            }
            let header = parts[0].replacen("ey", "eyA", 1);
            assert!(open(&token.replacen(parts[0], &header, 1), &key).is_err());
            assert_eq!(open(&format!("{token}.A"), &key).err(), Some(OpenError::Form));
        }
    }

    /// Who reads such a header as one without that part derives another key, or the same from another statement.
    #[test]
    fn a_party_of_an_agreement_is_a_text_in_base64() {
        let key = EncryptionKey::public(file!("x25519-pub.pem"), None, None).unwrap();
        let opener = DecryptionKey::read(&Secret::new(file!("x25519.pem").to_vec())).unwrap();
        for (party, opens) in
            [("", true), (r#","apu":5"#, false), (r#","apv":null"#, false), (r#","apu":"!""#, false)]
        {
            let Wrapped { key, ephemeral } = key.wrap(&[7; KEY_BYTES]).unwrap();
            let epk = ephemeral.unwrap();
            let header = format!(r#"{{"alg":"ECDH-ES+A256KW","enc":"A256GCM","epk":{epk}{party}}}"#);
            let header = base64::text(header.as_bytes());
            let (text, tag) = CONTENT.encrypt(&[7; KEY_BYTES], &[1; 12], header.as_bytes(), CLAIMS).unwrap();
            let parts = [&key, &[1; 12][..], &text, &tag].map(base64::text);
            let token = format!("{header}.{}", parts.join("."));
            assert_eq!(open(&token, &opener).is_ok(), opens, "{party}");
        }
    }

    /// RFC 7516, A.1 and A.2; RFC 7519, A.1 and A.2; RFC 7518, 4.5 and 4.8; RFC 8725, 3.6.
    #[test]
    fn what_is_not_done_here_is_refused_by_name() {
        let (_, key) = pairs().remove(0);
        for (header, name, value) in [
            (r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#, "alg", "RSA-OAEP"),
            (r#"{"alg":"RSA1_5","enc":"A128CBC-HS256"}"#, "alg", "RSA1_5"),
            (r#"{"alg":"RSA1_5","enc":"A128CBC-HS256","cty":"JWT"}"#, "alg", "RSA1_5"),
            (r#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#, "alg", "RSA-OAEP-256"),
            (r#"{"alg":"dir","enc":"A256GCM"}"#, "alg", "dir"),
            (r#"{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":1000000}"#, "alg", "PBES2-HS256+A128KW"),
            (r#"{"alg":"ECDH-ES","enc":"A256GCM"}"#, "alg", "ECDH-ES"),
            (r#"{"alg":"A256GCMKW","enc":"A256GCM"}"#, "alg", "A256GCMKW"),
            (r#"{"alg":"none","enc":"A256GCM"}"#, "alg", "none"),
            (r#"{"alg":"a256kw","enc":"A256GCM"}"#, "alg", "a256kw"),
            (r#"{"alg":"A256KW","enc":"A128CBC-HS256"}"#, "enc", "A128CBC-HS256"),
            (r#"{"alg":"A256KW","enc":"A256GCM","zip":"DEF"}"#, "zip", "DEF"),
            (r#"{"alg":"A256KW","enc":"A256GCM","crit":["exp"]}"#, "crit", ""),
        ] {
            let token = format!("{}.AAAA.AAAA.AAAA.AAAA", base64::text(header.as_bytes()));
            match open(&token, &key).unwrap_err() {
                OpenError::Refused { name: found, value: shown, .. } => {
                    assert_eq!((found, &*shown), (name, value));
                }
                other => panic!("{header}: {other:?}"),
            }
        }
        for header in
            ["", "[]", "{}", r#"{"alg":"A256KW"}"#, r#"{"alg":"A256KW","alg":"dir","enc":"A256GCM"}"#]
        {
            let token = format!("{}....", base64::text(header.as_bytes()));
            assert_eq!(open(&token, &key).err(), Some(OpenError::Header), "{header}");
        }
    }

    /// RFC 7516, A.3: the wrapped key opens; its content is A128CBC-HS256, which is refused.
    #[test]
    fn the_wrapped_key_of_rfc_7516_a_3_unwraps() {
        let jwk = br#"{"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg"}"#.to_vec();
        let key = DecryptionKey::read(&Secret::new(jwk)).unwrap();
        let wrapped = base64::read("6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ").unwrap();
        let stated = Stated { management: A128Kw, ephemeral: None, producer: None, consumer: None };
        let expected = [
            4, 211, 31, 197, 84, 157, 252, 254, 11, 100, 157, 250, 63, 170, 106, 206, 107, 124, 212, 45, 111,
            107, 9, 219, 200, 177, 0, 240, 143, 156, 44, 207,
        ];
        assert_eq!(key.unwrap(&stated, &wrapped).unwrap().as_slice(), expected);
        let token = "eyJhbGciOiJBMTI4S1ciLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.\
                     6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ.\
                     AxY8DCtDaGlsbGljb3RoZQ.KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY.\
                     U0m_YmjN04DJvceFICbCVQ";
        assert!(matches!(open(token, &key), Err(OpenError::Refused { name: "enc", .. })));
    }

    /// RFC 7516, A.1: the content, with the key that RSA-OAEP carries there.
    #[test]
    fn the_content_of_rfc_7516_a_1_opens() {
        let key = [
            177, 161, 244, 128, 84, 143, 225, 115, 63, 180, 3, 255, 107, 154, 212, 246, 138, 7, 110, 91, 112,
            46, 34, 105, 47, 130, 203, 46, 122, 234, 64, 252,
        ];
        let read = |text| base64::read(text).unwrap();
        let opened = CONTENT.decrypt(
            &key,
            &read("48V1_ALb6US04U3b"),
            b"eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ",
            &read("5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A"),
            &read("XFBoMYUZodetZdvTiFvSkQ"),
        );
        assert_eq!(opened.unwrap(), b"The true sign of intelligence is not knowledge but imagination.");
    }
}
