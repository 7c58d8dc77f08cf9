#!/usr/bin/env bash
# Install Debian's dcmtk and dicom3tools, with which tests re-open the DICOM files that we write.
set -euo pipefail

if command -v dcmdump >/dev/null && command -v dciodvfy >/dev/null; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    printf 'set-up: tests that re-open DICOM will be skipped; install dcmtk and dicom3tools\n' >&2
    exit 0
fi
printf 'set-up: installing dcmtk and dicom3tools\n' >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends dcmtk dicom3tools >/dev/null
