"""The tables of RelayState and how they came to be: numbered steps, applied in one transaction.

A state of an older version is brought forward; one of a newer version is refused by name and not touched, because code
that does not know a table cannot keep its promises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edgerelay.errors import SchemaError
from edgerelay.runtime.account_runs import SCHEMA as ACCOUNT_TABLES
from edgerelay.runtime.audit import SCHEMA as AUDIT_TABLES
from edgerelay.runtime.hidden_table import SCHEMA as HIDDEN_TABLES
from edgerelay.runtime.identity_runs import SCHEMA as IDENTITY_TABLES
from edgerelay.runtime.purges import SCHEMA as PURGE_TABLES
from edgerelay.runtime.sql import Sql

__all__ = ["MIGRATIONS", "SCHEMA_VERSION", "migrate"]

MIGRATIONS: Final[Sequence[Sequence[str]]] = (
    (
        "CREATE TABLE log (slot INTEGER PRIMARY KEY, prev_seq INTEGER NOT NULL, first_seq INTEGER NOT NULL,"
        " last_seq INTEGER NOT NULL, part INTEGER NOT NULL, parts INTEGER NOT NULL, head BLOB NOT NULL,"
        " frames BLOB NOT NULL)",
        "CREATE TABLE positions (host_id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, low INTEGER NOT NULL,"
        " done TEXT NOT NULL, newest_time_us INTEGER NOT NULL, replay_until_us INTEGER NOT NULL)",
        "CREATE TABLE hosts (host_id INTEGER PRIMARY KEY, url TEXT NOT NULL)",
    ),
    (
        "CREATE TABLE shards (name TEXT PRIMARY KEY, region TEXT NOT NULL) WITHOUT ROWID",
        *ACCOUNT_TABLES,
    ),
    IDENTITY_TABLES,
    ("CREATE TABLE archive (id INTEGER PRIMARY KEY, archived_seq INTEGER NOT NULL, planned_seq INTEGER NOT NULL)",),
    (*HIDDEN_TABLES, *AUDIT_TABLES),
    PURGE_TABLES,
    ("UPDATE purges SET after = ''",),  # a pass goes through the bucket in another order
)
"""Step n brings a state from version n to n + 1. Steps are never changed once they have run anywhere."""

SCHEMA_VERSION: Final = len(MIGRATIONS)
"""The version that this code writes."""

_TABLES_OF_THE_PLATFORM: Final = ("_cf_", "sqlite_")


def migrate(sql: Sql) -> int:
    """Bring the state to `SCHEMA_VERSION`. Returns the version that was found; 0 for an empty state.

    Raises:
        SchemaError: the state is newer than this code, or is not EdgeRelay's; nothing was changed.
    """
    found = _version(sql)
    if found > SCHEMA_VERSION:
        raise SchemaError(f"the state has schema version {found}; this code knows versions up to {SCHEMA_VERSION}")
    if found < SCHEMA_VERSION:
        sql.transaction(lambda: _apply(sql, found))
    return found


def _version(sql: Sql) -> int:
    tables = {name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if all(name.startswith(_TABLES_OF_THE_PLATFORM) for name in tables):
        return 0
    rows = sql.execute("SELECT value FROM meta WHERE key = 'schema_version'") if "meta" in tables else []
    if not rows or not isinstance(rows[0][0], int) or rows[0][0] < 1:
        raise SchemaError("the state has tables without a schema version; it is not EdgeRelay's")
    return rows[0][0]


def _apply(sql: Sql, found: int) -> None:
    sql.execute("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
    for step in MIGRATIONS[found:]:
        for statement in step:
            sql.execute(statement)
    sql.execute("INSERT OR REPLACE INTO meta VALUES ('schema_version', ?)", SCHEMA_VERSION)
