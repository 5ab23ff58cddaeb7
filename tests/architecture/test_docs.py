"""The documentation says what is in the code: names that it lists exist, and what it must list is listed.

`python -m tests.architecture.test_docs` prints the table of settings, to be pasted into docs/operating.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from edgerelay.api.snapshot import Snapshot
from edgerelay.config import Settings
from edgerelay.relay.reject import RejectReason
from edgerelay.relay.upstream import PauseReason, UpstreamState
from edgerelay_dev.cli import COMMANDS
from tests.architecture.source import ROOT, WORKER, modules
from tests.architecture.test_names import PLACES_OF_ONE_MACHINE

DOCS = ROOT / "docs"
PAGES = sorted(
    [
        ROOT / "README.md",
        *DOCS.rglob("*.md"),
        *(page for folder in (".github", "bench", "examples") for page in (ROOT / folder).glob("*.md")),
    ]
)
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
LOG_LEVELS = ("debug", "info", "warning", "error")

LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(#[^)\s]*)?\)")
TEST = re.compile(r"`(tests/[\w/]+\.py)((?:::\w+)*)`")
MODULE_PATH = re.compile(r"`((?:src|tests|bench|docs|examples)/[\w./-]+)`")
DECISION_NAME = re.compile(r"\d{4}-[a-z0-9-]+\.md")
# A row of a table whose first cell is one name in code.
ROW = re.compile(r"^\| `([^`]+)` \| (.+) \|$", re.MULTILINE)


def section(page: Path, title: str) -> str:
    """The text below a heading of a page, up to the next one of any level."""
    _, found, rest = page.read_text().partition(f"\n## {title}\n")
    assert found, f"{page.name} has no section {title!r}"
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(page: Path, title: str) -> dict[str, list[str]]:
    """The table of a section: the cells of each row by its first cell."""
    found = [(match[1], match[2].split(" | ")) for match in ROW.finditer(section(page, title))]
    assert len(found) == len(dict(found)), f"{page.name}, {title}: a name stands there twice"
    return dict(found)


@cache
def documented(path: Path) -> dict[str, str]:
    """By class and name: what the docstring below an attribute says, as one line."""
    texts = {}
    for owner in ast.walk(ast.parse(path.read_text())):
        if isinstance(owner, ast.ClassDef):
            for node, after in zip(owner.body, owner.body[1:], strict=False):
                targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                if isinstance(targets[0], ast.Name) and isinstance(after, ast.Expr):
                    texts[f"{owner.name}.{targets[0].id}"] = " ".join(ast.literal_eval(after.value).split())
    return texts


def settings_table() -> list[str]:
    """The rows that docs/operating.md must have, from the code."""
    texts = documented(WORKER / "edgerelay" / "config.py")
    return [
        f"| `{each.name.upper()}` | {_default(each.default)} | {_values(dict(each.metadata))} "
        f"| {texts[f'Settings.{each.name}']} |"
        for each in fields(Settings)
    ]


def _default(value: object) -> str:
    return str(value) if isinstance(value, int) else f"`{value}`" if value else "empty"


def _values(rules: dict[str, Any]) -> str:
    if "allowed" in rules:
        return ", ".join(f"`{each}`" for each in rules["allowed"])
    if "minimum" in rules:
        return f"{rules['minimum']} to {rules['maximum']}"
    if "schemes" in rules:
        return " or ".join(f"`{each}://host`" for each in rules["schemes"])
    return "a secret" if rules.get("secret") else "any text"


def state_fields(published: Any = Snapshot, prefix: str = "") -> Iterator[str]:
    """The names of everything in `/state`, with dots between them."""
    for name, kind in get_type_hints(published).items():
        inner = [each for each in (kind, *get_args(kind)) if hasattr(each, "__required_keys__")]
        if inner:
            yield from state_fields(inner[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def log_events() -> set[tuple[str, str]]:
    """(event, level) of every line that the code can write to the log."""
    calls = [
        node
        for module in modules(WORKER)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and len(node.args) >= 2
    ]
    named = [(call, [each.value if isinstance(each, ast.Constant) else None for each in call.args]) for call in calls]
    return {(str(args[1]), str(args[0])) for call, args in named if _name(call.func) in ("Log", "write") and args[1]}


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def missing(test: re.Match[str]) -> str:
    """What of a named test does not exist; empty if all of it does."""
    path, names = ROOT / test[1], test[2].split("::")[1:]
    if not path.is_file():
        return test[0]
    body: list[ast.stmt] = ast.parse(path.read_text()).body
    for name in names:
        found = [x for x in body if isinstance(x, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
        named = [each for each in found if each.name == name]
        if not named:
            return test[0]
        body = named[0].body
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
class TestEveryPage:
    def test_links_lead_somewhere(self, page: Path) -> None:
        targets = [match[1] for match in LINK.finditer(page.read_text()) if "://" not in match[1]]
        assert not [target for target in targets if not (page.parent / target).exists()]

    def test_files_that_are_named_exist(self, page: Path) -> None:
        named = {match[1] for match in MODULE_PATH.finditer(page.read_text())}
        assert not [name for name in named if not (ROOT / name).exists()]

    def test_tests_that_are_named_exist(self, page: Path) -> None:
        assert not [each for each in map(missing, TEST.finditer(page.read_text())) if each]

    def test_no_place_of_one_machine_is_named(self, page: Path) -> None:
        assert not [place for place in PLACES_OF_ONE_MACHINE if place in page.read_text()]

    def test_it_can_be_read_in_one_go(self, page: Path) -> None:
        assert len(page.read_text().splitlines()) <= 300


class TestInvariants:
    def test_each_has_its_number_and_says_where_it_stands(self) -> None:
        titles = re.findall(r"^## (\d+)\. .+$", (DOCS / "invariants.md").read_text(), re.MULTILINE)
        assert titles == [str(number) for number in range(1, 10)]

    def test_each_names_tests_or_says_that_there_is_nothing_yet(self) -> None:
        parts = re.split(r"^## \d+\. ", (DOCS / "invariants.md").read_text(), flags=re.MULTILINE)[1:]
        assert not [part.splitlines()[0] for part in parts if bool(TEST.search(part)) == ("**Not there yet.**" in part)]


def test_every_reason_to_refuse_is_explained() -> None:
    table = rows(DOCS / "validation.md", "Reasons")
    assert list(table) == [str(reason) for reason in RejectReason]
    assert {reason: cells[0] for reason, cells in table.items()} == {each: each.meaning for each in RejectReason}


def test_every_setting_is_explained_as_the_code_does() -> None:
    found = [line for line in section(DOCS / "operating.md", "Settings").splitlines() if line.startswith("| `")]
    assert found == settings_table()


def test_everything_in_the_state_is_explained() -> None:
    assert list(rows(DOCS / "operating.md", "/state")) == list(state_fields())


def test_every_line_of_the_log_is_explained() -> None:
    table = rows(DOCS / "operating.md", "Log")
    levels = {f"`{level}`" for level in LOG_LEVELS}
    assert {cells[0] for cells in table.values()} <= levels
    assert {(event, cells[0].strip("`")) for event, cells in table.items()} == log_events()


def test_every_state_of_the_upstream_is_drawn() -> None:
    drawing = section(DOCS / "architecture.md", "The upstream")
    assert not [name for name in (*UpstreamState, *PauseReason) if name not in drawing]


def test_every_command_is_named() -> None:
    text = (DOCS / "operating.md").read_text()
    assert not [name for name in COMMANDS if f"`edgerelay {name}" not in text]


def test_decisions_are_numbered_dated_and_listed() -> None:
    assert not [page.name for page in DECISIONS if not DECISION_NAME.fullmatch(page.name)]
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for page in DECISIONS:
        title, _, date = page.read_text().splitlines()[:3]
        assert title.startswith(f"# {page.name[:4]}: ")
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", date), page.name
    listed = [Path(match[1]).name for match in LINK.finditer(section(DOCS / "architecture.md", "Decisions"))]
    assert listed == [page.name for page in DECISIONS]


if __name__ == "__main__":
    print("\n".join(settings_table()))
