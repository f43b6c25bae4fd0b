#!/bin/sh
# Stands for a compiler on the host.
set -eu
{ echo '#!/bin/sh'; cat main.in; } > main.new
mv main.new main
