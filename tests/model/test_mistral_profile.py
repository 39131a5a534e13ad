"""The profile ``mistral-7b`` up to its first step and first candidate, on a random model of Mistral's shape."""

import json
import shutil
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from luau_rft import profile, tables
from luau_rft.config import load
from luau_rft.corpus.filter import FilterParams
from luau_rft.errors import UserError
from luau_rft.model import generate as generation
from luau_rft.model.base import BaseParams, ModelParams, load_model, load_tokenizer, read_record, resolve, write_record
from luau_rft.model.engines.base import EngineName, SamplingParams, params_class
from luau_rft.model.engines.transformers import TransformersParams
from luau_rft.model.generate import SampleParams
from luau_rft.model.prompt import token_ids
from luau_rft.model.train import RECIPES, CommonParams, LoraParams, train
from luau_rft.selection import SelectParams
from luau_rft.tasks import TaskCounts, load_tasks
from tests.model.mistral import NAME, v3_tokenizer
from tests.project import ROOT

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ROWS = [
    {
        "id": f"row-{number}",
        "task": f"Make a part {number} studs wide",
        "code": f'local part = Instance.new("Part")\npart.Size = Vector3.new({number}, 1, 1)\npart.Parent = workspace',
    }
    for number in range(8)
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A folder laid out like the hub's repository; its model has two layers."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=32768,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=32768,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        sliding_window=None,
        tie_word_embeddings=False,
    )
    folder = tmp_path_factory.mktemp("mistral")
    MistralForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    v3_tokenizer().save_pretrained(folder)
    # The repository also holds its weights in Mistral's own layout.
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    return folder


@pytest.fixture(scope="module")
def params(repository, tmp_path_factory):
    """``params.yaml`` after ``luau-rft profile mistral-7b``, with the repository's folder in the hub's place."""
    path = tmp_path_factory.mktemp("profile") / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    profile.apply("mistral-7b", path)
    yaml = YAML()
    content = yaml.load(path)
    content["base"]["hub"]["folder"] = str(repository)
    yaml.dump(content, path)
    return path


@pytest.fixture(scope="module")
def record(params):
    path = params.with_name("base.json")
    write_record(resolve(load("base", BaseParams, params)), path)
    return read_record(path)


@pytest.fixture(scope="module")
def trained(params, record):
    """The adapter's folder, the trainer that TRL made, and its model's weights before the first step."""
    import trl

    class Seen(trl.SFTTrainer):
        """TRL's trainer, remembered."""

        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            self.before = {name: value.detach().clone() for name, value in self.model.named_parameters()}
            seen.append(self)

    seen = []
    folder = params.with_name("sft")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trl, "SFTTrainer", Seen)
        train(
            ROWS,
            record,
            folder,
            params.with_name("curves"),
            recipe=load("train.sft", RECIPES["sft"], params).model_copy(update={"epochs": 1}),
            common=load("train.common", CommonParams, params),
            lora=load("train.lora", LoraParams, params),
            model_params=load("model", ModelParams, params),
        )
    [trainer] = seen
    return folder, trainer


def test_the_profile_is_the_model_cards_recipe(params):
    base = load("base", BaseParams, params)
    assert (base.source, base.name, base.license) == ("hub", NAME, "apache-2.0")
    model = load("model", ModelParams, params)
    assert (model.quantization, model.dtype) == ("nf4", "bfloat16")

    lora = load("train.lora", LoraParams, params)
    assert (lora.rank, lora.alpha, lora.dropout, lora.target_modules) == (64, 128, 0.05, TARGETS)
    sft, rft = (load(f"train.{name}", recipe, params) for name, recipe in RECIPES.items())
    assert (sft.epochs, sft.learning_rate, sft.init) == (3, 2e-4, "base.json")
    assert (rft.epochs, rft.learning_rate, rft.init) == (2, 1.5e-4, "base.json")
    common = load("train.common", CommonParams, params)
    assert (common.batch_size, common.gradient_accumulation, common.max_length) == (1, 8, 8192)
    assert common.gradient_checkpointing

    sampling = load("generate.sampling", SamplingParams, params)
    assert (sampling.temperature, sampling.top_p, sampling.max_new_tokens) == (0.8, 0.95, 4096)
    assert load("generate.samples", SampleParams, params).train == 4
    # If all rows get as long as they may, keys and values take 16 bits x 2 x 32 layers x 8 heads x 128 a token.
    rows = load("generate.transformers", TransformersParams, params).batch_size
    assert rows * (4096 + 512) * 2 * 2 * 32 * 8 * 128 < 12 * 2**30  # beside the model on a GPU of 24 GB
    assert len(load_tasks(ROOT / "data/tasks/train", load("tasks", TaskCounts, params).train)) == 50

    thresholds = load("filter", FilterParams, params)
    assert (thresholds.corpus_threshold, thresholds.gold_threshold) == (0.75, 0.80)
    select = load("select", SelectParams, params)
    assert (select.threshold, select.weights.deterministic, select.weights.judge) == (0.70, 0.40, 0.60)
    collect = YAML(typ="safe").load(params)["collect"]
    assert (collect["sources"], collect["hub"]["dataset"]) == (["hub"], "TorpedoSoftware/the-luau-stack")
    # About 300 examples, as the SFT model's card has them, even if each is a third as long as the bounds allow.
    assert collect["total_tokens"] / collect["bounds"]["max_tokens"] * 3 > 300


def test_the_record_holds_what_loading_reads(record, repository):
    assert record.name == NAME
    assert set(record.files) >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert "consolidated.safetensors" not in record.files
    assert (repository / "consolidated.safetensors").is_file()


def test_the_tokenizer_is_the_repositorys(record):
    tokenizer = load_tokenizer(record)
    assert tokenizer.pad_token == tokenizer.eos_token == "</s>"
    assert token_ids(tokenizer, "A door") == token_ids(v3_tokenizer(), "A door")
    code = (ROOT / "data/tasks/train/lava-floor/reference.luau").read_text()
    assert token_ids(tokenizer, "A door", code) == token_ids(v3_tokenizer(), "A door", code)


def test_linear_layers_are_nf4_with_double_quantisation(trained):
    import torch
    from bitsandbytes.nn import Linear4bit

    _, trainer = trained
    modules = dict(trainer.model.named_modules())
    quantised = {name: module for name, module in modules.items() if isinstance(module, Linear4bit)}
    assert len(quantised) == 2 * len(TARGETS)
    assert all(any(f".{target}.base_layer" in name for name in quantised) for target in TARGETS)
    for module in quantised.values():
        assert module.weight.quant_type == "nf4"
        assert module.weight.dtype == torch.uint8
        assert module.weight.quant_state.nested
        assert module.compute_dtype == torch.bfloat16
    head = modules["base_model.model.lm_head"]
    assert type(head) is torch.nn.Linear
    assert head.weight.dtype == torch.bfloat16


def test_the_trainer_follows_the_params(trained):
    import torch

    _, trainer = trained
    arguments = trainer.args
    assert arguments.bf16
    assert arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps == 8
    assert arguments.learning_rate == 2e-4
    assert arguments.activation_checkpointing
    layers = [module for module in trainer.model.modules() if type(module).__name__ == "MistralDecoderLayer"]
    assert [layer.gradient_checkpointing for layer in layers] == [True, True]
    adapters = {p.dtype for name, p in trainer.model.named_parameters() if "lora_" in name}
    assert adapters == {torch.bfloat16}  # as TRL trains QLoRA
    lora = trainer.model.peft_config["default"]
    assert (lora.r, lora.lora_alpha, lora.lora_dropout, lora.bias) == (64, 128, 0.05, "none")
    assert sorted(lora.target_modules) == sorted(TARGETS)


def test_one_step_moves_the_adapter_and_nothing_else(trained):
    import torch

    folder, trainer = trained
    assert trainer.state.global_step == 1
    after = dict(trainer.model.named_parameters())
    assert after.keys() == trainer.before.keys()
    moved = {name for name, value in trainer.before.items() if not torch.equal(value, after[name].detach())}
    # A learns nothing in the first step, because B begins with zeros.
    assert moved == {name for name in after if "lora_B" in name}
    assert len(moved) == 14
    assert {name for name, value in after.items() if value.requires_grad} == {n for n in after if "lora_" in n}
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == NAME
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (64, 128, 0.05)
    assert config["target_modules"] == sorted(TARGETS)


def test_the_model_answers_with_its_adapter(params, record, trained):
    engine = load("generate.engine", EngineName, params).root
    rows = generation.generate(
        load_tasks(ROOT / "data/tasks/train", 1),
        1,
        record,
        params.with_name("candidates.parquet"),
        sampling=load("generate.sampling", SamplingParams, params).model_copy(update={"max_new_tokens": 8}),
        engine=engine,
        engine_params=load(f"generate.{engine}", params_class(engine), params),
        model_params=load("model", ModelParams, params),
        adapter=trained[0],
    )
    [row] = rows.to_dicts()
    assert row["model"] == "sft"
    assert 0 < row["tokens"] <= 8
    assert row["text"]
    assert tables.read(params.with_name("candidates.parquet"), "candidates").equals(rows)


def test_the_adapter_changes_what_the_quantised_model_says(record, trained):
    import torch

    ids = torch.tensor([token_ids(v3_tokenizer(), "A door")])
    with torch.inference_mode():
        plain = load_model(record, "bfloat16", "nf4")(ids).logits
        adapted = load_model(record, "bfloat16", "nf4", adapter=trained[0])(ids).logits
    assert torch.isfinite(adapted).all()
    assert not torch.equal(plain, adapted)


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("model.safetensors", None, r"base\.hub\.folder: .* holds no model \(\*\.safetensors is missing\)"),
        ("config.json", None, r"base\.hub\.folder: .* holds no model \(config\.json is missing\)"),
        ("config.json", "{", r"its tokenizer cannot be read from .* \(.*not a valid JSON file"),
        ("config.json", '{"model_type": "nonesuch"}', r"its model cannot be read from .* `nonesuch`"),
        ("config.json", '{"model_type": "vit"}', r"its model cannot be read from .* of a causal language model"),
        ("tokenizer.json", None, r"its tokenizer cannot be read from .* must hold .* tokenizer\.json"),
        ("tokenizer.json", "{", r"its tokenizer cannot be read from"),
        ("model.safetensors", "short", r"its model cannot be read from .* all of them whole"),
        ("chat_template.jinja", None, r"base\.name: mistralai/.* has no chat template"),
    ],
)
def test_a_broken_repository_is_a_user_error(repository, params, tmp_path, file, content, problem):
    folder = tmp_path / "repository"
    shutil.copytree(repository, folder, ignore=shutil.ignore_patterns("consolidated*"))
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_text(content)
    base = load("base", BaseParams, params)
    elsewhere = base.model_copy(update={"hub": base.hub.model_copy(update={"folder": str(folder)})})

    def use():
        broken = resolve(elsewhere)
        token_ids(load_tokenizer(broken), "A door")
        load_model(broken)

    with pytest.raises(UserError, match=rf"params\.yaml: .*{problem}"):
        use()


@pytest.mark.parametrize(
    ("section", "changes", "problem"),
    [
        ("lora", {"target_modules": ["q_proj", "query"]}, r"train\.lora\.target_modules: .* no linear layer 'query'"),
        ("lora", {"target_modules": ["mlp"]}, r"train\.lora\.target_modules: .* no linear layer 'mlp'"),
        ("common", {"max_length": 20}, r"train\.common\.max_length: none of the 8 training examples fits 20 tokens"),
        ("model_params", {"dtype": "float16"}, r"model\.dtype: training on nf4 needs bfloat16, not float16"),
        ("model_params", {"dtype": "float32"}, r"model\.dtype: training on nf4 needs bfloat16, not float32"),
    ],
)
def test_params_that_cannot_train_are_a_user_error(params, record, tmp_path, section, changes, problem):
    sections = {
        "recipe": load("train.sft", RECIPES["sft"], params),
        "common": load("train.common", CommonParams, params),
        "lora": load("train.lora", LoraParams, params),
        "model_params": load("model", ModelParams, params),
    }
    sections[section] = sections[section].model_copy(update=changes)
    with pytest.raises(UserError, match=rf"params\.yaml: {problem}"):
        train(ROWS, record, tmp_path / "sft", tmp_path / "curves", **sections)
    assert not (tmp_path / "sft").exists()


@pytest.mark.usefixtures("record")
def test_nf4_without_bitsandbytes_is_a_user_error(params):
    code = (
        "import sys\n"
        "sys.modules['bitsandbytes'] = None\n"
        "from luau_rft.model.base import load_model, read_record\n"
        f"load_model(read_record({str(params.with_name('base.json'))!r}), quantization='nf4')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "params.yaml: model.quantization: nf4 needs the package bitsandbytes" in done.stderr.splitlines()[-1]
