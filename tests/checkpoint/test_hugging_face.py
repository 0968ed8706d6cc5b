"""Folders of Hugging Face: the core computes what transformers computes, for every family, in and out.

Models are made tiny and random by `transformers`, every parameter drawn, and saved by it.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from checkpoint.published import CASES, drawn, pairs
from checkpoint.published_classifiers import CLASSIFIER_CASES
from checkpoint.published_encoders import ENCODER_CASES
from checkpoint.published_permutation import PERMUTATION_CASES
from checkpoint.published_seq2seq import SEQ2SEQ_CASES

from hornbook.base.errors import ConfigError, HornbookError, RunFolderError
from hornbook.checkpoint.hugging_face import read_model, write_model
from hornbook.model.config import ModelConfig
from hornbook.model.families.family import MODULES, as_computed, load_families
from hornbook.model.mask import Mask
from hornbook.model.models import CausalLM

transformers = pytest.importorskip("transformers")

every_case = pytest.mark.parametrize("case", CASES)


def published(case: str) -> Any:
    """A model of transformers with every parameter drawn, gains and biases too, in evaluation mode."""
    model = transformers.AutoModelForCausalLM.from_config(CASES[case](), attn_implementation="eager")
    return drawn(model)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model of a case, and ours read from its folder; each is made once."""
    return pairs(published, tmp_path_factory)


def some_tokens(config: ModelConfig, seq_len: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(config.vocab_size, (2, seq_len), generator=generator)


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert theirs.abs().max() > 1e-2, "numbers of nothing prove nothing"
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@every_case
def test_logits_and_gradients_are_those_of_transformers(case: str, pair: Any) -> None:
    theirs, config, ours, _ = pair(case)
    tokens = some_tokens(config, config.max_seq_len)
    direction = torch.randn(*tokens.shape, config.vocab_size, generator=torch.Generator().manual_seed(2))
    logits, wanted = ours(tokens), theirs(tokens).logits
    assert_same(logits, wanted)
    for model, out in ((ours, logits), (theirs, wanted)):
        model.zero_grad()
        (out * direction / tokens.numel()).sum().backward()
    assert_same(ours.embedding.tokens.weight.grad, theirs.get_input_embeddings().weight.grad)


@every_case
def test_padding_at_the_right_changes_nothing(case: str, pair: Any) -> None:
    theirs, config, ours, _ = pair(case)
    tokens = some_tokens(config, 9)
    real = torch.ones_like(tokens, dtype=torch.bool)
    real[1, 5:] = False
    with torch.no_grad():
        logits = ours(tokens, Mask(padding=real))
        wanted = theirs(tokens, attention_mask=real.long()).logits
    assert_same(logits[real], wanted[real])
    with torch.no_grad():
        assert_same(ours(tokens[1:, :5])[0], logits[1, :5])


@every_case
def test_later_tokens_and_other_documents_never_move_logits(case: str, pair: Any) -> None:
    """In float64: experts round otherwise beside other tokens."""
    _, config, loaded, _ = pair(case)
    ours = copy.deepcopy(loaded).double()
    tokens = some_tokens(config, 10)
    changed = torch.cat((tokens[:, :6], (tokens[:, 6:] + 1) % config.vocab_size), dim=1)
    with torch.no_grad():
        before, after = ours(tokens), ours(changed)
        if "dynamic" not in case:  # The angles of all depend on how long the whole is.
            torch.testing.assert_close(before[:, :6], after[:, :6], atol=1e-9, rtol=0)
        assert not torch.allclose(before[:, 6:], after[:, 6:], atol=1e-3)
        apart = Mask(documents=torch.tensor([[0] * 6 + [1] * 4] * 2))
        own = torch.tensor([0, 1, 2, 3, 4, 5, 0, 1, 2, 3])
        first = torch.cat(((tokens[:, :6] + 1) % config.vocab_size, tokens[:, 6:]), dim=1)
        packed = ours(tokens, apart, positions=own)
        torch.testing.assert_close(packed[:, 6:], ours(first, apart, positions=own)[:, 6:], atol=1e-9, rtol=0)
        torch.testing.assert_close(packed[:, 6:], ours(tokens[:, 6:]), atol=1e-9, rtol=1e-9)


@every_case
def test_padding_at_the_left_changes_nothing_where_positions_are_counted_from_the_text(
    case: str, pair: Any
) -> None:
    _, config, ours, _ = pair(case)
    tokens = some_tokens(config, 9)
    real = torch.arange(9) >= torch.tensor([[0], [4]])
    positions = (real.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        padded = ours(tokens, Mask(padding=real), positions=positions)
        assert_same(padded[1:, 4:], ours(tokens[1:, 4:]))
        cache = ours.make_cache(2)
        steps = [
            ours(tokens[:, at : at + 1], Mask(padding=real[:, : at + 1]), cache, positions[:, at : at + 1])
            for at in range(9)
        ]
    assert_same(torch.cat(steps, dim=1)[real], padded[real])


@every_case
def test_it_goes_out_as_it_came_in(case: str, pair: Any, tmp_path: Path) -> None:
    theirs, config, ours, folder = pair(case)
    family = json.loads((folder / "config.json").read_text())["model_type"]
    assert write_model(ours, config, tmp_path / "out", family) == family
    again_config, again = read_model(tmp_path / "out")
    assert as_computed(again_config) == as_computed(config)
    for name, parameter in ours.named_parameters():
        assert torch.equal(parameter, dict(again.named_parameters())[name]), name
    loaded = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", attn_implementation="eager", dtype=torch.float32
    ).eval()
    tokens = some_tokens(config, config.max_seq_len, seed=3)
    with torch.no_grad():
        torch.testing.assert_close(loaded(tokens).logits, theirs(tokens).logits, atol=1e-5, rtol=1e-5)


@every_case
def test_a_token_at_a_time_gives_the_same(case: str, pair: Any) -> None:
    _, config, ours, _ = pair(case)
    length = min(config.max_seq_len, 24)
    tokens, cache = some_tokens(config, length), ours.make_cache(2)
    if "dynamic" in case:
        pytest.skip("its angles depend on the length, and a cache keeps those of its time")
    with torch.no_grad():
        whole = ours(tokens)
        steps = [ours(tokens[:, :5], cache=cache)]
        steps += [ours(tokens[:, at : at + 1], cache=cache) for at in range(5, length)]
    assert_same(torch.cat(steps, dim=1), whole)


@every_case
def test_it_is_the_same_in_bfloat16_within_its_bound(case: str, pair: Any) -> None:
    """Bfloat16 keeps eight bits, and a few layers of rounding at that lose some more."""
    _, config, ours, _ = pair(case)
    tokens = some_tokens(config, 12)
    with torch.no_grad():
        whole = ours(tokens)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = ours(tokens).float()
    assert (rounded - whole).square().mean() < (0.06 * whole.std()) ** 2


def test_dynamic_positions_grow_beyond_the_trained_length(pair: Any) -> None:
    """A model takes no more than it was trained with, as it is read; a longer one is of the same weights."""
    theirs, config, ours, _ = pair("llama dynamic")
    longer = CausalLM(config.model_copy(update={"max_seq_len": 96})).eval()
    longer.load_state_dict(ours.state_dict())
    tokens = some_tokens(config, 90)
    with torch.no_grad():
        assert_same(longer(tokens), theirs(tokens).logits)


def test_every_family_has_a_case() -> None:
    decoders = {name for name in MODULES if load_families(name)[0].shape is ModelConfig}
    assert {CASES[case]().model_type for case in CASES} == decoders


def test_the_page_tells_every_case_and_its_errors() -> None:
    page = (Path(__file__).parents[2] / "docs" / "families.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (\S+) \| (\S+) \|$", page, flags=re.MULTILINE)
    makers = CASES | {case: make for case, (_, make) in ENCODER_CASES.items()}
    makers |= CLASSIFIER_CASES | PERMUTATION_CASES | SEQ2SEQ_CASES
    cases = {(make().model_type, case) for case, make in makers.items()}
    assert {(family, case) for family, case, *_ in rows} == cases, "type: make families"
    assert all(float(error) < 1e-5 for row in rows for error in row[2:])


# What is refused


def edited(folder: Path, out: Path, **attributes: Any) -> Path:
    """A copy of a folder with other attributes."""
    out.mkdir()
    for file in folder.iterdir():
        (out / file.name).write_bytes(file.read_bytes())
    content = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(content | attributes))
    return out


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"made_up": 3}, ["made_up = 3", "not understood"]),
        ({"hidden_act": "snake"}, ["hidden_act = 'snake'", "'silu'"]),
        ({"rope_parameters": {"rope_type": "longrope", "rope_theta": 1.0}}, ["longrope", "yarn"]),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 1.0, "odd": 2}}, ["odd"]),
        (
            {"model_type": "mamba"},
            ["model_type = 'mamba' is no family known here", "known are gpt2", "llama"],
        ),
        ({"model_type": "lama"}, ["did you mean 'llama'?", "known are gpt2", "xlnet"]),
        ({"model_type": None}, ["model_type = None is no family"]),
        ({"num_hidden_layers": 4}, ["lacks tensors", "model.layers.3."]),
        ({"num_hidden_layers": 2}, ["does not", "model.layers.2."]),
        ({"intermediate_size": 41}, ["shape (40, 24) instead of (41, 24)"]),
        ({"hidden_size": None}, ["lacks 'hidden_size'"]),
        ({"rope_parameters": {"rope_type": "linear"}}, ["lacks 'factor'"]),
        ({"num_attention_heads": "four"}, ["wrong kind"]),
        ({"num_key_value_heads": 3}, ["n_kv_heads 3 does not divide n_heads 4"]),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    attributes: dict[str, Any], words: list[str], pair: Any, tmp_path: Path
) -> None:
    folder = edited(pair("llama 2 grouped")[3], tmp_path / "edited", **attributes)
    with pytest.raises(HornbookError) as caught:
        read_model(folder)
    assert [word for word in words if word not in str(caught.value)] == []


def test_all_that_is_wrong_with_the_tensors_is_told_at_once(pair: Any, tmp_path: Path) -> None:
    folder = edited(pair("llama 2 grouped")[3], tmp_path / "edited")
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    layer = "model.layers.0."
    tensors["model.layers.7.odd.weight"] = tensors.pop(layer + "self_attn.q_proj.weight")
    tensors[layer + "mlp.up_proj.weight"] = torch.ones(3, 24)
    tensors[layer + "mlp.down_proj.weight"] = torch.ones(24)
    safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError) as caught:
        read_model(folder)
    words = [
        f"lacks tensors: {layer}self_attn.q_proj.weight",
        "does not: model.layers.7.odd.weight",
        f"{layer}mlp.up_proj.weight of shape (3, 24) instead of (40, 24)",
        f"{layer}mlp.down_proj.weight of shape (24,) instead of (24, 40)",
    ]
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_model_in_several_files(pair: Any, tmp_path: Path) -> None:
    theirs, config, ours, _ = pair("llama 2 grouped")
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="8KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    again_config, again = read_model(tmp_path / "shards")
    tokens = some_tokens(config, 8)
    assert again_config == config
    assert torch.equal(again.eval()(tokens), ours(tokens))
    next((tmp_path / "shards").glob("*.safetensors")).unlink()
    with pytest.raises(RunFolderError, match="damaged or missing"):
        read_model(tmp_path / "shards")


def test_folders_that_hold_no_model(tmp_path: Path, pair: Any) -> None:
    with pytest.raises(RunFolderError, match="no folder"):
        read_model(tmp_path / "nothing")
    with pytest.raises(RunFolderError, match="missing"):
        read_model(tmp_path)
    folder = edited(pair("gpt2")[3], tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(RunFolderError, match="save the model with safetensors"):
        read_model(folder)
    folder = edited(pair("gpt2")[3], tmp_path / "cut")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(RunFolderError, match="damaged"):
        read_model(folder)


def test_a_family_that_cannot_hold_a_model_says_why(pair: Any, tmp_path: Path) -> None:
    _, config, ours, _ = pair("gpt2")
    with pytest.raises(ConfigError, match="llama cannot hold this model: it has RMS norms"):
        write_model(ours, config, tmp_path / "out", "llama")
    with pytest.raises(ConfigError, match="did you mean 'gpt2'"):
        write_model(ours, config, tmp_path / "out", "gpt-2")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over_a_folder(pair: Any, tmp_path: Path) -> None:
    _, config, ours, _ = pair("gpt2")
    (tmp_path / "mine").mkdir()
    with pytest.raises(RunFolderError, match="exists already"):
        write_model(ours, config, tmp_path / "mine")
    (tmp_path / "other.tmp").mkdir()
    write_model(ours, config, tmp_path / "other")
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "other", "other.tmp"}


def test_weights_of_another_type_become_float32(pair: Any, tmp_path: Path) -> None:
    theirs, _, ours, _ = pair("gpt2")
    copy.deepcopy(theirs).bfloat16().save_pretrained(tmp_path / "half")
    _, again = read_model(tmp_path / "half")
    rounded = dict(again.named_parameters())
    for name, parameter in ours.named_parameters():
        assert rounded[name].dtype == torch.float32
        assert torch.equal(rounded[name], parameter.bfloat16().float()), name


def test_a_model_that_would_come_back_another_is_not_written(
    pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, config, ours, _ = pair("gpt2")
    broken = CausalLM(config, seed=9)
    monkeypatch.setattr("hornbook.checkpoint.hugging_face.read_model", lambda path: (config, broken))
    with pytest.raises(ConfigError, match="other logits"):
        write_model(ours, config, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
