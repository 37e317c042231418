"""The process that loads libllama, and a fork of it for each request: one in (JSON file, arrays beside it), one out.

llama.cpp aborts on some bad inputs, and its logger is global; alone in a process neither can hurt the tests.
"""

from __future__ import annotations

import ctypes as c
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from .structs import (
    Batch,
    ContextParams,
    Imatrix,
    KeyOverride,
    ModelParams,
    QuantizeParams,
    TypeOverride,
    Watcher,
)

Json = dict[str, Any]

UNSAID, EACH, RANK = -1, 0, 4
"""Poolings of ``llama_pooling_type``: the file's own, none, and by the classification head."""


def load(folder: Path) -> c.CDLL:
    """The library with the signatures of what is called here."""
    lib = c.CDLL(str(folder / "libllama.v0.5.0.so"), mode=c.RTLD_GLOBAL)
    pointer, i32 = c.c_void_p, c.c_int32
    lib.llama_model_quantize_default_params.restype = QuantizeParams
    lib.llama_model_quantize.argtypes = [c.c_char_p, c.c_char_p, c.POINTER(QuantizeParams)]
    lib.llama_model_quantize.restype = c.c_uint32
    lib.llama_model_default_params.restype = ModelParams
    lib.llama_context_default_params.restype = ContextParams
    lib.llama_model_load_from_file.argtypes = [c.c_char_p, ModelParams]
    lib.llama_model_load_from_file.restype = pointer
    lib.llama_init_from_model.argtypes = [pointer, ContextParams]
    lib.llama_init_from_model.restype = pointer
    lib.llama_model_get_vocab.argtypes = [pointer]
    lib.llama_model_get_vocab.restype = pointer
    lib.llama_vocab_n_tokens.argtypes = [pointer]
    lib.llama_tokenize.argtypes = [pointer, c.c_char_p, i32, c.POINTER(i32), i32, c.c_bool, c.c_bool]
    lib.llama_detokenize.argtypes = [pointer, c.POINTER(i32), i32, c.c_char_p, i32, c.c_bool, c.c_bool]
    for ask in (lib.llama_model_has_encoder, lib.llama_model_has_decoder):
        ask.argtypes, ask.restype = [pointer], c.c_bool
    for count in (lib.llama_model_n_embd_out, lib.llama_model_n_cls_out, lib.llama_pooling_type):
        count.argtypes = [pointer]
    for run in (lib.llama_encode, lib.llama_decode):
        run.argtypes = [pointer, Batch]
    for get in (lib.llama_get_logits_ith, lib.llama_get_embeddings_ith, lib.llama_get_embeddings_seq):
        get.argtypes, get.restype = [pointer, i32], c.POINTER(c.c_float)
    backends = c.CDLL(str(folder / "libggml.v0.5.0.so"), mode=c.RTLD_GLOBAL)
    for find in (backends.ggml_backend_load, backends.ggml_backend_load_all_from_path):
        find.argtypes, find.restype = [c.c_char_p], pointer
    # One for all processors that have AVX2: that for those with AMX repacks weights, and aborts on Hunyuan 4.
    if not backends.ggml_backend_load(str(folder / "libggml-cpu-haswell.so").encode()):
        backends.ggml_backend_load_all_from_path(str(folder).encode())
    return lib


def quantize(lib: c.CDLL, request: Json, arrays: dict[str, Any]) -> Json:
    """``llama_model_quantize`` with every parameter that was given."""
    params = lib.llama_model_quantize_default_params()
    for name, value in request["params"].items():
        setattr(params, name, value)
    if "imatrix" in request:
        held = [np.ascontiguousarray(arrays[key], np.float32) for key in request["imatrix"].values()]
        rows = [(name.encode(), a.ctypes.data, a.size) for name, a in zip(request["imatrix"], held, strict=True)]
        params.imatrix = (Imatrix * (len(rows) + 1))(*(Imatrix(*row) for row in rows))
    if "kv_overrides" in request:
        params.kv_overrides = _key_overrides(request["kv_overrides"])
    if "tensor_types" in request:
        pairs = [TypeOverride(pattern.encode(), kind) for pattern, kind in request["tensor_types"]]
        params.tt_overrides = (TypeOverride * (len(pairs) + 1))(*pairs)
    if "prune_layers" in request:
        layers = [*request["prune_layers"], -1]
        params.prune_layers = (c.c_int32 * len(layers))(*layers)
    status = lib.llama_model_quantize(request["source"].encode(), request["target"].encode(), c.byref(params))
    return {"status": status}


def _key_overrides(values: Json) -> c.Array[KeyOverride]:
    table = (KeyOverride * (len(values) + 1))()
    for entry, (key, value) in zip(table, values.items(), strict=False):
        entry.key = key.encode()
        member = type(value).__name__
        entry.tag = ("int", "float", "bool", "str").index(member)
        setattr(entry.value, member, value.encode() if isinstance(value, str) else value)
    return table


class Model:
    """A model, or its vocabulary alone."""

    def __init__(self, lib: c.CDLL, path: str, *, vocab_only: bool) -> None:
        params = lib.llama_model_default_params()
        params.vocab_only = vocab_only
        self.lib = lib
        self.model = lib.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            sys.exit(f"llama.cpp does not load {path}")
        self.vocab = lib.llama_model_get_vocab(self.model)

    def tokenize(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        data = text.encode()
        room = len(data) + 16
        tokens = (c.c_int32 * room)()
        count = self.lib.llama_tokenize(self.vocab, data, len(data), tokens, room, add_special, parse_special)
        if count < 0:
            sys.exit(f"llama_tokenize answered {count}")
        return tokens[:count]

    def detokenize(self, tokens: list[int]) -> str:
        room = 256 * len(tokens) + 16
        text = c.create_string_buffer(room)
        count = self.lib.llama_detokenize(
            self.vocab, (c.c_int32 * len(tokens))(*tokens), len(tokens), text, room, False, True
        )
        return text.raw[: max(count, 0)].decode("utf-8", "replace")

    def context(self, size: int, threads: int, **more: int) -> int:
        params = self.lib.llama_context_default_params()
        for name, value in more.items():
            setattr(params, name, value)
        params.n_ctx = params.n_batch = params.n_ubatch = size
        params.n_threads = params.n_threads_batch = threads
        context = self.lib.llama_init_from_model(self.model, params)
        if not context:
            sys.exit("llama_init_from_model failed")
        return int(context)

    def run(self, which: str, context: int, tokens: list[int], *, every: bool = True) -> None:
        """Let the model ``encode`` or ``decode`` the tokens, with something to give for each or for the last."""
        count = len(tokens)
        wanted = (c.c_int8 * count)(*[every or i == count - 1 for i in range(count)])
        batch = Batch(n_tokens=count, token=(c.c_int32 * count)(*tokens), logits=wanted)
        status = getattr(self.lib, f"llama_{which}")(context, batch)
        if status != 0:
            sys.exit(f"llama_{which} answered {status}")

    def decode(self, context: int, tokens: list[int], *, every: bool) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The logits after every token, or after the last: float32[rows, vocabulary]."""
        self.run("decode", context, tokens, every=every)
        width = self.lib.llama_vocab_n_tokens(self.vocab)
        rows = range(len(tokens)) if every else (len(tokens) - 1,)
        return np.stack([np.ctypeslib.as_array(self.lib.llama_get_logits_ith(context, i), (width,)) for i in rows])

    def embed(self, context: int, tokens: list[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """What the model makes of every token, or of the sequence where it pools: float32[rows, width or scores]."""
        lib = self.lib
        self.run("decode" if lib.llama_model_has_decoder(self.model) else "encode", context, tokens)
        pooling = lib.llama_pooling_type(context)
        width = (lib.llama_model_n_cls_out if pooling == RANK else lib.llama_model_n_embd_out)(self.model)
        get, rows = lib.llama_get_embeddings_seq, range(1)
        if pooling == EACH:
            get, rows = lib.llama_get_embeddings_ith, range(len(tokens))
        return np.stack([np.ctypeslib.as_array(get(context, i), (width,)) for i in rows])


def tokenize(lib: c.CDLL, request: Json, arrays: dict[str, Any]) -> Json:
    """Tokens of each text."""
    model = Model(lib, request["model"], vocab_only=True)
    return {"tokens": [model.tokenize(t, request["add_special"], request["parse_special"]) for t in request["texts"]]}


def logits(lib: c.CDLL, request: Json, arrays: dict[str, Any]) -> Json:
    """Logits after every token of one sequence, which an encoder, if there is one, has read before."""
    model = Model(lib, request["model"], vocab_only=False)
    tokens = request["tokens"]
    context = model.context(len(tokens), request["threads"])
    if lib.llama_model_has_encoder(model.model):
        model.run("encode", context, tokens)
    arrays["logits"] = model.decode(context, tokens, every=True)
    return {}


def importance(lib: c.CDLL, request: Json, arrays: dict[str, Any]) -> Json:
    """The squares of what each matrix of a layer is multiplied with, summed by column: float64[columns] by name."""
    model = Model(lib, request["model"], vocab_only=False)
    tokens = request["tokens"]

    def watch(made: Any, ask: bool, _: Any) -> bool:
        matrix, given = made.contents.src[0], made.contents.src[1]
        if not (matrix and given and matrix.contents.name.startswith(b"blk.") and given.contents.type == 0):
            return not ask  # what is of no interest is not waited for, and nothing ends here
        if not ask:
            columns, rows = given.contents.ne[:2]
            numbers = np.ctypeslib.as_array(c.cast(given.contents.data, c.POINTER(c.c_float)), (rows, columns))
            arrays[matrix.contents.name.decode()] = (numbers.astype(np.float64) ** 2).sum(0)
        return True

    watcher = Watcher(watch)
    context = model.context(len(tokens), request["threads"], cb_eval=c.cast(watcher, c.c_void_p).value)
    model.run("decode", context, tokens)
    return {}


def embeddings(lib: c.CDLL, request: Json, arrays: dict[str, Any]) -> Json:
    """Embeddings of every token or of the sequence, or the sequence's scores."""
    model = Model(lib, request["model"], vocab_only=False)
    tokens = request["tokens"]
    pooling = RANK if request["rank"] else UNSAID
    context = model.context(len(tokens), request["threads"], embeddings=True, pooling_type=pooling)
    arrays["embeddings"] = model.embed(context, tokens)
    return {}


def generate(lib: c.CDLL, request: Json, arrays: dict[str, Any]) -> Json:
    """Greedy continuation of a prompt: tokens, their text, and the logits each was chosen from."""
    model = Model(lib, request["model"], vocab_only=False)
    prompt = model.tokenize(request["prompt"], True, True)
    context = model.context(len(prompt) + request["count"], request["threads"])
    step, chosen, rows = prompt, [], []
    for _ in range(request["count"]):
        row = model.decode(context, step, every=False)[0].copy()
        rows.append(row)
        step = [int(row.argmax())]
        chosen += step
    arrays["logits"] = np.stack(rows)
    return {"tokens": chosen, "text": model.detokenize(chosen)}


def answer(lib: c.CDLL, place: Path) -> None:
    """Answer the request of ``place``/request.json in ``place``/answer.json, arrays in .npz beside them."""
    request = json.loads((place / "request.json").read_text())
    arrays: dict[str, Any] = {}
    if (place / "request.npz").exists():
        arrays = dict(np.load(place / "request.npz"))
    given = set(arrays)
    do = {f.__name__: f for f in (quantize, tokenize, logits, importance, embeddings, generate)}[request["do"]]
    document = do(lib, request, arrays)
    np.savez(place / "answer.npz", **{name: a for name, a in arrays.items() if name not in given})
    (place / "answer.json").write_text(json.dumps(document))


def forked(lib: c.CDLL, place: Path) -> int:
    """The exit status of a process that answers the request in ``place`` and says on ``place``/log what is to say."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        log = os.open(place / "log", os.O_CREAT | os.O_WRONLY, 0o666)
        for stream in (1, 2):
            os.dup2(log, stream)
        answer(lib, place)
        status = 0
    except SystemExit as stop:
        os.write(2, f"{stop.code}\n".encode())
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


def main(library: str) -> None:
    """Answer the requests in the folders that come on standard input, each with the exit status of who answered."""
    lib = load(Path(library))
    for line in sys.stdin:
        print(forked(lib, Path(line.rstrip("\n"))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
