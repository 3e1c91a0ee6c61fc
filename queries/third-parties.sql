-- question: Which identities do third parties use, and does what they do fit their contract?
-- controls: NHI3:2025, CC9.2, A.5.19, 12.8.4, GV.SC-07
-- caveat: who is a third party is what the inventory says
SELECT
  i.vendor,
  i.identity_uid,
  i.display_name,
  i.kind,
  i.owner,
  i.contract_scope,
  i.privilege_tier,
  i.privilege_reason,
  i.expires_time,
  u.dormancy_class,
  u.days_idle,
  u.last_success_time,
  i.tenant_uid
FROM identity i
LEFT JOIN identity_usage u ON u.identity_uid = i.identity_uid
WHERE i.status = 'active'
  AND i.merged_into_uid IS NULL
  AND i.vendor IS NOT NULL
ORDER BY vendor, i.privilege_tier DESC NULLS LAST, i.identity_uid
