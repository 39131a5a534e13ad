"""How long a command takes from a client's request until the plugin has it, through the real bridge in its own process.

    python -m bench.studio            1,000 commands by each way, and three bursts of 200
    python -m bench.studio --quick    200 commands by each way

The time runs from the client's call until the plugin's side has the message: over the stream, and as the answer to a
poll that is held, where commands come at the pace of a person. The figure is the 99th percentile of the slower one. The
baseline is a plugin that polls every half second, which waits a quarter of one on average.
"""

import argparse
import json
import statistics
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from luau_rft.progress import bar
from tests.servers.bridge import Plugin, Process, Running, receive, result

GOAL_MS = 100
BURST = 200
SHORT_POLL_MS = 250  # the mean delay of a poll every 500 ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder, Process(Path(folder)) as process:
        plugin = process.pair("bench", "Bench")
        streamed = by_stream(process.bridge(), plugin, 200 if quick else 1000)
        polled = by_poll(process.bridge(), plugin, 40 if quick else 120)
        bursts = [burst(process.bridge(), plugin) for _ in range(1 if quick else 3)]
    for name, times in (("stream", streamed), ("held poll", polled)):
        print(f"{name}: median {statistics.median(times):.1f} ms, 99 % {worst(times):.1f} ms, of {len(times)} commands")
    print(f"a burst of {BURST}: all done and acknowledged after {max(bursts):.0f} ms")
    print(f"RESULT studio_delivery_ms {max(worst(streamed), worst(polled)):.1f} <={GOAL_MS}")
    print(f"RESULT studio_speedup_over_short_polls {SHORT_POLL_MS / statistics.median(streamed + polled):.1f} >=5")
    print(f"RESULT studio_burst_ms {max(bursts):.0f}")


def worst(times: list[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(times, n=100)[98]


def by_stream(bridge: Running, plugin: Plugin, count: int) -> list[float]:
    """Milliseconds of each command, one after the other."""
    times = []
    with plugin.stream() as stream, bar("stream", count) as advance:
        for _ in range(count):
            id_ = str(uuid.uuid4())
            start = time.perf_counter()
            bridge.queue("bench", id_)
            while receive(stream).get("id") != id_:
                pass
            times.append(1000 * (time.perf_counter() - start))
            stream.send(result(id_))
            advance(1)
    return times


def by_poll(bridge: Running, plugin: Plugin, count: int) -> list[float]:
    """The same with polls, each of which is held when the command comes."""
    times = []
    results: list[dict[str, object]] = []
    plugin.messages()
    with ThreadPoolExecutor(1) as pool, bar("polls", count) as advance:
        for _ in range(count):
            if results:
                plugin.messages(results=results)
            held = pool.submit(lambda: (plugin.commands(25), time.perf_counter()))
            time.sleep(0.55)
            id_ = str(uuid.uuid4())
            start = time.perf_counter()
            bridge.queue("bench", id_)
            ids, end = held.result()
            assert ids == [id_], ids
            times.append(1000 * (end - start))
            results = [{"id": id_, "ok": True}]
            advance(1)
    plugin.messages(results=results)
    return times


def burst(bridge: Running, plugin: Plugin) -> float:
    """Milliseconds until a burst is delivered and every result acknowledged."""
    ids = [str(uuid.uuid4()) for _ in range(BURST)]
    with plugin.stream() as stream:
        start = time.perf_counter()
        bridge.queue("bench", *ids)
        for _ in ids:
            stream.send(result(receive(stream)["id"]))
        left = set(ids)
        while left:
            left -= set(json.loads(stream.recv(timeout=20)).get("ids", []))
        return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
