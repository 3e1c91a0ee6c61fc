-- Machine identities that can be used and that a customer owns and can remove, under the id that counts: those that sweeps are
-- asked about. A user of IAM without a credential that can be used is a person who signs in, or cannot do anything.
SELECT *
FROM identity
WHERE status = 'active'
  AND merged_into_uid IS NULL
  AND kind IN (
    'agent',
    'ec2_instance_identity',
    'iam_role',
    'iam_user',
    'managed_identity',
    'oidc_ci',
    'oidc_workload',
    'service_principal',
    'service_role',
    'workload_role'
  )
  AND (
    kind <> 'iam_user'
    OR identity_uid IN (SELECT identity_uid FROM credential WHERE status = 'active')
  )
