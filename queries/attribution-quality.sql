-- question: How well are actions attributed, by log source?
-- param days = 30: how far to look back
-- controls: CC7.2, A.8.15, 10.2.2, DE.CM-03
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
)
SELECT
  e.log_source,
  count(*) AS events,
  sum(CASE WHEN e.attribution_confidence = 'exact' THEN 1 ELSE 0 END) AS exact,
  sum(CASE WHEN e.attribution_confidence = 'strong' THEN 1 ELSE 0 END) AS strong,
  sum(CASE WHEN e.attribution_confidence = 'probable' THEN 1 ELSE 0 END) AS probable,
  sum(CASE WHEN e.attribution_confidence = 'declared' THEN 1 ELSE 0 END) AS declared,
  sum(CASE WHEN e.attribution_confidence = 'none' THEN 1 ELSE 0 END) AS none,
  sum(CASE WHEN e.attribution_status = 'pending' THEN 1 ELSE 0 END) AS pending,
  sum(CASE WHEN e.attribution_status = 'unattributed' THEN 1 ELSE 0 END) AS unattributed,
  sum(CASE WHEN e.attribution_status = 'ambiguous' THEN 1 ELSE 0 END) AS ambiguous,
  sum(CASE WHEN e.amended THEN 1 ELSE 0 END) AS amended,
  sum(CASE WHEN e.actor_type = 'unknown' THEN 1 ELSE 0 END) AS actor_unknown,
  sum(CASE WHEN e.nhi_uid IS NOT NULL THEN 1 ELSE 0 END) AS booked_on_machine,
  CAST(sum(CASE WHEN e.attribution_confidence IN ('exact', 'strong') THEN 1 ELSE 0 END) * 100 / count(*) AS BIGINT)
    AS percent_exact_or_strong
FROM events e
WHERE e.event_date > (SELECT day FROM since)
GROUP BY e.log_source
ORDER BY e.log_source
