"""What a deterministic animator is fed while it learns."""

import torch
from torch import Tensor

from stages.heads.head import build_head
from stages.models.faceformer import FaceFormer, FaceFormerConfig
from stages.training.animator_objective import AnimatorObjective
from stages.training.windows import WindowShape, draw_windows
from tests.builders import small_head
from tests.training.clips import NUM_FEATURES, telling_clip

HEAD = build_head(small_head())


class Recorder(FaceFormer):
    """Notes what it is fed."""

    fed: list[Tensor | None]

    def forward(self, memory: Tensor, subject: Tensor, *, before: Tensor | None = None) -> Tensor:
        self.fed.append(before)
        return super().forward(memory, subject, before=before)


def test_noise_is_on_the_true_frames_that_are_fed_in_training_and_on_nothing_else() -> None:
    sizes = {"dim": 16, "num_heads": 2, "encoder_dim": 8, "encoder_layers": 1, "encoder_kernel": 3}
    animator = Recorder(
        FaceFormerConfig(num_features=NUM_FEATURES, fps=25.0, subjects=("ann",), period=25, dropout=0.0, **sizes)
    )
    animator.motion_scale.fill_(0.2)
    animator.fed = []
    objective = AnimatorObjective(
        animator,
        HEAD,
        vertices=torch.arange(0, 64, 5),
        scale=0.01,
        weight_features=0.1,
        teacher_forcing=True,
        drop_subject=0.0,
        fed_noise=0.5,
    )
    shape = WindowShape(40, 25.0, mel_margin=animator.speech_margin)
    batch = draw_windows([telling_clip(60, 25.0)], shape, 4, torch.Generator().manual_seed(0))
    truth = animator.normalise(batch.motion)
    for seed in range(2):
        terms = objective.train()(batch, torch.ones(4, dtype=torch.long), torch.Generator().manual_seed(seed))
        assert terms["loss"].isfinite()
    first, second = animator.fed
    assert first is not None
    assert second is not None
    for fed in (first, second):
        torch.testing.assert_close((fed - truth[:, :-1]).std(), torch.tensor(0.5), atol=0.01, rtol=0)
    assert not torch.equal(first, second)
    objective.eval()(batch, torch.ones(4, dtype=torch.long), torch.Generator().manual_seed(0))
    assert animator.fed[-1] is None  # what is watched feeds itself
    objective.fed_noise = 0.0
    objective.train()(batch, torch.ones(4, dtype=torch.long), torch.Generator().manual_seed(0))
    assert animator.fed[-1] is not None
    torch.testing.assert_close(animator.fed[-1], truth[:, :-1])
