//! The time that a log file's path tells: by it files are read, whatever account or region their folders begin with.
//!
//! Trails, connectors and collectors all put the time of delivery into the path, in one of these forms:
//! `…/123456789012_CloudTrail_eu-west-1_20260801T0005Z_….json.gz` (CloudTrail User Guide, "CloudTrail log file examples"),
//! `…/y=2026/m=08/d=01/h=13/m=00/PT1H.json` (Azure Monitor, "Azure resource logs: send to Azure Storage"),
//! `…/2026/08/01/13/stream-1-2026-08-01-13-05-11-…` (Amazon Data Firehose, "Custom prefixes for Amazon S3 objects").

use std::path::Path;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A date, and perhaps an hour and a minute behind it.
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        (?:^|[^0-9])
        (?<year>20[0-9]{2})              (?:-|/(?:m=|month=)?|)
        (?<month>0[1-9]|1[0-2])          (?:-|/(?:d=|day=)?|)
        (?<day>0[1-9]|[12][0-9]|3[01])
        (?:
            (?:[T_-]|/(?:h=|hour=))      (?<hour>[01][0-9]|2[0-3])
            (?:(?:[:-]|/(?:m=|minute=)|) (?<minute>[0-5][0-9])
               (?:[:-]?[0-5][0-9])?
            )?
            (?:[^0-9]|$)
        |   /(?<folder>[01][0-9]|2[0-3])/
        |   (?:[^0-9]|$)
        )",
    )
    .expect("the expression is fixed and well-formed")
});

/// The time in a path: year, month, day, hour, minute, as far as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileTime {
    day: [u16; 3],
    hour: Option<u16>,
    minute: Option<u16>,
}

impl FileTime {
    /// The finest time that `path` tells; of two that are as fine, the last.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let path = path.to_string_lossy().replace('\\', "/");
        let mut finest: Option<Self> = None;
        let mut begin = 0;
        while let Some(found) = TIME.captures_at(&path, begin) {
            // What ends one time can begin the next.
            let digits = found.iter().skip(1).flatten();
            begin = digits.map(|part| part.end()).max().unwrap_or(path.len());
            let time = Self::told(&found);
            if finest.is_none_or(|known| time.fineness() >= known.fineness()) {
                finest = Some(time);
            }
        }
        finest
    }

    fn told(found: &Captures<'_>) -> Self {
        let number = |name| found.name(name).and_then(|text| text.as_str().parse().ok());
        let date = |name| number(name).unwrap_or_default();
        Self {
            day: [date("year"), date("month"), date("day")],
            hour: number("hour").or_else(|| number("folder")),
            minute: number("minute"),
        }
    }

    const fn fineness(self) -> u8 {
        self.hour.is_some() as u8 + self.minute.is_some() as u8
    }

    /// Whether it tells the hour.
    pub(super) const fn to_the_hour(self) -> bool {
        self.hour.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str) -> Option<String> {
        let time = FileTime::of(Path::new(path))?;
        let [year, month, day] = time.day;
        let part = |part: Option<u16>| part.map_or("-".to_owned(), |part| part.to_string());
        let (hour, minute) = (part(time.hour), part(time.minute));
        Some(format!("{year} {month} {day} {hour} {minute}"))
    }

    #[test]
    fn every_form_that_collectors_write_is_read() {
        for (path, expected) in [
            (
                "AWSLogs/1/CloudTrail/eu-west-1/2026/08/01/1_CloudTrail_eu-west-1_20260801T0005Z_a1B2.json.gz",
                "2026 8 1 0 5",
            ),
            (
                "resourceId=/TENANTID/x/y=2026/m=08/d=01/h=13/m=00/PT1H.json",
                "2026 8 1 13 0",
            ),
            (
                "year=2026/month=12/day=31/hour=23/x.json",
                "2026 12 31 23 -",
            ),
            ("logs/2026/08/01/13/x.gz", "2026 8 1 13 -"),
            (
                "logs/2026/08/01/13/stream-1-2026-08-01-13-05-11-0f3d",
                "2026 8 1 13 5",
            ),
            ("2026-08-01/2026-08-01T07Z-trail.ndjson", "2026 8 1 7 -"),
            ("a/2026-08-01T07:15:30Z.json", "2026 8 1 7 15"),
            // A number behind a day's folder can be a counter, and 12 digits an account.
            ("2026-08-01/12-part.json", "2026 8 1 - -"),
            ("202608011234/2026-08-02.json", "2026 8 2 - -"),
            ("2026-08-01é2026-08-02T03é", "2026 8 2 3 -"),
        ] {
            assert_eq!(told(path).as_deref(), Some(expected), "{path}");
        }
        for path in ["events.json", "2026-13-01.json", "x/20261.json", ""] {
            assert_eq!(told(path), None, "{path}");
        }
    }
}
