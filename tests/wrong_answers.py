"""Answers that learners typically give and that a lesson's check must turn down, at least two an exercise.

Each is what the exercise's own cell becomes: text of it → what stands there instead.
"""

import re

import nbformat

WRONG: dict[str, dict[int, list[dict[str, str]]]] = {
    "01_setup": {
        1: [{"my_answer = ...": "my_answer = True"}, {"my_answer = ...": 'my_answer = "alike"'}],
        2: [
            {"a landscape on a sunny day": "pencil sketch with cross-hatching", "0.3\n": "0.1\n"},
            {"a landscape on a sunny day": "pencil sketch with cross-hatching", "0.3\n": "1.0\n"},
            {"0.3\n": "0.8\n"},  # the prompt says nothing of pencil
        ],
        3: [
            {"my_result = ...": "my_result = portrait_format"},  # no edit
            {"my_result = ...": "my_result = prepare_image(portrait_format, size).image"},  # not restored
            {"my_result = ...": "my_result = portrait_format.transpose(2)"},
            {  # the pipeline's own size
                "my_result = ...": "my_result = pipe('oil painting', image=portrait_format, strength=0.5).images[0]"
            },
        ],
    },
    "02_strength": {
        1: [{"my_answer = ...": "my_answer = 0.05"}, {"my_answer = ...": "my_answer = 0.9"}],
        2: [{"my_strength = 0.1": "my_strength = 0.15"}, {"my_strength = 0.1": "my_strength = 1.0"}],
        3: [
            {
                "    return ...": "    shared = torch.Generator().manual_seed(0)\n"
                "    return [pipe(prompt, image=picture, strength=s, num_inference_steps=10, generator=shared).images[0]"
                " for s in strengths]"
            },
            {
                "    return ...": "    return [pipe(prompt, image=picture, strength=s, num_inference_steps=10).images[0]"
                " for s in strengths]"
            },
            {"    return ...": "    return [picture for _ in strengths]"},
        ],
    },
    "03_mechanics": {
        1: [{"my_answer = ...": "my_answer = 29"}, {"my_answer = ...": "my_answer = 71"}],
        2: [{"my_steps = ...": "my_steps = 12"}, {"my_steps = ...": "my_steps = 36"}],
        3: [
            {"my_latents = ...": "my_latents = noisy"},  # no step taken
            {
                "my_latents = ...": "my_latents, words = noisy, encode_prompt('')\n"
                "for t in timesteps:\n"
                "    with torch.no_grad():\n"
                "        predicted = pipe.unet(my_latents, t, encoder_hidden_states=words).sample\n"
                "    my_latents = scheduler.step(predicted, t, my_latents).prev_sample"
            },
        ],
    },
    "04_style_transfer": {
        1: [{"my_answer = ...": 'my_answer = "pencil"'}, {"my_answer = ...": 'my_answer = "watercolor"'}],
        2: [
            {"my_strength, my_blend = 0.8, 0.0": "my_strength, my_blend = 0.8, 1.0"},
            {"my_strength, my_blend = 0.8, 0.0": "my_strength, my_blend = 0.3, 1.0"},
        ],
        3: [
            {"    return ...": "    return edit"},
            {
                "    return ...": "    light, _, _ = picture.convert('YCbCr').split()\n"
                "    _, blue, red = edit.convert('YCbCr').split()\n"
                "    return Image.merge('YCbCr', (light, blue, red)).convert('RGB')"
            },
        ],
        4: [{"my_answer = ...": 'my_answer = "same picture"'}, {"my_answer = ...": 'my_answer = "neither"'}],
    },
    "05_object_edits": {
        1: [{"my_answer = ...": "my_answer = True"}, {"my_answer = ...": 'my_answer = "blue"'}],
        2: [
            {"A car on": "A green car on"},  # too little strength
            {"A car on": "A green car on", ", 0.1\n": ", 0.5\n"},  # the usual recipe's is too little, too
            {", 0.1\n": ", 0.3\n"},  # no colour named
            {"A car on": "A green car on", ", 0.1\n": ", 0.95\n"},  # the street is another
        ],
        3: [
            {  # three calls
                "    return ...": "    options = {'strength': 0.8, 'num_inference_steps': 10, 'guidance_scale': 7.5}\n"
                "    return [pipe(prompt, image=picture, generator=torch.Generator().manual_seed(seed), **options).images[0]"
                " for seed in seeds]"
            },
            {
                "    return ...": "    options = {'strength': 0.7, 'num_inference_steps': 10, 'guidance_scale': 7.5}\n"
                "    one = torch.Generator().manual_seed(seeds[0])\n"
                "    return pipe([prompt] * 3, image=[picture] * 3, generator=one, **options).images"
            },
            {
                "    return ...": "    options = {'strength': 0.7, 'num_inference_steps': 10, 'guidance_scale': 7.5}\n"
                "    same = [torch.Generator().manual_seed(0) for _ in seeds]\n"
                "    return pipe([prompt] * 3, image=[picture] * 3, generator=same, **options).images"
            },
        ],
    },
    "06_composition": {
        1: [{"my_answer = ...": "my_answer = True"}, {"my_answer = ...": 'my_answer = "a little"'}],
        2: [
            {'my_negative_prompt = ""': 'my_negative_prompt = "blurry"'},
            {'my_negative_prompt = ""': 'my_negative_prompt = "vibrant colors"'},
        ],
        3: [
            {"    return ...": "    return Image.fromarray(255 - np.asarray(control_image))"},  # black on white
            {
                "    return ...": "    return Image.fromarray(find_edges(picture).astype(np.uint8)).convert('RGB')"  # 1, not 255
            },
        ],
        4: [
            {"    return ...": "    return guidance_scale * (with_prompt - with_negative)"},
            {"    return ...": "    return with_prompt + guidance_scale * (with_prompt - with_negative)"},
        ],
    },
    "07_inpainting": {
        1: [{"my_answer = ...": "my_answer = 0.0"}, {"my_answer = ...": "my_answer = 0.5"}],
        2: [
            {'"a car on a city street", 0.3': '"a green car on a city street", 0.7'},  # not overlaid
            {'"a car on a city street", 0.3': '"a car on a city street", 0.7'},
        ],
        3: [
            {"    return ...": "    return Image.composite(original, result, mask)"},
            {"    return ...": "    return Image.blend(original, result, 0.5)"},
        ],
        4: [
            {"    return ...": "    return red_mask"},
            {
                "    return ...": "    return Image.fromarray((np.asarray(picture.convert('HSV'))[..., 0] > 138).astype(np.uint8) * 255)"
            },
        ],
    },
    "08_upscaling": {
        1: [{"my_answer = ...": "my_answer = 117"}, {"my_answer = ...": "my_answer = 128"}],
        2: [
            {"my_noise_level = 300": "my_noise_level = 200"},
            {"my_noise_level = 300": "my_noise_level = 100"},
        ],
        3: [
            {"    return ...": "    return picture.resize((208, 120))"},
            {"    return ...": "    return picture.crop((0, 0, 208, 120))"},  # fills up with black
        ],
    },
    "09_multi_pass": {
        1: [{"my_answer = ...": "my_answer = 3"}, {"my_answer = ...": "my_answer = 1"}],
        2: [
            {"my_strength = 0.9": "my_strength = 0.8"},  # undoes the night
            {"my_strength = 0.9": "my_strength = 0.05"},  # no painting
        ],
        3: [
            {
                "    return ...": "    shared = torch.Generator().manual_seed(recipe.passes[0].seed)\n"
                "    for one in recipe.passes:\n"
                "        picture = pipe(one.prompt, negative_prompt=one.negative_prompt, image=picture,\n"
                "            strength=one.strength, num_inference_steps=one.num_inference_steps,\n"
                "            guidance_scale=one.guidance_scale, generator=shared).images[0]\n"
                "    return picture"
            },
            {
                "    return ...": "    for one in recipe.passes:\n"
                "        picture = pipe(one.prompt, image=picture, strength=one.strength,\n"
                "            generator=torch.Generator().manual_seed(one.seed)).images[0]\n"
                "    return picture"
            },
        ],
    },
    "10_troubleshooting": {
        1: [{"my_answer = ...": "my_answer = 10"}, {"my_answer = ...": "my_answer = 50"}],
        2: [{"= 0.6, 0.0": "= 0.6, 1.0"}, {"= 0.6, 0.0": "= 0.9, 0.5"}],
        3: [
            {"    return ...": "    return wanted / num_inference_steps"},
            {"    return ...": "    return 0.05"},
        ],
    },
    "11_instructions": {
        1: [{"my_answer = ...": "my_answer = 10"}, {"my_answer = ...": "my_answer = 20"}],
        2: [
            {"make it a photo": "turn it into a pencil sketch"},
            {"make it a photo": "make it sharp"},  # hardly anything moves
        ],
        3: [
            {"    return ...": "    return none + guidance_scale * (both - none)"},
            {"    return ...": "    return picture + guidance_scale * (both - picture)"},
        ],
        4: [{"my_answer = ...": "my_answer = 30"}, {"my_answer = ...": "my_answer = 20"}],
    },
    "12_fast_and_yours": {
        1: [{"my_answer = ...": "my_answer = 0.25"}, {"my_answer = ...": "my_answer = 0.19"}],
        2: [
            {"my_strength = 30, 7.5, 0.6": "my_strength = 4, 1.0, 0.25"},  # hardly painted
            {"my_strength = 30, 7.5, 0.6": "my_strength = 8, 7.5, 0.75"},  # twice as many pictures as allowed
            {"my_strength = 30, 7.5, 0.6": "my_strength = 30, 1.0, 0.6"},  # quick by itself, but not few
        ],
        3: [
            {"    return ...": "    return W + B @ A"},  # no scale
            {"    return ...": "    return scale * (W + B @ A)"},
            {"    return ...": "    return W + scale * (B @ A).T"},
        ],
    },
}


def wrong_answers(notebook: nbformat.NotebookNode, stem: str) -> dict[int, list[nbformat.NotebookNode]]:
    """The wrong answers of lesson ``stem`` as cells, by the number of the cell that is each exercise's own.

    Raises:
        ValueError: if an exercise has fewer than two, or a text to be replaced is not there exactly once.
    """
    solutions = [i for i, cell in enumerate(notebook.cells) if "solution" in cell.metadata.get("tags", [])]
    answers, found = WRONG.get(stem, {}), {}
    if sorted(answers) != list(range(1, len(solutions) + 1)):
        raise ValueError(
            f"{stem} has {len(solutions)} exercises, tests/wrong_answers.py has answers for {sorted(answers)}"
        )
    for number, solution in enumerate(solutions, 1):
        own = max(i for i in range(solution) if notebook.cells[i].cell_type == "code")
        if len(answers[number]) < 2:
            raise ValueError(f"{stem}, exercise {number}: give at least two wrong answers")
        found[own] = []
        for changes in answers[number]:
            source = notebook.cells[own].source
            for old, new in changes.items():
                whole = re.escape(old) + r"(?![\w.])"  # and not 0.1 in 0.15
                source, times = re.subn(whole, lambda _, new=new: new, source)
                if times != 1:
                    raise ValueError(f"{stem}, exercise {number}: {old!r} is there {times} times")
            found[own].append(nbformat.v4.new_code_cell(source))
    return found
