"""Meta's own folders: slices put together are the matrix that upstream reads from one file, and what
``params.json`` leaves out is what transformers' conversion script would say."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gguf_py import KQuantsError
from hf2gguf import checkpoint
from hf2gguf.checkpoint import published
from hf2gguf.convert import prepare
from tests.hf2gguf import meta
from tests.hf2gguf.make_meta import META
from tests.hf2gguf.models import Model, save, values, write
from tests.hf2gguf.test_architectures import EXPECTED, convert
from tests.hf2gguf.zoo import ZOO

MODEL = ZOO["llama-by-meta"]
DIGESTS: dict[str, str] = json.loads(META.read_text())

pytestmark = pytest.mark.filterwarnings("ignore:.*unknown vocabulary", "ignore:.*does not say which Llama")


def whole() -> meta.Arrays:
    """The checkpoint's tensors, BF16, in the order of safetensors."""
    return {name: values(name, MODEL.tensors[name], MODEL.dtype) for name in sorted(MODEL.tensors)}


def parts(folder: Path, count: int, embedding: int = 1) -> Path:
    """The checkpoint in ``count`` files, with a ``config.json``; ``embedding`` is the axis that cuts the embedding."""
    write(MODEL, folder)
    (folder / "model.safetensors").unlink()
    meta.parts(folder, whole(), count, embedding)
    return folder


@pytest.mark.parametrize(("count", "embedding"), [(1, 1), (2, 1), (2, 0), (8, 1)])
def test_slices_give_what_the_whole_gives(count: int, embedding: int, tmp_path: Path) -> None:
    folder = parts(tmp_path / "llama-by-meta", count, embedding)
    found = convert(folder, tmp_path / "out", "--outtype", "f16")
    assert found == EXPECTED["llama-by-meta --outtype f16"]


def test_any_rows_of_slices(tmp_path: Path) -> None:
    with checkpoint.open(parts(tmp_path / "m", 4)) as opened:
        for name, array in whole().items():
            stored = opened.stored[name]
            if array.ndim == 2:
                high = len(array)
                for lo, hi in ((0, high), (0, 0), (3, 3), (high // 4 - 1, high // 2 + 1)):
                    assert stored.rows(lo, hi).tobytes() == array[lo:hi].tobytes(), (name, lo, hi)
                assert stored.block(0, high, 1, 3).tobytes() == array[:, 1:3].tobytes()


def changed(folder: Path, name: str, shape: tuple[int, ...] | None) -> None:
    """Two files, the second of which has another slice of one tensor, or none."""
    arrays = {"norm.weight": np.zeros(64, np.float32), "layers.0.attention.wq.weight": np.zeros((32, 64), np.float32)}
    for i in range(2):
        meta.save(folder / f"consolidated.{i:02}.pth", arrays)
        arrays.pop(name, None)
        arrays |= {name: np.zeros(shape, np.float32)} if shape else {}


def test_slices_that_do_not_fit(tmp_path: Path) -> None:
    folder = parts(tmp_path / "m", 2)
    for shape, says in ((None, "01.pth: lacks its slice of 'layers"), ((31, 64), r"is F32 \[31, 64\], expected F32")):
        changed(folder, "layers.0.attention.wq.weight", shape)
        with checkpoint.open(folder) as opened, pytest.raises(KQuantsError, match=says):
            _ = opened.stored
    (folder / "consolidated.01.pth").rename(folder / "consolidated.02.pth")
    with checkpoint.open(folder) as opened, pytest.raises(KQuantsError, match=r"01\.pth: is missing"):
        _ = opened.stored


@pytest.mark.parametrize("name", meta.METAS)
def test_a_folder_as_published(name: str, tmp_path: Path) -> None:
    """What upstream makes of the Hugging Face checkpoint that transformers' script makes of the folder."""
    folder = meta.write(meta.METAS[name], tmp_path / name)
    with pytest.warns(UserWarning, match=r"params\.json: does not say which Llama this is; taken for (Code )?Llama"):
        found = convert(folder, tmp_path / "out", "--outtype", "f16")
    assert found == {"m.gguf": DIGESTS[name]}


def test_a_vocabulary_of_nobodys_is_said_to_be_one(tmp_path: Path) -> None:
    folder = meta.write(meta.METAS["llama-3"], tmp_path / "llama-3")
    says = r"tokenizer\.model: unknown vocabulary, its pre-tokenizer is taken for 'llama-bpe', the family's"
    with pytest.warns(UserWarning, match=says):
        convert(folder, tmp_path / "out", "--outtype", "f16")


def test_an_embedding_that_is_written_twice(tmp_path: Path) -> None:
    model = meta.METAS["llama-3.2"]
    folder = meta.write(model, tmp_path / "llama-3.2")
    (folder / "params.json").write_text(json.dumps({"model": model.params}))
    arrays = meta.whole(model)
    meta.save(folder / "consolidated.00.pth", arrays | {"output.weight": arrays["tok_embeddings.weight"].copy()})
    assert convert(folder, tmp_path / "out", "--outtype", "f16") == {"m.gguf": DIGESTS["llama-3.2"]}


@pytest.mark.filterwarnings("ignore:.*which Llama")
def test_what_stands_for_a_file_is_read_anew(tmp_path: Path) -> None:
    with checkpoint.open(meta.write(meta.METAS["llama-1"], tmp_path / "m")) as opened:
        (found := opened.json("tokenizer_config.json") or {})["added_tokens_decoder"]["0"]["content"] = "<changed>"
        assert found != opened.json("tokenizer_config.json")


def test_a_folder_deep_in_a_cache(tmp_path: Path) -> None:
    """As that of Llama 3.1 405B in sixteen parts: ``snapshots/REVISION/original/mp16``, with links to the blobs."""
    folder = meta.write(meta.METAS["llama-1"], tmp_path / "models--acme--m/snapshots/0123/original/llama-1")
    (blobs := tmp_path / "models--acme--m/blobs").mkdir()
    for path in list(folder.iterdir()):
        path.rename(blobs / path.name)
        path.symlink_to(Path("../../../../blobs") / path.name)
    assert convert(folder, tmp_path / "out", "--outtype", "f16") == {"m.gguf": DIGESTS["llama-1"]}


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"n_heads": "4"}, r"params\.json: n_heads is '4', expected a number"),
        ({"norm_eps": None}, r"params\.json: norm_eps is None, expected a number"),
        ({"multiple_of": 256}, r"params\.json: makes a feed-forward size of 256, but layers\.0\.feed_forward\.w1"),
        ({"ffn_dim_multiplier": 2.2}, r"feed-forward size of 384, but .* \[192, 64\], of which files may be missing"),
        ({"vision_chunk_size": 448}, r"params\.json: has 'vision_chunk_size', so this is a Llama that sees"),
        ({"quantization_args": {"scheme": "int4"}}, "so this is weights that Meta has quantized"),
    ],
)
def test_parameters_that_do_not_fit(params: dict[str, Any], says: str, tmp_path: Path) -> None:
    folder = meta.write(meta.METAS["llama-1"], tmp_path / "m")
    (folder / "params.json").write_text(json.dumps(meta.METAS["llama-1"].params | params))
    with pytest.raises(KQuantsError, match=says):
        prepare(folder, "f16")


def test_a_tokenizer_beside_the_folder(tmp_path: Path) -> None:
    """As the first Llamas came."""
    folder = meta.write(meta.METAS["llama-1"], tmp_path / "7B")
    (folder / "tokenizer.model").rename(tmp_path / "tokenizer.model")
    with pytest.raises(KQuantsError, match=f"7B: has no tokenizer.model, copy {tmp_path / 'tokenizer.model'} into it"):
        prepare(folder, "f16")


def own(name: str) -> str:
    """Mistral's own name of one of Mixtral's tensors."""
    for pattern, text in (
        (r"^model\.", ""), ("embed_tokens", "tok_embeddings"), ("lm_head", "output"), ("input_layernorm",
        "attention_norm"), ("post_attention_layernorm", "ffn_norm"), (r"self_attn\.(.)_proj", r"attention.w\1"),
        ("block_sparse_moe", "feed_forward"),
    ):  # fmt: skip
        name = re.sub(pattern, text, name)
    return name


def test_mixtral_in_mistrals_own_form(tmp_path: Path) -> None:
    """The same bytes as its form on the hub, whose rotary rows lie in halves and not in pairs."""
    hub = {**ZOO["tiny-mixtral"].config, "rope_theta": 1e6, "max_position_embeddings": 32768, "unk_token_id": 0}
    twin = write(replace(ZOO["tiny-mixtral"], config=hub, shards=1), tmp_path / "hub/Tiny")
    (twin / "tokenizer_config.json").write_text(json.dumps(published._with_pieces({})["tokenizer_config.json"]))
    (twin / "tokenizer.json").write_text(json.dumps(published._with_pieces({})["tokenizer.json"]))
    params = {"dim": 64, "n_layers": 2, "head_dim": 16, "hidden_dim": 96, "n_heads": 4, "n_kv_heads": 2, "norm_eps":
        1e-5, "vocab_size": 4096, "moe": {"num_experts": 4, "num_experts_per_tok": 2}}  # fmt: skip
    folder = write(Model(params, {}, "sp-v3"), tmp_path / "own/Tiny")
    tensors = {}
    for name, shape in ZOO["tiny-mixtral"].tensors.items():
        array = values(name, shape, "BF16")
        if re.search(r"[qk]_proj", name):
            array = array.reshape(-1, 2, 8, 64).swapaxes(1, 2).reshape(shape)
        tensors[own(name)] = "BF16", np.ascontiguousarray(array)
    save(folder / "consolidated.safetensors", tensors)
    expected = convert(twin, tmp_path / "a", "--outtype", "f16")
    with pytest.warns(UserWarning, match="does not say how long a text may be; taken for 32768 tokens"):
        assert convert(folder, tmp_path / "b", "--outtype", "f16") == expected
