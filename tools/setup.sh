#!/bin/sh
# Installs what Gradc builds with, on Debian 12. Does nothing when all of it is there.
set -e
packages="g++ cmake ninja-build ccache llvm-19-dev libfmt-dev libgtest-dev libcli11-dev zlib1g-dev libpng-dev python3"
missing=""
for p in $packages; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q "install ok installed" || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
  echo "gradc: these Debian packages are needed:$missing" >&2
  echo "gradc: install them as root: apt-get update && apt-get install -y$missing" >&2
  exit 1
fi
apt-get update -qq
if ! apt-cache show llvm-19-dev >/dev/null 2>&1; then
  echo "gradc: this Debian has no llvm-19-dev; add bookworm-backports or apt.llvm.org to its sources" >&2
  exit 1
fi
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
