-- question: What was changed about these identities and their credentials, by whom, and which ticket allowed it?
-- param identity: identity_uid as the tables spell it; of several, one a line
-- param first_day = 0001-01-01: the first day of the period
-- param last_day = 9999-12-31: its last day
-- controls: NHI1:2025, CC6.2, CC8.1, A.5.16, A.8.32, 8.2.4, 6.5.1, PR.AA-01
-- caveat: only changes that the logs tell of; what happened before the first log, or in another account's log, is missing
-- caveat: a change without a ticket is one for which no ticket was imported that names it
WITH owned AS (
  SELECT credential_uid, identity_uid
  FROM credential
  WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), identity_uid)
)
SELECT
  coalesce(c.target_identity_uid, o.identity_uid) AS identity_uid,
  c.event_time,
  c.action,
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
LEFT JOIN owned o ON o.credential_uid = c.target_credential_uid
LEFT JOIN identity k ON k.identity_uid = c.actor_identity_uid
WHERE (
    array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), c.target_identity_uid)
    OR (c.target_identity_uid IS NULL AND o.identity_uid IS NOT NULL)
  )
  AND CAST(c.event_time AS DATE) BETWEEN CAST(:first_day AS DATE) AND CAST(:last_day AS DATE)
ORDER BY 1, c.event_time, c._leaf
