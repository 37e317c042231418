"""Every checkpoint of the zoo, converted and taken back: the bytes of upstream's converter, and the same once more.

``make_digests`` wrote the digests.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import gguf_py
from cli.convert import command
from cli.edit import command as edit
from hf2gguf.checkpoint import MISTRAL, MISTRAL_MOE
from hf2gguf.config import model_class
from hf2gguf.definition import classes
from hf2gguf.export import export

from .make_digests import DIGESTS, MODELS, RUNS, digest
from .models import TOKENIZERS, write
from .siblings import SIBLINGS
from .zoo import ZOO

EXPECTED: dict[str, dict[str, str]] = json.loads(DIGESTS.read_text())

pytestmark = pytest.mark.filterwarnings("ignore:.*unknown vocabulary", "ignore:.*config.json lacks")


def convert(folder: Path, out: Path, *options: str) -> dict[str, str]:
    """Digests by file name of what ``kquants convert`` writes."""
    out.mkdir()
    result = CliRunner().invoke(command, [str(folder), "--outfile", str(out / "m.gguf"), "--quiet", *options])
    if result.exception is not None:
        raise result.exception
    assert result.exit_code == 0, result.output
    return {p.name: digest(p) for p in sorted(out.iterdir())}


@pytest.mark.parametrize("name", ZOO)
def test_same_bytes(name: str, tmp_path: Path) -> None:
    folder = write(ZOO[name], tmp_path / name)
    for outtype in ZOO[name].outtypes:
        found = convert(folder, tmp_path / outtype, "--outtype", outtype)
        assert found == EXPECTED[f"{name} --outtype {outtype}"], outtype
    plain = next((o for o in ("f16", "bf16", "f32", "auto") if o in ZOO[name].outtypes), None)
    if plain is None:
        convert(folder, tmp_path / (plain := "f16"), "--outtype", plain)
    with gguf_py.open(tmp_path / plain / "m.gguf") as file:
        back = export(file, tmp_path / "back")
    assert back.exact, back


@pytest.mark.parametrize(("name", "options"), RUNS, ids=lambda o: o if isinstance(o, str) else " ".join(o))
def test_same_bytes_with_options(name: str, options: tuple[str, ...], tmp_path: Path) -> None:
    folder = write(MODELS[name], tmp_path / name)
    assert convert(folder, tmp_path / "out", *options) == EXPECTED[" ".join((name, *options))]


@pytest.mark.parametrize("name", SIBLINGS)
def test_same_bytes_by_another_name(name: str, tmp_path: Path) -> None:
    folder = write(SIBLINGS[name], tmp_path / name)
    assert convert(folder, tmp_path / "out", "--outtype", "f16") == EXPECTED[f"{name} --outtype f16"]


@pytest.mark.parametrize("name", ["rwkv-templated", "kimi-k3-templated", "minimax-templated"])
def test_a_template_of_upstreams_given_later(name: str, tmp_path: Path) -> None:
    folder = write(SIBLINGS[name], tmp_path / name)
    (own,) = folder.glob("*.jinja")
    template = own.rename(tmp_path / own.name)
    with pytest.warns(UserWarning, match=f"models/templates/{re.escape(own.name)}: copy"):
        convert(folder, tmp_path / "out", "--outtype", "f16")
    done = CliRunner().invoke(edit, [str(tmp_path / "out/m.gguf"), "--chat-template", str(template)])
    assert done.exit_code == 0, done.output
    assert digest(tmp_path / "out/m.gguf") == EXPECTED[f"{name} --outtype f16"]["m.gguf"]


def test_t5_without_its_sentencepiece_model(tmp_path: Path) -> None:
    folder = write(ZOO["tiny-t5"], tmp_path / "tiny-t5")
    (folder / "spiece.model").unlink()
    document = json.loads(TOKENIZERS["unigram-json"]["tokenizer.json"].read_text("utf-8"))
    document["model"]["vocab"] = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], *document["model"]["vocab"][4:-1]]
    document["model"]["unk_id"] = 2
    document |= {"added_tokens": [], "post_processor": None}
    (folder / "tokenizer.json").write_text(json.dumps(document), "utf-8")
    assert convert(folder, tmp_path / "out", "--outtype", "f16") == EXPECTED["tiny-t5 --outtype f16"]


def test_granite_as_transformers_names_its_layers_since_5(tmp_path: Path) -> None:
    model = ZOO["tiny-granite-hybrid"]  # upstream takes the layer of attention for one of states
    folder = write(replace(model, config=model.config | {"layer_types": ["linear_attention", "full_attention"]}),
        tmp_path / "tiny-granite-hybrid")  # fmt: skip
    assert convert(folder, tmp_path / "out", "--outtype", "f16") == EXPECTED["tiny-granite-hybrid --outtype f16"]


def test_a_nemotron_h_without_experts_as_transformers_saves_it_since_5(tmp_path: Path) -> None:
    model = ZOO["tiny-nemotron-h"]  # upstream takes it for a mixture, and gives its layers no width
    config = {k: v for k, v in model.config.items() if k not in ("hybrid_override_pattern", "num_hidden_layers")}
    config |= {"model_type": "nemotron_h", "layers_block_type": ["linear_attention", "mlp", "full_attention", "mlp"],
        "moe_intermediate_size": 7688, "moe_shared_expert_intermediate_size": 7688, "moe_latent_size": None,
        "n_group": 1, "n_routed_experts": 8, "n_shared_experts": 1, "norm_topk_prob": True, "num_experts_per_tok": 2,
        "num_nextn_predict_layers": 0, "routed_scaling_factor": 1.0, "topk_group": 1, "sliding_window": None,
        "tie_word_embeddings": False}  # fmt: skip
    folder = write(replace(model, config=config), tmp_path / "tiny-nemotron-h")
    assert convert(folder, tmp_path / "out", "--outtype", "f16") == EXPECTED["tiny-nemotron-h --outtype f16"]


def test_bert_with_a_unigram_vocabulary(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        found = []
        for name, class_ in (("one", "BertModel"), ("other", "XLMRobertaModel")):
            model = ZOO["xlm-json"]
            write(replace(model, config=model.config | {"architectures": [class_]}), Path(name))
            convert(Path(name), Path(f"{name}-out"), "--vocab-only")
            with gguf_py.open(Path(f"{name}-out/m.gguf")) as file:
                found.append({k: str(v) for k, v in file.metadata.items() if k.startswith("tokenizer.")})
    assert found[0] == found[1]


def test_every_class_is_tried() -> None:
    own = {"architectures": [MISTRAL]}
    tried = {model_class(own | model.config, name) for name, model in (ZOO | SIBLINGS).items()}
    tried |= {MISTRAL_MOE}  # mistral-own-mixture, which names none either
    assert classes().keys() == tried
