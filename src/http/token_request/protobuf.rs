//! A `TokenRequest` in Kubernetes' protobuf, the only encoding in which kubectl sends it since 1.32.
//!
//! Owns as much of the wire format (protobuf.dev, "Encoding") as one message needs. Must not know what is
//! answered. Decision: by hand, because a message of four fields is not worth a dependency; and strict: a
//! field that is not known is refused, not passed over, as in JSON.

use super::body::TokenRequestBody;

/// The `Content-Type` of this encoding.
pub(super) const MEDIA_TYPE: &[u8] = b"application/vnd.kubernetes.protobuf";

/// What stands in front of the envelope (`k8s.io/apimachinery/pkg/runtime/serializer/protobuf`).
const MAGIC: &[u8] = b"k8s\0";

/// A field's value.
#[derive(Clone, Copy)]
enum Field<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

/// Reads `runtime.Unknown`, and the `TokenRequest` in it.
pub(super) fn token_request(body: &[u8]) -> Option<TokenRequestBody> {
    let mut wanted = TokenRequestBody::default();
    let mut message: &[u8] = &[];
    each(body.strip_prefix(MAGIC)?, |number, field| match (number, field) {
        (1, Field::Bytes(bytes)) => each(bytes, |number, field| match number {
            1 => set(&mut wanted.api_version, field),
            2 => set(&mut wanted.kind, field),
            _ => None,
        }),
        (2, Field::Bytes(bytes)) => {
            message = bytes;
            Some(())
        }
        // contentEncoding and contentType: the message stands as it is.
        (3 | 4, Field::Bytes([])) => Some(()),
        _ => None,
    })?;
    each(message, |number, field| match (number, field) {
        // Of the metadata only the names matter; what else is in it is the server's to set.
        (1, Field::Bytes(bytes)) => each(bytes, |number, field| match number {
            1 => set(&mut wanted.name, field),
            3 => set(&mut wanted.namespace, field),
            _ => Some(()),
        }),
        (2, Field::Bytes(bytes)) => spec(bytes, &mut wanted),
        (3, Field::Bytes(_)) => Some(()), // an empty status
        _ => None,
    })?;
    Some(wanted)
}

/// `TokenRequestSpec`
fn spec(bytes: &[u8], wanted: &mut TokenRequestBody) -> Option<()> {
    each(bytes, |number, field| match (number, field) {
        (1, Field::Bytes(bytes)) => {
            wanted.audiences.push(String::from_utf8(bytes.to_vec()).ok()?);
            Some(())
        }
        (3, Field::Bytes(_)) => {
            wanted.bound = true;
            Some(())
        }
        (4, Field::Number(number)) => {
            wanted.seconds = Some(number.cast_signed()); // an int64: two's complement
            Some(())
        }
        _ => None,
    })
}

fn set(text: &mut String, field: Field<'_>) -> Option<()> {
    let Field::Bytes(bytes) = field else { return None };
    *text = String::from_utf8(bytes.to_vec()).ok()?;
    Some(())
}

/// Hands every field of a message to `take`; `None` where that refuses one, or the message is cut off.
fn each<'b>(mut rest: &'b [u8], mut take: impl FnMut(u64, Field<'b>) -> Option<()>) -> Option<()> {
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut rest)?),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (bytes, after) = rest.split_at_checked(length)?;
                rest = after;
                Field::Bytes(bytes)
            }
            _ => return None,
        };
        take(tag >> 3, field)?;
    }
    Some(())
}

/// A number of 64 bits, seven of them in each byte, the lowest first.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None; // more than 64 bits
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What kubectl 1.32 sends for `create token deployer --audience https://vault.example.com --duration 20m`.
    const KUBECTL: &[u8] = b"k8s\0\n(\n\x18authentication.k8s.io/v1\x12\x0cTokenRequest\x128\n\x10\n\0\x12\0\
        \x1a\0\"\0*\x002\08\0B\0\x12\x1e\n\x19https://vault.example.com \xb0\t\x1a\x04\n\0\x12\0\x1a\0\"\0";

    fn expected() -> TokenRequestBody {
        TokenRequestBody {
            api_version: "authentication.k8s.io/v1".into(),
            kind: "TokenRequest".into(),
            audiences: vec!["https://vault.example.com".into()],
            seconds: Some(1200),
            ..TokenRequestBody::default()
        }
    }

    /// A field of bytes, shorter than 128.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    fn enveloped(message: &[u8]) -> Vec<u8> {
        [MAGIC, &field(2, message)].concat()
    }

    #[test]
    fn what_kubectl_sends_is_read() {
        assert_eq!(token_request(KUBECTL), Some(expected()));
    }

    #[test]
    fn no_part_of_a_message_is_taken_for_the_whole() {
        for end in 0..KUBECTL.len() {
            let part = token_request(&KUBECTL[..end]);
            assert!(
                part.is_none() || part != Some(expected()) || end >= KUBECTL.len() - 4,
                "{end}: {part:?}"
            );
        }
    }

    #[test]
    fn every_field_that_counts_is_read() {
        let metadata = [field(1, b"deployer"), field(3, b"build"), field(5, b"uid")].concat();
        let spec = [field(1, b"a"), field(1, b"b"), field(3, b""), vec![4 << 3, 0xd8, 0x04]].concat();
        let message = [field(1, &metadata), field(2, &spec), field(3, b"")].concat();
        let wanted = TokenRequestBody {
            namespace: "build".into(),
            name: "deployer".into(),
            audiences: vec!["a".into(), "b".into()],
            seconds: Some(600),
            bound: true,
            ..TokenRequestBody::default()
        };
        assert_eq!(token_request(&enveloped(&message)), Some(wanted));
        let minus_one = [&[4 << 3][..], &[0xff; 9], &[1]].concat();
        let negative = token_request(&enveloped(&field(2, &minus_one))).unwrap();
        assert_eq!(negative.seconds, Some(-1));
    }

    #[test]
    fn what_is_no_such_message_is_refused() {
        let of_spec = |bytes: &[u8]| enveloped(&field(2, bytes));
        for body in [
            b"".to_vec(),
            b"{}".to_vec(),
            b"k8s".to_vec(),
            [b"k8t\0", &KUBECTL[4..]].concat(),
            [MAGIC, &[0x12, 0xff]].concat(), // a length without its end
            [MAGIC, &[0x12, 5, 0]].concat(), // longer than there is
            [MAGIC, &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]].concat(),
            [MAGIC, &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat(),
            [MAGIC, &[0x80; 11]].concat(), // a number without an end
            [MAGIC, &field(3, b"gzip")].concat(),
            [MAGIC, &field(5, b"")].concat(),
            [MAGIC, &[0x0d, 0, 0, 0, 0]].concat(), // 32 bits: no field here has them
            enveloped(&field(4, b"")),
            of_spec(&field(2, b"")),
            of_spec(&field(1, b"\xff")),
            of_spec(&[1 << 3, 0]),
            of_spec(&field(4, b"\x01")),
        ] {
            assert_eq!(token_request(&body), None, "{body:?}");
        }
    }
}
