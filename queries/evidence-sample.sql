-- question: Which machine identities were there in a period, and which of them does a sample draw?
-- param identity = : these identities instead of a sample, one a line
-- param sample = 25: how many are drawn
-- param seed = 1: another seed draws others, the same seed the same again
-- param first_day = 0001-01-01: the first day of the period
-- param last_day = 9999-12-31: its last day
-- controls: NHI1:2025, CC6.1, CC6.2, A.5.16, A.5.18, 7.2.4, 7.2.5, PR.AA-01
-- caveat: drawn are those with the lowest md5 of seed and identity_uid among all that the period knew: nobody chose them, and anybody can draw them again
-- caveat: the population is what logs and inventory told of; an identity that neither ever named is not in it
-- caveat: owner, status, privilege and use are as of the epoch of the lake, not as of the period
WITH seen AS (
  SELECT identity_uid, min(valid_from) AS seen_time
  FROM identities
  GROUP BY identity_uid
),
population AS (
  SELECT i.identity_uid, count(*) OVER () AS population
  FROM machine_ever i
  JOIN seen s ON s.identity_uid = i.identity_uid
  WHERE CAST(least(s.seen_time, i.created_time) AS DATE) <= CAST(:last_day AS DATE)
    AND (i.status = 'active' OR CAST(i.valid_from AS DATE) >= CAST(:first_day AS DATE))
),
drawn AS (
  SELECT identity_uid, population
  FROM population
  WHERE CAST(:identity AS VARCHAR) = ''
  QUALIFY row_number() OVER (ORDER BY md5(concat(:seed, ' ', identity_uid)), identity_uid) <= CAST(:sample AS BIGINT)
),
chosen AS (
  SELECT * FROM drawn
  UNION ALL
  SELECT i.identity_uid, p.population
  FROM identity i
  CROSS JOIN (SELECT count(*) AS population FROM population) p
  WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), i.identity_uid)
),
opened AS (
  SELECT identity_uid, count(*) AS open_findings
  FROM finding
  WHERE status <> 'retracted' AND NOT settled
  GROUP BY identity_uid
)
SELECT
  i.identity_uid,
  i.display_name,
  i.kind,
  i.provider,
  i.tenant_uid,
  i.status,
  u.dormancy_class,
  i.owner,
  i.backup_owner,
  i.purpose,
  i.environment,
  i.risk_tier,
  i.privilege_tier,
  i.privilege_reason,
  i.created_time,
  i.created_by_uid,
  s.seen_time,
  u.last_success_time,
  u.days_idle,
  u.days_used,
  u.days_observed,
  a.state AS review_state,
  a.decision AS last_decision,
  a.author AS decided_by,
  a.attested_time AS decided_time,
  a.due_date AS review_due,
  coalesce(o.open_findings, 0) AS open_findings,
  c.population
FROM chosen c
JOIN identity i ON i.identity_uid = c.identity_uid
JOIN seen s ON s.identity_uid = c.identity_uid
LEFT JOIN identity_usage u ON u.identity_uid = c.identity_uid
LEFT JOIN attestation a ON a.identity_uid = c.identity_uid
LEFT JOIN opened o ON o.identity_uid = c.identity_uid
ORDER BY i.identity_uid
