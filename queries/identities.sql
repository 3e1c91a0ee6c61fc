-- question: Which identities are there, by kind, and how many are used and owned?
-- controls: NHI1:2025, CC6.1, A.5.16, 7.2.5, PR.AA-01
-- caveat: an identity that no log and no inventory has named is not counted
SELECT
  i.provider,
  i.kind,
  i.status,
  count(*) AS identities,
  sum(CASE WHEN i.owner IS NULL THEN 1 ELSE 0 END) AS without_owner,
  sum(CASE WHEN u.dormancy_class = 'active' THEN 1 ELSE 0 END) AS active,
  sum(CASE WHEN u.dormancy_class = 'idle' THEN 1 ELSE 0 END) AS idle,
  sum(CASE WHEN u.dormancy_class IN ('dormant', 'stale') THEN 1 ELSE 0 END) AS dormant_or_stale,
  sum(CASE WHEN u.dormancy_class = 'never_used' THEN 1 ELSE 0 END) AS never_used,
  sum(CASE WHEN u.dormancy_class = 'insufficient_history' THEN 1 ELSE 0 END) AS insufficient_history,
  sum(u.successes) AS successes,
  max(u.last_success_time) AS last_success_time
FROM identity i
LEFT JOIN identity_usage u ON u.identity_uid = i.identity_uid
GROUP BY i.provider, i.kind, i.status
ORDER BY identities DESC, i.provider, i.kind, i.status
