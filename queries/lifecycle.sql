-- question: What was created, granted, rotated, disabled and deleted, and who did it?
-- param days = 90: how far to look back
-- controls: NHI1:2025, CC6.2, A.5.16, 8.2.4, PR.AA-01
-- caveat: an approval is not looked for: tickets are not imported yet
WITH since AS (
  SELECT coalesce(max(watermark_time), max(committed_time)) - CAST(concat(:days, ' days') AS INTERVAL) AS at FROM epochs
)
SELECT
  l.action,
  l.event_time,
  l.target_identity_uid,
  i.display_name,
  i.owner,
  l.target_credential_uid,
  l.actor_identity_uid,
  a.display_name AS actor_name,
  l.detail_json,
  l.event_uid
FROM lifecycle l
LEFT JOIN identity i ON i.identity_uid = l.target_identity_uid
LEFT JOIN identity a ON a.identity_uid = l.actor_identity_uid
WHERE l.event_time > (SELECT at FROM since)
ORDER BY l.event_time DESC, l.event_uid, l.action, l._leaf
