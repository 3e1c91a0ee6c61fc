-- question: What was changed about these identities and their credentials, by whom, and which ticket allowed it?
-- param identity: identity_uid as the tables spell it; of several, one a line
-- param first_day = 0001-01-01: the first day of the period, like 2026-07-01
-- param last_day = 9999-12-31: its last day
-- controls: NHI1:2025, CC6.2, CC8.1, A.5.16, A.8.32, 8.2.4, 6.5.1, PR.AA-01
-- caveat: only changes that the logs tell of; what happened before the first log, or in another account's log, is missing
-- caveat: a change without a ticket is one for which no ticket was imported that names it
SELECT
  CASE WHEN array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), replace(c.identity_uid, chr(10), ' ')) THEN c.identity_uid ELSE h.identity_uid END AS identity_uid,
  c.event_time,
  c.action,
  c.target_identity_uid,
  c.target_credential_uid,
  c.actor_identity_uid,
  k.display_name AS actor_name,
  c.ticket,
  c.approver,
  c.approved_time,
  c.detail_json,
  c.event_uid,
  c._epoch AS epoch,
  c._leaf AS leaf
FROM change c
LEFT JOIN (
  SELECT credential_uid, min(identity_uid) AS identity_uid
  FROM credential_holder
  WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), replace(identity_uid, chr(10), ' '))
  GROUP BY credential_uid
) h ON h.credential_uid = c.target_credential_uid
LEFT JOIN identity k ON k.identity_uid = c.actor_identity_uid
WHERE (
    array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), replace(c.identity_uid, chr(10), ' '))
    OR h.identity_uid IS NOT NULL
  )
  AND CAST(c.event_time AS DATE) BETWEEN CAST(CAST(:first_day AS VARCHAR) AS DATE) AND CAST(CAST(:last_day AS VARCHAR) AS DATE)
ORDER BY 1, c.event_time, c._leaf
