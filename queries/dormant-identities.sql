-- question: Which machine identities were not used with success for a while, and would their use have been seen?
-- param days = 90: days without success
-- controls: NHI1:2025, CC6.2, A.5.18, 7.2.5.1, PR.AA-01
-- caveat: an identity younger than the window is not judged
-- caveat: days_without_logs counts days of the window on which its tenant sent no event at all; on those nothing could be seen
-- caveat: use that leaves no trace in any log that is read, such as data events that are switched off, is not seen
WITH judged AS (
  SELECT
    u.*,
    i.kind,
    i.provider,
    i.tenant_uid,
    i.display_name,
    i.owner,
    i.status
  FROM identity_usage u
  JOIN identity i ON i.identity_uid = u.identity_uid
  WHERE i.status = 'active'
    AND i.kind IN (
    'iam_user', 'iam_role', 'workload_role', 'service_role', 'ec2_instance_identity',
    'federated_session', 'oidc_workload', 'service_principal', 'managed_identity'
    )
    AND u.days_observed >= CAST(:days AS BIGINT)
    AND coalesce(u.days_idle, u.days_observed) >= CAST(:days AS BIGINT)
),
logged AS (
  SELECT c.tenant_uid, count(DISTINCT CAST(c.hour AS DATE)) AS days
  FROM coverage c
  CROSS JOIN (SELECT max(as_of_date) AS as_of_date FROM identity_usage) l
  WHERE CAST(c.hour AS DATE) <= l.as_of_date
    AND CAST(CAST(c.hour AS DATE) AS INTEGER) > CAST(l.as_of_date AS INTEGER) - CAST(:days AS BIGINT)
  GROUP BY c.tenant_uid
)
SELECT
  j.identity_uid,
  j.kind,
  j.provider,
  j.tenant_uid,
  j.display_name,
  j.owner,
  j.dormancy_class,
  j.days_idle,
  j.days_observed,
  j.last_success_time,
  j.last_time,
  j.successes,
  j.failures,
  CAST(:days AS BIGINT) - coalesce(c.days, 0) AS days_without_logs,
  j.as_of_date
FROM judged j
LEFT JOIN logged c ON c.tenant_uid IS NOT DISTINCT FROM j.tenant_uid
ORDER BY coalesce(j.days_idle, j.days_observed) DESC, j.identity_uid
