"""Engines as a board has them, one class each. Part of the file that runs on boards.

An entry of the plan says what is run: ``engine``, ``precision``, ``model`` (its place in the bundle), ``outputs`` and
``size``.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
from pathlib import Path
from typing import Any

import numpy as np

from .state import graphics

WRONG = {"onnxruntime": "1.20."}  # leaves the zeros of a padding out of a mean
WORKSPACE_BYTES = 1 << 30
F32_BYTES = 4
CUDA_LIBRARIES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0")
TO_GPU, FROM_GPU = 1, 2

Entry = Any  # a dictionary; boards' Python knows no other way to say so
Outputs = Any  # a list of arrays [N, ...]


class RefusalError(Exception):
    """What stops a verb, with what mends it; the desktop makes a named error of it."""

    def __init__(self, field: str, value: object, fix: str, where: str = "") -> None:
        super().__init__(field, value, fix)
        self.told = {"field": field, "value": str(value), "fix": fix, "where": where}


class ModelRefusalError(RefusalError):
    """An engine that cannot run one model; what else is in the bundle goes on without it."""


def load_module(name: str) -> Any:
    """The module of an engine, of a version that computes right.

    Raises:
        RefusalError: It cannot be imported, or its version is known to be wrong.
    """
    try:
        module = importlib.import_module(name)
    except Exception as error:  # a broken install may raise anything
        said = str(error) or type(error).__name__
        raise RefusalError(
            name, said, f"install it there: python3 -m pip install {name}"
        ) from error
    number = str(getattr(module, "__version__", ""))
    if name in WRONG and number.startswith(WRONG[name]):
        fix = "this version computes wrong numbers where a mean follows a padding; install 1.23.2"
        raise RefusalError(name, number, fix)
    return module


class BoardOnnxRuntime:
    """A model file in onnxruntime, on the processor."""

    def __init__(self, path: Path, entry: Entry, threads: int) -> None:
        onnxruntime = load_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        self.outputs = entry["outputs"]

    def run(self, images: Any) -> Outputs:
        """The outputs for images [N,3,S,S]."""
        return self.session.run(self.outputs, {"images": images})


class BoardOpenVino:
    """A model file in OpenVINO, on the processor."""

    def __init__(self, path: Path, entry: Entry, threads: int) -> None:
        openvino = load_module("openvino")
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # processes that pin themselves would share one core
        }
        compiled = openvino.Core().compile_model(str(path), "CPU", settings)
        self.request, self.count = compiled.create_infer_request(), len(entry["outputs"])

    def run(self, images: Any) -> Outputs:
        """The outputs for images [N,3,S,S]."""
        self.request.infer({"images": images}, share_inputs=True)
        return [self.request.get_output_tensor(n).data.copy() for n in range(self.count)]


class BoardNcnn:
    """A folder of ncnn's files, on the processor."""

    def __init__(self, path: Path, entry: Entry, threads: int) -> None:
        self.ncnn = load_module("ncnn")
        self.net, self.count = self.ncnn.Net(), len(entry["outputs"])
        self.net.opt.num_threads, self.net.opt.use_vulkan_compute = threads, False
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
            setattr(self.net.opt, option, entry["precision"] == "fp16")
        for load, name in (
            (self.net.load_param, "model.param"),
            (self.net.load_model, "model.bin"),
        ):
            if load(str(path / name)):
                raise RefusalError("ncnn", "no file that it reads", "pack the bundle again", name)

    def run(self, images: Any) -> Outputs:
        """The outputs for images [1,3,S,S]."""
        extractor = self.net.create_extractor()
        extractor.input("in0", self.ncnn.Mat(np.ascontiguousarray(images[0])).clone())
        answers = []
        for n in range(self.count):
            code, values = extractor.extract(f"out{n}")
            if code:
                fix = "convert the model again"
                raise ModelRefusalError("ncnn", f"code {code} of output {n}", fix)
            answers.append(np.array(values)[None])
        return answers


class BoardCuda:
    """The few calls of CUDA's runtime library that a session needs."""

    def __init__(self) -> None:
        self.library: Any = None
        for name in CUDA_LIBRARIES:
            try:
                self.library = ctypes.CDLL(name)
                break
            except OSError:
                continue
        if self.library is None:
            fix = "name the folder of libcudart.so in LD_LIBRARY_PATH"
            raise RefusalError("CUDA", "no libcudart.so", fix)

    def check(self, code: int, what: str) -> None:
        """Stop where a call failed.

        Raises:
            RefusalError: It did.
        """
        if code:
            fix = "free memory of the GPU, and look for other programs on it"
            raise RefusalError("CUDA", f"{what}: code {code}", fix)

    def allocate(self, size: int) -> int:
        """Memory of the GPU, bytes; its address."""
        pointer = ctypes.c_void_p()
        code = self.library.cudaMalloc(ctypes.byref(pointer), ctypes.c_size_t(size))
        self.check(code, f"memory of {size} bytes")
        return pointer.value or 0

    def stream(self) -> int:
        """A queue of the GPU."""
        pointer = ctypes.c_void_p()
        self.check(self.library.cudaStreamCreate(ctypes.byref(pointer)), "stream")
        return pointer.value or 0

    def copy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        """Queue a copy to the GPU or from it."""
        addresses = ctypes.c_void_p(target), ctypes.c_void_p(source), ctypes.c_size_t(size)
        told = ctypes.c_int(kind), ctypes.c_void_p(stream)
        self.check(self.library.cudaMemcpyAsync(*addresses, *told), "copy")

    def wait(self, stream: int) -> None:
        """Wait until a queue is empty."""
        self.check(self.library.cudaStreamSynchronize(ctypes.c_void_p(stream)), "wait")


class BoardTensorRt:
    """A model file in TensorRT by its Python module.

    It is built once; the plan is kept beside the model by file, GPU, version and precision.
    """

    def __init__(self, path: Path, entry: Entry, threads: int) -> None:
        self.trt, self.cuda = load_module("tensorrt"), BoardCuda()
        self.logger = self.trt.Logger(self.trt.Logger.ERROR)
        self.runtime = self.trt.Runtime(self.logger)
        kept = plan_path(path, self.trt.__version__, entry["precision"])
        if not kept.is_file():
            keep(kept, self.build(path, entry))
        self.engine = self.runtime.deserialize_cuda_engine(kept.read_bytes())
        if self.engine is None:
            raise RefusalError("TensorRT", "it refuses its plan", f"remove {kept} there, run again")
        self.context, size = self.engine.create_execution_context(), entry["size"]
        self.context.set_input_shape("images", (1, 3, size, size))
        self.outputs = {
            name: np.empty(tuple(self.context.get_tensor_shape(name)), np.float32)
            for name in entry["outputs"]
        }
        self.stream = self.cuda.stream()
        self.memory = {"images": self.cuda.allocate(3 * size * size * F32_BYTES)}
        for name, values in self.outputs.items():
            self.memory[name] = self.cuda.allocate(values.nbytes)
        for name, address in self.memory.items():
            self.context.set_tensor_address(name, address)

    def build(self, path: Path, entry: Entry) -> bytes:
        """Build for one image: the file says in which types it is computed.

        Since version 10 the builder holds itself to these types; an older one has to be let use them by a flag.

        Raises:
            ModelRefusalError: TensorRT cannot read the file or build it.
        """
        trt, is_typed = self.trt, int(self.trt.__version__.split(".")[0]) >= 10
        builder, kinds = trt.Builder(self.logger), trt.NetworkDefinitionCreationFlag
        network = builder.create_network(
            1 << int(kinds.STRONGLY_TYPED if is_typed else kinds.EXPLICIT_BATCH)
        )
        parser = trt.OnnxParser(network, self.logger)
        if not parser.parse(path.read_bytes()):
            said = parser.get_error(0) if parser.num_errors else "no word"
            fix = "leave this form out of the bundle"
            raise ModelRefusalError("TensorRT", said, fix, entry["name"])
        config, profile = builder.create_builder_config(), builder.create_optimization_profile()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
        shape = (1, 3, entry["size"], entry["size"])
        profile.set_shape("images", shape, shape, shape)
        config.add_optimization_profile(profile)
        config.clear_flag(trt.BuilderFlag.TF32)  # 19 bits are no float32
        if not is_typed and entry["precision"] != "fp32":
            config.set_flag(getattr(trt.BuilderFlag, entry["precision"].upper()))
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            fix = "free memory of the board, or leave this form out of the bundle"
            raise ModelRefusalError("TensorRT", "it built no plan", fix, entry["name"])
        return bytes(plan)

    def run(self, images: Any) -> Outputs:
        """The outputs for images [1,3,S,S]."""
        images = np.ascontiguousarray(images)
        cuda, stream = self.cuda, self.stream
        cuda.copy(self.memory["images"], images.ctypes.data, images.nbytes, TO_GPU, stream)
        if not self.context.execute_async_v3(stream):
            raise RefusalError("TensorRT", "it did not run", "look at the board's log: dmesg")
        for name, values in self.outputs.items():
            cuda.copy(values.ctypes.data, self.memory[name], values.nbytes, FROM_GPU, stream)
        cuda.wait(stream)
        return [values.copy() for values in self.outputs.values()]


def plan_path(path: Path, number: str, precision: str) -> Path:
    """Where the plan of a model file is kept: its name says of which file, GPU, version and precision it is."""
    digest = hashlib.sha256(path.read_bytes() + graphics().encode()).hexdigest()[:16]
    return path.with_name(f"{digest}-{number}-{precision}.plan")


def keep(path: Path, content: bytes) -> None:
    """Write a file that is whole or not there."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


SESSIONS = {
    "onnxruntime": BoardOnnxRuntime,
    "openvino": BoardOpenVino,
    "ncnn": BoardNcnn,
    "tensorrt": BoardTensorRt,
}
