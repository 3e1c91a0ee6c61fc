-- question: Which offsets were never read because the source had lost them, and why was going on without them accepted?
-- param rows = 1000: how many gaps, the newest first
-- controls: CC7.2, A.8.15, 10.7.2, DE.CM-09
-- caveat: nobody can say which events stood there; look for them where the topic is filled from
-- caveat: what a source lost before it was read for the first time is not here, nor what no log ever held
SELECT
  r.event_date AS accepted_date,
  r._epoch AS epoch,
  r.src_topic,
  r.src_partition,
  r.src_offset AS first_offset,
  r.detail
FROM rejects r
WHERE r.stage = 'source'
ORDER BY r._epoch DESC, r.src_topic, r.src_partition, r.src_offset
LIMIT :rows
