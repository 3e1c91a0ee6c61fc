-- question: What was found, the most urgent first?
-- param severity = low: the lowest severity of interest, one of info, low, medium, high, critical
-- param days = 30: how far to look back
-- controls: CC7.2, A.8.16, 10.4.1, DE.CM-03
-- caveat: closed means that the situation went quiet, not that somebody has looked at it
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
),
ranks(name, place) AS (
  VALUES ('info', 0), ('low', 1), ('medium', 2), ('high', 3), ('critical', 4)
)
SELECT
  f.severity,
  f.detector,
  f.status,
  f.confidence,
  f.identity_uid,
  i.display_name,
  i.owner,
  f.tenant_uid,
  f.title,
  f.summary,
  f.first_event_time,
  f.last_event_time,
  f.event_count,
  array_to_string(f.controls, ', ') AS controls,
  array_to_string(f.attacks, ', ') AS attacks,
  f.finding_uid,
  f.revision
FROM finding f
JOIN ranks r ON r.name = f.severity
LEFT JOIN identity i ON i.identity_uid = f.identity_uid
WHERE f.status <> 'retracted'
  AND r.place >= (SELECT place FROM ranks WHERE name = CAST(:severity AS VARCHAR))
  AND CAST(f.last_event_time AS DATE) > (SELECT day FROM since)
ORDER BY r.place DESC, f.last_event_time DESC, f.finding_uid
