-- question: In which months were these identities used, how often, and in which role?
-- param identity: identity_uid as the tables spell it; of several, one a line
-- param first_day = 0001-01-01: the first day of the period, like 2026-07-01
-- param last_day = 9999-12-31: its last day
-- controls: NHI1:2025, CC6.2, A.5.18, 7.2.5.1, PR.AA-01
-- caveat: only success is use; events that no log records, such as data events that are switched off, are use without being counted
SELECT
  identity_uid,
  CAST(date_trunc('month', usage_date) AS DATE) AS month,
  relation,
  count(DISTINCT CASE WHEN successes > 0 THEN usage_date END) AS days_used,
  sum(successes) AS successes,
  sum(failures) AS failures,
  sum(reads) AS reads,
  sum(writes) AS writes,
  min(first_time) AS first_time,
  max(last_time) AS last_time,
  max(last_success_time) AS last_success_time
FROM usage
WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), replace(identity_uid, chr(10), ' '))
  AND CAST(usage_date AS DATE) BETWEEN CAST(CAST(:first_day AS VARCHAR) AS DATE) AND CAST(CAST(:last_day AS VARCHAR) AS DATE)
GROUP BY identity_uid, date_trunc('month', usage_date), relation
ORDER BY identity_uid, month, relation
