-- question: Which machine identities appeared on a network on which they were never seen before?
-- param days = 7: what counts as new
-- controls: NHI9:2025, CC7.2, A.8.16, 10.4.1, DE.CM-03
-- caveat: an identity that is itself new within these days is left out, since every network is new to it
-- caveat: before means as far back as the lake goes
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
),
networks AS (
  SELECT
    e.nhi_uid,
    e.source_network,
    min(e.event_time) AS first_time,
    max(e.event_time) AS last_time,
    count(*) AS events,
    sum(CASE WHEN e.outcome = 'failure' THEN 1 ELSE 0 END) AS failures,
    array_to_string(array_sort(array_agg(DISTINCT e.user_agent_family) FILTER (WHERE e.user_agent_family IS NOT NULL)), ', ') AS user_agents,
    array_to_string(array_sort(array_agg(DISTINCT e.tenant_uid) FILTER (WHERE e.tenant_uid IS NOT NULL)), ', ') AS tenants,
    min(e.event_uid) AS example_event_uid
  FROM events e
  WHERE e.nhi_uid IS NOT NULL
    AND e.source_network IS NOT NULL
    AND array_length(e.via) = 0
  GROUP BY e.nhi_uid, e.source_network
),
before AS (
  SELECT nhi_uid, count(*) AS networks_before
  FROM networks
  WHERE CAST(first_time AS DATE) <= (SELECT day FROM since)
  GROUP BY nhi_uid
)
SELECT
  n.nhi_uid,
  i.kind,
  i.display_name,
  i.owner,
  n.source_network,
  b.networks_before,
  n.first_time,
  n.last_time,
  n.events,
  n.failures,
  n.user_agents,
  n.tenants,
  n.example_event_uid
FROM networks n
JOIN before b ON b.nhi_uid = n.nhi_uid
LEFT JOIN identity i ON i.identity_uid = n.nhi_uid
WHERE CAST(n.first_time AS DATE) > (SELECT day FROM since)
ORDER BY n.first_time DESC, n.nhi_uid, n.source_network
