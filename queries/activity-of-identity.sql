-- question: What did this identity do, itself or through others?
-- param identity: identity_uid as the tables spell it
-- param days = 30: how far to look back
-- param rows = 1000: at most this many rows, latest first
-- controls: CC7.2, A.8.15, 10.2.1, DE.CM-03
-- caveat: it is in the answer wherever it stands in the chain; part says where
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
)
SELECT
  e.event_time,
  e.event_uid,
  e.provider,
  e.tenant_uid,
  e.service,
  e.operation,
  e.outcome,
  e.error_code,
  CASE
    WHEN e.acting_uid = CAST(:identity AS VARCHAR) THEN 'acting'
    WHEN e.identity_uid = CAST(:identity AS VARCHAR) THEN 'origin'
    ELSE 'intermediate'
  END AS part,
  e.credential_uid,
  e.session_uid,
  array_to_string(e.chain, ' > ') AS chain,
  e.attribution_confidence,
  e.source_raw,
  e.user_agent_family,
  array_to_string(e.resource_uids, ', ') AS resource_uids,
  e.raw_sha256,
  e._epoch,
  e._leaf
FROM events e
WHERE e.event_date > (SELECT day FROM since)
  AND (
    e.identity_uid = CAST(:identity AS VARCHAR)
    OR e.acting_uid = CAST(:identity AS VARCHAR)
    OR array_has(e.chain, CAST(:identity AS VARCHAR))
  )
ORDER BY e.event_time DESC, e.event_uid, e._leaf
LIMIT :rows
