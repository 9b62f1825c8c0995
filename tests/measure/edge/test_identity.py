"""What a board is, from its own texts; all figures of the samples are invented."""

import pytest

from defectbench.measure.edge.identity import (
    board_card,
    board_model,
    clocks_locked,
    clocks_told,
    l4t_release,
    memory_gib,
    power_mode,
    processor_name,
)

R36 = """# R36 (release), REVISION: 4.3, GCID: 00000000, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025
# KERNEL_VARIANT: oot
TARGET_USERSPACE_LIB_DIR=nvidia
TARGET_USERSPACE_LIB_DIR_PATH=usr/lib/aarch64-linux-gnu/nvidia
"""
R35 = "# R35 (release), REVISION: 4.1, GCID: 00000000, BOARD: t186ref, EABI: aarch64, DATE: Tue\n"


@pytest.mark.parametrize(
    ("text", "release"), [(R36, "36.4.3"), (R35, "35.4.1"), ("", None), (None, None), ("R36", None)]
)
def test_the_release_of_jetson_linux_is_major_and_revision(text, release):
    assert l4t_release(text) == release


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("NV Power Mode: MAXN_SUPER\n2\n", "MAXN_SUPER"),
        ("NV Power Mode: 15W\n0\n", "15W"),
        (
            "NVPM VERB: Config file: /etc/nvpmodel.conf\nNVPM VERB: Current mode: NV Power Mode: 25W\n1\n",
            "25W",
        ),
        ("NV Power Mode: MODE_15W\n2\n", "MODE_15W"),
        ("NV Power Mode: \n3\n", None),  # no name: its number would mean another mode elsewhere
        ("nvpmodel: not found", None),
        (None, None),
    ],
)
def test_the_power_mode_is_a_name_wherever_it_stands_and_never_a_number(text, mode):
    assert power_mode(text) == mode


def test_the_model_ends_in_a_nul_byte():
    assert board_model("NVIDIA Orin NX Developer Kit\0") == "NVIDIA Orin NX Developer Kit"
    assert board_model("\0") is None
    assert board_model(None) is None


CLOCKS = """SOC family:tegra234  Machine:NVIDIA Jetson
cpu0: Online=1 Governor=schedutil MinFreq={low} MaxFreq=1510400 CurrentFreq=1510400 IdleStates: WFI=1
GPU MinFreq={gpu} MaxFreq=624750000 CurrentFreq=306000000
"""


def test_clocks_are_locked_where_each_stands_at_its_highest():
    assert clocks_locked(CLOCKS.format(low=1510400, gpu=624750000)) is True
    assert clocks_locked(CLOCKS.format(low=729600, gpu=624750000)) is False


@pytest.mark.parametrize(
    "text", ["sudo: a password is required\n", "Error: must be run as root", "", None]
)
def test_clocks_that_are_not_told_are_unknown(text):
    assert clocks_told(text) is None
    assert clocks_locked(text) is None


def test_processor_and_memory():
    assert processor_name("processor\t: 0\nmodel name\t: ARMv8 Processor rev 1\n") == (
        "ARMv8 Processor rev 1"
    )
    assert processor_name("processor : 0\nCPU part\t: 0xd42\n") == "0xd42"
    assert processor_name(None) is None
    assert memory_gib("MemTotal:        7802152 kB\n") == 7.4


def test_a_card_says_what_is_known_and_none_of_the_rest():
    look = {
        "texts": dict.fromkeys(("release", "model", "system", "processor", "memory"))
        | {"release": R36, "system": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n'},
        "programs": {"power_mode": "NV Power Mode: 15W\n0\n", "clocks": None},
        "architecture": "aarch64",
        "kernel": "5.15.148-tegra",
        "python": "3.10.12",
        "cores": 6,
        "modules": {"numpy": "1.26.1", "tensorrt": "10.3.0", "ncnn": None},
        "machine": "0123456789ab",
        "emulated": False,
    }
    card = board_card(look)
    assert (card["l4t"], card["power_mode"], card["clocks_locked"]) == ("36.4.3", "15W", None)
    assert card["system"] == "Ubuntu 22.04.5 LTS"
    assert card["versions"] == {"numpy": "1.26.1", "tensorrt": "10.3.0"}
    assert (card["model"], card["cpu"], card["memory_gib"]) == (None, None, None)
