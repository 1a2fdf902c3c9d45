"""What the pages say is there is there: links, settings, job examples, modules, files, and README's diff."""

from __future__ import annotations

import ast
import difflib
import re
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import hpctrain
from hpctrain.job.load import load_job
from hpctrain.job.settings import Job

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
COMMANDS = {"sh", "console"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def fences(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of these languages; of all without one."""
    found = FENCE.findall(page.read_text())
    return [text for info, text in found if not languages or info.split()[0:1] in [[name] for name in languages]]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def code(page: Path) -> Iterator[str]:
    """What stands in backticks, and the commands."""
    yield from re.findall(r"`([^`]+)`", prose(page))
    yield from fences(page, *COMMANDS)


def anchors(page: Path) -> set[str]:
    """The headings of a page as a link names them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", prose(page)):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), f"{page}: {link}"
            assert not anchor or anchor in anchors(target), f"{page}: {link}"


@each_page
def test_settings_are_settings(page: Path) -> None:
    sections = {name: field.default for name, field in Job.model_fields.items()}
    named = re.compile(rf"(?<![\w./-])({'|'.join(sections)})\.([a-z]\w*)(?![\w.(])")
    files = {"md", "py", "toml", "json", "safetensors"}
    for text in code(page):
        for section, key in named.findall(text):
            assert key in {*type(sections[section]).model_fields, *files}, f"{page}: {section}.{key}"


@each_page
def test_job_examples_are_valid_jobs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that an example names are made up; a source without a model gets one that takes anything."""
    monkeypatch.chdir(tmp_path)
    for example in fences(page, "toml"):
        tables = tomllib.loads(example)
        for path in (tables.get("data", {}).get(key) for key in ("path", "test_path")):
            if path:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                Path(path).touch()
        Path("job.toml").write_text(example)
        load_job("job.toml", () if "model" in tables else ("model.kind=mlp",))


@each_page
def test_modules_and_public_names_exist(page: Path) -> None:
    for text in [*code(page), *fences(page, "python", "diff")]:
        for name in re.findall(r"(?<![\w/.-])hpctrain(?:\.[a-z]\w*)+", text):
            assert name.removeprefix("hpctrain.") in hpctrain.__all__ or has_module(name), f"{page}: {name}"


def has_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@each_page
def test_files_exist(page: Path) -> None:
    """From the root of the repository, or from some room of the package."""
    package = [file.as_posix() for file in (ROOT / "hpctrain").rglob("*.py")]
    for text in code(page):
        for path in re.findall(r"(?<![\w./<>-])(?:[\w-]+/)+[\w-]+\.(?:py|toml|md|sh|png)\b", text):
            assert (ROOT / path).exists() or any(file.endswith(f"/{path}") for file in package), f"{page}: {path}"


def test_extras_are_those_of_the_package() -> None:
    keywords = (node for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())) if isinstance(node, ast.keyword))
    known = next(ast.literal_eval(keyword.value) for keyword in keywords if keyword.arg == "extras_require")
    for page in PAGES:
        for extras in re.findall(r"(?:hpctrain|\.)\[([\w,-]+)\]", page.read_text()):
            assert set(extras.split(",")) <= known.keys(), f"{page}: {extras}"


def test_the_diff_in_readme_is_that_of_the_examples() -> None:
    names = ["examples/plain_loop.py", "examples/distributed_loop.py"]
    plain, distributed = ((ROOT / name).read_text().splitlines(keepends=True) for name in names)
    assert fences(ROOT / "README.md", "diff") == ["".join(difflib.unified_diff(plain, distributed, *names))]


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 250
