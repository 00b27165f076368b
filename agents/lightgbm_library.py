"""LightGBM's C library for single rows, called by ctypes; the Python package is not imported.

The single-row fast API answers in microseconds where the package takes tens or hundreds, and
without OpenMP's threads there is no tail. Source: LightGBM's ``c_api.h``,
``LGBM_BoosterLoadModelFromString`` and ``LGBM_BoosterPredictForMatSingleRowFast``.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path

from agents.artifacts import ModelFileError

_FLOAT64 = 1
_RAW_SCORE = 1
_NAMES = {"win32": "lib_lightgbm.dll", "darwin": "lib_lightgbm.dylib"}
_PLACES = ("lib", "bin")


def find_library() -> Path:
    """Return where the installed LightGBM keeps its library.

    Raises
    ------
    ModelFileError
        If it is not installed.
    """
    spec = importlib.util.find_spec("lightgbm")
    name = _NAMES.get(sys.platform, "lib_lightgbm.so")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for place in _PLACES:
            if (path := Path(folder) / place / name).is_file():
                return path
    raise ModelFileError("LightGBM is not installed")


def open_library(path: Path) -> ctypes.CDLL:
    """Return the loaded library with the signatures of what is used.

    Raises
    ------
    ModelFileError
        If it cannot be loaded, for example because the system has no libgomp.
    """
    try:
        library = ctypes.CDLL(str(path))
        handle, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
        library.LGBM_GetLastError.restype = text
        library.LGBM_BoosterLoadModelFromString.argtypes = [text, handle, handle]
        library.LGBM_BoosterGetNumFeature.argtypes = [handle, handle]
        library.LGBM_BoosterFree.argtypes = [handle]
        library.LGBM_BoosterPredictForMatSingleRowFastInit.argtypes = [
            handle, number, number, number, number, ctypes.c_int32, text, handle,
        ]  # fmt: skip
        library.LGBM_BoosterPredictForMatSingleRowFast.argtypes = [handle, handle, handle, handle]
        library.LGBM_FastConfigFree.argtypes = [handle]
    except (OSError, AttributeError) as e:
        raise ModelFileError(f"LightGBM's library {path} cannot be used: {e}") from e
    return library


class SingleRowBooster:
    """One trained booster that predicts one row at a time, on the calling thread.

    Not for several threads at once: the buffers are its own and are reused by every call.

    Parameters
    ----------
    text : str
        A model as LightGBM writes it.
    features : int
        Inputs the caller will pass; the model must want as many.

    Raises
    ------
    ModelFileError
        If library or model cannot be used.
    """

    def __init__(self, text: str, *, features: int, library: Path | None = None) -> None:
        _check_shape(text)
        self._library = open_library(library or find_library())
        booster = ctypes.c_void_p()
        trees = ctypes.c_int()
        self._call(
            "LGBM_BoosterLoadModelFromString",
            text.encode("ascii"),
            ctypes.byref(trees),
            ctypes.byref(booster),
        )
        self._free_booster = weakref.finalize(self, self._library.LGBM_BoosterFree, booster)
        self._check_width(booster, features)
        self._row = (ctypes.c_double * features)()
        self._result = ctypes.c_double()
        self._length = ctypes.c_int64()
        self._config = self._fast_config(booster, features)
        self._free_config = weakref.finalize(self, self._library.LGBM_FastConfigFree, self._config)
        self._predict = self._library.LGBM_BoosterPredictForMatSingleRowFast
        self._arguments = (
            self._config,
            ctypes.addressof(self._row),
            ctypes.addressof(self._length),
            ctypes.addressof(self._result),
        )

    def predict(self, row: Sequence[float]) -> float:
        """Return the prediction for one row; NaN if the library refuses or was closed."""
        if not self._free_config.alive:
            return math.nan
        self._row[:] = list(row)
        if self._predict(*self._arguments) != 0:
            return math.nan
        return self._result.value

    def close(self) -> None:
        """Free what the library holds; twice is the same as once."""
        self._free_config()
        self._free_booster()

    def _check_width(self, booster: ctypes.c_void_p, features: int) -> None:
        wanted = ctypes.c_int()
        self._call("LGBM_BoosterGetNumFeature", booster, ctypes.byref(wanted))
        if wanted.value != features:
            raise ModelFileError(f"the LightGBM model wants {wanted.value} inputs, not {features}")

    def _fast_config(self, booster: ctypes.c_void_p, features: int) -> ctypes.c_void_p:
        config = ctypes.c_void_p()
        self._call(
            "LGBM_BoosterPredictForMatSingleRowFastInit",
            booster,
            _RAW_SCORE,
            0,
            -1,
            _FLOAT64,
            features,
            b"num_threads=1",
            ctypes.byref(config),
        )
        return config

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self._library, name)(*arguments) != 0:
            message = self._library.LGBM_GetLastError() or b"unknown"
            raise ModelFileError(
                f"LightGBM refused the model: {message.decode('utf-8', 'replace')}"
            )


def _check_shape(text: str) -> None:
    """Refuse what cannot be a whole model: the library's own parser trusts its input."""
    if not text.startswith("tree\n") or "\nend of trees\n" not in text:
        raise ModelFileError("not a whole LightGBM text model")
