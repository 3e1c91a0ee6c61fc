-- Every machine identity with the latest decision about its access: when that is due again, and whether it was carried out.
-- What was decided about an identity that is no machine, or is gone, is here too. As of the last day that the lake knows.
WITH lake AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) AS day FROM epochs
),
ranked AS (
  SELECT
    a.*,
    row_number() OVER (PARTITION BY a.identity_uid ORDER BY a.attested_time DESC, a._leaf DESC) AS place
  FROM attestations a
),
latest AS (
  SELECT
    r.*,
    coalesce(
      r.until,
      CAST(CAST(CAST(r.attested_time AS DATE) AS INTEGER) + CAST(i.review_days AS INTEGER) AS DATE)
    ) AS due_date
  FROM ranked r
  LEFT JOIN identity i ON i.identity_uid = r.identity_uid
  WHERE r.place = 1
),
reduced AS (
  SELECT target_identity_uid AS identity_uid, max(event_time) AS last_time
  FROM lifecycle
  WHERE action = 'revoke'
  GROUP BY target_identity_uid
),
subjects AS (
  SELECT identity_uid FROM machine
  UNION
  SELECT identity_uid FROM latest
)
SELECT
  CASE
    WHEN l.decision IS NULL THEN 'never reviewed'
    WHEN l.decision = 'revoke' THEN CASE WHEN coalesce(i.status, 'active') = 'active' THEN 'not carried out' ELSE 'done' END
    WHEN l.decision = 'reduce' AND coalesce(r.last_time < l.attested_time, true) THEN 'not carried out'
    WHEN l.due_date <= d.day THEN 'due'
    WHEN l.decision = 'reduce' THEN 'done'
    ELSE 'holds'
  END AS state,
  s.identity_uid,
  i.display_name,
  i.kind,
  i.status,
  i.owner,
  i.risk_tier,
  l.decision,
  l.reason,
  l.author,
  l.attested_time,
  l.until,
  l.due_date,
  l.statement_uid
FROM subjects s
CROSS JOIN lake d
LEFT JOIN identity i ON i.identity_uid = s.identity_uid
LEFT JOIN latest l ON l.identity_uid = s.identity_uid
LEFT JOIN reduced r ON r.identity_uid = s.identity_uid
