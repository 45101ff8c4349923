"""The child process that compiles entries into an extension module: ``python -m otrade_bot.kernel.aot``.

A request comes on standard input as one line of JSON (``aot_module`` writes it); what happens goes to standard output,
one JSON object a line. Nothing is left behind but the module in the folder that the request names. It ends with
whoever started it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from otrade_bot.kernel import state as abi
from otrade_bot.kernel.compile import StrategySource, signature, source_key, union_fields, with_paths
from otrade_bot.kernel.link import helpers, link

__all__ = ["main"]


def main() -> int:
    """0 with the module built, or the sources complained of; else what Python ends with."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # compilers are talkative
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def say(**what: Any) -> None:
        answers.write(json.dumps(what) + "\n")

    _build(request, say)
    return 0


def _end_with_parent() -> None:
    """The parent holds our standard input open as long as it lives."""
    os.read(0, 1)
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)  # a C compiler too
    os._exit(1)


def _build(request: dict[str, Any], say: Any) -> None:
    strategies = [
        StrategySource(one["name"], Path(one["path"]), one["source"], _specs(one["state"]), _specs(one["params"]))
        for one in request["strategies"]
    ]
    row = abi.row_dtype(union_fields(strategies, "state"))
    params = abi.params_dtype(union_fields(strategies, "params"))
    if source_key(strategies) != request["key"]:
        say(changed=True)
        return
    warnings.simplefilter("ignore")  # pycc is "pending" deprecation since 2023
    import numba
    from numba.core.errors import NumbaError

    builder = _builder(request["module"])
    mixins = builder.start(request["folder"])
    namespace = link(strategies, helpers(numba), request["key"])
    for name in request["entries"]:
        builder.export(name, signature(numba, namespace[name], row, params))(namespace[name])
    try:
        builder.compile_all(lambda name, i: say(at=name, of=i / len(request["entries"])))
    except NumbaError as error:
        say(complaint=with_paths(str(error), strategies))
        return
    except KeyError as error:
        say(missing=str(error.args[0]) if error.args else "")
        return
    builder.finish(mixins)
    say(built=builder.output_file)


def _specs(fields: dict[str, Any]) -> dict[str, Any]:
    """Field types as they were before JSON."""
    return {name: (np.dtype(kind), tuple(shape)) if shape else np.dtype(kind) for name, (kind, shape) in fields.items()}


def _builder(module: str) -> Any:
    """pycc's compiler in steps, so that the C part is compiled beside LLVM's, and with our options for entries."""
    import setuptools  # noqa: F401 - before pycc, which takes the C compiler's classes from it
    from numba.pycc import CC, compiler, platform

    # Its trial compiles C++ too, which is not needed, and leaves files behind. What fails says why.
    platform.external_compiler_works = lambda: True
    flags, compile_extra = compiler.Flags, compiler.compile_extra

    def as_in_process() -> Any:
        """What pycc exports has neither bounds checks nor numpy's division otherwise."""
        given = flags()
        given.error_model, given.boundscheck = "numpy", True
        return given

    class Builder(CC):  # type: ignore[misc]
        def start(self, folder: str) -> threading.Thread:
            self.use_nrt = False
            self.output_dir = folder
            self._objects: list[str] = []
            self._failed: BaseException | None = None
            thread = threading.Thread(target=self._mixins, daemon=True)
            thread.start()
            return thread

        def _mixins(self) -> None:
            try:
                self._objects = self._compile_mixins(self.output_dir)
            except BaseException as error:
                self._failed = error

        def compile_all(self, tell: Callable[[str, int], None]) -> None:
            told = count()

            def telling(typing: Any, target: Any, function: Any, *args: Any, **options: Any) -> Any:
                tell(function.__name__, next(told))
                return compile_extra(typing, target, function, *args, **options)

            compiler.Flags, compiler.compile_extra = as_in_process, telling
            self._compiled, self._exports = self._compile_object_files(self.output_dir)

        def finish(self, mixins: threading.Thread) -> None:
            mixins.join()
            if self._failed is not None:
                raise self._failed
            chain = self._toolchain
            chain.link_shared(
                os.path.join(self.output_dir, self.output_file), [*self._compiled, *self._objects],
                chain.get_python_libraries(), chain.get_python_library_dirs(),
                export_symbols=self._exports, extra_ldflags=self._get_extra_ldflags(),
            )  # fmt: skip

    return Builder(module, source_module=sys.modules[__name__])


if __name__ == "__main__":
    sys.exit(main())
