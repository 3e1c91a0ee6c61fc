-- question: Who did some of the actions that are booked on these identities, with which credential, and where do they stand in log and ledger?
-- param identity: identity_uid as the tables spell it; of several, one a line
-- param actions = 3: how many actions of each identity are drawn
-- param seed = 1: another seed draws others, the same seed the same again
-- param first_day = 0001-01-01: the first day of the period, like 2026-07-01
-- param last_day = 9999-12-31: its last day
-- controls: CC7.2, A.8.15, 10.2.1, 10.2.2, DE.CM-03
-- caveat: drawn are those with the lowest md5 of seed and event_uid among all that are booked on the identity in the period
-- caveat: an action is booked on one identity, the machine that answers for it; what else an identity had a part in is counted under its use
-- caveat: `keytrail prove` proves that the row of `activity` stands in the lake unchanged, not that the provider logged the truth; where amended says true, a row of `amendments` said later who it was
SELECT
  e.nhi_uid AS identity_uid,
  e.event_time,
  e.log_source,
  e.tenant_uid,
  e.service,
  e.operation,
  e.outcome,
  e.credential_uid,
  e.acting_uid,
  e.origin_uid,
  e.attribution_confidence,
  e.attribution_status,
  e.amended,
  array_to_string(e.attribution_reasons, ', ') AS attribution_reasons,
  e.source_ip,
  e.user_agent_family,
  e.event_uid,
  e.src_topic,
  e.src_partition,
  e.src_offset,
  encode(e.raw_sha256, 'hex') AS raw_sha256,
  e._epoch AS epoch,
  e._leaf AS leaf,
  encode(e._row_digest, 'hex') AS row_digest
FROM events e
WHERE array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), replace(e.nhi_uid, chr(10), ' '))
  AND e.event_date BETWEEN CAST(CAST(:first_day AS VARCHAR) AS DATE) AND CAST(CAST(:last_day AS VARCHAR) AS DATE)
QUALIFY row_number() OVER (PARTITION BY e.nhi_uid ORDER BY md5(concat(:seed, ' ', e.event_uid)), e.event_uid) <= CAST(:actions AS BIGINT)
ORDER BY e.nhi_uid, e.event_time, e.event_uid
