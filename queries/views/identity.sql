-- The current version of every identity.
SELECT *
FROM identities
QUALIFY row_number() OVER (PARTITION BY identity_uid ORDER BY version DESC, _leaf DESC) = 1
