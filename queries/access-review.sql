-- question: Should each machine identity keep what it may do?
-- param owner = %: only identities of this owner, as a LIKE pattern
-- controls: NHI5:2025, CC6.3, A.5.18, 7.2.4, PR.AA-05
-- caveat: privilege is what the logs showed to be granted or used; what was granted before they begin is not known
-- caveat: a recommendation is made from use, privilege and ownership alone; whoever answers for the identity decides
WITH reached AS (
  SELECT
    identity_uid,
    count(DISTINCT CASE WHEN kind = 'tenant' THEN value END) AS tenants,
    count(DISTINCT CASE WHEN kind = 'service' THEN value END) AS services,
    count(DISTINCT CASE WHEN kind = 'secret' THEN value END) AS secrets,
    count(DISTINCT CASE WHEN kind = 'identity' THEN value END) AS identities
  FROM blast_radius
  GROUP BY identity_uid
),
lake AS (
  SELECT CAST(CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) AS INTEGER) AS day FROM epochs
),
born AS (
  SELECT credential_uid, min(valid_from) AS seen_time FROM credentials GROUP BY credential_uid
),
keys AS (
  SELECT
    c.identity_uid,
    count(*) AS live_credentials,
    max(l.day - CAST(CAST(coalesce(c.created_time, b.seen_time) AS DATE) AS INTEGER)) AS oldest_credential_days
  FROM credential c
  JOIN born b ON b.credential_uid = c.credential_uid
  CROSS JOIN lake l
  WHERE c.status = 'active'
    AND (c.expires_time IS NULL OR CAST(CAST(c.expires_time AS DATE) AS INTEGER) >= l.day)
  GROUP BY c.identity_uid
),
opened AS (
  SELECT identity_uid, count(*) AS open_findings
  FROM finding
  WHERE status <> 'retracted' AND NOT settled
  GROUP BY identity_uid
)
SELECT
  CASE
    WHEN u.dormancy_class IN ('stale', 'dormant', 'never_used') THEN 'revoke'
    WHEN i.expires_time < CAST(u.as_of_date AS TIMESTAMP) THEN 'revoke'
    WHEN i.owner IS NULL THEN 'find an owner'
    WHEN u.dormancy_class IN ('unobservable', 'insufficient_history') OR u.days_observed < 90 THEN 'cannot be judged yet'
    WHEN coalesce(i.privilege_tier, 0) >= 2 AND coalesce(u.days_used, 0) * 10 < u.days_observed THEN 'reduce'
    ELSE 'keep'
  END AS recommendation,
  i.identity_uid,
  i.display_name,
  i.kind,
  i.owner,
  i.backup_owner,
  i.purpose,
  i.environment,
  i.risk_tier,
  i.privilege_tier,
  i.privilege_reason,
  u.dormancy_class,
  u.days_idle,
  u.last_success_time,
  u.days_used,
  u.days_observed,
  coalesce(k.live_credentials, 0) AS live_credentials,
  k.oldest_credential_days,
  coalesce(r.tenants, 0) AS tenants_reached,
  coalesce(r.services, 0) AS services_reached,
  coalesce(r.secrets, 0) AS secrets_read,
  coalesce(r.identities, 0) AS identities_reached,
  coalesce(o.open_findings, 0) AS open_findings,
  i.created_time,
  i.created_by_uid,
  i.expires_time,
  i.tenant_uid,
  a.decision AS last_decision,
  a.author AS decided_by,
  a.attested_time AS decided_time,
  a.due_date AS review_due,
  '' AS decision,
  '' AS reason,
  '' AS until
FROM machine i
JOIN identity_usage u ON u.identity_uid = i.identity_uid
LEFT JOIN reached r ON r.identity_uid = i.identity_uid
LEFT JOIN keys k ON k.identity_uid = i.identity_uid
LEFT JOIN opened o ON o.identity_uid = i.identity_uid
LEFT JOIN attestation a ON a.identity_uid = i.identity_uid
WHERE coalesce(i.owner, '') LIKE CAST(:owner AS VARCHAR)
ORDER BY
  CASE i.risk_tier WHEN 'high' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END,
  i.privilege_tier DESC NULLS LAST,
  i.identity_uid
