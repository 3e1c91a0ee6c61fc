-- question: Where did a person act as a machine identity?
-- param days = 30: how far to look back
-- controls: NHI10:2025, CC6.1, A.5.16, 8.6.1, PR.AA-05
-- caveat: roles that IAM Identity Center keeps for people (rule HM-12) are meant for this and left out
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
)
SELECT
  e.nhi_uid,
  i.kind,
  i.display_name,
  i.owner,
  e.identity_uid,
  e.identity_kind,
  e.claimed_origin,
  count(*) AS events,
  sum(CASE WHEN e.read_only THEN 0 ELSE 1 END) AS writes,
  count(DISTINCT e.event_date) AS days_used,
  array_to_string(array_sort(array_agg(DISTINCT e.user_agent_family) FILTER (WHERE e.user_agent_family IS NOT NULL)), ', ') AS user_agents,
  array_to_string(array_sort(array_agg(DISTINCT e.source_network) FILTER (WHERE e.source_network IS NOT NULL)), ', ') AS source_networks,
  min(e.event_time) AS first_time,
  max(e.event_time) AS last_time,
  min(e.event_uid) AS example_event_uid
FROM events e
LEFT JOIN identity i ON i.identity_uid = e.nhi_uid
WHERE e.event_date > (SELECT day FROM since)
  AND e.actor_type = 'human'
  AND e.nhi_uid IS NOT NULL
  AND NOT array_has(e.attribution_reasons, 'HM-12')
GROUP BY e.nhi_uid, i.kind, i.display_name, i.owner, e.identity_uid, e.identity_kind, e.claimed_origin
ORDER BY last_time DESC, e.nhi_uid, e.identity_uid, e.claimed_origin
