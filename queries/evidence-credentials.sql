-- question: Which credentials did these identities have in a period, how old are they, and when were they last used?
-- param identity: identity_uid as the tables spell it; of several, one a line
-- param first_day = 0001-01-01: the first day of the period
-- param last_day = 9999-12-31: its last day
-- controls: NHI7:2025, CC6.1, A.5.17, 8.6.3, PR.AA-01
-- caveat: where no log tells when a credential was created, its age counts from its first sighting and is a lower bound
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
  SELECT credential_uid, max(last_success_time) AS last_success_time
  FROM usage
  WHERE credential_uid IS NOT NULL
  GROUP BY credential_uid
)
SELECT
  c.identity_uid,
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
  c.rotated_from,
  c.disabled_time,
  c.deleted_time,
  u.last_success_time
FROM credential c
JOIN born b ON b.credential_uid = c.credential_uid
CROSS JOIN lake l
LEFT JOIN used u ON u.credential_uid = c.credential_uid
WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), c.identity_uid)
  AND CAST(least(b.seen_time, c.created_time) AS DATE) <= CAST(:last_day AS DATE)
  AND (c.deleted_time IS NULL OR CAST(c.deleted_time AS DATE) >= CAST(:first_day AS DATE))
ORDER BY c.identity_uid, b.seen_time, c.credential_uid
