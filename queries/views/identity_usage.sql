-- How every known identity was used, as of the last day that the lake knows: never as of today, so that an old lake
-- gives the same answer as it did then.
-- Only success is use. Whoever stands anywhere in the chain of an event is used by it.
-- One event dated in the future must not make everything else look asleep, so the last day is at most the day after
-- the watermark.
-- The classes: idle from 45 days, dormant from 90, stale from 180. Who was never used, or is idle, is judged only if
-- 90 days of logs could have shown its use; an identity that is active needs no such proof.
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
measured AS (
  SELECT
    coalesce(u.identity_uid, i.identity_uid) AS identity_uid,
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
        greatest(l.since_date, CAST(least(u.first_time, i.created_time, i.valid_from) AS DATE)) AS INTEGER
      ),
      0
    ) AS days_observed,
    l.as_of_date
  FROM used u
  FULL JOIN identity i ON i.identity_uid = u.identity_uid
  CROSS JOIN lake l
)
SELECT
  identity_uid,
  first_time,
  last_time,
  last_success_time,
  successes,
  failures,
  days_used,
  days_idle,
  days_observed,
  as_of_date,
  CASE
    WHEN days_idle < 45 THEN 'active'
    WHEN days_observed < 90 THEN 'insufficient_history'
    WHEN days_idle IS NULL THEN 'never_used'
    WHEN days_idle < 90 THEN 'idle'
    WHEN days_idle < 180 THEN 'dormant'
    ELSE 'stale'
  END AS dormancy_class
FROM measured
