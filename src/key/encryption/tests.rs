use super::*;
use crate::key::PublicKey;

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/data/keys/", $name)).as_slice()
    };
}

fn secret(text: &[u8]) -> Secret {
    Secret::new(text.to_vec())
}

fn bytes(text: &str) -> Vec<u8> {
    base64::read(text).unwrap()
}

/// RFC 7518, appendix C: Alice's key is ephemeral, Bob's is static.
const ALICE: &str = r#"{"kty":"EC","crv":"P-256","x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0",
    "y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps","d":"0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo"}"#;
const BOB: &str = r#"{"kty":"EC","crv":"P-256","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
    "y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck","d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"}"#;

fn private(jwk: &str) -> Private {
    Private::new(&Jwk::parse(jwk.as_bytes()).unwrap().material().unwrap()).unwrap()
}

fn public(jwk: &str) -> Value {
    let mut value: Value = serde_json::from_str(jwk).unwrap();
    value.as_object_mut().unwrap().remove("d");
    value
}

#[test]
fn the_agreement_and_the_derived_key_are_those_of_rfc_7518() {
    let shared = private(ALICE).agree(&public(BOB)).unwrap();
    assert_eq!(shared, private(BOB).agree(&public(ALICE)).unwrap());
    assert_eq!(*shared, bytes("nlbZHYFxNdNyg0KDv4QmnPsxbqPagGpI9tqneYz-kMQ"));
    let derived = agreement::derive(&shared, "A128GCM", b"Alice", b"Bob", 16);
    assert_eq!(*derived, bytes("VqqN6vgjbSBcIijNcacQGg"));
}

/// RFC 8037, A.6, which is RFC 7748, 6.1.
#[test]
fn the_agreement_on_x25519_is_that_of_rfc_8037() {
    let alice = r#"{"kty":"OKP","crv":"X25519","x":"hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo",
        "d":"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo"}"#;
    let bob = r#"{"kty":"OKP","crv":"X25519","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}"#;
    let shared = private(alice).agree(&public(bob)).unwrap();
    assert_eq!(*shared, bytes("Sl2dW6TOLeFyjjv0gDUPJeB-IclH0Z4zdvCbPB4WF0I"));
}

#[test]
fn points_off_their_curve_and_of_small_order_are_refused() {
    let x = |bytes: [u8; 32]| serde_json::json!({ "kty": "OKP", "crv": "X25519", "x": base64::text(&bytes) });
    let alice = Private::new(&Material::from_pem(file!("x25519.pem")).unwrap()).unwrap();
    let one = std::array::from_fn(|at| u8::from(at == 0));
    // Curve25519's points of order 8 (RFC 7748, 6.1; cr.yp.to/ecdh.html).
    let order_8 = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ];
    for low in [[0; 32], one, order_8] {
        assert!(alice.agree(&x(low)).is_none(), "{low:?}");
        let jwk = x(low).to_string();
        assert!(EncryptionKey::from_jwk(jwk.as_bytes(), None, None).is_err());
    }
    let mut off = public(BOB);
    off["y"] = base64::text(&[1; 32]).into();
    assert!(private(ALICE).agree(&off).is_none());
    assert!(EncryptionKey::from_jwk(off.to_string().as_bytes(), None, None).is_err());
    // Another curve, a private half, and no key at all.
    assert!(private(ALICE).agree(&x([9; 32])).is_none());
    assert!(private(ALICE).agree(&serde_json::from_str(BOB).unwrap()).is_none());
    assert!(private(ALICE).agree(&Value::Null).is_none());
}

#[test]
fn the_parties_of_an_agreement_must_differ() {
    let key = EncryptionKey::public(file!("p256-pub.pem"), None, None).unwrap();
    let opener = DecryptionKey::read(&secret(file!("p256.pem"))).unwrap();
    let Wrapped { key, ephemeral } = key.wrap(&[7; 32]).unwrap();
    let unwrap = |producer, consumer| {
        let stated = Stated {
            management: Management::EcdhEsA256Kw,
            ephemeral: ephemeral.as_ref(),
            producer,
            consumer,
        };
        opener.unwrap(&stated, &key).map(|key| key.to_vec())
    };
    assert_eq!(unwrap(None, None), Some(vec![7; 32]));
    assert_eq!(unwrap(Some(&[][..]), None), Some(vec![7; 32]));
    assert_eq!(unwrap(Some(&[][..]), Some(&[][..])), None);
    assert_eq!(unwrap(Some(b"a"), Some(b"a")), None);
    assert_eq!(unwrap(Some(b"a"), None), None, "another key is derived");
}

#[test]
fn a_key_is_for_the_algorithms_that_it_can_do() {
    let base64 = |bytes: usize| secret(base64::text(&vec![9; bytes]).as_bytes());
    let shared = |bytes, algorithm| EncryptionKey::shared(&base64(bytes), algorithm, None);
    assert_eq!(shared(32, None).unwrap().management(), Management::A256Kw);
    assert_eq!(shared(16, Some(Management::A128Kw)).unwrap().management(), Management::A128Kw);
    assert!(shared(16, None).is_err() && shared(24, None).is_err());
    assert!(shared(32, Some(Management::A128Kw)).is_err());
    assert!(shared(32, Some(Management::EcdhEsA256Kw)).is_err());
    for text in ["change-me", "", "hunter2hunter2hunter2hunter2hun", "\u{e4}"] {
        assert!(EncryptionKey::shared(&secret(text.as_bytes()), None, None).is_err(), "{text}");
    }
    let standard = base64::standard(&[0xfb; 32]);
    assert!(EncryptionKey::shared(&secret(standard.as_bytes()), None, None).is_ok());
    for management in Management::ALL {
        assert_eq!(Management::named(management.name()), Ok(management));
    }
    for key in [
        format!("{:?}", shared(32, None).unwrap()),
        format!("{:?}", DecryptionKey::read(&secret(file!("x25519.pem"))).unwrap()),
    ] {
        assert!(!key.contains('9') && key.len() < 80, "{key}");
    }
}

#[test]
fn jwks_agree_with_themselves_and_are_for_what_they_say() {
    let with = |changes: &[(&str, Value)]| {
        let mut jwk: Value = serde_json::from_str(BOB).unwrap();
        for (name, value) in changes {
            match value {
                Value::Null => drop(jwk.as_object_mut().unwrap().remove(*name)),
                value => jwk[*name] = value.clone(),
            }
        }
        jwk.to_string()
    };
    let opens = |jwk: &str| DecryptionKey::read(&secret(jwk.as_bytes())).map(drop);
    let seals = |jwk: &str| EncryptionKey::from_jwk(jwk.as_bytes(), None, None).map(|key| key.management());
    let null = ("d", Value::Null);
    assert_eq!(opens(&with(&[])), Ok(()));
    assert_eq!(seals(&with(std::slice::from_ref(&null))), Ok(Management::EcdhEsA256Kw));
    assert_eq!(
        seals(&with(&[null.clone(), ("alg", "ECDH-ES+A128KW".into()), ("key_ops", Value::Array(vec![]))])),
        Ok(Management::EcdhEsA128Kw)
    );
    for (name, value, why) in [
        ("use", "sig".into(), "its `use` is not `enc`"),
        (
            "key_ops",
            vec!["sign"].into(),
            "its `key_ops` include neither `deriveKey`, `deriveBits` nor `unwrapKey`",
        ),
        ("alg", "RSA-OAEP".into(), "its `alg` encrypts no token here"),
        ("alg", 5.into(), "`alg` is not a string"),
        ("d", "!".into(), "a private member is not base64url"),
        ("x", Value::Null, "a public member is missing"),
    ] {
        assert_eq!(opens(&with(&[(name, value)])), Err(KeyError::Jwk { why }), "{name}");
    }
    let mixed: Value = serde_json::from_str(ALICE).unwrap();
    let inconsistent = Err(KeyError::Inconsistent { key: "an EC key on P-256" });
    assert_eq!(opens(&with(&[("d", mixed["d"].clone())])), inconsistent);
    assert!(matches!(seals(&with(&[])), Err(KeyError::NotPublic { .. })));
    let oct = r#"{"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg","alg":"A128KW","kid":"the id"}"#;
    let key = EncryptionKey::shared(&secret(oct.as_bytes()), None, None).unwrap();
    assert_eq!((key.management(), key.id()), (Management::A128Kw, Some("the id")));
    assert!(EncryptionKey::from_jwk(oct.as_bytes(), Some(Management::A256Kw), None).is_err());
    // A key that signs is told from one that encrypts.
    let encrypts = EncryptionKey::public(file!("p256-pub-compressed.pem"), None, None).unwrap();
    assert!(encrypts.is_half_of(&PublicKey::from_pem(file!("p256-pub.pem"), None).unwrap()));
    assert!(!encrypts.is_half_of(&PublicKey::from_pem(file!("ed25519-pub.pem"), None).unwrap()));
}
