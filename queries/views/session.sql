-- The latest word on each session: its highest revision.
SELECT *
FROM sessions
QUALIFY row_number() OVER (PARTITION BY session_uid ORDER BY revision DESC, _leaf DESC) = 1
