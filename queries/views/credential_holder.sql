-- Who holds a credential: whose it is, and who has used it. A secret that was made on an application of Entra stands under the
-- application, and its service principals use it.
SELECT identity_uid, credential_uid
FROM credential
WHERE identity_uid IS NOT NULL
UNION
SELECT identity_uid, credential_uid
FROM usage
WHERE credential_uid IS NOT NULL
