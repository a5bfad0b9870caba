//! The value of an `Authorization` field: as it is, and as the base64 of what could be a name and a password.

use super::base64::{self, STANDARD};
use keypebble::http::credentials::Credentials;

pub fn check(bytes: &[u8]) {
    if let Ok(value) = std::str::from_utf8(bytes) {
        compare(value, reference(value).as_ref());
    }
    let encoded = base64::encode(STANDARD, true, bytes);
    let expected = if encoded.len() <= 1024 { pair(bytes) } else { None };
    compare(&format!("bAsIC  {encoded} "), expected.as_ref());
}

fn compare(value: &str, expected: Option<&(String, String)>) {
    let read = Credentials::from_authorization(value);
    let shown = format!("{read:?}");
    let read = read.ok().map(|read| {
        assert_eq!(shown, "Ok(Credentials(redacted))");
        (read.user.clone(), String::from_utf8(read.password.expose().to_vec()).unwrap())
    });
    assert_eq!(read.as_ref(), expected, "{value:?}: {shown}");
    // A client's credentials are decoded once more; without anything to decode they are the same.
    let client = Credentials::of_client(value).ok();
    if let Some((user, password)) =
        expected.filter(|(user, password)| !(user.clone() + password).contains(['%', '+']))
    {
        let client = client.map(|read| (read.user.clone(), read.password.expose().to_vec()));
        assert_eq!(client, Some((user.clone(), password.as_bytes().to_vec())), "{value:?}");
    }
}

fn reference(value: &str) -> Option<(String, String)> {
    let space = value.find(' ')?;
    let encoded = value[space..].trim_matches(' ');
    if !value[..space].eq_ignore_ascii_case("basic") || encoded.len() > 1024 {
        return None;
    }
    pair(&base64::decode(STANDARD, true, encoded)?)
}

/// RFC 7617, 2, and what a user name and a password may be here.
fn pair(bytes: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let colon = text.find(':')?;
    let (user, password) = (&text[..colon], &text[colon + 1..]);
    let clean = !text.chars().any(char::is_control);
    let fits = (1..=256).contains(&user.len()) && (1..=72).contains(&password.len());
    (clean && fits).then(|| (user.to_owned(), password.to_owned()))
}
