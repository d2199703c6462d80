"""Time the model in the page, beside the same edit in Python: `python -m benchmarks.page build/book`, after `make book`.

On the clock, and in processor seconds, which other work on the machine changes less. Page and Python have one thread each.
"""

import argparse
import functools
import gzip
import json
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from tests import browser as chrome
from tests import firefox as fox

from .course import PROMPT, classroom, landscape

EDITS, STARTS = 8, 2
# counts edits, and keeps when each one's first look came, and how long each task took that was above 50 ms, which is what
# browsers call a long one
WATCH = """() => {
  const {ask, hear} = live;
  window.seen = {edits: 0, looks: [], long: []};
  live.ask = (...given) => { seen.asked = performance.now(); return ask.apply(live, given) };
  live.hear = data => {
    hear.call(live, data);
    seen.edits += data.told === 'made';
    if (data.told === 'look') seen.looks.push((performance.now() - seen.asked) / 1000);
  };
  if (PerformanceObserver.supportedEntryTypes.includes('longtask'))
    new PerformanceObserver(list => seen.long.push(...list.getEntries().map(e => e.duration))).observe({type: 'longtask'});
}"""
PICTURE = "document.querySelector('.live').dataset.made > 0"


def timed(act: Callable, own: bool = False) -> tuple[float, float]:
    """Seconds that ``act`` takes, on the clock and of the processor, in this process or in the browser's."""

    def used() -> float:
        me = psutil.Process()
        spent = [one.cpu_times() for one in ([me] if own else me.children(recursive=True))]
        return sum(one.user + one.system for one in spent)

    began, before = time.perf_counter(), used()
    act()
    return time.perf_counter() - began, used() - before


def told(times: list[tuple[float, float]]) -> str:
    clock, processor = zip(*times, strict=True)
    return f"median {statistics.median(clock):.2f} s ({min(clock):.2f} to {max(clock):.2f}), of the processor {statistics.median(processor):.2f} s"


def in_python() -> Callable:
    """The page's edit as a function."""
    torch.set_num_threads(1)
    pipe = classroom(few_steps=True)
    pipe.fuse_lora()
    image, call = landscape(), {"strength": 0.5, "num_inference_steps": 4, "guidance_scale": 1.0}

    def edit() -> None:
        pipe(PROMPT, image, generator=torch.Generator().manual_seed(0), **call)

    edit()
    return edit


def in_chromium(home: str, edit: Callable) -> None:
    loads, firsts, edits, python = [], [], [], []
    with chrome.chromium() as browser:
        for start in range(STARTS):
            with chrome.Watched(browser, home) as watched:  # a context of its own: nothing is in its cache
                page = watched.page

                def first(page=page) -> None:
                    page.get_by_role("button", name="Paint with the model").click()
                    page.wait_for_function(f"() => {PICTURE}", polling=20)

                def stroke(number: int, page=page) -> None:
                    page.locator(".live-paper canvas").click(position={"x": 20 + 20 * number, "y": 150})
                    page.wait_for_function(f"() => seen.edits > {number}", polling=20)

                loads.append(timed(functools.partial(page.goto, f"{home}studio.html"))[0])
                firsts.append(timed(first))
                if start == STARTS - 1:
                    page.evaluate(WATCH)
                    for number in range(EDITS):
                        edits.append(timed(functools.partial(stroke, number)))
                        python.append(timed(edit, own=True))  # in turns, for both to meet the same load
                    longest, looks = page.evaluate("() => [Math.max(0, ...seen.long), seen.looks]")
    print(f"Chromium, page load: median {statistics.median(loads):.2f} s")
    print(f"Chromium, click to first picture: {told(firsts)}")
    print(f"Chromium, stroke to first look: median {statistics.median(looks):.2f} s")
    print(f"Chromium, stroke to picture: {told(edits)}")
    print(f"Python, the same edit: {told(python)}")
    print(f"Chromium, main thread: the longest task took {longest:.0f} ms (0: none took more than 50)")


def in_firefox(home: str) -> None:
    loads, firsts, edits = [], [], []
    for start in range(STARTS):
        with fox.firefox(home) as page:

            def first(page=page) -> None:
                page.click(".live-go")
                page.wait_for(PICTURE)

            def stroke(number: int, page=page) -> None:
                x, y, side, _ = page.box(".live-paper canvas")
                page.stroke((x + side * (number + 1) / (EDITS + 2), y + side / 2))
                page.wait_for(f"seen.edits > {number}")

            loads.append(timed(functools.partial(page.goto, f"{home}studio.html"))[0])
            firsts.append(timed(first))
            if start == STARTS - 1:
                page.run(f"({WATCH})()")
                edits = [timed(functools.partial(stroke, number)) for number in range(EDITS)]
    print(f"Firefox, page load: median {statistics.median(loads):.2f} s")
    print(f"Firefox, click to first picture: {told(firsts)}")
    print(f"Firefox, stroke to picture: {told(edits)}")


def on_the_wire(live: Path) -> None:
    """The scripts that a click fetches, as a server sends them: compressed."""
    listed = json.loads(re.search(r"const FILES = (\{.*?\});", (live / "studio.js").read_text())[1])
    few = {"unet"} if "unet_few" in listed else {"unet_few"}
    names = [f"{name}-{k}.js" for name in listed.keys() - few for k in range(listed[name]["parts"])]
    files = [(live / name).read_bytes() for name in names]
    plain, sent = sum(map(len, files)) / 1e6, sum(len(gzip.compress(data, 6)) for data in files) / 1e6
    print(f"A click fetches {sent:.1f} MB compressed, {plain:.1f} MB from a server that does not compress")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__.split("\n")[0])
    parser.add_argument("site", type=Path, help="what make book has built")
    site = parser.parse_args().site
    on_the_wire(site / "_static" / "live")
    with chrome.served(site) as home:
        in_chromium(home, in_python())
        try:
            in_firefox(home)
        except pytest.skip.Exception as missing:
            print(f"Firefox was not timed: {missing}")


if __name__ == "__main__":
    main()
