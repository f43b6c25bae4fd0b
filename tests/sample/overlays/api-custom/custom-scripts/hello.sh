#!/bin/sh
echo "a custom script"
