-- question: Which answers changed after they were first given, and which may still change?
-- param days = 7: how far to look back
-- param rows = 1000: at most this many rows, latest first
-- controls: CC7.2, A.8.15, 10.3.4, DE.AE-03
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
),
latest AS (
  SELECT *
  FROM amendments
  QUALIFY row_number() OVER (PARTITION BY event_uid, event_date ORDER BY revision DESC, _leaf DESC) = 1
)
SELECT
  a.event_time,
  a.event_uid,
  a.tenant_uid,
  a.service,
  a.operation,
  a.identity_uid AS first_identity_uid,
  coalesce(m.identity_uid, a.identity_uid) AS identity_uid,
  array_to_string(a.chain, ' > ') AS first_chain,
  array_to_string(coalesce(m.chain, a.chain), ' > ') AS chain,
  a.attribution_status AS first_status,
  coalesce(m.attribution_status, a.attribution_status) AS status,
  m.revision,
  array_to_string(m.attribution_reasons, ', ') AS amendment_reasons,
  m.cause_event_uid,
  a._epoch AS first_epoch,
  m._epoch AS amended_epoch
FROM activity a
LEFT JOIN latest m ON m.event_uid = a.event_uid AND m.event_date = a.event_date
WHERE a.event_date > (SELECT day FROM since)
  AND (m.event_uid IS NOT NULL OR a.attribution_status = 'pending')
ORDER BY a.event_time DESC, a.event_uid, a._leaf
LIMIT :rows
