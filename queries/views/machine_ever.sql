-- Machine identities that a customer owns and can remove, whatever has become of them, under the id that counts. A user of IAM
-- that never had another credential than a password is a person who signs in, or cannot do anything.
SELECT *
FROM identity
WHERE merged_into_uid IS NULL
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
    OR identity_uid IN (SELECT identity_uid FROM credentials WHERE kind <> 'console_password')
  )
