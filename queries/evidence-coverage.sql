-- question: Which logs of the tenants of these identities were there in a period, and on how many days was there none?
-- param identity: identity_uid as the tables spell it; of several, one a line
-- param first_day = 0001-01-01: the first day of the period
-- param last_day = 9999-12-31: its last day
-- controls: CC7.2, A.8.15, 10.7.2, DE.CM-09
-- caveat: days without events count from the log's first event to the end of the period or of the lake; a quiet tenant has such days without a loss
-- caveat: before a log's first event nothing can be said
WITH lake AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) AS day FROM epochs
),
tenants AS (
  SELECT DISTINCT tenant_uid FROM identity WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), identity_uid)
),
told AS (
  SELECT *, CAST(hour AS DATE) AS day FROM coverage
),
begun AS (
  SELECT log_source, tenant_uid, min(day) AS day FROM told GROUP BY log_source, tenant_uid
),
covered AS (
  SELECT
    c.log_source,
    c.tenant_uid,
    count(DISTINCT c.day) AS days_with_events,
    count(DISTINCT c.hour) AS hours_with_events,
    sum(c.events) AS events,
    min(c.first_time) AS first_time,
    max(c.last_time) AS last_time,
    max(c.max_delay_ms) AS max_delay_ms
  FROM told c
  JOIN tenants t ON t.tenant_uid IS NOT DISTINCT FROM c.tenant_uid
  WHERE c.day BETWEEN CAST(:first_day AS DATE) AND CAST(:last_day AS DATE)
  GROUP BY c.log_source, c.tenant_uid
)
SELECT
  c.tenant_uid,
  c.log_source,
  c.days_with_events,
  greatest(
    CAST(least(l.day, CAST(:last_day AS DATE)) AS INTEGER) - CAST(greatest(b.day, CAST(:first_day AS DATE)) AS INTEGER) + 1
      - c.days_with_events,
    0
  ) AS days_without_events,
  c.hours_with_events,
  c.events,
  c.first_time,
  c.last_time,
  c.max_delay_ms
FROM covered c
CROSS JOIN lake l
JOIN begun b ON b.log_source = c.log_source AND b.tenant_uid IS NOT DISTINCT FROM c.tenant_uid
ORDER BY c.tenant_uid, c.log_source
