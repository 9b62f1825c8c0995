"""DefectBench: which lightweight detector should inspect my surface, on my hardware?"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("defectbench")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.1.0"
