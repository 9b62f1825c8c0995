"""The page of the command line."""

from typer.main import get_command

from defectbench.cli.document import verbs_of
from defectbench.cli.main import TOPICS, build_app
from defectbench.documentation.commands import Option, Verb, commands_page


def test_every_verb_and_every_option_is_on_the_page():
    verbs = verbs_of(TOPICS)
    text = commands_page(verbs).text
    assert {"synthesize", "train", "report", "document"} <= {verb.name for verb in verbs}
    for verb in verbs:
        assert f"# {verb.name}\n" in text
        assert verb.meaning
        assert not [option for option in verb.options if f"| `{option.name}`" not in text]


def test_names_defaults_and_choices_are_those_of_the_command():
    verbs = {verb.name: verb for verb in verbs_of(TOPICS)}
    options = {option.name: option for option in verbs["pack"].options}
    assert options["--dataset"].is_required
    assert options["--part"].takes == "train|val|test"
    assert (options["--split-seed"].takes, options["--split-seed"].default) == ("INT", "0")
    assert {"--settings", "--set", "--out"} <= {option.name for option in verbs["train"].options}
    assert next(option.name for option in verbs["report"].options) == "RUNS"
    for name, verb in verbs.items():
        shown = get_command(build_app())
        for word in name.split():
            shown = shown.commands[word]
        real = [p.opts[0] for p in shown.params]
        assert [option.name.lower() for option in verb.options] == real
        assert [option.is_required for option in verb.options] == [p.required for p in shown.params]


def test_verbs_stand_under_their_topic():
    made = [Verb("b", "Two", "does b"), Verb("a", "One", "does a"), Verb("c", "Two", "does c.")]
    text = commands_page(made).text
    heads = [line for line in text.splitlines() if line.startswith("##")]
    assert heads == ["## Two", "### b", "### c", "## One", "### a"]
    assert "Does c.\n" in text


def test_options_say_what_they_take_and_whether_they_must_be_given():
    options = [
        Option("--out", "PATH", "", True, "where"),
        Option("--seed", "INT", "0", False, "which"),
    ]
    text = commands_page([Verb("make", "", "makes it", options)]).text
    assert "| `--out` `PATH` | *required* | where |" in text
    assert "| `--seed` `INT` | `0` | which |" in text
