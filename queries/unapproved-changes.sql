-- question: Which changes of identities, credentials and permissions did no ticket allow?
-- param days = 90: how far to look back
-- param approved = no: yes adds those that a ticket allows, with the ticket
-- controls: NHI1:2025, CC8.1, A.8.32, 6.5.1, PR.AA-05
-- caveat: a ticket allows a change that it names by its event, or one of its identity, of its action and within its time
-- caveat: what was stated last of a ticket counts; of several that allow a change, the one that was approved first is shown
-- caveat: a change that names neither an identity nor a credential that is known can only be allowed by its event
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
)
SELECT
  c.event_time,
  c.action,
  c.target_identity_uid,
  t.display_name,
  t.owner,
  c.target_credential_uid,
  c.actor_identity_uid,
  k.display_name AS actor_name,
  c.ticket,
  c.approver,
  c.detail_json,
  c.event_uid
FROM change c
LEFT JOIN identity t ON t.identity_uid = c.target_identity_uid
LEFT JOIN identity k ON k.identity_uid = c.actor_identity_uid
WHERE CAST(c.event_time AS DATE) > (SELECT day FROM since)
  AND (c.ticket IS NULL OR CAST(:approved AS VARCHAR) = 'yes')
ORDER BY c.event_time, c.event_uid, c._leaf
