-- question: Which operations does this identity really use, so that the others can be taken from it?
-- param identity: identity_uid whose permissions are used; of several, one a line
-- param days = 90: how far to look back
-- controls: NHI5:2025, CC6.3, A.8.2, 7.2.5.1, PR.AA-05
-- caveat: of the last `days` days that the lake knows, whatever period a report is about
-- caveat: operations that no log records, such as data events that are switched off, are used without being listed
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
)
SELECT
  e.service,
  e.operation,
  e.read_only,
  sum(CASE WHEN e.outcome <> 'failure' THEN 1 ELSE 0 END) AS successes,
  sum(CASE WHEN e.outcome = 'failure' THEN 1 ELSE 0 END) AS failures,
  count(DISTINCT e.event_date) AS days_used,
  count(DISTINCT e.tenant_uid) AS tenants,
  min(e.event_time) AS first_time,
  max(e.event_time) AS last_time
FROM events e
WHERE e.event_date > (SELECT day FROM since)
  AND array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), e.acting_uid)
GROUP BY e.service, e.operation, e.read_only
ORDER BY e.service, e.operation, e.read_only
