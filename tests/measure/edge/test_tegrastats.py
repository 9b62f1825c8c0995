"""Lines of tegrastats of several releases and boards; all figures are invented, the forms are real."""

import pytest

from defectbench.measure.edge.tegrastats import parse_line, summarise_lines

NANO = (
    "11-29-2026 10:00:00 RAM 1500/7620MB (lfb 100x4MB) SWAP 0/3810MB (cached 0MB) CPU [5%@1510,0%@729,off,off,0%@729,"
    "0%@729] EMC_FREQ 3%@2133 GR3D_FREQ 42%@[612] NVDEC off NVJPG off NVJPG1 off VIC off OFA off APE 200 cpu@48.5C "
    "soc2@46.5C soc0@48.6C gpu@49.6C tj@49.6C soc1@47.9C VDD_IN 5200mW/5100mW VDD_CPU_GPU_CV 900mW/850mW "
    "VDD_SOC 1400mW/1390mW"
)
AGX = (
    "11-29-2026 10:00:00 RAM 4000/62800MB (lfb 9x4MB) CPU [1%@2201,off] EMC_FREQ 0% GR3D_FREQ 12%@[1300,1300] NVENC off "
    "NVDEC off NVDLA0 off NVDLA1 off PVA0_FREQ off cpu@50C VDD_GPU_SOC 3000mW/2900mW VDD_CPU_CV 1000mW/1000mW "
    "VIN_SYS_5V0 4000mW/4000mW"
)
R35 = (
    "RAM 2000/15500MB (lfb 1x4MB) SWAP 0/7750MB (cached 0MB) CPU [12%@729,off] EMC_FREQ 0%@2133 GR3D_FREQ 0%@611 VIC_FREQ "
    "729 APE 174 CV0@-256C CPU@47.9C GPU@45.8C SOC1@46C VDD_IN 4800mW/4800mW VDD_CPU_GPU_CV 500mW/500mW VDD_SOC 900mW/900mW"
)
EARLY_AGX = "RAM 2000/30000MB (lfb 1x4MB) CPU [1%@729] EMC_FREQ 0% GR3D_FREQ 0% cpu@40C"
R32 = "RAM 1800/3964MB (lfb 1x4MB) SWAP 0/1982MB (cached 0MB) IRAM 0/252kB(lfb 252kB) CPU [9%@102,5%@102] EMC_FREQ 0% GR3D_FREQ 0% VDD_IN 2400/2350 PLL@30C"
THOR = (
    "RAM 4000/125000MB (lfb 9x4MB)  CPU [1%@2601]  EMC_FREQ 1%@4266 GR3D_FREQ @[1000,1000,1000] NVDEC0 off NVJPG0 off "
    "gpu@49.6C/49.1C VDD_IN 30000mW/29000mW/31000mW"
)


def test_orin_nano_tells_the_input_of_its_module_in_one_rail():
    sample = parse_line(NANO)
    assert (sample.ram_mb, sample.ram_total_mb) == (1500, 7620)
    assert sample.cpu_percent == [5, 0, None, None, 0, 0]
    assert (sample.emc_percent, sample.gpu_percent, sample.gpu_mhz) == (3, 42, [612])
    assert sample.temperatures_c["gpu"] == 49.6
    assert sample.rails_mw == {"VDD_IN": 5200, "VDD_CPU_GPU_CV": 900, "VDD_SOC": 1400}
    assert sample.board_w == 5.2  # now, and neither the mean nor the sum of the rails


def test_agx_orin_tells_it_in_three():
    sample = parse_line(AGX)
    assert sample.board_w == 8.0
    assert sample.gpu_mhz == [1300, 1300]


@pytest.mark.parametrize(
    ("line", "percent", "clocks"),
    [(R35, 0, [611]), (EARLY_AGX, 0, []), (THOR, None, [1000, 1000, 1000])],
)
def test_the_load_of_the_gpu_has_many_forms(line, percent, clocks):
    sample = parse_line(line)
    assert (sample.gpu_percent, sample.gpu_mhz) == (percent, clocks)


def test_a_sensor_that_is_off_is_left_out_and_names_may_be_capitals():
    assert parse_line(R35).temperatures_c == {"CPU": 47.9, "GPU": 45.8, "SOC1": 46.0}


def test_rails_without_unit_and_with_a_third_number():
    assert parse_line(R32).rails_mw == {"VDD_IN": 2400}
    assert parse_line(THOR).rails_mw == {"VDD_IN": 30000}
    assert parse_line(THOR).temperatures_c == {"gpu": 49.6}


def test_a_board_without_known_rails_tells_no_power():
    assert parse_line(EARLY_AGX).board_w is None
    some = parse_line(AGX.replace("VDD_CPU_CV 1000mW/1000mW ", ""))
    assert some.board_w is None  # two of three would be too little


def test_lines_are_summed_up_and_those_that_are_none_are_counted():
    other = NANO.replace("VDD_IN 5200mW", "VDD_IN 7200mW").replace("gpu@49.6C", "gpu@60C")
    told = summarise_lines([NANO, "", "tegrastats: error", other])
    assert (told["n_samples"], told["n_unparsed_lines"]) == (2, 1)
    assert (told["board_w_mean"], told["board_w_max"]) == (6.2, 7.2)
    assert told["temperatures_c_max"]["gpu"] == 60.0
    assert told["rails_mw_mean"]["VDD_SOC"] == 1400
    nothing = summarise_lines([])
    assert nothing["board_w_mean"] is None
    assert nothing["n_samples"] == 0
