-- question: Which machine identities were never reviewed, are due again, or keep what was to be taken from them?
-- param all = no: yes adds those whose decision holds or is carried out
-- controls: NHI5:2025, CC6.3, A.5.18, 7.2.5.1, PR.AA-05
-- caveat: a decision to reduce counts as carried out once a permission was taken from the identity after it; whether it was enough, people must judge
-- caveat: a decision without a last day, about an identity without review_days, is never due
SELECT
  a.state,
  a.identity_uid,
  a.display_name,
  a.kind,
  a.owner,
  a.risk_tier,
  a.decision,
  a.reason,
  a.author,
  a.attested_time,
  a.due_date,
  u.last_success_time
FROM attestation a
LEFT JOIN identity_usage u ON u.identity_uid = a.identity_uid
WHERE CAST(:all AS VARCHAR) = 'yes' OR a.state NOT IN ('holds', 'done')
ORDER BY
  CASE a.state WHEN 'not carried out' THEN 0 WHEN 'due' THEN 1 WHEN 'never reviewed' THEN 2 ELSE 3 END,
  a.due_date NULLS LAST,
  a.identity_uid
