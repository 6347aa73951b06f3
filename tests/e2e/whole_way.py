"""All that users do with a set and a run, one command after the other, in the home folder of the environment."""

import sys
from pathlib import Path

from tests.e2e.commands import SMALL, headrace


def main() -> None:
    """Run the commands; what they print is kept in files beside the home folder. Ends at the first that fails."""
    home = Path.home()
    own = home / "own.toml"
    cached = ("--set=runtime.cache=decoded", f"--set=runtime.cache_dir={home / 'decoded'}")
    settings = [word for word in SMALL if not word.startswith("--recipe")]
    shards, run = home / "set", home / "run"
    parquet = ("--format=parquet", "--out", home / "absolute.parquet")
    commands: dict[str, tuple[str | Path, ...]] = {
        "prep": ("prep", home / "pictures.zip", shards, "--classes-from", home / "classes.txt"),
        "inspect": ("inspect", shards, "--sheet", home / "sheet.png"),
        "verify": ("verify", shards, "--json"),
        "train": ("train", shards, "--recipe", own, *settings, *cached, "--nproc=2", "--profile=2", "--out", run),
        "eval": ("eval", run, shards, "--out", home / "evaluated", "--device=cpu"),
        "predict": ("predict", run, "pictures.zip", "--out", home / "answers.csv", "--sheet", home / "seen.png"),
        "report": ("report", run),
        "export": ("export", run, home / "exported", "--format=torch"),
        "absolute listing": ("prep", home / "listed.csv", home / "listed", "--val-fraction=0.3"),
        "predict absolute paths": ("predict", run, home / "photographs", *parquet),
        "version": ("--version", "--json"),
    }
    for name, command in commands.items():
        ended = headrace(*command)
        home.with_name(f"{name}.out").write_text(ended.stdout)
        if ended.code:
            sys.exit(f"{name}: exit code {ended.code}\n{ended.stdout}\n{ended.stderr}")


if __name__ == "__main__":
    main()
