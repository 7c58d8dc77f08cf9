import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from overread.agent.bundled import ALIGNED, OURS, WEIGHTS, our_tensors
from overread.agent.bundled import read_manifest as read_ours
from overread.agent.profiles import load_profile
from overread.evals.contamination import MANIFEST, read_manifest
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import file_hash
from overread.training import manifest
from overread.training.export import Wanted, export, verify
from overread.training.greedy import in_process
from overread.training.quantise import check, check_bitsandbytes, kept_modules
from overread.training.served_check import check as served_check
from overread.training.trained import find, load, load_folder
from tests.training import served_vlm


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served_vlm.save_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    """A LoRA run that trained the connector, too, and says on whom."""
    folder = served_vlm.save_run(tmp_path_factory.mktemp("run") / "sft", base, ["connector"])
    manifest.write(folder, manifest.lines_of([("fundus", 5)]))
    (folder / "README.md").write_text("---\ntags: [x]\n---\nLearnt in ten steps.\n")
    return folder


def no_inputs(folder: Path) -> list[dict]:
    raise AssertionError("nothing here is calibrated")


def answers(model, processor) -> list[list[int]]:
    greedy = [in_process(model, processor, prompt, 12) for prompt in served_vlm.prompts()]
    return [[token.id for token in answer.tokens] for answer in greedy]


def test_merged_weights_answer_as_the_run_and_not_as_its_base(run, base, tmp_path) -> None:
    out = export(find(run), tmp_path / "out", Wanted(), no_inputs)
    trained, here = answers(*load(find(run))), answers(*load_folder(out))
    assert here == trained
    assert here != answers(*load_folder(base))
    assert not [name for name in load_file(out / "model.safetensors") if "lora" in name]
    assert (out / "chat_template.jinja").is_file()


def test_an_adapter_lies_beside_a_base_with_all_else_that_was_trained(run, base, tmp_path) -> None:
    from peft import PeftModel

    out = export(find(run), tmp_path / "out", Wanted("adapter"), no_inputs)
    assert all(
        ".lora_" in name for name in load_file(out / "adapter" / "adapter_model.safetensors")
    )
    told = json.loads((out / "adapter" / "adapter_config.json").read_text())
    assert told["modules_to_save"] is None
    fresh, processor = load_folder(out / "base")
    assert answers(fresh, processor) != answers(*load(find(run)))
    adapted = PeftModel.from_pretrained(fresh, str(out / "adapter"), autocast_adapter_dtype=False)
    assert answers(adapted.eval(), processor) == answers(*load(find(run)))
    profile = load_profile(str(out / "profile.toml"))
    assert profile.model == str(out / "base")
    assert profile.lora == {"trained": str(out / "adapter")}
    assert (profile.adapter, profile.max_lora_rank) == ("trained", 8)


def test_a_plain_adapter_is_served_on_the_base_that_is_there(base, tmp_path) -> None:
    plain = served_vlm.save_run(tmp_path / "run", base)
    out = export(find(plain), tmp_path / "out", Wanted("adapter"), no_inputs)
    assert not (out / "base").exists()
    assert load_profile(str(out / "profile.toml")).model == str(base)


def test_card_manifest_and_hashes_go_along(run, tmp_path) -> None:
    out = export(find(run), tmp_path / "out", Wanted("adapter"), no_inputs)
    card = (out / "README.md").read_text()
    assert "Not a medical device" in card and "Learnt in ten steps." in card
    assert card.count("\n---\n") == 1
    for place in (out, out / "base", out / "adapter"):
        (line,) = read_manifest(place / MANIFEST).patients
        assert (line.domain, line.patients) == ("fundus", ((5, 5),))
    facts = verify(out)
    assert facts["weights"] == "sft/checkpoint-3" and facts["rank"] == 4
    assert "base/model.safetensors" in facts["sha256"]
    weights = out / "base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="is not the file that was exported"):
        verify(out)


def test_a_folder_in_use_and_a_run_without_weights_are_refused(run, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep me")
    with pytest.raises(InputError, match="is there already"):
        export(find(run), tmp_path / "out", Wanted(), no_inputs)
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep me"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no trained weights yet"):
        find(tmp_path / "empty")
    with pytest.raises(InputError, match="there is no training run"):
        find(tmp_path / "absent")
    (tmp_path / "empty" / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(InputError, match="pickled"):
        find(tmp_path / "empty")


def test_what_a_run_cannot_give_is_said(run, base, tmp_path) -> None:
    with pytest.raises(InputError, match="did not train the bundled planner's own parts"):
        export(find(run), tmp_path / "out", Wanted("ours"), no_inputs)
    with pytest.raises(InputError, match="it has no adapter; use --merge"):
        export(find(base), tmp_path / "out", Wanted("adapter"), no_inputs)
    with pytest.raises(InputError, match="only merged weights are quantised"):
        export(find(run), tmp_path / "out", Wanted("adapter", bits=4), no_inputs)
    assert list(tmp_path.iterdir()) == []


def test_the_newest_checkpoint_counts_and_a_moved_base_is_named(run, base, tmp_path) -> None:
    copy = served_vlm.save_run(tmp_path / "run", base)
    (copy / "checkpoint-3").rename(copy / "checkpoint-12")
    served_vlm.save_run(copy, base)
    assert find(copy).folder == copy / "checkpoint-12"
    config = copy / "checkpoint-12" / "adapter_config.json"
    config.write_text(config.read_text().replace(str(base), "/nowhere/model"))
    with pytest.raises(InputError, match="is not at '/nowhere/model'; name its folder by --base"):
        find(copy)
    assert find(copy, str(base)).base == str(base)


def test_a_merge_that_is_not_finite_leaves_nothing(base, tmp_path) -> None:
    broken = served_vlm.save_run(tmp_path / "run", base)
    file = broken / "checkpoint-3" / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(iter(tensors))
    save_file({**tensors, name: torch.full_like(tensors[name], float("nan"))}, file)
    with pytest.raises(ConfigError, match="cannot be merged"):
        export(find(broken), tmp_path / "out", Wanted(), no_inputs)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("bits", [8, 4])
def test_bitsandbytes_shrinks_the_text_part_and_is_checked_here(run, tmp_path, bits: int) -> None:
    full = export(find(run), tmp_path / "full", Wanted(), no_inputs)
    out = export(find(run), tmp_path / "out", Wanted(bits=bits), no_inputs)
    kept, small = load_file(full / "model.safetensors"), load_file(out / "model.safetensors")
    name = "model.text_model.layers.0.mlp.down_proj.weight"
    assert small[name].dtype == (torch.int8 if bits == 8 else torch.uint8)
    tower = "model.vision_model.encoder.layers.0.mlp.fc1.weight"
    assert torch.equal(small[tower], kept[tower])
    found = served_check(find(run), out, verify(out), served_vlm.prompts())
    assert found.how == f"in this process, bitsandbytes with {bits} bits"
    assert (found.prompts, found.misread) == (4, 0)
    assert json.loads((out / "check.json").read_text())["same"] == found.same


def test_bitsandbytes_works_here_and_kept_modules_are_found() -> None:
    check_bitsandbytes(8)
    check_bitsandbytes(4)
    assert kept_modules(served_vlm.model()) == ["model.vision_model", "model.connector", "lm_head"]


def test_what_this_machine_cannot_quantise_is_said_before_any_work(run, tmp_path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    for fmt in ("awq", "gptq"):
        with pytest.raises(ConfigError, match=f"{fmt} needs .*a GPU"):
            export(find(run), tmp_path / "out", Wanted(bits=4, fmt=fmt), no_inputs)
    with pytest.raises(InputError, match="awq has 4 bits, not 8"):
        check("awq", 8)
    with pytest.raises(InputError, match="there is no bnb of 3 bits"):
        check("bnb", 3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_bundled_planner_is_exported_as_it_is_assembled(tmp_path: Path) -> None:
    weights = find(WEIGHTS)
    told = read_ours()
    assert (weights.kind, weights.rank) == ("ours", told["lora_rank"])
    merged = export(weights, tmp_path / "merged", Wanted(), no_inputs)
    assert file_hash(merged / "model.safetensors") == told["sha256"]["assembled"]
    ours = export(weights, tmp_path / "ours", Wanted("ours"), no_inputs)
    here, there = load_file(ours / OURS), our_tensors(WEIGHTS)
    assert here.keys() == there.keys() and all(torch.equal(here[n], there[n]) for n in there)
    again = json.loads((ours / "manifest.json").read_text())
    assert again["sha256"]["assembled"] == told["sha256"]["assembled"]
    apart = export(weights, tmp_path / "apart", Wanted("adapter"), no_inputs)
    tensors = load_file(apart / "adapter" / "adapter_model.safetensors")
    trained = {name for name in load_file(WEIGHTS / OURS) if "lora_" in name}
    assert {
        name.removeprefix("base_model.model.").replace(".weight", ".default.weight")
        for name in tensors
    } == trained
    base = load_file(apart / "base" / "model.safetensors")
    name = "model.connector.modality_projection.proj.weight"
    assert torch.equal(base[name], load_file(WEIGHTS / OURS)[name])


def aligned_run(folder: Path, part: str) -> Path:
    """A run that went on from the packaged planner, with one of its parts moved."""
    tensors = our_tensors(WEIGHTS)
    moved = {name: t + 0.125 if part in name else t for name, t in tensors.items()}
    (folder / "ours").mkdir(parents=True)
    save_file(moved, folder / "ours" / OURS)
    return folder


@pytest.mark.slow
def test_an_aligned_adapter_takes_the_place_of_the_supervised_one(tmp_path: Path) -> None:
    run = aligned_run(tmp_path / "run", ".lora_B.")
    out = export(find(run), tmp_path / "aligned", Wanted("aligned"), no_inputs)
    assert sorted(p.suffix for p in out.iterdir() if "safetensors" in p.name) == [".safetensors"]
    (out / OURS).symlink_to(WEIGHTS / OURS)
    here, there = our_tensors(out), our_tensors(run / "ours")
    assert here.keys() == there.keys() and all(torch.equal(here[n], there[n]) for n in there)
    merged = export(find(run), tmp_path / "merged", Wanted(), no_inputs)
    told = json.loads((out / "manifest.json").read_text())["sha256"]
    assert told["assembled"] == file_hash(merged / "model.safetensors")
    assert told[ALIGNED] == file_hash(out / ALIGNED) and told[OURS] == file_hash(WEIGHTS / OURS)


def test_an_aligned_adapter_is_all_that_was_trained(tmp_path: Path) -> None:
    run = aligned_run(tmp_path / "run", "connector")
    with pytest.raises(InputError, match="trained more than the adapter"):
        export(find(run), tmp_path / "aligned", Wanted("aligned"), no_inputs)
    assert not (tmp_path / "aligned").exists()
