"""The two READMEs say the same: commands, code and figures; and each figure of accuracy names its source."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"


def blocks(page: Path) -> list[tuple[str, str]]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [(language, without_comments(language, code)) for language, code in found]


def without_comments(language: str, code: str) -> str:
    if language == "console":
        return code
    return "\n".join(re.sub(r"\s+#.*$", "", line) for line in code.splitlines())


def section(page: Path, number: int) -> str:
    """The section of this number, counted from 0; the two pages have the same ones."""
    return re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[number + 1]


def figures(text: str) -> list[str]:
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    prose = re.sub(r"\]\([^)]*\)|<[^>]*>|`[^`]*`", "", prose)  # links, pictures and names have figures of their own
    return sorted(re.findall(r"\d+(?:\.\d+)?", prose))


def test_both_have_the_same_sections_commands_and_code():
    assert blocks(ENGLISH) == blocks(CHINESE)
    headings = [len(re.findall(r"^## ", page.read_text(encoding="utf-8"), re.MULTILINE)) for page in (ENGLISH, CHINESE)]
    assert headings[0] == headings[1]


def test_both_have_the_same_figures():
    n = len(re.findall(r"^## ", ENGLISH.read_text(encoding="utf-8"), re.MULTILINE))
    for i in range(n):
        assert figures(section(ENGLISH, i)) == figures(section(CHINESE, i)), section(ENGLISH, i).splitlines()[0]


def test_both_link_to_the_same_files():
    def links(page: Path) -> set[str]:
        text = page.read_text(encoding="utf-8")
        found = re.findall(r"\]\(([^)#]+)|(?:src|srcset)=\"([^\"]+)\"", text)
        return {one or other for one, other in found} - {"README.md", "README.zh-CN.md"}

    assert links(ENGLISH) == links(CHINESE)
    for link in links(ENGLISH):
        assert link.startswith("https://") or (ROOT / link).exists(), link


@pytest.mark.parametrize("page", [ENGLISH, CHINESE], ids=lambda page: page.name)
def test_the_other_language_is_on_the_first_screen(page):
    other = CHINESE if page == ENGLISH else ENGLISH
    assert f"]({other.name})" in "".join(page.read_text(encoding="utf-8").splitlines(keepends=True)[:5])


@pytest.mark.parametrize("page", [ENGLISH, CHINESE], ids=lambda page: page.name)
def test_rows_of_accuracy_name_the_file_of_their_figures(page):
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    figures_of = [line for line in rows if re.search(r"\d\.\d", line)]
    assert figures_of
    for line in figures_of:
        assert "](benchmarks/results/" in line, line
