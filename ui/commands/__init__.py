"""One file per sub-command of `overread`."""
