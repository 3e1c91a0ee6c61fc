-- question: Which identities or keys woke up after a long sleep?
-- param days = 90: how far to look back
-- controls: NHI1:2025, CC6.2, A.5.18, 8.2.6, PR.AA-01
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
)
SELECT
  f.first_event_time,
  f.last_event_time,
  f.severity,
  f.confidence,
  f.status,
  f.identity_uid,
  i.kind,
  i.display_name,
  i.owner,
  f.tenant_uid,
  f.title,
  f.summary,
  f.event_count,
  array_to_string(f.related_uids, ', ') AS related_uids,
  f.why_json,
  f.finding_uid
FROM finding f
LEFT JOIN identity i ON i.identity_uid = f.identity_uid
WHERE f.detector = 'reactivated'
  AND f.status <> 'retracted'
  AND CAST(f.last_event_time AS DATE) > (SELECT day FROM since)
ORDER BY f.last_event_time DESC, f.finding_uid
