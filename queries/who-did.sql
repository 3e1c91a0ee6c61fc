-- question: Who did this, with which credential, through whom, and how is that known?
-- param event_uid: the log's id of the event
-- controls: CC7.2, A.8.15, 10.2.2, DE.CM-03
-- caveat: claimed_origin is what the caller called itself; nobody has proven it
SELECT
  e.event_time,
  e.provider,
  e.tenant_uid,
  e.region,
  e.service,
  e.operation,
  e.outcome,
  e.error_code,
  e.actor_type,
  e.identity_uid,
  e.identity_kind,
  i.display_name,
  i.owner,
  e.nhi_uid,
  e.acting_uid,
  e.credential_uid,
  e.session_uid,
  e.workload_uid,
  array_to_string(e.chain, ' > ') AS chain,
  array_to_string(e.via, ' > ') AS via,
  e.attribution_method,
  e.attribution_confidence,
  e.attribution_status,
  array_to_string(e.attribution_reasons, ', ') AS attribution_reasons,
  e.amended,
  e.claimed_origin,
  e.on_behalf_of,
  e.source_raw,
  e.user_agent,
  array_to_string(e.resource_uids, ', ') AS resource_uids,
  e.params_json,
  e.src_topic,
  e.src_partition,
  e.src_offset,
  e.src_index,
  e.raw_sha256,
  e._epoch,
  e._leaf
FROM events e
LEFT JOIN identity i ON i.identity_uid = e.identity_uid
WHERE e.event_uid = CAST(:event_uid AS VARCHAR)
ORDER BY e.event_time, e.tenant_uid, e._leaf
