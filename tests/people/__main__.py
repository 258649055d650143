"""`python -m tests.people FOLDER`: draw a gallery, and queries that are not in it."""

import argparse
from pathlib import Path

from tests.people import draw_people, hold_out


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.people", description="Draw crops of synthetic pedestrians."
    )
    parser.add_argument("folder", type=Path, help="where the crops go")
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--cameras", type=int, default=3)
    parser.add_argument("--shots", type=int, default=2, help="crops of each person by each camera")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--query", type=Path, metavar="FOLDER", help="move one crop of each person here")
    options = parser.parse_args()
    crops = draw_people(
        options.folder, people=options.people, cameras=options.cameras, shots=options.shots, seed=options.seed
    )
    queries = hold_out(crops, options.query) if options.query else []
    print(f"{len(crops) - len(queries)} crops in {options.folder}")
    if queries:
        print(f"{len(queries)} queries in {options.query}")


if __name__ == "__main__":
    main()
