-- question: Which machine identities sleep, which were never used, and of which can nothing be said?
-- param active = no: yes lists those too that are in use
-- controls: NHI1:2025, CC6.2, A.5.18, 7.2.5.1, PR.AA-01
-- caveat: only success is use; the day is the last one that the lake knows, not today
-- caveat: insufficient_history is younger than 90 days, or its tenant's logs have gaps on more than a tenth of them; unobservable means that no log of its tenant told anything
-- caveat: use that leaves no trace in any log that is read, such as data events that are switched off, is not seen
WITH ranks(class, place) AS (
  VALUES
    ('stale', 1), ('dormant', 2), ('never_used', 3), ('idle', 4), ('insufficient_history', 5), ('unobservable', 6), ('active', 7)
)
SELECT
  u.dormancy_class,
  i.identity_uid,
  i.display_name,
  i.kind,
  i.owner,
  i.privilege_tier,
  i.risk_tier,
  u.days_idle,
  u.last_success_time,
  u.successes,
  u.failures,
  u.days_observed,
  u.days_without_logs,
  i.created_time,
  i.created_by_uid,
  i.tenant_uid,
  u.as_of_date
FROM machine i
JOIN identity_usage u ON u.identity_uid = i.identity_uid
JOIN ranks r ON r.class = u.dormancy_class
WHERE (CAST(:active AS VARCHAR) = 'yes' OR u.dormancy_class <> 'active')
ORDER BY r.place, i.privilege_tier DESC NULLS LAST, u.days_idle DESC NULLS LAST, i.identity_uid
