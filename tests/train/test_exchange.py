"""Runs that come from Hugging Face and go there: text, tokenizer and logits stay what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from train.conftest import Material

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.checkpoint.folder import RunFolder
from hornbook.train.exchange import export, import_hf
from hornbook.train.run import Run, load


@pytest.fixture(scope="module")
def finished(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    material.fit(folder).run()
    return load(folder, device="cpu")


@pytest.fixture(scope="module")
def exported(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "sums"
    assert export(finished, folder) == "llama"
    return folder


def logits(run: Run, text: str) -> torch.Tensor:
    with torch.no_grad():
        return run.model(torch.tensor([run.tokenizer.encode(text)]))


def test_a_run_goes_out_and_comes_back(finished: Run, exported: Path, tmp_path: Path) -> None:
    again = import_hf(exported, tmp_path / "back")
    assert again.path == tmp_path / "back"
    assert RunFolder(again.path).is_finished
    torch.testing.assert_close(logits(again, "one and two"), logits(finished, "one and two"))
    assert again.generate("one and", seed=3, max_new_tokens=9) == finished.generate(
        "one and", seed=3, max_new_tokens=9
    )
    opened = load(again.path, device="cpu")
    assert torch.equal(logits(opened, "two and one"), logits(again, "two and one"))
    assert export(again.path, tmp_path / "out") == "llama"


def test_transformers_reads_what_was_written(finished: Run, exported: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(exported, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported)
    ids = tokenizer("one and two", return_tensors="pt")["input_ids"]
    assert ids[0].tolist() == finished.tokenizer.encode("one and two")
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, logits(finished, "one and two"), atol=1e-5, rtol=1e-5)
    assert model.config.eos_token_id == finished.tokenizer.end_of_text


def test_a_folder_may_be_read_without_making_a_run(exported: Path) -> None:
    before = sorted(exported.iterdir())
    run = import_hf(exported)
    assert run.path == exported
    assert run.generate("one", max_new_tokens=3)
    assert sorted(exported.iterdir()) == before


def test_what_does_not_fit_is_refused(
    finished: Run, exported: Path, material: Material, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="unknown format 'gguf'; choose hf"):
        export(finished, tmp_path / "out", format="gguf")
    with pytest.raises(ConfigError, match="gpt2 cannot hold this model"):
        export(finished, tmp_path / "out", family="gpt2")
    with pytest.raises(RunFolderError, match="exists already; it stays as it is, choose another folder"):
        import_hf(exported, finished.path)
    larger = tmp_path / "larger"
    larger.mkdir()
    for file in exported.iterdir():
        (larger / file.name).write_bytes(file.read_bytes())
    material.tokenizer.extend(tokens=["seventeen"]).save(larger)
    with pytest.raises(ConfigError, match="has 281 ids, and the model knows 280"):
        import_hf(larger)
