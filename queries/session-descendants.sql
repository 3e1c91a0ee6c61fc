-- question: Which sessions grew out of this session or identity, and what did they do?
-- param start: a session_uid, or the identity_uid of whoever obtained the first session
-- controls: NHI9:2025, CC7.3, A.8.16, 10.2.2, DE.AE-03
-- caveat: a chain is followed for 16 hops, which is more than any real one has
WITH RECURSIVE known AS (
  SELECT * FROM session
),
tree AS (
  SELECT k.session_uid, 0 AS depth
  FROM known k
  WHERE k.session_uid = CAST(:start AS VARCHAR)
    OR k.issued_by_uid = CAST(:start AS VARCHAR)
    OR k.identity_uid = CAST(:start AS VARCHAR)
  UNION ALL
  SELECT k.session_uid, t.depth + 1 AS depth
  FROM tree t
  JOIN known k ON k.issued_by_session_uid = t.session_uid
  WHERE t.depth < 16
),
reached AS (
  SELECT session_uid, min(depth) AS depth
  FROM tree
  GROUP BY session_uid
),
done AS (
  SELECT
    e.session_uid,
    count(*) AS events,
    sum(CASE WHEN e.outcome = 'failure' THEN 1 ELSE 0 END) AS failures,
    sum(CASE WHEN e.read_only THEN 0 ELSE 1 END) AS writes,
    count(DISTINCT e.tenant_uid) AS tenants,
    min(e.event_time) AS first_time,
    max(e.event_time) AS last_time
  FROM events e
  JOIN reached r ON r.session_uid = e.session_uid
  GROUP BY e.session_uid
)
SELECT
  r.depth,
  k.session_uid,
  k.identity_uid,
  k.issued_by_uid,
  k.issued_by_session_uid,
  k.method,
  k.session_name,
  k.source_identity,
  k.issued_time,
  k.expires_time,
  k.confidence,
  coalesce(d.events, 0) AS events,
  coalesce(d.failures, 0) AS failures,
  coalesce(d.writes, 0) AS writes,
  coalesce(d.tenants, 0) AS tenants,
  d.first_time,
  d.last_time,
  k.issue_event_uid
FROM reached r
JOIN known k ON k.session_uid = r.session_uid
LEFT JOIN done d ON d.session_uid = r.session_uid
ORDER BY r.depth, k.issued_time, k.session_uid
