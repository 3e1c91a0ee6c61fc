-- question: Who changed credentials, permissions, trust or logging?
-- param days = 30: how far to look back
-- param rows = 1000: at most this many rows, latest first
-- controls: NHI5:2025, CC6.3, A.8.2, 10.2.1.5, PR.AA-05
-- caveat: the list holds the well-known operations; a provider has others with the same effect
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
),
sensitive(operation, changes) AS (
  VALUES
    ('createaccesskey', 'credential'),
    ('updateaccesskey', 'credential'),
    ('createloginprofile', 'credential'),
    ('updateloginprofile', 'credential'),
    ('createservicespecificcredential', 'credential'),
    ('uploadsigningcertificate', 'credential'),
    ('deactivatemfadevice', 'credential'),
    ('add service principal credentials', 'credential'),
    ('update application – certificates and secrets management', 'credential'),
    ('update application - certificates and secrets management', 'credential'),
    ('microsoft.storage/storageaccounts/listkeys/action', 'credential'),
    ('microsoft.storage/storageaccounts/regeneratekey/action', 'credential'),
    ('createuser', 'identity'),
    ('createrole', 'identity'),
    ('add service principal', 'identity'),
    ('add application', 'identity'),
    ('microsoft.managedidentity/userassignedidentities/write', 'identity'),
    ('attachuserpolicy', 'permission'),
    ('attachrolepolicy', 'permission'),
    ('attachgrouppolicy', 'permission'),
    ('putuserpolicy', 'permission'),
    ('putrolepolicy', 'permission'),
    ('putgrouppolicy', 'permission'),
    ('addusertogroup', 'permission'),
    ('createpolicyversion', 'permission'),
    ('setdefaultpolicyversion', 'permission'),
    ('deleterolepermissionsboundary', 'permission'),
    ('deleteuserpermissionsboundary', 'permission'),
    ('putkeypolicy', 'permission'),
    ('putbucketpolicy', 'permission'),
    ('creategrant', 'permission'),
    ('add app role assignment to service principal', 'permission'),
    ('add member to role', 'permission'),
    ('add eligible member to role', 'permission'),
    ('consent to application', 'permission'),
    ('add delegated permission grant', 'permission'),
    ('microsoft.authorization/roleassignments/write', 'permission'),
    ('microsoft.authorization/roledefinitions/write', 'permission'),
    ('microsoft.authorization/elevateaccess/action', 'permission'),
    ('microsoft.keyvault/vaults/accesspolicies/write', 'permission'),
    ('updateassumerolepolicy', 'trust'),
    ('createopenidconnectprovider', 'trust'),
    ('updateopenidconnectproviderthumbprint', 'trust'),
    ('addclientidtoopenidconnectprovider', 'trust'),
    ('createsamlprovider', 'trust'),
    ('updatesamlprovider', 'trust'),
    ('add owner to service principal', 'trust'),
    ('add owner to application', 'trust'),
    ('set domain authentication', 'trust'),
    ('microsoft.managedidentity/userassignedidentities/federatedidentitycredentials/write', 'trust'),
    ('stoplogging', 'logging'),
    ('deletetrail', 'logging'),
    ('updatetrail', 'logging'),
    ('puteventselectors', 'logging'),
    ('deleteflowlogs', 'logging'),
    ('deletedetector', 'logging'),
    ('stopconfigurationrecorder', 'logging'),
    ('microsoft.insights/diagnosticsettings/write', 'logging'),
    ('microsoft.insights/diagnosticsettings/delete', 'logging')
)
SELECT
  e.event_time,
  s.changes,
  e.provider,
  e.tenant_uid,
  e.operation,
  e.outcome,
  e.error_code,
  e.actor_type,
  e.identity_uid,
  i.display_name,
  i.owner,
  array_to_string(e.chain, ' > ') AS chain,
  e.attribution_confidence,
  e.source_raw,
  e.user_agent_family,
  array_to_string(e.resource_uids, ', ') AS resource_uids,
  e.params_json,
  e.event_uid
FROM events e
JOIN sensitive s ON s.operation = lower(e.operation)
LEFT JOIN identity i ON i.identity_uid = e.identity_uid
WHERE e.event_date > (SELECT day FROM since)
ORDER BY e.event_time DESC, e.event_uid, e._leaf
LIMIT :rows
