-- question: How did this identity and its credentials come, change and go, and who saw to it?
-- param identity: identity_uid as the tables spell it; of several, one a line
-- param rows = 1000: at most this many rows, earliest first
-- controls: NHI1:2025, CC6.2, A.5.16, 10.2.1.5, PR.AA-01
-- caveat: the earliest `rows` of all changes that the lake knows, whatever period a report is about
-- caveat: only changes that the logs tell of; what happened before the first log, or in another account's log, is missing
WITH owned AS (
  SELECT DISTINCT credential_uid
  FROM credentials
  WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), identity_uid)
),
told AS (
  SELECT 'target' AS relation, l.*
  FROM lifecycle l
  WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), l.target_identity_uid)
    OR (
      l.target_identity_uid IS NULL
      AND l.target_credential_uid IN (SELECT credential_uid FROM owned)
    )
  UNION ALL
  SELECT 'actor' AS relation, l.*
  FROM lifecycle l
  WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), l.actor_identity_uid)
)
SELECT
  t.event_time,
  t.relation,
  t.action,
  t.target_identity_uid,
  t.target_credential_uid,
  c.kind AS credential_kind,
  c.status AS credential_status,
  t.actor_identity_uid,
  a.display_name AS actor_name,
  t.detail_json,
  t.approval_ref,
  array_to_string(t.controls, ', ') AS controls,
  t.event_uid
FROM told t
LEFT JOIN identity a ON a.identity_uid = t.actor_identity_uid
LEFT JOIN credential c ON c.credential_uid = t.target_credential_uid
ORDER BY t.event_time, t.relation DESC, t.action, t.target_credential_uid, t.event_uid
LIMIT :rows
