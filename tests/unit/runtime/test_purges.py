"""The table of purges."""

from __future__ import annotations

from edgerelay.runtime.purges import Purge, Purges
from edgerelay.runtime.schema import migrate
from edgerelay.runtime.sql import Sqlite


def test_rows_come_back_and_the_one_that_waits_longest_is_next() -> None:
    sql = Sqlite()
    migrate(sql)
    purges = Purges(sql)
    assert (purges.next(), purges.find("did:web:a.test")) == (None, None)
    first = Purge("did:web:b.test", 1, 2, "groups/x", 10, 10, 3)
    second = Purge("did:web:a.test", 0, 2, "", 20, 20)
    for purge in (first, second):
        purges.save(purge)
    assert (purges.next(), purges.find("did:web:a.test")) == (first, second)
    purges.save(first._replace(begun_us=30))
    assert purges.next() == second
    purges.remove("did:web:a.test")
    purges.remove("did:web:a.test")
    assert purges.next() == first._replace(begun_us=30)
    sql.close()
