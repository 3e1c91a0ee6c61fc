-- Events that read the content of a secret, those that failed among them. An SSM parameter counts whether it holds a
-- secret or not; the log does not say.
SELECT *
FROM events
WHERE
  (
    service = 'secretsmanager.amazonaws.com'
    AND operation IN ('GetSecretValue', 'BatchGetSecretValue')
  )
  OR (
    service = 'ssm.amazonaws.com'
    AND operation IN ('GetParameter', 'GetParameters', 'GetParametersByPath', 'GetParameterHistory')
  )
  OR (
    log_source = 'key_vault'
    AND lower(operation) IN ('secretget', 'secretbackup', 'keybackup', 'certificatebackup')
  )
  OR lower(operation) IN (
    'microsoft.storage/storageaccounts/listkeys/action',
    'microsoft.documentdb/databaseaccounts/listkeys/action'
  )
