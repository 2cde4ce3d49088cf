"""ESPnet's own models run with the adapters, and train what the plain heads ship."""

from typing import Any

import pytest
import torch
from toolkits import imported, numbers
from torch import Tensor, nn

import scriptable

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.cuda.amp.autocast:FutureWarning")

PREDICTIONS = torch.tensor([[0.8, 0.2], [0.1, 0.9]])
COLUMNS = torch.tensor([[1, 0], [0, 1]])
MARGINS = ["AAMSoftmax", "Softmax", "ArcMarginProduct_intertopk_subcenter"]


def adapters() -> Any:
    imported("espnet2.spk.loss.abs_loss")
    return imported("scriptable.compat.espnet")


def encoder() -> nn.Module:
    """Frames as they come, which ESPnet's type checks take for an encoder."""
    base = imported("espnet2.asr.encoder.abs_encoder").AbsEncoder

    class AsTheyAre(base):
        def output_size(self) -> int:
            return 4

        def forward(self, xs: Tensor, lengths: Any = None, states: Any = None) -> Any:
            return xs if lengths is None else (xs, lengths, None)

    return AsTheyAre()


def speaker_model(loss: nn.Module) -> nn.Module:
    base = imported("espnet2.spk.pooling.abs_pooling").AbsPooling

    class Mean(base):
        def output_size(self) -> int:
            return 4

        def forward(self, x: Tensor, feat_lengths: Any = None) -> Tensor:
            return x.mean(1)

    make = imported("espnet2.spk.espnet_model").ESPnetSpeakerModel
    return make(None, None, None, encoder(), Mean(), None, loss)


def spoofing_model(losses: dict[str, nn.Module]) -> nn.Module:
    base = imported("espnet2.asvspoof.decoder.abs_decoder").AbsDecoder

    class First(base):
        def forward(self, encoded: Tensor, lengths: Tensor) -> Tensor:
            return encoded[:, 0]

    make = imported("espnet2.asvspoof.espnet_model").ESPnetASVSpoofModel
    return make(None, None, None, encoder(), None, First(), losses)


def spoofing_loss(losses: dict[str, nn.Module], frames: Tensor, label: Tensor) -> Tensor:
    lengths = torch.full((frames.shape[0],), frames.shape[1])
    loss, stats, _ = spoofing_model(losses)(frames, lengths, label)
    assert set(stats) == {"loss", "acc"}
    return loss


# Speakers


@pytest.mark.parametrize("name", MARGINS)
def test_the_speaker_model_trains_ours(name) -> None:
    head, plain = getattr(adapters(), name)(4, 7), getattr(scriptable, name)(4, 7)
    plain.load_state_dict(head.state_dict())
    frames, label = torch.randn(5, 6, 4), torch.randint(7, (5, 1))
    model = speaker_model(head)
    assert "loss.weight" in dict(model.named_parameters())
    loss, stats, weight = model(frames, spk_labels=label)
    expected, accuracy, classes = plain.loss_and_predictions(frames.mean(1), label)
    assert numbers(loss) == pytest.approx(numbers(expected), rel=1e-6)
    assert float(stats["accuracy"]) == float(accuracy)
    assert float(weight) == 5
    loss.backward()
    assert head.weight.grad.abs().sum() > 0
    # Without labels, as in inference.
    nothing, none, predicted = head(frames.mean(1))
    assert nothing is none is None
    assert torch.equal(predicted, classes)
    assert model(frames, extract_embd=True).shape == (5, 4)


@pytest.mark.parametrize("name", MARGINS)
def test_the_speaker_model_gives_the_numbers_of_its_own_losses(name) -> None:
    places = {"ArcMarginProduct_intertopk_subcenter": "aamsoftmax_subcenter_intertopk"}
    place = "espnet2.spk.loss." + places.get(name, name.lower())
    theirs, ours = getattr(imported(place), name)(4, 9), getattr(adapters(), name)(4, 9)
    if hasattr(theirs, "update"):
        theirs.update(0.2)
    ours.load_state_dict(theirs.state_dict())
    frames, label = torch.randn(5, 6, 4), torch.randint(9, (5, 1))
    results = [speaker_model(loss)(frames, spk_labels=label) for loss in (theirs, ours)]
    assert numbers(results[1][0]) == pytest.approx(numbers(results[0][0]), rel=1e-5)
    assert float(results[1][1]["accuracy"]) == float(results[0][1]["accuracy"])


def test_a_batch_of_one_speaker() -> None:
    """The model squeezes its labels to a scalar, at which ESPnet's own losses stumble."""
    frames, label = torch.randn(1, 6, 4), torch.tensor([[2]])
    theirs = imported("espnet2.spk.loss.softmax").Softmax(4, 7)
    with pytest.raises((RuntimeError, ValueError, IndexError)):
        speaker_model(theirs)(frames, spk_labels=label)
    for head in (adapters().Softmax(4, 7), adapters().SpeakerLoss(scriptable.SphereFace2(4, 7))):
        assert speaker_model(head)(frames, spk_labels=label)[0].isfinite()


def test_any_other_head_in_the_speaker_model() -> None:
    plain = scriptable.SphereFace2(4, 7)
    frames, label = torch.randn(5, 6, 4), torch.randint(7, (5,))
    loss, stats, _ = speaker_model(adapters().SpeakerLoss(plain))(frames, spk_labels=label)
    assert numbers(loss) == numbers(plain(frames.mean(1), label))
    hits = (plain.score(frames.mean(1)).argmax(1) == label).float().mean()
    assert float(stats["accuracy"]) == float(hits)
    for wrong in (nn.Linear(4, 7), scriptable.ASVSpoofOCSoftmaxLoss(enc_dim=4)):
        with pytest.raises(ValueError, match=r"^head: expected a head with score and forward"):
            adapters().SpeakerLoss(wrong)


@pytest.mark.parametrize("name", MARGINS)
def test_the_plain_head_is_refused_by_the_speaker_model(name) -> None:
    typeguard = imported("typeguard")
    with pytest.raises(typeguard.TypeCheckError, match="AbsLoss"):
        speaker_model(getattr(scriptable, name)(4, 7))


# Spoofing


def test_the_weight_counts_once() -> None:
    frames = PREDICTIONS.unsqueeze(1)
    ours = adapters().ASVSpoofBinaryLoss(weight=0.5)
    loss = spoofing_loss({"binary_loss": ours}, frames, COLUMNS)
    assert float(loss) == pytest.approx(0.2818, abs=5e-5)
    assert float(scriptable.ASVSpoofBinaryLoss(weight=0.5)(PREDICTIONS, COLUMNS)) == float(loss)
    theirs = imported("espnet2.asvspoof.loss.binary_loss").ASVSpoofBinaryLoss(weight=0.5)
    assert float(spoofing_loss({"binary_loss": theirs}, frames, COLUMNS)) == pytest.approx(
        float(loss), rel=1e-6
    )
    # What the plain head's loss became there.
    twice = scriptable.ASVSpoofBinaryLoss(weight=0.5)(PREDICTIONS, COLUMNS) * 0.5
    assert float(twice) == pytest.approx(0.1409, abs=5e-5)


def test_one_column_of_predictions() -> None:
    frames, label = torch.tensor([[[0.8]], [[-0.3]], [[2.0]]]), torch.tensor([[1], [0], [0]])
    theirs = imported("espnet2.asvspoof.loss.binary_loss").ASVSpoofBinaryLoss(weight=2.0)
    results = []
    for loss in (theirs, adapters().ASVSpoofBinaryLoss(weight=2.0)):
        results.append(float(spoofing_loss({"binary_loss": loss}, frames, label)))
    assert results[1] == pytest.approx(results[0], rel=1e-6)
    plain = scriptable.ASVSpoofBinaryLoss(weight=2.0)
    assert float(plain(frames[:, 0], label)) == pytest.approx(results[0], rel=1e-6)
    assert torch.equal(plain.bonafide_score(frames[:, 0]), frames[:, 0, 0])


@pytest.mark.parametrize("name", ["ASVSpoofAMSoftmaxLoss", "ASVSpoofOCSoftmaxLoss"])
def test_the_spoofing_model_takes_the_heads_over_frames(name) -> None:
    head = getattr(adapters(), name)(weight=0.5, enc_dim=4)
    plain = getattr(scriptable, name)(weight=0.5, enc_dim=4)
    plain.load_state_dict(head.state_dict())
    frames, label = torch.randn(6, 3, 4), torch.tensor([[0], [1], [1], [0], [1], [0]])
    losses = {"am_softmax_loss": head}
    if "OC" in name:
        losses["oc_softmax_loss"] = head
    loss = spoofing_loss(losses, frames, label)
    assert numbers(loss) == pytest.approx(numbers(plain(label, frames)), rel=1e-6)
    assert numbers(head.score(frames)) == numbers(plain.score(frames))
    loss.backward()
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())
    # The model keeps its losses in a plain dict: whoever builds it registers them.
    assert list(spoofing_model(losses).parameters()) == []


@pytest.mark.parametrize("name", ["ASVSpoofBinaryLoss", "ASVSpoofAMSoftmaxLoss"])
def test_the_plain_head_is_refused_by_the_spoofing_model(name) -> None:
    typeguard = imported("typeguard")
    with pytest.raises(typeguard.TypeCheckError, match="AbsASVSpoofLoss"):
        spoofing_model({"binary_loss": getattr(scriptable, name)()})
