"""Asks a server at PGPORT with psycopg and SQLAlchemy, as tools of analysts do. Ends with 0 if all is as it should be."""

import datetime
import os

import psycopg
import sqlalchemy

PORT = os.environ["PGPORT"]
PASSWORD = os.environ["PGPASSWORD"]


def with_psycopg() -> None:
    address = f"host=127.0.0.1 port={PORT} dbname=keytrail user=iris"
    with psycopg.connect(address) as connection:
        cursor = connection.cursor()
        since = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
        question = "SELECT provider, count(*), max(event_time) FROM events WHERE event_time > %s GROUP BY 1 ORDER BY 1"
        # The sixth time psycopg prepares it in the server.
        answers = [cursor.execute(question, [since]).fetchall() for _ in range(8)]
        assert answers[0] and all(answer == answers[0] for answer in answers), answers
        assert all(isinstance(latest, datetime.datetime) for _, _, latest in answers[0])
        binary = connection.cursor(binary=True).execute(question, [since]).fetchall()
        assert binary == answers[0], binary
        by_name = cursor.execute(
            "SELECT count(*) FROM events WHERE provider = %(provider)s AND read_only = %(read)s",
            {"provider": "aws", "read": True},
        ).fetchone()
        assert by_name[0] > 0
        connection.rollback()
        try:
            cursor.execute("DELETE FROM activity")
        except psycopg.errors.InsufficientPrivilege:
            connection.rollback()
        else:
            raise AssertionError("DELETE was not refused")
        assert cursor.execute("SELECT 1").fetchone() == (1,)


def with_sqlalchemy() -> None:
    url = f"postgresql+psycopg://iris:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{PORT}/keytrail"
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(
            sqlalchemy.text("SELECT count(*) FROM finding WHERE severity = :severity"), {"severity": "high"}
        ).scalar_one()
        assert found >= 0
        tables = connection.execute(sqlalchemy.text("SELECT table_name FROM information_schema.tables")).scalars().all()
        assert "activity" in tables, tables


with_psycopg()
with_sqlalchemy()
print("ok")
