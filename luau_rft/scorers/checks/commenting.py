"""Comments say something."""

import re
from collections.abc import Iterator

from luau_rft.luau.comments import comments, judged, useful
from luau_rft.luau.substance import living, returns_table
from luau_rft.luau.tree import Tree
from luau_rft.scorers.base import Hit

MIN_STATEMENTS = 6  # shorter code explains itself
STATEMENTS_PER_COMMENT = 40
MAX_WANTED = 3  # comments; nobody should write them by the dozen to please a rule


def no_comments(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """No comment says what the program is for: none that has words of its own, and to do with code that is used.

    Bad:
        local Players = game:GetService("Players")
        Players.PlayerAdded:Connect(function(player)
            local stats = Instance.new("Folder")
            stats.Name = "leaderstats"
            stats.Parent = player
            player:SetAttribute("Coins", 10)
        end)
    Good:
        -- Every player starts with ten coins and a board to show them on.
        local Players = game:GetService("Players")
        Players.PlayerAdded:Connect(function(player)
            local stats = Instance.new("Folder")
            stats.Name = "leaderstats"
            stats.Parent = player
            player:SetAttribute("Coins", 10)
        end)
    """
    if len(living(tree)) >= MIN_STATEMENTS and not useful(tree):
        yield 1, "no comment says what this is for: start with a line on its purpose"


def few_comments(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """More than 80 statements are in use, and only one or two comments help to find the way through them.

    Bad:
        -- Names every door of the castle after the room behind it.
        local function name(door)
            door.a1 = 1; door.a2 = 1; door.a3 = 1; door.a4 = 1; door.a5 = 1; door.a6 = 1; door.a7 = 1; door.a8 = 1
            door.b1 = 1; door.b2 = 1; door.b3 = 1; door.b4 = 1; door.b5 = 1; door.b6 = 1; door.b7 = 1; door.b8 = 1
            door.c1 = 1; door.c2 = 1; door.c3 = 1; door.c4 = 1; door.c5 = 1; door.c6 = 1; door.c7 = 1; door.c8 = 1
            door.d1 = 1; door.d2 = 1; door.d3 = 1; door.d4 = 1; door.d5 = 1; door.d6 = 1; door.d7 = 1; door.d8 = 1
            door.e1 = 1; door.e2 = 1; door.e3 = 1; door.e4 = 1; door.e5 = 1; door.e6 = 1; door.e7 = 1; door.e8 = 1
            door.f1 = 1; door.f2 = 1; door.f3 = 1; door.f4 = 1; door.f5 = 1; door.f6 = 1; door.f7 = 1; door.f8 = 1
            door.g1 = 1; door.g2 = 1; door.g3 = 1; door.g4 = 1; door.g5 = 1; door.g6 = 1; door.g7 = 1; door.g8 = 1
            door.h1 = 1; door.h2 = 1; door.h3 = 1; door.h4 = 1; door.h5 = 1; door.h6 = 1; door.h7 = 1; door.h8 = 1
            door.i1 = 1; door.i2 = 1; door.i3 = 1; door.i4 = 1; door.i5 = 1; door.i6 = 1; door.i7 = 1; door.i8 = 1
            door.j1 = 1; door.j2 = 1; door.j3 = 1; door.j4 = 1; door.j5 = 1; door.j6 = 1; door.j7 = 1; door.j8 = 1
        end
        name(workspace.Door)
    Good:
        -- Names the front door of the castle after the room behind it.
        workspace.Door.Name = "Hall"
    """
    wanted = min(MAX_WANTED, len(living(tree)) // STATEMENTS_PER_COMMENT)
    if wanted > 1 and 0 < (found := len(useful(tree))) < wanted:
        yield 1, f"{found} useful comments for {len(living(tree))} statements: say what each part is for"


def empty_comment(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A comment only repeats the code beside it or an earlier comment, or is code that was commented out.

    Bad:
        -- set the name of the workspace
        workspace.Name = "Arena"
    Bad:
        -- workspace.Gravity = 50
        workspace.Name = "Arena"
    Good:
        -- Matchmaking looks the server up by this name.
        workspace.Name = "Arena"
    """
    for comment in judged(tree)[1]:
        if comment.is_code:
            yield comment.node, "code that is commented out: remove it"
        elif not comment.is_notice and (comment.restates or comment.says_something):
            yield comment.node, "this comment repeats the code or another comment: say why, or remove it"


def too_many_comments(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """There is more comment than code that does something, by number or by length.

    Bad:
        -- The workspace holds everything that players see around them.
        -- It has a name, which is a text, and texts can be changed.
        -- Names may hold letters, digits and blanks in any order.
        -- The arena is called arena because it is an arena.
        -- Changing a name takes no time and needs no permission.
        workspace.Name = "Arena"
    Good:
        -- Matchmaking looks the server up by this name.
        workspace.Name = "Arena"
    """
    prose = [comment for comment in comments(tree) if not comment.is_notice]
    if not prose:
        return
    alive = len(living(tree))
    if kind == "module" and returns_table(tree):
        alive = max(alive, 2 * len(tree.of("field")))  # a word on each value, its unit perhaps
    length = sum(len(comment.text) for comment in prose)
    commented = sum(node.end - node.start for node in tree.comments)
    code = len(tree.data) - commented - tree.data.count(b"\t")
    if len(prose) > max(4, alive // 2) or length > max(200, code):
        yield prose[0].node, "there is more comment than code: keep what the code cannot say"


_DIRECTIVES = re.compile(r"--!(?:strict|nonstrict|nocheck|native|optimize [012]|nolint(?: \w+)?)\s*")


def comment_directive(tree: Tree, kind: str | None) -> Iterator[Hit]:
    """A comment that starts with ``--!`` is no directive that Luau knows, or stands below code, where it is ignored.

    Bad:
        --!srict
        workspace.Name = "Arena"
    Bad:
        workspace.Name = "Arena"
        --!strict
    Good:
        --!strict
        workspace.Name = "Arena"
    Like: Luau CommentDirective
    """
    first = tree.root.children[0].start if tree.root.children else len(tree.data)
    for node in tree.comments:
        if not tree.data.startswith(b"--!", node.start):
            continue
        if not _DIRECTIVES.fullmatch(node.text):
            yield node, f"Luau knows no directive {node.text.strip()[:30]}"
        elif node.start > first:
            yield node, "directives stand above all code"
