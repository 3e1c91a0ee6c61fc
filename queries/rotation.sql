-- question: Which long-lived credentials are inside their rotation window, and which are not?
-- param high = 30: days for identities of high risk
-- param medium = 90: days for those of medium risk
-- param low = 180: days for all others, those of unknown risk among them
-- controls: NHI7:2025, CC6.1, A.5.17, 8.6.3, PR.AA-01
-- caveat: where no log tells when a credential was created, its age counts from its first sighting and is a lower bound
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
),
aged AS (
  SELECT
    c.credential_uid,
    c.kind,
    c.key_hint,
    c.identity_uid,
    i.display_name,
    i.owner,
    i.risk_tier,
    c.created_time,
    l.day - CAST(CAST(coalesce(c.created_time, b.seen_time) AS DATE) AS INTEGER) AS age_days,
    CASE i.risk_tier WHEN 'high' THEN CAST(:high AS BIGINT) WHEN 'medium' THEN CAST(:medium AS BIGINT) ELSE CAST(:low AS BIGINT) END AS window_days,
    c.expires_time,
    CAST(CAST(c.expires_time AS DATE) AS INTEGER) < l.day AS expired,
    c.rotated_from,
    u.last_success_time
  FROM credential c
  JOIN born b ON b.credential_uid = c.credential_uid
  CROSS JOIN lake l
  LEFT JOIN identity i ON i.identity_uid = c.identity_uid
  LEFT JOIN used u ON u.credential_uid = c.credential_uid
  WHERE c.status = 'active'
    AND c.kind IN ('access_key', 'bearer_api_key', 'service_specific', 'sp_certificate', 'sp_secret')
)
SELECT
  CASE
    WHEN expired THEN 'expired'
    WHEN age_days > window_days THEN 'overdue'
    WHEN created_time IS NULL THEN 'inside, as far as is known'
    ELSE 'inside'
  END AS standing,
  risk_tier,
  age_days,
  window_days,
  credential_uid,
  kind,
  key_hint,
  identity_uid,
  display_name,
  owner,
  created_time,
  created_time IS NULL AS age_is_lower_bound,
  expires_time,
  rotated_from,
  last_success_time
FROM aged
ORDER BY age_days - window_days DESC, credential_uid
