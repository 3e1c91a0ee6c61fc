-- question: Which identities read secrets, and which ones?
-- param days = 30: how far to look back
-- controls: NHI2:2025, CC6.1, A.8.3, 8.6.2, PR.DS-01
-- caveat: an SSM parameter is counted whether it holds a secret or not; the log does not say
-- caveat: AWS names the secret among the resources only for some calls; where it does not, secret is empty
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
),
reads AS (
  SELECT
    identity_uid,
    acting_uid,
    actor_type,
    provider,
    tenant_uid,
    operation,
    array_to_string(resource_uids, ', ') AS secret,
    outcome,
    event_time,
    event_uid
  FROM secret_reads
  WHERE event_date > (SELECT day FROM since)
)
SELECT
  r.identity_uid,
  i.display_name,
  i.owner,
  r.acting_uid,
  r.actor_type,
  r.provider,
  r.tenant_uid,
  r.operation,
  r.secret,
  sum(CASE WHEN r.outcome <> 'failure' THEN 1 ELSE 0 END) AS successes,
  sum(CASE WHEN r.outcome = 'failure' THEN 1 ELSE 0 END) AS failures,
  min(r.event_time) AS first_time,
  max(r.event_time) AS last_time,
  min(r.event_uid) AS example_event_uid
FROM reads r
LEFT JOIN identity i ON i.identity_uid = r.identity_uid
GROUP BY
  r.identity_uid,
  i.display_name,
  i.owner,
  r.acting_uid,
  r.actor_type,
  r.provider,
  r.tenant_uid,
  r.operation,
  r.secret
ORDER BY successes DESC, failures DESC, r.identity_uid, r.acting_uid, r.tenant_uid, r.operation, r.secret, r.actor_type
