-- question: What was normal for this identity on a day: from where it came, what it did, with which client?
-- param identity: identity_uid whose habits are meant
-- param day = 9999-12-31: the last day that counts, like the one before a finding
-- controls: NHI5:2025, CC7.2, A.8.16, 10.4.1, DE.AE-02
-- caveat: days, events and last_seen_time are those of the last change before that day; until the next one a value gains fewer days than it had
-- caveat: a value that no event showed for 400 days is forgotten, and the habits of people have no baseline
WITH known AS (
  SELECT
    p.*,
    row_number() OVER (
      PARTITION BY p.dimension, p.value
      ORDER BY p.as_of_date DESC, p._leaf DESC
    ) AS place
  FROM profiles p
  WHERE p.identity_uid = CAST(:identity AS VARCHAR)
    AND p.as_of_date <= CAST(:day AS DATE)
)
SELECT
  k.dimension,
  k.value,
  k.first_seen_time,
  k.last_seen_time,
  k.days_seen,
  k.events,
  k.as_of_date
FROM known k
WHERE k.place = 1
ORDER BY k.dimension, k.days_seen DESC, k.events DESC, k.value
