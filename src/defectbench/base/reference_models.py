"""The reference models that timings were held against, by the hash of their file.

A ratio compares with another only where both are to the same one, so that pages and tables name it.
"""

from __future__ import annotations

SIDE = 160  # of its input, pixels
OUTPUT_WIDTH = 464
TODAY = "54c92030a55000551594e72e107c0fac8690e2d996baeb505dc750a7bc6940e3"
EARLIER = "54068d2ed1ae1b93d1cf80c871c4cd5de9e07b0624954bf3f3f8c6816b4567e2"
NAMES = {
    TODAY: f"the trunk of ShuffleNetV2 at {SIDE} px",
    EARLIER: f"four convolutions at {SIDE} px, up to version 0.2.0",
}


def reference_name(sha256: str) -> str:
    """What a table calls a reference model: its name, or the beginning of its hash where it is none of this suite's.

    Example:
        >>> reference_name(""), reference_name("0" * 64)
        ('one that its record does not name', 'a file with SHA-256 000000000000')
    """
    if not sha256:
        return "one that its record does not name"
    return NAMES.get(sha256, f"a file with SHA-256 {sha256[:12]}")
