import io

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from img2img_helpers import (
    EditPass,
    Recipe,
    example_image,
    plan_steps,
    plot_noise_levels,
    plot_preservation,
    plot_recipe,
    plot_strength_vs_steps,
    show_images,
    structure_similarity,
)
from img2img_helpers.lessons import plots

SQUARE = Image.new("RGB", (16, 16), "teal")


def rendered(figure) -> np.ndarray:
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return np.asarray(Image.open(png).convert("RGBA"))


def texts(figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_every_figure_is_opaque_and_has_a_text_alternative(tiny_pipe):
    figures = [
        show_images([SQUARE, SQUARE], ["one", "two"]),
        plot_strength_vs_steps(tiny_pipe, 10),
        plot_noise_levels(tiny_pipe, SQUARE, [0.0, 0.5, 1.0]),
        plot_preservation([0.1, 0.5], {"car": [0.8, 0.4]}, ceiling=0.9),
        plot_recipe(Recipe([EditPass("a lake")]), SQUARE, [SQUARE]),
    ]
    for figure in figures:
        assert len(figure.alt) > 20
        pixels = rendered(figure)
        assert (pixels[..., 3] == 255).all(), "see-through on a dark page"
        assert pixels.shape[1] <= 920


def test_jupyter_shows_it_once_with_the_alternative(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *content, **options: shown.append((content, options)))
    show_images([SQUARE], alt="a teal square")._ipython_display_()
    ((content,), options) = shown[0]
    assert content["text/plain"] == "a teal square"
    assert options["metadata"] == {"image/png": {"alt": "a teal square"}}
    assert content["image/png"].startswith(b"\x89PNG")


def test_what_the_classroom_model_made_is_not_said_of_another_models_pictures(classroom_pipe, tiny_pipe):
    options = {"titles": ["strength 0.3"], "alt": "a blue car with a melted window"}
    assert show_images([SQUARE], **options, made_by=classroom_pipe).alt == options["alt"]
    assert show_images([SQUARE], **options, made_by=tiny_pipe).alt == "Images side by side: strength 0.3"


def test_pictures_are_shown_without_stains_and_plots_without_blur(tiny_pipe):
    def shown(figure):
        drawn = rendered(figure)[..., :3]
        kind, data = plots._small(Image.fromarray(drawn))
        return kind, len(data), np.abs(np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int) - drawn)

    kind, size, gap = shown(plot_strength_vs_steps(tiny_pipe, 10))
    assert kind == "image/png"
    assert (gap > 8).mean() < 0.001
    kind, size, gap = shown(show_images([example_image(name) for name in ("car", "cottage", "landscape")]))
    assert kind == "image/jpeg"
    assert gap.mean() < 1.5
    assert np.percentile(gap, 99.9) < 15
    assert size < 100_000


def test_strength_vs_steps_tells_what_the_plan_says(tiny_pipe):
    told = texts(plot_strength_vs_steps(tiny_pipe, 30, [0.01, 0.5, 1.0]))
    assert "nothing runs" in told
    assert "from t = 481" not in told  # that is for 50 steps
    assert "from t = 463, signal kept 0.57" in told
    assert "UNet calls" not in told  # DDIM calls once a step
    from diffusers import HeunDiscreteScheduler

    heun = HeunDiscreteScheduler.from_config(tiny_pipe.scheduler.config)
    with pytest.raises(ValueError, match="from 0 to 1, not 50"):
        plot_strength_vs_steps(tiny_pipe, 30, [50])
    assert "29 UNet calls" in texts(plot_strength_vs_steps(heun, 30, [0.5]))


def test_noise_levels_start_with_the_image_and_end_in_noise(classroom_pipe):
    image = example_image("car").resize((192, 192))
    figure = plot_noise_levels(classroom_pipe, image, [0.0, 0.3, 1.0])
    assert "strength 0\nsignal kept 1.00" in texts(figure)
    assert f"strength 0.3\nsignal kept {plan_steps(classroom_pipe, 0.3, 30).signal_kept:.2f}" in texts(figure)
    clean, light, noise = (ax.images[0].get_array() for ax in figure.axes)
    kept = [structure_similarity(image, shown) for shown in (clean, light, noise)]
    assert kept[0] > 0.85
    assert kept[0] > kept[1] > kept[2]
    assert kept[2] < 0.15


def test_noise_levels_ask_the_plan_for_the_start(tiny_pipe):
    assert "signal kept 0.87" in texts(plot_noise_levels(tiny_pipe, SQUARE, [0.5], num_inference_steps=5))
    with pytest.raises(ValueError, match="from 0 to 1, not 50"):
        plot_noise_levels(tiny_pipe, SQUARE, [50])


def test_grid_has_a_title_for_each_image():
    figure = show_images([SQUARE] * 6, list("abcdef"), columns=4)
    assert [ax.get_title() for ax in figure.axes if ax.images] == list("abcdef")
    with pytest.raises(ValueError, match="one title for each image, or none: 2 images, 1 titles"):
        show_images([SQUARE, SQUARE], ["one"])
    with pytest.raises(ValueError, match="empty list; give it at least one image"):
        show_images([])
    with pytest.raises(ValueError, match="columns must be a whole number from 1 to 20, not -1"):
        show_images([SQUARE], columns=-1)


def test_titles_may_be_numbers_and_pictures_a_batch():
    batch = np.zeros((2, 3, 16, 16), np.uint8)
    for titles in ([0.3, 0.5], np.array([0.3, 0.5]), (t for t in ("0.3", "0.5"))):
        assert [ax.get_title() for ax in show_images(batch, titles).axes] == ["0.3", "0.5"]
    assert [ax.get_title() for ax in show_images(batch, None).axes] == ["", ""]


@pytest.mark.parametrize("single", [SQUARE, np.asarray(SQUARE), np.asarray(SQUARE)[..., 0]])
def test_a_single_image_is_shown_too(single):
    figure = show_images(single, "after")
    assert [ax.get_title() for ax in figure.axes] == ["after"]


def write_font(path, family: str, letters: str) -> None:
    """A font that draws each of ``letters`` as a square."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    for where in [(0, 0), (0, 700), (700, 700), (700, 0)]:
        (pen.lineTo if where != (0, 0) else pen.moveTo)(where)
    pen.closePath()
    names = [".notdef", *(f"u{ord(letter):x}" for letter in letters)]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap(dict(zip(map(ord, letters), names[1:], strict=True)))
    font.setupGlyf(dict.fromkeys(names, pen.glyph()))
    font.setupHorizontalMetrics(dict.fromkeys(names, (800, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": family, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)


@pytest.fixture
def fonts_looked_for_anew():
    yield plots._family_with.cache_clear()
    plots._family_with.cache_clear()


@pytest.mark.usefixtures("fonts_looked_for_anew")
def test_letters_of_any_script_are_drawn_or_told(monkeypatch, tmp_path, recwarn):
    """\ue001 and \ue002 stand for letters that no font has but one that the test makes."""
    from matplotlib.font_manager import fontManager

    titles = ["山 \ue001\ue002", "pizza 🍕", "tab\there", "costs $5 and $x_", "Größe"]
    kept = [font for font in fontManager.ttflist if font.name.startswith(("DejaVu", "Last Resort"))]
    monkeypatch.setattr(fontManager, "ttflist", kept)
    figure = show_images([SQUARE] * 5, titles)
    figure.canvas.draw()
    assert [ax.get_title() for ax in figure.axes] == ["… ……", "pizza (slice of pizza)", "tab here", *titles[3:]]
    assert "山" in figure.alt
    assert "pizza 🍕" in figure.alt

    plots._family_with.cache_clear()
    write_font(tmp_path / "private.ttf", "Private letters", "\ue001\ue002")
    fontManager.addfont(tmp_path / "private.ttf")
    figure = show_images([SQUARE], ["山 \ue001\ue002"])
    figure.canvas.draw()
    assert figure.axes[0].get_title() == "… \ue001\ue002"
    assert figure.axes[0].title.get_family()[-1] == "Private letters"
    assert not [one for one in recwarn if "missing from" in str(one.message)]


def test_preservation_draws_what_it_is_given():
    figure = plot_preservation([0.2, 0.6], {"car": [0.8, 0.4], "night": [0.7, 0.3]}, ceiling=0.95)
    (ax,) = figure.axes
    assert [list(line.get_ydata()) for line in ax.lines[:2]] == [[0.8, 0.4], [0.7, 0.3]]
    assert figure.alt == "Structure kept (SSIM) at strength 0.2, 0.6: car 0.80, 0.40; night 0.70, 0.30."
    assert ax.get_ylabel() == "structure kept (SSIM)"
    other = plot_preservation([0.2, 0.6], {"car": [0.1, 0.9]}, measure="share of blue")
    assert other.axes[0].get_ylabel() == "share of blue"
    assert other.alt.startswith("Share of blue at strength 0.2, 0.6: car 0.10")


def test_preservation_needs_a_measurement_for_every_strength():
    with pytest.raises(ValueError, match="'lake' has 1, but there are 2 strengths"):
        plot_preservation([0.3, 0.5], {"lake": [0.9]})


def test_a_recipe_has_its_settings_under_each_picture():
    recipe = Recipe([EditPass("oil painting", 0.6, 4), EditPass("a word " * 40, 0.3, 5)])
    figure = plot_recipe(recipe, SQUARE, [SQUARE, SQUARE])
    told = texts(figure)
    assert "the input" in told
    assert "pass 1\nstrength 0.6, seed 4\noil painting" in told
    assert "…" in told  # a long prompt is cut, but not in the alternative
    assert "a word " * 39 in figure.alt
    figure.canvas.draw()
    notes = [note for ax in figure.axes for note in ax.findobj(Text) if note.get_text()]
    assert len(notes) == 3
    assert all(note.get_window_extent().y0 >= 2 for note in notes), "the text leaves the figure"
    with pytest.raises(ValueError, match="2 passes, 1 pictures"):
        plot_recipe(recipe, SQUARE, [SQUARE])
