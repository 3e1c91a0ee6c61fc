-- question: What was found about these identities in a period, and what was decided about it?
-- param identity: identity_uid as the tables spell it; of several, one a line
-- param first_day = 0001-01-01: the first day of the period, like 2026-07-01
-- param last_day = 9999-12-31: its last day
-- controls: CC7.2, CC7.3, A.8.16, A.5.28, 10.4.1, DE.CM-03
-- caveat: what was retracted is listed too: a record that came late showed that it was never so
-- caveat: closed means that the situation went quiet, not that somebody has looked at it
SELECT
  identity_uid,
  first_event_time,
  last_event_time,
  severity,
  detector,
  status,
  title,
  summary,
  event_count,
  decision,
  decided_by,
  decided_time,
  decision_reason,
  suppression,
  suppressed_until,
  finding_uid
FROM finding
WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), replace(identity_uid, chr(10), ' '))
  AND CAST(last_event_time AS DATE) >= CAST(CAST(:first_day AS VARCHAR) AS DATE)
  AND CAST(first_event_time AS DATE) <= CAST(CAST(:last_day AS VARCHAR) AS DATE)
ORDER BY identity_uid, first_event_time, finding_uid
