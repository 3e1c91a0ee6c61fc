-- question: Which credentials did these identities have in a period, how old are they, and when were they last used?
-- param identity: identity_uid as the tables spell it; of several, one a line
-- param first_day = 0001-01-01: the first day of the period, like 2026-07-01
-- param last_day = 9999-12-31: its last day
-- controls: NHI7:2025, CC6.1, A.5.17, 8.6.3, PR.AA-01
-- caveat: where no log tells when a credential was created, its age counts from its first sighting and is a lower bound
-- caveat: status, age and last use are as of the epoch of the lake; of a credential that several identities hold, the last use of each is told
-- caveat: sessions and their temporary keys are not listed; each event names them
WITH lake AS (
  SELECT CAST(CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) AS INTEGER) AS day FROM epochs
),
born AS (
  SELECT credential_uid, min(valid_from) AS seen_time
  FROM credentials
  GROUP BY credential_uid
),
used AS (
  SELECT identity_uid, credential_uid, max(last_success_time) AS last_success_time
  FROM usage
  WHERE credential_uid IS NOT NULL
  GROUP BY identity_uid, credential_uid
)
SELECT
  h.identity_uid,
  c.credential_uid,
  c.kind,
  c.key_hint,
  c.status,
  c.created_time,
  b.seen_time,
  CASE
    WHEN c.status = 'active' THEN l.day - CAST(CAST(coalesce(c.created_time, b.seen_time) AS DATE) AS INTEGER)
  END AS age_days,
  c.expires_time,
  CAST(CAST(c.expires_time AS DATE) AS INTEGER) < l.day AS expired,
  c.rotated_from,
  c.disabled_time,
  c.deleted_time,
  u.last_success_time
FROM credential_holder h
JOIN credential c ON c.credential_uid = h.credential_uid
JOIN born b ON b.credential_uid = c.credential_uid
CROSS JOIN lake l
LEFT JOIN used u ON u.credential_uid = h.credential_uid AND u.identity_uid = h.identity_uid
WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), replace(h.identity_uid, chr(10), ' '))
  AND CAST(least(b.seen_time, c.created_time) AS DATE) <= CAST(CAST(:last_day AS VARCHAR) AS DATE)
  AND (c.deleted_time IS NULL OR CAST(c.deleted_time AS DATE) >= CAST(CAST(:first_day AS VARCHAR) AS DATE))
ORDER BY h.identity_uid, b.seen_time, c.credential_uid
