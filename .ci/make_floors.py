"""Make ``.ci/floors.csv`` from the measured spread, and say how often a sound run falls below one of them.

Usage: make_floors.py [--check]: with the option nothing is written, and floors that are not those of the spread fail.
"""

import sys

from gate.floors import (
    FLOORS,
    SPREAD,
    false_alarm,
    floors_of,
    read_floors,
    read_spread,
    write_floors,
)


def main(arguments):
    """Write or check the floors."""
    floors = floors_of(read_spread())
    if "--check" in arguments:
        stored = read_floors()
        assert stored == {floor.method: floor for floor in floors}, f"{FLOORS} is not of {SPREAD}"
    else:
        write_floors(floors)
    for floor in floors:
        print(
            f"{floor.method:32} {floor.n} runs  {floor.mean:.3f} +- {floor.own_sd:.3f}  {floor.floor:.3f}"
        )
    print(
        f"{len(floors)} floors; a sound run falls below one of them in {false_alarm(floors):.2%} of all cases"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
