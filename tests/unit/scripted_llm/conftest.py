"""Import path of the scripted model, which is a folder of scripts and not a package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "scripted-llm"))
