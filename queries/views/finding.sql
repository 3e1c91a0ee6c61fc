-- The latest revision of every finding.
SELECT *
FROM findings
QUALIFY row_number() OVER (PARTITION BY finding_uid ORDER BY revision DESC, _leaf DESC) = 1
