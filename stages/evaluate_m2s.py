"""How good mesh-to-speech models are: on people never heard in training, against floors and ceilings, over several seeds.

Floors: the training speech's mean mel with its commonest unit; ridge regression from the mouth; a model shown the motion of
another clip. Ceilings: the true mel and units made audible as the models' are; the true speech itself. The models are
lent the speaker's voice, as in their losses and sounds; beside them they stand without it, knowing no more than the floors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.artifacts.clips import open_clips
from stages.artifacts.files import check_output, read_artifact
from stages.artifacts.head_record import HeadRecord
from stages.artifacts.listing import root_attributes
from stages.artifacts.results_file import ResultRow, Results, write_results
from stages.audio.log_mel import log_mel
from stages.heads.head import build_head
from stages.metrics.hearers import Estimate, mean_hearer, model_hearer, ridge_hearers, true_hearer
from stages.metrics.hearing_bench import (
    BETTER,
    METRICS,
    OF_MEL,
    OF_PHONES,
    OF_UNITS,
    HearingBench,
    Speaker,
    griffin_lim_speaker,
)
from stages.metrics.hearing_table import HearingTable
from stages.metrics.judged_clips import JudgedClip, motion_of_another, read_judged_clips
from stages.metrics.phone_confusions import UNKNOWN
from stages.metrics.reconstruction import MelScale
from stages.models.mesh_to_speech import MeshToSpeech, check_same_face, load_mesh_to_speech
from stages.models.recogniser import load_recogniser
from stages.models.reconstruction import describe_voice_of
from stages.models.vocoder import Vocoder, ears_fingerprint, load_vocoder
from stages.rendering.figures import draw_confusions, draw_spectrograms, need_matplotlib
from stages.runtime.devices import resolve_device
from stages.runtime.errors import ThunderError
from stages.runtime.progress import Progress, silent
from stages.runtime.provenance import Provenance, hash_inputs

MEAN, RIDGE, TRUE = "mean mel", "ridge", "true speech"
GRIFFIN_LIM, VOCODER = "Griffin-Lim", "vocoder"
OTHERS, VOICELESS = "another's motion", "voice withheld"
# Enough for a regression of a few hundred inputs; all of a corpus would only take longer.
_TRAINING_S, _VALIDATION_S = 3600.0, 600.0


@dataclass(frozen=True)
class M2SModel:
    """One trained model: its file, input kind and seed."""

    path: Path
    network: MeshToSpeech
    kind: str
    seed: int

    @property
    def centroids(self) -> Tensor:
        """(K, C), on the CPU."""
        return self.network.centroids.cpu()


def evaluate_m2s(
    dataset_path: Path,
    model_paths: Sequence[Path],
    output: Path,
    *,
    vocoder_path: Path | None = None,
    recogniser_path: Path | None = None,
    hubert: Path | None = None,
    num_sounds: int = 60,
    confusions_path: Path | None = None,
    spectrograms_path: Path | None = None,
    num_spectrograms: int = 5,
    force: bool = False,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
) -> Results:
    """Measures models on the dataset's test split and writes a results file.

    Args:
        dataset_path: `thunder.dataset`; the floors are fitted on its training split.
        model_paths: `thunder.m2s` of one or more input kinds; models of one kind differ by their seeds alone.
        output: JSON to write.
        vocoder_path: makes sounds of what the model hears that it was trained with, one of those given, in rows of their
            own. All others are made audible by Griffin and Lim's iterations, so that rows compare.
        recogniser_path: reads what is heard; without one there is no `cer`.
        hubert: folder that the models' speech units are made of, where they are.
        num_sounds: test clips, drawn by `seed`, that are made audible for `stoi` and `estoi`.
        confusions_path: picture of the phones that the models of the first kind confuse, where it is wanted.
        spectrograms_path: picture of `num_spectrograms` test clips: speech, ceiling, heard by the vocoder's or first model.
        seed: of the draw of clips and of the bootstrap.

    Raises:
        ThunderError: a model of another head, models of one kind that differ by more than their seed, a dataset without
            a test, training or validation split, a vocoder of none of the models, an output that exists, or a picture
            without matplotlib.
    """
    for path in (output, confusions_path, spectrograms_path):
        if path is not None:
            check_output(path, force=force, inputs=[dataset_path, *model_paths, vocoder_path, recogniser_path])
    if confusions_path or spectrograms_path:
        need_matplotlib()
    chosen_device = resolve_device(device)
    with open_clips(dataset_path, "thunder.dataset") as file:
        record = file.head
        models = _load_models(model_paths, record, chosen_device, hubert)
        name_by = models[0].network.unit_features_of
        vocoder, vocoder_model = _load_vocoder(vocoder_path, models, chosen_device)
        test = read_judged_clips(file, "test", name_by, progress=progress)
        train = read_judged_clips(file, "train", name_by, at_most_s=_TRAINING_S, seed=seed, progress=progress)
        val = read_judged_clips(file, "val", name_by, at_most_s=_VALIDATION_S, seed=seed, progress=progress)
    for split, clips in (("test", test), ("train", train), ("val", val)):
        if not clips:
            raise ThunderError(f"{dataset_path}: no clip in split {split!r}; preprocess a corpus with more people")
    if confusions_path and all((clip.phones == UNKNOWN).all() for clip in train):
        raise ThunderError(f"--confusions: {dataset_path} has no phones, of which units could be told; leave it out")
    audible = np.random.default_rng(seed).permutation(len(test))[:num_sounds].tolist()
    bench = HearingBench(
        test,
        train,
        MelScale.of(torch.cat([clip.log_mel for clip in train])),
        frozenset(audible),
        HearingTable(len(test), METRICS, seed, BETTER),
        None if recogniser_path is None else load_recogniser(recogniser_path, chosen_device),
    )
    with torch.inference_mode():
        _measure_bounds(bench, record, val, models, progress)
        _measure_models(bench, record, models, progress)
        if vocoder is not None:
            _measure_vocoder(bench, record, vocoder, vocoder_model, progress)
        if spectrograms_path is not None:
            shown = [test[k] for k in audible[:num_spectrograms]]
            _draw_spectrograms(spectrograms_path, shown, record, vocoder_model, vocoder)
    if confusions_path is not None:
        kind = models[0].kind
        draw_confusions(confusions_path, bench.confusions[kind], f"Phones heard by {kind}; boxes are visemes")
    files = {f"{model.kind}-{model.seed}": model.path for model in models}  # whatever their names
    hashes = hash_inputs(dataset=dataset_path, vocoder=vocoder_path, recogniser=recogniser_path, **files)
    return write_results(output, _rows(bench.table, models), Provenance(seed=seed, inputs=hashes), force=force)


def _load_models(paths: Sequence[Path], head: HeadRecord, device: torch.device, hubert: Path | None) -> list[M2SModel]:
    """The models, those of one kind together, kinds in the order in which they are first given.

    Raises:
        ThunderError: another head, another configuration than that of the same kind, or a seed that stands twice.
    """
    models: list[M2SModel] = []
    configs: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in paths:
        with read_artifact(path, "thunder.m2s") as file:
            facts = root_attributes(file)
        network, model_head = load_mesh_to_speech(path, device, hubert=hubert)
        kind = network.config.input
        check_same_face(model_head, head, kind, path)
        if models and models[0].network.config.unit_source != network.config.unit_source:
            raise ThunderError(
                f"{path}: its units are made of {network.config.unit_source}, those of {models[0].path} of "
                f"{models[0].network.config.unit_source}; evaluate them one by one"
            )
        model = M2SModel(path, network, kind, int(facts["seed"]))
        first_path, first_config = configs.setdefault(kind, (path, facts["config"]))
        other = sorted(k for k in first_config | facts["config"] if first_config.get(k) != facts["config"].get(k))
        if other:
            raise ThunderError(
                f"{path}: differs from {first_path}, of the same input {kind}, in {', '.join(other)}; wanted models that "
                f"differ by their seed alone, evaluate the others by themselves"
            )
        twin = next((m.path for m in models if (m.kind, m.seed) == (kind, model.seed)), None)
        if twin is not None:
            raise ThunderError(f"{path}: input {kind} and seed {model.seed} are those of {twin}; give one of the two")
        models.append(model)
    if not models:
        raise ThunderError("no model to evaluate; give one or more m2s.h5, made with `thunder train-m2s`")
    return [model for kind in dict.fromkeys(m.kind for m in models) for model in models if model.kind == kind]


def _load_vocoder(
    path: Path | None, models: Sequence[M2SModel], device: torch.device
) -> tuple[Vocoder | None, M2SModel]:
    """The vocoder, and the model whose units and voices it speaks; without a vocoder, the first model."""
    if path is None:
        return None, models[0]
    vocoder = load_vocoder(path, device)
    for model in models:
        if ears_fingerprint(model.network) == vocoder.config.ears:
            return vocoder, model
    raise ThunderError(
        f"{path}: speaks the units and voices of none of {', '.join(str(m.path) for m in models)}; give the model that it "
        f"was trained with, or train one with `thunder train-vocoder --m2s {models[0].path}`"
    )


def _codebooks(models: Sequence[M2SModel]) -> dict[int, Tensor]:
    """The distinct centroids (K, C), by the seed of the first model that has them."""
    found: dict[int, Tensor] = {}
    for model in models:
        if not any(torch.equal(model.centroids, centroids) for centroids in found.values()):
            number = model.seed if model.seed not in found else max(found) + 1
            found[number] = model.centroids
    return found


def _measure_bounds(
    bench: HearingBench, head: HeadRecord, val: Sequence[JudgedClip], models: Sequence[M2SModel], progress: Progress
) -> None:
    """Floors that hear without a network, and ceilings that know the truth."""
    codebooks = _codebooks(models)
    ridges = ridge_hearers(build_head(head), bench.train, val, list(codebooks.values()), bench.scale)
    with progress("floors and ceilings", total=len(codebooks)) as advance:
        for (number, centroids), ridge in zip(codebooks.items(), ridges, strict=True):
            # Of another codebook than the first only what depends on it is new.
            first = number == next(iter(codebooks))
            without_phones = METRICS.keys() - OF_PHONES if first else OF_UNITS
            bench.listen(MEAN, number, mean_hearer(bench.train, centroids), centroids, only=without_phones)
            commonest = mean_hearer(bench.train, centroids, sounding=True)
            bench.listen(MEAN, number, commonest, centroids, only={"units-sounding"})
            bench.listen(RIDGE, number, ridge, centroids, only=without_phones)
            if first or bench.recogniser is None:
                bench.listen(TRUE, number, true_hearer(centroids), centroids, only={"cer", *OF_PHONES})
            if first:
                name = f"true mel, {GRIFFIN_LIM}"
                bench.listen_to_sound(name, number, true_hearer(centroids), griffin_lim_speaker)
            advance()


def _measure_models(bench: HearingBench, record: HeadRecord, models: Sequence[M2SModel], progress: Progress) -> None:
    """Each model; and the first of its kind without the voice, and shown the motion of other clips."""
    head = build_head(record).to(_device_of(models[0]))
    others = [clip.with_motion(motion_of_another(bench.test, k)) for k, clip in enumerate(bench.test)]
    first_of = {model.kind: model for model in reversed(models)}
    with progress("listening", total=len(models) + 2 * len(first_of)) as advance:
        for model in models:
            bench.listen(model.kind, model.seed, model_hearer(model.network, head), model.centroids)
            advance()
        # One seed tells what these bound.
        for kind, model in first_of.items():
            withheld = model_hearer(model.network, head, voice=False)
            bench.listen(f"{kind}, {VOICELESS}", model.seed, withheld, model.centroids, only=OF_MEL)
            advance()
            hear, without_phones = model_hearer(model.network, head), METRICS.keys() - OF_PHONES
            bench.listen(f"{kind}, {OTHERS}", model.seed, hear, model.centroids, shown=others, only=without_phones)
            advance()


def _vocoder_speaker(vocoder: Vocoder, network: MeshToSpeech) -> Speaker:
    def speak(clip: JudgedClip, heard: Estimate) -> Tensor:
        device = vocoder.mel_mean.device
        voice = describe_voice_of(network, clip.waveform.to(device))
        return vocoder.speak(heard.log_mel[None].to(device), heard.units[None].to(device), voice)[0].cpu()

    return speak


def _measure_vocoder(
    bench: HearingBench, record: HeadRecord, vocoder: Vocoder, model: M2SModel, progress: Progress
) -> None:
    """What the vocoder makes of the truth, and of what its model hears."""
    head = build_head(record).to(vocoder.mel_mean.device)
    speak = _vocoder_speaker(vocoder, model.network)
    with progress("speaking", total=2) as advance:
        for name, hear in (
            (f"{model.kind}, {VOCODER}", model_hearer(model.network, head)),
            (f"true mel and units, {VOCODER}", true_hearer(model.centroids)),
        ):
            bench.listen_to_sound(name, model.seed, hear, speak)
            advance()


def _draw_spectrograms(
    path: Path, clips: Sequence[JudgedClip], record: HeadRecord, model: M2SModel, vocoder: Vocoder | None
) -> None:
    """What is left of each clip when it is spoken again, and when it is heard in the face and spoken."""
    speak = griffin_lim_speaker if vocoder is None else _vocoder_speaker(vocoder, model.network)
    hearers = (true_hearer(model.centroids), model_hearer(model.network, build_head(record).to(_device_of(model))))
    rows = []
    for clip in clips:
        mels = [clip.log_mel, *(log_mel(speak(clip, hear(clip)).float()) for hear in hearers)]
        rows.append((clip.id, [mel.numpy() for mel in mels]))
    name = GRIFFIN_LIM if vocoder is None else VOCODER
    draw_spectrograms(path, ("speech", f"true mel through {name}", f"{model.kind} through {name}"), rows)


def _device_of(model: M2SModel) -> torch.device:
    return model.network.mel_mean.device


def _rows(table: HearingTable, models: Sequence[M2SModel]) -> list[ResultRow]:
    """Floors, models, ceilings, and then how far apart some of them are, paired over clips."""
    kinds = list(dict.fromkeys(model.kind for model in models))
    others = [f"{kind}, {what}" for what in (OTHERS, VOICELESS) for kind in kinds]
    ceilings = [f"true mel, {GRIFFIN_LIM}", f"true mel and units, {VOCODER}", TRUE]
    rows = table.rows([MEAN, RIDGE, *others, *kinds, *(f"{kind}, {VOCODER}" for kind in kinds), *ceilings])
    pairs = [(kind, RIDGE) for kind in kinds]
    pairs += [(first, second) for k, first in enumerate(kinds) for second in kinds[k + 1 :]]
    return rows + [row for pair in pairs for row in table.differences(*pair)]
