"""Kill -9 at fifty random moments: nothing that is stored is asked again, and the table comes out the same."""

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from tests.llm.questions import prompt, spending
from tests.project import ROOT

KILLS, COUNT = 50, 200
MOST_RUNS = 6 * KILLS  # some end before their moment comes


@pytest.mark.parametrize("mode", ["direct", "batch"])
def test_killed_runs_end_with_the_undisturbed_table_and_ask_for_nothing_that_is_stored(claude_server, tmp_path, mode):
    claude_server.latency_s = 0.002 if mode == "direct" else 0.05  # in a batch run only the submission takes it
    claude_server.results_pause_s = 0.005
    claude_server.looks = 4
    claude_server.workspaces = {f"chain{c}-run{r}": f"chain{c}" for c in range(MOST_RUNS) for r in range(c, MOST_RUNS)}
    command = [sys.executable, "-m", "tests.llm.killed", mode, str(tmp_path), str(KILLS), "7"]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)
    assert sum(run["killed"] for run in runs) == KILLS

    tables = {path.read_bytes() for path in tmp_path.glob("*.parquet")}
    chains = {run["chain"] for run in runs}
    assert len(list(tmp_path.glob("*.parquet"))) == len(chains)
    assert len(tables) == 1

    if mode == "batch":
        submitted = defaultdict(Counter)
        for state in claude_server.batches.values():
            submitted[state.workspace].update(e["params"]["messages"][0]["content"][-1]["text"] for e in state.requests)
        assert submitted == {f"chain{c}": Counter({prompt(n): 1 for n in range(COUNT)}) for c in chains}
        assert claude_server.count("messages") == 0
        return

    asked = defaultdict(list)
    for key, (endpoint, body) in zip(claude_server.keys, claude_server.requests, strict=True):
        if endpoint == "messages":
            asked[key].append(body["messages"][0]["content"][-1]["text"])
    later = {run["key"]: after for run, after in pairwise(runs) if run["chain"] == after["chain"]}
    for run in runs:
        prompts = asked[run["key"]]
        assert len(set(prompts)) == len(prompts)
        assert not set(prompts) & {prompt(int(key[3:])) for key in run["stored"]}
        if run["killed"]:
            stored = {prompt(int(key[3:])) for key in later[run["key"]]["stored"]}
            assert len(set(prompts) - stored) <= spending().concurrency
