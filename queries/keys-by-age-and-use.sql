-- question: Which long-lived credentials are old, and when were they first and last used?
-- param days = 90: only credentials known for at least so many days
-- controls: NHI7:2025, CC6.1, A.5.17, 8.6.3, PR.AA-01
-- caveat: where no log tells when a credential was created, its age counts from its first sighting and is a lower bound
WITH lake AS (
  SELECT CAST(CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) AS INTEGER) AS day FROM epochs
),
born AS (
  SELECT credential_uid, min(created_time) AS created_time, min(valid_from) AS seen_time
  FROM credentials
  GROUP BY credential_uid
),
used AS (
  SELECT
    credential_uid,
    min(first_time) AS first_time,
    max(last_success_time) AS last_success_time,
    sum(successes) AS successes,
    sum(failures) AS failures,
    count(DISTINCT CASE WHEN successes > 0 THEN usage_date END) AS days_used
  FROM usage
  WHERE credential_uid IS NOT NULL
  GROUP BY credential_uid
),
aged AS (
  SELECT
    c.credential_uid,
    c.kind,
    c.key_hint,
    c.status,
    c.identity_uid,
    b.created_time,
    l.day - CAST(CAST(coalesce(b.created_time, b.seen_time) AS DATE) AS INTEGER) AS age_days,
    c.expires_time,
    l.day AS today
  FROM credential c
  JOIN born b ON b.credential_uid = c.credential_uid
  CROSS JOIN lake l
  WHERE c.status = 'active'
)
SELECT
  a.credential_uid,
  a.kind,
  a.key_hint,
  a.identity_uid,
  i.display_name,
  i.owner,
  a.created_time,
  a.age_days,
  a.created_time IS NULL AS age_is_lower_bound,
  a.expires_time,
  u.first_time AS first_used_time,
  u.last_success_time AS last_used_time,
  a.today - CAST(CAST(u.last_success_time AS DATE) AS INTEGER) AS days_idle,
  coalesce(u.days_used, 0) AS days_used,
  coalesce(u.successes, 0) AS successes,
  coalesce(u.failures, 0) AS failures
FROM aged a
LEFT JOIN used u ON u.credential_uid = a.credential_uid
LEFT JOIN identity i ON i.identity_uid = a.identity_uid
WHERE a.age_days >= CAST(:days AS BIGINT)
ORDER BY a.age_days DESC, a.credential_uid
