"""Imports published checkpoints: the user's files in, an artifact of this toolkit out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from stages.artifacts.checkpoint import write_checkpoint
from stages.artifacts.clips import open_clips
from stages.artifacts.files import check_output
from stages.artifacts.head_record import HeadRecord
from stages.audio.pretrained import PretrainedSpeech, load_pretrained, num_layers_of
from stages.corpora.biwi import TRAIN_SUBJECTS as BIWI_SUBJECTS
from stages.corpora.vocaset import TRAIN_SUBJECTS as VOCASET_SUBJECTS
from stages.models.animator import Animator
from stages.models.animators import checkpoint_of
from stages.models.auto_avsr_import import convert_auto_avsr
from stages.models.codetalker_import import convert_codetalker, with_autoencoder
from stages.models.faceformer_import import convert_faceformer
from stages.models.lip_reader import checkpoint_of as checkpoint_of_reader
from stages.models.published_weights import read_published_weights
from stages.models.word_pieces import read_word_pieces
from stages.runtime.errors import ThunderError
from stages.runtime.provenance import Provenance, hash_inputs


@dataclass(frozen=True)
class ImportSummary:
    """What was imported: `features` are the shapes of the head that its motion plays on."""

    output: Path
    parameters: int
    vertices: int
    features: int
    fps: float
    subjects: tuple[str, ...]


@dataclass(frozen=True)
class ReaderImportSummary:
    """Which lip reader was imported: `streams` are what it reads, `pieces` the word pieces that it writes."""

    output: Path
    parameters: int
    streams: str
    pieces: int


def import_auto_avsr(
    weights: Path, output: Path, *, vocabulary: Path, units: Path | None = None, force: bool = False
) -> ReaderImportSummary:
    """Turns a published Auto-AVSR checkpoint, of pictures, of sound or of both, into a `thunder.lipreader`.

    Args:
        vocabulary: the SentencePiece model that it was trained with, `unigram5000.model`.
        units: its numbered pieces; `unigram5000_units.txt` beside it where None.

    Raises:
        ThunderError: files that do not fit each other; an output that exists.
    """
    units = vocabulary.with_name(f"{vocabulary.stem}_units.txt") if units is None else units
    check_output(output, force=force, inputs=[weights, vocabulary, units])
    pieces = read_word_pieces(vocabulary, units)
    model = convert_auto_avsr(read_published_weights(weights), pieces, weights)
    checkpoint = checkpoint_of_reader(model, dict(model.named_parameters()), {})
    hashes = hash_inputs(weights=weights, vocabulary=vocabulary, units=units)
    write_checkpoint(output, "thunder.lipreader", checkpoint, Provenance(0, {}, hashes), force=force)
    parameters = sum(p.numel() for p in model.parameters())
    return ReaderImportSummary(output, parameters, model.config.streams, len(pieces.units))


def import_faceformer(
    weights: Path, output: Path, *, dataset: Path, speech_encoder: Path, force: bool = False
) -> ImportSummary:
    """Turns a published FaceFormer checkpoint into a `thunder.animator`.

    Args:
        weights: `vocaset.pth`, `biwi.pth`, or one that the released code trained on these corpora.
        dataset: of that corpus, for faces, regions and landmarks.
        speech_encoder: the folder of the wav2vec 2.0 that it was trained with; `sample` asks for it again.

    Raises:
        ThunderError: files that do not fit each other; an output that exists.
    """
    check_output(output, force=force, inputs=[weights, dataset])
    published = read_published_weights(weights)
    return _import(convert_faceformer, published, weights, output, dataset, speech_encoder, hash_inputs(), force)


def import_codetalker(
    weights: Path,
    output: Path,
    *,
    dataset: Path,
    speech_encoder: Path,
    autoencoder: Path | None = None,
    force: bool = False,
) -> ImportSummary:
    """Turns a published CodeTalker checkpoint into a `thunder.animator`.

    Args:
        weights: `vocaset_stage2.pth.tar`, `biwi_stage2.pth.tar`, or one that the released code trained on these corpora.
        autoencoder: the first stage's file, where `weights` does not hold it too.
        dataset, speech_encoder: as of `import_faceformer`.

    Raises:
        ThunderError: files that do not fit each other; an output that exists.
    """
    check_output(output, force=force, inputs=[weights, dataset, autoencoder])
    first = None if autoencoder is None else read_published_weights(autoencoder)
    published = with_autoencoder(read_published_weights(weights), first, weights)
    hashes = hash_inputs(autoencoder=autoencoder)
    return _import(convert_codetalker, published, weights, output, dataset, speech_encoder, hashes, force)


def _import(
    convert: Callable[
        [dict[str, Tensor], HeadRecord, PretrainedSpeech, dict[str, tuple[str, ...]], Path],
        tuple[Animator, HeadRecord],
    ],
    published: dict[str, Tensor],
    weights: Path,
    output: Path,
    dataset: Path,
    speech_encoder: Path,
    hashes: dict[str, str],
    force: bool,
) -> ImportSummary:
    """Converts named tensors read from `weights`, and writes what becomes of them."""
    with open_clips(dataset, "thunder.dataset") as file:
        surface = file.head
    network = load_pretrained(
        speech_encoder, layer=num_layers_of(speech_encoder, option="--speech-encoder"), option="--speech-encoder"
    )
    if network.kind != "wav2vec2":
        raise ThunderError(f"{speech_encoder}: the published animators hear by wav2vec 2.0, found {network.kind}")
    subjects = {"vocaset": VOCASET_SUBJECTS, "biwi": BIWI_SUBJECTS}
    model, head = convert(published, surface, network, subjects, weights)
    hashes |= hash_inputs(weights=weights, dataset=dataset) | {"speech_encoder": network.identity}
    checkpoint = checkpoint_of(model, dict(model.named_parameters()), head, {})
    write_checkpoint(output, "thunder.animator", checkpoint, Provenance(0, {}, hashes), force=force)
    config = model.config
    return ImportSummary(
        output,
        sum(p.numel() for p in model.parameters()),
        len(head.template),
        len(head.features),
        config.fps,
        config.subjects,
    )
