-- question: Which actions are told by the logs of several tenants, and do they agree on who acted?
-- param days = 30: how far to look back
-- param rows = 1000: at most this many rows, latest first
-- controls: CC7.2, A.8.15, 10.2.2, DE.AE-03
-- caveat: the log of the account that was acted on names the caller less exactly, so two identities may be one
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
)
SELECT
  e.action_uid,
  min(e.event_time) AS event_time,
  min(e.service) AS service,
  min(e.operation) AS operation,
  count(*) AS events,
  count(DISTINCT e.tenant_uid) AS tenants,
  array_to_string(array_sort(array_agg(DISTINCT e.tenant_uid) FILTER (WHERE e.tenant_uid IS NOT NULL)), ', ') AS tenant_uids,
  count(DISTINCT e.identity_uid) AS identities,
  array_to_string(array_sort(array_agg(DISTINCT e.identity_uid) FILTER (WHERE e.identity_uid IS NOT NULL)), ', ') AS identity_uids,
  array_to_string(array_sort(array_agg(DISTINCT e.event_uid) FILTER (WHERE e.event_uid IS NOT NULL)), ', ') AS event_uids
FROM events e
WHERE e.event_date > (SELECT day FROM since)
GROUP BY e.action_uid
HAVING count(DISTINCT e.tenant_uid) > 1
ORDER BY event_time DESC, e.action_uid
LIMIT :rows
