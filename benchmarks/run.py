"""Run every benchmark, one after the other, then make the tables: python benchmarks/run.py --data FOLDER."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tables import SECTIONS

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=list(SECTIONS), nargs="*", default=list(SECTIONS))
    options = parser.parse_args()
    for name in options.only:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, str(HERE / f"{name}.py"), "--data", str(options.data)], check=True)
    subprocess.run([sys.executable, str(HERE / "tables.py")], check=True)


if __name__ == "__main__":
    main()
