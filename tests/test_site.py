"""The built site: links, pictures, no request to elsewhere; every page in Chromium, light and dark."""

import fcntl
import functools
import gzip
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlparse

import numpy as np
import pytest

from book import address as addresses
from img2img_helpers import example_image, example_names
from tests import browser as chrome
from tests import firefox as fox
from tests.test_browser import compare_by_hand, slide_by_hand

ROOT = Path(__file__).parent.parent
HOME = addresses.current(name="Documentation")
LESSONS = sorted(p.stem for p in (ROOT / "notebooks" / "source").glob("*.md"))
pytestmark = pytest.mark.xdist_group("site")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site as `make book` builds it, below the folder that its address has on GitHub."""
    folder = tmp_path_factory.mktemp("www") / urlparse(HOME).path.strip("/")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", "book", str(folder)]
    (ROOT / "build").mkdir(exist_ok=True)
    with open(ROOT / "build" / "site.lock", "w") as alone:  # two builds at once empty each other's book/generated
        fcntl.flock(alone, fcntl.LOCK_EX)
        built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def address(site):
    """The site on a server, as its readers meet it."""
    with chrome.served(site.parent) as home:
        yield f"{home}{site.name}/"


def pages(site: Path) -> list[str]:
    return sorted(str(p.relative_to(site)) for p in site.rglob("*.html") if "_static" not in p.parts)


class Links(HTMLParser):
    """What a page points to, loads and calls its parts, and its pictures without an alternative."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links, self.loaded, self.names, self.mute = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.names |= {values.get("id"), values.get("name")}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in ("img", "script") and values.get("src"):
            self.loaded.append(values["src"])
        if tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.append(values["href"])
        if tag == "img" and not (values.get("alt") or "").strip():
            self.mute.append(values.get("src"))
        if tag == "img" and re.search(r"\.(png|jpe?g)$", values.get("alt") or ""):
            self.mute.append(values["alt"])


def test_every_link_and_picture_leads_somewhere(site):
    found = {name: Links((site / name).read_text("utf-8")) for name in pages(site)}
    assert {f"notebooks/{stem}.html" for stem in LESSONS} < set(found)
    broken = []
    for name, page in found.items():
        base = f"/{site.name}/{name}"
        for link in [*page.links, *page.loaded]:
            if urlparse(link).scheme:  # elsewhere, or data in the page itself
                continue
            path, part = urldefrag(urljoin(base, unquote(link)))
            target = urlparse(path).path.removeprefix(f"/{site.name}/") or "index.html"
            exists = (site / target).is_file()
            named = not part or target not in found or part in found[target].names
            if not exists or not named:
                broken.append(f"{name}: {link}")
        for loaded in page.loaded:
            assert urlparse(loaded).scheme in ("", "data"), f"{name} loads {loaded}"
        assert not page.mute, f"{name}: pictures without an alternative: {page.mute[:3]}"
    assert not broken


def on_the_wire(file: Path) -> int:
    """Bytes that a server sends: text is compressed, pictures are already."""
    data = file.read_bytes()
    return len(data) if file.suffix in (".png", ".jpg", ".woff2") else len(gzip.compress(data))


def test_lessons_are_light_and_no_machine_shows(site):
    for stem in LESSONS:
        name = f"notebooks/{stem}.html"
        page = Links((site / name).read_text("utf-8"))
        files = {(site / name).parent / urlparse(src).path for src in page.loaded if not src.startswith("data:")}
        assert sum(map(on_the_wire, {site / name, *files})) < 3e6, name
    for name in pages(site):
        assert not re.search(r"/(tmp|root|home|work|Users)/", (site / name).read_text("utf-8")), name


def test_robots_and_friends_find_the_pages(site):
    listed = set(re.findall(r"<loc>(.+?)</loc>", (site / "sitemap.xml").read_text()))
    assert {f"{HOME}notebooks/{stem}.html" for stem in LESSONS} <= listed
    assert not any("404" in page for page in listed)
    front = (site / "index.html").read_text("utf-8")
    (preview,) = re.findall(r'<meta property="og:image" content="(.+?)"', front)
    assert (site / preview.removeprefix(HOME)).stat().st_size > 20_000
    assert front.count("sd-card-img-top") == len(LESSONS)


@pytest.mark.parametrize("way", ["http", "file"])
def test_every_page_loads_cleanly_and_its_parts_move(site, address, browser, way):
    home = address if way == "http" else f"{site.as_uri()}/"
    sliders = comparisons = 0
    with chrome.Watched(browser, home) as watched:
        page = watched.page
        for name in pages(site):
            if name == "404.html" and way == "file":
                continue  # its links start at the server's root
            page.goto(home + name)
            page.wait_for_load_state("load")
            for root in page.locator(".img2img-slider").all():
                root.scroll_into_view_if_needed()
                assert len(set(slide_by_hand(page, root))) >= 2
                sliders += 1
            for root in page.locator(".img2img-compare").all():
                root.scroll_into_view_if_needed()
                compare_by_hand(page, root)
                comparisons += 1
            assert not watched.errors, name
            assert not watched.elsewhere, name
    assert sliders >= 6
    assert comparisons >= 2


def test_formulas_are_drawn_solutions_open_and_search_finds(site, address, browser):
    with chrome.Watched(browser, address) as watched:
        page = watched.page
        page.goto(address + "notebooks/03_mechanics.html")
        formulas = page.locator("math")
        assert formulas.count() >= 4
        for formula in formulas.all():
            box = formula.bounding_box()
            assert box["width"] > 5
            assert box["height"] > 8
        solution = page.locator(".cell.tag_hide-cell details, details.hide").first
        code = solution.locator(".highlight").first
        assert not code.is_visible()
        solution.locator("summary").click()
        assert code.is_visible()
        page.goto(address + "search.html?q=strength")
        page.wait_for_selector("#search-results li a", timeout=30_000)
        found = page.locator("#search-results li a").evaluate_all("links => links.map(link => link.href)")
        assert any("02_strength" in link for link in found)


SETTLE = "() => document.getAnimations().filter(a => a instanceof CSSTransition).forEach(a => a.finish())"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_bars_anybody(site, address, browser, scheme):
    """axe-core finds nothing serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    told = []
    with chrome.Watched(browser, address, color_scheme=scheme) as watched:
        for name in pages(site):
            watched.page.goto(address + name)
            watched.page.evaluate(SETTLE)  # halfway from the light scheme to the dark one a colour has no contrast
            for violation in Axe().run(watched.page).response["violations"]:
                if violation["impact"] in ("serious", "critical"):
                    places = [node["html"][:150] for node in violation["nodes"][:3]]
                    told.append(f"{name}: {violation['id']} ({len(violation['nodes'])}): {places}")
        # axe itself fetches all that style sheets mention
        watched.errors.clear()
        watched.elsewhere.clear()
    assert not told, "\n".join(told)


def test_pages_fit_a_telephone(site, address, browser):
    with chrome.Watched(browser, address) as watched:
        watched.page.set_viewport_size({"width": 360, "height": 740})
        for name in pages(site):
            watched.page.goto(address + name)
            wide = watched.page.evaluate("() => document.documentElement.scrollWidth")
            beyond = "() => [...document.querySelectorAll('article *')].filter(e => e.getBoundingClientRect().right > 360 && !e.closest('pre, .math')).map(e => e.outerHTML.slice(0, 120)).slice(0, 4)"
            assert wide <= 361, f"{name} is {wide} pixels wide: {watched.page.evaluate(beyond)}"


def test_a_fork_gets_its_own_address_everywhere(tmp_path):
    for pattern in addresses.FILES:
        for path in ROOT.glob(pattern):
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    before = addresses.current(tmp_path)
    changed = addresses.stamp("https://github.com/someone/their.course", tmp_path)
    assert addresses.current(tmp_path) == "https://github.com/someone/their.course"
    assert len(changed) >= 3 + 2 * len(LESSONS)
    old = before.removeprefix("https://github.com/")
    for path in tmp_path.rglob("*.*"):
        text = path.read_text("utf-8")
        assert old not in text, path
        for folder, home in re.findall(r"git clone --depth 1 \S+(?: +(\S+))?\n(?:sudo )?cd (\S+)", text):
            assert folder == home, f"{path}: the folder would have the fork's name"
    addresses.stamp("https://github.com/Someone/someone.github.io", tmp_path)
    assert addresses.current(tmp_path, "Documentation") == "https://someone.github.io/", "which GitHub puts at the root"
    assert "(https://someone.github.io/studio.html)" in (tmp_path / "README.md").read_text("utf-8")
    addresses.stamp("https://github.com/someone/their.course", tmp_path)
    assert addresses.current(tmp_path, "Documentation") == "https://someone.github.io/their.course/"
    with pytest.raises(ValueError, match=r"must be like https://github\.com/owner/name, not 'github'"):
        addresses.stamp("github", tmp_path)


MADE = "id => Number(document.querySelector('[data-live]').dataset.made ?? 0) > id"


def open_studio(page, home: str) -> None:
    page.goto(home + "studio.html")
    page.get_by_role("button", name="Paint with the model").click()
    page.wait_for_function(MADE, arg=0)


def answer(page) -> str:
    return page.locator(".live-side").nth(1).locator("canvas").evaluate("canvas => canvas.toDataURL()")


def after(page, act) -> str:
    """What the studio shows once it has answered what ``act`` changed."""
    asked = page.evaluate("() => live.last")
    act()
    page.wait_for_function("asked => live.last > asked", arg=asked)
    page.wait_for_function("() => Number(document.querySelector('[data-live]').dataset.made) === live.last")
    return answer(page)


@pytest.mark.parametrize("way", ["http", "file"])
def test_the_model_paints_in_the_page(site, address, browser, way, tmp_path):
    """By mouse, by keyboard, with another strength, prompt and picture; cancelled; and all the same when it is reloaded."""
    home = address if way == "http" else f"{site.as_uri()}/"
    with chrome.Watched(browser, home) as watched:
        page = watched.page
        open_studio(page, home)
        seen = [answer(page)]
        sent = []
        page.on("request", lambda asked: sent.append(asked.url))
        box = page.locator(".live-paper canvas").bounding_box()
        x, y, side = box["x"], box["y"], box["width"]

        def stroke():
            page.mouse.move(x + 0.2 * side, y + 0.3 * side)
            page.mouse.down()
            page.mouse.move(x + 0.7 * side, y + 0.6 * side, steps=6)
            page.mouse.up()

        seen.append(after(page, stroke))
        assert page.locator(".live").first.evaluate("live => live.dataset.looked === live.dataset.made"), (
            "a quick look first"
        )
        assert re.search(
            r"\d+ of \d+ steps, from timestep \d+, where \d+ % of the signal", page.inner_text(".live-told")
        )
        before = page.locator(".live-paper canvas").evaluate("canvas => canvas.toDataURL()")
        page.locator(".live-paper canvas").focus()
        page.keyboard.press("ArrowDown")
        assert page.locator(".live-ring").is_visible()
        seen.append(after(page, lambda: page.keyboard.press("Space")))
        seen.append(after(page, lambda: page.get_by_role("button", name="Undo").click()))
        assert page.locator(".live-paper canvas").evaluate("canvas => canvas.toDataURL()") == before
        assert seen.pop() == seen[-2], "what was undone is drawn as before"
        strength = page.get_by_role("slider", name="strength")
        strength.focus()
        seen.append(after(page, lambda: page.keyboard.press("ArrowLeft")))
        assert page.inner_text(".live-strength output") == "0.5", "four steps know four strengths"
        seen.append(after(page, lambda: page.get_by_role("button", name="pencil sketch").click()))
        seen.append(after(page, lambda: page.get_by_label("seed").fill("12345") or page.keyboard.press("Enter")))
        prompt = page.get_by_label("prompt")
        seen.append(after(page, lambda: prompt.fill("a zebra at night") or page.keyboard.press("Enter")))
        assert "The model has never seen: zebra." in page.inner_text(".live-told")
        picture = tmp_path / "mine.png"
        example_image("car").resize((300, 200)).save(picture)
        seen.append(after(page, lambda: page.locator("input[type=file]").set_input_files(picture)))
        assert len(set(seen)) == len(seen), "every change shows"
        paper = page.locator(".live-paper canvas")
        mine = paper.evaluate("canvas => canvas.toDataURL()")
        after(page, lambda: page.get_by_label("start from").select_option(label="an empty page"))
        assert paper.evaluate("canvas => canvas.toDataURL()") != mine
        after(page, lambda: page.get_by_role("button", name="Undo").click())
        assert paper.evaluate("canvas => canvas.toDataURL()") == mine, "nothing drawn is lost"
        (tmp_path / "no.png").write_text("no picture")
        page.locator("input[type=file]").set_input_files(tmp_path / "no.png")
        page.wait_for_function("() => document.querySelector('.live-told').innerText.includes('could not be read')")
        last = after(
            page, lambda: page.get_by_role("combobox", name="steps").select_option("all")
        )  # slow enough to be cancelled
        strength.focus()
        page.keyboard.press("End")
        page.get_by_role("button", name="Cancel").click()
        page.wait_for_function("() => document.querySelector('.live-told').innerText.startsWith('Cancelled')")
        assert page.get_by_role("button", name="Cancel").is_disabled()
        assert last == answer(page), "a cancelled edit leaves the last one"
        after(page, lambda: page.keyboard.press("End") or strength.press("ArrowLeft"))
        assert all(url.startswith(("blob:", "data:")) or re.search(r"/live/\w+-\d+\.js$", url) for url in sent), sent
        watched.errors[:] = [error for error in watched.errors if "blob:" not in error]  # the picture that is none
        page.reload()
        page.get_by_role("button", name="Paint with the model").click()
        page.wait_for_function(MADE, arg=0)
        assert answer(page) == seen[0], "and all the same when it is reloaded"


def test_the_model_paints_in_firefox(site, address, tmp_path):
    """By mouse, finger and keyboard, with another strength and picture; cancelled; and all the same when it is reloaded."""
    picture = tmp_path / "mine.png"
    example_image("car").resize((300, 200)).save(picture)
    with fox.firefox(address) as page:

        def shown() -> str:
            return page.run("document.querySelectorAll('.live canvas')[1].toDataURL()")

        def after(act) -> str:
            asked = page.run("live.last")
            act()
            page.wait_for(f"live.last > {asked} && Number(document.querySelector('.live').dataset.made) === live.last")
            return shown()

        def stroke(finger: bool = False) -> None:
            x, y, side, _ = page.box(".live-paper canvas")
            height = y + (0.3 if finger else 0.6) * side
            page.stroke((x + 0.2 * side, height), (x + 0.7 * side, height), finger=finger)

        page.goto(address + "studio.html")
        seen = [after(lambda: page.click(".live-go"))]
        seen.append(after(stroke))
        seen.append(after(lambda: stroke(finger=True)))
        page.focus(".live-paper canvas")
        seen.append(after(lambda: page.press(" ")))
        page.focus(".live-strength input")
        seen.append(after(lambda: page.press(fox.LEFT)))
        assert page.run("document.querySelector('.live-strength output').innerText") == "0.5"
        seen.append(after(lambda: page.upload(".live input[type=file]", picture)))
        assert len(set(seen)) == len(seen), "every change shows"

        page.focus(".live-row select")
        last = after(lambda: page.press(fox.END))  # 30 steps, slow enough to be cancelled
        page.focus(".live-strength input")
        page.press(fox.END)
        page.click(".live-run button")
        page.wait_for("document.querySelector('.live-told').innerText.startsWith('Cancelled')")
        assert shown() == last

        page.goto(address + "studio.html")
        assert after(lambda: page.click(".live-go")) == seen[0]


def test_fifty_edits_hold_no_more_memory_than_five(site, address, browser):
    """Of the page and its worker, as Chromium counts it for pages that say that they stand alone."""
    alone = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
    held = {}

    def say_so(route):
        answered = route.fetch()
        route.fulfill(response=answered, headers=answered.headers | alone)

    with chrome.Watched(browser, address) as watched:
        page = watched.page
        page.route("**/studio.html", say_so)
        open_studio(page, address)
        after(page, lambda: page.get_by_role("slider", name="strength").press("ArrowLeft"))  # one step is soon done
        devtools = page.context.new_cdp_session(page)

        def edit(number: int) -> None:
            if number % 2:
                page.get_by_label("prompt").fill(f"a photo at night, {number}")
                page.keyboard.press("Enter")
            else:
                page.locator(".live-paper canvas").click(position={"x": 5 * number, "y": 5 * number})

        for number in range(1, 51):
            after(page, functools.partial(edit, number))
            if number in (5, 50):
                devtools.send("HeapProfiler.collectGarbage")
                held[number] = page.evaluate("async () => (await performance.measureUserAgentSpecificMemory()).bytes")
    assert held[50] < 1.2 * held[5], held


def test_the_studio_takes_fingers_and_bars_nobody(site, address, browser):
    from axe_playwright_python.sync_playwright import Axe

    with chrome.Watched(browser, address, has_touch=True, is_mobile=True) as watched:
        page = watched.page
        page.set_viewport_size({"width": 360, "height": 740})
        open_studio(page, address)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 361
        before = answer(page)
        box = page.locator(".live-paper canvas").bounding_box()
        assert after(page, lambda: page.touchscreen.tap(box["x"] + 90, box["y"] + 90)) != before
        for violation in Axe().run(page).response["violations"]:
            assert violation["impact"] not in ("serious", "critical"), violation
        watched.errors.clear()
        watched.elsewhere.clear()


def test_a_model_that_cannot_be_fetched_is_one_sentence_and_the_next_click_tries_again(site, address, browser):
    with chrome.Watched(browser, address) as watched:
        page = watched.page
        page.route("**/live/runtime-1.js", lambda route: route.abort())
        page.goto(address + "studio.html")
        button = page.get_by_role("button", name="Paint with the model")
        button.click()
        page.wait_for_function("() => document.querySelector('.live-told').innerText.includes('could not be fetched')")
        page.unroute("**/live/runtime-1.js")
        for name, answered in (
            ("worker", "<html>Log in to this Wi-Fi</html>"),
            ("runtime", "<html>Log in to this Wi-Fi</html>"),
            ("model", 'live.put("model",0,"!")'),  # which the worker cannot read
        ):
            page.route(f"**/live/{name}-0.js", lambda route, _, body=answered: route.fulfill(body=body))
            button.click()
            page.wait_for_function("() => !document.querySelector('.live-go').disabled")
            assert re.search("could not be fetched|atob", page.inner_text(".live-told")), name
            page.unroute(f"**/live/{name}-0.js")
        watched.errors.clear()
        button.click()
        page.wait_for_function(MADE, arg=0)
        assert len(page.workers) == 1, "those that could not be started are gone"


def test_thirty_steps_fetch_their_network_and_nobody_is_stuck(site, address, browser):
    with chrome.Watched(browser, address) as watched:
        page = watched.page
        open_studio(page, address)
        steps, cancel = page.get_by_role("combobox", name="steps"), page.get_by_role("button", name="Cancel")

        def told(text: str) -> None:
            page.wait_for_function("text => document.querySelector('.live-told').innerText.includes(text)", arg=text)

        assert re.search(r"30 \(fetches up to \d+ MB, once\)", steps.inner_text())
        page.route("**/live/unet-3.js", lambda route: route.abort())
        steps.select_option("all")
        told("could not be fetched")
        assert cancel.is_disabled()
        after(page, lambda: steps.select_option("few"))
        page.unroute("**/live/unet-3.js")
        watched.errors.clear()
        held = []
        page.route("**/live/unet-1.js", lambda route: held.append(route))
        steps.select_option("all")
        told("Fetching up to")
        cancel.click()
        told("Cancelled")
        assert page.evaluate("() => document.activeElement.type") == "range", "the focus is not lost"
        after(page, lambda: steps.select_option("few"))
        steps.select_option("all")
        told("Fetching up to")
        held[0].continue_()
        told("of 30 steps")


def test_the_studio_loses_nothing_that_is_drawn(site, address, browser, tmp_path):
    picture = tmp_path / "mine.png"
    example_image("watch").resize((300, 200)).save(picture)
    with chrome.Watched(browser, address) as watched:
        page = watched.page
        open_studio(page, address)
        paper, choose = page.locator(".live-paper canvas"), page.get_by_label("start from")

        def drawn() -> str:
            return paper.evaluate("canvas => canvas.toDataURL()")

        def color(place: tuple[float, float]) -> list[int]:
            pixel = "([x, y]) => [...document.querySelector('.live-paper canvas').getContext('2d').getImageData(x, y, 1, 1).data]"
            return page.evaluate(pixel, [int(number) for number in place])[:3]

        side = paper.evaluate("canvas => canvas.width")
        cottage = drawn()
        paper.focus()
        page.keyboard.press("Shift+ArrowRight")
        assert drawn() != cottage
        page.keyboard.press("Control+z")
        assert drawn() == cottage
        for _ in range(40):  # a key that is held down
            page.keyboard.down("Space")
        page.keyboard.up("Space")
        assert drawn() != cottage
        page.keyboard.press("Control+z")
        assert drawn() == cottage

        choose.select_option(label="an empty page")
        page.get_by_role("button", name="Undo").click()
        assert choose.input_value() == "cottage"
        page.get_by_role("button", name="Eraser").click()
        middle = (side / 2, side / 2)
        before = color(middle)
        paper.click()
        assert np.abs(np.subtract(color(middle), before)).max() <= 1, (
            "what was undone comes back, not the page after it"
        )
        page.get_by_role("button", name="red").click()
        paper.click()
        page.get_by_role("button", name="Start over").click()
        assert drawn() == cottage

        # the first finger draws, and goes on when another comes and goes
        chrome.touch(
            paper,
            *(("down", 1, 0.1, 0.1), ("down", 2, 0.9, 0.9), ("move", 2, 0.8, 0.9), ("up", 2, 0.8, 0.9)),
            *(("move", 1, 0.3, 0.1), ("up", 1, 0.3, 0.1)),
        )
        red = [200, 50, 43]
        assert color((0.25 * side, 0.1 * side)) == red
        assert red not in (color(middle), color((0.9 * side, 0.9 * side)))

        take = page.locator("input[type=file]").set_input_files
        for _ in range(2):
            take(picture)
            page.wait_for_function("() => document.querySelector('.live-start select').value === 'your own picture'")
            mine = drawn()
            after(page, lambda: choose.select_option("landscape"))
            assert drawn() != mine
        after(page, lambda: choose.select_option("your own picture"))
        assert drawn() == mine

        # what is read slowly does not come in place of what was chosen after it
        page.evaluate(
            "() => { const decode = Image.prototype.decode; Image.prototype.decode = function () {"
            " return this.src.startsWith('blob:') ? new Promise(go => (window.go = go)).then(() => decode.call(this))"
            " : decode.call(this) } }"
        )
        take(picture)
        after(page, lambda: choose.select_option("car"))
        car = drawn()
        page.evaluate("async () => { window.go(); await new Promise(done => setTimeout(done, 300)) }")
        assert drawn() == car
        assert choose.input_value() == "car"


def test_the_studio_says_what_it_did_with_odd_settings(site, address, browser):
    with chrome.Watched(browser, address) as watched:
        page = watched.page
        open_studio(page, address)
        seed, prompt, told = page.get_by_label("seed"), page.get_by_label("prompt"), page.locator(".live-told")

        def at(number: str) -> str:
            return after(page, lambda: seed.fill(number) or page.keyboard.press("Enter"))

        assert at("5000000000") != at("99999999999")
        assert "seed 99999999999." in told.inner_text()
        at("-3")
        assert seed.input_value() == "0"
        after(page, lambda: prompt.fill("house " * 80) or page.keyboard.press("Enter"))
        assert re.search(r"too long: its last \d+ tokens are not read", told.inner_text())
        after(page, lambda: page.get_by_role("slider", name="strength").press("Home"))
        assert "At strength 0 none of 4 steps is run; raise it to 0.25 at least." in told.inner_text()
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save picture").click()
        assert saved.value.suggested_filename.endswith(".png")
        assert "dawn" in page.locator(".live-settings details").text_content()


def test_four_lessons_have_the_model_too(site):
    for stem in ("02_strength", "03_mechanics", "05_object_edits", "11_instructions"):
        page = (site / "notebooks" / f"{stem}.html").read_text("utf-8")
        assert page.count("<div data-live") == 1
        assert 'src="../_static/live/studio.js"' in page
    assert "book/live/diffusion.js" in (site / "notebooks" / "03_mechanics.html").read_text("utf-8")


def test_two_studios_in_a_page_share_the_model_and_mix_up_nothing(site, address, browser):
    with chrome.Watched(browser, address) as watched:
        page = watched.page
        open_studio(page, address)
        page.evaluate(
            "() => { const other = document.createElement('div'); other.dataset.prompt = 'dramatic sunset lighting';"
            " document.querySelector('[data-live]').after(other); new Studio(other) }"
        )
        one, other = page.locator(".live").all()
        other.get_by_role("button", name="Paint with the model").click()
        made = "n => Number(document.querySelectorAll('.live')[n].dataset.made ?? 0) === live.last"
        page.wait_for_function(made, arg=1)
        for number, root in enumerate((one, other)):  # few steps are soon done, and not given up for the next edit
            root.get_by_role("combobox", name="steps").select_option("all")
            page.wait_for_function(made, arg=number)
        first, second = (
            root.locator("canvas").nth(1).evaluate("canvas => canvas.toDataURL()") for root in (one, other)
        )
        assert first != second
        one.get_by_role("slider", name="strength").press("End")  # begins,
        one.get_by_role("slider", name="strength").press("ArrowLeft")  # waits,
        other.get_by_role("slider", name="strength").press("Home")  # is asked for last
        other.get_by_role("slider", name="strength").press("ArrowRight")
        page.wait_for_function(made, arg=1)
        assert one.locator(".live-told").inner_text().startswith("Cancelled")
        assert one.get_by_role("button", name="Cancel").is_disabled()
        assert one.locator("canvas").nth(1).evaluate("canvas => canvas.toDataURL()") == first
        assert "1 of 30 steps" in other.locator(".live-told").inner_text()


def test_without_npm_the_site_says_what_it_lacks():
    code = "import pages, pathlib; pages.live.INSTALLED = pathlib.Path('nowhere'); print(pages.studio('_static'))"
    path = f"{ROOT / 'book'}{os.pathsep}{ROOT}"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert "built without the model in the page" in ran.stdout, ran.stderr
    assert "data-live" not in ran.stdout


def test_links_lead_within_every_copy_of_the_site(site):
    """From a memory stick, from below a folder of a server, and from the page for an address that does not exist."""
    for name in pages(site):
        away = [link for link in Links((site / name).read_text("utf-8")).links if link.startswith(HOME)]
        assert not away, f"{name} leaves this copy: {away}"
    assert "../glossary.html" in Links((site / "notebooks" / "01_setup.html").read_text("utf-8")).links
    lost = Links((site / "404.html").read_text("utf-8"))
    assert f"/{site.name}/index.html" in lost.links
    for link in lost.links:
        assert urlparse(link).scheme or link.startswith(("#", f"/{site.name}/")), link


def test_a_downloaded_lesson_is_the_lesson(site):
    for stem in LESSONS:
        name = f"notebooks/{stem}.ipynb"
        assert f"../_sources/{name}" in Links((site / f"notebooks/{stem}.html").read_text("utf-8")).links
        assert (site / "_sources" / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_model_starts_with_what_its_lesson_has(site):
    starts = {
        "02_strength": {"picture": "cottage", "strength": "0.5"},
        "03_mechanics": {"picture": "cottage", "strength": "0.6", "steps": "all"},
        "05_object_edits": {"picture": "car", "strength": "0.4", "steps": "all"},
        "11_instructions": {"picture": "car", "strength": "0.9", "steps": "all"},
    }
    for stem, wanted in starts.items():
        page = (site / "notebooks" / f"{stem}.html").read_text("utf-8")
        start = dict(re.findall(r'data-(\w+)="(.*?)"', re.search("<div data-live(.*?)>", page)[1]))
        lesson = (ROOT / "notebooks" / "source" / f"{stem}.md").read_text("utf-8")
        assert f'"{start.pop("prompt")}"' in lesson
        assert start == wanted
        assert start["picture"] in example_names()
        assert f'image = prepare_image(example_image("{start["picture"]}"), size).image' in lesson


def test_the_search_finds_from_a_file_too(site, address, browser):
    for home in (address, f"{site.as_uri()}/"):
        with chrome.Watched(browser, home) as watched:
            page = watched.page
            page.goto(home + "search.html?q=strength")
            page.wait_for_function("() => document.querySelector('.search-summary')?.innerText.includes('finished')")
            assert page.locator("#search-results li a").count() > 5
            if home == address:  # which a page may fetch there
                page.wait_for_selector("#search-results li p.context")


BROKEN_WORDS = """() => [...document.querySelectorAll('td, th')].flatMap(cell => {
  const words = [], walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), range = document.createRange();
  while (walk.nextNode()) for (const found of walk.currentNode.data.matchAll(/[\\p{L}\\p{N}_]+/gu)) {
    range.setStart(walk.currentNode, found.index);
    range.setEnd(walk.currentNode, found.index + found[0].length);
    if (new Set([...range.getClientRects()].map(box => box.top)).size > 1) words.push(found[0]);
  }
  return words;
})"""
FORMULAS = """() => [...document.querySelectorAll('div.math')].map(box => {
  const signs = [...box.querySelectorAll('mi, mo, mn, mtext')].map(sign => sign.getBoundingClientRect());
  const {left, right} = box.getBoundingClientRect();
  return {
    before: Math.min(...signs.map(sign => sign.left)) - left,
    after: right - Math.max(...signs.map(sign => sign.right)),
    wide: box.scrollWidth > box.clientWidth,
  };
})"""


@pytest.mark.parametrize("width", [390, 1280])
def test_tables_break_no_words_and_formulas_begin_in_sight(site, address, browser, width):
    with chrome.Watched(browser, address) as watched:
        watched.page.set_viewport_size({"width": width, "height": 844})
        for name in ("instructor.html", "models.html", "choose.html", "notebooks/03_mechanics.html"):
            watched.page.goto(address + name)
            assert not watched.page.evaluate(BROKEN_WORDS), name
        formulas = watched.page.evaluate(FORMULAS)
        assert len(formulas) >= 4
        assert width > 390 or any(formula["wide"] for formula in formulas)
        for formula in formulas:
            assert formula["before"] >= 0
            assert formula["wide"] or abs(formula["before"] - formula["after"]) < 3, "in the middle"


def test_without_javascript_the_studio_says_what_it_lacks(site, address, browser):
    with chrome.Watched(browser, address, java_script_enabled=False) as watched:
        watched.page.goto(address + "studio.html")
        assert watched.page.locator("[data-live] p").is_visible()
