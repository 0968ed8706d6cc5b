"""The laws of the house as functions from one parsed module to the list of its breaches.

Each breach is one line: where, what, and what to do instead. `broken(law)` applies a law to the whole
house. The laws only read source, so a module that cannot be imported here is judged all the same.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import TypeGuard

from architecture.house import FLOORS, SURFACE, Import, Module, imports, is_standard, project, read_house

Law = Callable[[Module], list[str]]

LINES_OF_MODULE = 500
LINES_OF_FUNCTION = 80
LINES_OF_REFERENCE = 150

NO_TORCH = {"base", "corpus", "tokenizer"}
PICKLES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
ORACLES = {
    "transformers",
    "tokenizers",
    "sentencepiece",
    "tiktoken",
    "openai",
    "hypothesis",
    "pytest",
    "beartype",
    "mypy",
    "ruff",
}
ORACLES_AT_WORK = {("hornbook.tokenizer.library", "tokenizers")}
"""The modules outside `checkpoint` that are there to put an oracle to work."""
VAGUE = {"utils", "util", "helpers", "helper", "misc", "common", "legacy", "new", "old", "simple", "v1", "v2"}
FAMILY = re.compile(
    r"(gpt|llama|bert|roberta|deberta|electra|bart|t5|neox|pythia|mistral|mixtral|qwen|gemma|falcon|olmo|mpt"
    r"|deepseek|smollm)\d*"
)
PROBES = {
    *(
        "is_available",
        "device_count",
        "get_device_name",
        "set_num_threads",
        "manual_seed",
        "set_default_dtype",
    ),
    *("getenv", "open", "read_text", "read_bytes", "write_text", "mkdir", "print", "input", "urlopen"),
    *("basicConfig", "parse_args", "Popen", "check_output", "cpu_count", "time", "perf_counter", "now"),
}
IMPORT_NAMES = {"jinja2": "jinja2", "rouge-score": "rouge_score", "scikit-learn": "sklearn"}


def broken(law: Law) -> list[str]:
    """Every breach of a law in the house as it stands."""
    return [breach for module in read_house() for breach in law(module)]


def floors(module: Module) -> list[str]:
    """A room imports only rooms on a strictly lower floor, and never the public surface."""
    if module.name in SURFACE:
        return []
    found = []
    for wanted in imports(module):
        if wanted.full in ("hornbook.__version__",) or not _ours(wanted):
            continue
        other = _room(wanted)
        if other is None:
            if module.room != "cli":
                found.append(_at(module, wanted.line, "imports the public surface; import the room itself"))
        elif other not in FLOORS:
            found.append(_at(module, wanted.line, f"imports {other!r}, a room no floor knows"))
        elif other != module.room and FLOORS[other] >= FLOORS.get(module.room or "", -1):
            here = f"{module.room} on floor {FLOORS.get(module.room or '', 'none')}"
            found.append(_at(module, wanted.line, f"{here} imports {other} on floor {FLOORS[other]}"))
    return found


def surface_is_lazy(module: Module) -> list[str]:
    """The public surface imports rooms inside functions only; `__main__` may import the command line."""
    if module.name not in SURFACE:
        return []
    allowed = {"base"} if module.name == "hornbook" else {"base", "cli"}
    return [
        _at(module, wanted.line, f"imports {wanted.full} at import; do it in the function that needs it")
        for wanted in imports(module)
        if _ours(wanted)
        and not wanted.lazy
        and _room(wanted) not in allowed
        and not _for_types(module, wanted)
    ]


def forbidden_imports(module: Module) -> list[str]:
    """No torch on the first floors, no torch.distributed in the model, oracles where they work only."""
    found = []
    for wanted in imports(module):
        top = wanted.module.split(".")[0]
        if module.room in NO_TORCH and (top == "torch" or wanted.full.startswith("safetensors.torch")):
            found.append(_at(module, wanted.line, f"{module.room} knows no torch"))
        if module.room == "model" and wanted.full.startswith("torch.distributed"):
            found.append(
                _at(
                    module,
                    wanted.line,
                    "the model knows no torch.distributed; parallelism is applied outside",
                )
            )
        if top in ORACLES and module.room != "checkpoint" and (module.name, top) not in ORACLES_AT_WORK:
            found.append(_at(module, wanted.line, f"{top} is an oracle for tests, not a part of the package"))
    return found


def declared_imports(module: Module) -> list[str]:
    """Every library is declared in pyproject.toml; those of the extras are imported inside functions."""
    core, optional = _declared()
    found = []
    for wanted in imports(module):
        top = wanted.module.split(".")[0]
        if top in ("hornbook", "") or is_standard(top) or top in core:
            continue
        if top not in optional:
            found.append(_at(module, wanted.line, f"{top} is not declared in pyproject.toml"))
        elif not wanted.lazy:
            found.append(
                _at(module, wanted.line, f"{top} is optional; import it in the function that needs it")
            )
    return found


def no_pickle(module: Module) -> list[str]:
    """Nothing that runs code when it is read: no pickle in any dress."""
    found = [
        _at(module, wanted.line, f"imports {wanted.full}; write JSON, safetensors or raw arrays")
        for wanted in imports(module)
        if wanted.module.split(".")[0] in PICKLES or wanted.full in ("torch.save", "torch.load")
    ]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("torch.save", "torch.load"):
            found.append(_at(module, node.lineno, f"{ast.unparse(node)} is pickle; use safetensors"))
        if (
            isinstance(node, ast.keyword)
            and node.arg == "allow_pickle"
            and ast.unparse(node.value) != "False"
        ):
            found.append(_at(module, node.lineno, "allow_pickle; write JSON, safetensors or raw arrays"))
    return found


def sizes(module: Module) -> list[str]:
    """A module has 500 lines at most, a function 80."""
    found = []
    if (lines := _lines(module)) > LINES_OF_MODULE:
        found.append(
            _at(module, 1, f"{lines} lines, {LINES_OF_MODULE} at most: it holds a second subject, split it")
        )
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LINES_OF_FUNCTION:
                message = f"{node.name} has {lines} lines, {LINES_OF_FUNCTION} at most"
                found.append(_at(module, node.lineno, message))
    return found


def reference_size(module: Module) -> list[str]:
    """A readable twin stays under 150 lines."""
    if (
        not module.name.endswith((".reference", "_reference"))
        or (lines := _lines(module)) < LINES_OF_REFERENCE
    ):
        return []
    return [_at(module, 1, f"{lines} lines; a reference stays under {LINES_OF_REFERENCE}")]


def names(module: Module) -> list[str]:
    """No vague module names, and the word that means two things in this field in no identifier."""
    found = []
    if vague := VAGUE & set(module.name.rsplit(".", 1)[-1].split("_")):
        found.append(_at(module, 1, f"named {vague.pop()!r}; name it by what it is"))
    if not module.name.startswith("hornbook.model.families"):
        for line, name in _identifiers(module.tree):
            if "hidden" in name.lower():
                found.append(_at(module, line, f"{name!r}: say width, state or activations"))
    return found


def no_families(module: Module) -> list[str]:
    """The model core never sees the name of a published family."""
    if module.room != "model" or module.name.startswith("hornbook.model.families"):
        return []
    spoken = [(1, module.name), *_identifiers(module.tree), *_strings(module.tree)]
    return [
        _at(module, line, f"{text!r} names a family; that belongs to model/families")
        for line, text in spoken
        if any(FAMILY.fullmatch(word) for word in _words(text))
    ]


def documented(module: Module) -> list[str]:
    """Every module opens with a docstring, and so does every public function and class at its top level."""
    found = [] if ast.get_docstring(module.tree) else [_at(module, 1, "no docstring")]
    for node in module.tree.body:
        if _is_public(node) and not ast.get_docstring(node):
            found.append(_at(module, node.lineno, f"{node.name} has no docstring"))
    return found


def quiet_import(module: Module) -> list[str]:
    """Nothing runs at import: only definitions, imports, and assignments that ask the machine nothing."""
    return [
        _at(module, node.lineno, f"runs at import: {ast.unparse(node).splitlines()[0]}")
        for node in module.tree.body
        if not _is_definition(node, module)
    ]


def _is_definition(node: ast.stmt, module: Module) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=function)):
            called = ast.unparse(function)
            return called.endswith(".model_rebuild") or (module.room == "cli" and "app." in called)
        case ast.Assign(value=value) | ast.AnnAssign(value=value) | ast.AugAssign(value=value):
            return value is None or not _asks_the_machine(value)
        case ast.If(test=test):
            return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'")
    return isinstance(node, ast.Pass)


def _asks_the_machine(value: ast.expr) -> bool:
    parts = [part for part in ast.walk(value) if not isinstance(part, ast.Lambda)]
    calls = {ast.unparse(part.func).rsplit(".", 1)[-1] for part in parts if isinstance(part, ast.Call)}
    return bool(calls & PROBES) or any(isinstance(p, ast.Attribute) and p.attr == "environ" for p in parts)


def _at(module: Module, line: int, message: str) -> str:
    return f"{module.name}:{line} {message}"


def _ours(wanted: Import) -> bool:
    return wanted.module.split(".")[0] == "hornbook"


def _room(wanted: Import) -> str | None:
    """The room an import reaches into; None where it takes something from the public surface."""
    parts = wanted.full.split(".")
    if wanted.module == "hornbook":
        return wanted.name if wanted.name in FLOORS else None
    return parts[1]


def _for_types(module: Module, wanted: Import) -> bool:
    """Whether an import stands under `if TYPE_CHECKING:` and so never runs."""
    guards = [n for n in module.tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    return any(guard.lineno <= wanted.line <= (guard.end_lineno or guard.lineno) for guard in guards)


def _declared() -> tuple[set[str], set[str]]:
    """The import names of the core dependencies and of all extras."""
    table = project()["project"]
    extras = [line for group in table["optional-dependencies"].values() for line in group]
    return {_import_name(line) for line in table["dependencies"]}, {_import_name(line) for line in extras}


def _import_name(requirement: str) -> str:
    distribution = re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0]
    return IMPORT_NAMES.get(distribution, distribution.replace("-", "_"))


def _lines(module: Module) -> int:
    return len(module.source.splitlines())


def _identifiers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every identifier a module spells, with its line."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 1)
        for field in ("id", "attr", "arg", "name", "asname", "module", "rest"):
            if isinstance(name := getattr(node, field, None), str):
                yield line, name


def _strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every string a module spells, save the texts that stand alone as documentation."""
    prose = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in prose:
            yield node.lineno, node.value


def _words(text: str) -> list[str]:
    """The words of an identifier or a phrase in lower case: `GPT2Block` is gpt2 and block."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    return re.findall(r"[a-z0-9]+", spaced.lower())


def _is_public(node: ast.stmt) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Whether a statement defines a function or class for others; an overload is a part of another one."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith(
        "_"
    ):
        return False
    return not any(ast.unparse(mark).endswith("overload") for mark in node.decorator_list)
