-- question: Which logs of the tenants of these identities were there in a period, and on how many days was there none?
-- param identity: identity_uid as the tables spell it; of several, one a line
-- param first_day = 0001-01-01: the first day of the period, like 2026-07-01
-- param last_day = 9999-12-31: its last day
-- controls: CC7.2, A.8.15, 10.7.2, DE.CM-09
-- caveat: days without events count from the log's first event to the end of the period or of the lake; a quiet tenant has such days without a loss
-- caveat: before a log's first event nothing can be said; a log that was never there is not listed
-- caveat: listed are the tenants in which the identities are at home and those in which actions are booked on them
WITH lake AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) AS day FROM epochs
),
period AS (
  SELECT
    CAST(CAST(:first_day AS VARCHAR) AS DATE) AS first_day,
    least(day, CAST(CAST(:last_day AS VARCHAR) AS DATE)) AS last_day
  FROM lake
),
tenants AS (
  SELECT tenant_uid FROM identity WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), replace(identity_uid, chr(10), ' '))
  UNION
  SELECT tenant_uid FROM events WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), replace(nhi_uid, chr(10), ' '))
),
told AS (
  SELECT *, CAST(hour AS DATE) AS day FROM coverage
),
begun AS (
  SELECT log_source, tenant_uid, min(day) AS day FROM told GROUP BY log_source, tenant_uid
),
covered AS (
  SELECT
    t.log_source,
    t.tenant_uid,
    count(DISTINCT t.day) AS days_with_events,
    count(DISTINCT t.hour) AS hours_with_events,
    sum(t.events) AS events,
    min(t.first_time) AS first_time,
    max(t.last_time) AS last_time,
    max(t.max_delay_ms) AS max_delay_ms
  FROM told t
  CROSS JOIN period p
  WHERE t.day BETWEEN p.first_day AND p.last_day
  GROUP BY t.log_source, t.tenant_uid
)
SELECT
  b.tenant_uid,
  b.log_source,
  coalesce(c.days_with_events, 0) AS days_with_events,
  greatest(
    CAST(p.last_day AS INTEGER) - CAST(greatest(b.day, p.first_day) AS INTEGER) + 1 - coalesce(c.days_with_events, 0),
    0
  ) AS days_without_events,
  coalesce(c.hours_with_events, 0) AS hours_with_events,
  coalesce(c.events, 0) AS events,
  c.first_time,
  c.last_time,
  c.max_delay_ms
FROM begun b
JOIN tenants t ON t.tenant_uid = b.tenant_uid
CROSS JOIN period p
LEFT JOIN covered c ON c.log_source = b.log_source AND c.tenant_uid = b.tenant_uid
WHERE b.day <= p.last_day
ORDER BY b.tenant_uid, b.log_source
