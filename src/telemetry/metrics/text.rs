//! The two text forms of metrics: families and samples, and which of the forms a scraper reads.
//!
//! Owns their syntax (OpenMetrics 1.0; Prometheus exposition format 0.0.4) and the choice by `Accept`. Must
//! not know what is counted.

use std::fmt::Write as _;

/// A text form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The older form, for scrapers that know only that.
    Prometheus,
}

impl Format {
    /// The one that these `Accept` fields ask for (RFC 9110, 12.5.1); OpenMetrics where they leave it open.
    pub fn of<'a>(accept: impl Iterator<Item = &'a str>) -> Self {
        let ranges: Vec<&str> = accept.flat_map(|field| field.split(',')).collect();
        let weight = |wanted| {
            let fits = ranges.iter().filter_map(|range| weight(range, wanted));
            fits.min_by(|one, other| one.0.cmp(&other.0).then(other.1.total_cmp(&one.1)))
                .map_or(0.0, |fit| fit.1)
        };
        let (open, text) = (weight("application/openmetrics-text"), weight("text/plain"));
        if ranges.is_empty() || (open > 0.0 && open >= text) {
            Format::OpenMetrics
        } else {
            Format::Prometheus
        }
    }

    /// Its content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// How loosely a media range names a type, and its weight; `None` where it names others.
fn weight(range: &str, wanted: &str) -> Option<(usize, f32)> {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next()?.to_ascii_lowercase();
    let looseness = match name.strip_suffix("/*") {
        Some("*") => 2,
        Some(kind) if wanted.split('/').next() == Some(kind) => 1,
        _ if name == wanted => 0,
        _ => return None,
    };
    let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse);
    Some((looseness, weight.ok().filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(0.0)))
}

/// Writing to a String does not fail, so the results of `write!` are passed over.
pub(super) struct Text {
    pub(super) text: String,
    pub(super) format: Format,
}

impl Text {
    /// In the older form a family is called as its samples are, it has no unit and there is no `info`.
    pub(super) fn family(&mut self, name: &str, kind: &str, unit: &str, help: &str) {
        let (name, kind) = match (self.format, kind) {
            (Format::Prometheus, "counter") => (format!("{name}_total"), kind),
            (Format::Prometheus, "info") => (format!("{name}_info"), "gauge"),
            _ => (name.to_owned(), kind),
        };
        let _ = writeln!(self.text, "# TYPE {name} {kind}");
        if !unit.is_empty() && self.format == Format::OpenMetrics {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.text, "# HELP {name} {help}");
    }

    /// A number that goes up and down, with the unit that its name ends in.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) {
        let unit = if name.ends_with("_seconds") { "seconds" } else { "" };
        self.family(name, "gauge", unit, help);
        self.sample(name, &[], value);
    }

    /// A number that goes up.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", "", help);
        self.sample(&format!("{name}_total"), &[], value);
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.line(name, labels, &value.to_string());
    }

    pub(super) fn line(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        self.text.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{label}=\"{text}\"", if index == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// The whole text.
    pub(super) fn end(self) -> String {
        if self.format == Format::OpenMetrics { self.text + "# EOF\n" } else { self.text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_what_it_reads() {
        const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,\
            text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let table: [(&[&str], Format); 16] = [
            (&[], Format::OpenMetrics),
            (&["*/*"], Format::OpenMetrics),
            (&[PROMETHEUS], Format::OpenMetrics),
            (&["application/openmetrics-text; version=1.0.0"], Format::OpenMetrics),
            (&["Application/OpenMetrics-Text"], Format::OpenMetrics),
            (&["application/*"], Format::OpenMetrics),
            (&["text/plain, application/openmetrics-text"], Format::OpenMetrics),
            (&["text/plain;q=0.1", "application/openmetrics-text;q=0.2"], Format::OpenMetrics),
            (&["text/plain"], Format::Prometheus),
            (&["text/plain;version=0.0.4;q=1,*/*;q=0.1"], Format::Prometheus),
            (&["text/*"], Format::Prometheus),
            (&["application/openmetrics-text;q=0.1,text/plain"], Format::Prometheus),
            (&["application/openmetrics-text;q=0,*/*"], Format::Prometheus),
            (&["application/openmetrics-text;q=NaN,text/plain;q=0.1"], Format::Prometheus),
            (&["application/json"], Format::Prometheus),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Format::OpenMetrics),
        ];
        for (accept, format) in table {
            assert_eq!(Format::of(accept.iter().copied()), format, "{accept:?}");
        }
    }
}
