"""The built plugin is a well-formed model with every source as it is in its file."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from luau_rft.luau.compiler import compile_error
from luau_rft.scorers.composite import score_code
from luau_rft.studio import build

# Real members that the API database lacks.
UNLISTED = {
    "PluginToolbarButton has no property ClickableWhenViewportHidden",
    "DockWidgetPluginGui has no property Title",
}


def items(text):
    """Class, source or value by name, of the root and of its children."""
    found = {}
    for item in ElementTree.fromstring(text).iter("Item"):
        values = {each.get("name"): each.text for each in item.find("Properties")}
        found[values["Name"]] = (item.get("class"), values.get("Source", values.get("Value")))
    return found


def test_the_model_holds_every_file_word_for_word():
    found = items(build.build())
    files = {path.name.split(".")[0]: path.read_text(encoding="utf-8") for path in build.PLUGIN.iterdir()}
    files[build.NAME] = files.pop("Main")
    assert {name: source for name, (_, source) in found.items() if name != "Version"} == files
    assert found[build.NAME][0] == "Script"
    assert found["Version"] == ("StringValue", build.version())
    assert {class_ for name, (class_, _) in found.items() if name in files} == {"Script", "ModuleScript"}


def test_the_script_is_the_only_root_and_referents_are_unique():
    root = ElementTree.fromstring(build.build())
    assert (root.tag, root.get("version")) == ("roblox", "4")
    [script] = root.findall("Item")
    assert script.get("class") == "Script"
    referents = [item.get("referent") for item in root.iter("Item")]
    assert len(set(referents)) == len(referents) == len(build.sources()) + 1


def test_building_twice_gives_the_same_file_and_an_edit_another_version(tmp_path):
    paths = [tmp_path / "one.rbxmx", tmp_path / "deep" / "two.rbxmx"]
    for path in paths:
        subprocess.run([sys.executable, "-m", "luau_rft.studio.build", str(path)], check=True)
    assert paths[0].read_bytes() == paths[1].read_bytes() == build.build().encode()
    edited = {**build.sources(), "Types": "return {}"}
    assert build.version(edited) != build.version()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["deep", "one.rbxmx"]


@pytest.mark.parametrize(
    "source",
    [
        "return a[b[1]]>2",
        "return ']]]]>' .. '<![CDATA[' .. '&amp;<x/>'",
        "\n\treturn '\u00e9 \U0001f6aa' \n\n",
        "]]>",
        "",
    ],
)
def test_awkward_sources_survive(source):
    assert (items(build.build({build.NAME: "return 1", "Awkward": source}))["Awkward"][1] or "") == source


@pytest.mark.parametrize("character", ["\0", "\x1b", "\r", "\ufffe", "\ud800"])
def test_what_xml_cannot_hold_is_an_error_with_its_line(character):
    with pytest.raises(ValueError, match="Awkward, line 2"):
        build.build({build.NAME: "return 1", "Awkward": f"return 1\n--{character}"})


@pytest.mark.parametrize("name", list(build.sources()))
def test_a_module_is_strict_compiles_and_scores_well(name):
    source = build.sources()[name]
    assert source.startswith("--!strict\n")
    assert compile_error(source) is None
    findings = score_code(source, "module").findings
    assert {finding.message for finding in findings} <= UNLISTED


def test_every_module_that_is_required_is_there_and_used():
    modules = build.sources()
    required = {name: set(re.findall(r"require\(script(?:\.Parent)?\.(\w+)\)", text)) for name, text in modules.items()}
    assert set.union(*required.values()) == set(modules) - {build.NAME}
