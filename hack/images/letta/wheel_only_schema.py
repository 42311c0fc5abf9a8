"""Letta 0.16.8's schema from its wheel, which has no alembic files. Idempotent: runs as `alembic upgrade head`."""

import os
import sys
import time

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

# defaults that the image's alembic files give and the ORM does not
DEFAULTS = (
    "CREATE SEQUENCE IF NOT EXISTS message_seq_id",
    "ALTER TABLE messages ALTER COLUMN sequence_id SET DEFAULT nextval('message_seq_id')",
    "ALTER TABLE steps ALTER COLUMN completion_tokens SET DEFAULT 0",
    "ALTER TABLE steps ALTER COLUMN prompt_tokens SET DEFAULT 0",
    "ALTER TABLE steps ALTER COLUMN total_tokens SET DEFAULT 0",
    "CREATE TABLE IF NOT EXISTS letta_offline_schema (version text)",
)


def is_there(engine: Engine) -> bool:
    """Tell whether the schema is complete; waits up to MIGRATE_WAIT_SECONDS (60) for the database."""
    deadline = time.monotonic() + float(os.environ.get("MIGRATE_WAIT_SECONDS", "60"))
    while True:
        try:
            with engine.connect() as connection:
                return bool(connection.execute(text("SELECT to_regclass('public.letta_offline_schema')")).scalar())
        except (SQLAlchemyError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def create(connection: Connection) -> None:
    """Create all tables, one creator at a time."""
    import letta.orm  # noqa: F401, PLC0415  registers every table; slow, so only where it is needed
    from letta.orm import Base  # noqa: PLC0415

    connection.execute(text("SELECT pg_advisory_xact_lock(168168)"))
    connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    Base.metadata.create_all(connection)
    for statement in DEFAULTS:
        connection.execute(text(statement))


def main() -> int:
    """Bring the database of LETTA_PG_URI to the schema; 1 where it does not answer."""
    uri = os.environ["LETTA_PG_URI"].split("?")[0].replace("postgresql://", "postgresql+pg8000://", 1)
    engine = create_engine(uri)
    try:
        if is_there(engine):
            print("schema already there")
            return 0
    except (SQLAlchemyError, OSError) as trouble:
        print(f"database not reachable: {type(trouble).__name__}", file=sys.stderr)
        return 1
    with engine.begin() as connection:
        create(connection)
    print("schema ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
