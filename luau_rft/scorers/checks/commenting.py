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
        -- Clones each part of the castle into the world.
        local function build(name)
            script[name]:Clone().Parent = workspace
        end
        build("Gate"); build("Bridge"); build("Moat"); build("Yard"); build("Well")
        build("Stable"); build("Forge"); build("Kitchen"); build("Pantry"); build("Cellar")
        build("Hall"); build("Throne"); build("Chapel"); build("Crypt"); build("Vault")
        build("Armoury"); build("Barracks"); build("Tower"); build("Keep"); build("Turret")
        build("Rampart"); build("Library"); build("Study"); build("Gallery"); build("Nursery")
        build("Bedroom"); build("Bath"); build("Attic"); build("Loft"); build("Pigeonry")
        build("Kennel"); build("Garden"); build("Orchard"); build("Pond"); build("Fountain")
        build("Maze"); build("Arbour"); build("Lawn"); build("Terrace"); build("Balcony")
        build("Stairs"); build("Lift"); build("Tunnel"); build("Cave"); build("Dungeon")
        build("Cell"); build("Gallows"); build("Pillory"); build("Market"); build("Stall")
        build("Bakery"); build("Brewery"); build("Dairy"); build("Mill"); build("Barn")
        build("Granary"); build("Smithy"); build("Tannery"); build("Weavery"); build("Pottery")
        build("Mint"); build("Treasury"); build("Court"); build("Council"); build("Office")
        build("Archive"); build("School"); build("Clinic"); build("Pharmacy"); build("Theatre")
        build("Stage"); build("Arena"); build("Stands"); build("Track"); build("Targets")
        build("Inn"); build("Tavern"); build("Cottage"); build("Shed"); build("Wall")
    Good:
        -- Clones each part of the castle into the world.
        for _, part in script:GetChildren() do
            part:Clone().Parent = workspace
        end
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
    Good:
        local opened = {} -- opened[player][door] = when
        workspace.Door.Touched:Connect(function(hit)
            opened[hit.Parent] = { [workspace.Door] = os.clock() }
        end)
    """
    for comment in judged(tree)[1]:
        if comment.is_code:
            if not comment.shows_layout:
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
