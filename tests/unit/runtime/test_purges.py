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
    first = Purge("did:web:b.test", 2, 2, "groups/x", 10, 10, 3)
    second = Purge("did:web:a.test", 2, 2, "", 20, 20)
    for purge in (first, second):
        purges.save(purge)
    assert (purges.next(), purges.find("did:web:a.test")) == (first, second)
    purges.save(first._replace(begun_us=30))
    assert purges.next() == second
    purges.remove("did:web:a.test")
    purges.remove("did:web:a.test")
    assert purges.next() == first._replace(begun_us=30)
    sql.close()


def test_who_is_in_the_log_is_next_and_who_waits_shares_a_pass() -> None:
    sql = Sqlite()
    migrate(sql)
    purges = Purges(sql)
    under_way, resting = Purge("a", 2, 2, "groups/x", 10, 10), Purge("b", 2, 2, "", 41, 10)
    waiting = [Purge("c", 3, 3, "", 30, 30), Purge("d", 4, 4, "", 40, 40)]
    in_log = Purge("e", 1, 2, "", 35, 35)
    for purge in (under_way, resting, *waiting, in_log):
        purges.save(purge)
    assert purges.next() == in_log
    begun = sorted(purges.begin_pass(40))
    assert begun == [each._replace(begun_us=40) for each in waiting]
    assert sorted(purges.on_pass(begun[0])) == begun
    assert purges.on_pass(under_way) == [under_way]
    sql.close()
