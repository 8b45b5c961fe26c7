"""Templates: a folder per template, a file per locale, and the layouts that they share."""

from pathlib import Path

FOLDER = Path(__file__).parent
