"""Reads a lake with the Python package `deltalake` and compares the row counts with Keytrail's own.

    read_with_deltalake.py DIR KEYTRAIL

DIR is a lake on local disk, KEYTRAIL the binary. Each table below DIR/tables is opened from its Delta log and every
column is decoded by Arrow's C++ reader, which shares no code with the writer; then `keytrail sql` counts the same
table. The script compares counts, not values: the digests in the rows are what speaks for the values. The lake must be
at rest, since Keytrail shows rows only once their epoch is published.

Ends with 0 when every count agrees and 1 otherwise, also when there is no table at all.
"""

import json
import subprocess
import sys
from pathlib import Path

from deltalake import DeltaTable


def rows_by_deltalake(table: Path) -> int:
    return DeltaTable(str(table)).to_pyarrow_table().num_rows


def rows_by_keytrail(keytrail: str, lake: Path, name: str) -> int:
    query = f'SELECT count(*) AS n FROM "{name}"'
    command = [keytrail, "sql", "--data", str(lake), "-o", "ndjson", query]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"`{' '.join(command)}` ended with {result.returncode}: {result.stderr.strip()}")
    lines = result.stdout.splitlines()
    if len(lines) != 1:
        raise RuntimeError(f"one line expected for {query}, got {len(lines)}")
    return json.loads(lines[0])["n"]


def main(lake: Path, keytrail: str) -> int:
    tables = sorted(log.parent for log in (lake / "tables").glob("*/_delta_log"))
    if not tables:
        print(f"no Delta table below {lake / 'tables'}", file=sys.stderr)
        return 1
    wrong = 0
    for table in tables:
        try:
            theirs = rows_by_deltalake(table)
            ours = rows_by_keytrail(keytrail, lake, table.name)
        # One table that cannot be read must not hide what is wrong with the next.
        except Exception as error:
            print(f"{table.name}: {error}", file=sys.stderr)
            wrong += 1
            continue
        verdict = "same" if theirs == ours else "DIFFERENT"
        print(f"{table.name}: deltalake {theirs}, keytrail {ours}: {verdict}")
        wrong += theirs != ours
    if wrong:
        print(f"{wrong} of {len(tables)} tables are not read alike", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: read_with_deltalake.py DIR KEYTRAIL")
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
