import torch
from torch.utils.data import DataLoader

from protoxai.data import training_transform
from protoxai.labels import labels_at
from protoxai.training.feeding.embedding_cache import CachedEmbeddings
from protoxai.training.feeding.loaders import training_loader
from tests.training.cases import Halves, toy_batches, toy_model


def test_embeddings_and_labels_on_their_grid() -> None:
    model = toy_model(grouped=True)
    batches = toy_batches(2)
    cache = CachedEmbeddings(model, DataLoader(batches, batch_size=None))
    assert len(cache) == 4
    model.eval()
    for number, item in enumerate(cache[i] for i in range(4)):
        batch, image = divmod(number, 2)
        with torch.no_grad():
            expected = model.embed(batches[batch]["image"])[image]
        torch.testing.assert_close(item["embedding"], expected)
        assert item["embedding"].shape == (2, 4, 4, 4)
        assert torch.equal(item["labels"], labels_at(batches[batch]["labels"], (4, 4))[image])


def test_the_model_is_left_as_it_is() -> None:
    model = toy_model().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cache = CachedEmbeddings(model, DataLoader(toy_batches(1), batch_size=None))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not cache[0]["embedding"].requires_grad


def test_input_scales_are_in_the_embedding() -> None:
    model = toy_model(input_scales=(0.5,)).eval()
    batch = toy_batches(1)[0]
    cache = CachedEmbeddings(model, DataLoader([batch], batch_size=None))
    with torch.no_grad():
        torch.testing.assert_close(cache[0]["embedding"], model(batch["image"]).embedding[0])


def test_views_of_a_data_set_become_batches_again() -> None:
    crop = training_transform((16, 24), mean=(0.5,) * 3, std=(0.5,) * 3)
    views = training_loader(Halves().with_transform(crop), 3, 2, seed=0)
    cache = CachedEmbeddings(toy_model(), views)
    assert len(cache) == 6
    batch = next(iter(training_loader(cache, 2, 3, seed=0)))
    assert batch["embedding"].shape == (3, 2, 4, 2, 3)
    assert batch["labels"].shape == (3, 2, 3)


def test_the_cache_lies_on_the_cpu(device: torch.device) -> None:
    model = toy_model().to(device)
    item = CachedEmbeddings(model, DataLoader(toy_batches(1), batch_size=None))[1]
    assert item["embedding"].device.type == item["labels"].device.type == "cpu"
