-- The current version of every credential that outlives a session.
SELECT *
FROM credentials
QUALIFY row_number() OVER (PARTITION BY credential_uid ORDER BY version DESC, _leaf DESC) = 1
