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


@pytest.mark.parametrize(
    "text",
    [
        FENCED.replace("\n", "\r\n"),
        f"<think>\nA first try:\n```lua\nlocal x = 0\n```\n</think>\n\n{FENCED}",
        f"<think>The user wants a greeting.</think>\n{CODE}",
        f"I should connect PlayerAdded.\n</think>\n{FENCED}",
        f'Config:\n```json\n{{"greeting": "Hello"}}\n```\nScript:\n{FENCED}',
        f"```python\nprint('no')\n```\nIn Luau:\n{FENCED}",
        f"{FENCED}\nOutput:\n```\nHello Builderman\n```",
        f"````lua\n{CODE}\n````",
        f"````markdown\n{FENCED}\n````",
        f'```lua title="greet.lua"\n{CODE}\n```',
        f"```{{.lua}}\n{CODE}\n```",
        f"```Lua   \n{CODE}\n```   ",
        f"~~~lua\n{CODE}",
        f"```lua\n{CODE}```",
        f"Here: ```lua\n{CODE}\n```",
        f"{CODE}\n```lua",
        f"{CODE}\n```\n\nExplanation of the code:\n- It greets.",
        f"{CODE}\nHere's how it works: every player is greeted.",
        f"{CODE}\n\n**Note**: Put this in ServerScriptService.",
        f"{CODE}\n\n1. Open Studio\n2. Paste it",
        f"**Script:**\n\n{CODE}",
        f"> Sure, here it is.\n\n{CODE}",
        f"Sure!\n\n---\n\n{CODE}\n\n---\n\nHope this helps!",
        f"here is the script:\n{CODE}",
        f"\U0001f389 Here's your script!\n\n{CODE}",
        f"<answer>\n{CODE}\n</answer>",
        f"Luau\n{CODE}",
        f"\ufeff{CODE}",
        f"{CODE}<|im_end|>",
    ],
)
def test_real_looking_answers(text):
    assert clean(text) == (CODE, True)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("### Server\n```lua\nlocal a = 1\n```\n### Client\n```lua\nprint(a)\n```", "local a = 1\n\nprint(a)"),
        ("~~~lua\nlocal a = 1\n~~~\nThen:\n```lua\nprint(a)\n```", "local a = 1\n\nprint(a)"),
        ("```lua\nlocal a = 1\n```\nThen:\n```lua\nprint(a)", "local a = 1\n\nprint(a)"),
        ("```lua\nlocal a = 1\n```lua\nprint(a)\n```", "local a = 1\n\nprint(a)"),  # the first is never closed
        ("1. Do this:\n   ```lua\n   if a then\n     print(a)\n   end\n   ```", "if a then\n  print(a)\nend"),
        ("~~~lua\nlocal s = [[\n```\n]]\n~~~", "local s = [[\n```\n]]"),
        (
            "```lua\nlocal s = [==[\n```lua\nf()\n```\n]==]\nprint(s)\n```",
            "local s = [==[\n```lua\nf()\n```\n]==]\nprint(s)",
        ),
        ("```luau\n--[[\nUsage:\n```\nf()\n```\n]]\nf()\n```\nEnjoy!", "--[[\nUsage:\n```\nf()\n```\n]]\nf()"),
        ("`print(1)`", "print(1)"),
        ("```lua print(1)```", "print(1)"),
    ],
)
def test_blocks_and_fences_within_fences(text, code):
    assert clean(text) == (code, True)


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
        "local help = [[\n```lua\nprint(1)\n```\n]]\nprint(help)",
        "--[[\nUsage:\n```lua\nf()\n```\n]]\nlocal x = 1\nprint(x)",
        "-- ```lua\n-- f()\n-- ```\nlocal x = 1",
        "---\n--- Greets.\n---\nlocal function greet() end",
        "local s = `{a}```{b}`\nprint(s)",
        "--[[\nThis script greets players.\n]]\nprint(1)\n--[[\nThe end.\n]]",
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
