"""A waveform made from a log-mel sounds like it."""

import torch

from stages.audio.griffin_lim import griffin_lim
from stages.audio.log_mel import log_mel
from tests.builders import small_waveform


def test_the_log_mel_of_the_result_is_near_the_given_one() -> None:
    speech = torch.from_numpy(small_waveform(16000).astype("f4") / 32768)
    mel = log_mel(speech)
    waveform = griffin_lim(mel)
    assert waveform.shape == (16000,)
    loud = mel > mel.max() - 5  # within 43 dB of the loudest
    error = (log_mel(waveform) - mel).abs()[loud].mean()
    shuffled = (mel[torch.randperm(len(mel), generator=torch.Generator().manual_seed(0))] - mel).abs()[loud].mean()
    assert error < 0.35
    assert error < 0.3 * shuffled
    assert torch.equal(waveform, griffin_lim(mel))
