"""The road from text to a trained model, stage by stage, in one run folder.

    corpus -> tokenizer -> token shards -> training -> evaluation -> report

`train` walks it in one call; the quickstart lesson walks it with a word at every stage. Each stage reads what
the one before left in the folder and leaves its own part whole, so a road that was cut anywhere is walked
again from the last whole stage.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from hornbook import __version__
from hornbook.base.config import to_dict
from hornbook.base.errors import ConfigError, DivergedError, RunFolderError
from hornbook.base.files import read_json, sha256, write_json
from hornbook.base.progress import Progress, Watch, unwatched
from hornbook.checkpoint.folder import RunFolder
from hornbook.corpus.document import Document
from hornbook.corpus.pipeline import build_corpus, read_corpus
from hornbook.corpus.yardstick import compress_bits_per_byte
from hornbook.data.excerpt import excerpt
from hornbook.data.shards import TokenCounts, TokenShards, write_shards
from hornbook.model.count import count_parameters, on_meta
from hornbook.model.drawing import parts
from hornbook.plan.machine import describe_machine, git_commit
from hornbook.recipes import words
from hornbook.recipes.continued import adopt, continued
from hornbook.recipes.report import write_report
from hornbook.recipes.settling import settled
from hornbook.recipes.shapes import resolve
from hornbook.recipes.stops import check_not_imported, claim, run_folder, stoppable
from hornbook.recipes.tokenized import Tokenized, decoded
from hornbook.recipes.verdicts import judge_by_band
from hornbook.tokenizer.tokenizer import Tokenizer
from hornbook.train.config import RunConfig
from hornbook.train.device import PRECISIONS, cpu_threads, resolve_device
from hornbook.train.fit import Fit, Listener, ignore
from hornbook.train.held_out import compresses, measure_held_out
from hornbook.train.run import Run, load
from hornbook.train.tasks import check_objective, goes_on, special_tokens
from hornbook.train.trackers import check_trackers

SAMPLE_TOKENS = 160
SHOWN_TOKENS = 40


PARTS: tuple[Literal["train", "held_out"], ...] = ("train", "held_out")


class Road:
    """One run on its way. `config` becomes final stage by stage and is saved before training starts."""

    def __init__(self, folder: RunFolder, config: RunConfig, watch: Watch = unwatched) -> None:
        self.folder, self.config, self.watch = folder, config, watch
        self.tokens = Tokenized.find(config.data)
        self.corpus_path = self._given_corpus() or folder.path / "data" / "corpus"
        self.seconds: dict[str, float] = {}
        self.settled: list[str] = []

    def begin(self, command: str, **facts: Any) -> None:
        """Write down who, when and with what, before any work."""
        ours, theirs = self.config.model.vocab_size, self.config.tokenizer.vocab_size
        if ours != theirs:
            raise ConfigError(
                f"model.vocab_size {ours} differs from tokenizer.vocab_size {theirs}; "
                "set tokenizer.vocab_size alone, the model follows"
            )
        self.folder.update_run(
            hornbook=__version__,
            created=_now(),
            finished=None,
            status="running",
            command=command,
            git_commit=git_commit(Path(__file__).parent),
            seed=self.config.seed,
            **facts,
        )

    def build_corpus(self) -> dict[str, Any]:
        """Read, clean and split the text; return the ledger. A corpus folder is used as it is."""
        if self.tokens is not None:
            raise ConfigError(
                f"{self.config.data.path} holds tokens, and a lesson begins with text; train on them by "
                "hornbook train"
            )
        with self._stage("corpus") as progress:
            if self._given_corpus() is None:
                path = self.config.data.path
                build_corpus(
                    path if isinstance(path, str) else list(path),
                    self.corpus_path,
                    held_out_share=self.config.data.held_out_share,
                    overwrite=True,
                    progress=progress,
                )
            ledger = read_json(self.corpus_path / "ledger.json")
            write_json(self.folder.path / "ledger.json", ledger)
        return dict(ledger)

    def train_tokenizer(self) -> Tokenizer:
        """Learn the merges from the training part of the corpus."""
        wanted = self.config.tokenizer
        with self._stage("tokenizer") as progress:
            tokenizer = Tokenizer.train(
                (document.text for document in read_corpus(self.corpus_path, "train")),
                vocab_size=wanted.vocab_size,
                pattern=wanted.pattern,
                special_tokens=special_tokens(self.config),
                progress=progress,
            )
            tokenizer.save(self.folder.path)
        if tokenizer.vocab_size != wanted.vocab_size:
            # The text gave fewer merges than were asked for; the configuration says what is.
            self.config = resolve(self.config, [f"tokenizer.vocab_size={tokenizer.vocab_size}"])
        return tokenizer

    def write_shards(self, tokenizer: Tokenizer) -> dict[str, TokenCounts]:
        """Turn both parts of the corpus into token ids on disk."""
        counts: dict[str, TokenCounts] = {}
        with self._stage("shards") as progress:
            for part in PARTS:
                texts = (document.text for document in read_corpus(self.corpus_path, part))
                counts[part] = write_shards(
                    texts,
                    tokenizer,
                    self.folder.path / "data" / part,
                    fingerprint=self.folder.tokenizer_fingerprint(),
                    progress=progress,
                )
        self.folder.update_run(tokenizer=self._tokenizer_facts(tokenizer, counts["train"]))
        return counts

    def take_tokens(self, tokens: Tokenized) -> None:
        """Use what was tokenized before, with the tokenizer that did it."""
        facts = tokens.take_tokenizer(self.folder.path)
        about = self._tokenizer_facts(tokens.tokenizer, tokens.shards("train").counts)
        self.folder.update_run(tokens=facts, tokenizer=about)

    def settle(self) -> None:
        """Resolve what was left to the machine, and save the final configuration."""
        self.config, self.settled = settled(self.config)
        train = self.config.train
        device, precision = resolve_device(train.device), train.precision
        drawing = [vars(part) for part in parts(self.config.model)]
        total = count_parameters(on_meta(self.config.model))
        self.folder.update_run(
            machine=describe_machine(str(device), precision), parameters={"total": total, "parts": drawing}
        )
        # Last, because a folder with a configuration is one that is ready to train.
        write_json(self.folder.config_path, to_dict(self.config))

    def fit(self, tokenizer: Tokenizer, *, resume: bool = False, listen: Listener = ignore) -> bool:
        """Train; False when a signal stopped it early, saved and ready to resume."""
        with self._stage("training") as progress, cpu_threads(self._threads()):
            train = self.tokens.sources("train") if self.tokens else self._shards("train")
            held_out = self._shards("held_out")
            fit = Fit(self.config, self.folder, tokenizer, train, held_out, listen)
            judge_by_band(fit, train, held_out)
            if resume:
                step = fit.resume()
                fit.record("event", step, text=f"resumed at step {step}")
            for sentence in self.settled:
                fit.record("event", fit.state.step, text=sentence)
            try:
                done = fit.run(progress)
            except DivergedError:
                self._stamp(status="diverged")
                raise
            self.seconds["training"] = fit.state.seconds
        if not done:
            self._stamp(status="interrupted")
        return done

    def evaluate(self, run: Run) -> dict[str, Any]:
        """Measure on held-out text, as much as the run wants, and take samples of a model that writes text.

        Where the measure is that of a compressor, gzip and xz are measured on the same documents.
        """
        shards, most = self._shards("held_out"), self.config.train.evaluation_tokens
        some = None if most is None else excerpt(shards, most)
        documents = list(self._held_out() if some is None else decoded(some.documents(), run.tokenizer))
        with self._stage("evaluation") as progress, cpu_threads(self._threads()):
            precision = PRECISIONS[self.config.train.precision]
            found = measure_held_out(
                run.model, self.config, run.tokenizer, some or shards, precision, progress
            )
            yardsticks = compress_bits_per_byte(documents) if compresses(run.model) else {}
            samples = [
                {
                    "prompt": prompt,
                    "text": run.generate(prompt, max_new_tokens=SAMPLE_TOKENS, seed=self.config.seed),
                }
                for prompt in self.config.train.final_prompts
                if goes_on(self.config)
            ]
        results = {
            "held_out": {
                "documents": len(documents),
                **({} if some is None else {"of_documents": shards.counts.documents}),
                "bytes": found.n_bytes,
                "text": sha256("\0".join(document.text for document in documents).encode()),
                "bits_per_byte": found.bits_per_byte,
                "loss": found.loss,
                "perplexity": found.perplexity,
                **found.metrics,
                "yardsticks": yardsticks,
            },
            "samples": samples,
        }
        write_json(self.folder.path / "results.json", results)
        return results

    def finish(self) -> Path:
        """Mark the run as finished and draw its report."""
        self._stamp(status="finished")
        return write_report(self.folder.path)

    def _stamp(self, status: str) -> None:
        self.folder.update_run(status=status, finished=_now(), seconds=self.seconds)

    @contextmanager
    def _stage(self, name: str) -> Iterator[Progress]:
        began = time.perf_counter()
        with self.watch(name) as progress:
            yield progress
        self.seconds[name] = time.perf_counter() - began

    def _given_corpus(self) -> Path | None:
        """The corpus folder in data.path, when it is one."""
        if not isinstance(self.config.data.path, str):
            return None
        path = Path(self.config.data.path)
        return path if (path / "ledger.json").is_file() and (path / "train").is_dir() else None

    def _threads(self) -> int | None:
        """The threads that the run began with, so that it goes on to the same bits on the same machine."""
        machine = read_json(self.folder.path / "run.json").get("machine", {})
        return machine.get("threads") if machine.get("cores") == os.cpu_count() else None

    def _shards(self, part: str) -> TokenShards:
        if self.tokens is not None:
            return self.tokens.shards(part)
        folder = self.folder.path / "data" / part
        if not folder.exists():
            raise RunFolderError(
                f"this run reads tokens in {self.config.data.path}, and there are none; start from the "
                "folder where it was begun, or put them back"
            )
        return TokenShards(folder, fingerprint=self.folder.tokenizer_fingerprint())

    def _held_out(self) -> Iterator[Document]:
        """The held-out text."""
        return self.tokens.documents("held_out") if self.tokens else read_corpus(self.corpus_path, "held_out")

    def _tokenizer_facts(self, tokenizer: Tokenizer, counts: TokenCounts) -> dict[str, Any]:
        """What the report shows of the tokenizer: how dense it is, and a line it cuts up."""
        text = next(self._held_out()).text.strip()[:400]
        ids = tokenizer.encode(text, disallowed_special=())[:SHOWN_TOKENS]
        return {
            "vocab_size": tokenizer.vocab_size,
            "bytes_per_token": counts.bytes_per_token,
            "sample": [[tokenizer.token_bytes(i).decode("utf-8", "replace"), i] for i in ids],
        }


def train(
    recipe: str | os.PathLike[str] | RunConfig,
    *overrides: str,
    out: str | os.PathLike[str],
    resume: bool = False,
    overwrite: bool = False,
    listen: Listener = ignore,
    watch: Watch = unwatched,
    announce: Callable[[str], None] | None = None,
) -> Run:
    """Train a model and return the finished run.

    `recipe` is a recipe's name, a config file, a run folder or a config; `overrides` are assignments such as
    `"train.steps=500"`. An `out` that exists is an error, unless `resume` continues it (bit for bit as if it
    had never stopped; from the beginning where nothing was saved) or `overwrite` moves it aside. Ctrl-C and
    SIGTERM save and raise `Interrupted`.
    """
    if resume and overwrite:
        raise ConfigError("--resume goes on with a run and --overwrite starts it over; give one of them")
    folder = run_folder(out)
    config = resolve(Path(recipe) if isinstance(recipe, os.PathLike) else recipe, overrides)
    if tokens := Tokenized.find(config.data):
        config = tokens.settle(config, overrides)
    # What does not fit is refused before anything is there.
    check_objective(config, tokens.tokenizer if tokens else None)
    check_trackers(config.train)
    going_on = resume and folder.config_path.exists()
    if going_on:
        check_not_imported(folder)
        config = continued(folder, config)
    else:
        moved = claim(folder, overwrite=overwrite, resume=resume)
        if moved and announce:
            announce(f"The former {folder.path} is kept as {moved}.")
    road = Road(folder, config, watch)
    made_from = folder.config_path if isinstance(recipe, RunConfig) else Path(recipe)
    command = words.typed("train", made_from, *overrides, "--out", folder.path)
    with stoppable(folder, start=command, go_on=words.resume(folder.path)):
        if going_on:
            adopt(folder, config)
        else:
            _prepare(road, command)
        if not folder.is_finished:
            _complete(road, folder.read_tokenizer(), resume=resume, listen=listen)
    return load(folder.path)


def _prepare(road: Road, command: str) -> None:
    """From text to token shards."""
    road.begin(command)
    if road.tokens is None:
        road.build_corpus()
        road.write_shards(road.train_tokenizer())
    else:
        road.take_tokens(road.tokens)
    again = words.typed("train", road.folder.config_path, "--out", f"{road.folder.path}-again")
    road.folder.update_run(reproduce=again)
    road.settle()


def _complete(road: Road, tokenizer: Tokenizer, *, resume: bool, listen: Listener) -> None:
    """From token shards to a report."""
    if not road.fit(tokenizer, resume=resume, listen=listen):
        raise KeyboardInterrupt
    road.evaluate(load(road.folder.path, device=road.config.train.device))
    road.finish()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
