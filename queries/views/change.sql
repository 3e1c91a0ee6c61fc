-- Every change of an identity, a credential or a permission, with the ticket that allows it. `identity_uid` is whose identity or
-- credential was changed: what the log names as the target, else the owner of the credential.
-- A ticket allows a change that it names by its event, or one of its identity, of its action and within its time. What was stated
-- last of a ticket counts; of several that allow a change, the one that was approved first is shown.
WITH changes AS (
  SELECT
    l.*,
    coalesce(l.target_identity_uid, c.identity_uid) AS identity_uid
  FROM lifecycle l
  LEFT JOIN credential c ON c.credential_uid = l.target_credential_uid
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
  SELECT l._leaf AS leaf, l.event_time, l.action, a.ticket, a.approver, a.approved_time, a.action AS allowed, a.valid_from, a.valid_until
  FROM changes l
  JOIN tickets a ON a.event_uid = l.event_uid
  UNION ALL
  SELECT l._leaf, l.event_time, l.action, a.ticket, a.approver, a.approved_time, a.action, a.valid_from, a.valid_until
  FROM changes l
  JOIN tickets a ON a.identity_uid = l.identity_uid
  WHERE a.event_uid IS NULL
),
allowed AS (
  SELECT leaf, ticket, approver, approved_time
  FROM candidates
  WHERE (allowed IS NULL OR allowed = action)
    AND event_time >= coalesce(valid_from, approved_time)
    AND (valid_until IS NULL OR event_time <= valid_until)
  QUALIFY row_number() OVER (PARTITION BY leaf ORDER BY approved_time, ticket, approver) = 1
)
SELECT
  l.*,
  a.ticket,
  a.approver,
  a.approved_time
FROM changes l
LEFT JOIN allowed a ON a.leaf = l._leaf
