"""Documents of any kind into token shards, by several processes, resumable at any moment.

    facts = tokenize(["web/*.jsonl.zst", "books/"], tokenizer, "tokens/", n_processes=8)

    tokenizer.json, tokenizer_config.json    the tokenizer
    train/, held_out/                        token shards
    tokens.json                              inputs and books, written last: a folder with it is complete

The inputs are cut into portions, and each portion becomes shards of its own. So who works on what, and how
often the work was broken off, shows in no byte of the result. Which portions are done stands in the folder
`.hornbook-tokenizing` until all are. A document is held out if a hash of its text falls below the share, so
it never depends on what else is there. A corpus brings its own division.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hornbook.base.errors import ConfigError, Interrupted, RunFolderError, TextError
from hornbook.base.files import read_bytes, read_json, sha256, write_json
from hornbook.base.lock import alone_in
from hornbook.base.progress import Progress, silent
from hornbook.corpus.folder import PARTS
from hornbook.corpus.ledger import Step
from hornbook.corpus.portions import Portion, find_portions, read_portion
from hornbook.corpus.readers import PathLike, as_list
from hornbook.corpus.split import fingerprint
from hornbook.data.header import ShardRecord, write_header
from hornbook.data.processes import work_on
from hornbook.data.shards import ShardWriter, TokenShards, header_of, storage
from hornbook.tokenizer.tokenizer import Tokenizer

FORMAT = 1
FACTS = "tokens.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
UNFINISHED = ".hornbook-tokenizing"
JOB = "job.json"
HELD_OUT_SHARE = 0.01
"""Share of the documents that is held out where nobody says otherwise."""


@dataclass(frozen=True)
class _Piece:
    """What a worker is told: one portion, and what to make of it."""

    number: int
    portion: Portion
    out: Path
    tokenizer: str
    column: str
    held_out_share: float

    @property
    def record_path(self) -> Path:
        """Where stands what became of it."""
        return self.out / UNFINISHED / f"{self.number:05d}.json"


def tokenize(
    inputs: PathLike | Sequence[PathLike],
    tokenizer: Tokenizer,
    out: PathLike,
    *,
    n_processes: int = 1,
    column: str = "text",
    held_out_share: float | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Make a folder of token shards of files, folders, globs and corpus folders; return its `tokens.json`.

    JSON lines and Parquet give the texts of a `column`. Done again, it goes on where it was broken off, or
    finds everything done. Raises `TextError` where there is no text, and `RunFolderError` where the folder
    is taken by something else, or by other inputs or settings.
    """
    folder, share = Path(out), HELD_OUT_SHARE if held_out_share is None else held_out_share
    if not 0 < share < 1:
        raise ConfigError(f"the held-out share must be above 0 and below 1, not {share:g}")
    storage(tokenizer)  # One that cannot be used is refused before anything is there.
    step = Step("find")
    portions = find_portions(inputs, step, exclude=folder)
    if held_out_share is not None and all(portion.kind == "corpus" for portion in portions):
        raise ConfigError("a corpus is divided already; leave --held-out away")
    with TemporaryDirectory() as saved:
        tokenizer.save(saved)
        job: dict[str, Any] = {
            "format": FORMAT,
            "inputs": [str(given) for given in as_list(inputs)],
            "files": _state_of(portions),
            "tokenizer": sha256(read_bytes(Path(saved) / "tokenizer.json")),
            "column": column,
            "held_out_share": share,
        }
        if _begin(folder, job, Path(saved)):
            return dict(read_json(folder / FACTS))
    pieces = [_Piece(i, each, folder, job["tokenizer"], column, share) for i, each in enumerate(portions)]
    with alone_in(folder) as alone:
        if not alone:
            raise RunFolderError(f"another process is tokenizing into {folder}; wait for it, or stop it")
        try:
            records = _work(pieces, n_processes, progress)
        except KeyboardInterrupt:
            raise Interrupted("stopped; type the same again to go on") from None
        return _finish(folder, job, tokenizer, records, step)


def is_tokenized(path: PathLike) -> bool:
    """Whether a path is a folder that `tokenize` has made, or has begun."""
    return any((Path(path) / name).exists() for name in (FACTS, UNFINISHED))


def _state_of(portions: Sequence[Portion]) -> str:
    """A checksum of which files there are, how large, and when they were changed."""
    files = dict.fromkeys(path for portion in portions for path in portion.paths)
    states = [(path, Path(path).stat()) for path in files]
    lines = "".join(f"{path} {state.st_size} {state.st_mtime_ns}\n" for path, state in states)
    return sha256(lines.encode("utf-8", "surrogateescape"))


def _begin(folder: Path, job: Mapping[str, Any], tokenizer: Path) -> bool:
    """Make the folder with a saved tokenizer, or find the same job there; return whether it is finished."""
    unfinished = folder / UNFINISHED
    is_finished = (folder / FACTS).exists()
    if is_finished or (unfinished / JOB).exists():
        known = read_json(folder / FACTS if is_finished else unfinished / JOB)
        differing = ", ".join(key.replace("_", " ") for key in job if known.get(key) != job[key])
        if differing:
            raise RunFolderError(
                f"{folder} holds {'the tokens' if is_finished else 'the beginning'} of another job (other "
                f"{differing}); choose another --out, or delete it"
            )
        return is_finished
    if folder.exists() and not unfinished.exists() and any(folder.iterdir()):
        raise RunFolderError(f"{folder} holds other files; choose another --out")
    unfinished.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copyfile(tokenizer / name, folder / name)
    write_json(unfinished / JOB, job)
    return False


def _work(pieces: Sequence[_Piece], n_processes: int, progress: Progress) -> list[dict[str, Any]]:
    """Do the pieces that are not done yet; return what became of each."""
    records = {piece.number: read_json(piece.record_path) for piece in pieces if piece.record_path.exists()}
    left = [piece for piece in pieces if piece.number not in records]

    def tell() -> None:
        done = sum(piece.portion.n_bytes for piece in pieces if piece.number in records)
        tokens = sum(shard["tokens"] for each in records.values() for part in PARTS for shard in each[part])
        progress(done, sum(piece.portion.n_bytes for piece in pieces), f"{tokens:,} tokens")

    tell()
    for index, record in work_on(_tokenize_piece, left, n_processes):
        records[left[index].number] = record
        tell()
    return [records[piece.number] for piece in pieces]


def _tokenize_piece(piece: _Piece) -> dict[str, Any]:
    """Write the shards of one portion and then its record, which is returned."""
    tokenizer = _tokenizer(piece.out, piece.tokenizer)
    prefix = f"{piece.number:05d}-"
    writers = {part: ShardWriter(piece.out / part, tokenizer, prefix=prefix) for part in PARTS}
    step = Step("read")
    for document in read_portion(piece.portion, step, piece.column):
        is_held_out = fingerprint(document.text) < piece.held_out_share * 2**64
        chosen = piece.portion.part or ("held_out" if is_held_out else "train")
        writers[chosen].add(document.text)
    for writer in writers.values():
        writer.flush()
    record: dict[str, Any] = {part: [asdict(s) for s in writer.shards] for part, writer in writers.items()}
    record["bytes"] = {part: writer.n_bytes for part, writer in writers.items()}
    record["left_out"] = _left_out(step)
    write_json(piece.record_path, record)
    return record


@lru_cache(maxsize=1)
def _tokenizer(folder: Path, fingerprint: str) -> Tokenizer:
    """The tokenizer of a job, read once by each process."""
    return Tokenizer.load(folder)


def _left_out(step: Step) -> dict[str, int]:
    """How many documents were left out, for each reason."""
    counts = {reason: entry.count.documents for reason, entry in step.dropped.items()}
    return {reason: count for reason, count in counts.items() if count}


def _finish(
    folder: Path, job: Mapping[str, Any], tokenizer: Tokenizer, records: Sequence[dict[str, Any]], step: Step
) -> dict[str, Any]:
    """Write both headers and the facts, and remove the books of the work."""
    left_out = Counter(_left_out(step))
    for record in records:
        left_out.update(record["left_out"])
    shards = {part: [ShardRecord(**s) for record in records for s in record[part]] for part in PARTS}
    if not all(shards.values()):
        _give_up(folder)
        raise _too_few(sum(shard.documents for part in PARTS for shard in shards[part]), job)
    counts = {}
    for part in PARTS:
        n_bytes = sum(record["bytes"][part] for record in records)
        write_header(folder / part, header_of(tokenizer, job["tokenizer"], n_bytes, shards[part]))
        counts[part] = asdict(TokenShards(folder / part).counts)
    facts = {**job, "vocab_size": tokenizer.vocab_size, "parts": counts, "left_out": dict(left_out)}
    write_json(folder / FACTS, facts)
    shutil.rmtree(folder / UNFINISHED)
    return facts


def _too_few(n_documents: int, job: Mapping[str, Any]) -> TextError:
    if not n_documents:
        return TextError(f"there is no text in {', '.join(job['inputs'])}: nothing was written")
    return TextError(
        f"either none or all of {n_documents:,} documents are held out at a share of "
        f"{job['held_out_share']:g}; give another --held-out or more documents, or let hornbook train read "
        "the text itself, which cuts long documents in two"
    )


def _give_up(folder: Path) -> None:
    """Remove what a job has made that comes to nothing."""
    for name in (*PARTS, UNFINISHED):
        shutil.rmtree(folder / name)
    for name in TOKENIZER_FILES:
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # raised where something else is in the folder
        folder.rmdir()
