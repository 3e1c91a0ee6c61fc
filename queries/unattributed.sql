-- question: What could not be attributed with certainty, and why?
-- param days = 30: how far to look back
-- controls: CC7.2, A.8.15, 10.2.2, DE.CM-03
-- caveat: reasons are rule ids; HM-19 says that nothing shows whether a person or a machine acted, LIN-13 that the event which issued the key never came
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
)
SELECT
  e.provider,
  e.log_source,
  e.attribution_status,
  e.attribution_confidence,
  e.actor_type,
  array_to_string(e.attribution_reasons, ', ') AS attribution_reasons,
  count(*) AS events,
  count(DISTINCT e.identity_uid) AS identities,
  count(DISTINCT e.tenant_uid) AS tenants,
  min(e.event_time) AS first_time,
  max(e.event_time) AS last_time,
  min(e.event_uid) AS example_event_uid
FROM events e
WHERE e.event_date > (SELECT day FROM since)
  AND (
    e.attribution_status <> 'final'
    OR e.attribution_confidence IN ('none', 'declared')
    OR e.actor_type = 'unknown'
    OR array_has(e.attribution_reasons, 'LIN-13')
  )
GROUP BY
  e.provider,
  e.log_source,
  e.attribution_status,
  e.attribution_confidence,
  e.actor_type,
  array_to_string(e.attribution_reasons, ', ')
ORDER BY events DESC, e.provider, e.log_source, example_event_uid
