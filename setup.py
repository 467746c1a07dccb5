"""What pyproject.toml cannot say: the recorded runs in results/ travel with the installed library.

A chapter that is opened in Colab installs the library from the repository's address and then reads
the records; without this they would stay behind.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithRecords(build_py):
    """Copies results/ into the package as align/results."""

    def run(self) -> None:
        """Build as usual, then add the records; an editable install reads them where they are."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "align" / "results"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree("results", target)


setup(cmdclass={"build_py": WithRecords})
