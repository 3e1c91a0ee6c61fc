//! What happens where, read once from the environment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::POINTS;

const VARIABLE: &str = "KEYTRAIL_FAILPOINTS";

/// How often somebody who waits looks for the file.
const LOOK: Duration = Duration::from_millis(5);

#[derive(Debug)]
struct Fault {
    point: String,
    /// At which time of reaching the place, from 1.
    at: u64,
    action: Action,
    reached: AtomicU64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Exit,
    Panic,
    Error,
    Pause(PathBuf),
    Sleep(Duration),
}

/// Does what the plan says of `point`.
pub(super) fn reached(point: &'static str) -> io::Result<()> {
    static PLAN: OnceLock<Vec<Fault>> = OnceLock::new();
    debug_assert!(POINTS.contains(&point), "{point} is not in POINTS");
    let plan = PLAN.get_or_init(|| {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        parse(&text).unwrap_or_else(|reason| {
            eprintln!("{VARIABLE}: {reason}");
            std::process::exit(2);
        })
    });
    for fault in plan.iter().filter(|fault| fault.point == point) {
        let time = fault.reached.fetch_add(1, Ordering::SeqCst) + 1;
        let again = matches!(fault.action, Action::Sleep(_)) && time > fault.at;
        if time == fault.at || again {
            act(point, &fault.action)?;
        }
    }
    Ok(())
}

fn act(point: &str, action: &Action) -> io::Result<()> {
    match action {
        Action::Exit => std::process::abort(),
        Action::Panic => panic!("failpoint {point}"),
        Action::Error => return Err(io::Error::other(format!("failpoint {point}"))),
        Action::Pause(file) => {
            fs::write(beside(file), b"")?;
            while !file.exists() {
                std::thread::sleep(LOOK);
            }
        }
        Action::Sleep(duration) => std::thread::sleep(*duration),
    }
    Ok(())
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".reached");
    name.into()
}

fn parse(text: &str) -> Result<Vec<Fault>, String> {
    text.split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (place, action) = part
                .split_once('=')
                .ok_or_else(|| format!("{part:?} is not PLACE=ACTION"))?;
            let (point, at) = place.split_once('@').unwrap_or((place, "1"));
            if !POINTS.contains(&point) {
                return Err(format!(
                    "there is no place {point:?}; there are {}",
                    POINTS.join(", ")
                ));
            }
            let at = at
                .parse()
                .map_err(|_| format!("{at:?} is not how many times"))?;
            Ok(Fault {
                point: point.to_owned(),
                at,
                action: parse_action(action)?,
                reached: AtomicU64::new(0),
            })
        })
        .collect()
}

fn parse_action(text: &str) -> Result<Action, String> {
    match text.split_once(':').unwrap_or((text, "")) {
        ("exit", "") => Ok(Action::Exit),
        ("panic", "") => Ok(Action::Panic),
        ("error", "") => Ok(Action::Error),
        ("pause", file) if !file.is_empty() => Ok(Action::Pause(file.into())),
        ("sleep", time) => time
            .parse()
            .map(|time| Action::Sleep(Duration::from_millis(time)))
            .map_err(|_| format!("{time:?} is not a number of milliseconds")),
        _ => Err(format!(
            "{text:?} is none of exit, panic, error, pause:FILE, sleep:MILLISECONDS"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_where_when_and_what() {
        let plan = parse("rows.built=exit; table.committed@3=sleep:20;").unwrap();
        let parts: Vec<_> = plan
            .iter()
            .map(|fault| (fault.point.as_str(), fault.at, fault.action.clone()))
            .collect();
        assert_eq!(
            parts,
            [
                ("rows.built", 1, Action::Exit),
                (
                    "table.committed",
                    3,
                    Action::Sleep(Duration::from_millis(20))
                ),
            ]
        );
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        for text in [
            "rows.build=exit",
            "rows.built",
            "rows.built=die",
            "rows.built@x=exit",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
