"""What all figures share: size, colours, style, panels, mosaics of images, and checks of what is drawn.

Every figure is at most 8 inches wide at 110 dots an inch, so that a page of 900 pixels shows it at its own size.
Colours are Okabe and Ito's and matplotlib's red-blue map, which colour-blind readers tell apart; a mark's shape says
what its colour says. Images are drawn pixel by pixel, side by side in one mosaic.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from interneuron.errors import InputError

DPI = 110
WIDTH = 8.0
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#56B4E9", "#E69F00"
GREY, DARK, GAP = "#8a8a8a", "#333333", "#b9b9b9"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "figure.titlesize": 11.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": DARK,
    "axes.linewidth": 0.8,
    "axes.grid": False,
    "legend.frameon": False,
    "text.parse_math": False,
}
P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def in_style() -> Iterator[None]:
    """Within the context, this module's style, whatever the user's own matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run in this module's style."""

    @wraps(function)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        with in_style():
            return function(*args, **kwargs)

    return styled


class StyledFigure(Figure):
    """A figure that is drawn in the style too: matplotlib looks some of it up only then."""

    def draw(self, renderer: Any) -> None:
        with in_style():
            super().draw(renderer)


def picture_sheet(
    tiles: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    axis: str,
    bar: str = "",
    label: float = 1.3,
) -> Figure:
    """A mosaic with names at its left and below; with a colour bar (and a diverging scale) if `bar` says of what."""
    right = 0.95 if bar else 0.15
    top, foot = 0.45, 0.6
    tile = min((WIDTH - label - right) / tiles.shape[1], 1.0)
    tile = min(tile, 9.0 / len(tiles))
    width, height = max(label + tile * tiles.shape[1] + right, 4.4), top + foot + tile * len(tiles)
    figure = StyledFigure(figsize=(width, height), dpi=DPI)
    figure.text(0.1 / width, 1 - 0.22 / height, title, fontsize=11, va="center")
    axes = axes_at(figure, label, foot, tile * tiles.shape[1], tile * len(tiles))
    limit = colour_limit(tiles) if bar else 1.0
    picture = draw_mosaic(axes, tiles, rows, columns, "RdBu_r" if bar else "gray", -limit if bar else 0.0, limit)
    axes.set_xlabel(axis)
    if bar:
        tall = max(tile * len(tiles), 1.1)
        colour_bar(figure, picture, width - right + 0.1, max(foot + tile * len(tiles) - tall, 0.1), tall, bar)
    return figure


def draw_mosaic(
    axes: Axes, tiles: np.ndarray, rows: Sequence[str], columns: Sequence[str], colours: str, low: float, high: float
) -> Any:
    """Draw tiles (rows, columns, height, width, in colour 3) as one image with thin gaps, names at their middles."""
    across, down = tiles.shape[3] + 1, tiles.shape[2] + 1
    gap = np.nan if tiles.ndim == 4 else mpl.colors.to_rgb(GAP)
    sheet = np.empty((tiles.shape[0] * down, tiles.shape[1] * across, *tiles.shape[4:]))
    sheet[:] = gap
    for row in range(tiles.shape[0]):
        for column in range(tiles.shape[1]):
            sheet[row * down : row * down + down - 1, column * across : column * across + across - 1] = tiles[
                row, column
            ]
    picture = axes.imshow(
        sheet[:-1, :-1],
        cmap=mpl.colormaps[colours].with_extremes(bad=GAP),
        vmin=low,
        vmax=high,
        interpolation="nearest",
        aspect="auto",
    )
    axes.set(xticks=(np.arange(tiles.shape[1]) + 0.5) * across - 1, xticklabels=columns)
    axes.set(yticks=(np.arange(tiles.shape[0]) + 0.5) * down - 1, yticklabels=rows)
    axes.tick_params(length=0, pad=4)
    frame_axes(axes)
    return picture


def framed_figure(height: float, title: str, below: float = 0.3) -> tuple[Figure, SubFigure, SubFigure]:
    """A figure with its title, and its two parts: the panels' and, `below` inches high, the legend's."""
    figure = StyledFigure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    body, foot = figure.subfigures(2, 1, squeeze=False, height_ratios=[height - below, below])[:, 0]
    body.suptitle(title, x=0.01, ha="left")
    return figure, body, foot


def nothing_figure(title: str, sentence: str) -> Figure:
    """A figure that says why there is nothing to see: that nothing was found is a result too."""
    figure = StyledFigure(figsize=(WIDTH, 1.2), dpi=DPI)
    figure.text(0.01, 0.78, title, fontsize=11, va="center")
    figure.text(0.01, 0.35, sentence, color=ORANGE, va="center")
    return figure


def panel_figure(count: int, height: float, title: str, below: float = 0.3) -> tuple[Figure, list[Axes], SubFigure]:
    """`count` panels, two a row; the cells left over stay empty."""
    across = min(2, count)
    down = -(-count // across)
    figure, body, foot = framed_figure(0.45 + below + height * down, title, below)
    grid = list(body.subplots(down, across, squeeze=False).flat)
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count], foot


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches."""
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, bottom / h, width / w, height / h))


def colour_bar(figure: Figure, picture: Any, left: float, bottom: float, height: float, label: str) -> None:
    """A colour bar of a picture, at a place given in inches."""
    axes = axes_at(figure, left, bottom, 0.14, height)
    figure.colorbar(picture, cax=axes).set_label(label, fontsize=8.5 if height > 2 else 7)


def frame_axes(axes: Axes) -> None:
    """A thin frame on all four sides."""
    for spine in axes.spines.values():
        spine.set(visible=True, color="#b9b9b9", linewidth=0.8)


def rows_where(table: pd.DataFrame, equal: Mapping[str, Any]) -> pd.DataFrame:
    """The rows whose columns have these values."""
    for column, value in equal.items():
        table = table[table[column] == value]
    return table


def colour_limit(values: np.ndarray) -> float:
    """End of a colour scale that is even around 0."""
    return float(np.abs(values).max()) or 1.0


def checked_tiles(name: str, images: np.ndarray, dimensions: int) -> np.ndarray:
    """Images as an array of so many dimensions. Raises InputError for another shape, and values that are not finite."""
    tiles = np.asarray(images, dtype=float)
    if tiles.ndim != dimensions or 0 in tiles.shape:
        axes = "latents, alphas, height, width" if dimensions == 4 else "classes, height, width"
        raise InputError(f"{name} is {tiles.shape}; a figure takes {axes}, none of them 0")
    if not np.isfinite(tiles).all():
        raise InputError(
            f"{name} holds {int((~np.isfinite(tiles)).sum())} values that are not finite; a figure takes none"
        )
    return tiles


def check_columns(figure: str, table: pd.DataFrame, columns: Sequence[str], empty: bool = False) -> None:
    """Raises InputError where the table lacks a column, or has no rows unless it may be `empty`."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(f"{figure}: the table lacks {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    if table.empty and not empty:
        raise InputError(f"{figure}: the table has no rows, nothing can be drawn")
