-- question: Which identities are tied to each other, across systems too, and on what evidence?
-- param days = 0: only ties seen within so many days of the last day that the lake knows; 0 for all
-- param rows = 1000: at most this many rows, ties across systems first
-- controls: NHI4:2025, CC6.1, A.5.16, 8.6.1, PR.AA-03
-- caveat: a tie says that one identity leads to the other, is the other, or could make it act; only exact and strong ones count in attribution
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
),
tied AS (
  SELECT *
  FROM links
  QUALIFY row_number() OVER (PARTITION BY link_uid ORDER BY _leaf DESC) = 1
)
SELECT
  l.kind,
  l.kind <> 'influences' AND split_part(l.from_uid, ':', 1) <> split_part(l.to_uid, ':', 1) AS across_systems,
  l.from_uid,
  f.display_name AS from_name,
  f.owner AS from_owner,
  l.to_uid,
  t.display_name AS to_name,
  t.owner AS to_owner,
  l.strength,
  l.reason_json,
  l.events,
  l.first_seen_time,
  l.last_seen_time,
  l.first_event_uid,
  l.link_uid
FROM tied l
LEFT JOIN identity f ON f.identity_uid = l.from_uid
LEFT JOIN identity t ON t.identity_uid = l.to_uid
WHERE CAST(:days AS BIGINT) = 0
  OR CAST(l.last_seen_time AS DATE) > (SELECT day FROM since)
ORDER BY across_systems DESC, l.kind, l.last_seen_time DESC, l.from_uid, l.to_uid
LIMIT :rows
