"""Text from outside: byte order marks, declared encodings, delimiters and locales are read or named with their remedy."""

import ast
import codecs
import os
import subprocess
import sys
from pathlib import Path

import pytest

from defectbench.base.cards import load_dataset_card
from defectbench.base.errors import ConfigError, ConversionError, SplitError
from defectbench.base.texts import read_columns, read_text
from defectbench.data.formats.voc import read_voc
from defectbench.data.split import split

ROOT = Path(__file__).parents[2]
OBJECT = "<object><name>{name}</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object>"


def label(tmp_path, data):
    path = tmp_path / "a.xml"
    path.write_bytes(data)
    return path


def text(name, declaration=""):
    return (
        f"{declaration}<annotation><folder>{name}</folder>{OBJECT.format(name=name)}</annotation>"
    )


def declared(encoding):
    return f'<?xml version="1.0" encoding="{encoding}"?>\n'


@pytest.mark.parametrize(
    ("name", "declaration", "encoding"),
    [
        ("划痕", "gb2312", "gb2312"),
        ("划痕", "GB2312", "gbk"),
        ("玞痕㐀", "gb2312", "gb18030"),  # letters that only the wider table holds
        ("划痕", "GBK", "gbk"),
        ("划痕", "gb18030", "gb18030"),
        ("劃痕", "big5", "big5"),
        ("きず①", "Shift_JIS", "cp932"),  # the circled digit is of Windows' table
        ("きず", "EUC-JP", "euc-jp"),
        ("스크래치", "euc-kr", "euc-kr"),
        ("Lücke", "ISO-8859-1", "latin-1"),
        ("Lücke", "latin-1", "latin-1"),
        ("Lücke€", "windows-1252", "cp1252"),
        ("царапина", "windows-1251", "cp1251"),
        ("Lücke", "utf8", "utf-8"),
        ("Lücke", "UTF-8", "utf-8"),
        ("Lücke", "utf-8", "utf-8-sig"),
        ("划痕", "gb2312", "utf-8-sig"),  # saved anew with a mark, the declaration forgotten
        ("Lücke", "utf-16", "utf-8"),  # what .NET declares of a string
        ("Lücke", "utf-16", "utf-16"),
        ("Lücke", "UTF-16", "utf-16-le"),
        ("Lücke", "UTF-16", "utf-16-be"),
    ],
)
def test_a_label_is_read_in_the_encoding_that_it_declares(tmp_path, name, declaration, encoding):
    path = label(tmp_path, text(name, declared(declaration)).encode(encoding))
    assert [box.name for box in read_voc(path).boxes] == [name]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_label_without_a_declaration(tmp_path, encoding):
    assert read_voc(label(tmp_path, text("Lücke").encode(encoding))).boxes[0].name == "Lücke"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (text("a\n划痕").encode("gbk"), ("line 2", "not UTF-8", "save the file as UTF-8")),
        (
            text("\nLücke", declared("utf-8")).encode("latin-1"),
            ("line 3", "save the file as UTF-8"),
        ),
        (text("Lü", declared("gbk")).encode("latin-1"), ("line 2", "not gbk", "as UTF-8")),
        (text("a", declared("klingon")).encode(), ("encoding: got 'klingon'", "as UTF-8")),
        (text("a", declared("base64")).encode(), ("encoding: got 'base64'", "as UTF-8")),
        (codecs.BOM_UTF16_LE + b"<\0a", ("line 1", "as UTF-8")),
    ],
)
def test_a_label_that_cannot_be_read_says_what_mends_it(tmp_path, data, words):
    with pytest.raises(ConversionError) as caught:
        read_voc(label(tmp_path, data))
    for word in ("a.xml", *words):
        assert word in str(caught.value)


# Lists


@pytest.fixture
def divided(plant):
    """A set with a split, and the split's rows."""
    plant.draw(count=12)
    data = plant.split("plates", "random")
    parts = data / "random" / "split0"
    return data, [
        (name, part)
        for part in ("train", "val", "test")
        for name in (parts / f"{part}.txt").read_text("utf-8").split()
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_published_lists_of_any_editor(divided, tmp_path, encoding, ending):
    data, rows = divided
    before = {path.name: path.read_bytes() for path in (data / "random" / "split0").glob("*.txt")}
    lines = ["file_name,part", *(f"{name},{part}" for name, part in rows)]
    (tmp_path / "x.csv").write_bytes((ending.join(lines) + ending).encode(encoding))
    split(data, "random", published=tmp_path / "x.csv")
    after = {path.name: path.read_bytes() for path in (data / "random" / "split0").glob("*.txt")}
    assert after == before


def test_columns_in_another_order_with_more_beside_them(divided, tmp_path):
    data, rows = divided
    lines = ["part, file_name,note", *(f'{part},"{name}",x' for name, part in rows), ""]
    (tmp_path / "x.csv").write_text("\n".join(lines), encoding="utf-8")
    parts = split(data, "random", published=tmp_path / "x.csv")
    assert sorted((name, part) for part, names in parts.items() for name in names) == sorted(rows)


@pytest.mark.parametrize(("option", "column"), [("train_list", "class"), ("published", "part")])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "file_name;{c}\nplate_0.png;pit\n",
            ("columns: got 'file_name;{c}'", "commas: file_name,{c}"),
        ),
        ("file_name\t{c}\nplate_0.png\tpit\n", ("columns", "commas: file_name,{c}")),
        ("plate_0.png,pit\n", ("columns: got 'plate_0.png,pit'", "commas: file_name,{c}")),
        ("", ("columns: got ''", "commas: file_name,{c}")),
        ("file_name,{c}\nplate_0.png\n", ("line 2: got 'plate_0.png'", "write file_name,{c}")),
        ("file_name,{c}\nplate_0.png,\n", ("line 2: got 'plate_0.png,'", "write file_name,{c}")),
        ("file_name,{c}\n划.png,pit\n", ("line 2", "save the file as UTF-8")),
        ('file_name,{c}\n"plate_0.png,pit\n', ("line 2", "in double quotes")),
        ("file_name,{c}\nplate\0.png,pit\n", ("plate\\x00.png",)),
    ],
)
def test_a_list_that_is_none_names_its_columns(divided, tmp_path, content, words, option, column):
    path = tmp_path / "t.csv"
    path.write_bytes(content.replace("{c}", column).encode("gbk"))
    protocol = "random-few" if option == "train_list" else "random"
    with pytest.raises(SplitError) as caught:
        split(divided[0], protocol, **{option: path})
    for word in ("t.csv", *words):
        assert word.replace("{c}", column) in str(caught.value)


def test_two_columns_of_a_csv(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbfa,b\r\n1,"2, 3"\r\n\r\n 4 ,5\r\n')
    assert read_columns(tmp_path / "a.csv", ("b", "a")) == [("2, 3", "1"), ("5", " 4 ")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_of_classes_of_any_editor(plant, said, encoding):
    plates = plant.draw(count=3, pattern="Prüf {i}.png")
    (plates / "LISTS").mkdir()
    rows = [f"Prüf {i}.png,{('pit', 'rolled in scale')[i % 2]}" for i in range(3)]
    (plates / "LISTS" / "all.csv").write_bytes("\r\n".join(rows).encode(encoding))
    data = plant.convert("plates", classes=("pit", "rolled in scale"), **LISTS)
    counts = said(data / "conversion.json")["images_per_class"]
    assert counts == {"pit": 2, "rolled in scale": 1}


LISTS = {
    "task": "classification",
    "allow_empty": False,
    "layout": {"images": ["IMAGES"], "labels": ["LISTS"], "format": "lists"},
}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("划.png 划痕".encode("gbk"), ("all.txt: line 1", "save the file as UTF-8")),
        (b"plate_0.png;pit", ("line 1", "a comma or blanks")),
        (b"plate 0.png pit", ("line 1", "not among the images", "nearest is plate_0.png")),
    ],
)
def test_a_list_of_classes_that_is_none(plant, content, words):
    plates = plant.draw(count=1)
    (plates / "LISTS").mkdir()
    (plates / "LISTS" / "all.txt").write_bytes(content)
    with pytest.raises(ConversionError) as caught:
        plant.convert("plates", **LISTS)
    for word in words:
        assert word in str(caught.value)


# Cards


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_card_of_any_editor(plant, encoding):
    card = plant.card(classes=("划痕", "Lücke"))
    card.write_bytes(card.read_text("utf-8").encode(encoding))
    assert load_dataset_card(card).classes == ["划痕", "Lücke"]


@pytest.mark.parametrize("encoding", ["gbk", "latin-1"])
def test_a_card_in_another_encoding_is_named(plant, encoding):
    card = plant.card()
    name = {"gbk": "钢板", "latin-1": "Blech für Türen"}[encoding]
    content = card.read_text("utf-8").replace("title: My steel", f"title: {name}")
    card.write_bytes(content.encode(encoding))
    with pytest.raises(ConfigError, match=r"my-steel\.yaml: line \d+: .*save the file as UTF-8"):
        load_dataset_card(card)


def test_text_that_is_not_utf8_names_its_line(tmp_path):
    (tmp_path / "a").write_bytes("eins\nzwei\ndrei für\nvier".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"a: line 3: got b'drei f\\xfcr'; it is not UTF-8"):
        read_text(tmp_path / "a")


# Locales


def test_a_locale_of_another_encoding(plant, tmp_path, said):
    """The suite's own files and those of users are UTF-8, whatever the locale says."""
    (tmp_path / "loc").mkdir()
    target = tmp_path / "loc" / "en_US.ISO-8859-1"
    try:
        made = subprocess.run(
            ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(target)],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no localedef")
    if not target.is_dir():
        pytest.skip(f"no locale to be made: {made.stderr[:80]}")
    plant.draw(count=12, pattern="Prüf_{i}.png", classes=("Kratzer", "Lücke"))
    card, data = plant.card(classes=("Kratzer", "Lücke")), tmp_path / "data"
    environment = {**os.environ, "LOCPATH": str(tmp_path / "loc"), "LC_ALL": "en_US.ISO-8859-1"}
    environment.pop("PYTHONUTF8", None)
    for verb in (
        ["acquire", "--card", card, "--out", data, "--mirror", tmp_path / "plates"],
        ["convert", "--card", card, "--raw", data / "raw", "--out", data],
        ["find-overlaps", "--dataset", data, "--group"],
        ["split", "--dataset", data, "--protocol", "random", "--certify"],
        ["pack", "--dataset", data, "--protocol", "random", "--part", "test", "--size", "32"],
    ):
        run = subprocess.run(
            [sys.executable, "-m", "defectbench.cli", *map(str, verb)],
            env=environment, capture_output=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
    assert said(data / "conversion.json")["boxes_per_class"] == {"Kratzer": 6, "Lücke": 6}


SOURCES = [
    path
    for folder in ("src", "workflow", "models")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def text_calls(path):
    """Calls that read or write text: their line, and whether they say its encoding."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        arguments = {keyword.arg: keyword.value for keyword in node.keywords}
        of_module = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
        if name in ("read_text", "write_text") and isinstance(node.func, ast.Attribute):
            places = 0 if name == "read_text" else 1
            yield node.lineno, "encoding" in arguments or len(node.args) > places
        elif name == "open" and not (
            of_module and node.func.value.id in ("Image", "tarfile", "os", "zipfile")
        ):
            at = 0 if isinstance(node.func, ast.Attribute) and not of_module_gzip(node) else 1
            mode = arguments.get("mode", node.args[at] if len(node.args) > at else None)
            binary = isinstance(mode, ast.Constant) and "b" in str(mode.value)
            of_archive = mode is not None and not isinstance(mode, ast.Constant)
            yield node.lineno, binary or of_archive or "encoding" in arguments


def of_module_gzip(node):
    return isinstance(node.func.value, ast.Name) and node.func.value.id == "gzip"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_text_is_read_or_written_in_the_encoding_of_the_locale(path):
    allowed = {"archive.open(info)", "_open(path)"}
    lines = path.read_text("utf-8").splitlines()
    silent = [
        f"{number}: {lines[number - 1].strip()}"
        for number, says in text_calls(path)
        if not says and not any(call in lines[number - 1] for call in allowed)
    ]
    assert silent == []
