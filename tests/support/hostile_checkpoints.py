"""Checkpoints that a stranger might send: sealed with the right sums, and each breaking one rule of
the format.
"""

import json
import os
from hashlib import sha256
from re import escape

from support.fault_injection_disk import reseal

TIB = 1 << 40
ONE = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}


def tensors(header, data=b"\0\0\0\0", length=None):
    """Return a safetensors file with a header of one's own."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + data


def entry(**changes):
    return tensors({"a": {**ONE, **changes}})


def pair(first, second, data=bytes(8)):
    """Return a file of two tensors of bytes at given places."""
    sizes = [
        {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end]}
        for begin, end in (first, second)
    ]
    return tensors(dict(zip("ab", sizes, strict=True)), data)


RAW = b'{"dtype":"U8","shape":[4],"data_offsets":[0,4]'

# the content of critic.safetensors, and what is said of it
HEADERS = {
    "empty-file": (b"", "length of its header"),
    "nine-bytes": (tensors(b"{", b""), "length of its header"),
    "length-1": (tensors(b"{}", length=1), "length of its header"),
    "length-past-the-end": (tensors({"a": ONE}, length=1000), "length of its header"),
    "length-2-to-the-63": (tensors({"a": ONE}, length=1 << 63), "length of its header"),
    "header-above-8-MiB": (tensors(b"{" + b" " * (8 << 20) + b"}"), "length of its header"),
    "leading-space": (tensors(b' {"a":' + RAW + b"}}"), "begin with {"),
    "a-list": (tensors(b"[]  "), "begin with {"),
    "no-utf-8": (tensors(b'{"\xff":' + RAW + b"}}"), "utf-8"),
    "no-json": (tensors(b"{'a':1}"), "Expecting property name"),
    "repeated-name": (tensors(b'{"a":' + RAW + b'},"a":' + RAW + b"}}"), "repeated"),
    "repeated-key-of-an-entry": (tensors(b'{"a":' + RAW + b',"dtype":"I8"}}'), "repeated"),
    "repeated-metadata": (tensors(b'{"__metadata__":{"a":"1","a":"2"}}', b""), "repeated"),
    "metadata-of-numbers": (tensors({"__metadata__": {"a": 1}}, b""), "not an object of texts"),
    "metadata-a-list": (tensors({"__metadata__": ["a"]}, b""), "not an object of texts"),
    "much-metadata": (tensors({"__metadata__": {str(n): "" for n in range(17)}}, b""), "more than 16 entries"),
    "nested": (tensors(b'{"a":' + b"[" * 40 + b"]" * 40 + b"}"), "nested deeper"),
    "nested-very-deep": (tensors(b'{"a":' + b"[" * 200_000), "nested deeper"),
    "unknown-key": (entry(device="cuda"), "has not the keys"),
    "missing-key": (tensors({"a": {"dtype": "U8", "shape": [4]}}), "has not the keys"),
    "entry-a-list": (tensors({"a": [1]}), "has not the keys"),
    "name-up-and-away": (tensors({"../../x": ONE}), "no name of a tensor"),
    "name-absolute": (tensors({"/etc/passwd": ONE}), "no name of a tensor"),
    "name-empty": (tensors({"": ONE}), "no name of a tensor"),
    "name-nul": (tensors({"a\0b": ONE}), "no name of a tensor"),
    "name-of-dots": (tensors({"a..b": ONE}), "no name of a tensor"),
    "name-with-a-newline": (tensors({"a\n": ONE}), "no name of a tensor"),
    "name-too-long": (tensors({"a" * 257: ONE}), "no name of a tensor"),
    "too-many-tensors": (
        tensors({f"{n:x}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in range((1 << 16) + 1)}, b""),
        "65,537 tensors",
    ),
    "dtype-unknown": (entry(dtype="F8_E4M3"), "is of type 'F8_E4M3'"),
    "dtype-complex": (entry(dtype="C64"), "is of type 'C64'"),
    "dtype-a-list": (entry(dtype=["U8"]), "is of type"),
    "rank-9": (entry(shape=[1] * 8 + [4]), "no valid shape"),
    "side-negative": (entry(shape=[-2, -2]), "no valid shape"),
    "side-true": (entry(shape=[True, 4]), "no valid shape"),
    "side-a-float": (entry(shape=[4.0]), "no valid shape"),
    "side-2-to-the-31": (entry(shape=[1 << 31, 0]), "no valid shape"),
    "side-beyond-64-bits": (entry(shape=[1 << 70]), "beyond 64 bits"),
    "side-nan": (tensors(b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,4]}}'), "NaN"),
    "shape-a-number": (entry(shape=4), "no valid shape"),
    "size-by-overflow": (entry(shape=[2**31 - 1] * 8), "beyond any memory"),
    "empty-yet-vast": (entry(shape=[0] + [2**31 - 1] * 7, data_offsets=[0, 0]), "beyond any memory"),
    "size-too-small": (entry(shape=[3]), "lies at"),
    "size-too-large": (entry(dtype="F32"), "lies at"),
    "offsets-three": (entry(data_offsets=[0, 4, 4]), "lies at"),
    "offsets-true": (entry(shape=[1], data_offsets=[False, True]), "lies at"),
    "offsets-reversed": (entry(data_offsets=[4, 0]), "lies at"),
    "offsets-huge": (entry(data_offsets=[0, 1 << 62]), "lies at"),
    "hole-at-the-start": (pair((1, 4), (4, 8)), "lies at"),
    "hole": (pair((0, 4), (5, 8)), "lies at"),
    "overlap": (pair((0, 5), (4, 8)), "lies at"),
    "out-of-order": (pair((4, 8), (0, 4)), "lies at"),
    "trailing-bytes": (tensors({"a": ONE}, bytes(5)), "do not end where the file ends"),
    "data-too-short": (tensors({"a": ONE}, bytes(3)), "do not end where the file ends"),
    "truth-of-2": (tensors({"a": {**ONE, "dtype": "BOOL"}}, b"\0\1\2\1"), "neither 0 nor 1"),
}  # fmt: skip

# JSON that is refused wherever it stands, and what is said of it
TEXTS = {
    "empty-file": (b"", "Expecting value"),
    "torn": (b'{"step": 1, "see', "Unterminated"),
    "two-values": (b"{} {}", "Extra data"),
    "no-utf-8": (b'{"a": "\xff"}', "utf-8"),
    "utf-16": ('{"a": 1}'.encode("utf-16"), "utf-8"),
    "byte-order-mark": (b'\xef\xbb\xbf{"a": 1}', "BOM"),
    "repeated-key": (b'{"step": 1, "step": 1}', "repeated"),
    "repeated-key-below": (b'{"a": [{"b": 1, "b": 1}]}', "repeated"),
    "nan": (b'{"a": NaN}', "NaN"),
    "infinity": (b'{"a": -Infinity}', "Infinity"),
    "overflow": (b'{"a": 1e999}', "too large"),
    "beyond-64-bits": (b'{"a": 9223372036854775808}', "beyond 64 bits"),
    "below-64-bits": (b'{"a": -9223372036854775809}', "beyond 64 bits"),
    "million-digits": (b'{"a": ' + b"9" * 1_000_000 + b"}", "beyond 64 bits"),
    "nested-33": (b'{"a": ' + b"[" * 33 + b"]" * 33 + b"}", "nested deeper"),
    "nested-100000": (b"[" * 100_000, "nested deeper"),
    "nested-tables": (b'{"a":' * 100_000, "nested deeper"),
    "no-text": (b'{"a": "\\ud800"}', "surrogates"),
    "a-list": (b"[]", ""),
    "a-number": (b"1", ""),
    "null": (b"null", ""),
}

STORED = {"component": ["os"], "distribution": "", "version": ""}

# what is changed in state.json, and what is said of it
STATES = {
    "unknown-key": ({"code": "import os"}, "unknown key 'code'"),
    "step-true": ({"step": True}, "its step"),
    "step-negative": ({"step": -1}, "its step"),
    "step-another": ({"step": 5}, "it is of step 5"),
    "batches-a-float": ({"batches": 1.5}, "its batches"),
    "rows-a-text": ({"rows": "1"}, "its rows"),
    "data-a-number": ({"data": 5}, "its data"),
    "shape-empty": ({"shape": []}, "its shape"),
    "shape-of-five": ({"shape": [3, 8, 8, 8, 8]}, "its shape"),
    "shape-zero": ({"shape": [3, 0, 8]}, "its shape"),
    "shape-huge": ({"shape": [3, 65536, 65536]}, "its shape"),
    "shape-vast": ({"shape": [1 << 62]}, "its shape"),
    "shape-true": ({"shape": [True]}, "its shape"),
    "classes-of-numbers": ({"label_sets": [{"name": "a", "classes": [1]}]}, "its label_sets"),
    "label-set-a-text": ({"label_sets": ["abc"]}, "its label_sets"),
    "label-set-with-more": ({"label_sets": [{"name": "a", "classes": [], "path": "/"}]}, "its label_sets"),
    "optimizers-a-list": ({"optimizers": []}, "its optimizers"),
    "optimizers-of-one": ({"optimizers": {"critic": []}}, "its optimizers"),
    "optimizers-of-others": ({"optimizers": {"critic": [], "generator": [], "__class__": []}}, "its optimizers"),
    "optimizers-of-texts": ({"optimizers": {"critic": ["a"], "generator": []}}, "its optimizers"),
    "component-bare": ({"components": {"a": {}}}, "its components"),
    "component-of-code": ({"components": {"a": {**STORED, "state_version": 1, "state": {}}}}, "its components"),
}  # fmt: skip

MANIFESTS = {
    "unknown-key": ({"hook": "os:system"}, "unknown key 'hook'"),
    "kind-another": ({"kind": "pickle"}, "not of a gancore checkpoint"),
    "format-newer": ({"format": 2}, "newer gancore (format 2); this one reads 1"),
    "format-older": ({"format": 0}, "older gancore (format 0); this one reads 1"),
    "format-far-older": ({"format": -(1 << 62)}, "older gancore"),
    "format-true": ({"format": True}, "not of a gancore checkpoint"),
    "format-a-text": ({"format": "1"}, "not of a gancore checkpoint"),
    "step-another": ({"step": 5}, "it is of step 5"),
    "step-a-list": ({"step": [1]}, "its step"),
    "files-a-list": ({"files": ["state.json"]}, "its files"),
    "files-of-others": ({"files": {"state.json": 1}}, "do not list the same files"),
    "files-negative": ({"files": {"state.json": -1}}, "its files"),
    "plugins-of-texts": ({"plugins": {"a": "os"}}, "its plugins"),
    "plugins-with-code": ({"plugins": {"a": {**STORED, "component": "a", "import": "os"}}}, "its plugins"),
    "versions-of-paths": ({"versions": {"../../etc": "1"}}, "its versions"),
    "versions-of-nothing": ({"versions": {"": "1"}}, "its versions"),
}  # fmt: skip

DIGEST = sha256(b"").hexdigest()


def line(name, digest=DIGEST):
    return f"{digest}  {name}\n".encode()


# what becomes of SHA256SUMS
SUMS = {
    "empty": lambda raw: b"",
    "above-64-KiB": lambda raw: raw + b"".join(line(f"z{n:05d}") for n in range(1000)),
    "no-last-newline": lambda raw: raw.rstrip(b"\n"),
    "windows-lines": lambda raw: raw.replace(b"\n", b"\r\n"),
    "form-feed": lambda raw: raw.replace(b"\n", b"\x0c"),
    "upper-case": lambda raw: raw.upper().replace(b"A256SUMS", b""),
    "binary-mark": lambda raw: raw.replace(b"  ", b" *"),
    "repeated": lambda raw: raw + raw.splitlines(keepends=True)[-1],
    "unsorted": lambda raw: b"".join(reversed(raw.splitlines(keepends=True))),
    "blank-line": lambda raw: raw + b"\n",
    "comment": lambda raw: b"# made by me\n" + raw,
    "no-ascii": lambda raw: raw + line("z").replace(b"z", b"\xff"),
    "name-hidden": lambda raw: line(".ssh") + raw,
    "name-up-and-away": lambda raw: line("../outside.json") + raw,
    "name-absolute": lambda raw: line("/etc/passwd") + raw,
    "name-nul": lambda raw: raw + line("z\0"),
    "name-below": lambda raw: raw + line("z/z"),
    "name-too-long": lambda raw: raw + line("z" * 65),
    "name-of-no-part": lambda raw: raw + line("z.py"),
    "name-of-no-file": lambda raw: raw + line("zeta.safetensors"),
    "no-manifest": lambda raw: b"".join(each for each in raw.splitlines(keepends=True) if b"manifest" not in each),
    "no-state": lambda raw: b"".join(each for each in raw.splitlines(keepends=True) if b"state" not in each),
    "itself": lambda raw: line("SHA256SUMS") + raw,
}  # fmt: skip


def _link(path):
    path.rename(path.parent.parent / f"outside-{path.name}")
    path.symlink_to(path.parent.parent / f"outside-{path.name}")


def _pipe(path):
    path.unlink()
    os.mkfifo(path)


def _folder(path):
    path.unlink()
    path.mkdir()


def _sparse(path):
    os.truncate(path, TIB)


KINDS = {"link": _link, "pipe": _pipe, "folder": _folder, "sparse-TiB": _sparse}
FILES = ("SHA256SUMS", "manifest.json", "state.json", "critic.safetensors")


def _promise(folder):
    """Let a file of 1 TiB, all holes, be what the manifest promises."""
    _sparse(folder / "critic.safetensors")
    content = json.loads((folder / "manifest.json").read_text())
    content["files"]["critic.safetensors"] = TIB
    write(folder, "manifest.json", json.dumps(content).encode())


def write(folder, name, content):
    """Put a file into a checkpoint and seal it, the manifest itself as it is."""
    before = (folder / "SHA256SUMS").read_text()
    (folder / name).write_bytes(content)
    if name != "manifest.json":
        if name != "SHA256SUMS":
            reseal(folder)
        return
    lines = [
        each for each in before.splitlines(keepends=True) if not each.endswith("  manifest.json\n")
    ]
    lines.append(f"{sha256(content).hexdigest()}  manifest.json\n")
    (folder / "SHA256SUMS").write_text("".join(sorted(lines, key=lambda each: each[66:])))


def _change_sums(folder, change):
    path = folder / "SHA256SUMS"
    path.write_bytes(change(path.read_bytes()))


def _change(folder, name, changes):
    content = json.loads((folder / name).read_text())
    write(folder, name, json.dumps({**content, **changes}).encode())


def cases():
    """Return, by name, what is done to a checkpoint folder, and what must be said of it."""
    found = {}
    for name, (content, what) in HEADERS.items():
        found[f"item5-{name}"] = (
            lambda f, c=content: write(f, "critic.safetensors", c),
            f"critic.safetensors.*{what}",
        )
    for file in ("manifest.json", "state.json"):
        for name, (content, what) in TEXTS.items():
            found[f"item3-{file}-{name}"] = (
                lambda f, n=file, c=content: write(f, n, c),
                f"{file}.*{escape(what)}",
            )
        too_large = b'"' + b"a" * (1 << 20 if file[0] == "m" else 1 << 24) + b'"'
        found[f"item3-{file}-too-large"] = (
            lambda f, n=file, c=too_large: write(f, n, c),
            f"{file} is larger than",
        )
    for name, (changes, what) in STATES.items():
        found[f"item3-state-{name}"] = (
            lambda f, c=changes: _change(f, "state.json", c),
            escape(what),
        )
    for name, (changes, what) in MANIFESTS.items():
        item = "item4" if name.startswith("format") else "item3"
        found[f"{item}-manifest-{name}"] = (
            lambda f, c=changes: _change(f, "manifest.json", c),
            escape(what),
        )
    for name, change in SUMS.items():
        found[f"item2-{name}"] = (lambda f, c=change: _change_sums(f, c), "SHA256SUMS|no part")
    for file in FILES:
        for name, change in KINDS.items():
            found[f"item1-{file}-is-a-{name}"] = (lambda f, n=file, c=change: c(f / n), file)
    found["item1-promised-TiB"] = (_promise, "this machine has")
    found["item2-extra-file"] = (lambda f: write(f, "run.py", b"import os"), "run.py")
    found["item2-extra-tensors"] = (
        lambda f: write(f, "extra.safetensors", tensors({"a": ONE})),
        "extra",
    )
    found["item2-missing-tensors"] = (_without_critic, "critic")
    return found


def _without_critic(folder):
    (folder / "critic.safetensors").unlink()
    reseal(folder)
