-- question: What was decided about the access of these identities, by whom, and why?
-- param identity: identity_uid as the tables spell it; of several, one a line
-- param first_day = 0001-01-01: the first day of the period
-- param last_day = 9999-12-31: its last day
-- controls: NHI5:2025, CC6.3, A.5.18, 7.2.4, 7.2.5.1, PR.AA-05
-- caveat: decisions that were made elsewhere and never imported are not known here
SELECT
  identity_uid,
  attested_time,
  decision,
  reason,
  author,
  until,
  statement_uid,
  _epoch AS epoch,
  _leaf AS leaf
FROM attestations
WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), identity_uid)
  AND CAST(attested_time AS DATE) BETWEEN CAST(:first_day AS DATE) AND CAST(:last_day AS DATE)
ORDER BY identity_uid, attested_time, _leaf
