//! `keytrail evaluate`: how the evidence compares with what is known to be true.
//!
//! It reads the labels that `keytrail simulate --labels` writes and counts, for each of the three answers to who did
//! it, how many events have it right. It knows nothing of how the answers were found, and it judges no real lake: only
//! of a made-up estate somebody knows the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use arrow::record_batch::RecordBatch;
use clap::Args;

use super::{Exit, Lake, Output, block_on};
use crate::query::Session;

/// Labels in one Arrow batch.
const BATCH_LABELS: usize = 65_536;
/// Batches that are joined with the events at once. Each join reads all events, so it is many; a million labels take
/// some 300 MB, so it is not all.
const BATCHES_MAX: usize = 16;

/// The answers that are judged, in the order in which they are told.
const ANSWERS: [&str; 3] = ["identity_uid", "nhi_uid", "acting_uid"];

#[derive(Debug, Args)]
#[command(before_help = "Examples:
  keytrail simulate --out ./logs --labels ./labels.ndjson
  keytrail replay --from ./logs --data ./lake
  keytrail evaluate --data ./lake --labels ./labels.ndjson
      how many events are booked on the right identity, which stories were found, and how many findings are about others")]
pub(super) struct Evaluate {
    #[command(flatten)]
    lake: Lake,
    /// What is true about each event, as `keytrail simulate --labels` writes it
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    /// What is summed up: all, a provider, the reasons of a provider, a story, or the findings of a detector.
    part: Part,
    /// The answer that is judged, or the name of the story or detector.
    name: String,
    provider: Option<String>,
    verdict: String,
    /// Rules that fired, the detector of the story, or the severity of the findings.
    reasons: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Total,
    Provider,
    Reason,
    Story,
    Finding,
}

/// How many events, or findings, a line counts, and one of them to look at.
#[derive(Clone, Debug, Default)]
struct Count {
    events: i64,
    example: Option<String>,
}

type Counts = BTreeMap<Line, Count>;

/// What the labels say of stories, and how they were told.
#[derive(Debug, Default)]
struct Truth {
    /// Identities that had a hand in one.
    involved: BTreeSet<String>,
    stories: usize,
    found: usize,
    /// Of each that was found: epochs between the event that gave it away and the finding.
    epochs_later: Vec<i64>,
}

impl Evaluate {
    pub(super) fn run(self) -> Result<()> {
        let format = self.output.format();
        block_on(async {
            let session = Session::open(&self.lake.data).await?;
            let mut truth = Truth::default();
            let mut counts = count(&session, &self.labels, &mut truth).await?;
            let noise = add_findings(&session, &mut counts, &truth.involved).await?;
            let batch = table(&counts)?;
            let mut out = std::io::BufWriter::new(std::io::stdout());
            crate::query::write(&mut out, format, batch.schema(), &[batch])?;
            out.flush()?;
            eprintln!("{}\n{noise}", truth.told());
            verdict(&counts)
        })
    }
}

/// Ends with exit code 1 if an event is booked on somebody who did not do it.
fn verdict(counts: &Counts) -> Result<()> {
    let of = |verdict: &str| -> i64 {
        let total = counts
            .iter()
            .filter(|(line, _)| line.part == Part::Total && line.name == ANSWERS[0]);
        let of_verdict = total.filter(|(line, _)| line.verdict.starts_with(verdict));
        of_verdict.map(|(_, count)| count.events).sum()
    };
    let (all, correct, wrong) = (of(""), of("correct"), of("wrong"));
    let text =
        format!("{correct} of {all} labelled events have the right identity, {wrong} a wrong one");
    if wrong > 0 {
        return Err(Exit(1, format!("{text}; the examples can be investigated")).into());
    }
    eprintln!("{text}");
    Ok(())
}

impl Truth {
    /// How many stories were found, and when.
    fn told(&self) -> String {
        let mut late = self.epochs_later.clone();
        late.sort_unstable();
        let when = match (late.get(late.len() / 2), late.last()) {
            (Some(median), Some(most)) => format!(
                ", in the median {median} epochs after the event that gave them away, at most {most}"
            ),
            _ => String::new(),
        };
        format!("{} of {} stories found{when}", self.found, self.stories)
    }
}

/// Reads the labels part by part and compares each part with the events.
async fn count(session: &Session, labels: &Path, truth: &mut Truth) -> Result<Counts> {
    let file = File::open(labels)
        .with_context(|| format!("cannot read {}", labels.display()))
        .map_err(|error| Exit(2, format!("{error:#}")))?;
    let schema = schema();
    let mut reader = ReaderBuilder::new(Arc::clone(&schema))
        .with_batch_size(BATCH_LABELS)
        .build(BufReader::with_capacity(1 << 20, file))?;
    let mut counts = Counts::new();
    loop {
        let mut batches = Vec::new();
        for batch in reader.by_ref().take(BATCHES_MAX) {
            let batch = batch.map_err(|error| {
                Exit(
                    2,
                    format!("{} is no file of labels: {error}", labels.display()),
                )
            })?;
            batches.push(batch);
        }
        if batches.is_empty() {
            break;
        }
        session.register_rows("labels", Arc::clone(&schema), batches)?;
        add_answers(session, &mut counts).await?;
        add_stories(session, &mut counts, truth).await?;
    }
    if counts.is_empty() {
        let text = format!(
            "there is no label in {}: `keytrail simulate --labels FILE` writes them",
            labels.display()
        );
        return Err(Exit(2, text).into());
    }
    Ok(counts)
}

/// The members of a label that are compared. The lines of stories have other members than those of events.
fn schema() -> SchemaRef {
    let names = [
        "event_uid",
        "identity_uid",
        "nhi_uid",
        "acting_uid",
        "story",
        "detector",
        "first_event_uid",
    ];
    Arc::new(Schema::new(
        names
            .map(|name| Field::new(name, DataType::Utf8, true))
            .to_vec(),
    ))
}

/// Every answer of every labelled event with its verdict.
///
/// Rows of Azure activity have no id of their own; their labels name the correlation id, which is `request_uid`. The row
/// in which a compute service hands out a role names that role only by its ARN: it is right, in a line of its own, if
/// the labelled identity bears this ARN. A role that nobody ever used has no other name in the logs, so whether it is
/// right cannot be told.
const JUDGED: &str = "WITH booked AS ( \
      SELECT CASE WHEN log_source = 'azure_activity' THEN coalesce(request_uid, event_uid) ELSE event_uid END AS label_uid, \
      event_uid, provider, identity_uid, nhi_uid, acting_uid, attribution_status, \
      array_to_string(attribution_reasons, ' ') AS reasons FROM events \
    ), joined AS ( \
      SELECT l.event_uid AS label_uid, l.identity_uid AS true_identity_uid, l.nhi_uid AS true_nhi_uid, \
      l.acting_uid AS true_acting_uid, b.event_uid, b.provider, b.identity_uid, b.nhi_uid, b.acting_uid, \
      b.attribution_status, b.reasons FROM labels l LEFT JOIN booked b ON b.label_uid = l.event_uid \
      WHERE l.event_uid IS NOT NULL \
    ), answers AS ( \
      SELECT a.answer, j.label_uid, j.event_uid, j.provider, j.attribution_status, j.reasons, \
      CASE a.answer WHEN 'identity_uid' THEN j.identity_uid WHEN 'nhi_uid' THEN j.nhi_uid ELSE j.acting_uid END AS said, \
      CASE a.answer WHEN 'identity_uid' THEN j.true_identity_uid WHEN 'nhi_uid' THEN j.true_nhi_uid \
      ELSE j.true_acting_uid END AS labelled \
      FROM joined j CROSS JOIN ( \
        SELECT 'identity_uid' AS answer UNION ALL SELECT 'nhi_uid' AS answer UNION ALL SELECT 'acting_uid' AS answer \
      ) a \
    ), named AS ( \
      SELECT DISTINCT concat('aws:role-arn:', arn_or_app_id) AS by_arn, identity_uid FROM identities \
      WHERE starts_with(arn_or_app_id, 'arn:') \
    ), judged AS ( \
      SELECT a.answer, coalesce(a.provider, 'none') AS provider, coalesce(a.event_uid, a.label_uid) AS event_uid, \
      coalesce(a.reasons, '') AS reasons, \
      CASE WHEN a.event_uid IS NULL THEN 'missing' \
      WHEN a.attribution_status = 'pending' THEN 'pending' \
      WHEN a.said IS NOT DISTINCT FROM a.labelled THEN 'correct' \
      WHEN n.by_arn IS NOT NULL THEN 'correct_by_arn' \
      WHEN starts_with(a.said, 'aws:role-arn:') AND k.by_arn IS NULL THEN 'unresolved_arn' \
      WHEN a.attribution_status IN ('unattributed', 'ambiguous') THEN a.attribution_status \
      ELSE 'wrong' END AS verdict \
      FROM answers a LEFT JOIN named n ON n.by_arn = a.said AND n.identity_uid = a.labelled \
      LEFT JOIN (SELECT DISTINCT by_arn FROM named) k ON k.by_arn = a.said \
    ) SELECT answer, provider, verdict, reasons, min(event_uid) AS example, count(*) AS events FROM judged \
    GROUP BY answer, provider, verdict, reasons ORDER BY answer, provider, verdict, reasons";

async fn add_answers(session: &Session, counts: &mut Counts) -> Result<()> {
    for (texts, events) in rows(session, JUDGED).await? {
        let [answer, provider, verdict, reasons, example] = texts;
        let total = Line {
            part: Part::Total,
            name: answer,
            provider: None,
            verdict,
            reasons: None,
        };
        let of_provider = Line {
            part: Part::Provider,
            provider: Some(provider),
            ..total.clone()
        };
        let of_reason = Line {
            part: Part::Reason,
            reasons: Some(reasons),
            ..of_provider.clone()
        };
        for line in [total, of_provider, of_reason] {
            let count = counts.entry(line).or_default();
            count.events += events;
            count.example.get_or_insert_with(|| example.clone());
        }
    }
    Ok(())
}

/// Every story, how many findings tell it, and how many epochs after the event that gives it away the first of them
/// stands. A finding tells a story if it is of the story's detector and either about its identity and no older, or names that event.
const STORIES: &str = "WITH stories AS ( \
      SELECT s.story, s.detector, s.identity_uid, s.first_event_uid, min(a._epoch) AS epoch FROM labels s \
      LEFT JOIN activity a ON a.event_uid = s.first_event_uid WHERE s.detector IS NOT NULL \
      GROUP BY s.story, s.detector, s.identity_uid, s.first_event_uid \
    ), told AS ( \
      SELECT s.story, s.identity_uid, f.finding_uid, false AS named FROM stories s \
      JOIN finding f ON f.detector = s.detector AND f.identity_uid = s.identity_uid WHERE f.status <> 'retracted' \
      UNION SELECT s.story, s.identity_uid, f.finding_uid, true AS named FROM stories s \
      JOIN finding_events e ON e.event_uid = s.first_event_uid \
      JOIN finding f ON f.detector = s.detector AND f.finding_uid = e.finding_uid WHERE f.status <> 'retracted' \
    ), first AS (SELECT finding_uid, min(_epoch) AS epoch FROM findings GROUP BY finding_uid) \
    SELECT s.story, s.detector, s.identity_uid, s.first_event_uid, coalesce(min(f.finding_uid), '') AS finding_uid, \
    coalesce(CAST(greatest(min(f.epoch) - min(s.epoch), 0) AS VARCHAR), '') AS epochs_later, \
    count(DISTINCT f.finding_uid) AS findings \
    FROM stories s LEFT JOIN told t ON t.story = s.story AND t.identity_uid = s.identity_uid \
    LEFT JOIN first f ON f.finding_uid = t.finding_uid AND (t.named OR f.epoch >= s.epoch) \
    GROUP BY s.story, s.detector, s.identity_uid, s.first_event_uid ORDER BY s.story, s.identity_uid";

/// Everybody who had a hand in a story.
const INVOLVED: &str = "SELECT identity_uid AS uid, count(*) AS events FROM labels WHERE story IS NOT NULL \
    GROUP BY identity_uid UNION ALL \
    SELECT acting_uid AS uid, count(*) AS events FROM labels WHERE story IS NOT NULL AND acting_uid IS NOT NULL \
    GROUP BY acting_uid";

async fn add_stories(session: &Session, counts: &mut Counts, truth: &mut Truth) -> Result<()> {
    for ([uid], _) in rows(session, INVOLVED).await? {
        truth.involved.insert(uid);
    }
    for (texts, findings) in rows(session, STORIES).await? {
        let [
            story,
            detector,
            identity,
            first_event,
            finding,
            epochs_later,
        ] = texts;
        let found = findings > 0;
        if found {
            truth.epochs_later.extend(epochs_later.parse::<i64>());
        }
        let line = Line {
            part: Part::Story,
            name: format!("{story}: {identity}"),
            provider: None,
            verdict: if found { "found" } else { "not_found" }.to_owned(),
            reasons: Some(detector),
        };
        let count = counts.entry(line).or_default();
        count.events += findings;
        count.example = Some(if found { finding } else { first_event });
        truth.stories += 1;
        truth.found += usize::from(found);
    }
    Ok(())
}

/// Every finding, by detector and severity; and over how many identities and days the lake looks.
const FINDINGS: &str = "SELECT detector, severity, identity_uid, min(finding_uid) AS example, \
    count(*) AS findings FROM finding WHERE status <> 'retracted' GROUP BY detector, severity, identity_uid \
    ORDER BY detector, severity, identity_uid";
const LOOKED_AT: &str = "SELECT count(DISTINCT nhi_uid) * (1 + \
    CAST(max(event_date) AS INTEGER) - CAST(min(event_date) AS INTEGER)) AS identity_days FROM events";

/// Counts findings about identities that have a story and about others, which may be false. Says how many the latter are.
async fn add_findings(
    session: &Session,
    counts: &mut Counts,
    involved: &BTreeSet<String>,
) -> Result<String> {
    let (mut all, mut others) = (0, 0);
    for (texts, findings) in rows(session, FINDINGS).await? {
        let [detector, severity, identity, example] = texts;
        let of_story = involved.contains(&identity);
        let line = Line {
            part: Part::Finding,
            name: detector,
            provider: None,
            verdict: if of_story {
                "of_a_story"
            } else {
                "of_no_story"
            }
            .to_owned(),
            reasons: Some(severity),
        };
        let count = counts.entry(line).or_default();
        count.events += findings;
        count.example.get_or_insert(example);
        all += findings;
        others += if of_story { 0 } else { findings };
    }
    let days = rows::<0>(session, LOOKED_AT).await?;
    let days = days.first().map_or(0, |(_, days)| *days).max(1);
    let rate = others as f64 * 1_000.0 / days as f64;
    Ok(format!(
        "{all} findings, {others} of them about identities without a story: {rate:.3} a day for 1,000 identities"
    ))
}

/// The rows of a statement with some texts and a number.
async fn rows<const TEXTS: usize>(
    session: &Session,
    sql: &str,
) -> Result<Vec<([String; TEXTS], i64)>> {
    let (_, batches) = session.sql(sql).await?;
    let mut rows = Vec::new();
    for batch in &batches {
        let mut texts = Vec::new();
        for column in &batch.columns()[..TEXTS] {
            texts.push(arrow::compute::cast(column, &DataType::Utf8)?);
        }
        let numbers = batch.column(TEXTS).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let text = |at: usize| texts[at].as_string::<i32>().value(row).to_owned();
            rows.push((std::array::from_fn(text), numbers.value(row)));
        }
    }
    Ok(rows)
}

/// The counts as one table: totals, then by provider, then by reasons, then the stories, then the findings.
fn table(counts: &Counts) -> Result<RecordBatch> {
    let events: Vec<i64> = counts.values().map(|count| count.events).collect();
    let columns: [(&str, ArrayRef); 7] = [
        (
            "part",
            column(counts, |line, _| Some(line.part.name().to_owned())),
        ),
        ("name", column(counts, |line, _| Some(line.name.clone()))),
        ("provider", column(counts, |line, _| line.provider.clone())),
        (
            "verdict",
            column(counts, |line, _| Some(line.verdict.clone())),
        ),
        ("events", Arc::new(Int64Array::from(events))),
        ("reasons", column(counts, |line, _| line.reasons.clone())),
        ("example", column(counts, |_, count| count.example.clone())),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn column(counts: &Counts, of: impl Fn(&Line, &Count) -> Option<String>) -> ArrayRef {
    let values: Vec<Option<String>> = counts.iter().map(|(line, count)| of(line, count)).collect();
    Arc::new(StringArray::from(values))
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Provider => "provider",
            Self::Reason => "reason",
            Self::Story => "story",
            Self::Finding => "finding",
        }
    }
}
