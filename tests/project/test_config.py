"""Heads from mappings: the seed's form, DeepFense's flat form, errors by path, one's own heads."""

from pathlib import Path
from typing import Any, Literal, Optional

import pytest
import torch
import yaml
from toolkits import imported
from torch import Tensor, nn

import scriptable
from scriptable import ConfigError, MultiLoss, build_loss, register_loss
from scriptable.config import losses, registered_losses

SEED = """
loss:
  type: {type}
  args:
    embedding_dim: 192
{rest}
"""
PRINTED = [
    ("AMSoftmax", "    n_classes: 2\n    m: 0.3\n    s: 30.0", {"m": 0.3, "s": 30.0}),
    ("ASoftmax", "    m: 4", {"m": 4, "gamma": 0.5}),
    ("OCSoftmax", "    m_real: 0.5\n    m_fake: 0.2", {"m_real": 0.5, "m_fake": 0.2}),
    ("CrossEntropy", "    n_classes: 2", {"weight": 1.0}),
]
FLAT = """
model:
  type: "StandardDetector"
  loss:
    - type: "CrossEntropy"
      weight: 0.5
      embedding_dim: 8
      n_classes: 2
      class_weights: [0.1, 0.9]
    - type: "AMSoftmax"
      weight: 0.25
      embedding_dim: 8
      n_classes: 2
      s: 30.0
      m: 0.4
training: {trainer: "StandardTrainer"}
"""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scriptable.config._REGISTERED", {})


@pytest.mark.parametrize(("name", "rest", "values"), PRINTED, ids=[p[0] for p in PRINTED])
def test_the_seed_works_as_printed(name: str, rest: str, values: dict[str, float]) -> None:
    document = yaml.safe_load(SEED.format(type=name, rest=rest))
    for config in (document, document["loss"]):
        head = build_loss(config)
        assert type(head) is getattr(scriptable, name)
        assert head.embedding_dim == 192
        assert {key: getattr(head, key) for key in values} == values


def test_the_flat_form_is_a_sum_that_applies_each_weight_once() -> None:
    document = yaml.safe_load(FLAT)
    head = build_loss(document)
    assert isinstance(head, MultiLoss)
    assert head.names == ["CrossEntropy", "AMSoftmax"]
    embeddings, labels = torch.randn(6, 8), torch.tensor([0, 1, 1, 0, 1, 0])
    alone = []
    for entry, part in zip(document["model"]["loss"], head.losses, strict=True):
        plain = build_loss({**entry, "weight": 1.0})
        plain.load_state_dict(part.state_dict())
        alone.append(entry["weight"] * plain(embeddings, labels))
    torch.testing.assert_close(head.parts(embeddings, labels), torch.stack(alone))
    torch.testing.assert_close(head(embeddings, labels), sum(alone))
    assert torch.equal(head.score(embeddings), head.losses[0].score(embeddings))


def test_a_weight_that_the_head_does_not_take_goes_to_the_sum() -> None:
    margin = {"type": "AAMSoftmax", "nout": 4, "nclasses": 3, "weight": 0.25}
    for config in (margin, [margin], [margin, {"type": "Softmax", "nout": 4, "nclasses": 3}]):
        head = build_loss(config)
        assert isinstance(head, MultiLoss)
        assert head.weights[0] == 0.25
        embeddings, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])
        part = head.losses[0](embeddings, labels)
        torch.testing.assert_close(head.parts(embeddings, labels)[0], 0.25 * part)


def test_deepfense_checkpoints_of_several_losses_fit() -> None:
    head = build_loss(yaml.safe_load(FLAT))
    assert set(head.state_dict()) >= {"losses.0.fc.weight", "losses.1.mapper.weight"}


def test_deepfense_argument_names_of_oc_softmax_are_taken() -> None:
    config = {"type": "OCSoftmax", "embedding_dim": 4, "w_posi": 0.9, "w_nega": 0.1}
    head = build_loss(config)
    assert (head.m_real, head.m_fake) == (0.9, 0.1)
    assert config["w_posi"] == 0.9, "the mapping is left as it was"


def test_every_configuration_of_deepfense_builds() -> None:
    folder = Path(str(imported("deepfense").__file__)).parent / "config"
    documents = [yaml.safe_load(path.read_text()) for path in sorted(folder.rglob("*.yaml"))]
    assert len(documents) >= 8
    for document in documents:
        entries = document["model"]["loss"]
        head = build_loss(document)
        heads = list(head.losses) if isinstance(head, MultiLoss) else [head]
        assert [type(part).__name__ for part in heads] == [entry["type"] for entry in entries]
        assert [part.weight for part in heads] == [entry.get("weight", 1.0) for entry in entries]


def test_a_sum_equals_deepfense_detector_from_its_own_checkpoint() -> None:
    imported("deepfense.models.losses")
    build_theirs = imported("deepfense.utils.registry").build_loss
    entries = yaml.safe_load(FLAT)["model"]["loss"]
    entries[1]["class_weights"] = [0.3, 0.7]
    theirs = nn.ModuleDict({"losses": nn.ModuleList([build_theirs(e["type"], e) for e in entries])})
    head = build_loss(entries)
    head.load_state_dict(theirs.state_dict())
    embeddings, labels = torch.randn(6, 8), torch.tensor([0, 1, 1, 0, 1, 0])
    parts = [
        entry["weight"] * loss(embeddings, labels)
        for entry, loss in zip(entries, theirs["losses"], strict=True)
    ]
    torch.testing.assert_close(head.parts(embeddings, labels), torch.stack(parts))


def test_one_entry_in_a_list_is_the_head_itself() -> None:
    assert type(build_loss([{"type": "OCSoftmax", "embedding_dim": 4}])) is scriptable.OCSoftmax


ARGUMENTS: dict[str, dict[str, Any]] = {
    "AAMSoftmax": {"nout": 4, "nclasses": 3},
    "AMSoftmax": {"embedding_dim": 4},
    "ASoftmax": {"embedding_dim": 4},
    "ArcMarginProduct_intertopk_subcenter": {"nout": 4, "nclasses": 3},
    "BCELoss": {"pos_weight": [2.0]},
    "CTCLoss": {"blank_index": 0},
    "CTCLossKD": {"blank_index": 0},
    "ContrastiveLoss": {"logit_temp": 0.1},
    "CrossEntropy": {"embedding_dim": 4},
    "Laplacian": {"kernel_size": 3, "dtype": "float64"},
    "LogSoftmaxWrapper": {"loss_fn": {"type": "AdditiveAngularMargin", "margin": 0.2}},
    "MaskedLoss": {"loss_fn": {"type": "MSELoss", "reduction": "none"}},
    "MultiLoss": {"losses": [{"type": "OCSoftmax", "embedding_dim": 4}], "score_from": 0},
    "NLLLoss": {"weight": [1, 2.0]},
    "OCSoftmax": {"embedding_dim": 4},
    "P2SGrad": {"in_dim": 4},
    "PitWrapper": {"base_loss": {"type": "MSELoss", "reduction": "none"}},
    "Softmax": {"nout": 4, "nclasses": 3},
    "SphereFace2": {"embedding_dim": 4, "n_classes": 3},
    "TransducerLoss": {"blank_index": 0},
}


def test_every_public_loss_is_buildable_by_name(registry: None) -> None:
    needs_processes = {"ShardedArcMarginProduct"}
    modules = {
        name
        for name in scriptable.__all__
        if isinstance(getattr(scriptable, name), type)
        and issubclass(getattr(scriptable, name), nn.Module)
    }
    others = modules - losses().keys()
    assert {"LFCC", "LightCNN", "ScorePipeline", "CosineScore"} <= others
    assert all(not hasattr(getattr(scriptable, name), "score") for name in others)
    assert ARGUMENTS.keys() <= losses().keys()
    for name in losses().keys() - needs_processes:
        built = build_loss({"type": name, "args": ARGUMENTS.get(name)})
        assert type(built) is getattr(scriptable, name)
        assert type(build_loss({"type": name, **ARGUMENTS.get(name, {})})) is type(built)


WRONG = [
    ({"type": "AMSoftmx"}, "loss.type: no loss is called AMSoftmx; did you mean 'AMSoftmax'?"),
    ({"type": "oc_softmax"}, "loss.type: no loss is called oc_softmax; did you mean 'OCSoftmax'?"),
    ({"type": ["AMSoftmax"]}, "loss.type: expected a name, got list ['AMSoftmax']"),
    ({"args": {}}, "loss.type: expected a name, got nothing"),
    ({}, "loss.type: expected a name, got nothing"),
    ([], "loss: expected at least one loss, got an empty list"),
    ([3], "loss[0]: expected a mapping with the key type, got 3"),
    ("AMSoftmax", "loss: expected a mapping with the key type, got the string 'AMSoftmax'"),
    (None, "loss: expected a mapping with the key type, got nothing"),
    ({"loss": None}, "loss: expected a mapping with the key type, got nothing"),
    (
        [{"type": "OCSoftmax", "embedding_dim": 4}, {"type": "AMSoftmax", "margn": 1}],
        "loss[1].margn: unknown argument of AMSoftmax; did you mean 'm'?",
    ),
    (
        {"type": "OCSoftmax", "args": {"embedding_dim": 4, "m_reel": 1}},
        "loss.args.m_reel: unknown argument of OCSoftmax; did you mean 'm_real'?",
    ),
    ({"type": "AMSoftmax"}, "loss.embedding_dim: missing argument of AMSoftmax"),
    ({"type": "AMSoftmax", "args": None}, "loss.args.embedding_dim: missing argument of AMSoftmax"),
    ({"type": "AMSoftmax", "args": [1]}, "loss.args: expected a mapping, got list [1]"),
    (
        {"type": "AMSoftmax", "embedding_dim": 4.0},
        "loss.embedding_dim: expected a whole number, got 4.0",
    ),
    (
        {"type": "AMSoftmax", "embedding_dim": True},
        "loss.embedding_dim: expected a whole number, got true",
    ),
    (
        {"type": "AMSoftmax", "embedding_dim": 4, "m": "big"},
        "loss.m: expected a number, got the string 'big'",
    ),
    (
        {"type": "AMSoftmax", "embedding_dim": 4, "class_weights": [1.0, "x"]},
        "loss.class_weights[1]: expected a number, got the string 'x'",
    ),
    (
        {"type": "AMSoftmax", "embedding_dim": 4, "class_weights": "x"},
        "loss.class_weights: expected a list or null, got the string 'x'",
    ),
    ({"type": "AMSoftmax", "embedding_dim": 4, "s": -1}, "loss.s: expected a value above 0"),
    ({"type": "AMSoftmax", "embedding_dim": -4}, "loss.embedding_dim: expected a value above 0"),
    ({"type": "AMSoftmax", "embedding_dim": None}, "loss.embedding_dim: expected a whole number"),
    (
        {"type": "AAMSoftmax", "nout": 4, "nclasses": 2, "easy_margin": 1},
        "loss.easy_margin: expected true or false, got 1",
    ),
    (
        {"type": "AMSoftmax", "weight": "x", "args": {"embedding_dim": 4}},
        "loss.weight: expected a number, got the string 'x'",
    ),
    (
        {"type": "AMSoftmax", "m": 0.2, "args": {"embedding_dim": 4}},
        "loss.m: is outside args; move it into args",
    ),
    (
        {"type": "AMSoftmax", "weight": 1, "args": {"embedding_dim": 4, "weight": 1}},
        "loss.weight: is given both inside and outside args",
    ),
    (
        {"type": "PitWrapper", "args": {"base_loss": {"type": "MSELos"}}},
        "loss.args.base_loss.type: no loss is called MSELos; did you mean 'MSELoss'?",
    ),
    ({"type": "PitWrapper", "base_loss": 3}, "loss.base_loss: expected a loss, got 3"),
    ({"type": "Laplacian", "kernel_size": 3, "dtype": "float"}, ""),
    ({"type": "Laplacian", "kernel_size": 3, "dtype": "x"}, "loss.dtype: expected dtype, got"),
    (
        [{"type": "MSELoss"}, {"type": "OCSoftmax", "embedding_dim": 4}],
        "loss[0]: the first loss scores: score_from: expected a head with a method score, "
        "got MSELoss",
    ),
    (
        {"model": {"loss": [{"type": "OCSoftmax", "embeding_dim": 4}]}},
        "model.loss[0].embeding_dim: unknown argument of OCSoftmax; did you mean 'embedding_dim'?",
    ),
    ({"type": "OCSoftmax", "embedding_dim": 4, "w_posi": "x"}, "loss.w_posi: expected a number"),
    (
        {"type": "OCSoftmax", "embedding_dim": 4, "w_nega": 0.2, "m_fake": 0.2},
        "loss.w_nega: means the same as m_fake; give only one",
    ),
    ({"type": "ClassificationError", "allowed_len_diff": 3, "": 1}, "loss.: unknown argument"),
    ({"type": "AMSoftmax", 7: 1}, "loss.7: unknown argument of AMSoftmax"),
]


@pytest.mark.parametrize(("config", "message"), WRONG, ids=[str(c)[:60] for c, _ in WRONG])
def test_errors_name_the_path_of_the_key(config: Any, message: str) -> None:
    if not message:
        build_loss(config)
        return
    with pytest.raises(ConfigError) as caught:
        build_loss(config)
    assert str(caught.value).startswith(message), str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_keys_of_an_error_lead_to_the_value() -> None:
    config = [{"type": "OCSoftmax", "args": {"embedding_dim": 4, "alpha": "x"}}]
    with pytest.raises(ConfigError) as caught:
        build_loss(config)
    assert caught.value.keys == ("loss", 0, "args", "alpha")


def test_integers_stand_for_floats() -> None:
    assert build_loss({"type": "AMSoftmax", "embedding_dim": 4, "m": 1}).m == 1.0


class Distance(nn.Module):
    def __init__(
        self, embedding_dim: int, mode: Literal["a", "b"] = "a", scale: Optional[float] = None
    ) -> None:
        super().__init__()
        self.mode = mode
        self.centre = nn.Parameter(torch.zeros(embedding_dim))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return -(labels * self.score(embeddings)).mean()

    @torch.jit.export
    def score(self, embeddings: Tensor) -> Tensor:
        return -(embeddings - self.centre).square().sum(1)


def test_a_registered_head_is_built_by_its_name(registry: None) -> None:
    assert register_loss("Distance")(Distance) is Distance
    head = build_loss({"type": "Distance", "embedding_dim": 4, "mode": "b"})
    assert type(head) is Distance and head.mode == "b"
    assert registered_losses() == {"Distance": Distance}
    with pytest.raises(ConfigError, match=r"loss\.mode: expected one of a, b, got the string 'c'"):
        build_loss({"type": "Distance", "embedding_dim": 4, "mode": "c"})
    with pytest.raises(ConfigError, match="did you mean 'Distance'"):
        build_loss({"type": "Distanz", "embedding_dim": 4})


def test_a_name_is_taken_once_and_a_cell_runs_again(registry: None) -> None:
    register_loss("Distance")(Distance)
    register_loss("Distance")(Distance)
    with pytest.raises(ValueError, match=r"the name Distance is taken by .*Distance"):
        register_loss("Distance")(scriptable.OCSoftmax)
    with pytest.raises(ValueError, match=r"the name AMSoftmax is taken by scriptable\."):
        register_loss("AMSoftmax")(Distance)
    with pytest.raises(ValueError, match=r"expected a torch\.nn\.Module class, got"):
        register_loss("Function")(torch.relu)  # type: ignore[type-var]


def test_a_sum_refuses_what_cannot_work() -> None:
    head = scriptable.OCSoftmax(4)
    with pytest.raises(ValueError, match="losses: expected at least one head, got none"):
        MultiLoss([])
    with pytest.raises(ValueError, match="weights: expected 1 numbers, got 2"):
        MultiLoss([head], [1.0, 2.0])
    with pytest.raises(ValueError, match="score_from: expected an index from 0 to 0, got 1"):
        MultiLoss([head], score_from=1)
