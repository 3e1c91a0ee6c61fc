-- question: What was decided about the access of these identities, by whom, and why?
-- param identity: identity_uid as the tables spell it; of several, one a line
-- param last_day = 9999-12-31: the last day of the period; earlier decisions may hold in it
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
WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), replace(identity_uid, chr(10), ' '))
  AND CAST(attested_time AS DATE) <= CAST(CAST(:last_day AS VARCHAR) AS DATE)
ORDER BY identity_uid, attested_time, _leaf
