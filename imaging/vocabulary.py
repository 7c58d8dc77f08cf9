"""The structures and findings, by domain, that the bundled parts know by name."""

DOMAINS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # domain: (structures that are always there, findings that may be there)
    "chest-xray": (
        ("left lung", "right lung", "heart", "thorax"),
        ("nodule", "effusion", "pneumothorax", "consolidation", "cardiomegaly"),
    ),
    "brain-mr": (("brain", "ventricles"), ("lesion", "midline shift")),
    "chest-ct": (("body", "left lung", "right lung", "heart"), ("nodule",)),
    "abdomen-ct": (("body", "liver", "left kidney", "right kidney", "spleen"), ("cyst",)),
    "fundus": (("optic disc", "optic cup", "retina"), ("haemorrhage", "exudate")),
    "ultrasound": ((), ("cyst", "mass")),
    "histology": (("nuclei",), ()),
}

FINDINGS: tuple[str, ...] = tuple(sorted({name for _, names in DOMAINS.values() for name in names}))

# Findings that are a size or a displacement of a structure and so have no mask of their own.
UNMASKED_FINDINGS = frozenset({"cardiomegaly", "midline shift"})

TARGETS: tuple[str, ...] = tuple(
    sorted(
        {
            name
            for structures, findings in DOMAINS.values()
            for name in (*structures, *findings)
            if name not in UNMASKED_FINDINGS
        }
    )
)
