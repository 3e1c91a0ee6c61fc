-- question: Which epochs make up the lake, how much did each add, and is one missing?
-- param rows = 1000: at most this many epochs, latest first
-- controls: CC7.2, A.8.15, 10.3.4, PR.DS-01
-- caveat: this shows what the lake says about itself; `keytrail verify` proves it
SELECT
  epoch,
  committed_time,
  watermark_time,
  tree_size - lag(tree_size, 1, CAST(0 AS BIGINT)) OVER (ORDER BY epoch) AS rows_added,
  tree_size,
  epoch - lag(epoch, 1, CAST(0 AS BIGINT)) OVER (ORDER BY epoch) - 1 AS epochs_missing,
  counts_json,
  inputs_json,
  build,
  params_sha256,
  prev_hash,
  root_hash
FROM epochs
ORDER BY epoch DESC
LIMIT :rows
