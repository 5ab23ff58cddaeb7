"""One target under atheris, in a process of its own: `python -m tests.fuzz.engine TARGET [LIBFUZZER_ARGUMENT...]`.

It must be the first to import the relay's package, which is instrumented while it is imported: each branch and each
comparison then tells the fuzzer where an input came. `tests.fuzz` starts it.
"""

from __future__ import annotations

import sys

import atheris

# The counterparts and the twins are not what is searched, and stay as they are.
with atheris.instrument_imports(include=["edgerelay"]):
    from tests.fuzz.targets import TARGETS, attempt


def main() -> None:
    """Fuzz until libFuzzer has enough; it ends the process itself."""
    target = TARGETS[sys.argv[1]]

    def run(data: bytes) -> None:
        attempt(target, data)

    atheris.Setup([sys.argv[0], *sys.argv[2:]], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
