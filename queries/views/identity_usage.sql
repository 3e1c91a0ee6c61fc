-- How every known identity was used, as of the last day that the lake knows: never as of today, so that an old lake
-- gives the same answer as it did then.
-- Only success is use. Whoever stands anywhere in the chain of an event is used by it.
-- One event dated in the future must not make everything else look asleep, so the last day is at most the day after
-- the watermark.
-- The classes: idle from 45 days, dormant from 90, stale from 180. Who was never used, or is idle, is judged only if
-- 90 days of logs could have shown its use, with gaps on at most a tenth of them; an identity that is active needs no such
-- proof. `unobservable` is an identity of whose tenant no log told anything in those days.
WITH lake AS (
  SELECT
    min(usage_date) AS since_date,
    least(
      max(usage_date),
      (SELECT CAST(max(watermark_time) + INTERVAL '1 day' AS DATE) FROM epochs)
    ) AS as_of_date
  FROM usage
),
used AS (
  SELECT
    identity_uid,
    min(first_time) AS first_time,
    max(last_time) AS last_time,
    max(last_success_time) AS last_success_time,
    sum(successes) AS successes,
    sum(failures) AS failures,
    count(DISTINCT CASE WHEN successes > 0 THEN usage_date END) AS days_used
  FROM usage
  GROUP BY identity_uid
),
logged AS (
  SELECT c.tenant_uid, count(DISTINCT CAST(c.hour AS DATE)) AS days
  FROM coverage c
  CROSS JOIN lake l
  WHERE CAST(c.hour AS DATE) <= l.as_of_date
    AND CAST(CAST(c.hour AS DATE) AS INTEGER) > CAST(l.as_of_date AS INTEGER) - 90
  GROUP BY c.tenant_uid
),
seen AS (
  SELECT identity_uid, min(valid_from) AS seen_time
  FROM identities
  WHERE source <> 'inventory'
  GROUP BY identity_uid
),
measured AS (
  SELECT
    coalesce(u.identity_uid, i.identity_uid) AS identity_uid,
    i.tenant_uid,
    u.first_time,
    u.last_time,
    u.last_success_time,
    coalesce(u.successes, 0) AS successes,
    coalesce(u.failures, 0) AS failures,
    coalesce(u.days_used, 0) AS days_used,
    CASE
      WHEN u.last_success_time IS NULL THEN NULL
      ELSE greatest(CAST(l.as_of_date AS INTEGER) - CAST(CAST(u.last_success_time AS DATE) AS INTEGER), 0)
    END AS days_idle,
    greatest(
      CAST(l.as_of_date AS INTEGER) - CAST(
        greatest(l.since_date, CAST(least(u.first_time, i.created_time, s.seen_time) AS DATE)) AS INTEGER
      ),
      0
    ) AS days_observed,
    l.as_of_date
  FROM used u
  FULL JOIN identity i ON i.identity_uid = u.identity_uid
  LEFT JOIN seen s ON s.identity_uid = coalesce(u.identity_uid, i.identity_uid)
  CROSS JOIN lake l
)
SELECT
  m.identity_uid,
  m.first_time,
  m.last_time,
  m.last_success_time,
  m.successes,
  m.failures,
  m.days_used,
  m.days_idle,
  m.days_observed,
  90 - coalesce(g.days, 0) AS days_without_logs,
  m.as_of_date,
  CASE
    WHEN m.days_idle < 45 THEN 'active'
    WHEN g.days IS NULL THEN 'unobservable'
    WHEN m.days_observed < 90 OR (90 - g.days) * 10 > 90 THEN 'insufficient_history'
    WHEN m.days_idle IS NULL THEN 'never_used'
    WHEN m.days_idle < 90 THEN 'idle'
    WHEN m.days_idle < 180 THEN 'dormant'
    ELSE 'stale'
  END AS dormancy_class
FROM measured m
LEFT JOIN logged g ON g.tenant_uid IS NOT DISTINCT FROM m.tenant_uid
