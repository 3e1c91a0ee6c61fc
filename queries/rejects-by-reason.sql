-- question: What was read but is not an event, and why?
-- param days = 30: how far to look back
-- controls: CC7.2, A.8.15, 10.7.2, DE.CM-09
-- caveat: the day is the one on which the record arrived, not the one on which anything happened
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
)
SELECT
  r.code,
  r.stage,
  r.src_topic,
  r.fingerprint,
  count(*) AS records,
  min(r.event_date) AS first_date,
  max(r.event_date) AS last_date,
  min(r.detail) AS example_detail,
  min(concat(r.src_topic, '/', r.src_partition, '/', r.src_offset, '/', r.src_index)) AS example_position
FROM rejects r
WHERE r.event_date > (SELECT day FROM since)
GROUP BY r.code, r.stage, r.src_topic, r.fingerprint
ORDER BY records DESC, r.code, r.src_topic, r.fingerprint, r.stage
