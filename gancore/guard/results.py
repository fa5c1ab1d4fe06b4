"""Checks what hooks return and what networks output; each check describes what is expected."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gancore.train.batch import as_sample
from gancore.train.networks import CriticOutput
from gancore.train.plan import Head, LabelSet, Tail

if TYPE_CHECKING:
    from gancore.plugins.calling import Component

HookArguments = Mapping[str, Any]

MODULE = "a torch module"
COUNT = "a whole number"
MAPPING = "a dict"
TEXT = "a text"

# the type that each hook must return; hooks that return nothing, or whose result the core checks
# elsewhere, are left out
RESULT_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "recognizes": (int, COUNT),
    "latent_width": (int, COUNT),
    "generator_inputs": (int, COUNT),
    "critic_shape": (tuple, "a shape (a tuple)"),
    "make_generator": (nn.Module, MODULE),
    "make_critic": (nn.Module, MODULE),
    "make_score": (nn.Module, MODULE),
    "make_norm": (nn.Module, MODULE),
    "make_upsample": (nn.Module, MODULE),
    "adapt_generator": (nn.Module, MODULE),
    "adapt_critic": (nn.Module, MODULE),
    "sampling_generator": (nn.Module, MODULE),
    "extend_critic": ((Tail, Head, Sequence), "a Tail, a Head or a list of them"),
    "extend_player": (Mapping, "a dict of torch modules"),
    "make_optimizer": (torch.optim.Optimizer, "a torch optimiser"),
    "adapt_optimizer": (torch.optim.Optimizer, "a torch optimiser"),
    "view_labels": ((LabelSet, Sequence), "a LabelSet or a list of them"),
    "learning_rate": ((int, float), "a number"),
    "measure": (Mapping, MAPPING),
    "record": (str, TEXT),
    "stop": (str, TEXT),
}


def describe_value(thing: Any) -> str:
    """Describe a value briefly: of a tensor its dtype and shape."""
    if isinstance(thing, Mapping):
        items = [f"{name!r}: {describe_value(each)}" for name, each in thing.items()]
        return f"{{{', '.join(items)}}}"
    if not isinstance(thing, Tensor):
        return reprlib.repr(thing)
    place = "" if thing.device.type == "cpu" else f" on {thing.device}"
    return f"a tensor of {str(thing.dtype).removeprefix('torch.')} {list(thing.shape)}{place}"


def _expect(thing: Any, shape: Sequence[int], dtype: torch.dtype | None = None) -> str:
    """Return '' if a value is a tensor of this shape and dtype, else describe what is expected.

    A size of -1 means any size; a dtype of None means any floating point type.
    """
    kind = "floating point" if dtype is None else str(dtype).removeprefix("torch.")
    if isinstance(thing, Tensor) and len(shape) == thing.dim():
        fits = all(want in (-1, size) for want, size in zip(shape, thing.shape, strict=True))
        if fits and (thing.is_floating_point() if dtype is None else thing.dtype == dtype):
            return ""
    sizes = ", ".join("any" if size == -1 else str(size) for size in shape)
    return f"a tensor of {kind} [{sizes}]"


def wanted(hook: str, chosen: Component, given: HookArguments, answer: Any) -> tuple[Any, str]:
    """Return the part of a result that is wrong and what is expected; '' if all is well."""
    if hook in ("critic_terms", "generator_terms"):
        return _wanted_terms(hook, chosen, given, answer)
    if answer is None:
        return None, ""
    if hook == "adapt_terms":
        return _wanted_terms(hook, chosen, given, answer)
    if hook in RESULT_TYPES:
        types, expected = RESULT_TYPES[hook]
        # True is an instance of int
        if not isinstance(answer, types) or (expected == COUNT and answer is True):
            return answer, expected
    check = RESULT_CHECKS.get(hook)
    return answer, check(chosen, given, answer) if check else ""


def _wanted_terms(
    hook: str, chosen: Component, given: HookArguments, answer: Any
) -> tuple[Any, str]:
    scalar = "{name: scalar tensor}"
    # other components may have no term for an update, but a loss must
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


def _latents(chosen: Component, given: HookArguments, answer: Any) -> str:
    columns = given["plan"].latent_slices.get(chosen.name)
    width = -1 if columns is None else columns.stop - columns.start
    return _expect(answer, (given["n"], width), torch.float32)


def _labels(chosen: Component, given: HookArguments, answer: Any) -> str:
    return _expect(answer, (given["n"], len(given["plan"].label_sets)), torch.int64)


def _like(name: str) -> Callable[[Component, HookArguments, Any], str]:
    return lambda chosen, given, answer: _expect(answer, given[name].shape, given[name].dtype)


def _view(chosen: Component, given: HookArguments, answer: Any) -> str:
    images, labels = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
    if not (isinstance(images, Tensor) and images.is_floating_point() and images.dim() > 1):
        return "a tensor of floating point [N, *shape], or a tuple (images, labels)"
    if labels is None:
        return ""
    n = len(images)
    columns = given["labels"].shape[1]
    if _adds_labels(chosen):
        # whether it adds as many as it announced is checked before training
        columns = -1
    wanted = _expect(labels, (n, columns), torch.int64)
    return wanted and f"{wanted} as labels of {n} images"


def _adds_labels(chosen: Component) -> bool:
    return getattr(chosen.component, "view_labels", None) is not None


def _tuple(*names: str) -> Callable[[Component, HookArguments, Any], str]:
    def form(chosen: Component, given: HookArguments, answer: Any) -> str:
        if not isinstance(answer, tuple) or len(answer) != len(names):
            return f"a tuple ({', '.join(names)})"
        for name, each in zip(names, answer, strict=True):
            if text := _expect(each, (-1, *given[name].shape[1:]), given[name].dtype):
                return f"{text} as {name}, not {describe_value(each)}"
        return ""

    return form


RESULT_CHECKS: dict[str, Callable[[Component, HookArguments, Any], str]] = {
    "draw_latent": _latents,
    "draw_labels": _labels,
    "critic_targets": _like("targets"),
    "sample_weights": _like("weights"),
    "critic_view": _view,
    "critic_fakes": _tuple("images", "labels"),
    "critic_reals": _tuple("images", "labels"),
    "select_samples": _tuple("images", "z", "labels"),
}


# ── what networks output, at their first call ─────────────────────────────────────────────────────

Check = Callable[[HookArguments, tuple[Any, ...], Any], str]


def _samples(given: HookArguments, inputs: tuple[Any, ...], output: Any) -> str:
    return _expect(as_sample(output).images, (len(inputs[0]), *given["plan"].shape))


def _features(given: HookArguments, inputs: tuple[Any, ...], output: Any) -> str:
    n = len(inputs[0])
    fits = isinstance(output, Tensor) and output.is_floating_point() and output.dim() > 1
    return "" if fits and len(output) == n else f"features [{n}, …] of floating point"


def _score(given: HookArguments, inputs: tuple[Any, ...], output: Any) -> str:
    return _expect(output, (len(inputs[0]), -1))


def _same_shape(given: HookArguments, inputs: tuple[Any, ...], output: Any) -> str:
    return _expect(output, inputs[0].shape)


def _doubled(given: HookArguments, inputs: tuple[Any, ...], output: Any) -> str:
    n, _, *sides = inputs[0].shape
    return _expect(output, (n, given["channels_out"], *(2 * side for side in sides)))


def _critic_output(given: HookArguments, inputs: tuple[Any, ...], output: Any) -> str:
    if not isinstance(output, CriticOutput):
        return "a gancore CriticOutput"
    if isinstance(output.score, Tensor) and output.score.dim() == 2:
        return _expect(output.score, (-1, -1))
    return _expect(output.score, (-1,))


NETWORKS: dict[str, Check] = {
    "make_generator": _samples,
    "adapt_generator": _samples,
    "make_critic": _features,
    "make_score": _score,
    "make_norm": _same_shape,
    "make_upsample": _doubled,
    "adapt_critic": _critic_output,
}


def tail_or_head(part: Tail | Head) -> Check:
    """Return the check for a tail or head of the critic."""

    def check(given: HookArguments, inputs: tuple[Any, ...], output: Any) -> str:
        n, features = inputs[0].shape
        if isinstance(part, Tail):
            return _expect(output, (n, features + part.added))
        if part.name == "score":
            return _expect(output, (n,))
        return "" if isinstance(output, Tensor) and len(output) == n else f"a tensor of {n} rows"

    return check
