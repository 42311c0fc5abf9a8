"""The scripted model is a folder of scripts, not a package: found as its image finds it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "scripted-llm"))
