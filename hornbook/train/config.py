"""What a training run is made of: optimizer, schedule, lengths, and the whole run's configuration."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from hornbook.base.config import Config
from hornbook.data.config import DataConfig
from hornbook.model.shape_config import AnyConfig
from hornbook.train.guard_config import GuardConfig, SkipConfig
from hornbook.train.objective_config import NextTokenConfig, ObjectiveConfig

Momentum = Annotated[float, Field(ge=0.0, lt=1.0)]


class AdamWConfig(Config):
    """AdamW on every weight (Loshchilov and Hutter 2019); matrices decay, gains and biases do not."""

    kind: Literal["adamw"] = "adamw"
    learning_rate: PositiveFloat = 1e-3
    """Peak learning rate."""
    betas: tuple[Momentum, Momentum] = (0.9, 0.95)
    """Memory of the mean and of the mean square of gradients."""
    eps: PositiveFloat = 1e-8
    """Added to the root of the mean square."""
    weight_decay: NonNegativeFloat = 0.1
    """Share of each matrix, times the learning rate, taken off at every step."""


class MuonConfig(Config):
    """Muon on the matrices inside blocks (Jordan et al. 2024), AdamW on everything else."""

    kind: Literal["muon"] = "muon"
    learning_rate: PositiveFloat = 0.02
    """Peak learning rate of the matrices: the spectral norm of an update, for square ones."""
    momentum: Momentum = 0.95
    """Memory of the mean of gradients."""
    newton_schulz_steps: PositiveInt = 5
    """Iterations that bring the singular values of an update near one."""
    weight_decay: NonNegativeFloat = 0.0
    """Share of each matrix, times its learning rate, taken off at every step."""
    embeddings: AdamWConfig = AdamWConfig(learning_rate=0.03, betas=(0.8, 0.95), eps=1e-10, weight_decay=0.0)
    """AdamW for the embeddings."""
    rest: AdamWConfig = AdamWConfig(learning_rate=0.006, betas=(0.8, 0.95), eps=1e-10, weight_decay=0.0)
    """AdamW for the head, gains and biases."""


OptimizerConfig = Annotated[AdamWConfig | MuonConfig, Field(discriminator="kind")]


class AverageConfig(Config):
    """A moving average of the weights: what is measured, sampled and left as the finished model."""

    decay: Momentum = 0.999
    """Share of the average that stays at a step; until 1 / (1 - decay) steps are done, all weigh alike."""


class ConstantConfig(Config):
    """A linear warm-up, then the peak for ever."""

    kind: Literal["constant"] = "constant"
    warmup_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.02
    """Share of the steps that warm up."""


class CosineConfig(Config):
    """A linear warm-up, then half a cosine down (Loshchilov and Hutter 2017)."""

    kind: Literal["cosine"] = "cosine"
    warmup_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.02
    """Share of the steps that warm up."""
    final_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """Last learning rate, as a share of the peak."""


class LinearConfig(Config):
    """A linear warm-up, then a line down."""

    kind: Literal["linear"] = "linear"
    warmup_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.02
    """Share of the steps that warm up."""
    final_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Where the line ends after the last step, as a share of the peak."""


class InverseSquareRootConfig(Config):
    """A linear warm-up, then down with the square root of the step's number (Vaswani et al. 2017, section
    5.3).

    After four times the steps of the warm-up the rate is half the peak, wherever the run ends.
    """

    kind: Literal["inverse_square_root"] = "inverse_square_root"
    warmup_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """Share of the steps that warm up."""


class WarmupStableDecayConfig(Config):
    """A linear warm-up, a plateau, a linear way down to zero (Zhai et al. 2022; Hu et al. 2024)."""

    kind: Literal["warmup_stable_decay"] = "warmup_stable_decay"
    warmup_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.02
    """Share of the steps that warm up."""
    decay_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """Share of the steps that go down."""

    @pydantic.model_validator(mode="after")
    def _shares_fit(self) -> WarmupStableDecayConfig:
        if self.warmup_share + self.decay_share > 1:
            raise ValueError(
                f"warmup_share {self.warmup_share} and decay_share {self.decay_share} exceed the whole run"
            )
        return self


ScheduleConfig = Annotated[
    ConstantConfig | LinearConfig | CosineConfig | InverseSquareRootConfig | WarmupStableDecayConfig,
    Field(discriminator="kind"),
]


class ProfileConfig(Config):
    """Steps that PyTorch's profiler watches; nothing else changes."""

    after: NonNegativeInt = 10
    """Steps of a sitting that pass before: compiling and warming up are no part of what is asked."""
    steps: PositiveInt = 3
    """Steps that are watched."""


class TokenizerConfig(Config):
    """The tokenizer that a run trains on its own text."""

    vocab_size: Annotated[int, Field(ge=257)] = 4096
    """Number of token ids, the 256 bytes and the end-of-text token included."""
    pattern: str = "gpt2"
    """How text is cut into words before merging: a known name or a regular expression."""


class TrainConfig(Config):
    """How long and how a model learns."""

    steps: PositiveInt = 400
    """Optimizer steps."""
    objective: ObjectiveConfig = NextTokenConfig()
    """What the model learns to predict, and from what."""
    optimizer: OptimizerConfig = MuonConfig()
    """The rule that turns gradients into updates."""
    schedule: ScheduleConfig = WarmupStableDecayConfig()
    """Learning rate over the run, as a share of the peak."""
    average: AverageConfig | None = None
    """The average of the weights that stands for them; None: the weights are taken as they are."""
    micro_batch_size: PositiveInt | Literal["auto"] | None = "auto"
    """Sequences in one forward pass; None: the whole batch. auto: as many as fit into the memory that is free
    when the run starts. Gradients add up to the same either way."""
    compile: Literal["auto", "always", "never"] = "auto"
    """Whether the model's blocks are compiled before training. auto: where that is expected to save more time
    than it takes. Where there is no compiler they are not."""
    recompute: Literal["none", "selective", "block"] = "none"
    """What the backward pass computes again and need not be held for it: none; selective: what is cheap in
    each block; block: everything in each block, the least memory and the most time. Nothing else changes."""
    z_loss: NonNegativeFloat = 0.0
    """Weight of the squared log of the softmax's denominator, learned beside the loss so that logits do not
    drift away (Chowdhery et al. 2022 use 0.0001); 0: not."""
    max_grad_norm: PositiveFloat | None = None
    """Longest gradient, over all weights; a longer one is shortened. None: any."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the arithmetic; weights stay float32. auto: bfloat16 where this machine is faster with it,
    float16 on a GPU that is too old for it. In float16 the loss is scaled, by a scale that is found by
    itself."""
    device: str = "auto"
    """cpu, cuda, mps; auto: the first of cuda, mps, cpu that is there."""
    log_every: PositiveInt = 5
    """Steps between two lines of metrics."""
    validate_every: PositiveInt = 100
    """Steps between two measurements on held-out text."""
    validation_batches: PositiveInt = 4
    """Batches of held-out text in such a measurement."""
    evaluation_tokens: PositiveInt | None = 2_000_000
    """Most tokens of held-out text in the final evaluation; of a longer text it takes documents spread evenly
    over it, and says so. None: all."""
    sample_every: PositiveInt = 100
    """Steps between two samples of text."""
    sample_prompts: tuple[str, ...] = ("def", "The")
    """What the samples begin with; a space at the end would stand in the way of a word's own token."""
    final_prompts: tuple[str, ...] = ("def", "class", "The")
    """What the samples of the finished model begin with."""
    save_every: PositiveInt = 100
    """Steps between two saves of the whole state."""
    keep_last: PositiveInt = 2
    """Saves that are kept, the newest ones; a second one stands in where the newest is damaged."""
    keep_best: bool = False
    """Whether the save with the lowest loss on held-out text is kept too; it is made at that measurement."""
    guard: GuardConfig = SkipConfig()
    """What to do about steps that are not like those before them."""
    tensorboard: bool = False
    """Whether each line of metrics is also written for TensorBoard, to `tensorboard/` in the run folder."""
    wandb: Annotated[str, Field(min_length=1)] | None = None
    """The project of Weights & Biases that each line of metrics is also sent to; None: it stays here."""
    profile: ProfileConfig | None = None
    """Steps whose operators are timed, in a trace and a table in `profile/` of the run folder; None: none."""

    @pydantic.model_validator(mode="after")
    def _profile_fits(self) -> TrainConfig:
        if self.profile is not None and self.profile.after + self.profile.steps > self.steps:
            raise ValueError(
                f"train.profile watches {self.profile.steps} steps after {self.profile.after} others, and "
                f"train.steps is {self.steps}; lower train.profile.after or train.profile.steps"
            )
        return self

    @property
    def rows_at_once(self) -> int | None:
        """The sequences in one forward pass, where there is a number; None: the whole batch."""
        return self.micro_batch_size if isinstance(self.micro_batch_size, int) else None


class RunConfig(Config):
    """A whole run. Saved as `config.json`, it can be given back as a recipe."""

    format: Literal[1] = 1
    """Version of this file's format."""
    seed: int = 0
    """From this all random streams follow: init, data order, dropout, samples."""
    model: AnyConfig
    """The transformer, of any shape; a decoder where it does not say its kind."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """The tokenizer."""
    data: DataConfig = DataConfig()
    """The text."""
    train: TrainConfig = TrainConfig()
    """The training."""

    @pydantic.model_validator(mode="after")
    def _parts_fit(self) -> RunConfig:
        if self.data.seq_len > self.model.max_seq_len:
            raise ValueError(
                f"data.seq_len {self.data.seq_len} is longer than model.max_seq_len "
                f"{self.model.max_seq_len}; lower the one or raise the other"
            )
        size = self.train.rows_at_once
        if size is not None and size > self.data.batch_size:
            raise ValueError(
                f"train.micro_batch_size {size} exceeds data.batch_size {self.data.batch_size}; lower it"
            )
        return self
