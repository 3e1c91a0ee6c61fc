//! Sigma rules: the same matches as a plain evaluation of them, the same findings however records arrive, and faults that
//! name their place.
//!
//! `tests/rules/hundred` holds a hundred rules in the forms that public rules about AWS and Azure use.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/estate.rs"]
mod estate;
#[path = "support/plain_sigma.rs"]
mod plain_sigma;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::AsArray;
use keytrail::decode;
use keytrail::detect::rules::Rules;
use keytrail::engine::{Engine, Params};
use keytrail::model::{Decoded, DecodedRecord, LogSource, RawRecord};
use keytrail::rules::{Compiled, RuleFile, RuleSet};
use rsigma_parser::{SigmaRule, parse_sigma_yaml};

fn files(folder: &str) -> Vec<RuleFile> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yml"))
        .collect();
    paths.sort();
    let read = |path: &PathBuf| RuleFile {
        name: path.display().to_string(),
        text: fs::read_to_string(path).unwrap(),
    };
    paths.iter().map(read).collect()
}

fn sound(files: &[RuleFile]) -> RuleSet {
    let compiled = RuleSet::compile(files);
    assert_eq!(compiled.faults, []);
    assert_eq!(compiled.left, []);
    compiled.rules
}

fn with_rules(rules: RuleSet) -> Params {
    Params {
        rules: Some(Arc::new(rules)),
        ..estate::params()
    }
}

fn hundred() -> Vec<RuleFile> {
    let files = files("tests/rules/hundred");
    assert_eq!(files.len(), 100);
    files
}

/// The logs that a service of the fixture means.
fn means(rule: &SigmaRule, source: LogSource) -> bool {
    let service = rule.logsource.service.as_deref().unwrap();
    match source {
        LogSource::CloudTrail => service == "cloudtrail",
        LogSource::AzureActivity => service == "activitylogs",
        LogSource::EntraAudit => service == "auditlogs",
        LogSource::EntraSignin => service == "signinlogs",
        LogSource::GraphActivity => service == "microsoftgraphactivitylogs",
        LogSource::KeyVault => false,
    }
}

/// Every rule against every record, by an evaluator that knows no index and parses everything.
#[test]
fn a_hundred_rules_match_what_a_plain_evaluation_matches() {
    let files = hundred();
    let rules = sound(&files);
    let plain: BTreeMap<String, SigmaRule> = files
        .iter()
        .map(|file| {
            let mut parsed = parse_sigma_yaml(&file.text).unwrap();
            let rule = parsed.rules.remove(0);
            (rule.id.clone().unwrap(), rule)
        })
        .collect();
    let params = estate::decoding();
    let (mut matched, mut wrong): (BTreeMap<&str, u64>, Vec<String>) = Default::default();
    let mut events = 0;
    for record in estate::records(estate::estate(5, 110, 70, 12_000), 3) {
        let opened = decode::open(&record, &params);
        for piece in opened.decode().pieces {
            let Decoded::Event(event) = &piece.decoded else {
                continue;
            };
            events += 1;
            let json = serde_json::from_str(piece.text).unwrap();
            let found: Vec<String> = rules
                .read(&piece)
                .into_iter()
                .map(|hit| hit.rule.split('@').next().unwrap().to_owned())
                .collect();
            for (id, rule) in &plain {
                let expected =
                    means(rule, event.source) && plain_sigma::matches(&rule.detection, &json);
                if expected {
                    *matched.entry(id).or_default() += 1;
                }
                if expected != found.contains(id) {
                    wrong.push(format!(
                        "{} ({expected} expected): {}",
                        rule.title, piece.text
                    ));
                }
            }
        }
    }
    wrong.truncate(5);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let never: Vec<_> = plain
        .iter()
        .filter(|(id, _)| !matched.contains_key(id.as_str()))
        .map(|(_, rule)| rule.title.as_str())
        .collect();
    println!(
        "{events} events, {} rules match some; never: {never:?}",
        matched.len()
    );
    assert!(events > 10_000 && never.len() < 20, "{never:?}");
}

/// Findings of one run, in their last revision: detector, identity and title with the number of events.
fn findings(params: &Params, records: &[RawRecord], sizes: &[usize], restart: bool) -> Vec<String> {
    let lanes = estate::lanes(records);
    let mut engine = Engine::new(params.clone());
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    let (mut at, mut epoch) = (0, 0);
    while at < records.len() {
        let size = sizes[epoch % sizes.len()].min(records.len() - at);
        epoch += 1;
        let seal = at + size == records.len();
        let context = estate::context(epoch as i64, &lanes, seal);
        let evidence = estate::apply(&mut engine, &records[at..at + size], &context);
        for news in evidence.news {
            last.insert(
                news.finding_uid.to_string(),
                format!(
                    "{} {} {} {}",
                    news.detector, news.identity_uid, news.title, news.event_count
                ),
            );
        }
        if restart {
            let state = engine.state(true).to_bytes();
            let loaded = keytrail::engine::Loaded(vec![state]);
            engine = Engine::restore(params.clone(), &loaded).unwrap();
        }
        at += size;
    }
    last.into_iter()
        .map(|(uid, told)| format!("{uid} {told}"))
        .collect()
}

/// Rules that ask for what only an event's turn can tell, on an estate in which the answers differ.
const ASKING: &str = "
title: A machine reads elsewhere
id: asking-1
logsource: { product: aws, service: cloudtrail }
detection:
    reads:
        eventName|startswith: [Get, List, Describe]
    elsewhere:
        keytrail.network_new: true
        keytrail.first_seen_days|gte: 10
    condition: reads and elsewhere
level: high
---
title: Awake again, or with no proven beginning
id: asking-2
logsource: { product: aws }
detection:
    awake:
        keytrail.idle_days|gte: 3
    unproven:
        keytrail.attribution_confidence|re: '^(none|declared)$'
    people:
        keytrail.actor_type: human
    condition: (awake or unproven) and not people
---
title: Anybody at the console
logsource: { product: aws, service: cloudtrail }
detection:
    selection:
        eventName: ConsoleLogin
    condition: selection
";

fn asking() -> RuleSet {
    sound(&[RuleFile {
        name: "asking.yml".to_owned(),
        text: ASKING.to_owned(),
    }])
}

#[test]
fn findings_of_rules_depend_on_neither_cuts_nor_restarts() {
    for seed in [31, 32, 33] {
        let records = estate::records(estate::estate(seed, 60, 40, 6_000), 4);
        let params = with_rules(asking());
        let whole = findings(&params, &records, &[records.len()], false);
        let cut = findings(&params, &records, &[97, 400, 31], true);
        assert_eq!(whole, cut, "seed {seed}");
        for title in [
            "A machine reads elsewhere",
            "Awake again",
            "Anybody at the console",
        ] {
            assert!(
                whole.iter().any(|told| told.contains(title)),
                "seed {seed}: {title} matches nothing: {whole:#?}"
            );
        }
        let without = findings(&estate::params(), &records, &[records.len()], false);
        let others = |all: &[String]| -> Vec<String> {
            let own = |told: &&String| !told.contains(" sigma ");
            all.iter().filter(own).cloned().collect()
        };
        assert_eq!(
            others(&whole),
            without,
            "seed {seed}: rules change no detector"
        );
        // The console is people's: no detector asks about them, rules do.
        let at_console = |told: &&String| told.contains("Anybody at the console");
        assert!(
            whole
                .iter()
                .filter(at_console)
                .any(|told| !told.contains("aws:role"))
        );
    }
}

/// A rule without questions matches whatever its turn brings; one with questions says what was asked and known.
#[test]
fn findings_of_rules_carry_their_reasons() {
    let records = estate::records(estate::estate(31, 60, 40, 6_000), 4);
    let lanes = estate::lanes(&records);
    let mut engine = Engine::new(with_rules(asking()));
    let evidence = estate::apply(&mut engine, &records, &estate::context(1, &lanes, true));
    let mut told = 0;
    for (table, batch) in &evidence.batches {
        if table.name != "findings" {
            continue;
        }
        let text = |name: &str, row: usize| {
            let column = batch.column_by_name(name).unwrap();
            column.as_string::<i32>().value(row).to_owned()
        };
        for row in (0..batch.num_rows()).filter(|row| text("detector", *row) == "sigma") {
            let why: serde_json::Value = serde_json::from_str(&text("why_json", row)).unwrap();
            let dimensions: Vec<_> = why
                .as_array()
                .unwrap()
                .iter()
                .map(|why| why["dimension"].as_str().unwrap())
                .collect();
            assert_eq!(dimensions[0], "rule");
            match text("title", row).as_str() {
                "A machine reads elsewhere" => {
                    let expected = [
                        "rule",
                        "eventName",
                        "keytrail.network_new",
                        "keytrail.first_seen_days",
                    ];
                    let mut sorted = dimensions.clone();
                    sorted[2..].sort_unstable();
                    let mut wanted = expected;
                    wanted[2..].sort_unstable();
                    assert_eq!(sorted, wanted);
                    assert_eq!(why[1]["expected"], "startswith Get | List | Describe");
                    assert_eq!(text("severity", row), "high");
                    told += 1;
                }
                "Anybody at the console" => assert_eq!(dimensions[1], "eventName"),
                _ => assert!(dimensions.contains(&"keytrail.idle_days")),
            }
        }
    }
    assert!(told > 0);
}

fn compiled(text: &str) -> Compiled {
    RuleSet::compile(&[RuleFile {
        name: "one.yml".to_owned(),
        text: text.to_owned(),
    }])
}

/// A rule about CloudTrail whose detection is `detection`, which begins on line 4.
fn about(detection: &str) -> String {
    format!(
        "title: One\nlogsource: {{ product: aws, service: cloudtrail }}\ndetection:\n{detection}\n"
    )
}

#[test]
fn broken_rules_say_where_and_why() {
    for (text, line, part) in [
        (
            about("    selection:\n        eventName|holds: x\n    condition: selection"),
            5,
            "holds",
        ),
        (
            about("    selection:\n        eventName|re: '(['\n    condition: selection"),
            5,
            "regex",
        ),
        (
            about("    selection:\n        eventName: x\n    condition: selection and ("),
            6,
            "ondition",
        ),
        (
            about("    selection:\n        eventName: x"),
            3,
            "condition",
        ),
        ("title: One\nlogsource: [\ndetection:".to_owned(), 4, "line"),
        ("just words".to_owned(), 1, "mapping"),
        (
            about("    selection:\n        keytrail.colour: x\n    condition: selection"),
            3,
            "unknown field keytrail.colour",
        ),
        (
            about(
                "    selection:\n        keytrail.acting_uid|fieldref: userIdentity.arn\n    condition: selection",
            ),
            5,
            "values only",
        ),
        (
            about(
                "    selection:\n        userIdentity.arn|fieldref: keytrail.acting_uid\n    condition: selection",
            ),
            5,
            "values only",
        ),
        // In the second document, whose title speaks of a condition.
        (
            about("    selection:\n        eventName: x\n    condition: selection")
                + "---\n"
                + &about("    selection:\n        eventName|re: '(['\n    condition: selection")
                    .replace("title: One", "title: A condition's 'second'"),
            12,
            "regex",
        ),
        (
            about(
                "    selection:\n        sourceIPAddress|cidr: 10.0.0.0/99\n    condition: selection",
            ),
            5,
            "(`sourceIPAddress`)",
        ),
    ] {
        let compiled = compiled(&text);
        assert!(!compiled.faults.is_empty(), "{text}");
        let fault = &compiled.faults[0];
        assert_eq!(
            (fault.file.as_str(), fault.line),
            ("one.yml", line),
            "{fault}\n{text}"
        );
        assert!(fault.reason.contains(part), "{fault}");
    }
}

#[test]
fn rules_that_do_not_run_say_why() {
    let windows = "title: One\nlogsource: { product: windows, category: process_creation }\ndetection:\n    selection:\n        Image: x\n    condition: selection\n";
    let correlation = "title: Many\ncorrelation:\n    type: event_count\n    rules: [a]\n    group-by: [x]\n    timespan: 1m\n    condition: { gte: 3 }\n";
    for (text, part) in [
        (windows.to_owned(), "process_creation"),
        (correlation.to_owned(), "correlation"),
        (
            about("    selection:\n        CommandLine: x\n    condition: selection"),
            "unknown field CommandLine",
        ),
        (
            about(
                "    selection:\n        eventName|fieldref: Comandline\n    condition: selection",
            ),
            "unknown field Comandline",
        ),
        (
            about("    selection:\n        userAgent|expand: '%agent%'\n    condition: selection"),
            "placeholders",
        ),
        (
            about(
                "    selection:\n        eventName: x\n    condition: selection | count() by userIdentity.arn > 5",
            ),
            "counts",
        ),
        (
            about("    selection:\n        eventName: x\n    condition: selection")
                .replace("title: One", "title: One\nstatus: deprecated"),
            "deprecated",
        ),
        (
            about("    selection:\n        eventName: x\n    condition: selection")
                .replace("cloudtrail", "guardduty"),
            "guardduty",
        ),
    ] {
        let compiled = compiled(&text);
        assert_eq!(compiled.faults, [], "{text}");
        assert!(compiled.rules.is_empty());
        assert!(
            compiled.left[0].reason.contains(part),
            "{:?}",
            compiled.left
        );
    }
    let five = about(
        "    selection:\n        keytrail.idle_days: 1\n        keytrail.chain_depth: 1\n        keytrail.network_new: true\n        keytrail.actor_type: x\n        keytrail.privilege_tier: 3\n    condition: selection",
    );
    assert!(compiled(&five).faults[0].reason.contains("at most 4"));
}

/// Names of columns, as rules for Log Analytics write them, and members of `properties` without it find what a diagnostic
/// setting delivers.
#[test]
fn columns_and_properties_are_found_in_records() {
    for detection in [
        "ResultType: '0'\n        ClientCredentialType: clientSecret",
        "resultType: '0'\n        clientCredentialType: clientSecret",
        "ResultType: 0\n        servicePrincipalName|exists: true",
        "TimeGenerated|startswith: '2026-'\n        AADTenantId|exists: true",
    ] {
        assert!(hits_of_sign_ins(detection) > 10, "{detection}");
    }
    assert_eq!(hits_of_sign_ins("riskState: atRisk"), 0);
}

/// How many sign-ins a rule with one selection matches.
fn hits_of_sign_ins(detection: &str) -> usize {
    let text = format!(
        "title: One\nlogsource: {{ product: azure, service: signinlogs }}\ndetection:\n    selection:\n        {detection}\n    condition: selection\n"
    );
    let rules = sound(&[RuleFile {
        name: "one.yml".to_owned(),
        text,
    }]);
    let params = estate::decoding();
    let records = estate::records(estate::estate(5, 40, 30, 3_000), 1);
    records
        .iter()
        .map(|record| {
            let opened = decode::open(record, &params);
            let mut decoded: Vec<DecodedRecord<'_>> = vec![opened.decode()];
            keytrail::detect::rules::read(&rules, &mut decoded);
            decoded[0]
                .pieces
                .iter()
                .map(|piece| piece.hits.len())
                .sum::<usize>()
        })
        .sum()
}

/// Seventy rules that match nearly everything push no detector's situation out.
#[test]
fn many_rules_leave_room_for_detectors() {
    let rule = |number: usize| RuleFile {
        name: format!("{number}.yml"),
        text: format!(
            "title: Broad {number}\nid: broad-{number}\nlogsource: {{ product: aws }}\ndetection:\n    selection:\n        \
             awsRegion|contains: '-'\n    condition: selection\n"
        ),
    };
    let rules: Vec<RuleFile> = (0..70).map(rule).collect();
    let records = estate::records(estate::estate(31, 60, 40, 6_000), 4);
    let with = findings(
        &with_rules(sound(&rules)),
        &records,
        &[records.len()],
        false,
    );
    let without = findings(&estate::params(), &records, &[records.len()], false);
    let (own, others): (Vec<String>, Vec<String>) =
        with.into_iter().partition(|told| told.contains(" sigma "));
    assert_eq!(others, without);
    assert!(own.len() > 70 * 5 && without.len() > 3, "{}", own.len());
}

#[test]
fn our_own_rules_run() {
    let files = files("deploy/rules");
    assert_eq!(sound(&files).len(), 3);
    for file in files {
        let beside = Path::new(&file.name).with_extension("examples.ndjson");
        assert!(beside.exists(), "{} has no examples", file.name);
    }
}

/// Maps of the parser have no order; names and hashes of rules, and the numbers of their questions, must have one.
#[test]
fn the_same_files_give_the_same_rules() {
    let once = format!("{:?}", sound(&hundred()));
    let again = format!("{:?}", sound(&hundred()));
    assert_eq!(once, again);
    let asked = |rules: RuleSet| format!("{rules:?}");
    assert_eq!(asked(asking()), asked(asking()));
}
