"""A tokenizer of the tokenizers library, without the part of its model that nothing here asks for.

The library keeps Gemma 3's 514,906 merges in 400 MB. What is asked of it are the added tokens, how they decode, and the
ids of one text: for those a few hundred merges do.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gguf_py import KQuantsError
from hf2gguf.checkpoint import Checkpoint
from hf2gguf.checkpoint.folder import read_json, shown

from . import classes, pre, special
from .special import MAX_TOKENIZER


@dataclass
class Tokenizer:
    """A tokenizer with the tokens that ``tokenizer_config.json`` adds; ``document`` is what ``tokenizer.json`` holds.

    ``backend`` gives the original's ids of :data:`pre.PROBE` and of added tokens, and of no other text; ``unnamed`` are
    tokens that only a class names.
    """

    backend: Any
    config: dict[str, Any]
    document: dict[str, Any]
    path: Path
    kind: str | None = None
    """The class by which it is read, as :func:`classes.named` says."""
    unnamed: frozenset[str] = frozenset()
    plain: Callable[[], Tokenizer] | None = None
    """The tokenizer as its file has it, where its class builds another of it."""

    @cached_property
    def ids(self) -> dict[str, int]:
        """Every token's id, added tokens included."""
        vocab: dict[str, int] | list[Any] = self.document["model"]["vocab"]
        if isinstance(vocab, list):  # of a unigram model
            vocab = {text: i for i, (text, _) in enumerate(vocab)}
        return vocab | {token.content: token_id for token_id, token in self.added.items()}

    @cached_property
    def added(self) -> dict[int, Any]:
        """The added tokens by id."""
        added: dict[int, Any] = self.backend.get_added_tokens_decoder()
        return added

    def id(self, token: Any) -> int | None:
        """The id of a token of ``tokenizer_config.json`` (a text, or an object with its text), or None."""
        text = classes.text_of(token)
        return None if text is None else self.ids.get(text)

    def drop_unnamed(self, config: Mapping[str, Any]) -> None:
        """Forget tokens that only a class names and for which the model has no place: upstream gives up there."""
        size = config.get("vocab_size")
        for token_id, token in list(self.added.items()):
            if isinstance(size, int) and token_id >= size and token.content in self.unnamed:
                del self.added[token_id]

    def special_ids(self) -> set[int]:
        """The ids of all tokens that have a name or are called special, added ones or not."""
        found = (self.id(entry) for entries in _named(self.config) for entry in entries)
        return {token_id for token_id in found if token_id is not None}

    def decoded(self, text: str) -> str:
        """An added token as it decodes."""
        return str(self._asked(lambda: self.backend.decode(self._encoded(text), skip_special_tokens=False)))

    def again(self) -> None:
        """Add the named tokens once more with the marks of a text that is special, as Qwen 2's class does."""
        from tokenizers import AddedToken

        texts = dict.fromkeys(classes.text_of(entry) for entries in _named(self.config) for entry in entries)
        self.backend.add_tokens([AddedToken(text, special=True) for text in texts if text])

    def _encoded(self, text: str, add_special_tokens: bool = False) -> list[int]:
        ids: list[int] = self.backend.encode(text, add_special_tokens=add_special_tokens).ids
        return ids

    def _asked(self, what: Callable[[], Any]) -> Any:
        return asked(self.path, what)

    def pre_name(self) -> str:
        """The name of the pre-tokenizer for llama.cpp: recognized, else inferred with a warning."""
        name = pre.recognized(self.encodings())
        if name is not None:
            return name
        if self.plain is not None:  # what upstream knows no more, since a class cuts otherwise than the file says
            return self.plain().pre_name()
        if self.path.name == "vocab.json" and (name := self._cut_as_known()) is not None:
            return name
        if self.document["model"].get("type") == "WordPiece":
            warnings.warn(f"{self.path}: unknown pre-tokenizer, and llama.cpp has one for all WordPiece", stacklevel=2)
            return "default"
        return pre.inferred(self.backend.pre_tokenizer, bool(self.document["model"].get("ignore_merges")), self.path)

    def _cut_as_known(self) -> str | None:
        """For a vocabulary whose files say nothing of cutting: the way by which it gives ids that upstream knows."""
        from tokenizers import Regex, pre_tokenizers

        level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        for _, _, expressions in pre.SPLITS:
            cuts = [pre_tokenizers.Split(Regex(expression), "isolated") for expression in expressions]
            self.backend.pre_tokenizer = pre_tokenizers.Sequence([*cuts, level])
            if (name := pre.recognized([self._encoded(pre.PROBE)])) is not None:
                message = f"{self.path}: says nothing of how to cut a text, taken for {name!r}, whose ids it gives"
                warnings.warn(message, stacklevel=2)
                return name
        self.backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        return None

    def encodings(self) -> Iterator[Sequence[int]]:
        """What upstream may have digested: versions of transformers differ in which tokens they add around a text."""
        yield self._asked(lambda: self._encoded(pre.PROBE, add_special_tokens=True))
        plain = self._asked(lambda: self._encoded(pre.PROBE))
        yield plain
        bos, eos = self.id(self.config.get("bos_token")), self.id(self.config.get("eos_token"))
        first, last = [] if bos is None else [bos], [] if eos is None else [eos]
        yield from ([*first, *plain], [*first, *plain, *last], [*plain, *last])


def load(checkpoint: Checkpoint) -> Tokenizer:
    """The tokenizer in ``tokenizer.json``, or in files that were before that; raises KQuantsError without one."""
    path, document = checkpoint.path("tokenizer.json"), None
    if path is not None:
        document = read_json(path, MAX_TOKENIZER)
    config = _configured(checkpoint, document)
    kind = classes.named(config, checkpoint.json("config.json") or {}, document)
    if path is None or document is None:
        path, document = _older(checkpoint)
        if path.name == "vocab.txt":
            kind = kind or "BertTokenizer"
    unsaid = _unsaid(document, config, kind)
    config = unsaid | config
    own = None if kind is None else classes.built(kind, document, config)
    written, *others = _reduced([document] if own is None else [document, own], config, path)
    if written is not document:  # half a million pairs take three times the memory of their texts
        document["model"]["merges"] = special.spelled(document["model"]["merges"])
    unnamed = frozenset(text for text in unsaid.values() if text)

    def made(of: Mapping[str, Any], plain: Callable[[], Tokenizer] | None = None) -> Tokenizer:
        return Tokenizer(_backend(of, config, path), config, document, path, kind, unnamed, plain)

    for other in others:
        try:
            found = made(other, lambda: made(written))
        except KQuantsError:  # of which upstream makes none
            break
        if kind == "Qwen2Tokenizer":
            found.again()
        return found
    return made(written)


def _older(checkpoint: Checkpoint) -> tuple[Path, dict[str, Any]]:
    """What stands in for ``tokenizer.json``: a vocabulary with merges, or WordPiece's, a token a line."""
    path = checkpoint.path("vocab.json")
    if path is not None and checkpoint.path("merges.txt") is not None:
        return path, _byte_level(read_json(path, MAX_TOKENIZER), special.merges_txt(checkpoint))
    path = checkpoint.path("vocab.txt")
    if path is None:
        raise KQuantsError(f"{checkpoint.dir}: has no tokenizer.json, {_own(checkpoint.dir)}")
    lines = special.text_of(path).removesuffix("\n").split("\n")
    return path, {"model": {"type": "WordPiece", "vocab": {line.rstrip(): i for i, line in enumerate(lines)}}}


def _own(folder: Path) -> str:
    """What there is in the place of ``tokenizer.json``, and what to do about it."""
    own = sorted(p.name for p in folder.iterdir() if p.suffix == ".tiktoken" or p.name == "tiktoken.model")
    own += sorted(p.name for p in folder.glob("tokenization_*.py"))
    if not own:
        return "expected the tokenizer of the model"
    return f"and {', '.join(own)} only the model's own code can read, which is not run; save it as tokenizer.json"


def _byte_level(vocab: dict[str, Any], merges: list[str]) -> dict[str, Any]:
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "vocab": vocab, "merges": merges}
    return {"version": "1.0", "added_tokens": [], "pre_tokenizer": level, "decoder": level, "model": model}


def _backend(document: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> Any:
    import tokenizers

    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        _check(document.get(part), part, path)
    backend = asked(path, lambda: tokenizers.Tokenizer.from_str(json.dumps(document)))
    backend.no_truncation()
    backend.no_padding()
    _add_configured(backend, config)
    return backend


def asked(path: Path, what: Callable[[], Any]) -> Any:
    """What the library answers.

    Raises KQuantsError when it fails, or panics, which is no Exception and which the library prints itself.
    """
    printed, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        return what()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as fault:
        raise KQuantsError(f"{path}: is not a tokenizer ({(str(fault) or 'it panics').splitlines()[0]})") from None
    finally:
        os.dup2(printed, 2)
        os.close(printed)
        os.close(nowhere)


_MOST_STEPS, _MOST_GROWTH = 1000, 1 << 16


def _check(part: Any, name: str, path: Path) -> None:
    """Raise KQuantsError for a part that takes more steps, or writes more into a text, than any tokenizer does."""
    steps, growth, todo = 0, 1, [part]
    while todo and steps <= _MOST_STEPS and growth <= _MOST_GROWTH:
        value = todo.pop()
        if isinstance(value, Mapping):
            steps += "type" in value
            growth *= max(1, *(len(value[key]) for key in ("content", "prepend") if isinstance(value.get(key), str)), 0)
            todo += value.values()
        elif isinstance(value, list):
            todo += value
    if steps > _MOST_STEPS or growth > _MOST_GROWTH:
        raise KQuantsError(f"{path}: has a {name} that is of more steps, or writes more into a text, than any is")


def _reduced(documents: list[dict[str, Any]], config: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """Tokenizers that give the same ids of :data:`pre.PROBE`: their BPE has no merge that cannot join a part of that.

    They have one vocabulary and one list of merges. Raises KQuantsError when a merge is of no tokens.
    """
    model = documents[0].get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        return documents
    vocab, merges = model.get("vocab"), model.get("merges")
    if not isinstance(vocab, dict) or not isinstance(merges, list):
        return documents
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        return documents
    text = "\n".join(_unmerged(document, config, path) for document in documents)
    kept = []
    for merge in merges:
        try:
            left, right = merge.split(" ") if isinstance(merge, str) else merge
            whole = left + right
            there = left in vocab and right in vocab and whole in vocab
        except (TypeError, ValueError):
            raise KQuantsError(f"{path}: has the merge {shown(merge)}, expected two parts") from None
        if not there:
            raise KQuantsError(
                f"{path}: merges {shown(left)} and {shown(right)}, which are not both tokens or make none"
            )
        if whole in text:
            kept.append(merge)
    return [document | {"model": document["model"] | {"merges": kept}} for document in documents]


def _unmerged(document: dict[str, Any], config: Mapping[str, Any], path: Path) -> str:
    """The pieces of :data:`pre.PROBE` before any merge, one behind the other."""
    model = document["model"]
    whole = (model.get("unk_token"),)
    letters = {t: i for t, i in model["vocab"].items() if len(t) == 1 or t in whole or t.startswith("<0x")}
    try:
        backend = _backend(document | {"model": model | {"vocab": letters, "merges": []}}, config, path)
    except KQuantsError:
        if document.get("added_tokens"):
            raise
        return ""  # a class's, of which there will be none
    return "".join(asked(path, lambda: backend.encode(pre.PROBE, add_special_tokens=False).tokens))


_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


def _configured(checkpoint: Checkpoint, document: Mapping[str, Any] | None) -> dict[str, Any]:
    """``tokenizer_config.json``; where that lists no added tokens, what older files and ``tokenizer.json`` say."""
    config = checkpoint.json("tokenizer_config.json") or {}
    if "added_tokens_decoder" in config:
        return config
    older, own = checkpoint.json("special_tokens_map.json") or {}, _named(config)[1]
    config |= {key: entry | {"special": True} if isinstance(entry, dict) else entry for key, entry in older.items()}
    special_texts = {classes.text_of(entry) for entry in (*_named(config)[0], *own)}
    added: dict[str, Any] = {
        str(token_id): {"content": text, "normalized": text not in special_texts, "special": text in special_texts}
        for text, token_id in (checkpoint.json("added_tokens.json") or {}).items()
    }
    added |= {str(entry["id"]): entry for entry in (document or {}).get("added_tokens") or []}
    return config | {"added_tokens_decoder": added} if added else config


def _unsaid(document: Mapping[str, Any], config: Mapping[str, Any], kind: str | None) -> dict[str, Any]:
    """Names of tokens that the configuration leaves out: those of the class, and that of the file's padding."""
    names = classes.NAMES.get(kind or "", {})
    found: dict[str, Any] = {f"{name}_token": text for name, text in names.items() if f"{name}_token" not in config}
    padding = document.get("padding")
    if isinstance(padding, dict) and "pad" not in names and "pad_token" not in config:
        found["pad_token"] = padding.get("pad_token")
    return found


def _add_configured(backend: Any, config: Mapping[str, Any]) -> None:
    """Add the tokens that the configuration has, in the order of their ids, then the named ones that are not there.

    Source: ``TokenizersBackend`` of transformers 5.23.
    """
    from tokenizers import AddedToken

    def made(entry: Any) -> Any:
        if not isinstance(entry, dict):
            return AddedToken(entry, special=True)
        return AddedToken(entry["content"], **{flag: entry[flag] for flag in _FLAGS if flag in entry})

    def marks(token: Any) -> tuple[Any, ...]:
        return token.content, *(getattr(token, flag) for flag in _FLAGS)

    there = {marks(token): token for token in backend.get_added_tokens_decoder().values()}
    listed = sorted(config.get("added_tokens_decoder", {}).items(), key=lambda pair: int(pair[0]))
    adding = [token for token in (made(entry) for _, entry in listed) if marks(token) not in there]
    known = {content for content, *_ in there} | {token.content for token in adding}
    named, own = _named(config)
    adding += [made(entry) for entry in (*named, *own) if classes.text_of(entry) not in known]
    names = {classes.text_of(entry) for entry in named}
    adding += [token for token in there.values() if token.content in names and not token.special]
    for token in adding:  # whatever was said of them: what has a name is special
        token.special = token.special or token.content in names
    if adding:
        backend.add_tokens(adding)


_ADDED = ("add_bos_token", "add_eos_token")


def _named(config: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """The tokens that have a name, the usual ones and a model's own, then other special ones: texts or objects."""
    own = [config.get(f"{which}_special_tokens") for which in ("extra", "additional")]
    named = {f"{kind}_token": config.get(f"{kind}_token") for kind in special.KINDS}
    named |= {k: v for k, v in config.items() if k.endswith("_token") and k not in _ADDED and isinstance(v, str)}
    for entries in own:
        named |= entries if isinstance(entries, dict) else {}
    more = next((entries for entries in own if entries and isinstance(entries, list)), [])
    return [e for e in named.values() if classes.text_of(e)], [e for e in more if classes.text_of(e)]
