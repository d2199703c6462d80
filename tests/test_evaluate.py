"""The measures of the classroom model, on pictures of which the painter knows the answer."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from classroom_model.evaluation import base_model, bench, judge, measures
from classroom_model.training import data, loop, text
from classroom_model.world import captions, painter, scenes
from img2img_helpers import known_words


def test_a_full_caption_names_every_attribute():
    car = scenes.Scene("car", style="van gogh", time="night")
    wanted = "oil painting of a red car on a city street in the style of van gogh, at night"
    assert measures.full_caption(car) == wanted
    for scene in measures.even_scenes(120):
        told = measures.full_caption(scene)
        assert {"van gogh": "van gogh", "pencil": "pencil"}.get(scene.style, "") in told
        assert told.endswith(captions.TIME_PHRASES[scene.time][0])
        assert ("golden crown" in told) == (scene.subject == "portrait" and scene.crown)
        assert (scene.color in told.split()) == (scene.subject in ("car", "portrait", "watch") or "house" in told)
        if scene.subject == "landscape":
            assert scene.backdrop in told
            assert scene.water in told


def test_the_model_has_seen_every_word_that_the_lessons_type():
    """And those of the paraphrases, which differ from its captions in nothing but how the words are put together."""
    texts = [*base_model.LESSON_PROMPTS, *base_model.LESSON_PROMPTS.values(), *base_model.SHORT_PROMPTS]
    words = set(text.caption_words([t.lower() for t in texts]))
    assert words <= set(known_words())
    second = set(json.loads((loop.WEIGHTS / "vocabulary.json").read_text()))
    assert words | set(text.caption_words(list(base_model.PARAPHRASES))) <= second


def test_paraphrases_are_no_captions():
    """None of those, that is, which go with the first twelve thousand pictures, as `paint` draws them."""
    told = set()
    for shard in range(12):
        rng = np.random.default_rng([8, shard])
        for i in range(shard * data.SHARD, (shard + 1) * data.SHARD):
            scene = data.scene_at(i)
            told |= {captions.caption(scene, rng) for _ in range(data.CAPTIONS)}
    assert not told & set(base_model.PARAPHRASES)
    for wanted in base_model.PARAPHRASES.values():
        assert all(value in judge.VALUES[name] for name, value in wanted.items())


def test_halfway_lies_between_the_two_strengths():
    assert measures.halfway((0.3, 0.5, 0.7), (0.0, 0.25, 0.75)) == pytest.approx(0.6)
    assert measures.halfway((0.4, 0.6), (1.0, 1.0)) == pytest.approx(0.2)
    assert measures.halfway((0.4, 0.6), (0.1, 0.4)) == 1


def test_frechet_distance_is_least_for_pictures_of_the_same_kind():
    torch.manual_seed(0)
    classifier = judge.Classifier().eval()
    cars, more = (measures.painted(measures.car_scenes(24)[i::2]) for i in (0, 1))
    others = measures.painted([measures.clean(i, subject="watch", style="pencil") for i in range(12)])
    assert judge.frechet_distance(classifier, cars, cars) == pytest.approx(0, abs=1e-3)
    near, far = (judge.frechet_distance(classifier, cars, pictures) for pictures in (more, others))
    assert 0 < near < 0.5 * far


def test_the_scenes_measured_are_clean_and_even():
    made = measures.even_scenes(160)
    for name, values in (("subject", scenes.SUBJECTS), ("style", scenes.STYLES), ("time", scenes.TIMES)):
        counts = [sum(getattr(s, name) == value for s in made) for value in values]
        assert max(counts) <= 1.4 * min(counts), name
    assert not any(s.flaws or s.palette or s.fine for s in made)
    told = [s for s in (*made, *measures.car_scenes(40)) if s.subject == "car" and judge.shows(s, "color")]
    assert len(told) >= 64
    reds = measures.red_cars(40)
    assert {(s.color, s.style) for s in reds} == {("red", "photo")}
    assert {s.place for s in reds if s.time == "night"} == set(scenes.PLACES)
    assert sum(s.time == "day" for s in reds) == 20


@pytest.mark.parametrize("time", scenes.TIMES)
@pytest.mark.parametrize("place", scenes.PLACES)
def test_a_blue_car_is_blue_and_no_other_is(place, time):
    red = scenes.Scene("car", color="red", place=place, time=time, layout=3)
    where = measures.paint_mask(red)
    for color in scenes.COLORS:
        picture = painter.paint(dataclasses.replace(red, color=color))
        assert measures.is_blue(picture.image, where) == (color == "blue"), color
    assert 0.3 < where.sum() / picture.masks["car"].sum() < 0.9, "paint, without glass and tyres"


def test_only_what_lies_outside_the_mask_counts():
    picture = painter.paint(scenes.Scene("car", layout=3))
    mask = picture.masks["car"]
    inside = np.where(mask[..., None], 255 - picture.image, picture.image)
    assert measures.outside_similarity(picture.image, inside, mask) == pytest.approx(1)
    outside = np.where(mask[..., None], picture.image, 255 - picture.image)
    assert measures.outside_similarity(picture.image, outside, mask) < 0.5


@pytest.mark.parametrize("style", base_model.TRANSFERS)
def test_a_picture_drawn_in_another_style_is_nearest_to_its_own(style):
    inputs = measures.photos(15, 24_000)
    redrawn = [dataclasses.replace(scene, style=style) for scene in inputs]
    nearest = measures.nearest_layout(measures.painted(redrawn), measures.painted(inputs))
    assert np.mean(nearest == np.arange(15)) > 0.9


def test_sharpness_falls_with_blur():
    scene = measures.photos(1, 0)[0]
    blurred = dataclasses.replace(scene, flaws=("blurry",))
    assert measures.sharpness(painter.paint(blurred).image) < 0.5 * measures.sharpness(painter.paint(scene).image)


def test_attributes_that_cannot_be_seen_do_not_count():
    house = {"backdrop": "hills", "foreground": "house"}
    for scene, unseen in (
        (scenes.Scene("car"), {"crown"}),
        (scenes.Scene("car", style="pencil"), {"crown", "color", "time"}),
        (scenes.Scene("watch", flaws=("monochrome",)), {"crown", "color"}),
        (scenes.Scene("watch", palette="blue and orange"), {"crown", "color"}),
        (scenes.Scene("landscape", foreground="trees"), {"crown", "color"}),
        (scenes.Scene("landscape", **house), {"crown"}),
        (scenes.Scene("crystals", **house), {"crown", "color"}),
        (scenes.Scene("portrait"), set()),
    ):
        unseen |= set() if scene.subject == "landscape" else {"foreground"}
        assert {name for name in judge.VALUES if not judge.shows(scene, name)} == unseen


def test_the_loss_ignores_them_too():
    shown = [scenes.Scene("portrait", color="green"), scenes.Scene("portrait", color="green", style="pencil")]
    wanted = judge.labels(shown)
    logits = {name: torch.randn(2, len(values)) for name, values in judge.VALUES.items()}
    before = judge.masked_loss(logits, wanted)
    logits["color"][1] += torch.arange(8.0)
    assert judge.masked_loss(logits, wanted) == before
    logits["color"][0, 0] += 5
    assert judge.masked_loss(logits, wanted) > before
    nothing = {name: torch.full((2,), judge.UNSEEN) for name in judge.VALUES}
    assert judge.masked_loss(logits, nothing) == 0


def test_training_the_classifier_lowers_its_loss(tmp_path):
    shown = [data.scene_at(i) for i in range(48)]
    images, wanted = measures.painted(shown), judge.labels(shown)

    def loss(model):
        with torch.no_grad():
            return judge.masked_loss(model(judge.to_tensor(images)), wanted).item()

    torch.manual_seed(0)
    untrained = loss(judge.Classifier().eval())
    trained = judge.train_classifier(20, images, shown, batch=32)
    assert loss(trained) < 0.9 * untrained
    judge.save_classifier(trained, tmp_path / "judge.npz")
    kept = judge.load_classifier(tmp_path / "judge.npz")
    assert loss(kept) == pytest.approx(loss(trained), rel=0.02), "as it is kept"
    seen = judge.recognise(kept, images)
    assert all(len(values) == 48 and set(values) <= set(judge.VALUES[name]) for name, values in seen.items())


def test_the_judge_that_is_kept_knows_the_world_that_is_painted_now():
    found = judge.held_out_accuracy(judge.load_classifier(), 60)
    assert found["subject"][0] > 0.9
    assert found["style"][0] > 0.95
    assert found["time"][0] > 0.9
    assert found["color, without cyberpunk"][0] > 0.8


def test_a_judge_of_another_world_is_refused(monkeypatch):
    monkeypatch.setitem(judge.VALUES, "time", ("noon", *scenes.TIMES[1:]))
    with pytest.raises(ValueError, match=r"classroom_model\.train judge"):
        judge.load_classifier()


def test_augmented_pictures_keep_their_size_and_nearly_their_look():
    pixels = judge.to_tensor(measures.painted(measures.photos(4, 0)))
    for seed in range(4):
        changed = judge.augment(pixels, np.random.default_rng(seed))
        assert changed.shape == pixels.shape
        assert (changed.mean((2, 3)) - pixels.mean((2, 3))).abs().max() < 0.5


@pytest.fixture(scope="module")
def small_bench():
    """The classroom model's pipelines at ten steps, two pictures a row, and a judge that knows nothing."""
    with pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        patch.setattr(bench, "load_classifier", lambda: judge.Classifier().eval())
        patch.setattr(bench, "LESSON", {"num_inference_steps": 10, "guidance_scale": 7.5})
        patch.setattr(bench.Bench, "few", lambda self, count: 2)
        yield bench.Bench(loop.WEIGHTS)


SECTIONS = ("text", "paraphrase", "strength", "fidelity", "transfer", "wording", "frechet")


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_measures(section, small_bench, monkeypatch):
    monkeypatch.setattr(base_model, "CAR_STRENGTHS", (0.3, 0.8))
    monkeypatch.setattr(base_model, "STRENGTHS", (0.3, 0.5, 0.8))
    monkeypatch.setattr(base_model, "PARAPHRASES", dict(list(base_model.PARAPHRASES.items())[:2]))
    rows = getattr(base_model, f"{section}_rows")(small_bench)
    assert rows
    assert len({row.what for row in rows}) == len(rows)
    assert all((row.passed is None) == (row.bar == "") for row in rows)


def test_the_table_replaces_only_what_is_between_the_markers(tmp_path):
    rows = [bench.share("style", [True] * 94 + [False] * 6, 0.95), bench.share("crown", [True, False])]
    text = bench.table([*rows, bench.share("subject", [True], 0.95)])
    assert "| style | at least 95 % | 94.0 % | 100 | **short** |" in text
    assert "| crown |  | 50.0 % | 2 |  |" in text
    assert "| subject | at least 95 % | 100.0 % | 1 | passed |" in text
    readme = tmp_path / "README.md"
    bench.write_table(readme, "old")
    made = readme.read_text()
    assert made.startswith("# ")
    readme.write_text("before\n" + made + "after\n")
    bench.write_table(readme, text)
    assert readme.read_text() == ("before\n" + made + "after\n").replace("old", text)
    readme.write_text("no markers")
    with pytest.raises(ValueError, match="table: begin"):
        bench.write_table(readme, text)
    assert readme.read_text() == "no markers"


def test_rows_measured_anew_replace_the_old_ones(tmp_path):
    readme = tmp_path / "README.md"
    bench.write_table(readme, bench.table([bench.Row("style", "1"), bench.Row("gained", "2"), bench.Row("size", "3")]))
    merged = bench.merged(readme, bench.table([bench.Row("gained", "20"), bench.Row("new", "4")]))
    assert merged == bench.table(
        [bench.Row("style", "1"), bench.Row("size", "3"), bench.Row("gained", "20"), bench.Row("new", "4")]
    )
    told = [bench.Row("four steps (with 30 steps 99.4 %)", "97"), bench.Row("four steps, colour (not pencil)", "98")]
    bench.write_table(readme, bench.table(told))
    anew = bench.Row("four steps (with 30 steps 97.5 %)", "96")
    assert bench.merged(readme, bench.table([anew])) == bench.table([told[1], anew]), (
        "a figure beside it is not its name"
    )


def test_a_sheet_shows_the_pictures_as_they_are(tmp_path):
    images = measures.painted(measures.photos(2, 0))
    bench.save_sheet([[(images[0], "one")], [(None, ""), (images[1], "a “prompt”")]], tmp_path / "s.png", scale=1)
    sheet = np.asarray(Image.open(tmp_path / "s.png").convert("RGB"))
    assert (sheet[0] == 255).all()
    assert np.array_equal(sheet[8:200, 8:200], images[0])
    assert np.array_equal(sheet[236:428, 208:400], images[1])
