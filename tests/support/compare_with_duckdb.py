"""Computes ten prepared questions anew in DuckDB and compares the answers with Keytrail's own.

    compare_with_duckdb.py DATA KEYTRAIL

DATA is a lake on local disk, KEYTRAIL the binary. The Python package `deltalake` says of which files a table consists
and DuckDB reads them; neither shares code with what wrote the files or answers the questions. The statements below are
written from what a question means and from what `schemas/tables` says of the columns. They use the events where the
question uses `usage` or `coverage`, so those tables are held to the events as well.

All columns but LEFT_OUT are compared, and the order of the rows. The lake must be at rest and every event counted, as
`keytrail demo` and `keytrail replay` leave it: `usage` tells of an event only once the watermark has passed it.

Ends with 0 when all answers agree and 1 otherwise, also when a question has no rows on either side.
"""

import json
import subprocess
import sys
from collections import Counter
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable

TABLES = ("activity", "amendments", "credentials", "findings", "identities", "triage")

# Of access-review: what was decided about an identity before, and empty cells for what will be.
LEFT_OUT = {"last_decision", "decided_by", "decided_time", "review_due", "decision", "reason", "until"}

# What an amendment says anew of an event. It replaces all of it, also where it says null.
WORD = """identity_uid, nhi_uid, actor_type, acting_uid, credential_uid, credential_kind, chain, attribution_confidence,
    attribution_status"""

# What several questions need. The day of an event comes from its time, not from the folder in which its file lies.
COMMON = f"""
CREATE TABLE clock AS
WITH latest AS (SELECT max(watermark_time) AS mark, coalesce(mark, max(committed_time)) AS now FROM epochs)
SELECT CAST(now AS DATE) AS today, date_trunc('hour', now) AS this_hour, CAST(mark AS DATE) + 1 AS tomorrow FROM latest;

CREATE TABLE event AS
WITH said AS (
  SELECT event_uid, CAST(event_time AS DATE) AS day, 0 AS revision, {WORD} FROM activity
  UNION ALL
  SELECT event_uid, event_date, revision, {WORD} FROM amendments
),
last_said AS (
  SELECT event_uid, day, max(revision) > 0 AS amended, arg_max(said, revision) AS word FROM said GROUP BY event_uid, day
)
SELECT
  a.* EXCLUDE ({WORD}), date_trunc('hour', a.event_time) AS hour, l.amended, word.* EXCLUDE (event_uid, revision),
  regexp_full_match(
    lower(if(a.provider = 'aws', a.service, a.log_source) || ' ' || a.operation),
    'secretsmanager.amazonaws.com (batch)?getsecretvalue|ssm.amazonaws.com getparameter(s|sbypath|history)?|'
    || 'key_vault (secretget|(secret|key|certificate)backup)|'
    || 'azure_activity microsoft.(storage/storage|documentdb/database)accounts/listkeys/action'
  ) AS reads_secret
FROM activity a JOIN last_said l ON l.event_uid = a.event_uid AND l.day = CAST(a.event_time AS DATE);

CREATE TABLE identity AS
SELECT DISTINCT ON (identity_uid)
  *, min(valid_from) FILTER (source <> 'inventory') OVER (PARTITION BY identity_uid) AS sign
FROM identities ORDER BY identity_uid, version DESC;

CREATE TABLE credential AS
SELECT DISTINCT ON (credential_uid)
  *, today - CAST(coalesce(created_time, min(valid_from) OVER (PARTITION BY credential_uid)) AS DATE) AS age_days
FROM credentials, clock ORDER BY credential_uid, version DESC;

-- How machines sleep as of the last day with events, but no event of the far future makes the last day. Machines are
-- what a customer owns and can remove, that can be used, under the id that counts; a user of IAM needs a live credential
-- for that, or is a person. Each is known from its first sign
-- on, at most since the lake begins; what an inventory says is no sign. Whoever stands in the chain of a success is
-- used by it, once also where the logs of two accounts tell of it.
CREATE TABLE sleep AS
WITH bounds AS (SELECT min(day) AS since, least(max(day), any_value(tomorrow)) AS as_of FROM event, clock),
logged AS (
  SELECT tenant_uid, count(DISTINCT day) AS logged
  FROM event, bounds WHERE day BETWEEN as_of - 89 AND as_of GROUP BY tenant_uid
),
uses AS (
  SELECT
    identity_uid, min(event_time) AS first_time, max(event_time) FILTER (outcome = 'success') AS last_success_time,
    count(DISTINCT action_uid) FILTER (outcome = 'success') AS successes,
    count(DISTINCT action_uid) FILTER (outcome = 'failure') AS failures,
    count(DISTINCT day) FILTER (outcome = 'success') AS days_used
  FROM (SELECT unnest(chain) AS identity_uid, event_time, day, outcome, action_uid FROM event) GROUP BY identity_uid
)
SELECT
  m.*, as_of, logged, last_success_time, coalesce(successes, 0) AS successes, coalesce(failures, 0) AS failures,
  coalesce(days_used, 0) AS days_used,
  CASE WHEN last_success_time IS NOT NULL THEN greatest(as_of - CAST(last_success_time AS DATE), 0) END AS days_idle,
  greatest(as_of - greatest(since, CAST(least(first_time, created_time, sign) AS DATE)), 0) AS days_observed,
  CASE
    WHEN days_idle < 45 THEN 'active'
    WHEN logged IS NULL THEN 'unobservable'
    WHEN days_observed < 90 OR logged < 81 THEN 'insufficient_history'
    ELSE coalesce(['idle', 'dormant', 'stale'][1 + (days_idle >= 90)::INT + (days_idle >= 180)::INT], 'never_used')
  END AS dormancy_class
FROM identity m CROSS JOIN bounds LEFT JOIN uses USING (identity_uid)
LEFT JOIN logged l ON l.tenant_uid IS NOT DISTINCT FROM m.tenant_uid
WHERE status NOT IN ('disabled', 'deleted') AND merged_into_uid IS NULL AND kind IN (
  'agent', 'ec2_instance_identity', 'iam_role', 'iam_user', 'managed_identity', 'oidc_ci', 'oidc_workload',
  'service_principal', 'service_role', 'workload_role'
) AND (kind <> 'iam_user' OR identity_uid IN (SELECT identity_uid FROM credential WHERE status = 'active'));
"""

# Question, parameters, statement. A parameter's value is what DuckDB selects for it; in the statement it is $name.
CHECKS = [
    ("dormancy", {"active": "'yes'"}, """
        SELECT
          dormancy_class, identity_uid, display_name, kind, owner, privilege_tier, risk_tier, days_idle,
          last_success_time, successes, failures, days_observed, 90 - coalesce(logged, 0) AS days_without_logs,
          created_time, created_by_uid, tenant_uid, as_of AS as_of_date
        FROM sleep WHERE dormancy_class <> 'active' OR $active = 'yes'
        ORDER BY list_position(
          ['stale', 'dormant', 'never_used', 'idle', 'insufficient_history', 'unobservable', 'active'], dormancy_class
        ), privilege_tier DESC NULLS LAST, days_idle DESC NULLS LAST, identity_uid
    """),
    # Whoever stands in a chain reached whom stands below. Where the log names no secret, the tenant stands for it. A
    # decision settles a finding until that grows again.
    ("access-review", {"owner": "'%'"}, """
        WITH done AS (SELECT * FROM event WHERE outcome <> 'failure'),
        reached AS (
          SELECT who, count(DISTINCT tenant_uid) AS t, count(DISTINCT service) AS s, count(DISTINCT secret) AS x
          FROM done, unnest(chain) c(who), unnest(
            if(NOT reads_secret, [NULL], if(resource_uids = [], [tenant_uid], resource_uids))) r(secret) GROUP BY who
        ),
        below AS (
          SELECT chain[high] AS who, count(DISTINCT chain[low]) AS below
          FROM (SELECT DISTINCT chain FROM done), range(1, 64) h(high), range(2, 65) l(low)
          WHERE high < low AND low <= len(chain) AND chain[high] <> chain[low] GROUP BY who
        ),
        keys AS (
          SELECT identity_uid AS who, count(*) AS live_credentials, max(age_days) AS oldest_credential_days
          FROM credential WHERE status = 'active' AND coalesce(CAST(expires_time AS DATE) >= today, true) GROUP BY who
        ),
        found AS (
          SELECT finding_uid, arg_max(f, revision) AS f, max(revision) FILTER (status IN ('new', 'updated')) AS grown
          FROM findings f GROUP BY finding_uid
        ),
        decided AS (SELECT finding_uid, arg_max(t, (decided_time, _leaf)) AS d FROM triage t GROUP BY finding_uid),
        open AS (
          SELECT f.identity_uid AS who, count(*) AS open FROM found LEFT JOIN decided USING (finding_uid)
          WHERE f.status <> 'retracted'
            AND NOT coalesce(d.decision IN ('benign', 'false_positive') AND d.revision >= grown, false) GROUP BY who
        )
        SELECT
          CASE
            WHEN dormancy_class IN ('dormant', 'stale', 'never_used') OR expires_time < as_of THEN 'revoke'
            WHEN owner IS NULL THEN 'find an owner'
            WHEN days_observed < 90 OR dormancy_class NOT IN ('active', 'idle') THEN 'cannot be judged yet'
            WHEN privilege_tier >= 2 AND days_used < days_observed / 10 THEN 'reduce'
            ELSE 'keep'
          END AS recommendation,
          identity_uid, display_name, kind, owner, backup_owner, purpose, environment, risk_tier, privilege_tier,
          privilege_reason, dormancy_class, days_idle, last_success_time, days_used, days_observed,
          coalesce(live_credentials, 0) AS live_credentials, oldest_credential_days,
          coalesce(t, 0) AS tenants_reached, coalesce(s, 0) AS services_reached, coalesce(x, 0) AS secrets_read,
          coalesce(below, 0) AS identities_reached, coalesce(open, 0) AS open_findings, created_time, created_by_uid,
          expires_time, tenant_uid
        FROM sleep LEFT JOIN reached ON reached.who = identity_uid LEFT JOIN below ON below.who = identity_uid
        LEFT JOIN keys ON keys.who = identity_uid LEFT JOIN open ON open.who = identity_uid
        WHERE coalesce(owner, '') LIKE $owner
        ORDER BY coalesce(list_position(['high', 'medium'], risk_tier), 3), privilege_tier DESC NULLS LAST, identity_uid
    """),
    # Other windows than the usual ones, so that a lake of 90 days has credentials inside and outside.
    ("rotation", {"high": "30", "medium": "60", "low": "80"}, """
        SELECT
          risk_tier, age_days, coalesce(map {'high': $high, 'medium': $medium}[risk_tier], $low) AS window_days,
          c.credential_uid, c.kind, key_hint, c.identity_uid, display_name, owner, c.created_time,
          c.created_time IS NULL AS age_is_lower_bound, c.expires_time, rotated_from,
          (SELECT max(event_time) FROM event e WHERE e.credential_uid = c.credential_uid AND outcome = 'success')
            AS last_success_time,
          CASE
            WHEN CAST(c.expires_time AS DATE) < today THEN 'expired'
            WHEN age_days > window_days THEN 'overdue'
            ELSE if(age_is_lower_bound, 'inside, as far as is known', 'inside')
          END AS standing
        FROM credential c LEFT JOIN identity i ON i.identity_uid = c.identity_uid
        WHERE c.status = 'active'
          AND c.kind IN ('access_key', 'bearer_api_key', 'service_specific', 'sp_certificate', 'sp_secret')
        ORDER BY window_days - age_days, c.credential_uid
    """),
    # Of whoever has the most events in these days.
    ("operations-used", {"identity": "mode(acting_uid) FROM event, clock WHERE day > today - 90", "days": "90"}, """
        SELECT
          service, operation, read_only, count_if(outcome <> 'failure') AS successes,
          count_if(outcome = 'failure') AS failures, count(DISTINCT day) AS days_used,
          count(DISTINCT tenant_uid) AS tenants, min(event_time) AS first_time, max(event_time) AS last_time
        FROM event, clock WHERE acting_uid = $identity AND day > today - $days
        GROUP BY ALL ORDER BY service, operation, read_only
    """),
    ("attribution-quality", {"days": "30"}, """
        SELECT
          log_source, count(*) AS events, count_if(said = 'exact') AS exact, count_if(said = 'strong') AS strong,
          count_if(said = 'probable') AS probable, count_if(said = 'declared') AS declared,
          count_if(said = 'none') AS none, count_if(status = 'pending') AS pending,
          count_if(status = 'unattributed') AS unattributed, count_if(status = 'ambiguous') AS ambiguous,
          count_if(amended) AS amended, count_if(actor_type = 'unknown') AS actor_unknown,
          count(nhi_uid) AS booked_on_machine, (exact + strong) * 100 // events AS percent_exact_or_strong
        FROM (SELECT *, attribution_confidence AS said, attribution_status AS status FROM event), clock
        WHERE day > today - $days GROUP BY log_source ORDER BY log_source
    """),
    # Every hour from a source's first one on, without those that have events; hours in a row are one silence.
    ("coverage-gaps", {"hours": "3"}, """
        WITH heard AS (
          SELECT DISTINCT log_source, tenant_uid, max(hour) OVER (PARTITION BY log_source, tenant_uid) AS last, hour
          FROM event
        ),
        silent AS (
          SELECT
            log_source, tenant_uid, last, unnest(range(min(hour), greatest(last, max(this_hour)), to_hours(1))) AS hour
          FROM heard, clock GROUP BY log_source, tenant_uid, last EXCEPT FROM heard
        ),
        runs AS (
          SELECT *, hour - to_hours(1) * row_number() OVER source AS run
          FROM silent WINDOW source AS (PARTITION BY log_source, tenant_uid ORDER BY hour)
        )
        SELECT
          log_source, tenant_uid, min(hour) AS silent_from, max(hour) + to_hours(1) AS silent_until,
          count(*) AS hours_missing, min(hour) > last AS still_silent
        FROM runs GROUP BY log_source, tenant_uid, last, run HAVING hours_missing >= $hours
        ORDER BY still_silent DESC, hours_missing DESC, log_source, tenant_uid, silent_from
    """),
    ("shared-credentials", {"days": "30", "networks": "2"}, """
        WITH daily AS (
          SELECT
            credential_uid, acting_uid AS identity_uid, day, count(DISTINCT source_network) AS networks,
            count(DISTINCT user_agent_family) AS clients, count(*) AS n
          FROM event, clock WHERE day > today - $days AND outcome <> 'failure' AND via = []
            AND credential_kind IN ('access_key', 'sp_secret', 'sp_certificate', 'federated_credential')
          GROUP BY ALL
        )
        SELECT
          credential_uid, identity_uid, display_name, owner, count(*) AS days_shared, max(clients) AS clients_max,
          max(networks) AS source_networks_max, sum(n) AS events, min(day) AS first_date, max(day) AS last_date
        FROM daily LEFT JOIN identity USING (identity_uid)
        WHERE greatest(networks, clients) >= $networks AND credential_uid IS NOT NULL GROUP BY ALL
        ORDER BY source_networks_max DESC, clients_max DESC, credential_uid, identity_uid
    """),
    ("new-networks", {"days": "7"}, """
        WITH seen AS (
          SELECT *, min(day) OVER (PARTITION BY nhi_uid, source_network) > today - $days AS is_new
          FROM event, clock WHERE nhi_uid IS NOT NULL AND source_network IS NOT NULL AND via = []
        ),
        before AS (SELECT nhi_uid, count(DISTINCT source_network) AS n FROM seen WHERE NOT is_new GROUP BY nhi_uid)
        SELECT
          nhi_uid, kind, display_name, owner, source_network, n AS networks_before, min(event_time) AS first_time,
          max(event_time) AS last_time, count(*) AS events, count_if(outcome = 'failure') AS failures,
          string_agg(DISTINCT user_agent_family, ', ' ORDER BY user_agent_family) AS user_agents,
          string_agg(DISTINCT s.tenant_uid, ', ' ORDER BY s.tenant_uid) AS tenants, min(event_uid) AS example_event_uid
        FROM seen s JOIN before USING (nhi_uid) LEFT JOIN identity i ON i.identity_uid = nhi_uid WHERE is_new
        GROUP BY ALL ORDER BY first_time DESC, nhi_uid, source_network
    """),
    ("secrets-read", {"days": "30"}, """
        SELECT
          e.identity_uid, display_name, owner, acting_uid, actor_type, e.provider, e.tenant_uid, operation,
          array_to_string(resource_uids, ', ') AS secret,
          count_if(outcome <> 'failure') AS successes, count_if(outcome = 'failure') AS failures,
          min(event_time) AS first_time, max(event_time) AS last_time, min(event_uid) AS example_event_uid
        FROM event e CROSS JOIN clock LEFT JOIN identity i ON i.identity_uid = e.identity_uid
        WHERE reads_secret AND day > today - $days GROUP BY ALL
        ORDER BY successes DESC, failures DESC, e.identity_uid, acting_uid, e.tenant_uid, operation, secret, actor_type
    """),
    ("findings", {"severity": "'medium'", "days": "30"}, """
        WITH ladder AS (SELECT ['info', 'low', 'medium', 'high', 'critical'] AS steps)
        SELECT
          severity, detector, f.status, confidence, f.identity_uid, display_name, owner, f.tenant_uid, title, summary,
          first_event_time, last_event_time, event_count, array_to_string(controls, ', ') AS controls,
          array_to_string(attacks, ', ') AS attacks, finding_uid, revision
        FROM (SELECT DISTINCT ON (finding_uid) * FROM findings ORDER BY finding_uid, revision DESC) f
        CROSS JOIN clock CROSS JOIN ladder LEFT JOIN identity i ON i.identity_uid = f.identity_uid
        WHERE f.status <> 'retracted' AND CAST(last_event_time AS DATE) > today - $days
          AND list_position(steps, severity) >= list_position(steps, $severity)
        ORDER BY list_position(steps, severity) DESC, last_event_time DESC, finding_uid
    """),
]


def open_lake(lake: Path) -> duckdb.DuckDBPyConnection:
    duck = duckdb.connect()
    duck.execute("SET TimeZone = 'UTC'")
    for name in ("epochs", *TABLES):
        table = DeltaTable(str(lake / "tables" / name))
        if files := table.file_uris():
            # The values of partition columns stand in the paths only.
            duck.read_parquet(files, union_by_name=True, hive_partitioning=True).create_view(f"all_{name}")
        else:
            # `triage` has no file before the first decision, but its columns are asked for.
            duck.from_arrow(table.schema().to_arrow().empty_table()).create(f"all_{name}")
        # Rows after the last published epoch do not count yet.
        duck.execute(f"CREATE VIEW {name} AS FROM all_{name} WHERE _epoch <= (SELECT max(_epoch) FROM all_epochs)")
    duck.execute(COMMON)
    return duck


def ask(keytrail: str, lake: Path, question: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    command = [keytrail, "query", question, "--data", str(lake), "-o", "ndjson"]
    command += [part for name, value in given.items() for part in ("-p", f"{name}={value}")]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"`{' '.join(command)}` ended with {result.returncode}: {result.stderr.strip()}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def value(found: Any, kind: str) -> Any:
    """A value of the JSON as DuckDB has it: in JSON times and days are text."""
    if found is None or kind not in ("DATE", "TIMESTAMP WITH TIME ZONE"):
        return found
    return date.fromisoformat(found) if kind == "DATE" else datetime.fromisoformat(found)


def agrees(question: str, ours: list[tuple[Any, ...]], theirs: list[tuple[Any, ...]], columns: list[str]) -> bool:
    """Prints whether both answer alike, and if not three rows of either side that the other has not in that place."""
    if ours and ours == theirs:
        print(f"same  {question}  {len(ours)} rows")
        return True
    print(f"DIFFERENT  {question}  duckdb {len(ours)} rows, keytrail {len(theirs)} rows")
    for side, rows, others in (("duckdb", ours, theirs), ("keytrail", theirs, ours)):
        # A side without rows of its own has another order.
        shown = list((Counter(rows) - Counter(others)).elements()) or [a for a, b in zip(rows, others) if a != b]
        for row in shown[:3]:
            print(f"  {side}: {', '.join(f'{name} {cell}' for name, cell in zip(columns, row))}")
    return False


def main(lake: Path, keytrail: str) -> int:
    duck = open_lake(lake)
    wrong = 0
    for question, parameters, sql in CHECKS:
        given = {name: duck.execute(f"SELECT {word}").fetchall()[0][0] for name, word in parameters.items()}
        result = duck.execute(sql, given)
        columns = {name: str(kind) for name, kind, *_ in result.description}
        ours = result.fetchall()
        answer = ask(keytrail, lake, question, given)
        theirs = [tuple(value(row.pop(name), kind) for name, kind in columns.items()) for row in answer]
        # What is left of a row was compared with nothing.
        if unknown := {name for row in answer for name in row} - LEFT_OUT:
            raise RuntimeError(f"{question} has columns that are not compared: {', '.join(sorted(unknown))}")
        wrong += not agrees(question, ours, theirs, list(columns))
    print(f"{wrong} of {len(CHECKS)} questions are not answered alike" if wrong else "ok: ten questions agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: compare_with_duckdb.py DATA KEYTRAIL")
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
