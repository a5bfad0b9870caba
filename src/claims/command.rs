//! A command token: one user's command for one target, signed.
//!
//! Owns what such a token says. Must not know what the command means: it is the target that decides whether
//! this user may have it done.

use super::{ClaimFilter, ClaimsError, Frame, Recipient, build, entries};
use crate::ground::fold::folds_to;
use serde::ser::SerializeMap;

/// The longest command, in bytes: its token still fits through the 8 kB of a header line.
const MAX_BYTES: usize = 4096;

/// A command for a target.
#[derive(Debug, Clone, Copy)]
pub struct TargetCommand<'a> {
    target: Recipient<'a>,
    text: &'a str,
}

impl<'a> TargetCommand<'a> {
    /// Takes the command as it stands: any text of 1 to 4096 bytes.
    pub fn new(target: Recipient<'a>, text: &'a str) -> Option<Self> {
        (1..=MAX_BYTES).contains(&text.len()).then_some(Self { target, text })
    }

    /// Whom it is for.
    pub fn target(&self) -> Recipient<'a> {
        self.target
    }
}

/// A command token: `aud` is the target, `sub` the user, `command` the command to the letter, and of the
/// static claims those that speak neither of access nor of a command.
pub fn command(
    frame: &Frame<'_>,
    filter: &ClaimFilter,
    command: &TargetCommand<'_>,
    user: &str,
) -> Result<String, ClaimsError> {
    build(frame, &command.target, frame.now, |payload| {
        payload.serialize_entry("sub", user)?;
        payload.serialize_entry("command", command.text)?;
        entries(payload, filter.without_access().filter(|(name, _)| !folds_to(name, "command")))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{frame, statics};
    use super::*;

    fn said(text: &str, statics_json: &str) -> String {
        let target = Recipient::new("edge-7", std::iter::empty()).unwrap();
        let filter = ClaimFilter::new(None, statics(statics_json));
        command(&frame(), &filter, &TargetCommand::new(target, text).unwrap(), "alice").unwrap()
    }

    #[test]
    fn the_command_is_said_to_the_letter() {
        assert_eq!(
            said(" reboot  --now\n\"\u{fc}\\", "{}"),
            r#"{"iss":"i","aud":"edge-7","iat":1000,"nbf":1000,"exp":1060,"jti":"x","sub":"alice","command":" reboot  --now\n\"ü\\"}"#
        );
    }

    #[test]
    fn static_claims_speak_neither_of_access_nor_of_a_command() {
        let statics = r#"{"access":[],"scope":"s","Command":"rm","command":"rm","roles":["controller"]}"#;
        let said = said("ls", statics);
        assert!(said.ends_with(r#""sub":"alice","command":"ls","roles":["controller"]}"#), "{said}");
    }

    #[test]
    fn a_command_has_bounds() {
        let target = Recipient::new("edge-7", std::iter::empty()).unwrap();
        for (bytes, fits) in [(0, false), (1, true), (4096, true), (4097, false)] {
            assert_eq!(TargetCommand::new(target, &"x".repeat(bytes)).is_some(), fits, "{bytes}");
        }
    }
}
