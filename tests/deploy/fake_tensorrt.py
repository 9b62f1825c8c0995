"""A TensorRT without a GPU: it has the interface of 10.x or 11.x and nothing else, and computes by onnxruntime.

``COMMON``, ``ONLY_10`` and ``ONLY_11`` list what the builder and the runtime of both have of what could be asked of
them; a name that is not listed, or another count or name of arguments, is refused as the real module refuses it. The
lists were read off the modules of the packages ``tensorrt-cu12-bindings`` 10.16.1.11 and 11.4.0.106.
"""

import ctypes
import enum
import inspect
import json
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import onnx
import onnxruntime

COMMON = """
Builder(logger)
Builder.create_network(flags=0)
Builder.create_builder_config()
Builder.create_optimization_profile()
Builder.build_serialized_network(network, config)
Builder.build_engine_with_config(network, config)
Builder.is_network_supported(network, config)
Builder.reset()
Builder: logger max_threads error_recorder gpu_allocator num_DLA_cores max_DLA_batch_size
IBuilderConfig.set_memory_pool_limit(pool, pool_size)
IBuilderConfig.get_memory_pool_limit(pool)
IBuilderConfig.set_flag(flag)
IBuilderConfig.clear_flag(flag)
IBuilderConfig.get_flag(flag)
IBuilderConfig.add_optimization_profile(profile)
IBuilderConfig.create_timing_cache(serialized_timing_cache)
IBuilderConfig.set_timing_cache(cache, ignore_mismatch)
IBuilderConfig: flags num_optimization_profiles builder_optimization_level hardware_compatibility_level profiling_verbosity
IOptimizationProfile.set_shape(input, min, opt, max)
IOptimizationProfile.get_shape(input)
INetworkDefinition.get_input(index)
INetworkDefinition.get_output(index)
INetworkDefinition.get_flag(flag)
INetworkDefinition: name num_inputs num_outputs num_layers flags
OnnxParser(network, logger)
OnnxParser.parse(model, path=None)
OnnxParser.parse_from_file(model)
OnnxParser.get_error(index)
OnnxParser.clear_errors()
OnnxParser.supports_operator(op_name)
OnnxParser: num_errors
ParserError.code()
ParserError.desc()
ParserError.node()
ParserError.node_name()
ParserError.node_operator()
Runtime(logger)
Runtime.deserialize_cuda_engine(serialized_engine)
Runtime: logger max_threads engine_host_code_allowed error_recorder gpu_allocator DLA_core
ICudaEngine.create_execution_context(strategy=None)
ICudaEngine.get_tensor_name(index)
ICudaEngine.get_tensor_mode(name)
ICudaEngine.get_tensor_dtype(name)
ICudaEngine.get_tensor_shape(name)
ICudaEngine.get_tensor_profile_shape(name, profile_index)
ICudaEngine.serialize()
ICudaEngine: name num_io_tensors num_layers num_optimization_profiles device_memory_size_v2
IExecutionContext.set_input_shape(name, shape)
IExecutionContext.get_tensor_shape(name)
IExecutionContext.set_tensor_address(name, memory)
IExecutionContext.get_tensor_address(name)
IExecutionContext.execute_async_v3(stream_handle)
IExecutionContext.execute_v2(bindings)
IExecutionContext.infer_shapes()
IExecutionContext.set_optimization_profile_async(profile_index, stream_handle)
IExecutionContext: name engine active_optimization_profile device_memory profiler error_recorder
BuilderFlag= TF32 REFIT DEBUG GPU_FALLBACK STRICT_NANS SPARSE_WEIGHTS VERSION_COMPATIBLE DISABLE_TIMING_CACHE
NetworkDefinitionCreationFlag= STRONGLY_TYPED
MemoryPoolType= WORKSPACE TACTIC_DRAM TACTIC_SHARED_MEMORY DLA_GLOBAL_DRAM DLA_LOCAL_DRAM DLA_MANAGED_SRAM
TensorIOMode= NONE INPUT OUTPUT
"""
ONLY_10 = """
Builder: platform_has_fast_fp16 platform_has_fast_int8 platform_has_tf32
IBuilderConfig.set_calibration_profile(profile)
IBuilderConfig: int8_calibrator quantization_flags algorithm_selector
ICudaEngine: device_memory_size has_implicit_batch_dimension
BuilderFlag= FP16 INT8 BF16 FP8 INT4 OBEY_PRECISION_CONSTRAINTS PREFER_PRECISION_CONSTRAINTS
NetworkDefinitionCreationFlag= EXPLICIT_BATCH
"""
ONLY_11 = """
IBuilderConfig: build_route all_build_routes
Runtime: dla_workspace_allocation_strategy
"""
SEVERITIES = ("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE")
LACKING = {"Det"}  # operators that the parser does not know


class Interface:
    """What the classes of a version have."""

    def __init__(self, *texts):
        self.methods, self.properties, self.members = {}, {}, {}
        for line in filter(None, "\n".join(texts).splitlines()):
            owner, sign, rest = (
                line.partition(":")
                if ":" in line
                else line.partition("= ")
                if "= " in line
                else ("", "", "")
            )
            if sign == ":":
                self.properties.setdefault(owner, set()).update(rest.split())
            elif sign:
                self.members.setdefault(owner, []).extend(rest.split())
            else:
                head, arguments = line.rstrip(")").split("(", 1)
                owner, _, name = head.partition(".")
                scope = {}
                exec(f"def f({arguments}): pass", scope)
                self.methods[owner, name or "__init__"] = inspect.signature(scope["f"])


def make_module(version, gpu="Orin", memory_mib=4096):
    """A module ``tensorrt`` of a version, on a GPU of a name with some memory."""
    parts = (COMMON, ONLY_10 if version.startswith("10.") else ONLY_11)
    interface = Interface(*parts)
    module = ModuleType("tensorrt")
    module.__spec__ = ModuleSpec("tensorrt", None)
    module.__version__ = version
    module.made = made = []  # everything that was made, in order, for tests to look at

    class Strict:
        def __init__(self, *given):
            name = type(self).__name__
            if (name, "__init__") in interface.methods:
                interface.methods[name, "__init__"].bind(*given)
            made.append(self)
            self._start(*given)

        def _start(self):
            pass

        def __getattr__(self, name):
            kind = type(self).__name__
            if name in interface.properties.get(kind, ()):
                return getattr(type(self), f"_get_{name}")(self)
            if (kind, name) not in interface.methods:
                raise AttributeError(f"'{kind}' object of {version} has no attribute '{name}'")

            def call(*given, **named):
                bound = interface.methods[kind, name].bind(*given, **named)
                bound.apply_defaults()
                return getattr(type(self), f"_do_{name}")(self, *bound.args)

            return call

        def __setattr__(self, name, value):
            kind = type(self).__name__
            if not name.startswith("_") and name not in interface.properties.get(kind, ()):
                raise AttributeError(f"'{kind}' object of {version} has no attribute '{name}'")
            super().__setattr__(name, value)

    class ILogger:
        def __init__(self):
            self._is_started = True

        def log(self, severity, msg):
            raise NotImplementedError

    for number, name in enumerate(SEVERITIES):
        setattr(ILogger, name, number)

    def checked(logger):
        if not getattr(logger, "_is_started", False):
            raise TypeError("ILogger.__init__() must be called when overriding __init__")
        return logger

    class Builder(Strict):
        def _start(self, logger):
            self._logger = checked(logger)

        def _do_create_network(self, flags):
            return INetworkDefinition(flags)

        def _do_create_builder_config(self):
            return IBuilderConfig()

        def _do_create_optimization_profile(self):
            return IOptimizationProfile()

        def _do_build_serialized_network(self, network, config):
            flag = module.NetworkDefinitionCreationFlag.STRONGLY_TYPED
            weak = not network._flags >> int(flag) & 1
            if weak and version.startswith("10."):
                raise AssertionError("a weakly typed network chooses precisions by itself")
            shapes = [profile._shapes for profile in config._profiles]
            if not shapes or "images" not in shapes[0]:
                self._logger.log(
                    ILogger.ERROR,
                    "Network has dynamic or shape inputs, but no optimization profile has been defined.",
                )
                return None
            if config._pools[module.MemoryPoolType.WORKSPACE] > memory_mib * 2**20:
                self._logger.log(
                    ILogger.ERROR,
                    "[defaultAllocator.cpp::allocate] Error Code 1: Cuda Runtime (out of memory)",
                )
                return None
            head = json.dumps([version, gpu, shapes[0]["images"]]).encode()
            return IHostMemory(head + b"\n" + network._model.SerializeToString())

    class INetworkDefinition(Strict):
        def _start(self, flags):
            self._flags = int(flags)

    class IBuilderConfig(Strict):
        def _start(self):
            self._pools, self._profiles = {}, []
            self._set = {module.BuilderFlag.TF32}  # as it is by default

        def _do_set_memory_pool_limit(self, pool, size):
            self._pools[module.MemoryPoolType(pool)] = int(size)

        def _do_set_flag(self, flag):
            self._set.add(module.BuilderFlag(flag))

        def _do_clear_flag(self, flag):
            self._set.discard(module.BuilderFlag(flag))

        def _do_add_optimization_profile(self, profile):
            self._profiles.append(profile)
            return len(self._profiles) - 1

    class IOptimizationProfile(Strict):
        def _start(self):
            self._shapes = {}

        def _do_set_shape(self, input, least, usual, most):  # noqa: A002
            shapes = [tuple(shape) for shape in (least, usual, most)]
            assert all(a <= b <= c for a, b, c in zip(*shapes, strict=True))
            self._shapes[input] = shapes

    class OnnxParser(Strict):
        def _start(self, network, logger):
            self._network, self._errors = network, []
            checked(logger)

        def _get_num_errors(self):
            return len(self._errors)

        def _do_get_error(self, index):
            return self._errors[index]

        def _do_parse(self, content, path):
            model = onnx.load_from_string(bytes(content))
            stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
            for node in model.graph.node:
                wide = stored.get(node.input[0]) if node.input else None
                if node.op_type in LACKING:
                    self._errors.append(
                        ParserError(node.op_type, "no importer is registered for it")
                    )
                elif node.op_type == "DequantizeLinear" and wide == onnx.TensorProto.INT32:
                    self._errors.append(ParserError(node.op_type, "dequantises 8 bits alone"))
            self._network._model = model
            return not self._errors

    class ParserError(Strict):
        def _start(self, operator, told):
            self._operator, self._told = operator, told

        def _do_node_operator(self):
            return self._operator

        def _do_desc(self):
            return self._told

    class IHostMemory(bytearray):
        pass

    class Runtime(Strict):
        def _start(self, logger):
            self._logger = checked(logger)

        def _do_deserialize_cuda_engine(self, content):
            head, _, model = bytes(content).partition(b"\n")
            try:
                told, where, shapes = json.loads(head)
            except ValueError:
                told, where, shapes = None, None, None
            if told != version:
                self._logger.log(
                    ILogger.ERROR, "Error Code 1: Serialization (Version tag does not match.)"
                )
                return None
            if where != gpu:
                self._logger.log(
                    ILogger.ERROR, "The engine plan file is generated on an incompatible device"
                )
                return None
            return ICudaEngine(model, shapes)

    class ICudaEngine(Strict):
        def _start(self, model, shapes):
            self._session = onnxruntime.InferenceSession(model)
            self._shapes = shapes
            outputs = [out.name for out in self._session.get_outputs()]
            self._names = [*reversed(outputs), "images"]  # in an order of its own

        def _get_num_io_tensors(self):
            return len(self._names)

        def _do_get_tensor_name(self, index):
            return self._names[index]

        def _do_create_execution_context(self, strategy):
            return IExecutionContext(self)

    class IExecutionContext(Strict):
        def _start(self, engine):
            self._engine, self._given, self._places = engine, None, {}

        def _do_set_input_shape(self, name, shape):
            assert isinstance(shape, tuple)
            least, _, most = self._engine._shapes
            if not all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True)):
                return False
            self._given = shape
            return True

        def _do_get_tensor_shape(self, name):
            session = self._engine._session
            (out,) = (out for out in session.get_outputs() if out.name == name)
            return (self._given[0], *out.shape[1:])

        def _do_set_tensor_address(self, name, memory):
            self._places[name] = int(memory)
            return True

        def _do_execute_async_v3(self, stream_handle):
            int(stream_handle)
            session = self._engine._session

            def held(name, shape):
                kind = ctypes.c_float * int(np.prod(shape))
                return np.frombuffer(kind.from_address(self._places[name]), np.float32).reshape(
                    shape
                )

            names = [out.name for out in session.get_outputs()]
            outputs = session.run(names, {"images": held("images", self._given)})
            for name, values in zip(names, outputs, strict=True):
                held(name, values.shape)[:] = values
            return True

    for name, members in interface.members.items():
        setattr(module, name, enum.IntEnum(name, members, start=0))
    for kind in (Builder, Runtime, OnnxParser, ILogger, IHostMemory, IExecutionContext):
        setattr(module, kind.__name__, kind)
    return module


def install(monkeypatch, module):
    """Put a module in the place of TensorRT's."""
    monkeypatch.setitem(sys.modules, "tensorrt", module)
