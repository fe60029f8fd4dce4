"""Write docs/help.md from the program's own help. Run by `make docs`; a test compares the two."""

from pathlib import Path

from click.testing import CliRunner

from lamina.cli.main import cli

HERE = Path(__file__).parent


def help_page() -> str:
    """Return the page: the help of ``lamina`` and of each of its commands, at a width of 100."""
    commands = cli.list_commands(None)  # type: ignore[arg-type]
    parts = ["# The command line\n\nGenerated from the program by `make docs`.\n"]
    for arguments in ([], *([name] for name in commands)):
        name = " ".join(["lamina", *arguments])
        result = CliRunner().invoke(cli, [*arguments, "--help"], prog_name="lamina", terminal_width=100)
        parts.append(f"## {name}\n\n```text\n{result.output.rstrip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    (HERE / "help.md").write_text(help_page(), encoding="utf-8")
