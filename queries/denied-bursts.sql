-- question: Which identities failed unusually often within one hour?
-- param days = 7: how far to look back
-- param failures = 20: at least so many failures in the hour
-- controls: CC7.2, A.8.16, 10.2.1.4, DE.CM-03
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
),
hourly AS (
  SELECT
    date_trunc('hour', e.event_time) AS hour,
    e.identity_uid,
    count(*) AS attempts,
    sum(CASE WHEN e.outcome = 'failure' THEN 1 ELSE 0 END) AS failures,
    count(DISTINCT CASE WHEN e.outcome = 'failure' THEN e.operation END) AS operations_failed,
    count(DISTINCT CASE WHEN e.outcome = 'failure' THEN e.tenant_uid END) AS tenants,
    array_to_string(array_sort(array_agg(DISTINCT e.error_code) FILTER (WHERE e.error_code IS NOT NULL)), ', ') AS error_codes,
    array_to_string(array_sort(array_agg(DISTINCT e.source_network) FILTER (WHERE e.source_network IS NOT NULL)), ', ') AS source_networks,
    min(CASE WHEN e.outcome = 'failure' THEN e.event_uid END) AS example_event_uid
  FROM events e
  WHERE e.event_date > (SELECT day FROM since)
  GROUP BY date_trunc('hour', e.event_time), e.identity_uid
)
SELECT
  h.hour,
  h.identity_uid,
  i.kind,
  i.display_name,
  h.failures,
  h.attempts,
  h.operations_failed,
  h.tenants,
  h.error_codes,
  h.source_networks,
  h.example_event_uid
FROM hourly h
LEFT JOIN identity i ON i.identity_uid = h.identity_uid
WHERE h.failures >= CAST(:failures AS BIGINT)
ORDER BY h.failures DESC, h.hour, h.identity_uid
