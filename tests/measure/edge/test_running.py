"""A bundle on a host that is reached by a real ssh: sent, run, brought back; interrupted, and gone on with."""

import json
import shutil

import pytest
from tests.edge_boards import (
    SHORT,
    SSHD,
    WITHOUT_SSHD,
    Board,
    make_cell,
    make_class_cell,
    make_free_cell,
)
from tests.measure.edge.trtexec_runs import run as trtexec_run

from defectbench.base.boards import board_form
from defectbench.base.engines import Form
from defectbench.base.errors import ConfigError, HashMismatchError, HostError, MeasurementError
from defectbench.base.files import sha256_file
from defectbench.base.records import ABSENT, read_record
from defectbench.cli import main
from defectbench.deploy.edge import board as boards
from defectbench.deploy.edge import bundle as bundles
from defectbench.deploy.edge.board import OURS
from defectbench.deploy.edge.bundle import read_bundle
from defectbench.deploy.edge.sessions import SESSIONS
from defectbench.deploy.edge.state import MODULES, identity
from defectbench.deploy.engines.files import inputs_of, recorded_sha256
from defectbench.measure.edge import joining, running
from defectbench.measure.edge.packing import pack_cells
from defectbench.measure.edge.running import run_on_board

pytestmark = pytest.mark.skipif(SSHD is None, reason=WITHOUT_SSHD)
FEW = SHORT.model_copy(update={"processes": 1, "rounds": 2, "burst_calls": 0})
ONE, TWO = [Form("onnxruntime")], [Form("onnxruntime"), Form("openvino")]


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    made = Board(tmp_path_factory.mktemp("board") / "it's a board").start()
    yield made
    made.vanish()


@pytest.fixture
def cell(tmp_path):
    return make_cell(tmp_path / "my study's")


@pytest.fixture
def bundle(cell, tmp_path):
    return pack_cells([cell], ONE, tmp_path / "a bundle's", SHORT, 4)


def silent(line):
    """Nobody watches."""


def test_a_bundle_is_run_and_comes_back_as_records_of_the_cell(board, cell, tmp_path):
    bundle = pack_cells([cell], TWO, tmp_path / "a bundle's", SHORT, 4)
    host = board.host(tmp_path / 'on the "board"; it\'s $HOME `x` & ß')
    made = run_on_board(bundle, host, tmp_path / "orin", "orin", silent)
    assert made == [cell / "devices" / "orin" / form.name for form in TWO]
    whole = json.loads((cell / "predictions.json").read_text())
    for folder in made:
        accuracy = read_record(folder / "accuracy.json", "accuracy")
        assert accuracy["figures"]["n_images"] == 4
        mine = json.loads((folder / "predictions.json").read_text())
        ids = {row["image_id"] for row in mine}
        assert len(ids) == 4
        expected = [row for row in whole if row["image_id"] in ids]
        assert len(mine) == len(expected)
        latency = read_record(folder / "latency.json", "latency")
        assert latency["figures"]["ratio_to_reference"] > 0
        assert latency["figures"]["latency_ms_p99"] >= latency["figures"]["latency_ms_p50"]
        assert latency["board"]["machine"] == latency["board"]["machine"].lower()
        assert latency["emulated"] is False
        assert read_record(folder / "agreement.json", "agreement")["figures"]["n_images"] == 4
    exact = json.loads((made[0] / "predictions.json").read_text())
    assert exact == [row for row in whole if row["image_id"] in {r["image_id"] for r in exact}]


def test_two_models_of_one_engine_are_timed_in_one_race(board, cell, tmp_path):
    cells = [cell, make_cell(tmp_path / "my study's", "five")]
    bundle = pack_cells(cells, ONE, tmp_path / "bundle", FEW, 2)
    made = run_on_board(bundle, board.host(tmp_path / "there"), tmp_path / "o", "orin", silent)
    records = [read_record(folder / "latency.json", "latency") for folder in made]
    assert [record["figures"]["n_images"] for record in records] == [2, 2]
    assert records[0]["evidence"] == records[1]["evidence"]
    assert all("tegrastats" not in seen for record in records for seen in record["evidence"])


def test_a_model_that_its_engine_refuses_stops_no_other(board, cell, tmp_path, monkeypatch):
    copy = bundles._copy

    def spoil(folder, name, model, form):
        told = copy(folder, name, model, form)
        if name == "models/0":
            (folder / told).write_bytes(b"no graph")
        return told

    monkeypatch.setattr(bundles, "_copy", spoil)
    cells = [cell, make_cell(tmp_path / "my study's", "five")]
    bundle = pack_cells(cells, ONE, tmp_path / "bundle", FEW, 2)
    host, out, said = board.host(tmp_path / "there"), tmp_path / "o", []
    refused, able = run_on_board(bundle, host, out, "orin", said.append)
    for name in ("accuracy", "agreement", "latency"):
        reason = read_record(refused / f"{name}.json", name)["figures"][ABSENT]
        assert reason.startswith("onnxruntime: ")
        assert ABSENT not in read_record(able / f"{name}.json", name)["figures"]
    assert read_record(refused / "predictions.record.json", "predictions")["figures"][ABSENT]
    assert any(line.endswith(reason) and "four" in line for line in said)
    assert read_record(able / "latency.json", "latency")["figures"]["n_images"] == 2
    figures = read_record(out / "board.json", "board")["figures"]
    assert figures == {"n_models": 2, "n_refused": 1}
    asked = []
    run_on_board(bundle, host, out, "orin", asked.append)
    begun = [line.split()[0] for line in asked if line.endswith(host.name)]
    assert begun == ["predict-0"]  # it may have been memory; the race of the others is kept


def test_engines_that_ran_have_records_though_the_board_vanishes_in_a_later_one(
    board, cell, tmp_path, monkeypatch
):
    races = running.Asking.races

    def vanish_in_openvino(asking, engine, entries):
        if engine == "openvino":
            raise HostError("board", "connection", "ended", "run again")
        return races(asking, engine, entries)

    monkeypatch.setattr(running.Asking, "races", vanish_in_openvino)
    bundle = pack_cells([cell], TWO, tmp_path / "bundle", FEW, 2)
    with pytest.raises(HostError, match="run again"):
        run_on_board(bundle, board.host(tmp_path / "there"), tmp_path / "o", "orin", silent)
    made = [path.parent.name for path in cell.glob("devices/orin/*/latency.json")]
    assert made == ["onnxruntime"]


def test_the_verb_runs_a_bundle_on_a_board(board, cell, tmp_path, capsys):
    bundle = pack_cells([cell], ONE, tmp_path / "bundle", FEW, 2)
    host = board.host("unused")
    reached = ["--port", str(host.port), "--identity", str(host.identity)]
    reached += [word for option in host.options for word in ("--option", option)]
    there = ["--folder", str(tmp_path / "there"), "--python", host.python]
    out = ["--bundle", str(bundle.folder), "--out", str(tmp_path / "devices" / "orin")]
    assert main(["edge", "run", host.name, *out, *reached, *there]) == 0
    assert capsys.readouterr().out == f"{cell / 'devices' / 'orin' / 'onnxruntime'}\n"
    record = read_record(tmp_path / "devices" / "orin" / "board.json", "board")
    assert record["figures"]["n_models"] == 1
    assert main(["edge", "run", host.name, *out, "--name", "seed0"]) == 2
    assert "seed0" in capsys.readouterr().err


@pytest.mark.parametrize("make", [make_class_cell, make_free_cell])
def test_what_answers_once_an_image_gives_the_same_on_a_board(board, tmp_path, make):
    cell = make(tmp_path)
    bundle = pack_cells([cell], ONE, tmp_path / "bundle", FEW, 4)
    host = board.host(tmp_path / "there")
    (folder,) = run_on_board(bundle, host, tmp_path / "orin", "orin", silent)
    mine = json.loads((folder / "predictions.json").read_text())
    whole = {row["image_id"]: row for row in json.loads((cell / "predictions.json").read_text())}
    assert len(mine) == 4
    assert mine == [whole[row["image_id"]] for row in mine]
    assert read_record(folder / "accuracy.json", "accuracy")["figures"]["n_images"] == 4


def test_outputs_that_differ_are_an_error_and_no_record(board, cell, bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(joining, "BOUND", -1.0)
    with pytest.raises(MeasurementError, match="install another version"):
        run_on_board(bundle, board.host(tmp_path / "there"), tmp_path / "o", "orin", silent)
    assert not list(cell.glob("devices/*/*/*"))


def test_a_power_mode_that_changed_meanwhile_is_an_error(board, bundle, tmp_path, monkeypatch):
    modes = iter(["15W", "15W", "25W"])  # of the look twice, then of the race
    monkeypatch.setattr(running, "power_mode", lambda text: next(modes))
    host, out = board.host(tmp_path / "there"), tmp_path / "o"
    with pytest.raises(MeasurementError, match="power mode in race-onnxruntime-0"):
        run_on_board(bundle, host, out, "orin", silent)
    assert [path.stem for path in out.glob("answers/*/*.json")] == ["predict-0"]
    monkeypatch.setattr(running, "power_mode", lambda text: "15W")
    assert len(run_on_board(bundle, host, out, "orin", silent)) == 1


class Jetson:
    """A board that has trtexec and no module of TensorRT, played here: models are run by onnxruntime."""

    name = "jetson"

    def call(self, bundle, request, files=(), told=silent):
        if request["verb"] == "look":
            modules = dict.fromkeys(MODULES)
            return {**identity(), "modules": modules, "trtexec": "/x/trtexec", "missing": []}
        if request["verb"] == "predict":
            return boards.predict({**request, "folder": bundle.folder}, None)
        runs = []
        for n, entry in enumerate(request["entries"]):
            ms = 2.0 + entry
            runs += [trtexec_run(None, [1.0], 0.9), trtexec_run(n, [ms, ms], ms)]
        power = "11-29-2026 10:00:00 RAM 1000/7620MB CPU [5%@1510] VDD_IN 6000mW/6000mW"
        evidence = {"power_mode": identity()["programs"]["power_mode"], "tegrastats": [power]}
        return {"trtexec": runs, "evidence": evidence}


def test_models_that_trtexec_times_have_records_of_their_own(cell, tmp_path, monkeypatch):
    monkeypatch.setattr(
        boards, "BoardTrtexec", lambda path, entry: SESSIONS["onnxruntime"](path, entry, 1)
    )
    cells = [cell, make_cell(tmp_path / "my study's", "five")]
    bundle = pack_cells(cells, [board_form("tensorrt")], tmp_path / "bundle", FEW, 2)
    made = run_on_board(bundle, Jetson(), tmp_path / "o", "jetson", silent)
    records = [read_record(folder / "latency.json", "latency") for folder in made]
    assert [record["figures"]["ratio_to_reference"] for record in records] == pytest.approx([2, 3])
    assert [record["power"]["board_w_mean"] for record in records] == [6.0, 6.0]
    assert all(record["settings"]["by_trtexec"] for record in records)
    assert all((folder / "trtexec.json").is_file() for folder in made)


def test_timings_of_trtexec_that_have_no_figures_are_not_kept(bundle, tmp_path):
    class Answering:
        name = "board"

        def call(self, bundle, request, told):
            evidence = {"power_mode": None, "tegrastats": None}
            run = {"entry": None, "status": 0, "printed": "stopped", "export_times": "[]"}
            return {"trtexec": [run], "evidence": evidence}

    look = {"modules": {"tensorrt": None}, "programs": {"power_mode": None}}
    asking = running.Asking(bundle, Answering(), look, tmp_path / "kept", silent)
    with pytest.raises(MeasurementError, match="trtexec"):
        asking.races("onnxruntime", [0])
    assert not (tmp_path / "kept").exists()


def test_a_board_that_vanishes_is_named_and_a_later_call_goes_on(board, bundle, tmp_path):
    host, out = board.host(tmp_path / "there"), tmp_path / "orin"

    def pull_the_plug(line):
        if line.startswith("race 1 round 3"):
            board.vanish()

    try:
        with pytest.raises(HostError, match="run again") as lost:
            run_on_board(bundle, host, out, "orin", pull_the_plug)
        assert lost.value.field == "connection"
        with pytest.raises(HostError, match="switch the board on") as off:
            run_on_board(bundle, host, out, "orin", silent)
        assert off.value.field == "connection"
    finally:
        board.start()
    kept = sorted(path.stem for path in out.glob("answers/*/*.json"))
    assert kept == ["predict-0", "race-onnxruntime-0"]
    asked = []
    run_on_board(bundle, host, out, "orin", asked.append)
    begun = [line.split()[0] for line in asked if line.endswith(host.name)]
    assert begun == ["race-onnxruntime-1"]


def test_a_file_that_was_sent_is_not_sent_again_and_one_that_was_changed_is(
    board, bundle, tmp_path
):
    host = board.host(tmp_path / "there")
    look = host.call(bundle, {"verb": "look", "files": bundle.files})
    assert look["missing"] == list(bundle.files)
    first, *rest = look["missing"]
    host.call(bundle, {"verb": "receive"}, files=[first])
    look = host.call(bundle, {"verb": "look", "files": bundle.files})
    assert look["missing"] == rest
    assert host.call(bundle, {"verb": "receive"}, files=rest) == {"received": len(rest)}
    model = tmp_path / "there" / bundle.plan["entries"][0]["model"]
    model.write_bytes(b"another")
    assert host.call(bundle, {"verb": "look", "files": bundle.files})["missing"] == [
        bundle.plan["entries"][0]["model"]
    ]
    request = {"verb": "predict", "entry": 0, "plan": {**bundle.plan, "by_trtexec": False}}
    with pytest.raises(HostError, match="changed there"):
        host.call(bundle, request)


def test_a_folder_that_is_not_ours_is_left_alone(board, bundle, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "diary.txt").write_text("dear")
    with pytest.raises(HostError, match="something else is there"):
        run_on_board(bundle, board.host(tmp_path / "there"), tmp_path / "o", "orin", silent)
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["diary.txt"]


def test_a_host_whose_key_is_not_known_or_was_changed_is_refused(board, bundle, tmp_path):
    host = board.host(tmp_path / "there")
    known = board.home / "known_hosts"
    right = known.read_text()
    try:
        known.write_text("")
        with pytest.raises(HostError, match="host key"):
            run_on_board(bundle, host, tmp_path / "o", "orin", silent)
        known.write_text(right.replace(right.split()[2], wrong_key(tmp_path)))
        with pytest.raises(HostError, match="host key"):
            run_on_board(bundle, host, tmp_path / "o", "orin", silent)
    finally:
        known.write_text(right)
    assert not (tmp_path / "there").exists()


def wrong_key(folder):
    import subprocess

    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "other")]
    subprocess.run(command, check=True)
    return (folder / "other.pub").read_text().split()[1]


def test_a_login_that_is_refused_is_named(board, bundle, tmp_path):
    wrong_key(tmp_path)
    host = board.host(tmp_path / "there", identity=tmp_path / "other")
    with pytest.raises(HostError, match="login"):
        host.call(bundle, {"verb": "look", "files": {}})


def test_a_host_without_python_or_with_an_old_one_or_without_numpy_is_named(
    board, bundle, tmp_path
):
    def look(python):
        host = board.host(tmp_path / "there", python=str(python))
        return host.call(bundle, {"verb": "look", "files": {}})

    with pytest.raises(HostError, match=r"install Python 3\.8") as none:
        look(tmp_path / "no python's here")
    assert none.value.field == "python"
    # the interpreter of this machine, told that it is an old one, or kept from its packages
    real = shutil.which("python3")
    old = tmp_path / "old python"
    old.write_text(
        f'#!/bin/sh\nshift\nexec "{real}" -c "import sys; sys.version_info = (3, 6, 9); '
        'exec(sys.argv.pop(1))" "$@"\n'
    )
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec "{real}" -S -I "$@"\n')
    for script in (old, bare):
        script.chmod(0o755)
    with pytest.raises(HostError, match=r"version 3\.6"):
        look(old)
    with pytest.raises(HostError, match="pip install numpy"):
        look(bare)


def test_a_host_without_any_engine_of_the_bundle_is_named(board, bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "usable_engines", lambda bundle, look: [])
    with pytest.raises(HostError, match="pip install onnxruntime"):
        run_on_board(bundle, board.host(tmp_path / "there"), tmp_path / "o", "orin", silent)
    assert not (tmp_path / "there").exists()


def test_a_call_that_hangs_is_given_up(board, bundle, tmp_path):
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    host = board.host(tmp_path / "there", python=str(slow), longest_call_s=1.0)
    with pytest.raises(HostError, match="nothing in 1 s"):
        host.call(bundle, {"verb": "look", "files": {}})


def test_two_runs_do_not_share_a_board(board, bundle, tmp_path):
    import fcntl

    host = board.host(tmp_path / "there")
    host.call(bundle, {"verb": "receive"}, files=list(bundle.files))
    with (tmp_path / "there" / OURS).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        request = {"verb": "predict", "entry": 0, "plan": {**bundle.plan, "by_trtexec": False}}
        with pytest.raises(HostError, match="busy"):
            host.call(bundle, request)
        with pytest.raises(HostError, match="busy"):
            host.call(bundle, {"verb": "receive"}, files=list(bundle.files))


def test_another_board_does_not_take_the_name_of_one(board, bundle, tmp_path):
    out = tmp_path / "orin"
    out.mkdir()
    (out / "look.json").write_text(json.dumps({"machine": "0" * 12}))
    with pytest.raises(ConfigError, match="another board"):
        run_on_board(bundle, board.host(tmp_path / "there"), out, "orin", silent)


def test_files_of_an_engine_that_were_made_anew_are_not_those_that_ran(tmp_path):
    folder, pack = tmp_path / "model", tmp_path / "test.safetensors"
    folder.mkdir()
    for path in (folder / "model.param", folder / "model.bin", pack):
        path.write_bytes(path.name.encode())
    hashes = {name: {"sha256": sha256_file(file)} for name, file in inputs_of(folder).items()}
    origin = {"model": str(folder), "model_sha256": recorded_sha256(hashes)}
    origin |= {"pack": str(pack), "pack_sha256": sha256_file(pack)}
    joining._check_origin(origin)
    (folder / "model.bin").write_bytes(b"of other weights")
    with pytest.raises(HashMismatchError, match="make the bundle again"):
        joining._check_origin(origin)
    shutil.rmtree(folder)
    with pytest.raises(HashMismatchError, match="nothing"):
        joining._check_origin(origin)


def test_a_bundle_that_was_changed_is_refused(bundle):
    (bundle.folder / "runner.py").write_text("print('something else')\n")
    with pytest.raises(HashMismatchError, match=r"runner\.py"):
        read_bundle(bundle.folder)
