#!/usr/bin/env bash
# Install Debian's Chromium for the test that uses the app as a person does. Nothing if it is there.
set -euo pipefail

if command -v chromium >/dev/null; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    printf 'set-up: the browser test will be skipped; install Chromium (sudo apt-get install chromium)\n' >&2
    exit 0
fi
printf 'set-up: installing chromium\n' >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
