//! Checks on the source text itself: who imports whom, how long a file is, whether it says what it is.
//!
//! These are tests and not a script of CI, so that a laptop and CI can never disagree. The file does not link the
//! crate, so it runs in a blink.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every folder of `src`, in the order in which an event travels, with the folders it may import.
///
/// A folder may list only folders above its own line, so a cycle cannot be written down.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("decode", &["model"]),
    ("attribute", &["model"]),
    ("correlate", &["model"]),
    ("detect", &["model", "correlate"]),
    ("rules", &["model", "correlate", "detect"]),
    ("evidence", &["model", "correlate"]),
    (
        "engine",
        &["model", "attribute", "correlate", "detect", "evidence"],
    ),
    // What it says must not come from what it tests, so it knows only the words.
    ("simulate", &["model"]),
    // ── the line: nothing below may be imported above ──
    ("failpoint", &[]),
    ("telemetry", &["model"]),
    ("enrich", &["model", "correlate"]),
    (
        "config",
        &[
            "model",
            "decode",
            "attribute",
            "correlate",
            "detect",
            "rules",
            "engine",
            "enrich",
        ],
    ),
    ("inventory", &["model"]),
    ("ingest", &["model", "telemetry", "config"]),
    (
        "lake",
        &["model", "evidence", "engine", "failpoint", "telemetry"],
    ),
    ("live", &["model", "engine", "lake"]),
    (
        "pipeline",
        &[
            "model",
            "decode",
            "detect",
            "engine",
            "failpoint",
            "telemetry",
            "ingest",
            "lake",
            "live",
        ],
    ),
    ("query", &["model", "evidence", "lake"]),
    ("report", &["model", "query"]),
    ("serve", &["model", "lake", "query", "telemetry"]),
    (
        "cli",
        &[
            "model",
            "decode",
            "rules",
            "simulate",
            "telemetry",
            "config",
            "ingest",
            "inventory",
            "lake",
            "live",
            "pipeline",
            "query",
            "report",
            "serve",
        ],
    ),
    ("docs", &[]),
];

/// The folders above the line, which must say themselves that they have no clock and no unordered map.
const PURE: &[&str] = &[
    "decode",
    "attribute",
    "correlate",
    "detect",
    "rules",
    "evidence",
    "engine",
    "simulate",
];

const FILE_LINES_MAX: usize = 520;

#[test]
fn modules_import_downward_only() {
    let mut errors = Vec::new();
    for (height, (module, allowed)) in LAYERS.iter().enumerate() {
        for lower in *allowed {
            let above = LAYERS[..height].iter().any(|(name, _)| name == lower);
            assert!(
                above,
                "{module} lists {lower}, which does not stand above it"
            );
        }
        for file in rust_files(&Path::new("src").join(module)) {
            for imported in crate_imports(&fs::read_to_string(&file).unwrap()) {
                let folder = LAYERS.iter().any(|(name, _)| *name == imported);
                if folder && imported != *module && !allowed.contains(&imported.as_str()) {
                    errors.push(format!(
                        "{}: {module} may not import {imported}",
                        file.display()
                    ));
                }
            }
        }
    }
    for entry in fs::read_dir("src").unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() && !LAYERS.iter().any(|(module, _)| *module == name) {
            errors.push(format!("src/{name}: give it a line in LAYERS"));
        }
    }
    assert!(errors.is_empty(), "\n{}", errors.join("\n"));
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut errors = Vec::new();
    for file in rust_files(Path::new("src")) {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            errors.push(format!(
                "{}: {lines} lines, at most {FILE_LINES_MAX}",
                file.display()
            ));
        }
        if !text.starts_with("//!") {
            errors.push(format!("{}: no //! line at the top", file.display()));
        }
    }
    assert!(errors.is_empty(), "\n{}", errors.join("\n"));
}

#[test]
fn pure_folders_forbid_clocks_and_unordered_maps() {
    for folder in PURE {
        let text = fs::read_to_string(Path::new("src").join(folder).join("mod.rs")).unwrap();
        assert!(
            text.contains("#![deny(clippy::disallowed_methods, clippy::disallowed_types)]"),
            "src/{folder}/mod.rs does not forbid what .clippy.toml lists"
        );
    }
}

#[test]
fn registries_are_alphabetic() {
    let sources = between("src/decode/mod.rs", "const SOURCES", "];");
    assert_sorted(&sources, "SOURCE,");
    let tables = between("src/evidence/mod.rs", "pub const TABLES", "];");
    let tables: Vec<_> = tables
        .lines()
        .filter(|line| line.contains("TABLE,") && !line.contains("epochs"))
        .collect();
    assert!(tables.is_sorted() && tables.len() == 18, "{tables:?}");
    let detectors = between("src/detect/mod.rs", "pub fn detectors", "\n}");
    assert_sorted(&detectors, "on(params.");
}

/// The text of `file` from `start` to the next `end`.
fn between(file: &str, start: &str, end: &str) -> String {
    let text = fs::read_to_string(file).unwrap();
    let from = text.find(start).unwrap();
    let to = text[from..].find(end).unwrap();
    text[from..from + to].to_owned()
}

fn assert_sorted(text: &str, mark: &str) {
    let lines: Vec<_> = text.lines().filter(|line| line.contains(mark)).collect();
    assert!(lines.len() > 1 && lines.is_sorted(), "{lines:?}");
}

/// The first path segment of every `crate::…` in `text`, groups and nested groups included.
fn crate_imports(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap())
        .collect::<Vec<_>>()
        .join(" ");
    let mut heads = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => heads.push(head(rest)),
            Some(group) => heads.extend(group_heads(group)),
        }
    }
    heads.retain(|name| !name.is_empty());
    heads
}

/// The first segments of the members of `group`, which stands after its opening brace.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut start) = (0, 0);
    let mut heads = Vec::new();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                heads.push(head(&group[start..at]));
                break;
            }
            ',' if depth == 0 => {
                heads.push(head(&group[start..at]));
                start = at + 1;
            }
            _ => (),
        }
    }
    heads
}

fn head(path: &str) -> String {
    path.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn crate_imports_reads_every_form() {
    let text = "use crate::a::B;\nuse crate::{\n    b::{C, D},\n    c, // crate::no\n    d::E,\n};\nfn f() { crate::e::g() }\n// crate::no\n";
    assert_eq!(crate_imports(text), ["a", "b", "c", "d", "e"]);
}
