-- question: Which calls did a provider's service make in somebody's name?
-- param days = 30: how far to look back
-- controls: CC6.1, A.5.15, 10.2.1, DE.CM-03
-- caveat: the address of such a call is the service's and says nothing about the caller
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
)
SELECT
  coalesce(e.invoked_by, array_to_string(e.via, ' > ')) AS forwarded_by,
  e.actor_type,
  e.identity_uid,
  e.acting_uid,
  e.service,
  e.operation,
  count(*) AS events,
  sum(CASE WHEN e.outcome = 'failure' THEN 1 ELSE 0 END) AS failures,
  min(e.event_time) AS first_time,
  max(e.event_time) AS last_time,
  min(e.event_uid) AS example_event_uid
FROM events e
WHERE e.event_date > (SELECT day FROM since)
  AND (array_length(e.via) > 0 OR e.invoked_by IS NOT NULL)
  AND e.actor_type <> 'provider'
GROUP BY
  coalesce(e.invoked_by, array_to_string(e.via, ' > ')),
  e.actor_type,
  e.identity_uid,
  e.acting_uid,
  e.service,
  e.operation
ORDER BY events DESC, forwarded_by, e.identity_uid, e.acting_uid, e.service, e.operation, e.actor_type
