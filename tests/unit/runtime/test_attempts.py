"""Hours that runs did not survive wait; what came to its end is forgotten."""

from __future__ import annotations

import pytest

from edgerelay.archive.attempts import ATTEMPTS_KEY, decode_attempts
from edgerelay.runtime.attempts import FREE_ATTEMPTS, MAX_HOURS, WAIT_DOUBLINGS, WAIT_US, Attempts
from edgerelay.runtime.memory import ManualClock, MemoryObjects
from tests.coroutines import finished

MINUTE_US = 60_000_000
HOUR = 498_734


class Runs:
    """One run after the other, over the same bucket."""

    def __init__(self) -> None:
        self.objects = MemoryObjects()
        self.clock = ManualClock(30_000_000 * MINUTE_US)

    def next(self) -> Attempts:
        attempts = Attempts(self.objects, self.clock)
        finished(attempts.read())
        return attempts

    def die(self, times: int) -> None:
        """So many runs end in the hour, a minute after the other."""
        for _ in range(times):
            self.clock.now_us += MINUTE_US
            finished(self.next().begin(HOUR))


@pytest.fixture
def runs() -> Runs:
    return Runs()


def test_an_hour_that_a_few_runs_did_not_survive_waits(runs: Runs) -> None:
    runs.die(FREE_ATTEMPTS - 1)
    assert runs.next().is_due(HOUR)
    runs.die(1)
    assert not runs.next().is_due(HOUR)
    assert runs.next().is_due(HOUR + 1)
    assert runs.next().stuck == [HOUR]
    runs.clock.now_us += WAIT_US - 1
    assert not runs.next().is_due(HOUR)
    runs.clock.now_us += 1
    assert runs.next().is_due(HOUR)


def test_each_further_time_it_waits_twice_as_long_up_to_a_bound(runs: Runs) -> None:
    for doublings in [*range(WAIT_DOUBLINGS + 1), WAIT_DOUBLINGS]:
        runs.die(1 if doublings else FREE_ATTEMPTS)
        if doublings < WAIT_DOUBLINGS:
            runs.clock.now_us += (WAIT_US << doublings) - 1
            assert not runs.next().is_due(HOUR)
    runs.clock.now_us += WAIT_US << WAIT_DOUBLINGS
    assert runs.next().is_due(HOUR)


def test_a_clock_that_steps_back_lets_nothing_wait(runs: Runs) -> None:
    runs.die(FREE_ATTEMPTS)
    runs.clock.now_us -= 2 * MINUTE_US
    assert runs.next().is_due(HOUR)


def test_runs_of_one_minute_count_once(runs: Runs) -> None:
    for _ in range(2 * FREE_ATTEMPTS):
        finished(runs.next().begin(HOUR))
    assert runs.next().is_due(HOUR)


def test_what_came_to_its_end_is_forgotten_with_the_next_one_or_when_it_is_saved(runs: Runs) -> None:
    runs.die(FREE_ATTEMPTS)
    run = runs.next()
    run.end(HOUR)
    finished(run.begin(HOUR + 1))
    assert runs.next().is_due(HOUR)
    run.end(HOUR + 1)
    finished(run.save())
    assert decode_attempts(runs.objects.objects[ATTEMPTS_KEY]) == {}
    stored = runs.objects.objects[ATTEMPTS_KEY]
    del runs.objects.objects[ATTEMPTS_KEY]
    finished(run.save())
    assert (stored != b"", ATTEMPTS_KEY in runs.objects.objects) == (True, False), "nothing has changed since"


def test_there_are_never_too_many(runs: Runs) -> None:
    run = runs.next()
    for hour in range(MAX_HOURS + 5):
        finished(run.begin(hour))
    assert sorted(decode_attempts(runs.objects.objects[ATTEMPTS_KEY])) == list(range(5, MAX_HOURS + 5))
