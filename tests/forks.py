"""Processes that start at once: forks of this one, which has imported already what takes long to import."""

import os
import signal
import sys
import traceback


class Fork:
    """A call in a process of its own.

    Args:
        call: What it does; what it prints goes to a pipe, and ``SystemExit`` ends it with a status.
    """

    def __init__(self, call):
        reader, writer = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(reader)
            _become(call, writer)
        os.close(writer)
        self.output = os.fdopen(reader)

    def kill(self):
        """End it as the kernel does when memory runs out."""
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def wait(self):
        """Its exit status and what it printed that was not read yet."""
        with self.output:
            text = self.output.read()
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status), text


def _become(call, writer):
    status = 1
    try:
        for stream in (1, 2):
            os.dup2(writer, stream)
        sys.stdout = sys.stderr = os.fdopen(writer, "w", buffering=1)
        call()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, this process ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)  # the tests behind this one are not its own
