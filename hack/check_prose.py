"""`python -m hack.check_prose [PATH...]`: check the language of code and documents; `--figures` prints the counts.

The rules are those of CONTRIBUTING.md, "Language".
"""

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from hack.prose import language, structure
from hack.prose.figures import Figures

GENERATED = frozenset({"docs/reference.md", "docs/benchmarks.md", "CHANGELOG.md"})


def tracked_files(paths: Iterable[str]) -> list[Path]:
    """Return the tracked Python files and documents below `paths`."""
    done = subprocess.run(["git", "ls-files", "--", *paths], capture_output=True, text=True, check=True)
    names = [name for name in done.stdout.splitlines() if name.endswith((".py", ".md")) and name not in GENERATED]
    return [Path(name) for name in names if Path(name).is_file()]


def check_files(paths: Iterable[Path]) -> tuple[Figures, list[str]]:
    """Return the figures of all files, and a line for each violation of a rule about single files."""
    figures = Figures()
    violations: list[str] = []
    for path in paths:
        if path.suffix == ".md":
            violations += language.check_document(path, figures)
        else:
            figures.files += path.parts[0] in structure.PACKAGES
            violations += language.check_code(path, figures)
    return figures, violations


def check_structure(paths: Iterable[Path]) -> list[str]:
    """Return a line for each violation of a rule about files and classes."""
    code = [path for path in paths if path.suffix == ".py"]
    everything = [path for path in tracked_files(["."]) if path.suffix == ".py"]
    reasons = structure.read_reasons(structure.SHORT_FILES.read_text())
    return [
        *structure.check_lengths(code, reasons),
        *(f"{path}: remove it from {structure.SHORT_FILES.name}" for path in reasons if not Path(path).is_file()),
        *structure.check_test_files(code, frozenset(map(str, everything))),
        *structure.check_private_modules(code),
        *structure.check_patches(code),
        *structure.check_class_names(code, (path for path in everything if path.parts[0] in structure.PACKAGES)),
    ]


def main(arguments: list[str]) -> int:
    """Print violations, and with `--figures` the counts; return 1 if a rule or a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("paths", nargs="*", default=["."])
    parser.add_argument("--figures", action="store_true")
    options = parser.parse_args(arguments)
    paths = tracked_files(options.paths)
    figures, violations = check_files(paths)
    violations += check_structure(paths)
    print("\n".join(violations), end="\n" if violations else "")
    rows = list(figures.rows())
    if options.figures:
        for label, value, limit, is_kept in rows:
            print(f"{'ok  ' if is_kept else 'over'}  {label}: {value:.3g} (limit {limit:g})")
    return 1 if violations or not all(is_kept for *_, is_kept in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
