"""The images that options name."""

from dcgan.serving.cli.selection import SeedSelection
from dcgan.serving.cli.selection_options import SelectionOptions, build_selection
from dcgan.v1 import generator_pb2 as pb


class Client:
    """A client of a server with one model that has names for its classes."""

    def model(self, name, version):
        return pb.Model(name="pets", version=4, classes=3, class_names=["cat", "Dog", "newt"])


def test_a_label_can_be_given_by_name():
    options = SelectionOptions(
        seed=7,
        n=2,
        offset=5,
        index=None,
        to_seed=None,
        to_index=0,
        steps=24,
        favourites=None,
        model="",
        model_version=None,
        label="dog",
        truncation=None,
    )
    selection = build_selection(Client(), options)

    assert isinstance(selection, SeedSelection)
    (part,) = selection.parts
    assert (part.label, part.first, part.n) == (1, 5, 2)
    assert (part.model.name, part.model.version) == ("pets", 4)
    assert selection.captions() == ["5", "6"]
