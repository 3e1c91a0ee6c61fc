-- question: Which chains lead from one account or tenant into another?
-- param days = 30: how far to look back
-- controls: NHI9:2025, CC6.1, A.5.15, 7.2.5, PR.AA-05
-- caveat: an identity's home is the account or tenant in which it was first seen
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
)
SELECT
  o.provider AS origin_provider,
  o.tenant_uid AS origin_tenant_uid,
  e.provider,
  e.tenant_uid,
  array_to_string(e.chain, ' > ') AS chain,
  e.chain_depth,
  e.actor_type,
  count(*) AS events,
  sum(CASE WHEN e.outcome = 'failure' THEN 1 ELSE 0 END) AS failures,
  sum(CASE WHEN e.read_only THEN 0 ELSE 1 END) AS writes,
  count(DISTINCT e.operation) AS operations,
  min(e.event_time) AS first_time,
  max(e.event_time) AS last_time,
  min(e.event_uid) AS example_event_uid
FROM events e
JOIN identity o ON o.identity_uid = e.origin_uid
WHERE e.event_date > (SELECT day FROM since)
  AND e.chain_depth >= 1
  AND o.tenant_uid <> e.tenant_uid
GROUP BY
  o.provider,
  o.tenant_uid,
  e.provider,
  e.tenant_uid,
  array_to_string(e.chain, ' > '),
  e.chain_depth,
  e.actor_type
ORDER BY events DESC, chain, e.tenant_uid, e.actor_type
