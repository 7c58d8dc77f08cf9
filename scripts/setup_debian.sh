#!/usr/bin/env bash
# Install what tests need of Debian: Chromium, to use the app as a person does; dcmtk and dicom3tools,
# to re-open the DICOM files that we write. Nothing if they are there.
set -euo pipefail

# need WHAT-IS-SKIPPED WITHOUT THEM: COMMANDS -- PACKAGES
need() {
    local skipped=$1 missing=
    shift
    while [ "$1" != -- ]; do
        command -v "$1" >/dev/null || missing=yes
        shift
    done
    shift
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        printf 'set-up: %s will be skipped; install %s\n' "$skipped" "$*" >&2
        return 0
    fi
    printf 'set-up: installing %s\n' "$*" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

need 'tests in a browser' chromium -- chromium fonts-dejavu-core
need 'tests that re-open DICOM' dcmdump dciodvfy -- dcmtk dicom3tools
