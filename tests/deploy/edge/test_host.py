"""How a board is called: as a list of words, its key checked, nothing of a user's reaching a shell unquoted."""

import shlex

import pytest

from defectbench.base.errors import ConfigError
from defectbench.deploy.edge.host import Host


def test_the_key_of_the_host_is_always_checked():
    command = Host("pi@board", port=2222, identity="my key", options=["User=x"]).command("python3")
    assert command[:2] == ["ssh", "-T"]
    assert "StrictHostKeyChecking=yes" in command
    assert "NoHostAuthenticationForLocalhost=no" in command
    assert command[command.index("-p") + 1] == "2222"
    assert command[command.index("-i") + 1] == "my key"
    assert command.index("StrictHostKeyChecking=yes") < command.index(
        "User=x"
    )  # the first one counts
    assert command[-3:] == ["--", "pi@board", "python3"]


@pytest.mark.parametrize(
    "option",
    [
        "StrictHostKeyChecking=no",
        "stricthostkeychecking=accept-new",
        "NoHostAuthenticationForLocalhost=yes",
        "KnownHostsCommand=/bin/echo %H",
        "BatchMode=no",
    ],
)
def test_no_option_takes_the_place_of_ours(option):
    with pytest.raises(ConfigError, match="leave it out"):
        Host("pi@board", options=[option])


@pytest.mark.parametrize("option", ["Port", "-v", "a b=c", "=x"])
def test_an_option_is_key_and_value(option):
    with pytest.raises(ConfigError, match="Key=value"):
        Host("pi@board", options=[option])


@pytest.mark.parametrize(
    "name",
    ["-oProxyCommand=x", "", "a b", "pi@", "pi@$(id)", "`id`@board", "board;id", "a\nb", "x'@b"],
)
def test_a_name_that_is_none_never_reaches_ssh(name):
    with pytest.raises(ConfigError, match="user@host"):
        Host(name)


@pytest.mark.parametrize(
    "name", ["board", "pi@10.0.0.7", "j.d@lab@board.local", "pi@[fe80::1%eth0]", "DOM\\u@b"]
)
def test_names_of_all_kinds_are_taken(name):
    assert Host(name).command("x")[-2] == name


@pytest.mark.parametrize("python", ["it's python", "/a b/$HOME", 'x"y', "a;b", "-c"])
def test_words_reach_the_shell_of_the_board_as_they_are(python):
    words = [python, "-c", "print('a\"b')", "1"]
    assert shlex.split(Host("board").command(*words)[-1]) == words


@pytest.mark.parametrize("folder", ["", "a\0b"])
def test_a_folder_that_is_none_is_named(folder):
    with pytest.raises(ConfigError, match="--folder"):
        Host("board", folder=folder)
