"""The audit: entries come back in order, and there are never too many."""

from __future__ import annotations

import pytest

from edgerelay.runtime import audit as module
from edgerelay.runtime.audit import Audit, AuditEntry
from edgerelay.runtime.schema import migrate
from edgerelay.runtime.sql import Sqlite


def test_entries_come_page_by_page_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 5)
    monkeypatch.setattr(module, "PAGE_ENTRIES", 3)
    sql = Sqlite()
    migrate(sql)
    audit = Audit(sql)
    assert audit.page() == []
    for number in range(1, 8):
        audit.add(number * 10, "takedown", f"did:web:a{number}.test", "why")
    assert audit.page()[0] == AuditEntry(7, 70, "takedown", "did:web:a7.test", "why")
    assert [entry.id for entry in audit.page()] == [7, 6, 5]
    assert [entry.id for entry in audit.page(before=5)] == [4, 3]
    assert audit.page(before=3) == []
    sql.close()
