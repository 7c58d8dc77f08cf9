"""Each benchmark's loader on a tiny copy in its true on-disk format."""

import json
from pathlib import Path

import pytest

from overread.evals.benchmarks import Benchmark, load, prompt
from overread.imaging.errors import InputError
from tests.evals.benchmark_files import (
    embedded,
    png,
    write,
    write_arrow,
    write_json,
    write_lines,
    write_parquet,
    write_zip,
)

VQA_RAD = [
    {"image": embedded(10), "question": "is there a fracture?", "answer": "no"},
    {"image": embedded(10), "question": "which plane is this?", "answer": "axial"},
    {"image": embedded(20), "question": "Is the heart enlarged?", "answer": "Yes "},
]


def by_question(benchmark: Benchmark) -> dict[str, object]:
    return {item.question: item for item in benchmark.items}


@pytest.mark.parametrize("name", ["vqa-rad", "path-vqa"])
@pytest.mark.parametrize("form", ["hub", "saved"])
def test_vqa_rad_and_path_vqa(name: str, form: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    if form == "hub":
        write_parquet(copy / "data" / "test-00000-of-00001-e5bc3d208bb4deeb.parquet", VQA_RAD)
    else:
        write_arrow(copy / "test" / "data-00000-of-00001.arrow", VQA_RAD)
    found = load(name, copy, work=tmp_path / "work")
    fracture, plane, heart = (by_question(found)[row["question"]] for row in VQA_RAD)
    assert (fracture.kind, fracture.options, fracture.answers) == ("closed", ("yes", "no"), ("no",))
    assert (plane.kind, plane.options, plane.answers) == ("open", (), ("axial",))
    assert heart.answers == ("yes",)
    assert fracture.images[0].read_bytes() == png(10)
    assert fracture.cluster == plane.cluster != heart.cluster
    assert len(list((tmp_path / "work").rglob("*.png"))) == 2, "an image is written once"
    assert prompt(fracture, found.spec).endswith("'yes' or 'no' (no extra output).")


def test_ids_of_rows_without_ids_do_not_depend_on_their_order(tmp_path: Path) -> None:
    for name, rows in (("a", VQA_RAD), ("b", VQA_RAD[::-1])):
        write_parquet(tmp_path / name / "data" / "test-0.parquet", rows)
    one, other = (load("vqa-rad", tmp_path / name, work=tmp_path / "w") for name in "ab")
    assert one.items == other.items


def slake(item: int, language: str, **fields: object) -> dict[str, object]:
    return {
        "img_id": 102, "img_name": "xmlab102/source.jpg", "question": f"q{item}", "answer": "MRI",
        "q_lang": language, "location": "Abdomen", "modality": "MRI", "answer_type": "OPEN",
        "base_type": "vqa", "content_type": "Modality", "triple": ["vhead", "_", "_"], "qid": item,
    } | fields  # fmt: skip


@pytest.mark.parametrize("zipped", [False, True])
def test_slake_keeps_english_and_its_own_answer_types(zipped: bool, tmp_path: Path) -> None:
    write_json(
        tmp_path / "test.json",
        [
            slake(1, "en"),
            slake(2, "zh", question="这是什么?"),
            slake(3, "en", answer="Yes", answer_type="CLOSED"),
            slake(4, "en", answer="Left Lung", answer_type="CLOSED"),
            slake(5, "en", answer="Yes"),
        ],
    )
    if zipped:
        write_zip(tmp_path / "imgs.zip", {"imgs/xmlab102/source.jpg": png(1)})
    else:
        write(tmp_path / "imgs" / "xmlab102" / "source.jpg", png(1))
    found = load("slake", tmp_path, work=tmp_path / "work")
    assert [item.id for item in found.items] == ["102/1", "102/3", "102/4", "102/5"]
    assert (found.rows, found.filtered) == (4, 1)
    first, yes, lung, open_yes = found.items
    assert (yes.kind, yes.options, yes.answers) == ("closed", ("yes", "no"), ("yes",))
    assert (lung.kind, lung.options, lung.answers) == ("closed", (), ("Left Lung",))
    assert open_yes.kind == first.kind == "open"
    assert first.cluster == "102" and first.images[0].read_bytes() == png(1)
    assert first.slices == {
        "answer_type": "OPEN", "modality": "MRI", "body_part": "Abdomen",
        "content_type": "Modality",
    }  # fmt: skip
    assert prompt(lung, found.spec).endswith("using a single word or phrase.")


PMC_2 = (
    "index,Figure_path,Caption,Question,Choice A,Choice B,Choice C,Choice D,Answer,split\n"
    '7,PMC1_F1.jpg,"A, caption", What is shown? , A: Liver , B: Lung, C: B: cells, D: Heart,B,test\n'
)
PMC_1 = (
    "Figure_path,Question,Answer,Choice A,Choice B,Choice C,Choice D,Answer_label\n"
    "PMC1_F1.jpg,Which stain?, Gram, A:PAS, B:Gram, C:H&E, D:Giemsa,B\n"
)


def test_pmc_vqa_takes_the_letters_off_its_choices(tmp_path: Path) -> None:
    write(tmp_path / "test_2.csv", PMC_2)
    write(tmp_path / "test.csv", PMC_1)
    write_zip(tmp_path / "images_2.zip", {"figures/PMC1_F1.jpg": png(3)})
    (item,) = load("pmc-vqa", tmp_path, work=tmp_path / "work").items
    assert (item.question, item.options) == (
        "What is shown?",
        ("Liver", "Lung", "B: cells", "Heart"),
    )
    assert (item.id, item.kind, item.answers) == ("PMC1_F1.jpg/7", "choice", ("B",))
    assert item.images[0].read_bytes() == png(3)
    (old,) = load("pmc-vqa", tmp_path, split="test-1", work=tmp_path / "work").items
    assert (old.options[1], old.answers) == ("Gram", ("B",))
    assert old.id.startswith("sha-")


def omni(item: str, answer: str, **options: str) -> dict[str, object]:
    return {
        "dataset": "ACRIMA", "question_id": item, "question_type": "Disease Diagnosis",
        "question": "What is it?", "gt_answer": answer, "image_path": "Images/ACRIMA/Im553.png",
    } | {f"option_{letter}": text for letter, text in options.items()}  # fmt: skip


def test_omnimedvqa_answers_are_texts_and_some_options_are_absent(tmp_path: Path) -> None:
    root = tmp_path / "OmniMedVQA"
    write(root / "Images" / "ACRIMA" / "Im553.png", png(5))
    write_json(
        root / "QA_information" / "Open-access" / "ACRIMA.json",
        [
            omni("acrima_0", "Glaucoma", A="Normal", B="Glaucoma", C="Cataract"),
            omni("acrima_1", "No, It's normal.", A="Yes", C="No, It's normal")
            | {"modality": "Fundus"},
            omni("acrima_2", "Oedema", A="Oedema", B="None", C="Drusen", D="Tear")
            | {"modality_type": "Fundus Photography"},
        ],
    )
    for place in (tmp_path, root):
        found = load("omnimedvqa", place, work=tmp_path / "work").items
        assert [item.answers[0] for item in found] == ["B", "B", "A"]
        assert [len(item.options) for item in found] == [3, 2, 4]
        assert [item.slices.get("modality") for item in found] == [
            None, "Fundus", "Fundus Photography",
        ]  # fmt: skip
        assert found[0].slices["source"] == "ACRIMA"


def test_omnimedvqa_is_read_out_of_its_one_zip_without_unpacking_it(tmp_path: Path) -> None:
    rows = [omni("acrima_0", "Normal", A="Normal", B="Glaucoma")]
    members = {
        "OmniMedVQA/QA_information/Open-access/ACRIMA.json": json.dumps(rows).encode(),
        "OmniMedVQA/Images/ACRIMA/Im553.png": png(5),
        "OmniMedVQA/Images/ACRIMA/Im554.png": png(6),
    }
    write_zip(tmp_path / "OmniMedVQA.zip", members)
    (item,) = load("omnimedvqa", tmp_path, work=tmp_path / "work").items
    assert item.images[0].read_bytes() == png(5)
    assert not list((tmp_path / "work").rglob("Im554.png"))


SUBJECTS = (
    "Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine",
    "Pharmacy", "Public_Health",
)  # fmt: skip


def mmmu(item: str, **fields: object) -> dict[str, object]:
    images = {f"image_{number}": None for number in range(1, 8)}
    return images | {
        "id": item, "question": "What is in <image 1>?", "options": "['Liver', 'Lung']",
        "explanation": "", "image_1": embedded(1), "img_type": "['CT']", "answer": "B",
        "topic_difficulty": "Easy", "question_type": "multiple-choice", "subfield": "Anatomy",
    } | fields  # fmt: skip


def write_mmmu(copy: Path, rows: list[dict[str, object]], split: str = "validation") -> None:
    for number, subject in enumerate(SUBJECTS):
        own = rows if number == 0 else [mmmu(f"{split}_{subject}_1")]
        write_parquet(copy / subject / f"{split}-00000-of-00001.parquet", own)


def test_mmmu_shows_all_cited_images_in_the_order_of_citation(tmp_path: Path) -> None:
    three = {f"image_{number}": embedded(number) for number in (1, 2, 3)}
    write_mmmu(
        tmp_path,
        [
            mmmu(
                "validation_Basic_Medical_Science_1",
                question="Compare <image 3> with <image 1>.",
                options="['<image 1>', \"it's <image 3>\", 'O\\'Neil']",
                **three,
            ),
            mmmu(
                "validation_Basic_Medical_Science_2", question_type="open", options="[]",
                answer="['8', 'eight']",
            ),
            mmmu("validation_Basic_Medical_Science_3", question_type="open", options="[]",
                 answer="[normal]"),
        ],
    )  # fmt: skip
    found = load("mmmu-medical", tmp_path, work=tmp_path / "work").items
    assert len(found) == 7
    several, number, words = found[:3]
    assert several.question == "Compare <image 1> with <image 2>."
    assert several.options == ("<image 2>", "it's <image 1>", "O'Neil")
    assert [image.read_bytes() for image in several.images] == [png(3), png(1)]
    assert (number.kind, number.answers, number.options) == ("open", ("8", "eight"), ())
    assert words.answers == ("[normal]",)
    assert several.slices["subject"] == "Basic_Medical_Science"
    assert several.slices["images"] == "2"


def test_mmmu_options_are_never_evaluated(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    code = f"[__import__('pathlib').Path({str(trap)!r}).touch()]"
    write_mmmu(tmp_path, [mmmu("validation_Basic_Medical_Science_1", options=code)])
    with pytest.raises(InputError, match=r"Basic_Medical_Science_1': its answer 'B' is none"):
        load("mmmu-medical", tmp_path, work=tmp_path / "work")
    assert not trap.exists()


def test_mmmu_citing_an_absent_image_or_lacking_a_subject_is_told(tmp_path: Path) -> None:
    write_mmmu(tmp_path, [mmmu("validation_1", question="See <image 2>.")])
    with pytest.raises(InputError, match="cites image 2, which it does not have"):
        load("mmmu-medical", tmp_path, work=tmp_path / "work")
    (tmp_path / "Pharmacy" / "validation-00000-of-00001.parquet").unlink()
    with pytest.raises(InputError, match=r"not complete: Pharmacy/validation-\*\.parquet"):
        load("mmmu-medical", tmp_path, work=tmp_path / "work")


def test_mmmu_test_answers_are_not_published(tmp_path: Path) -> None:
    write_mmmu(tmp_path, [mmmu("test_1", answer="?")], "test")
    found = load("mmmu-medical", tmp_path, split="test", work=tmp_path / "work", strict=False)
    assert [(row.id, row.reason) for row in found.left_out] == [
        ("test_1", "its answer is empty or not published")
    ]


def test_medxpertqa_cuts_the_repeated_choices_and_reads_an_object_of_options(
    tmp_path: Path,
) -> None:
    write_lines(
        tmp_path / "MM" / "test.jsonl",
        [
            {
                "id": "MM-26",
                "question": "A patient has a rash.\nWhat is it?\nAnswer Choices: (A) Tinea (B) Lupus",
                "options": {"B": "Lupus", "A": "Tinea", "C": "Acne", "D": "Burn", "E": "Wart"},
                "label": "B", "images": ["MM-26-a.jpeg", "MM-26-b.jpeg"],
                "medical_task": "Diagnosis", "body_system": "Skin", "question_type": "Reasoning",
            }
        ],
    )  # fmt: skip
    write_zip(tmp_path / "images.zip", {f"images/MM-26-{x}.jpeg": png(ord(x)) for x in "ab"})
    found = load("medxpertqa-mm", tmp_path, work=tmp_path / "work")
    (item,) = found.items
    assert item.options == ("Tinea", "Lupus", "Acne", "Burn", "Wart")
    assert [image.read_bytes() for image in item.images] == [png(ord("a")), png(ord("b"))]
    assert item.slices == {
        "answer_type": "choice", "task": "Diagnosis", "body_system": "Skin",
        "content_type": "Reasoning", "images": "2",
    }  # fmt: skip
    assert prompt(item, found.spec) == (
        "A patient has a rash.\nWhat is it?\nA. Tinea\nB. Lupus\nC. Acne\nD. Burn\nE. Wart\n"
        "Answer with the option's letter from the given choices directly."
    )


def test_medframeqa_has_two_to_five_images_and_clusters_by_video(tmp_path: Path) -> None:
    def row(item: str, frames: int) -> dict[str, object]:
        images = {f"image_{n}": embedded(n) if n <= frames else None for n in range(1, 6)}
        return images | {
            "question_id": item, "system": "cardiac", "organ": "heart", "keyword": "valve",
            "modality": "US", "video_id": "v9", "question": "What moves?",
            "options": ["Valve", "Clot. A large one", "Lead"], "correct_answer": "B",
            "reasoning_chain": "...",
        }  # fmt: skip

    write_parquet(tmp_path / "data" / "test-00000-of-00002.parquet", [row("q1", 2)])
    write_parquet(tmp_path / "data" / "test-00001-of-00002.parquet", [row("q2", 5)])
    two, five = load("medframeqa", tmp_path, work=tmp_path / "work").items
    assert [image.read_bytes() for image in two.images] == [png(1), png(2)]
    assert len(five.images) == 5 and five.slices["images"] == "5"
    assert two.cluster == five.cluster == "v9"
    assert two.options[1] == "Clot. A large one" and two.answers == ("B",)


def test_chestagentbench_images_are_text_list_or_nested_and_options_are_inline(
    tmp_path: Path,
) -> None:
    asked = "Mass near vitamin A. depots?\nA) Left  B) Right\nC) Both\nD) None\nE) Apex\nF) Base"
    shapes = ["figures/1/a.jpg", ["figures/1/a.jpg"], [["figures/1/a.jpg", "figures/1/b.jpg"]], []]
    write_lines(
        tmp_path / "metadata.jsonl",
        [
            {"question_id": f"1_{n}", "case_id": "1", "question": asked, "answer": "C",
             "explanation": "", "images": shape, "image_source_urls": ["https://e.org/a.jpg"]}
            for n, shape in enumerate(shapes)
        ],
    )  # fmt: skip
    write_zip(tmp_path / "figures.zip", {f"figures/1/{x}.jpg": png(ord(x)) for x in "ab"})
    found = load("chestagentbench", tmp_path, work=tmp_path / "work").items
    assert [len(item.images) for item in found] == [1, 1, 2, 0]
    assert found[0].question == "Mass near vitamin A. depots?"
    assert found[0].options == ("Left", "Right", "Both", "None", "Apex", "Base")
    assert (found[0].answers, found[0].cluster) == (("C",), "1")


@pytest.mark.parametrize("name", ["iu-xray", "mimic-cxr"])
def test_reports_join_sections_without_headings(name: str, tmp_path: Path) -> None:
    write_json(
        tmp_path / "test.json",
        [
            {"id": "CXR1", "image": ["CXR1/0.png", "CXR1/1.png"], "findings": "Lungs are clear. ",
             "impression": "No acute disease."},
            {"id": "CXR2", "image": ["CXR1/0.png"], "findings": "", "impression": "Normal."},
            {"id": "CXR3", "image": ["CXR1/0.png"], "findings": " ", "impression": ""},
        ],
    )  # fmt: skip
    for number in (0, 1):
        write(tmp_path / "images" / "CXR1" / f"{number}.png", png(number))
    found = load(name, tmp_path, work=tmp_path / "work")
    both, impression = found.items
    assert both.answers == ("Lungs are clear. No acute disease.",)
    assert both.extra == {"findings": "Lungs are clear.", "impression": "No acute disease."}
    assert impression.answers == ("Normal.",)
    assert (both.kind, len(both.images), both.cluster) == ("report", 2, "CXR1")
    assert found.filtered == 1
    assert "Findings: ... Impression: ..." in prompt(both, found.spec)


def test_medvidbench_frames_lie_under_another_root(tmp_path: Path) -> None:
    frames = [f"/root/data/AVOS/frames/v1/{n:06d}.jpg" for n in range(3)]
    row = {
        "video": frames, "qa_type": "tal", "data_source": "AVOS", "is_RC": False, "RC_info": None,
        "conversations": [{"from": "human", "value": "<video>\nWhen is tying?"},
                          {"from": "gpt", "value": "1.0-3.5 seconds"}],
        "metadata": {"video_id": "v1", "fps": "1.0", "input_video_start_frame": "0"},
    }  # fmt: skip
    write_json(tmp_path / "cleaned_test_data_11_04.json", [row])
    members = {f"testdata/AVOS/frames/v1/{n:06d}.jpg": png(n) for n in range(3)}
    write_zip(tmp_path / "testdata.zip", members)
    (item,) = load("medvidbench", tmp_path, work=tmp_path / "work").items
    assert (item.question, item.answers, item.cluster) == (
        "When is tying?", ("1.0-3.5 seconds",), "v1",
    )  # fmt: skip
    assert [image.read_bytes() for image in item.images] == [png(0), png(1), png(2)]
    assert item.extra == {"video": "v1", "fps": "1.0"}
    row["conversations"] = row["conversations"][:1]
    write_json(tmp_path / "cleaned_test_data_11_04.json", [row])
    with pytest.raises(InputError, match="its answer is empty or not published"):
        load("medvidbench", tmp_path, work=tmp_path / "work")


def test_segmentation_folder_by_grey_value_and_by_structure(tmp_path: Path) -> None:
    values, folders = tmp_path / "values", tmp_path / "folders"
    for root in (values, folders):
        write(root / "test" / "images" / "p1" / "a.png", png(1))
    write(values / "test" / "masks" / "p1" / "a_mask.png", png(1))
    write_json(values / "labels.json", {"1": "liver", "2": "spleen"})
    write(folders / "test" / "masks" / "tumour" / "p1" / "a.png", png(1))
    liver, spleen = load("segmentation-folder", values, split="test").items
    assert (liver.id, liver.question) == ("p1/a/liver", "Segment the liver in this image.")
    assert (liver.kind, spleen.extra["value"], spleen.cluster) == ("mask", 2, "p1/a")
    assert Path(liver.extra["mask"]).name == "a_mask.png"
    (tumour,) = load("segmentation-folder", folders, split="test").items
    assert tumour.extra["target"] == "tumour" and tumour.extra["value"] is None
    with pytest.raises(InputError, match="no split 'train'; it has test"):
        load("segmentation-folder", values, split="train")


def test_segmentation_folder_names_what_does_not_fit(tmp_path: Path) -> None:
    for stem in "abc":
        write(tmp_path / "images" / f"{stem}.png", png(1))
    write(tmp_path / "masks" / "a.png", png(1))
    write(tmp_path / "masks" / "b.png", png(1, (3, 3)))
    found = load("segmentation-folder", tmp_path, strict=False)
    assert [item.id for item in found.items] == ["a/structure"]
    assert [row.id for row in found.left_out] == ["b/structure", "c/structure"]
    assert "(3, 3) columns and rows, its image (6, 4)" in found.left_out[0].reason
    with pytest.raises(InputError, match=r"b\.png has .* 1 more rows like it"):
        load("segmentation-folder", tmp_path)


def test_image_questions_of_the_real_pack(shared_data: Path) -> None:
    found = load("image-questions", shared_data)
    assert (len(found.items), found.filtered) == (717, 777)
    assert all(image.is_file() for item in found.items for image in item.images)
    closed = [item for item in found.items if item.kind == "closed"]
    numbers = [item for item in found.items if item.kind == "number"]
    assert len(closed) + len(numbers) == 717
    assert all(item.answers[0] in item.options for item in closed)
    assert {(item.slices["content_type"], item.extra["tolerance"]) for item in numbers} == {
        ("count", 0.1), ("size", 0.2),
    }  # fmt: skip
    assert len(load("image-questions", shared_data, split="dev").items) == 777
