"""Make ``.ci/floors.csv`` from the measured spread, and say how often a sound run falls below one of them.

Usage: make_floors.py [--check]: with the option nothing is written, and floors that are not those of the spread fail.
"""

import sys

from gate.floors import (
    CELLS,
    FLOORS,
    SPREAD,
    false_alarm,
    made_floors,
    read_floors,
    write_floors,
)


def main(arguments):
    """Write or check the floors."""
    methods, cells = made_floors()
    floors = [*methods, *cells]
    if "--check" in arguments:
        stored = read_floors()
        assert stored == {floor.method: floor for floor in floors}, (
            f"{FLOORS} is not of {SPREAD} and {CELLS}"
        )
    else:
        write_floors(floors)
    for floor in floors:
        print(
            f"{floor.method:32} {floor.n} runs  {floor.mean:.3f} +- {floor.own_sd:.3f}  {floor.floor:.3f}"
        )
    alarm = 1 - (1 - false_alarm(methods)) * (1 - false_alarm(cells, beside=methods))
    print(f"{len(floors)} floors; a sound run falls below one of them in {alarm:.2%} of all cases")


if __name__ == "__main__":
    main(sys.argv[1:])
