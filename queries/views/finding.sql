-- The latest revision of every finding, with the last decision about it. A decision that closes (benign, false positive)
-- is one until the finding grows again; that a situation goes quiet is no growth.
SELECT
  f.*,
  t.decision,
  t.decided_time,
  t.author AS decided_by,
  t.reason AS decision_reason,
  coalesce(t.decision IN ('benign', 'false_positive') AND t.revision >= g.revision, false) AS settled
FROM (
  SELECT *
  FROM findings
  QUALIFY row_number() OVER (PARTITION BY finding_uid ORDER BY revision DESC, _leaf DESC) = 1
) f
LEFT JOIN (
  SELECT finding_uid, max(revision) AS revision
  FROM findings
  WHERE status IN ('new', 'updated')
  GROUP BY finding_uid
) g ON g.finding_uid = f.finding_uid
LEFT JOIN (
  SELECT *
  FROM triage
  QUALIFY row_number() OVER (PARTITION BY finding_uid ORDER BY decided_time DESC, _leaf DESC) = 1
) t ON t.finding_uid = f.finding_uid
