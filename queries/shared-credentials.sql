-- question: Which long-lived keys are used from several networks or by several kinds of client on one day?
-- param days = 30: how far to look back
-- param networks = 2: at least so many networks, or so many kinds of client, on one day
-- controls: NHI9:2025, CC6.1, A.5.17, 8.6.3, PR.AA-01
-- caveat: a host behind several gateways looks like several networks
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
),
daily AS (
  SELECT
    e.credential_uid,
    e.acting_uid,
    e.event_date,
    count(DISTINCT e.source_network) AS source_networks,
    count(DISTINCT e.user_agent_family) AS clients,
    count(*) AS events
  FROM events e
  WHERE e.event_date > (SELECT day FROM since)
    AND e.credential_kind IN ('access_key', 'sp_secret', 'sp_certificate', 'federated_credential')
    AND e.credential_uid IS NOT NULL
    AND e.outcome <> 'failure'
    AND array_length(e.via) = 0
  GROUP BY e.credential_uid, e.acting_uid, e.event_date
)
SELECT
  d.credential_uid,
  d.acting_uid AS identity_uid,
  i.display_name,
  i.owner,
  count(*) AS days_shared,
  max(d.source_networks) AS source_networks_max,
  max(d.clients) AS clients_max,
  sum(d.events) AS events,
  min(d.event_date) AS first_date,
  max(d.event_date) AS last_date
FROM daily d
LEFT JOIN identity i ON i.identity_uid = d.acting_uid
WHERE d.source_networks >= CAST(:networks AS BIGINT)
  OR d.clients >= CAST(:networks AS BIGINT)
GROUP BY d.credential_uid, d.acting_uid, i.display_name, i.owner
ORDER BY source_networks_max DESC, clients_max DESC, d.credential_uid, d.acting_uid
