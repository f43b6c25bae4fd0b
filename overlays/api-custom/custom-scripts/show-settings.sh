#!/bin/sh
# An example: prints the settings that this overlay added.
env | grep '^CUSTOM_' | sort
