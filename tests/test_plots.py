import re
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from PIL import Image
from synthetic import FIGURES, Sizes, draw, write

from interneuron import io, thesis_plots
from interneuron.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
ALPHAS = [-1.0, 0.0, 1.0]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    return write(tmp_path_factory.mktemp("synthetic"))


def table(paths: SimpleNamespace, name: str, latent: int = 1) -> pd.DataFrame:
    frame = pd.concat([io.load_table(path) for path in getattr(paths, name)], ignore_index=True)
    return frame[frame["latent"] == latent]


def sheet(axes: Axes) -> np.ndarray:
    (picture,) = axes.get_images()
    return np.asarray(picture.get_array().filled(np.nan))  # type: ignore[union-attr]


def texts(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]  # type: ignore[attr-defined]


def points(axes: Axes, hollow: bool) -> list[tuple[float, float]]:
    """Places of the scattered marks that are filled, or hollow."""
    found = []
    for marks in axes.collections:
        if isinstance(marks, PathCollection) and len(marks.get_facecolor()):  # type: ignore[arg-type]
            white = tuple(np.asarray(marks.get_facecolor())[0, :3]) == to_rgb("white")
            if white == hollow:
                found += [tuple(map(float, place)) for place in np.asarray(marks.get_offsets())]
    return found


def test_a_mosaic_shows_every_pixel_of_every_image() -> None:
    images = np.random.default_rng(0).random((2, 3, 4, 5))
    figure = thesis_plots.traversal(images, ["z1: 1.00 nats", "z0: 0.01 nats"], ALPHAS)
    (axes,) = figure.axes
    drawn = sheet(axes)
    assert drawn.shape == (2 * 5 - 1, 3 * 6 - 1)
    for row in range(2):
        for column in range(3):
            assert np.array_equal(drawn[row * 5 : row * 5 + 4, column * 6 : column * 6 + 5], images[row, column])
    assert np.isnan(drawn[4]).all()
    assert [text.get_text() for text in axes.get_yticklabels()] == ["z1: 1.00 nats", "z0: 0.01 nats"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["−1", "0", "1"]


def test_effects_share_one_scale_that_is_even_around_zero() -> None:
    effect = np.random.default_rng(1).normal(size=(2, 3, 4, 4))
    limit = np.abs(effect).max()
    figure = thesis_plots.effects(effect, ["a", "b"], ALPHAS)
    assert figure.axes[0].get_images()[0].get_clim() == (-limit, limit)
    maps = thesis_plots.classes(effect[0]).axes[:3]
    assert {axes.get_images()[0].get_clim() for axes in maps} == {(-np.abs(effect[0]).max(), np.abs(effect[0]).max())}
    zero = thesis_plots.effects(np.zeros((1, 3, 4, 4)), ["a"], ALPHAS)
    assert zero.axes[0].get_images()[0].get_clim() == (-1, 1)


def test_published_effects_stand_below_those_from_common_draws() -> None:
    random = np.random.default_rng(2)
    ours, theirs = random.normal(size=(2, 2, 3, 4, 4))
    axes = thesis_plots.published(ours, theirs, ["a", "b"], ALPHAS).axes[0]
    drawn = sheet(axes)
    assert np.array_equal(drawn[5:9, :4], theirs[0, 0])
    assert np.array_equal(drawn[10:14, 5:9], ours[1, 1])
    assert [text.get_text().splitlines()[1] for text in axes.get_yticklabels()] == ["common draws", "as published"] * 2


def test_the_frames_go_there_and_back() -> None:
    images = np.zeros((2, 3, 4, 4))
    images[0] = np.array([0, 0.5, 1])[:, None, None]
    frames = thesis_plots.traversal_frames(images, ["a", "b"], ALPHAS)
    assert [frame.dtype for frame in frames] == [np.uint8] * 4
    assert len({frame.shape for frame in frames}) == 1
    assert np.array_equal(frames[1], frames[3])
    assert frames[0].sum() < frames[1].sum() < frames[2].sum()
    assert len(thesis_plots.traversal_frames(images[:, :1], ["a", "b"], [0.0])) == 1


def test_kl_marks_what_is_active() -> None:
    frame = pd.DataFrame({"seed": [0, 0, 0, 1, 1, 1], "latent": [0, 1, 2] * 2, "kl": [0.02, 1.0, 0.2, 0.5, 0.0, 0.03]})
    figure = thesis_plots.kl(frame, 0.1)
    (axes,) = figure.axes
    filled = [line for line in axes.lines if line.get_marker() == "o" and line.get_markerfacecolor() != "white"]
    assert [list(np.asarray(line.get_ydata())) for line in filled] == [[1.0, 0.2], [0.5]]
    assert [list(np.asarray(line.get_ydata())) for line in axes.lines if line.get_linestyle() == "--"] == [[0.1, 0.1]]
    assert axes.get_title(loc="left").startswith("1 to 2 active latents")


def test_preference_is_drawn_by_its_distance_below_the_median(paths: SimpleNamespace) -> None:
    sweep = table(paths, "sweep")
    figure = thesis_plots.preference(sweep, seed=1)
    sweep = sweep[~sweep["reported"]]
    drawn = {}
    for axes, (reading, alpha) in zip(figure.axes, [(r, a) for r in ("activation", "A") for a in ALPHAS], strict=True):
        own = sweep[(sweep["seed"] == 1) & (sweep["reading"] == reading) & (sweep["alpha"] == alpha)]
        middle = own.loc[own["median"], "preference"].item()
        for converged in (True, False):
            part = own[(own["converged"] == converged) & ~own["median"]]
            expected = {
                (round(middle - p, 6), float(c)) for p, c in zip(part["preference"], part["clusters"], strict=True)
            }
            marks = {(round(x, 6), y) for x, y in points(axes, hollow=not converged)}
            assert expected
            assert expected <= marks
            drawn[reading, alpha, converged] = len(marks - expected)
        assert f"{own.loc[own['chosen'], 'clusters'].item()}" in [text.get_text() for text in axes.texts]
    # The median itself has distance 0, and is drawn at the left edge of every panel.
    assert set(drawn.values()) == {0, 1}
    assert sum(drawn.values()) == 6
    assert {"plateau", "chosen", "not converged", "other seeds", "median"} <= set(texts(figure))
    linear = thesis_plots.preference(sweep[~sweep["median"]].assign(preference=-sweep["iterations"] / 100), seed=1)
    assert "preference" in texts(linear)
    assert all(axes.get_xscale() == "linear" and axes.xaxis_inverted() for axes in linear.axes)


def test_clusters_draws_every_seed_and_what_the_paper_gives(paths: SimpleNamespace) -> None:
    sweep = table(paths, "sweep")
    theirs = pd.DataFrame({"reading": ["activation"], "low": [5], "high": [11]})
    figure = thesis_plots.clusters(sweep, theirs)
    for axes, reading in zip(figure.axes, ("activation", "A"), strict=True):
        own = sweep[sweep["chosen"] & (sweep["reading"] == reading)]
        for converged in (True, False):
            counts = sorted(own.loc[own["converged"] == converged, "clusters"])
            assert sorted(y for _, y in points(axes, hollow=not converged)) == counts
        bands = [patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches]
        expected = [pytest.approx((5, 11))] if reading == "activation" else []
        assert [(band.y0, band.y1) for band in bands] == expected
    assert "range reported in the paper" in texts(figure)
    assert "range reported in the paper" not in texts(thesis_plots.clusters(sweep))


def test_sizes_draws_the_sets_and_the_hidden_neurons_in_the_critical_one(paths: SimpleNamespace) -> None:
    lesions = table(paths, "lesions")
    lesions = lesions[(lesions["scope"] == "all") & (lesions["ablation"] == "zero")]
    figure = thesis_plots.sizes(lesions, pd.DataFrame([{"set": "hidden", "reading": "", "low": 4, "high": 21}]))
    wanted = [("important", "activation", "neurons"), ("important", "A", "neurons")]
    wanted += [("critical", "A", "neurons"), ("critical", "A", "hidden")]
    assert len(figure.axes) == 4
    for axes, (kind, reading, column) in zip(figure.axes, wanted, strict=True):
        own = lesions[(lesions["set"] == kind) & (lesions["reading"] == reading)]
        assert len(own) == 6
        assert sorted(y for h in (True, False) for _, y in points(axes, h)) == sorted(own[column])
        assert len(axes.patches) == (column == "hidden")


def test_null_has_the_observed_value_in_the_histogram(paths: SimpleNamespace) -> None:
    lesions, null = (table(paths, name) for name in ("lesions", "null"))
    lesions, null = (frame[frame["ablation"] == "zero"] for frame in (lesions, null))
    figure = thesis_plots.null(lesions, null, seed=1)
    # important by activations and by effects, and critical; of all neurons and of hidden ones
    assert len(figure.axes) == 3 * 2
    for number, axes in enumerate(figure.axes):
        steps = [patch.get_data() for patch in axes.patches if isinstance(patch, StepPatch)]
        kind, reading = [("important", "activation"), ("important", "A"), ("critical", "A")][number // 2]
        for at, (alpha, step) in enumerate(zip(ALPHAS, steps, strict=True)):
            same = {"seed": 1, "set": kind, "reading": reading, "scope": ["all", "hidden"][number % 2], "alpha": alpha}
            accuracy = null.loc[(null[list(same)] == pd.Series(same)).all(axis=1), "accuracy"]
            counts = np.histogram(accuracy, step.edges)[0]
            assert counts.sum() == paths.sizes.null_sets
            assert step.values - step.baseline == pytest.approx(0.8 * counts / counts.max())
            assert step.baseline == at - 0.4
        observed = [float(np.asarray(line.get_ydata())[0]) for line in axes.lines]
        assert observed == pytest.approx([0.1 if number < 4 else 0.47] * 3)
        assert [text.get_text() for text in axes.texts] == ["0.048"] * 3 + ["p"]


def test_layers_counts_every_neuron_once(paths: SimpleNamespace) -> None:
    figure = thesis_plots.layers(table(paths, "clusters"))
    for axes in figure.axes:
        heights = [[bar.get_height() for bar in layer] for layer in axes.containers]  # type: ignore[attr-defined]
        assert [sum(layer) for layer in heights] == [size for _, size in paths.sizes.layers]
    assert "const." in texts(figure)


def test_lesions_marks_the_clusters_without_which_the_digit_is_lost() -> None:
    images = np.random.default_rng(3).random((3, 3, 4, 4))
    panel = {"title": "t", "images": images, "names": ["intact", "0: 9", "1: 5"], "fails": [False, True, False]}
    figure = thesis_plots.lesions([panel, panel, panel], ALPHAS)
    assert len(figure.axes) == 3
    for axes in figure.axes:
        assert [text.get_text() for text in axes.get_yticklabels()] == ["intact", "✗ 0: 9", "1: 5"]
        assert np.array_equal(sheet(axes)[5:9, 5:9], images[1, 1])


def test_bad_input_is_named_in_one_sentence(paths: SimpleNamespace) -> None:
    images = np.zeros((2, 3, 4, 4))
    sweep = table(paths, "sweep")
    broken = images.copy()
    broken[0, 0, 0, 0] = np.nan
    cases = [
        (lambda: thesis_plots.traversal(images[0], ["a"], ALPHAS), "latents, alphas, height, width"),
        (lambda: thesis_plots.traversal(images, ["a"], ALPHAS), "1 names and 3 alphas do not fit"),
        (lambda: thesis_plots.traversal_frames(images, ["a", "b"], [0.0]), "2 names and 1 alphas do not fit"),
        (lambda: thesis_plots.effects(broken, ["a", "b"], ALPHAS), "1 values that are not finite"),
        (lambda: thesis_plots.classes(images), "classes, height, width"),
        (lambda: thesis_plots.published(images, images[:1], ["a", "b"], ALPHAS), "must be alike"),
        (lambda: thesis_plots.kl(pd.DataFrame({"seed": [0]})), "lacks latent, kl"),
        (lambda: thesis_plots.kl(pd.DataFrame({"seed": [], "latent": [], "kl": []})), "no rows"),
        (lambda: thesis_plots.preference(sweep, seed=9), "seed 9 is not in the table; it has 0, 1"),
        (lambda: thesis_plots.preference(sweep[sweep["median"]]), "below the median"),
        (lambda: thesis_plots.clusters(sweep, pd.DataFrame({"low": [1]})), "lacks reading, high"),
    ]
    for call, sentence in cases:
        with pytest.raises(InputError, match=sentence):
            call()


def test_where_nothing_converged_the_figure_says_so(tmp_path: Path) -> None:
    paths = write(tmp_path)
    (lesions, null, sweep) = (io.load_table(getattr(paths, name)[0]) for name in ("lesions", "null", "sweep"))
    io.save_table(paths.lesions[0], lesions[lesions["set"] == "intact"])
    io.save_table(paths.null[0], null.iloc[:0])
    for name in ("sizes.png", "lesions.png", "null.png"):
        with Image.open(draw(paths, tmp_path / name)) as picture:
            assert picture.width == 880
            assert picture.height < 150
    assert texts(thesis_plots.lesions([], ALPHAS)) == ["Images with one cluster silenced", thesis_plots.NONE_CONVERGED]
    assert texts(thesis_plots.clusters(sweep[~sweep["chosen"]]))[1].startswith("No preference was chosen")


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_of_the_workflow(name: str, paths: SimpleNamespace, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    first = draw(paths, tmp_path / "a" / name)
    assert dict(mpl.rcParams) == before
    with Image.open(first) as picture:
        assert 400 <= picture.width <= 900
        assert np.asarray(picture.convert("L")).std() > 5
        if name.endswith(".gif"):
            assert picture.n_frames == 2 * len(ALPHAS) - 2  # type: ignore[attr-defined]
        assert not {"Software", "Creation Time"} & set(picture.info)
    assert first.stat().st_size < 150_000
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": "figure"}):
        assert draw(paths, tmp_path / "b" / name).read_bytes() == first.read_bytes()


@pytest.mark.parametrize("name", ["kl.png", "clusters.png", "published.png", "effects.png"])
def test_how_seeds_are_cut_into_blocks_does_not_show(name: str, paths: SimpleNamespace, tmp_path: Path) -> None:
    # What is drawn is the least seed's, in the second file.
    other = write(tmp_path / "blocks", Sizes(blocks=("001-001", "000-000")))
    assert draw(other, tmp_path / "b" / name).read_bytes() == draw(paths, tmp_path / "a" / name).read_bytes()


def test_settings_reach_the_figures(paths: SimpleNamespace, tmp_path: Path) -> None:
    plain = draw(paths, tmp_path / "a/clusters.png").read_bytes()
    rows = [{"reading": "A", "low": 5, "high": 9}]
    assert draw(paths, tmp_path / "b/clusters.png", reported=rows).read_bytes() != plain
    plain = draw(paths, tmp_path / "a/kl.png").read_bytes()
    assert draw(paths, tmp_path / "b/kl.png", active_above=0.5).read_bytes() != plain


def test_an_unknown_figure_is_refused_with_the_ones_there_are(paths: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no figure 'pie\.png'; there are traversal\.png, .*null\.png"):
        draw(paths, tmp_path / "pie.png")
    assert not (tmp_path / "pie.png").exists()


def test_images_that_are_not_square_are_refused(tmp_path: Path) -> None:
    wide = write(tmp_path, Sizes(width=6))
    with pytest.raises(InputError, match="48 pixels are no square image"):
        draw(wide, tmp_path / "effects.png")


def test_synthetic_tables_are_as_documented(paths: SimpleNamespace) -> None:
    sections = re.split(r"^## ", (ROOT / "docs/files.md").read_text(), flags=re.M)
    checked = 0
    for name in ("training", "clusters", "sweep", "lesions", "null"):
        (section,) = [part for part in sections if f"{name}.parquet" in part.splitlines()[0]]
        rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
        documented = [column for row in rows for column in re.findall(r"`([^`]+)`", row)]
        assert list(io.load_table(getattr(paths, name)[0]).columns) == documented
        checked += len(documented)
    assert checked > 50
