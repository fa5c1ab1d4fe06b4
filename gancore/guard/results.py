"""What hooks may answer and what networks may return: each check says what is wanted where it is not what came."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gancore.train.batch import as_sample
from gancore.train.networks import CriticOutput
from gancore.train.plan import Head, Tail

if TYPE_CHECKING:
    from gancore.plugins.calling import Component

Given = Mapping[str, Any]

MODULE, COUNT, MAPPING, TEXT = "a torch module", "a whole number", "a dict", "a text"

# what each hook's answer must be at least; hooks that answer nothing, or whose answer the core checks, are left out
KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "recognizes": (int, COUNT),
    "latent_width": (int, COUNT),
    "generator_inputs": (int, COUNT),
    "critic_shape": (tuple, "a shape (a tuple)"),
    **dict.fromkeys(("make_generator", "make_critic", "make_score", "make_norm", "make_upsample"), (nn.Module, MODULE)),
    **dict.fromkeys(("adapt_generator", "adapt_critic", "sampling_generator"), (nn.Module, MODULE)),
    "extend_critic": ((Tail, Head, Sequence), "a Tail, a Head or a list of them"),
    "extend_player": (Mapping, "a dict of torch modules"),
    "make_optimizer": (torch.optim.Optimizer, "a torch optimiser"),
    "learning_rate": ((int, float), "a number"),
    "measure": (Mapping, MAPPING),
    "record": (str, TEXT),
    "stop": (str, TEXT),
}


def shown(thing: Any) -> str:
    """Describe what came in a few words: of a tensor its type and shape."""
    if isinstance(thing, Mapping):
        return "{" + ", ".join(f"{name!r}: {shown(each)}" for name, each in thing.items()) + "}"
    if not isinstance(thing, Tensor):
        return reprlib.repr(thing)
    place = "" if thing.device.type == "cpu" else f" on {thing.device}"
    return f"a tensor of {str(thing.dtype).removeprefix('torch.')} {list(thing.shape)}{place}"


def _expect(thing: Any, shape: Sequence[int], dtype: torch.dtype | None = None) -> str:
    """Say what is wanted unless a thing is a tensor of this shape and type; -1 stands for any size, None for floats."""
    kind = "floating point" if dtype is None else str(dtype).removeprefix("torch.")
    if isinstance(thing, Tensor) and len(shape) == thing.dim():
        fits = all(want in (-1, size) for want, size in zip(shape, thing.shape, strict=True))
        if fits and (thing.is_floating_point() if dtype is None else thing.dtype == dtype):
            return ""
    sizes = ", ".join("any" if size == -1 else str(size) for size in shape)
    return f"a tensor of {kind} [{sizes}]"


def wanted(hook: str, chosen: Component, given: Given, answer: Any) -> tuple[Any, str]:
    """Return the part of an answer that is wrong and what is wanted instead; an empty text where all is well."""
    if hook in ("critic_terms", "generator_terms"):
        return _wanted_terms(hook, chosen, given, answer)
    if answer is None:
        return None, ""
    if hook in KINDS and (not isinstance(answer, KINDS[hook][0]) or (KINDS[hook][1] == COUNT and answer is True)):
        return answer, KINDS[hook][1]
    form = FORMS.get(hook)
    return answer, form(chosen, given, answer) if form else ""


def _wanted_terms(hook: str, chosen: Component, given: Given, answer: Any) -> tuple[Any, str]:
    scalar = "{name: scalar tensor}"
    if answer is None or (isinstance(answer, Mapping) and not answer):
        return answer, scalar if chosen.kind == "loss" else ""
    if not isinstance(answer, Mapping | Tensor):
        return answer, scalar
    device = given["batch"].gan.device.type
    for name, term in answer.items() if isinstance(answer, Mapping) else ((hook, answer),):
        if not isinstance(term, Tensor) or term.dim() or not term.is_floating_point():
            return {name: term}, f"{scalar}, such as {name}.mean()"
        if not term.requires_grad:
            return {name: term}, "a term that carries a gradient; log(name, value) only logs it"
        if term.device.type != device:
            return {name: term}, f"a tensor on {device}"
    return answer, ""


def _latents(chosen: Component, given: Given, answer: Any) -> str:
    columns = given["plan"].latent_slices.get(chosen.name)
    width = -1 if columns is None else columns.stop - columns.start
    return _expect(answer, (given["n"], width), torch.float32)


def _labels(chosen: Component, given: Given, answer: Any) -> str:
    return _expect(answer, (given["n"], len(given["plan"].label_sets)), torch.int64)


def _like(name: str) -> Callable[[Component, Given, Any], str]:
    return lambda chosen, given, answer: _expect(answer, given[name].shape, given[name].dtype)


def _view(chosen: Component, given: Given, answer: Any) -> str:
    images, labels = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
    if not (isinstance(images, Tensor) and images.is_floating_point() and images.dim() > 1):
        return "a tensor of floating point [N, *shape], or a tuple (images, labels)"
    wanted = "" if labels is None else _expect(labels, (len(images), given["labels"].shape[1]), torch.int64)
    return wanted and f"{wanted} as labels of {len(images)} images"


def _tuple(*names: str) -> Callable[[Component, Given, Any], str]:
    def form(chosen: Component, given: Given, answer: Any) -> str:
        if not isinstance(answer, tuple) or len(answer) != len(names):
            return f"a tuple ({', '.join(names)})"
        for name, each in zip(names, answer, strict=True):
            if text := _expect(each, (-1, *given[name].shape[1:]), given[name].dtype):
                return f"{text} as {name}, not {shown(each)}"
        return ""

    return form


FORMS: dict[str, Callable[[Component, Given, Any], str]] = {
    "draw_latent": _latents,
    "draw_labels": _labels,
    "critic_targets": _like("targets"),
    "sample_weights": _like("weights"),
    "critic_view": _view,
    "critic_fakes": _tuple("images", "labels"),
    "select_samples": _tuple("images", "z", "labels"),
}


# ── what the networks return, at their first call ─────────────────────────────────────────────────────────────

Check = Callable[[Given, tuple[Any, ...], Any], str]


def _samples(given: Given, inputs: tuple[Any, ...], output: Any) -> str:
    return _expect(as_sample(output).images, (len(inputs[0]), *given["plan"].shape))


def _features(given: Given, inputs: tuple[Any, ...], output: Any) -> str:
    fits = isinstance(output, Tensor) and output.is_floating_point() and output.dim() > 1
    return "" if fits and len(output) == len(inputs[0]) else f"features [{len(inputs[0])}, …] of floating point"


def _score(given: Given, inputs: tuple[Any, ...], output: Any) -> str:
    return _expect(output, (len(inputs[0]), 1))


def _same_shape(given: Given, inputs: tuple[Any, ...], output: Any) -> str:
    return _expect(output, inputs[0].shape)


def _doubled(given: Given, inputs: tuple[Any, ...], output: Any) -> str:
    n, _, height, width = inputs[0].shape
    return _expect(output, (n, given["channels_out"], 2 * height, 2 * width))


def _judgement(given: Given, inputs: tuple[Any, ...], output: Any) -> str:
    return _expect(output.score, (-1,)) if isinstance(output, CriticOutput) else "a gancore CriticOutput"


NETWORKS: dict[str, Check] = {
    "make_generator": _samples,
    "adapt_generator": _samples,
    "make_critic": _features,
    "make_score": _score,
    "make_norm": _same_shape,
    "make_upsample": _doubled,
    "adapt_critic": _judgement,
}


def tail_or_head(part: Tail | Head) -> Check:
    """Return the check of one part of the critic."""

    def check(given: Given, inputs: tuple[Any, ...], output: Any) -> str:
        n, features = inputs[0].shape
        if isinstance(part, Tail):
            return _expect(output, (n, features + part.added))
        if part.name == "score":
            return _expect(output, (n,))
        return "" if isinstance(output, Tensor) and len(output) == n else f"a tensor of {n} rows"

    return check
