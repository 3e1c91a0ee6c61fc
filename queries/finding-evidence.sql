-- question: On which events does this finding rest, and where do they stand in log and ledger?
-- param finding: finding_uid
-- controls: CC7.3, A.5.28, 10.3.4, DE.AE-03
SELECT
  x.seq,
  x.role,
  e.event_time,
  e.event_uid,
  e.tenant_uid,
  e.service,
  e.operation,
  e.outcome,
  e.identity_uid,
  array_to_string(e.chain, ' > ') AS chain,
  e.attribution_confidence,
  e.source_raw,
  e.user_agent,
  e.src_topic,
  e.src_partition,
  e.src_offset,
  e.src_index,
  e.raw_sha256,
  e._epoch,
  e._leaf
FROM finding_events x
LEFT JOIN events e ON e.event_uid = x.event_uid AND e.event_date = x.event_date
WHERE x.finding_uid = CAST(:finding AS VARCHAR)
ORDER BY x.seq, e.event_time, e._leaf
