import importlib.util
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity
from torch import nn

from interneuron import nets
from interneuron.capture import activations, neuron_names, sites
from interneuron.causal import draws
from interneuron.errors import InputError
from interneuron.io import load_table, load_tensors, metadata, save_table, save_tensors
from interneuron.lesion import Bench, compare, lesion, random_sets
from interneuron.seeds import generator, torch_generator

SIZES = {"input": 5, "relu1": 6, "relu2": 7, "sigmoid": 4}


def make_network():
    network = nn.Sequential(
        OrderedDict(
            linear1=nn.Linear(5, 6),
            relu1=nn.ReLU(),
            linear2=nn.Linear(6, 7),
            relu2=nn.ReLU(),
            linear3=nn.Linear(7, 4),
            sigmoid=nn.Sigmoid(),
        )
    )
    nets.initialise(network, torch_generator(0, "test"))
    return network.requires_grad_(False)


def one_at_a_time(network, x, masks, values=None):
    """The oracle: one lesion, one input, one hook a layer."""
    out = []
    for number in range(len(next(iter(masks.values())))):
        rows = []
        for row in x:
            h = row.clone()
            for name, module in [("input", None), *network.named_children()]:
                h = h if module is None else module(h)
                if name in masks:
                    h = h.clone()
                    for unit in masks[name][number].nonzero():
                        h[unit] = 0 if values is None else values[name][unit]
            rows.append(h)
        out.append(torch.stack(rows))
    return torch.stack(out)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    lesions=st.integers(1, 6),
    inputs=st.integers(1, 5),
    rows=st.integers(1, 40),
    layers=st.sets(st.sampled_from(list(SIZES)), min_size=1),
    mean=st.booleans(),
)
def test_lesion_is_one_lesion_at_a_time(seed, lesions, inputs, rows, layers, mean):
    network, stream = make_network(), torch.Generator().manual_seed(seed)
    x = torch.randn(inputs, 5, generator=stream)
    masks = {name: torch.rand(lesions, SIZES[name], generator=stream) < 0.4 for name in SIZES if name in layers}
    values = {name: torch.randn(SIZES[name], generator=stream) for name in masks} if mean else None
    found = lesion(network, x, masks, values, rows=rows)
    assert found.shape == (lesions, inputs, 4)
    torch.testing.assert_close(found, one_at_a_time(network, x, masks, values))


def test_identities():
    network, x = make_network(), torch.randn(9, 5, generator=torch.Generator().manual_seed(3))
    plain = network(x)
    nothing = {name: torch.zeros(3, size, dtype=torch.bool) for name, size in SIZES.items()}
    torch.testing.assert_close(lesion(network, x, nothing), plain.expand(3, 9, 4))
    everything = {"relu2": torch.ones(1, 7, dtype=torch.bool)}
    torch.testing.assert_close(lesion(network, x, everything)[0], network.linear3.bias.sigmoid().expand(9, 4))
    assert not lesion(network, x, {"sigmoid": torch.ones(1, 4, dtype=torch.bool)}).any()
    no_input = lesion(network, x, {"input": torch.ones(1, 5, dtype=torch.bool)})[0]
    torch.testing.assert_close(no_input, network(torch.zeros(9, 5)))
    one = x[:1]
    own = {name: y[0] for name, y in activations(network, one, ["relu1", "relu2"]).items()}
    half = {name: torch.arange(SIZES[name])[None] % 2 == 0 for name in own}
    torch.testing.assert_close(lesion(network, one, half, own)[0], network(one))


def test_types_and_memory_order_are_kept():
    network = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.ReLU()).requires_grad_(False)
    x, mask = torch.tensor([[1, 4], [0, 2]]), torch.tensor([[True, False, False, True, True, False]])
    found = lesion(network, x, {"1": mask})
    assert found.dtype == torch.float32
    torch.testing.assert_close(found[0], network(x) * ~mask)
    conv = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()).to(memory_format=torch.channels_last).requires_grad_(False)
    image, mask = torch.randn(3, 1, 5, 5), torch.rand(2, 36) < 0.5
    found = lesion(conv, image.to(memory_format=torch.channels_last), {"0": mask})
    torch.testing.assert_close(found, torch.stack([(conv[0](image) * ~m.view(4, 3, 3)).relu() for m in mask]))


def test_a_reused_module_is_lesioned_in_one_call_and_a_residual_stays():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu, self.flatten = nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.Flatten()

        def forward(self, x):
            h = self.relu(self.conv(x))
            return self.flatten(self.relu(h - 0.1)) + x.flatten(1)

    torch.manual_seed(0)
    network, x = Residual().requires_grad_(False), torch.randn(4, 2, 3, 3)
    mask = torch.rand(5, 18) < 0.5
    h = network.conv(x).relu()
    for layer, expected in {
        "relu#0": [((h.flatten(1) * ~m).view_as(h) - 0.1).relu().flatten(1) + x.flatten(1) for m in mask],
        "relu#1": [(h - 0.1).relu().flatten(1) * ~m + x.flatten(1) for m in mask],
        "flatten": [(h - 0.1).relu().flatten(1) * ~m + x.flatten(1) for m in mask],
    }.items():
        torch.testing.assert_close(lesion(network, x, {layer: mask}), torch.stack(expected))
    with pytest.raises(InputError, match="relu#0, relu#1"):
        lesion(network, x, {"relu": mask})
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()) == 0


@pytest.mark.parametrize(
    ("masks", "values", "sentence"),
    [
        ({}, None, "no masks"),
        ({"relu1": torch.zeros(2, 5, dtype=torch.bool)}, None, r"\[2, 5\], and takes torch.bool \[2, 6\]"),
        ({"relu1": torch.zeros(2, 6)}, None, "is torch.float32"),
        ({"relu1": torch.zeros(0, 6, dtype=torch.bool)}, None, r"takes torch.bool \[lesions, 6\]"),
        (
            {"relu1": torch.zeros(2, 6, dtype=torch.bool), "relu2": torch.zeros(3, 7, dtype=torch.bool)},
            None,
            r"'relu2' is torch.bool \[3, 7\]",
        ),
        ({"relu1": torch.zeros(2, 6, dtype=torch.bool)}, {}, "values of layer 'relu1' are missing"),
        ({"relu1": torch.zeros(2, 6, dtype=torch.bool)}, {"relu1": torch.zeros(5)}, r"are \[5\]"),
        (
            {"relu8": torch.zeros(2, 6, dtype=torch.bool)},
            None,
            "no layer 'relu8' in the network, which has input, linear1",
        ),
    ],
)
def test_bad_lesions(masks, values, sentence):
    with pytest.raises(InputError, match=sentence):
        lesion(make_network(), torch.zeros(3, 5), masks, values)
    with pytest.raises(InputError, match="rows is 0"):
        lesion(make_network(), torch.zeros(3, 5), {"relu1": torch.zeros(1, 6, dtype=torch.bool)}, rows=0)


ALL = {name: np.ones(size, bool) for name, size in SIZES.items()}


@given(seed=st.integers(0, 1000), shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_random_sets_have_the_layer_mix(seed, shares):
    eligible = {name: np.random.default_rng(seed).random(size) < 0.7 for name, size in SIZES.items()}
    wanted = {name: int(share * eligible[name].sum()) for name, share in zip(("relu1", "relu2"), shares, strict=True)}
    sets = random_sets(wanted, eligible, 11, np.random.default_rng(seed))
    again = random_sets(wanted, eligible, 11, np.random.default_rng(seed))
    for name, count in wanted.items():
        assert sets[name].shape == (11, SIZES[name])
        assert sets[name].dtype == torch.bool
        assert (sets[name].sum(1) == count).all()
        assert not sets[name][:, ~eligible[name]].any()
        assert torch.equal(sets[name], again[name])


def test_random_sets_are_uniform():
    mask = random_sets({"relu1": 2}, ALL, 30000, np.random.default_rng(0))["relu1"]
    pairs = np.bincount([int(p @ (2 ** np.arange(6))) for p in mask.numpy()], minlength=64)
    pairs = pairs[pairs > 0]
    assert len(pairs) == 15
    assert ((pairs - 2000) ** 2 / 2000).sum() < 36.1  # chi-square of 14 degrees of freedom, p = 0.001


@pytest.mark.parametrize(
    ("counts", "samples", "sentence"),
    [({"relu1": 7}, 3, "7 neurons of layer 'relu1'"), ({"x": 1}, 3, "no layer 'x'"), ({"relu1": 1}, 0, "samples is 0")],
)
def test_bad_random_sets(counts, samples, sentence):
    with pytest.raises(InputError, match=sentence):
        random_sets(counts, ALL, samples, np.random.default_rng(0))


def test_compare():
    null = np.array([0.2, 0.4, 0.6, 0.8])
    mean, sd, z, p = compare(0.4, null)
    assert (mean, sd) == pytest.approx((0.5, np.std(null, ddof=1)))
    assert z == pytest.approx(-0.1 / sd)
    assert p == 3 / 5
    assert compare(0.1, null)[3] == 1 / 5
    assert compare(1.0, null)[3] == 1
    assert compare(0.5, np.full(9, 0.5))[1:] == (0, 0, 1)
    assert compare(0.4, np.full(9, 0.5))[1:] == (0, -np.inf, 1 / 10)
    with pytest.raises(InputError, match="two random sets"):
        compare(0.5, np.ones(1))


# The scripts, on a decoder of 3 latents, 2 classes and 3 x 3 pixels.

LATENTS, CLASSES, SIDE, ALPHAS, SEEDS = 3, 2, 3, [-1.0, 0.0, 2.0], [4, 5]
NEURONS = LATENTS + CLASSES + 6 + 8 + SIDE * SIDE


def script(name):
    path = Path(__file__).parents[1] / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"script_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def save_weights(path, architecture, arguments, seeds):
    states = []
    for seed in seeds:
        network = nets.build(architecture, arguments)
        nets.initialise(network, torch_generator(seed, "test"))
        states.append({name: 2 * p for name, p in network.state_dict().items()})
    stacked = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    save_tensors(path, stacked, {"architecture": architecture, "arguments": arguments, "seeds": seeds})


def job(output, settings, **inputs):
    return SimpleNamespace(
        input=SimpleNamespace(**inputs),
        output=output,
        params=SimpleNamespace(settings=settings),
        wildcards=[],
        threads=1,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights, training table and the activations that the script writes from them."""
    folder = tmp_path_factory.mktemp("lesion")
    arguments = {"pixels": SIDE * SIDE, "classes": CLASSES, "latents": LATENTS, "hidden": [8, 6]}
    save_weights(folder / "weights.safetensors", "conditional-vae", arguments, SEEDS)
    save_weights(folder / "judge.safetensors", "judge", {"height": SIDE, "width": SIDE, "classes": CLASSES}, [0])
    kl = {4: [0.2, 0.0, 1.5], 5: [0.05, 0.01, 0.0]}
    rows = [
        {"seed": seed, "iteration": 9, "split": split, "metric": f"kl:{latent}", "value": value + (split == "train")}
        for seed, values in kl.items()
        for latent, value in enumerate(values)
        for split in ("train", "test")
    ]
    rows.append({"seed": 4, "iteration": 9, "split": "test", "metric": "kl", "value": 9.0})
    save_table(folder / "training.parquet", pd.DataFrame(rows))
    script("activations").main(activations_job(folder))
    return folder


def activations_job(folder, **changed):
    settings = {"alphas": ALPHAS, "latents": "active", "active_above": 0.1, "digits": [1], "draws": 16}
    return job(
        [folder / "activations.safetensors"],
        settings | {"sampling": "sobol"} | changed,
        weights=folder / "weights.safetensors",
        training=folder / "training.parquet",
    )


def test_activations_script(folder):
    path = folder / "activations.safetensors"
    about, found = metadata(path), load_tensors(path)
    assert about == {
        "layers": [["input", 5], ["relu1", 6], ["relu2", 8], ["sigmoid", 9]],
        "alphas": ALPHAS,
        "digits": [1],
        "seeds": SEEDS,
        "latents": {"4": [2, 0], "5": [0]},
    }
    assert set(found) == {"seed4.digit1.z2", "seed4.digit1.z0", "seed5.digit1.z0"}
    weights = folder / "weights.safetensors"
    for name, y in found.items():
        assert (y.dtype, y.shape) == (np.float32, (3, 16, NEURONS))
        seed, latent = int(name[4]), int(name[-1])
        z = draws(16, LATENTS, seed, "activations", "sobol")
        for alpha, rows in zip(ALPHAS, y, strict=True):
            x = np.hstack([z, np.zeros((16, 1)), np.ones((16, 1))]).astype(np.float32)
            x[:, latent] = alpha
            np.testing.assert_array_equal(rows[:, :5], x)
            vae = nets.load(load_tensors(weights), metadata(weights), seed)
            pixels = vae.decode(torch.from_numpy(x[:, :3]), torch.from_numpy(x[:, 3:])).sigmoid()
            np.testing.assert_allclose(rows[:, -9:], pixels, rtol=1e-5, atol=1e-6)


def test_activations_script_refuses(folder, tmp_path):
    for changed, sentence in [({"digits": [2]}, "classes 0 to 1"), ({"latents": [0, 3]}, r"latents are \[3\]")]:
        refused = activations_job(folder, **changed)
        refused.output = [tmp_path / "refused.safetensors"]
        with pytest.raises(InputError, match=sentence):
            script("activations").main(refused)
        assert not refused.output[0].exists()
    chosen = activations_job(folder, latents=[0, 1])
    chosen.output = [tmp_path / "chosen.safetensors"]
    script("activations").main(chosen)
    assert metadata(chosen.output[0])["latents"] == {"4": [0, 1], "5": [0, 1]}


def synthetic_clusters(folder):
    """Three clusters and constants on activations; two clusters without inputs on effects; one unconverged."""
    about, stream, frames = metadata(folder / "activations.safetensors"), np.random.default_rng(0), []
    names = np.array(neuron_names(about["layers"]))
    for seed in SEEDS:
        for latent in about["latents"][str(seed)]:
            for alpha in ALPHAS:
                for reading, count, skipped in [("activation", 3, 0), ("A", 2, 5)]:
                    labels = stream.integers(-1, count, NEURONS - skipped)
                    # A effect cluster that misses every activation cluster: critical sets are empty there.
                    if alpha == 2.0 and reading == "A":
                        labels[:] = -1
                        labels[[2, 3]] = 0
                    if alpha == 2.0 and reading == "activation":
                        labels[[7, 8]] = -1
                    frames.append(
                        pd.DataFrame(
                            {
                                "seed": seed,
                                "digit": 1,
                                "latent": latent,
                                "alpha": alpha,
                                "reading": reading,
                                "draws": 16 if reading == "A" else 12,
                                "neuron": names[skipped:],
                                "cluster": labels,
                                "exemplar": False,
                                "converged": (seed, alpha, reading) != (5, 0.0, "A"),
                            }
                        )
                    )
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def lesioned(folder):
    table = synthetic_clusters(folder)
    save_table(folder / "clusters.parquet", table)
    first = run_lesion(folder, "first")
    second = run_lesion(folder, "second")
    return SimpleNamespace(folder=folder, clusters=table, first=first, second=second)


def run_lesion(folder, name, clusters="clusters.parquet"):
    output = SimpleNamespace(
        lesions=folder / f"{name}.lesions.parquet",
        null=folder / f"{name}.null.parquet",
        lesioned=folder / f"{name}.lesioned.safetensors",
    )
    settings = {"images": 40, "null_sets": 12, "null_images": 5, "fail_below": 0.5}
    inputs = {name: folder / f"{name}.safetensors" for name in ("weights", "judge", "activations")}
    script("lesion").main(job(output, settings, **inputs, clusters=folder / clusters))
    return output


def test_lesion_script_writes_the_same_bytes_twice(lesioned):
    for name in ("lesions", "null", "lesioned"):
        one, two = getattr(lesioned.first, name), getattr(lesioned.second, name)
        assert one.read_bytes() == two.read_bytes(), name


def test_lesion_script_columns(lesioned):
    frame, null = load_table(lesioned.first.lesions), load_table(lesioned.first.null)
    whole = [
        "seed",
        "digit",
        "latent",
        "draws",
        "cluster",
        "neurons",
        "hidden",
        "inputs",
        "pixels",
        "images",
        "taken_for",
    ]
    real = ["alpha", "accuracy", "mse", "ssim", "null_accuracy", "null_mean", "null_sd", "z", "p"]
    assert set(frame) == {*whole, *real, "reading", "set", "scope", "ablation", "converged"}
    assert all(frame[name].dtype == np.int64 for name in whole)
    assert all(frame[name].dtype == np.float64 for name in real)
    assert frame["converged"].dtype == bool
    assert frame["converged"].all()
    assert (frame["images"] == 42).all()
    assert list(null) == script("lesion").NULL
    assert (null["seed"].dtype, null["sample"].dtype, null["accuracy"].dtype) == (np.int64, np.int64, np.float64)


def expected_inputs(seed, latent, rows):
    z = draws(14, LATENTS, seed, "lesion", "independent")[:rows]
    parts = []
    for alpha in ALPHAS:
        x = np.hstack([z, np.zeros((rows, 1)), np.ones((rows, 1))]).astype(np.float32)
        x[:, latent] = alpha
        parts.append(torch.from_numpy(x))
    return torch.cat(parts)


def test_every_row_is_what_a_lesion_by_hand_gives(lesioned):
    frame, table = load_table(lesioned.first.lesions), lesioned.clusters
    about = metadata(lesioned.folder / "activations.safetensors")
    names = neuron_names(about["layers"])
    hidden = np.array([name.startswith("relu") for name in names])
    weights, judge = (lesioned.folder / f"{name}.safetensors" for name in ("weights", "judge"))
    judge = nets.load(load_tensors(judge), metadata(judge), 0)
    checked, critical = 0, 0
    key = ["seed", "digit", "latent", "alpha", "reading", "draws"]
    members = {
        where: rows.set_index("neuron")["cluster"].reindex(names, fill_value=-1).to_numpy()
        for where, rows in table.groupby(key)
    }
    important = {
        tuple(row[k] for k in key): members[tuple(row[k] for k in key)] == row["cluster"]
        for _, row in frame[frame["set"] == "important"].iterrows()
    }
    for _, row in frame.iterrows():
        where = tuple(row[k] for k in key)
        if row["set"] == "intact":
            mask = np.zeros(NEURONS, bool)
        elif row["set"] == "critical":
            mask = important[where] & important[(*where[:4], "activation", 12)]
            critical += mask.any()
        else:
            mask = members[where] == row["cluster"]
        if row["scope"] == "hidden":
            mask = mask & hidden
        assert row["neurons"] == mask.sum()
        assert (row["inputs"], row["pixels"]) == (mask[:5].sum(), mask[-9:].sum())
        decoder = nets.decoder_network(nets.load(load_tensors(weights), metadata(weights), row["seed"]))
        x = expected_inputs(row["seed"], row["latent"], 14)
        ends = np.cumsum([0, 5, 6, 8, 9])
        masks = {
            name: torch.from_numpy(mask[None, a:b])
            for (name, _), a, b in zip(about["layers"], ends, ends[1:], strict=False)
        }
        values = {name: y.mean(0) for name, y in activations(decoder, x, masks).items()}
        y = one_at_a_time(decoder, x, masks, values if row["ablation"] == "mean" else None)[0]
        seen, intact = judge(y).argmax(-1).numpy(), decoder(x)
        assert row["accuracy"] == (seen == 1).mean()
        assert row["taken_for"] == (0 if (seen != 1).any() else -1)
        assert row["mse"] == pytest.approx(float(((y - intact) ** 2).mean()), abs=1e-6)
        pairs = zip(intact.view(-1, 3, 3).numpy(), y.view(-1, 3, 3).numpy(), strict=True)
        similarity = np.mean([structural_similarity(a, b, data_range=1.0, win_size=3) for a, b in pairs])
        assert row["ssim"] == pytest.approx(similarity, abs=1e-4)
        checked += 1
    assert checked == len(frame) > 100
    assert critical > 4


def test_the_important_cluster_is_the_worst(lesioned):
    frame = load_table(lesioned.first.lesions)
    key = ["seed", "latent", "alpha", "reading", "draws"]
    clusters = frame[(frame["set"] == "cluster") & (frame["scope"] == "all")]
    important = frame[(frame["set"] == "important") & (frame["scope"] == "all") & (frame["ablation"] == "zero")]
    worst = clusters.sort_values(["accuracy", "mse"], ascending=[True, False]).groupby(key)["cluster"].first()
    assert len(worst) == len(important) == 17  # 3 latents x 3 alphas x 2 readings, less the unconverged
    pd.testing.assert_series_equal(worst, important.set_index(key)["cluster"].sort_index())


def test_sets_that_are_written(lesioned):
    frame = load_table(lesioned.first.lesions)
    assert (frame["set"] == "intact").sum() == 3
    unconverged = frame[(frame["seed"] == 5) & (frame["alpha"] == 0.0)]
    assert set(unconverged["reading"]) == {"activation"}
    assert "critical" not in set(unconverged["set"])
    repeated = frame[frame["set"].isin(["important", "critical"])]
    counts = repeated.groupby(["seed", "latent", "alpha", "reading", "set"]).size()
    assert (counts == 4).all()
    critical = frame[frame["set"] == "critical"]
    assert set(critical["reading"]) == {"A"}
    assert set(critical["draws"]) == {16}
    empty = critical[critical["alpha"] == 2.0]
    assert (len(empty), (empty["neurons"] == 0).all()) == (12, True)
    for _, row in empty.iterrows():
        intact = frame[(frame["set"] == "intact") & (frame["seed"] == row["seed"]) & (frame["latent"] == row["latent"])]
        assert row["accuracy"] == intact["accuracy"].iloc[0]
        assert row["mse"] == pytest.approx(0, abs=1e-12)
        assert row["ablation"] == "mean" or row["p"] == 1


def test_null_is_of_the_same_size_and_compared(lesioned):
    frame, null = load_table(lesioned.first.lesions), load_table(lesioned.first.null)
    compared = frame[
        frame["set"].isin(["important", "critical"]) & (frame["ablation"] == "zero") & (frame["neurons"] > 0)
    ]
    empty = frame["set"].isin(["important", "critical"]) & (frame["ablation"] == "zero") & (frame["neurons"] == 0)
    assert set(zip(frame[empty]["z"], frame[empty]["p"], strict=True)) <= {(0.0, 1.0)}
    assert frame.drop(compared.index)[~empty]["p"].isna().all()
    key = ["seed", "digit", "latent", "alpha", "reading", "draws", "set", "scope", "ablation"]
    groups = dict(list(null.groupby(key)))
    assert set(groups) == set(compared[key].itertuples(index=False, name=None))
    for _, row in compared.iterrows():
        some = groups[tuple(row[k] for k in key)]
        assert list(some["sample"]) == list(range(12))
        assert row["null_mean"] == pytest.approx(some["accuracy"].mean())
        assert row["null_sd"] == pytest.approx(some["accuracy"].std(ddof=1), abs=1e-12)
        assert row["p"] == pytest.approx((1 + (some["accuracy"] <= row["null_accuracy"] + 1e-12).sum()) / 13)
        assert 1 / 13 <= row["p"] <= 1
        assert set((some["accuracy"] * 15).round(6) % 1) == {0}
    assert null["accuracy"].nunique() > 3


def test_lesioned_pictures(lesioned):
    path = lesioned.first.lesioned
    found = load_tensors(path)
    assert set(found) == {f"digit1.alpha{i}.{reading}" for i in range(3) for reading in ("activation", "A")}
    assert metadata(path)["seed"] == 4
    assert metadata(path)["latent"] == 2
    weights = lesioned.folder / "weights.safetensors"
    decoder = nets.decoder_network(nets.load(load_tensors(weights), metadata(weights), 4))
    intact = decoder(expected_inputs(4, 2, 14)[::14])
    for pictures in found.values():
        assert pictures.dtype == np.uint8
        assert pictures.shape[1:] == (3, 9)
        np.testing.assert_array_equal(pictures[0], (255 * intact).round())
    labels = lesioned.clusters.query("seed == 4 and latent == 2 and alpha == 0 and reading == 'activation'")["cluster"]
    pictures = found["digit1.alpha1.activation"]
    assert len(pictures) == 4
    for cluster in range(3):
        lost = (labels == cluster).to_numpy()[-9:]
        assert lost.any()
        assert not pictures[1 + cluster][:, lost].any()


def test_lesion_script_names_a_neuron_that_is_not_there(lesioned):
    table = lesioned.clusters.replace({"neuron": {"relu1:0": "relu9:0"}})
    save_table(lesioned.folder / "unknown.parquet", table)
    with pytest.raises(InputError, match="neuron 'relu9:0', which the decoder of seed 4 lacks"):
        run_lesion(lesioned.folder, "unknown", "unknown.parquet")
    assert not list(lesioned.folder.glob("unknown.lesion*"))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), inputs=st.booleans())
def test_null_shared_between_scopes_is_that_of_each(seed, inputs):
    """The whole set and its hidden neurons, judged in one pass, against each one alone."""
    network = make_network()
    judge = nets.build("judge", {"height": 2, "width": 2, "classes": 3})
    nets.initialise(judge, torch_generator(seed, "judge"))
    x = torch.randn(20, 5, generator=torch.Generator().manual_seed(seed))
    layers = list(SIZES.items())
    mask = np.random.default_rng(seed).random(22) < 0.4
    mask[:5] &= inputs
    mask[-1] = True

    def bench():
        return Bench(network, judge, layers, x, x, 1, (2, 2), (seed, "null"))

    together = bench()
    every = np.ones(22, bool)
    whole, hidden = together.null(mask, every, 9), together.null(mask & together.hidden, every, 9)
    np.testing.assert_array_equal(hidden, bench().null(mask & together.hidden, every, 9))
    counts = dict(zip(SIZES, together._counts(mask), strict=True))
    sets = {}
    for layer, (name, count) in enumerate(counts.items()):
        stream = generator(seed, "null", layer, count)
        sets |= random_sets({name: count}, ALL, 9, stream)
    y = one_at_a_time(network, x, sets)
    np.testing.assert_array_equal(whole, (judge(y.flatten(0, 1)).argmax(-1).view(9, 20) == 1).double().mean(1))


def test_bench_refuses_images_of_another_size():
    with pytest.raises(InputError, match="4 pixels"):
        Bench(
            make_network(),
            nn.Identity(),
            list(SIZES.items()),
            torch.zeros(2, 5),
            torch.zeros(2, 5),
            1,
            (3, 3),
            (0, "null"),
        )


def test_layers_of_the_thesis_decoder():
    vae = nets.ConditionalVAE(784, 10)
    shapes = sites(nets.decoder_network(vae), torch.zeros(1, 20))
    assert {name: shapes[name] for name in ("relu1", "relu2", "relu3", "sigmoid")} == {
        "relu1": (128,),
        "relu2": (256,),
        "relu3": (512,),
        "sigmoid": (784,),
    }
