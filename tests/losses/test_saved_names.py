"""Programs that were saved when the library had other files still load: their types keep a name."""

import io
import zipfile

import pytest
import torch
from torch import Tensor, nn

import scriptable

# As files out there say it. The types have moved since, and may move again; these must not.
NAMES = {
    scriptable.AutoencoderOutput: "scriptable.autoencoder.AutoencoderOutput",
    scriptable.VariationalAutoencoderOutput: "scriptable.autoencoder.VariationalAutoencoderOutput",
    scriptable.AutoencoderLossDetails: "scriptable.autoencoder.AutoencoderLossDetails",
    scriptable.VariationalAutoencoderLossDetails: (
        "scriptable.autoencoder.VariationalAutoencoderLossDetails"
    ),
}


class Passes(nn.Module):
    """Takes a named tuple, and returns another of its kind."""

    def forward(self, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return type(given)(*(x + 1 for x in given))


@pytest.mark.parametrize("kind", NAMES, ids=lambda kind: kind.__name__)
def test_a_program_saved_before_the_types_moved_loads(
    kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = kind(*(torch.full((2,), float(i)) for i in range(len(kind._fields))))
    program, file = torch.export.export(Passes(), (given,)), io.BytesIO()
    with monkeypatch.context() as then:
        # The example inputs are pickled with the place of their type.
        then.setattr(kind, "__module__", "scriptable.autoencoder")
        torch.export.save(program, file)
    with zipfile.ZipFile(file) as archive:
        (graph,) = [n for n in archive.namelist() if n.endswith("models/model.json")]
        assert f'\\"{NAMES[kind]}\\"'.encode() in archive.read(graph)
    file.seek(0)
    loaded = torch.export.load(file)
    assert type(loaded.example_inputs[0][0]) is kind
    # torch writes guards that do not parse where one field's name begins another's.
    result = loaded.module(check_guards=False)(given)
    assert type(result) is kind
    assert all(torch.equal(x, y + 1) for x, y in zip(result, given, strict=True))
