"""Example studies and questions: synthetic phantoms, made and stored when the app starts."""

from pathlib import Path

from overread.agent.resources import Resources
from overread.imaging.phantoms import generate, write
from overread.imaging.read import read_studies
from overread.ui.desk import Example

SIZE = 512
# Domain, number of the synthetic patient (all of the test split), visit, what the list says, question.
EXAMPLES = (
    ("chest-xray", 61881, 0, "Chest X-ray", "Is there a pleural effusion, and on which side?"),
    ("chest-xray", 66192, 1, "Chest X-ray, follow-up", "Write a report of this image."),
    ("chest-xray", 66192, 0, "Chest X-ray, prior", "Is there a nodule?"),
    ("brain-mr", 4870, 0, "Brain MR", "How large is the brain lesion (long axis, mm)?"),
    ("fundus", 43419, 0, "Fundus", "How tall is the optic cup relative to the optic disc?"),
)


def make_examples(resources: Resources, folder: Path) -> list[Example]:
    """Write the examples as files, store them in the archive, and return them."""
    made: list[Example] = []
    by_patient: dict[tuple[str, int], str] = {}
    for domain, patient, visit, title, question in sorted(EXAMPLES, key=lambda item: item[2]):
        file = write(generate(domain, patient, visit, size=SIZE), folder)
        studies = read_studies([file], resources.pseudonymiser)
        refs = tuple(str(ref) for ref in resources.archive.add(studies))
        example = Example(title, question, refs, by_patient.get((domain, patient)))
        by_patient[domain, patient] = example.study
        made.append(example)
    order = [(title, question) for _, _, _, title, question in EXAMPLES]
    return sorted(made, key=lambda example: order.index((example.title, example.question)))
