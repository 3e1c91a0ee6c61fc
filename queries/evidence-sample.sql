-- question: Which machine identities were there in a period, and what is known of those that a sample draws?
-- param identity = : these identities instead of a sample, one a line
-- param sample = 25: how many are drawn
-- param seed = 1: another seed draws others, the same seed the same again
-- param first_day = 0001-01-01: the first day of the period, like 2026-07-01
-- param last_day = 9999-12-31: its last day
-- controls: NHI1:2025, CC6.1, CC6.2, A.5.16, A.5.18, 7.2.4, 7.2.5, PR.AA-01
-- caveat: a sample is those with the lowest md5 of seed and identity_uid among all that the period knew, and anybody can draw it again; whoever chose the seed could choose the sample, so take one that the auditor names
-- caveat: the population is the machine identities that logs and inventory told of by the end of the period, but for those deleted before it; one that only an inventory tells of counts from its import, or from when it says that it was created
-- caveat: sessions of federated users and identities of other systems (federated_session, k8s_sa, gcp_sa, x509_workload, agent_user) are not drawn
-- caveat: what was told of an identity under an earlier id stands in the other tables under that id
-- caveat: owner, status, privilege, use, reviews and findings are as of the epoch of the lake, not as of the period
WITH named AS (
  -- Under the id that counts, what was told under an earlier one too.
  SELECT coalesce(i.merged_into_uid, v.identity_uid) AS identity_uid, v.valid_from, v.created_time, v.status
  FROM identities v
  JOIN identity i ON i.identity_uid = v.identity_uid
),
known AS (
  SELECT
    identity_uid,
    min(valid_from) AS seen_time,
    min(created_time) AS created_time,
    min(CASE WHEN status = 'deleted' THEN valid_from END) AS deleted_time
  FROM named
  GROUP BY identity_uid
),
population AS (
  SELECT i.identity_uid, count(*) OVER () AS population
  FROM machine_ever i
  JOIN known k ON k.identity_uid = i.identity_uid
  WHERE CAST(least(k.seen_time, k.created_time) AS DATE) <= CAST(CAST(:last_day AS VARCHAR) AS DATE)
    AND (
      i.status <> 'deleted'
      OR CAST(k.deleted_time AS DATE) >= CAST(CAST(:first_day AS VARCHAR) AS DATE)
    )
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
  WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), replace(i.identity_uid, chr(10), ' '))
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
  coalesce(i.created_time, k.created_time) AS created_time,
  i.created_by_uid,
  k.seen_time,
  k.deleted_time,
  u.last_success_time,
  u.days_idle,
  u.days_used,
  u.days_observed,
  coalesce(a.state, 'never reviewed') AS review_state,
  a.decision AS last_decision,
  a.author AS decided_by,
  a.attested_time AS decided_time,
  a.due_date AS review_due,
  coalesce(o.open_findings, 0) AS open_findings,
  c.population
FROM chosen c
JOIN identity i ON i.identity_uid = c.identity_uid
LEFT JOIN known k ON k.identity_uid = c.identity_uid
LEFT JOIN identity_usage u ON u.identity_uid = c.identity_uid
LEFT JOIN attestation a ON a.identity_uid = c.identity_uid
LEFT JOIN opened o ON o.identity_uid = c.identity_uid
ORDER BY i.identity_uid
