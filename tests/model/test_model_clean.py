from pathlib import Path

import pytest

from luau_rft.model.clean import clean

CODE = """local Players = game:GetService("Players")

Players.PlayerAdded:Connect(function(player)
	print(`Hello {player.Name}`)
end)"""
FENCED = f"```lua\n{CODE}\n```"


def test_plain_code_stays():
    assert clean(f"\n{CODE}\n\n") == (CODE, False)


@pytest.mark.parametrize(
    "text",
    [
        FENCED,
        f"```\n{CODE}\n```",
        f"~~~luau\n{CODE}\n~~~",
        f"Here is the script:\n\n{FENCED}\n\nThis script greets players.",
        f"```lua\n{CODE}",  # cut off before the closing fence
        f"{CODE}\n```",  # opened by the prompt, closed by the model
        f"{CODE}\n```\nThis script greets every player who joins.",
        f"Here's a complete Luau script:\n{CODE}",
        f"Sure!\n\n{CODE}",
        f"{CODE}\n\n### Explanation\n1. The service is fetched.\n2. Players are greeted.\n- **Note:** enjoy",
        f'{CODE}\n\nThis code uses `game:GetService("Players")` to greet.\n',
        f"{FENCED}\nInstall it with:\n```bash\nrojo build\n```",
    ],
)
def test_takes_fences_and_chatter_away(text):
    assert clean(text) == (CODE, True)


def test_joins_several_blocks():
    text = "First:\n```lua\nlocal a = 1\n```\nThen:\n```lua\nprint(a)\n```"
    assert clean(text) == ("local a = 1\n\nprint(a)", True)


def test_other_languages_are_kept_when_there_is_no_luau():
    assert clean("```python\nprint('x')\n```") == ("print('x')", True)


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\nclass Foo:\n    pass",  # not made to look better than it is
        "I am sorry. I cannot write that.",
        "",
        "-- Here is a comment that reads like a sentence.\nprint(1)",
        'Part = Instance.new("Part")\nPart.Parent = workspace',
        "Foo.Bar = 1\nFoo ..= 'x'\nA, B = B, A",
        "print([[\nThis is a long string in code.\n]])",
        "Workspace.Part.Touched:Connect(print)",
    ],
)
def test_leaves_alone_what_is_no_chatter(text):
    assert clean(text) == (text, False)


def test_never_touches_real_scripts():
    root = Path(__file__).parents[2] / "data"
    scripts = [path for pattern in ("tasks/*/*/*.luau", "sample/**/*.luau") for path in root.glob(pattern)]
    assert scripts
    for path in scripts:
        text = path.read_text(encoding="utf-8").strip()
        assert clean(text) == (text, False), path
        assert clean(f"Sure, here is the script:\n\n{text}\n\nLet me know if it works!") == (text, True), path
