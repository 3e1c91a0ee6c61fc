-- question: What has this identity reached: tenants, services, resources, other identities?
-- param identity: identity_uid as the tables spell it; of several, one a line
-- param days = 90: how far to look back
-- controls: NHI5:2025, CC7.3, A.8.2, 7.2.5, PR.AA-05
-- caveat: of the last `days` days that the lake knows, whatever period a report is about
-- caveat: it shows what was reached with success, not what could be reached
WITH since AS (
  SELECT CAST(coalesce(max(watermark_time), max(committed_time)) AS DATE) - CAST(concat(:days, ' days') AS INTERVAL) AS day
  FROM epochs
),
done AS (
  SELECT *
  FROM events
  WHERE event_date > (SELECT day FROM since)
    AND outcome <> 'failure'
    AND (array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), identity_uid) OR array_has_any(chain, string_to_array(CAST(:identity AS VARCHAR), chr(10))))
),
reached AS (
  SELECT 'tenant' AS what, tenant_uid AS uid, event_time, read_only FROM done
  UNION ALL
  SELECT 'service' AS what, service AS uid, event_time, read_only FROM done
  UNION ALL
  SELECT 'identity' AS what, acting_uid AS uid, event_time, read_only
  FROM done
  WHERE NOT array_has(string_to_array(CAST(:identity AS VARCHAR), chr(10)), acting_uid)
  UNION ALL
  SELECT 'resource' AS what, unnest(resource_uids) AS uid, event_time, read_only FROM done
)
SELECT
  what,
  uid,
  count(*) AS events,
  sum(CASE WHEN read_only THEN 0 ELSE 1 END) AS writes,
  min(event_time) AS first_time,
  max(event_time) AS last_time
FROM reached
WHERE uid IS NOT NULL
GROUP BY what, uid
ORDER BY what, events DESC, uid
