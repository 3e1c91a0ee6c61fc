-- question: When did a log source of a tenant fall silent?
-- param hours = 3: only silences of at least so many whole hours
-- controls: CC7.2, A.8.15, 10.7.2, DE.CM-09
-- caveat: a quiet tenant has hours without events; silence is a question, not yet a loss
-- caveat: before a source's first event nothing can be said
WITH lake AS (
  SELECT date_trunc('hour', coalesce(max(watermark_time), max(committed_time))) AS hour FROM epochs
),
seen AS (
  SELECT DISTINCT hour, log_source, tenant_uid FROM coverage
),
paired AS (
  SELECT
    log_source,
    tenant_uid,
    hour,
    lead(hour) OVER (PARTITION BY log_source, tenant_uid ORDER BY hour) AS next_hour
  FROM seen
),
silences AS (
  SELECT
    p.log_source,
    p.tenant_uid,
    p.hour + INTERVAL '1 hour' AS silent_from,
    coalesce(p.next_hour, l.hour) AS silent_until,
    (to_unixtime(coalesce(p.next_hour, l.hour)) - to_unixtime(p.hour)) / 3600 - 1 AS hours_missing,
    p.next_hour IS NULL AS still_silent
  FROM paired p
  CROSS JOIN lake l
)
SELECT log_source, tenant_uid, silent_from, silent_until, hours_missing, still_silent
FROM silences
WHERE hours_missing >= CAST(:hours AS BIGINT)
ORDER BY still_silent DESC, hours_missing DESC, log_source, tenant_uid, silent_from
