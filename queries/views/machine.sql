-- Machine identities that can be used: those that sweeps are asked about. A user of IAM without a credential that can be used
-- is none.
SELECT *
FROM machine_ever
WHERE status = 'active'
  AND (
    kind <> 'iam_user'
    OR identity_uid IN (SELECT identity_uid FROM credential WHERE status = 'active')
  )
