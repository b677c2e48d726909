#!/bin/sh
# The Debian packages that tests and benchmarks drive. Installs what is missing when run as root where apt is, else names it.
set -eu
missing=""
need() { # command package
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need gcc gcc
need mbsync isync
need curl curl
need python3 python3
need neomutt neomutt
need dovecot dovecot-imapd
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # a list of packages
	apt-get install -y -q --no-install-recommends $missing >/dev/null 2>&1 || {
		apt-get update -q >/dev/null
		apt-get install -y -q --no-install-recommends $missing >/dev/null
	}
	exit 0
fi
echo "missing:$missing (install these packages, or run as root on Debian)" >&2
exit 1
