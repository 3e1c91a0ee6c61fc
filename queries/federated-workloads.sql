-- question: Which workloads come in with another system's token, and as whom?
-- param days = 30: how far to look back
-- controls: NHI4:2025, CC6.1, A.5.16, 8.6.1, PR.AA-03
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
)
SELECT
  s.federation_issuer,
  s.federation_subject,
  s.federation_audience,
  s.method,
  s.identity_uid,
  i.display_name,
  i.owner,
  count(DISTINCT s.session_uid) AS sessions,
  min(s.issued_time) AS first_time,
  max(s.issued_time) AS last_time,
  min(s.issue_event_uid) AS example_event_uid
FROM session s
LEFT JOIN identity i ON i.identity_uid = s.identity_uid
WHERE (s.federation_issuer IS NOT NULL OR s.federation_subject IS NOT NULL)
  AND CAST(s.issued_time AS DATE) > (SELECT day FROM since)
GROUP BY
  s.federation_issuer,
  s.federation_subject,
  s.federation_audience,
  s.method,
  s.identity_uid,
  i.display_name,
  i.owner
ORDER BY sessions DESC, s.federation_issuer, s.federation_subject, s.federation_audience, s.method, s.identity_uid
