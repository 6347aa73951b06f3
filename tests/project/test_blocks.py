"""Code blocks of README and docs: each is run by a test, or is output with the command that made it."""

from pathlib import Path

from tests.project.blocks import OUTPUT, PAGES, blocks_of
from tests.project.notebook import NOTEBOOK, PAGE, notebook


def test_blocks_are_run_or_output() -> None:
    """Each has a test that runs it, or is output; at most a fifth are output."""
    blocks = [block for page in PAGES for block in blocks_of(page)]
    assert [fault for block in blocks for fault in block.faults()] == []
    assert 5 * sum(block.language == OUTPUT for block in blocks) <= len(blocks)
    assert sum(page.read_text("utf-8").count("\n```") for page in PAGES) == 2 * len(blocks), "a fence that is not seen"


def test_faults_of_a_block_are_found(tmp_path: Path) -> None:
    """No language, output without a command, a test that is not there, and one that does not name the page."""
    page = tmp_path / "page.md"
    fences = ["```\na\n```", "```console\na\n```", "<!-- run by tests/none.py -->\n```sh\na\n```"]
    page.write_text("\n\n".join([*fences, "<!-- run by tests/conftest.py -->\n```sh\na\n```", "```sh\na\n```"]))
    words = ["no language", "without the command", "not there", "does not name page.md"]
    faults = [fault for block in blocks_of(page) for fault in block.faults()]
    assert len(faults) == len(words)
    assert all(word in fault for word, fault in zip(words, faults, strict=True))


def test_notebook_is_the_page() -> None:
    """`python -m tests.project.notebook` writes it."""
    assert NOTEBOOK.read_text("utf-8") == notebook(PAGE.read_text("utf-8"))
