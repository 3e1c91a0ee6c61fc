-- What every identity reached with success: a row for each tenant, service, resource, secret and further identity.
--
-- An identity reached what was done by anybody behind it in a chain, for without it that would not have been done. An
-- `identity` row names who stands further down the chain. A `secret` row is a resource, or where the log names none the
-- tenant, whose content was read (`secret_reads`). What could be reached is not shown.
--
-- A filter on `identity_uid` is applied as soon as the chain is taken apart. The counts are over all days of the lake;
-- the question blast-radius looks at some of them.
WITH done AS (
  SELECT
    unnest(array_distinct(chain)) AS identity_uid,
    chain,
    event_time,
    tenant_uid,
    service,
    resource_uids
  FROM events
  WHERE outcome <> 'failure'
),
read AS (
  SELECT
    unnest(array_distinct(chain)) AS identity_uid,
    event_time,
    tenant_uid,
    resource_uids
  FROM secret_reads
  WHERE outcome <> 'failure'
),
reached AS (
  SELECT
    identity_uid,
    kind,
    CASE kind WHEN 'tenant' THEN tenant_uid ELSE service END AS value,
    event_time
  FROM (SELECT identity_uid, tenant_uid, service, event_time, unnest(make_array('tenant', 'service')) AS kind FROM done)
  UNION ALL
  SELECT identity_uid, 'resource' AS kind, unnest(resource_uids) AS value, event_time
  FROM done
  UNION ALL
  SELECT
    identity_uid,
    'secret' AS kind,
    unnest(CASE WHEN cardinality(resource_uids) > 0 THEN resource_uids ELSE make_array(tenant_uid) END) AS value,
    event_time
  FROM read
  UNION ALL
  SELECT
    identity_uid,
    'identity' AS kind,
    unnest(array_slice(chain, CAST(array_position(chain, identity_uid) AS BIGINT) + 1, 64)) AS value,
    event_time
  FROM done
)
SELECT
  identity_uid,
  kind,
  value,
  count(*) AS events,
  min(event_time) AS first_time,
  max(event_time) AS last_time
FROM reached
WHERE value IS NOT NULL
  AND NOT (kind = 'identity' AND value = identity_uid)
GROUP BY identity_uid, kind, value
