//! Both engines side by side.

#[cfg(feature = "fast")]
mod fast {

    use crate::ground::secret::Secret;
    use crate::key::Key;
    use crate::key::KeyError;
    use crate::key::algorithm::Algorithm;

    fn pem(text: &[u8], algorithm: Option<Algorithm>) -> Result<Key, KeyError> {
        Key::from_pem(&Secret::new(text.to_vec()), algorithm, None)
    }

    const KEYS: [(Algorithm, &[u8]); 9] = {
        let rsa = include_bytes!("../../../tests/data/keys/rsa2048.pem").as_slice();
        [
            (Algorithm::RS256, rsa),
            (Algorithm::RS384, rsa),
            (Algorithm::RS512, rsa),
            (Algorithm::PS256, rsa),
            (Algorithm::PS384, rsa),
            (Algorithm::PS512, rsa),
            (Algorithm::ES256, include_bytes!("../../../tests/data/keys/p256.pem")),
            (Algorithm::ES384, include_bytes!("../../../tests/data/keys/p384.pem")),
            (Algorithm::EdDSA, include_bytes!("../../../tests/data/keys/ed25519.pem")),
        ]
    };

    #[test]
    fn what_one_signs_the_other_verifies() {
        for (algorithm, text) in KEYS {
            let fast = pem(text, Some(algorithm)).unwrap();
            let rust = pem(text, Some(algorithm)).unwrap().in_rust();
            assert_eq!((fast.engine(), rust.engine()), ("AWS-LC", "Rust"));
            let (by_fast, by_rust) = (fast.sign(b"text").unwrap(), rust.sign(b"text").unwrap());
            for verifier in [&fast, &rust] {
                assert!(
                    verifier.verify(b"text", &by_fast) && verifier.verify(b"text", &by_rust),
                    "{algorithm}"
                );
                assert!(!verifier.verify(b"texT", &by_fast) && !verifier.verify(b"texT", &by_rust));
                assert!(!verifier.verify(b"text", &vec![0; by_fast.len()]), "{algorithm}");
                assert!(!verifier.verify(b"text", &by_fast[1..]), "{algorithm}");
                assert!(!verifier.verify(b"text", b""), "{algorithm}");
            }
            let deterministic = matches!(
                algorithm,
                Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 | Algorithm::EdDSA
            );
            assert_eq!(by_fast == by_rust, deterministic, "{algorithm}");
        }
    }

    #[test]
    fn macs_are_equal_whatever_the_length_of_the_secret() {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            for length in [1, 12, 32, 64, 65, 128, 129, 300] {
                let key = || Key::from_secret(algorithm, &Secret::new(vec![7; length]), None).unwrap();
                assert_eq!(key().engine(), "AWS-LC");
                assert_eq!(key().sign(b"text"), key().in_rust().sign(b"text"), "{algorithm} {length}");
            }
        }
    }

    #[test]
    fn every_key_that_the_default_build_takes_is_taken_over_but_ml_dsa() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keys");
        let mut taken = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let Ok(key) = pem(&std::fs::read(&path).unwrap(), None) else { continue };
            let engine = if key.algorithm().is_ml_dsa() { "Rust" } else { "AWS-LC" };
            assert_eq!(key.engine(), engine, "{}", path.display());
            assert_eq!(
                key.public().unwrap().verifier().fast.is_some(),
                engine == "AWS-LC",
                "{}",
                path.display()
            );
            taken += 1;
        }
        assert!(taken > 5);
    }
}
