"""A year with known answers: of a simulated estate most machines stop on a day that is known, some only ever fail, and the logs
of one account have a gap. Every class of the dormancy report is computed anew, from the raw records and the simulator's labels
alone, and compared.

usage: compare_a_year.py FOLDER KEYTRAIL
"""

import datetime
import hashlib
import json
import pathlib
import subprocess
import sys

IDENTITIES, DAYS, SEED, START = 24, 365, 11, datetime.date(2025, 11, 1)
END = START + datetime.timedelta(days=DAYS - 1)

# How many days before the end a machine is last heard of: on both sides of each limit of the classes.
STOPS = [0, 0, 20, 44, 45, 46, 60, 89, 90, 91, 130, 179, 180, 181, 250]

# The account whose logs are missing for so many days, beginning so many before the end: more than a tenth of ninety.
GAP_DAYS, GAP_BEGINS = 12, 50


def day_of(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text[:10])


def draw(text: str, count: int) -> int:
    return hashlib.sha256(f"{SEED} {text}".encode()).digest()[0] % count


class Year:
    def __init__(self, labels: pathlib.Path) -> None:
        self.labels = {}
        for line in labels.open():
            label = json.loads(line)
            if "event_uid" in label:
                self.labels[label["event_uid"]] = label
        self.session_of = {}  # access key of a session -> everybody through whom it was obtained
        self.first, self.success, self.covered, self.tenant = {}, {}, {}, {}
        self.gap = None

    # What a record is: id in the labels, day, success, tenant, those that it counts for.

    def cloudtrail(self, record: dict) -> tuple:
        caller = record["userIdentity"]
        label = self.labels.get(record["eventID"], {})
        acting = label.get("acting_uid")
        through = set(self.session_of.get(caller.get("accessKeyId"), set()))
        through |= {acting, label.get("identity_uid"), label.get("nhi_uid")}
        issued = ((record.get("responseElements") or {}).get("credentials") or {}).get("accessKeyId")
        if issued:
            self.session_of[issued] = through
        return acting, record["eventTime"], "errorCode" not in record, record["recipientAccountId"], through

    def hub(self, record: dict) -> tuple:
        properties = record["properties"]
        tenant = record["tenantId"]
        category = record["category"]
        if category == "MicrosoftGraphActivityLogs":
            uid, succeeded = properties["requestId"], properties["responseStatusCode"] < 400
        elif category == "AuditLogs":
            uid, succeeded = properties["id"], properties["result"] == "success"
        elif category.endswith("SignInLogs"):
            uid, succeeded = properties["id"], str(record["resultType"]) == "0"
        else:
            uid, succeeded = None, record["resultType"] not in ("Failure", "Failed")
            claims = record["identity"]["claims"]
            object_id = claims["http://schemas.microsoft.com/identity/claims/objectidentifier"]
            label = {"acting_uid": f"entra:sp:{tenant}/{object_id}"}
        if uid is not None:
            label = self.labels.get(uid, {})
        through = {label.get("acting_uid"), label.get("identity_uid"), label.get("nhi_uid")}
        return label.get("acting_uid"), record["time"], succeeded, tenant, through

    # What is changed about the year, before anybody sees it.

    def kept(self, told: tuple) -> bool:
        _, time, _, tenant, through = told
        day = day_of(time)
        # Whoever stops takes along what was only done through it.
        if any(day > END - datetime.timedelta(days=STOPS[draw(uid, len(STOPS))]) for uid in through - {None}):
            return False
        if self.gap is None and len(tenant) == 12 and tenant.isdigit():
            self.gap = tenant
        begin = END - datetime.timedelta(days=GAP_BEGINS)
        return not (tenant == self.gap and begin <= day < begin + datetime.timedelta(days=GAP_DAYS))

    def note(self, told: tuple) -> None:
        acting, time, succeeded, tenant, through = told
        day = day_of(time)
        self.covered.setdefault(tenant, set()).add(day)
        for uid in through - {None}:
            self.first[uid] = min(self.first.get(uid, day), day)
            if succeeded:
                self.success[uid] = max(self.success.get(uid, day), day)

    def record(self, record: dict, read) -> bool:
        told = read(record)
        if not self.kept(told):
            return False
        acting = told[0]
        if acting and read == self.cloudtrail and acting.startswith("aws:user:") and draw(f"fails {acting}", 6) == 0:
            record["errorCode"] = "AccessDenied"
            told = (*told[:2], False, *told[3:])
        self.note(told)
        return True

    def message(self, message: dict) -> bool:
        if "detail" in message:
            return self.record(message["detail"], self.cloudtrail)
        for name, read in (("Records", self.cloudtrail), ("records", self.hub)):
            if name in message:
                message[name] = [record for record in message[name] if self.record(record, read)]
                return bool(message[name])
        raise SystemExit(f"what is this: {message}")

    # What the report must say.

    def expected(self, uid: str, tenant: str, created: str) -> tuple:
        last_day = max(max(days) for days in self.covered.values())
        first_day = min(min(days) for days in self.covered.values())
        window = {last_day - datetime.timedelta(days=back) for back in range(90)}
        covered = len(self.covered.get(tenant, set()) & window)
        first = min(filter(None, [self.first.get(uid), day_of(created) if created else None]), default=last_day)
        observed = (last_day - max(first, first_day)).days
        idle = (last_day - self.success[uid]).days if uid in self.success else None
        if idle is not None and idle < 45:
            found = "active"
        elif covered == 0:
            found = "unobservable"
        elif observed < 90 or (90 - covered) * 10 > 90:
            found = "insufficient_history"
        elif idle is None:
            found = "never_used"
        else:
            found = "idle" if idle < 90 else "dormant" if idle < 180 else "stale"
        return found, "" if idle is None else str(idle)


def main() -> None:
    folder, keytrail = pathlib.Path(sys.argv[1]), sys.argv[2]
    logs, changed, lake = folder / "logs", folder / "changed", folder / "lake"
    run = lambda *arguments: subprocess.run([keytrail, *map(str, arguments)], check=True, capture_output=True, text=True)
    estate = ["--identities", IDENTITIES, "--days", DAYS, "--seed", SEED, "--start", START]
    run("simulate", *estate, "--out", logs, "--labels", folder / "labels.ndjson")
    year = Year(folder / "labels.ndjson")
    for path in sorted(logs.rglob("*.ndjson")):
        lines = []
        for line in path.open():
            message = json.loads(line)
            if year.message(message):
                lines.append(json.dumps(message, separators=(",", ":")) + "\n")
        aim = changed / path.relative_to(logs)
        aim.parent.mkdir(parents=True, exist_ok=True)
        aim.write_text("".join(lines))
    run("replay", "--from", changed, "--data", lake)
    report = json.loads(run("report", "dormancy", "--data", lake, "-p", "active=yes", "--format", "json").stdout)
    part = report["parts"][0]
    rows = [dict(zip(part["columns"], row)) for row in part["rows"]]
    told = {row["identity_uid"] for row in rows}
    machines = {label["nhi_uid"] for label in year.labels.values()} & set(year.first)
    wrong = [f"{uid}: it is not in the report" for uid in sorted(machines - told)]
    classes = {}
    for row in rows:
        found = (row["dormancy_class"], row["days_idle"])
        expected = year.expected(row["identity_uid"], row["tenant_uid"], row["created_time"])
        classes[expected[0]] = classes.get(expected[0], 0) + 1
        if found != expected:
            wrong.append(f"{row['identity_uid']}: {found}, but it is {expected}: {row}")
    print("\n".join(wrong))
    print(f"{len(rows)} machines: " + ", ".join(f"{count} {name}" for name, count in sorted(classes.items())))
    missing = {"active", "idle", "dormant", "stale", "never_used", "insufficient_history"} - set(classes)
    if wrong or missing:
        raise SystemExit(f"{len(wrong)} wrong; classes that the year does not have: {sorted(missing)}")
    print("ok: every class is what the records say")


main()
