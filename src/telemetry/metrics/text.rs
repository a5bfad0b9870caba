//! The OpenMetrics text form: families and samples.
//!
//! Owns its syntax (OpenMetrics 1.0, 3). Must not know what is counted.

use std::fmt::Write as _;

/// Writing to a String does not fail, so the results of `write!` are passed over.
pub(super) struct Text(pub(super) String);

impl Text {
    pub(super) fn family(&mut self, name: &str, kind: &str, unit: &str, help: &str) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
        if !unit.is_empty() {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {name} {help}");
    }

    /// A number that goes up and down, with the unit that its name ends in.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) {
        let unit = if name.ends_with("_seconds") { "seconds" } else { "" };
        self.family(name, "gauge", unit, help);
        self.sample(name, &[], value);
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.line(name, labels, &value.to_string());
    }

    pub(super) fn line(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{text}\"", if index == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}
