-- question: Which changes of identities, credentials and permissions did no ticket allow?
-- param days = 90: how far to look back
-- param approved = no: yes adds those that a ticket allows, with the ticket
-- controls: NHI1:2025, CC8.1, A.8.32, 6.5.1, PR.AA-05
-- caveat: a ticket allows a change that it names by its event, or one of its identity, of its action and within its time
-- caveat: what was stated last of a ticket counts; of several that allow a change, the one that was approved first is shown
-- caveat: a change whose target the log does not name can only be allowed by its event
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
),
changes AS (
  SELECT
    l.event_time,
    l.event_uid,
    l.action,
    l.target_identity_uid,
    l.target_credential_uid,
    l.actor_identity_uid,
    l.detail_json,
    l._leaf AS leaf
  FROM lifecycle l
  WHERE CAST(l.event_time AS DATE) > (SELECT day FROM since)
),
tickets AS (
  SELECT *
  FROM approvals
  QUALIFY row_number() OVER (
    PARTITION BY ticket, identity_uid, event_uid, action
    ORDER BY stated_time DESC, _leaf DESC
  ) = 1
),
candidates AS (
  SELECT c.leaf, c.event_time, c.action, a.ticket, a.approver, a.approved_time, a.action AS allowed, a.valid_from, a.valid_until
  FROM changes c
  JOIN tickets a ON a.event_uid = c.event_uid
  UNION ALL
  SELECT c.leaf, c.event_time, c.action, a.ticket, a.approver, a.approved_time, a.action, a.valid_from, a.valid_until
  FROM changes c
  JOIN tickets a ON a.identity_uid = c.target_identity_uid
  WHERE a.event_uid IS NULL
),
allowed AS (
  SELECT leaf, ticket, approver
  FROM candidates
  WHERE (allowed IS NULL OR allowed = action)
    AND event_time >= coalesce(valid_from, approved_time)
    AND (valid_until IS NULL OR event_time <= valid_until)
  QUALIFY row_number() OVER (PARTITION BY leaf ORDER BY approved_time, ticket, approver) = 1
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
  a.ticket,
  a.approver,
  c.detail_json,
  c.event_uid
FROM changes c
LEFT JOIN allowed a ON a.leaf = c.leaf
LEFT JOIN identity t ON t.identity_uid = c.target_identity_uid
LEFT JOIN identity k ON k.identity_uid = c.actor_identity_uid
WHERE a.ticket IS NULL OR CAST(:approved AS VARCHAR) = 'yes'
ORDER BY c.event_time, c.event_uid, c.leaf
