-- Who stands above and below whom: a row for every session through which one identity led to another.
--
-- `root_uid` is a session or an identity, `node_uid` always an identity. An `ancestor` obtained, at `depth` 1, the root's
-- own session, at `depth` 2 the session with which that was obtained, and so on; `via_session_uid` is the session that
-- the ancestor obtained. A `descendant` is reached through `via_session_uid`. Paths follow sessions and never identities
-- alone: that somebody became a role, and that the role became another, does not make the first the second.
--
-- A filter on `root_uid` reaches the sessions themselves. Only sessions that were obtained with another session enter the
-- recursion; most were not, and cost one scan. It ends after 16 hops, so that a ring of sessions ends too.
-- The four halves of `told` stay apart for that filter's sake: it does not pass through what would make one of two.
-- A session that was told again, because who is behind it became better known, counts by its last row alone.
WITH RECURSIVE corrected AS (
  SELECT session_uid, max(revision) AS revision
  FROM sessions
  WHERE revision > 1
  GROUP BY session_uid
),
current_sessions AS (
  SELECT s.*
  FROM sessions s
  WHERE NOT EXISTS (
    SELECT 1 FROM corrected c WHERE c.session_uid = s.session_uid AND c.revision > s.revision
  )
),
obtained AS (
  SELECT DISTINCT session_uid, issued_by_session_uid
  FROM current_sessions
  WHERE issued_by_session_uid IS NOT NULL
),
climbed AS (
  SELECT session_uid AS low_uid, issued_by_session_uid AS high_uid, CAST(2 AS BIGINT) AS depth
  FROM obtained
  UNION ALL
  SELECT c.low_uid, o.issued_by_session_uid AS high_uid, c.depth + 1 AS depth
  FROM climbed c
  JOIN obtained o ON o.session_uid = c.high_uid
  WHERE c.depth < 16
),
paired AS (
  SELECT low_uid, high_uid, min(depth) AS depth
  FROM climbed
  GROUP BY low_uid, high_uid
),
near AS (
  SELECT
    session_uid AS low_session_uid,
    identity_uid AS low_uid,
    issued_by_session_uid AS high_session_uid,
    issued_by_uid AS high_uid,
    session_uid AS high_via_uid,
    CAST(1 AS BIGINT) AS depth,
    issue_event_uid AS low_event_uid,
    issued_time AS low_time,
    issue_event_uid AS high_event_uid,
    issued_time AS high_time
  FROM current_sessions
  WHERE issued_by_uid IS NOT NULL
  UNION ALL
  SELECT
    low.session_uid AS low_session_uid,
    low.identity_uid AS low_uid,
    high.issued_by_session_uid AS high_session_uid,
    high.issued_by_uid AS high_uid,
    high.session_uid AS high_via_uid,
    p.depth,
    low.issue_event_uid AS low_event_uid,
    low.issued_time AS low_time,
    high.issue_event_uid AS high_event_uid,
    high.issued_time AS high_time
  FROM paired p
  JOIN current_sessions low ON low.session_uid = p.low_uid
  JOIN current_sessions high ON high.session_uid = p.high_uid
  WHERE high.issued_by_uid IS NOT NULL
),
told AS (
  SELECT
    low_session_uid AS root_uid,
    high_uid AS node_uid,
    'ancestor' AS direction,
    depth,
    high_via_uid AS via_session_uid,
    high_event_uid AS issue_event_uid,
    high_time AS time
  FROM near
  UNION ALL
  SELECT
    low_uid AS root_uid,
    high_uid AS node_uid,
    'ancestor' AS direction,
    depth,
    high_via_uid AS via_session_uid,
    high_event_uid AS issue_event_uid,
    high_time AS time
  FROM near
  UNION ALL
  SELECT
    high_session_uid AS root_uid,
    low_uid AS node_uid,
    'descendant' AS direction,
    depth,
    low_session_uid AS via_session_uid,
    low_event_uid AS issue_event_uid,
    low_time AS time
  FROM near
  WHERE high_session_uid IS NOT NULL
  UNION ALL
  SELECT
    high_uid AS root_uid,
    low_uid AS node_uid,
    'descendant' AS direction,
    depth,
    low_session_uid AS via_session_uid,
    low_event_uid AS issue_event_uid,
    low_time AS time
  FROM near
)
SELECT
  root_uid,
  node_uid,
  direction,
  min(depth) AS depth,
  via_session_uid,
  min(issue_event_uid) AS issue_event_uid,
  min(time) AS time
FROM told
GROUP BY root_uid, node_uid, direction, via_session_uid
