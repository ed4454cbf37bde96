"""The README says what the program does: every command it shows is parsed or run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from bmepipe import RESEARCH_ONLY
from bmepipe.cli import parser

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


EVALUATE = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")


def shown_commands(page: str = README) -> list[str]:
    """Every line of a page's shell blocks, comments stripped."""
    blocks = re.findall(r"```(?:bash|sh|console)\n(.*?)```", page, flags=re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_the_two_commands_come_first():
    assert shown_commands()[:2] == ["scripts/demo", "scripts/test"]


@pytest.mark.parametrize(
    "command",
    [c for c in (*shown_commands(), *shown_commands(EVALUATE)) if c.startswith("bmepipe ")],
)
def test_every_bmepipe_command_is_understood(command):
    parser().parse_args(shlex.split(command)[1:])  # SystemExit 2 if it is not


@pytest.mark.parametrize("command", [c for c in shown_commands() if not c.startswith("bmepipe ")])
def test_every_other_command_is_there(command):
    program = shlex.split(command)[0]
    known = {"git", "cd", "pip", "python", "python3", "export"}
    assert program in known or (ROOT / program).stat().st_mode & 0o100


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)", README))
def test_every_link_leads_somewhere(link):
    assert (ROOT / link).exists()


def test_it_says_that_it_is_no_medical_device():
    assert RESEARCH_ONLY.rstrip(".").lower() in README.lower()


def test_ci_runs_the_very_command_of_the_readme():
    assert "scripts/test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
